//! Online weights of the experts of a topic: who is listened to, learned from losses; they never move stake.
//!
//! Experts are the topic's miners and the reference. Weights are Q32 integers that always sum to exactly one:
//! - **Learning**: after a determined question, each expert that was awake (revealed; the reference always is) is
//!   multiplied by `exp(-ETA * log loss)`; the weight of those awake together is kept, so who slept keeps its own
//!   (sleeping experts). A log-odds pool never loses more than the weighted mean of its experts' log losses, so the
//!   regret bound of exponential weights holds for the signal too.
//! - **Fixed share**: a part `ALPHA` of the awake weight is handed out again by prior, so a weight never dies and the
//!   best expert can change.
//! - **Priors** are proportional to stake, the reference has [`REFERENCE_PRIOR`]; a newcomer enters with half its
//!   prior. Everything is linear in stake, so splitting a miner in two changes no signal.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{Micros, MinerId, Ppm, Q32};

use crate::blend::{MARGIN, as_probability};
use crate::score::log_loss;
use crate::share::apportion;

/// Learning rate on log loss, per nat.
pub const ETA: f64 = 0.5;
/// Part of the awake weight that is handed out again by prior.
pub const ALPHA: f64 = 0.01;
/// The reference's part of all priors, ppm.
pub const REFERENCE_PRIOR: u64 = 250_000;
/// Fixed-point scale of shares before they are divided into Q32 units.
const SHARE: f64 = (1_u64 << 52) as f64;

/// The weights of one topic; they sum to [`Q32::ONE`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Weights {
    #[n(0)]
    reference: Q32,
    #[n(1)]
    miners: BTreeMap<MinerId, Q32>,
}

impl Default for Weights {
    fn default() -> Self {
        Self { reference: Q32::ONE, miners: BTreeMap::new() }
    }
}

/// What an awake expert said and how much it has at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Its probability of Up.
    pub p: Ppm,
    /// Its stake at risk on the question.
    pub at_risk: Micros,
}

impl Weights {
    /// The reference's weight.
    pub const fn reference(&self) -> Q32 {
        self.reference
    }

    /// The miners' weights.
    pub const fn miners(&self) -> &BTreeMap<MinerId, Q32> {
        &self.miners
    }

    /// Lets miners in that were never heard on this topic; `total` is the stake of all miners on the question.
    pub fn admit(&mut self, voices: &BTreeMap<MinerId, Voice>, total: Micros) {
        let new: Vec<(MinerId, Micros)> = voices
            .iter()
            .filter(|(miner, _)| !self.miners.contains_key(miner))
            .map(|(miner, voice)| (*miner, voice.at_risk))
            .collect();
        let entry: Vec<u64> = new.iter().map(|(_, at_risk)| prior(*at_risk, total) / 2).collect();
        let entering: u64 = entry.iter().sum();
        if entering == 0 {
            return;
        }
        self.rescale(Q32::ONE.0 as u64 - entering);
        self.miners.extend(new.iter().zip(entry).map(|((miner, _), w)| (*miner, Q32(w as i64))));
    }

    /// Forgets miners for which `keep` is false and hands their weight to the others.
    pub fn retain(&mut self, keep: impl Fn(&MinerId) -> bool) {
        let before = self.miners.len();
        self.miners.retain(|miner, _| keep(miner));
        if self.miners.len() < before {
            self.rescale(Q32::ONE.0 as u64);
        }
    }

    /// The weights of these miners and of the reference (last), scaled to sum to exactly one.
    pub fn among<'a>(&self, awake: impl Iterator<Item = &'a MinerId>) -> Vec<Q32> {
        let mut raw: Vec<u64> = awake.map(|miner| self.of(miner)).collect();
        raw.push(self.reference.0 as u64);
        apportion(Q32::ONE.0 as u64, &raw).into_iter().map(|w| Q32(w as i64)).collect()
    }

    /// Learns from a determined question.
    pub fn learn(&mut self, voices: &BTreeMap<MinerId, Voice>, total: Micros, reference: Ppm, up: bool) {
        let losses = voices.values().map(|voice| voice.p).chain([reference]).map(|p| loss(p, up));
        let losses: Vec<f64> = losses.collect();
        let weights: Vec<u64> = voices.keys().map(|m| self.of(m)).chain([self.reference.0 as u64]).collect();
        let priors = voices.values().map(|voice| prior(voice.at_risk, total)).chain([reference_prior()]);
        let priors: Vec<u64> = priors.collect();
        let learned = step(&weights, &losses, &priors);
        self.reference = Q32(learned[voices.len()] as i64);
        self.miners.extend(voices.keys().copied().zip(learned.into_iter().map(|w| Q32(w as i64))));
    }

    /// A miner's weight in Q32 units.
    fn of(&self, miner: &MinerId) -> u64 {
        self.miners.get(miner).map_or(0, |w| w.0 as u64)
    }

    /// Scales all weights to sum to `total`; the reference's own rounding comes last.
    fn rescale(&mut self, total: u64) {
        let raw: Vec<u64> =
            self.miners.values().map(|w| w.0 as u64).chain([self.reference.0 as u64]).collect();
        let scaled = apportion(total, &raw);
        self.reference = Q32(scaled[self.miners.len()] as i64);
        for (weight, new) in self.miners.values_mut().zip(scaled) {
            *weight = Q32(new as i64);
        }
    }
}

