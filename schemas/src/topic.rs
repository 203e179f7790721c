//! Topics: families of questions with one target, horizon, cadence, mechanism and rules version.

use minicbor::{Decode, Encode};

use crate::fixed::{Micros, Ppm, Q32};
use crate::id::name_id;
use std::fmt;

name_id!(/// A topic's name, e.g. `btc-usd.up-5m.60s`.
    TopicId);

/// How a prediction is scored. All are strictly proper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ScoringRule {
    /// 1 - (p - y)^2 (Brier 1950), in [0, 1].
    #[n(0)]
    Brier,
    /// 1 - CRPS on the reference axis (incentives.md section 4), in [0, 1].
    #[n(1)]
    ReferenceCrps,
}

/// The versioned rules of a topic; published and hashed before any question opens.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TopicRules {
    /// The topic.
    #[n(0)]
    pub id: TopicId,
    /// Raised with every change; part of every question id.
    #[n(1)]
    pub version: u32,
    /// Index pair the topic is about, e.g. `btc/usd`.
    #[n(2)]
    pub symbol: String,
    /// Length of the markets it covers, seconds.
    #[n(3)]
    pub interval_s: u32,
    /// When a question opens, seconds after the market's start.
    #[n(4)]
    pub horizon_s: u32,
    /// Length of the commit window, ns.
    #[n(5)]
    pub commit_window_ns: i64,
    /// Length of the reveal window, ns, from the end of the commit window.
    #[n(6)]
    pub reveal_window_ns: i64,
    /// A question opens only if the newest index value is younger than this, ns.
    #[n(7)]
    pub max_input_age_ns: i64,
    /// The scoring rule.
    #[n(8)]
    pub scoring: ScoringRule,
    /// Weight of each question within its epoch (w_q).
    #[n(9)]
    pub weight: Q32,
    /// Fee for a missing prediction as a fraction of `kappa * w * stake` (phi).
    #[n(10)]
    pub missing_fee: Ppm,
    /// Price of one signal.
    #[n(11)]
    pub price: Micros,
    /// How many questions of this topic an epoch has at most; bounds the sum of weights.
    #[n(12)]
    pub questions_per_epoch: u32,
}

impl TopicRules {
    /// The hash that questions carry, so that rules cannot change under them.
    pub fn hash(&self) -> [u8; 32] {
        crate::id::derive("oraculo/rules/1", &[&crate::encode(self)])
    }
}
