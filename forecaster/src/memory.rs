//! What a copycat remembers: the last reveal of every other miner per market; it never judges whether one is true.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{MarketId, MinerId, Ppm, Question, QuestionId, Timestamp};

/// A question whose reveals are worth remembering.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Round {
    #[n(0)]
    market: MarketId,
    #[n(1)]
    commit_closes_at: Timestamp,
    #[n(2)]
    reveal_closes_at: Timestamp,
}

/// What was revealed on one market.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Seen {
    #[n(0)]
    resolves_at: Timestamp,
    #[n(1)]
    last: BTreeMap<MinerId, Ppm>,
}

/// The last reveals on the markets that are still running; every map has the same bound.
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
}

impl Memory {
    pub(crate) fn new(max: u32) -> Self {
        Self { rounds: BTreeMap::new(), markets: BTreeMap::new(), max, dropped: 0 }
    }

    /// How much was not remembered for want of room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Listens to the reveals of this question from now on.
    pub(crate) fn question(&mut self, q: &Question) {
        let (commit_closes_at, reveal_closes_at) = (q.commit_closes_at, q.reveal_closes_at);
        let round = Round { market: q.market.clone(), commit_closes_at, reveal_closes_at };
        let seen = Seen { resolves_at: q.resolves_at, last: BTreeMap::new() };
        if self.has_room(self.rounds.len()) {
            self.rounds.entry(q.id).or_insert(round);
        }
        if !self.markets.contains_key(&q.market) && self.has_room(self.markets.len()) {
            self.markets.insert(q.market.clone(), seen);
        }
    }

    /// Remembers what a miner revealed, if the question's reveal window is open.
    pub(crate) fn reveal(&mut self, at: Timestamp, question: QuestionId, miner: MinerId, p: Ppm) {
        let Some(round) = self.rounds.get(&question) else { return };
        let open = round.commit_closes_at <= at && at < round.reveal_closes_at;
        let Some(seen) = self.markets.get_mut(&round.market).filter(|_| open && p.is_valid()) else { return };
        if seen.last.len() < self.max as usize || seen.last.contains_key(&miner) {
            seen.last.insert(miner, p);
        } else {
            self.dropped += 1;
        }
    }

    /// The mean of the last reveals on a market, rounded to the nearest millionth; `None` when there are none.
    pub(crate) fn mean(&self, market: &MarketId) -> Option<Ppm> {
        let last = &self.markets.get(market)?.last;
        let (sum, n) = last.values().fold((0_u64, 0_u64), |(sum, n), p| (sum + u64::from(p.0), n + 1));
        (n > 0).then(|| Ppm(((sum + n / 2) / n) as u32))
    }

    /// Forgets what is over.
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
