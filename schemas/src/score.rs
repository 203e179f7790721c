//! Scores of predictions and the settlements that follow from them.

use minicbor::{Decode, Encode};

use crate::fixed::{Micros, Ppm, Q32};
use crate::id::{MinerId, QuestionId};
use crate::topic::TopicId;

/// Whether a prediction counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ScoreStatus {
    /// Revealed and scored.
    #[n(0)]
    Scored,
    /// Never committed, or committed and not revealed: pays the fee phi.
    #[n(1)]
    Missing,
    /// The question is void: nothing moves.
    #[n(2)]
    Void,
}

/// The score of one miner on one question.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Score {
    /// The question.
    #[n(0)]
    pub question: QuestionId,
    /// Its topic.
    #[n(1)]
    pub topic: TopicId,
    /// The miner.
    #[n(2)]
    pub miner: MinerId,
    /// Whether it counted.
    #[n(3)]
    pub status: ScoreStatus,
    /// The revealed probability of Up.
    #[n(4)]
    pub p: Option<Ppm>,
    /// The proper score in [0, 1]; 1 is best. Zero unless scored.
    #[n(5)]
    pub score: Q32,
    /// The reference forecast's score on the same question.
    #[n(6)]
    pub reference: Q32,
    /// Whether the market ended Up; `None` when void.
    #[n(7)]
    pub up: Option<bool>,
}

/// Stake moved because of one question.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Settlement {
    /// The question.
    #[n(0)]
    pub question: QuestionId,
    /// The miner.
    #[n(1)]
    pub miner: MinerId,
    /// Stake at risk: the snapshot taken when the question opened.
    #[n(2)]
    pub at_risk: Micros,
    /// Gain (from the emission pool) or loss (burned).
    #[n(3)]
    pub delta: Micros,
    /// Stake afterwards.
    #[n(4)]
    pub stake_after: Micros,
}
