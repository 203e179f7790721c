//! The product: the combined forecast with its disagreement, market comparison and provenance.

use minicbor::{Decode, Encode};

use crate::fixed::{Ppm, Q32};
use crate::id::{MinerId, QuestionId, SignalId, derive};
use crate::market::MarketId;
use crate::time::Timestamp;
use crate::topic::TopicId;

/// One contributor's part in a signal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Contributor {
    /// The miner.
    #[n(0)]
    pub miner: MinerId,
    /// Its weight in the log-odds pool; all weights and the reference's sum to one.
    #[n(1)]
    pub weight: Q32,
    /// What it said.
    #[n(2)]
    pub p: Ppm,
}

/// The market's own opinion when the question opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MarketView {
    /// Mid of the Up token.
    #[n(0)]
    pub mid: Ppm,
    /// When it was observed (the question's opening).
    #[n(1)]
    pub as_of: Timestamp,
}

/// A combined forecast for one question. Its stream position on the topic is `topic_seq`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signal {
    /// Derived by [`Signal::derive_id`].
    #[n(0)]
    pub id: SignalId,
    /// The question it answers.
    #[n(1)]
    pub question: QuestionId,
    /// Its topic.
    #[n(2)]
    pub topic: TopicId,
    /// Position on its topic, from 1, without holes.
    #[n(3)]
    pub topic_seq: u64,
    /// The slot that is sold: the market's start.
    #[n(4)]
    pub slot: Timestamp,
    /// The market.
    #[n(5)]
    pub market: MarketId,
    /// When it was issued.
    #[n(6)]
    pub issued_at: Timestamp,
    /// When it stops being of use: the market's end.
    #[n(7)]
    pub expires_at: Timestamp,
    /// The index's own time of the newest value behind the question.
    #[n(8)]
    pub input_watermark: Timestamp,
    /// Probability of Up.
    #[n(9)]
    pub p: Ppm,
    /// The reference forecast (the open baseline).
    #[n(10)]
    pub reference: Ppm,
    /// Weighted standard deviation of the contributors' probabilities: disagreement, not uncertainty.
    #[n(11)]
    pub dispersion: Ppm,
    /// The market's own opinion, if it was quoted.
    #[n(12)]
    pub market_view: Option<MarketView>,
    /// Who contributed what, ascending by miner.
    #[n(13)]
    pub contributors: Vec<Contributor>,
    /// Weight of the reference in the pool.
    #[n(14)]
    pub reference_weight: Q32,
}

impl Signal {
    /// A question has one signal, so its id follows from the question.
    pub fn derive_id(question: &QuestionId) -> SignalId {
        SignalId(derive("oraculo/signal/1", &[&question.0]))
    }
}

/// Why a slot has no signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum NoSignalReason {
    /// Nobody revealed a forecast.
    #[n(0)]
    NoForecasts,
}

impl NoSignalReason {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoForecasts => "no_forecasts",
        }
    }
}
