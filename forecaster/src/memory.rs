//! What a copycat remembers: the last right reveal of every other miner per market; it never counts a record that the
//! validator refuses for its author, its time or its seal.
//!
//! A reveal counts if the miner had joined before the question opened, if its first signed commitment was seen in the
//! commit window and nobody had used that hash before, and if the reveal is signed, opens that seal in the reveal
//! window and is the first to do so. So nobody without stake, and nobody in another's name, can steer a copycat. What
//! needs the ledger (a miner that has no stake left) is not judged here.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{
    CommitHash, Commitment, Forecast, MarketId, MinerId, NetworkRules, Ppm, Question, QuestionId, Reveal,
    Timestamp,
};

use crate::signer;

/// A miner's sealed forecast.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Seal {
    #[n(0)]
    hash: CommitHash,
    /// Whether it was opened; what follows is a repetition.
    #[n(1)]
    opened: bool,
}

/// A question whose reveals are worth remembering.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Round {
    #[n(0)]
    market: MarketId,
    #[n(1)]
    commit_closes_at: Timestamp,
    #[n(2)]
    reveal_closes_at: Timestamp,
    #[n(3)]
    opens_at: Timestamp,
    /// How many members there were when it opened; later ones take no part.
    #[n(4)]
    members: u32,
    /// The first commitment of each member.
    #[n(5)]
    seals: BTreeMap<MinerId, Seal>,
}

/// What was revealed on one market.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Seen {
    #[n(0)]
    resolves_at: Timestamp,
    #[n(1)]
    last: BTreeMap<MinerId, Ppm>,
}

/// The last reveals on the markets that are still running.
///
/// Rounds, markets and members have the same bound; seals and reveals are of members, so they keep it too.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Memory {
    #[n(0)]
    rounds: BTreeMap<QuestionId, Round>,
    #[n(1)]
    markets: BTreeMap<MarketId, Seen>,
    #[n(2)]
    max: u32,
    #[n(3)]
    dropped: u64,
    /// The hash inside every commitment; none before genesis.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    network: Option<[u8; 32]>,
    /// The other miners, each with the number of those that joined before it. Nobody leaves.
    #[n(5)]
    members: BTreeMap<MinerId, u32>,
}

impl Memory {
    pub(crate) fn new(max: u32) -> Self {
        let (rounds, markets, members) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { rounds, markets, max, dropped: 0, network: None, members }
    }

    /// How much was not remembered for want of room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The network starts, once.
    pub(crate) fn genesis(&mut self, rules: &NetworkRules) {
        self.network.get_or_insert_with(|| rules.network_hash());
    }

    /// A miner joins; it takes part in questions that open from now on.
    pub(crate) fn join(&mut self, miner: MinerId) {
        let before = self.members.len();
        if self.network.is_some() && !self.members.contains_key(&miner) && self.has_room(before) {
            self.members.insert(miner, before as u32);
        }
    }

    /// Listens to the commitments and reveals of this question from now on.
    pub(crate) fn question(&mut self, q: &Question) {
        let round = Round {
            market: q.market.clone(),
            commit_closes_at: q.commit_closes_at,
            reveal_closes_at: q.reveal_closes_at,
            opens_at: q.opens_at,
            members: self.members.len() as u32,
            seals: BTreeMap::new(),
        };
        let seen = Seen { resolves_at: q.resolves_at, last: BTreeMap::new() };
        if self.has_room(self.rounds.len()) {
            self.rounds.entry(q.id).or_insert(round);
        }
        if !self.markets.contains_key(&q.market) && self.has_room(self.markets.len()) {
            self.markets.insert(q.market.clone(), seen);
        }
    }

    /// Keeps a member's first seal, if the commit window is open.
    pub(crate) fn commitment(&mut self, at: Timestamp, c: &Commitment) {
        let Some(round) = self.rounds.get_mut(&c.question) else { return };
        let takes_part = self.members.get(&c.miner).is_some_and(|before| *before < round.members);
        let open = round.opens_at <= at && at < round.commit_closes_at;
        let fresh = |(miner, seal): (&MinerId, &Seal)| *miner != c.miner && seal.hash != c.hash;
        if takes_part && open && round.seals.iter().all(fresh) && signer::is_signed(c) {
            round.seals.insert(c.miner, Seal { hash: c.hash, opened: false });
        }
    }

    /// Remembers what a member revealed, if it opens its seal and the reveal window is open.
    pub(crate) fn reveal(&mut self, at: Timestamp, r: &Reveal) {
        let (Some(network), Some(round)) = (&self.network, self.rounds.get_mut(&r.question)) else { return };
        let open = round.commit_closes_at <= at && at < round.reveal_closes_at;
        let Forecast::Probability(p) = r.forecast else { return };
        let Some(seal) = round.seals.get_mut(&r.miner).filter(|s| open && p.is_valid() && !s.opened) else {
            return;
        };
        let Some(seen) = self.markets.get_mut(&round.market) else { return };
        if signer::opens(r, network, &seal.hash) {
            seal.opened = true;
            seen.last.insert(r.miner, p);
        }
    }

    /// The mean of the last reveals on a market, rounded to the nearest millionth; `None` when there are none.
    pub(crate) fn mean(&self, market: &MarketId) -> Option<Ppm> {
        let last = &self.markets.get(market)?.last;
        let (sum, n) = last.values().fold((0_u64, 0_u64), |(sum, n), p| (sum + u64::from(p.0), n + 1));
        (n > 0).then(|| Ppm(((sum + n / 2) / n) as u32))
    }

    /// Forgets what is over; the network and its members stay.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.rounds.retain(|_, r| now < r.reveal_closes_at);
        self.markets.retain(|_, m| now < m.resolves_at);
    }

    fn has_room(&mut self, used: usize) -> bool {
        let room = used < self.max as usize;
        self.dropped += u64::from(!room);
        room
    }
}
