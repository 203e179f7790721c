//! The `verdicts` stream: everything the validator decided; customers and auditors read nothing else.

use minicbor::{Decode, Encode};

use crate::account::Subscription;
use crate::fixed::Micros;
use crate::id::{AccountId, MinerId, QuestionId, SubscriptionId, UnitId};
use crate::intake::MinerJoined;
use crate::ledger::Txn;
use crate::market::MarketId;
use crate::question::Question;
use crate::reject::RejectCode;
use crate::resolution::Determination;
use crate::score::{Score, Settlement};
use crate::signal::{NoSignalReason, Signal};
use crate::time::Timestamp;
use crate::topic::{TopicId, TopicRules};

/// What was admitted or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum What {
    /// A commitment.
    #[n(0)]
    Commitment,
    /// A reveal.
    #[n(1)]
    Reveal,
    /// A resolution report.
    #[n(2)]
    Report,
    /// An account command.
    #[n(3)]
    Account,
    /// An epoch vote.
    #[n(4)]
    Vote,
    /// A question, topic, miner or genesis record.
    #[n(5)]
    Registry,
}

/// A customer's account as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AccountView {
    /// The account.
    #[n(0)]
    pub account: AccountId,
    /// Prepaid balance, micro-USD.
    #[n(1)]
    pub prepaid: Micros,
}

/// What came of a charge.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChargeOutcome {
    /// The unit.
    #[n(0)]
    pub unit: UnitId,
    /// The subscription.
    #[n(1)]
    pub subscription: SubscriptionId,
    /// The topic.
    #[n(2)]
    pub topic: TopicId,
    /// The slot.
    #[n(3)]
    pub slot: Timestamp,
    /// Who pays.
    #[n(4)]
    pub account: AccountId,
    /// What was taken by this charge; zero when the unit had been paid before.
    #[n(5)]
    pub charged: Micros,
    /// Prepaid balance afterwards.
    #[n(6)]
    pub balance: Micros,
}

/// An epoch's inputs, scores and payouts under one root.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EpochSummary {
    /// Number of the epoch.
    #[n(0)]
    pub epoch: u64,
    /// Merkle root over scores, settlements and transactions of the epoch.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub root: [u8; 32],
    /// Questions settled in it.
    #[n(2)]
    pub questions: u32,
    /// Gains paid from the pool.
    #[n(3)]
    pub paid: Micros,
    /// Losses burned.
    #[n(4)]
    pub burned: Micros,
    /// Pool left over for the next epoch.
    #[n(5)]
    pub pool_left: Micros,
    /// Revenue split in it.
    #[n(6)]
    pub revenue: Micros,
}

/// One record of the verdicts stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Verdict {
    /// A topic is live under these rules.
    #[n(0)]
    TopicListed(#[n(0)] TopicRules),
    /// A miner is in.
    #[n(1)]
    MinerListed(#[n(0)] MinerJoined),
    /// A question opened.
    #[n(2)]
    QuestionOpened(#[n(0)] Question),
    /// A submission was admitted.
    #[n(3)]
    Accepted {
        /// What it was.
        #[n(0)]
        what: What,
        /// Whose, for miners.
        #[n(1)]
        miner: Option<MinerId>,
        /// On which question, for predictions.
        #[n(2)]
        question: Option<QuestionId>,
    },
    /// A submission was refused.
    #[n(4)]
    Rejected {
        /// What it was.
        #[n(0)]
        what: What,
        /// Whose, for miners, if the key is known.
        #[n(1)]
        miner: Option<MinerId>,
        /// On which question, for predictions.
        #[n(2)]
        question: Option<QuestionId>,
        /// Why.
        #[n(3)]
        code: RejectCode,
    },
    /// A signal was issued.
    #[n(5)]
    Signal(#[n(0)] Signal),
    /// A question got no signal.
    #[n(6)]
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
    /// 2/3 of validator stake agree how a market ended.
    #[n(7)]
    Resolved {
        /// The market.
        #[n(0)]
        market: MarketId,
        /// The end of the market.
        #[n(1)]
        closes_at: Timestamp,
        /// The agreed determination.
        #[n(2)]
        determination: Determination,
    },
    /// A prediction was scored.
    #[n(8)]
    Scored(#[n(0)] Score),
    /// Stake moved.
    #[n(9)]
    Settled(#[n(0)] Settlement),
    /// The ledger booked a transaction.
    #[n(10)]
    Posted(#[n(0)] Txn),
    /// An account changed.
    #[n(11)]
    Account(#[n(0)] AccountView),
    /// A subscription is live, or ended (`until` in the past).
    #[n(12)]
    Subscribed(#[n(0)] Subscription),
    /// A unit is paid: it may be delivered.
    #[n(13)]
    Charged(#[n(0)] ChargeOutcome),
    /// A unit is not paid: it must not be delivered.
    #[n(14)]
    ChargeRefused {
        /// The unit.
        #[n(0)]
        unit: UnitId,
        /// The subscription.
        #[n(1)]
        subscription: SubscriptionId,
        /// Why.
        #[n(2)]
        code: RejectCode,
    },
    /// An epoch closed with this root.
    #[n(15)]
    EpochClosed(#[n(0)] EpochSummary),
    /// 2/3 of validator stake signed the identical root.
    #[n(16)]
    EpochFinal {
        /// The epoch.
        #[n(0)]
        epoch: u64,
        /// The root.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        root: [u8; 32],
    },
}
