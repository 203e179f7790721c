//! What the view remembers: plain data with a wire form; nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use schemas::{
    AccountId, Asset, Determination, EpochSummary, IndexPrice, MarketId, Micros, NoSignalReason, Ppm,
    QuestionId, Signal, Subscription, SubscriptionId, Timestamp, TopicId, TopicRules,
};

use super::track::Track;

/// The bounds of a view's memory. They shape the fold, so they are part of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ViewLimits {
    /// Signals kept per topic; also paid slots kept per subscription and topic.
    #[n(0)]
    pub signals_per_topic: u32,
    /// Topics.
    #[n(1)]
    pub topics: u32,
    /// Miners.
    #[n(2)]
    pub miners: u32,
    /// Open questions.
    #[n(3)]
    pub questions: u32,
    /// Outcomes and absent signals kept for sockets and the dashboard.
    #[n(4)]
    pub notices: u32,
    /// Accounts.
    #[n(5)]
    pub accounts: u32,
    /// Subscriptions.
    #[n(6)]
    pub subscriptions: u32,
    /// Closed epochs kept.
    #[n(7)]
    pub epochs: u32,
}

impl Default for ViewLimits {
    fn default() -> Self {
        Self {
            signals_per_topic: 4096,
            topics: 1024,
            miners: 65_536,
            questions: 65_536,
            notices: 4096,
            accounts: 100_000,
            subscriptions: 100_000,
            epochs: 256,
        }
    }
}

/// A place in the verdicts: the record's `seq`, and a number within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Position {
    /// The record.
    #[n(0)]
    pub seq: u64,
    /// Which of the things that followed from it.
    #[n(1)]
    pub part: u32,
}

/// How a question's market ended, with everything a reader wants beside it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OutcomeRecord {
    /// The topic.
    #[n(0)]
    pub topic: TopicId,
    /// The question.
    #[n(1)]
    pub question: QuestionId,
    /// The market.
    #[n(2)]
    pub market: MarketId,
    /// The slot: the market's start.
    #[n(3)]
    pub slot: Timestamp,
    /// The market's end.
    #[n(4)]
    pub closes_at: Timestamp,
    /// When it was agreed.
    #[n(5)]
    pub resolved_at: Timestamp,
    /// The index value to beat.
    #[n(6)]
    pub strike: IndexPrice,
    /// How it ended.
    #[n(7)]
    pub determination: Determination,
    /// Position of the question's signal on its topic, if it had one.
    #[n(8)]
    pub topic_seq: Option<u64>,
    /// The signal's probability of Up.
    #[n(9)]
    pub p: Option<Ppm>,
    /// The reference forecast.
    #[n(10)]
    pub reference: Ppm,
    /// The market's mid when the question opened.
    #[n(11)]
    pub market_mid: Option<Ppm>,
}

impl OutcomeRecord {
    /// Whether the market ended Up; `None` when void.
    pub fn up(&self) -> Option<bool> {
        match self.determination {
            Determination::Determined { up, .. } => Some(up),
            Determination::Void(_) => None,
        }
    }
}

/// A signal in memory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Held {
    /// The signal.
    #[n(0)]
    pub signal: Signal,
    /// The record that issued it.
    #[n(1)]
    pub position: Position,
    /// How its market ended; from then on the signal is public.
    #[n(2)]
    pub outcome: Option<OutcomeRecord>,
}

/// A topic: rules, newest signals, track record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TopicState {
    /// The rules in force.
    #[n(0)]
    pub rules: TopicRules,
    /// The newest signals by `topic_seq`.
    #[n(1)]
    pub ring: BTreeMap<u64, Held>,
    /// Signals whose market has not ended.
    #[n(2)]
    pub unresolved: BTreeMap<QuestionId, u64>,
    /// Position of the newest signal; 0 before the first.
    #[n(3)]
    pub head: u64,
    /// Signals issued.
    #[n(4)]
    pub issued: u64,
    /// Units paid.
    #[n(5)]
    pub sold: u64,
    /// Questions without a signal.
    #[n(6)]
    pub no_signals: u64,
    /// Questions that ended Up, Down, void.
    #[n(7)]
    pub ended: (u64, u64, u64),
    /// The signals' track record.
    #[n(8)]
    pub ensemble: Track,
    /// The reference's on the same questions.
    #[n(9)]
    pub reference: Track,
    /// The market's mid, where it was quoted.
    #[n(10)]
    pub market: Track,
    /// The signals' on just those questions.
    #[n(11)]
    pub ensemble_where_quoted: Track,
}

