//! Genesis, topics and miners: who and what exists; it never admits predictions.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use schemas::id::is_name;
use schemas::time::NANOS_PER_SEC;
use schemas::{
    AccountId, Asset, LedgerAccount, Micros, MinerJoined, NetworkRules, Ppm, RejectCode, SignalId, Timestamp,
    TopicRules, TxnKind, ValidatorId, Verdict,
};

use crate::accounts::Offer;
use crate::admit::{ensure, is_signed};
use crate::ledger::leg;
use crate::limits::{Limits, MAX_AMOUNT, MAX_WEIGHT, has_room, is_text};
use crate::validator::Validator;
use crate::weights::Weights;

/// A validator's seat and its record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Seat {
    /// Its stake.
    #[n(0)]
    pub stake: Micros,
    /// Reports held within the resolution window.
    #[n(1)]
    pub held: u32,
    /// Reports that equalled the agreed determination.
    #[n(2)]
    pub agreed: u64,
    /// Reports that differed from it: evidence.
    #[n(3)]
    pub differed: u64,
}

/// The network's rules and its validators.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Network {
    #[n(0)]
    pub(crate) rules: NetworkRules,
    /// The hash inside every commitment.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) hash: [u8; 32],
    #[n(2)]
    pub(crate) seats: BTreeMap<ValidatorId, Seat>,
}

impl Network {
    /// Whether these validators hold at least 2/3 of all stake.
    pub(crate) fn is_quorum<'a>(&self, agreeing: impl Iterator<Item = &'a ValidatorId>) -> bool {
        let stake = |seat: &Seat| i128::from(seat.stake.0);
        let yes: i128 = agreeing.filter_map(|id| self.seats.get(id)).map(stake).sum();
        let all: i128 = self.seats.values().map(stake).sum();
        3 * yes >= 2 * all
    }
}

/// A topic with what was learned and sold on it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Topic {
    #[n(0)]
    pub(crate) rules: TopicRules,
    #[n(1)]
    pub(crate) weights: Weights,
    /// Signals issued so far; the newest one's `topic_seq`.
    #[n(2)]
    pub(crate) issued: u64,
    /// The newest signals, by slot.
    #[n(3)]
    pub(crate) offers: BTreeMap<(Timestamp, SignalId), Offer>,
}

/// A miner; its stake is in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Miner {
    #[n(0)]
    pub(crate) joined: MinerJoined,
    /// What open questions could take from its stake at most.
    #[n(1)]
    pub(crate) reserved: Micros,
}

impl Validator {
    /// Starts the network.
    pub(crate) fn genesis(&mut self, rules: &NetworkRules, out: &mut Vec<Verdict>) -> Result<(), RejectCode> {
        ensure(self.network.is_none(), RejectCode::GenesisRepeated)?;
        ensure(is_sound_network(rules, &self.limits), RejectCode::InvalidRules)?;
        let seat = |stake| Seat { stake, held: 0, agreed: 0, differed: 0 };
        let seats = rules.validators.iter().map(|v| (v.id, seat(v.stake))).collect();
        self.network = Some(Network { rules: rules.clone(), hash: rules.network_hash(), seats });
        self.start_epoch(out);
        Ok(())
    }

    /// Lists a topic, or its next rules; questions that are open keep the rules they opened under.
    pub(crate) fn list_topic(
        &mut self,
        rules: &TopicRules,
        out: &mut Vec<Verdict>,
    ) -> Result<(), RejectCode> {
        ensure(is_name(&rules.id.0), RejectCode::InvalidName)?;
        ensure(is_sound_topic(rules), RejectCode::InvalidRules)?;
        if let Some(topic) = self.topics.get_mut(&rules.id) {
            ensure(rules.version > topic.rules.version, RejectCode::StaleRules)?;
            topic.rules = rules.clone();
        } else {
            ensure(has_room(self.topics.len(), self.limits.max_topics), RejectCode::LimitReached)?;
            let (weights, offers) = (Weights::default(), BTreeMap::new());
            let topic = Topic { rules: rules.clone(), weights, issued: 0, offers };
            self.topics.insert(rules.id.clone(), topic);
        }
        out.push(Verdict::TopicListed(rules.clone()));
        Ok(())
    }