/// One step of exponential weights with fixed share; the sum of `weights` is kept exactly.
fn step(weights: &[u64], losses: &[f64], priors: &[u64]) -> Vec<u64> {
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let grown = weights.iter().zip(losses).map(|(w, loss)| *w as f64 * libm::exp(-ETA * (loss - least)));
    let grown: Vec<f64> = grown.collect();
    let (mass, prior): (f64, f64) = (grown.iter().sum(), priors.iter().map(|p| *p as f64).sum());
    if mass <= 0.0 || prior <= 0.0 {
        return weights.to_vec();
    }
    let share = |(w, p): (&f64, &u64)| ((1.0 - ALPHA) * w / mass + ALPHA * *p as f64 / prior) * SHARE;
    let shares: Vec<u64> = grown.iter().zip(priors).map(|pair| share(pair) as u64).collect();
    apportion(weights.iter().sum(), &shares)
}

/// Log loss at the pool's own clamp, nats.
fn loss(p: Ppm, up: bool) -> f64 {
    log_loss(as_probability(p.clamped(MARGIN)), up)
}

/// The reference's prior, Q32 units.
fn reference_prior() -> u64 {
    (REFERENCE_PRIOR << 32) / u64::from(Ppm::ONE.0)
}

/// A miner's prior, Q32 units: its part of the stake times what the reference leaves.
fn prior(at_risk: Micros, total: Micros) -> u64 {
    let rest = i128::from(Q32::ONE.0 as u64 - reference_prior());
    (rest * i128::from(at_risk.0.max(0)) / i128::from(total.0.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};

    use super::*;
    use proptest::prelude::*;

    fn voices(list: &[(u8, u32, i64)]) -> BTreeMap<MinerId, Voice> {
        let voice =
            |(id, p, s): &(u8, u32, i64)| (MinerId([*id; 32]), Voice { p: Ppm(*p), at_risk: Micros(*s) });
        list.iter().map(voice).collect()
    }

    fn total(voices: &BTreeMap<MinerId, Voice>) -> Micros {
        Micros(voices.values().map(|v| v.at_risk.0).sum())
    }

    fn sum(weights: &Weights) -> i64 {
        weights.miners.values().map(|w| w.0).sum::<i64>() + weights.reference.0
    }

    #[test]
    fn newcomers_enter_with_half_their_prior() {
        let mut weights = Weights::default();
        let all = voices(&[(1, 500_000, 100), (2, 500_000, 300)]);
        weights.admit(&all, total(&all));
        let parts: Vec<f64> = weights.miners.values().map(|w| w.as_f64()).collect();
        assert!((parts[0] - 0.093_75).abs() < 1e-8 && (parts[1] - 0.281_25).abs() < 1e-8, "{parts:?}");
        assert_eq!(sum(&weights), Q32::ONE.0);
    }

    #[test]
    fn the_good_gain_the_poor_lose_the_sleepers_keep() {
        let mut weights = Weights::default();
        let all = voices(&[(1, 800_000, 100), (2, 200_000, 100), (3, 500_000, 100)]);
        weights.admit(&all, total(&all));
        let before = weights.clone();
        let awake = voices(&[(1, 800_000, 100), (2, 200_000, 100)]);
        weights.learn(&awake, total(&all), Ppm::HALF, true);
        let change = |id: u8| weights.of(&MinerId([id; 32])).cmp(&before.of(&MinerId([id; 32])));
        assert_eq!([change(1), change(2), change(3)], [Greater, Less, Equal]);
        weights.retain(|miner| *miner != MinerId([2; 32]));
        assert_eq!(sum(&weights), Q32::ONE.0);
    }

    #[test]
    fn who_was_poor_for_long_is_heard_soon_after_it_turns_good() {
        let mut weights = Weights::default();
        let all = voices(&[(1, 800_000, 100), (2, 200_000, 100)]);
        weights.admit(&all, total(&all));
        for round in 0..215 {
            weights.learn(&all, total(&all), Ppm::HALF, round < 200);
            let poor = weights.of(&MinerId([2; 32])) as f64 / Q32::ONE.0 as f64;
            assert!(poor >= ALPHA * 0.374, "{round}: {poor}");
        }
        assert!(weights.of(&MinerId([2; 32])) > weights.of(&MinerId([1; 32])), "{weights:?}");
    }

    proptest! {
        #[test]
        fn always_sum_to_one_and_splitting_changes_nothing(
            rounds in prop::collection::vec((0_u32..=1_000_000, 0_u32..=1_000_000, 1_u32..1_000_000, any::<bool>()), 1..40),
        ) {
            let (mut whole, mut split) = (Weights::default(), Weights::default());
            for (a, b, reference, up) in rounds {
                let one = voices(&[(1, a, 400_000), (5, b, 700_000)]);
                let two = voices(&[(1, a, 100_000), (2, a, 300_000), (5, b, 700_000)]);
                for (weights, voices) in [(&mut whole, &one), (&mut split, &two)] {
                    weights.admit(voices, total(voices));
                    weights.learn(voices, total(voices), Ppm(reference), up);
                    prop_assert_eq!(sum(weights), Q32::ONE.0);
                }
                let parts = split.of(&MinerId([1; 32])) + split.of(&MinerId([2; 32]));
                prop_assert!(parts.abs_diff(whole.of(&MinerId([1; 32]))) < 4_096);
            }
        }
    }
}