impl TopicState {
    pub(crate) fn new(rules: TopicRules) -> Self {
        Self {
            rules,
            ring: BTreeMap::new(),
            unresolved: BTreeMap::new(),
            head: 0,
            issued: 0,
            sold: 0,
            no_signals: 0,
            ended: (0, 0, 0),
            ensemble: Track::default(),
            reference: Track::default(),
            market: Track::default(),
            ensemble_where_quoted: Track::default(),
        }
    }

    /// The newest signal.
    pub fn latest(&self) -> Option<&Held> {
        self.ring.last_key_value().map(|(_, held)| held)
    }

    /// Position of the oldest signal in memory; one past the head when there is none.
    pub fn oldest(&self) -> u64 {
        self.ring.first_key_value().map_or(self.head + 1, |(seq, _)| *seq)
    }
}

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AccountState {
    /// Prepaid balance.
    #[n(0)]
    pub prepaid: Micros,
    /// Spent so far.
    #[n(1)]
    pub spent: Micros,
    /// Units paid so far.
    #[n(2)]
    pub units: u64,
    /// Its subscriptions.
    #[n(3)]
    pub subscriptions: BTreeSet<SubscriptionId>,
}

/// A subscription and what it has paid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SubscriptionState {
    /// The contract.
    #[n(0)]
    pub subscription: Subscription,
    /// Paid slots by topic.
    #[n(1)]
    pub paid: BTreeMap<TopicId, BTreeSet<Timestamp>>,
}

/// The ledger as anybody can add it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LedgerSums {
    /// Transactions.
    #[n(0)]
    pub transactions: u64,
    /// Postings.
    #[n(1)]
    pub postings: u64,
    /// Sum of all postings by asset; zero, or something is wrong.
    #[n(2)]
    pub sums: BTreeMap<Asset, Micros>,
    /// Transactions that did not chain to the one before.
    #[n(3)]
    pub chain_breaks: u64,
    /// Hash of the newest transaction.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub last: [u8; 32],
}

impl LedgerSums {
    /// How far the books are from balance: the sum of the absolute sums.
    pub fn imbalance(&self) -> i64 {
        self.sums.values().fold(0_i64, |all, sum| all.saturating_add(sum.0.saturating_abs()))
    }
}

/// A closed epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EpochState {
    /// What it came to.
    #[n(0)]
    pub summary: EpochSummary,
    /// Whether 2/3 of validator stake signed its root.
    #[n(1)]
    pub is_final: bool,
}

/// Something on a topic that is free to know.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Notice {
    /// A question got no signal.
    #[n(0)]
    NoSignal {
        /// The topic.
        #[n(0)]
        topic: TopicId,
        /// The question.
        #[n(1)]
        question: QuestionId,
        /// The slot.
        #[n(2)]
        slot: Timestamp,
        /// Why.
        #[n(3)]
        reason: NoSignalReason,
    },
    /// A question's market ended.
    #[n(1)]
    Outcome(#[n(0)] OutcomeRecord),
}

impl Notice {
    /// Its topic.
    pub fn topic(&self) -> &TopicId {
        match self {
            Self::NoSignal { topic, .. } => topic,
            Self::Outcome(outcome) => &outcome.topic,
        }
    }
}

/// Counts of things that are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Dropped {
    /// Topics, miners, accounts or subscriptions beyond the bound.
    #[n(0)]
    pub refused: u64,
    /// Open questions pushed out by newer ones.
    #[n(1)]
    pub questions: u64,
    /// Verdicts about something the view does not know.
    #[n(2)]
    pub unknown: u64,
}

/// Which account pays for a delivery, and through which subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// The account.
    pub account: AccountId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Whether this slot was paid before.
    pub paid: bool,
}