    /// Lets a miner in and issues its stake; it takes part in questions that open from now on.
    ///
    /// A miner that the network names brings its stake along. One that registers itself has signed, and its stake is
    /// paid for from an account's prepaid money, one micro-USD for each micro-unit, in the same transaction.
    pub(crate) fn join(&mut self, joined: &MinerJoined, out: &mut Vec<Verdict>) -> Result<(), RejectCode> {
        ensure(!self.miners.contains_key(&joined.miner), RejectCode::DuplicateMiner)?;
        ensure(is_text(&joined.name) && is_text(&joined.kind), RejectCode::InvalidName)?;
        ensure((1..=MAX_AMOUNT).contains(&joined.stake.0), RejectCode::InvalidAmount)?;
        if let Some(host) = &joined.host {
            ensure(is_name(&host.account.0), RejectCode::InvalidName)?;
            ensure(host.part.is_valid(), RejectCode::InvalidAmount)?;
        }
        ensure(has_room(self.miners.len(), self.limits.max_miners), RejectCode::LimitReached)?;
        let payer = self.payer(joined)?;
        let mut legs = vec![
            leg(LedgerAccount::Issuance, Asset::Stake, -joined.stake.0),
            leg(LedgerAccount::MinerStake(joined.miner), Asset::Stake, joined.stake.0),
        ];
        if let Some(account) = &payer {
            legs.push(leg(LedgerAccount::Prepaid(account.clone()), Asset::Usd, -joined.stake.0));
            legs.push(leg(LedgerAccount::StakePaid, Asset::Usd, joined.stake.0));
        }
        let txn = self.book(TxnKind::Join, &joined.miner.0, legs).map_err(|_| RejectCode::InvalidAmount)?;
        self.miners.insert(joined.miner, Miner { joined: joined.clone(), reserved: Micros(0) });
        self.publish(txn, out);
        out.extend(payer.map(|account| self.account_view(&account)));
        out.push(Verdict::MinerListed(joined.clone()));
        Ok(())
    }

    /// Who pays for the stake of a miner that registers itself, if all of that is in order; nobody for one that the
    /// network names. Half a registration is a forged one.
    fn payer(&self, joined: &MinerJoined) -> Result<Option<AccountId>, RejectCode> {
        let (signature, account) = match (&joined.signature, &joined.account) {
            (None, None) => return Ok(None),
            // A host's fee is nothing that the miner has signed.
            (Some(signature), Some(account)) if joined.host.is_none() => (signature, account),
            _ => return Err(RejectCode::BadSignature),
        };
        ensure(self.miners.values().all(|m| m.joined.name != joined.name), RejectCode::NameTaken)?;
        ensure(self.accounts.open.contains(account), RejectCode::UnknownAccount)?;
        ensure(self.prepaid(account) >= joined.stake, RejectCode::CreditsExhausted)?;
        let network = self.network.as_ref().ok_or(RejectCode::NoGenesis)?;
        let MinerJoined { miner, name, kind, stake, .. } = joined;
        let message = MinerJoined::signing_bytes(&network.hash, miner, name, kind, *stake);
        ensure(is_signed(&miner.0, &message, signature), RejectCode::BadSignature)?;
        Ok(Some(account.clone()))
    }
}

/// Whether the rules of a network make sense.
fn is_sound_network(rules: &NetworkRules, limits: &Limits) -> bool {
    let ids: BTreeSet<ValidatorId> = rules.validators.iter().map(|v| v.id).collect();
    let seats = !rules.validators.is_empty()
        && rules.validators.len() <= limits.max_validators as usize
        && ids.len() == rules.validators.len()
        && rules.validators.iter().all(|v| is_text(&v.name) && (1..=MAX_AMOUNT).contains(&v.stake.0));
    let split: u64 = rules.revenue_split.iter().map(|part| u64::from(part.0)).sum();
    seats
        && is_text(&rules.network)
        && rules.epoch_ns > 0
        && rules.max_loss.is_valid()
        && (0..=MAX_AMOUNT).contains(&rules.emission_per_epoch.0)
        && split == u64::from(Ppm::ONE.0)
}

/// Whether the rules of a topic make sense: all windows lie inside the market, all numbers in their range.
fn is_sound_topic(rules: &TopicRules) -> bool {
    let windows = rules.commit_window_ns > 0 && rules.reveal_window_ns > 0;
    let last = (i64::from(rules.horizon_s) * NANOS_PER_SEC)
        .saturating_add(rules.commit_window_ns)
        .saturating_add(rules.reveal_window_ns);
    windows
        && last <= i64::from(rules.interval_s) * NANOS_PER_SEC
        && rules.max_input_age_ns > 0
        && is_text(&rules.symbol)
        && (1..=MAX_WEIGHT).contains(&rules.weight.0)
        && rules.missing_fee.is_valid()
        && (0..=MAX_AMOUNT).contains(&rules.price.0)
        && rules.questions_per_epoch > 0
}
