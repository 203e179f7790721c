//! One thing to be forecast, fixed before anybody may answer.

use minicbor::{Decode, Encode};

use crate::fixed::{IndexPrice, Ppm};
use crate::id::{QuestionId, derive};
use crate::market::MarketId;
use crate::time::Timestamp;
use crate::topic::TopicId;

/// A question: will the index be at or above the strike when the market closes?
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Question {
    /// Derived by [`Question::derive_id`].
    #[n(0)]
    pub id: QuestionId,
    /// Its topic.
    #[n(1)]
    pub topic: TopicId,
    /// Version of the topic's rules.
    #[n(2)]
    pub rules_version: u32,
    /// Hash of those rules.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub rules_hash: [u8; 32],
    /// The market it is about.
    #[n(4)]
    pub market: MarketId,
    /// The index pair, e.g. `btc/usd`.
    #[n(5)]
    pub symbol: String,
    /// The strike.
    #[n(6)]
    pub strike: IndexPrice,
    /// Start of the market; identifies the slot that is sold.
    #[n(7)]
    pub market_starts_at: Timestamp,
    /// Commitments are admitted from here,
    #[n(8)]
    pub opens_at: Timestamp,
    /// until before here;
    #[n(9)]
    pub commit_closes_at: Timestamp,
    /// reveals from there until before here.
    #[n(10)]
    pub reveal_closes_at: Timestamp,
    /// The market's end: the outcome is the index here.
    #[n(11)]
    pub resolves_at: Timestamp,
    /// The reference forecast, fixed before the commit window; predictions are scored relative to it.
    #[n(12)]
    pub reference: Ppm,
    /// Where the reference came from, e.g. `closed-form/1`.
    #[n(13)]
    pub reference_source: String,
    /// The index's own time of the newest value the reference has seen.
    #[n(14)]
    pub input_watermark: Timestamp,
    /// The market's mid price when the question opened, if it was quoted.
    #[n(15)]
    pub market_mid: Option<Ppm>,
}

impl Question {
    /// The id that follows from what a question is about.
    pub fn derive_id(
        topic: &TopicId,
        rules_version: u32,
        market: &MarketId,
        opens_at: Timestamp,
    ) -> QuestionId {
        QuestionId(derive(
            "oraculo/question/1",
            &[
                topic.0.as_bytes(),
                &rules_version.to_be_bytes(),
                market.to_string().as_bytes(),
                &opens_at.0.to_be_bytes(),
            ],
        ))
    }
}
