//! What goes to a model and what comes back; the answer is a record, so replay never runs a model.

use minicbor::{Decode, Encode};

use crate::fixed::Ppm;
use crate::id::{BundleId, MinerId, QuestionId};

/// One row for one model. A deed, not a record: features are floats and stay inside the process.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceRequest {
    /// The miner that asks.
    pub miner: MinerId,
    /// The question the row is about.
    pub question: QuestionId,
    /// The model.
    pub bundle: BundleId,
    /// The raw feature row, in the manifest's order.
    pub row: Vec<f32>,
}

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct InferenceResult {
    /// The miner that asked.
    #[n(0)]
    pub miner: MinerId,
    /// The question.
    #[n(1)]
    pub question: QuestionId,
    /// The model.
    #[n(2)]
    pub bundle: BundleId,
    /// Probability of Up, or the stable code of why there is none.
    #[n(3)]
    pub answer: Answer,
}

/// The model's probability, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Probability of Up.
    #[n(0)]
    Probability(#[n(0)] Ppm),
    /// The forecaster's error code.
    #[n(1)]
    Failed(#[n(0)] String),
}
