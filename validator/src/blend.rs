//! The signal: a log-odds pool of what was revealed and of the reference; it never looks at outcomes or prices.

use std::collections::BTreeMap;

use schemas::{Contributor, MarketView, MinerId, Ppm, Q32, Question, Signal, Timestamp};

use crate::weights::{Voice, Weights};

/// How far a probability stays away from 0 and 1 inside the pool, ppm: one expert cannot shout everybody down.
pub const MARGIN: u32 = 1_000;

/// A probability as a float.
pub(crate) fn as_probability(p: Ppm) -> f64 {
    p.as_f64()
}

/// `sigmoid(extremise * sum w_i logit p_i)`, summed in list order; lists of equal length, probabilities inside (0, 1).
pub fn log_odds_pool(probabilities: &[f64], weights: &[f64], extremise: f64) -> f64 {
    let logit = |p: &f64| libm::log(p / (1.0 - p));
    let sum: f64 = probabilities.iter().zip(weights).map(|(p, w)| w * logit(p)).sum();
    1.0 / (1.0 + libm::exp(-extremise * sum))
}

/// `sum w_i p_i`, in list order.
pub fn linear_pool(probabilities: &[f64], weights: &[f64]) -> f64 {
    probabilities.iter().zip(weights).map(|(p, w)| w * p).sum()
}

/// The weighted standard deviation around the weighted mean; weights sum to one.
pub fn dispersion(probabilities: &[f64], weights: &[f64]) -> f64 {
    let mean = linear_pool(probabilities, weights);
    let squares = probabilities.iter().zip(weights).map(|(p, w)| w * (p - mean) * (p - mean));
    libm::sqrt(squares.sum())
}

/// Combines what was revealed on a question; `voices` must not be empty and `weights` must know all of them.
pub(crate) fn signal(
    question: &Question,
    voices: &BTreeMap<MinerId, Voice>,
    weights: &Weights,
    topic_seq: u64,
    issued_at: Timestamp,
) -> Signal {
    let parts = weights.among(voices.keys());
    let said: Vec<Ppm> = voices.values().map(|v| v.p).chain([question.reference]).collect();
    let plain: Vec<f64> = said.iter().map(|p| as_probability(*p)).collect();
    let inner: Vec<f64> = said.iter().map(|p| as_probability(p.clamped(MARGIN))).collect();
    let shares: Vec<f64> = parts.iter().map(|w| w.as_f64()).collect();
    let to_ppm = |p: f64| Ppm::from_f64(p.clamp(0.0, 1.0)).unwrap_or(question.reference);
    let contributors = voices.iter().zip(&parts);
    Signal {
        id: Signal::derive_id(&question.id),
        question: question.id,
        topic: question.topic.clone(),
        topic_seq,
        slot: question.market_starts_at,
        market: question.market.clone(),
        issued_at,
        expires_at: question.resolves_at,
        input_watermark: question.input_watermark,
        p: to_ppm(log_odds_pool(&inner, &shares, 1.0)),
        reference: question.reference,
        dispersion: to_ppm(dispersion(&plain, &shares)),
        market_view: question.market_mid.map(|mid| MarketView { mid, as_of: question.opens_at }),
        contributors: contributors.map(|((m, v), w)| Contributor { miner: *m, weight: *w, p: v.p }).collect(),
        reference_weight: parts.last().copied().unwrap_or(Q32::ONE),
    }
}
