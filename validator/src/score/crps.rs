//! The continuous ranked probability score: on the reference axis in integers, and the usual forms in floats for
//! reports; none of them rewards a forecast for anything but its distribution.
//!
//! The reference-axis form is `1 - ∫ (F(x) - 1{y <= x})^2 dF_ref(x)`: it has no unit, lies in [0, 1] without clipping,
//! and a calibrated `F_ref` loses 1/6 on average. `F_ref` is taken as equal mass at its 99 quantiles, so the score is
//! the mean of 99 Brier scores of the events `y <= x_k`, which is proper for every distribution.

use schemas::Q32;
use schemas::forecast::QUANTILES;

/// Levels are hundredths: quantile `k` (from 0) has level `(k + 1) / 100`.
const LEVELS: i128 = 100;

/// 99 quantiles in ascending order: the only way to build one checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis(Vec<i64>);

impl Axis {
    /// The quantiles at levels 0.01 … 0.99, millionths of the unit; `None` unless there are 99 in ascending order.
    pub fn new(quantiles: &[i64]) -> Option<Self> {
        (quantiles.len() == QUANTILES && quantiles.is_sorted()).then(|| Self(quantiles.to_vec()))
    }

    /// F(x): linear between quantiles, 0.005 below the first and 0.995 from the last on; right-continuous at ties.
    fn cdf(&self, x: i64) -> Q32 {
        let q = &self.0;
        let below = q.partition_point(|v| *v <= x);
        if below == 0 {
            return Q32::ratio(1, 2 * LEVELS);
        }
        if below == q.len() {
            return Q32::ratio(2 * LEVELS - 1, 2 * LEVELS);
        }
        let (left, right) = (i128::from(q[below - 1]), i128::from(q[below]));
        let width = right - left;
        Q32::ratio(below as i128 * width + (i128::from(x) - left), LEVELS * width)
    }
}

/// The score of `forecast` when `y` came true, in [0, 1], rounded down to 2^-32; 1 is best.
pub fn reference_crps(forecast: &Axis, reference: &Axis, y: i64) -> Q32 {
    let loss = |x: &i64| {
        let hit = if y <= *x { Q32::ONE.0 } else { 0 };
        let error = i128::from(forecast.cdf(*x).0 - hit);
        error * error
    };
    let sum: i128 = reference.0.iter().map(loss).sum();
    let n = QUANTILES as i128;
    let one = i128::from(Q32::ONE.0);
    Q32(((n * one * one - sum).div_euclid(n * one)) as i64)
}

/// Twice the mean pinball loss over the given levels; 0 is best. Lists of equal length, summed in their order.
pub fn crps_quantile(obs: f64, levels: &[f64], quantiles: &[f64]) -> f64 {
    let pinball = |(level, q): (&f64, &f64)| {
        if obs >= *q { level * (obs - q) } else { (1.0 - level) * (q - obs) }
    };
    2.0 * levels.iter().zip(quantiles).map(pinball).sum::<f64>() / levels.len() as f64
}

/// `mean |x - y| - sum |x_i - x_j| / (2 n^2)`; 0 is best, not finite for an empty ensemble.
pub fn crps_ensemble(obs: f64, ensemble: &[f64]) -> f64 {
    let n = ensemble.len() as f64;
    mean_distance(obs, ensemble) - half_spread(ensemble) / (n * n)
}

/// The unbiased form with `2 n (n - 1)`; `None` below two members.
pub fn crps_ensemble_fair(obs: f64, ensemble: &[f64]) -> Option<f64> {
    let n = ensemble.len() as f64;
    (ensemble.len() > 1).then(|| mean_distance(obs, ensemble) - half_spread(ensemble) / (n * (n - 1.0)))
}

/// Mean absolute distance to the observation.
fn mean_distance(obs: f64, ensemble: &[f64]) -> f64 {
    ensemble.iter().map(|x| (x - obs).abs()).sum::<f64>() / ensemble.len() as f64
}

/// Half the sum over all ordered pairs of |x_i - x_j|, from the sorted members in O(n log n).
fn half_spread(ensemble: &[f64]) -> f64 {
    let mut sorted = ensemble.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    sorted.iter().enumerate().map(|(i, x)| (2.0 * i as f64 - n + 1.0) * x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn axis(start: i64, step: i64) -> Axis {
        Axis::new(&(0..99).map(|k| start + step * k).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn only_99_ascending_quantiles_make_an_axis() {
        assert!(Axis::new(&[0; 98]).is_none());
        assert!(Axis::new(&[0; 99]).is_some());
        assert!(Axis::new(&(0..99).rev().collect::<Vec<_>>()).is_none());
    }

    #[test]
    fn a_sure_right_forecast_beats_the_reference_and_a_sure_wrong_one_loses() {
        let reference = axis(0, 1_000);
        let own = reference_crps(&reference, &reference, 50_000);
        let sure = reference_crps(&axis(50_000, 0), &reference, 50_000);
        let wrong = reference_crps(&axis(90_000, 0), &reference, 50_000);
        assert!(sure > own && own > wrong, "{sure:?} {own:?} {wrong:?}");
        assert!(sure.as_f64() > 0.999);
    }

    #[test]
    fn a_calibrated_reference_loses_a_sixth_on_average() {
        let reference = axis(0, 1_000);
        let mean =
            (0..100).map(|k| reference_crps(&reference, &reference, k * 1_000 - 500).as_f64()).sum::<f64>();
        assert!((mean / 100.0 - 5.0 / 6.0).abs() < 0.005, "{mean}");
    }

    proptest! {
        #[test]
        fn in_range_and_truth_is_best_in_expectation(
            mut truth in prop::collection::vec(-1_000_000_i64..1_000_000, 99),
            mut other in prop::collection::vec(-1_000_000_i64..1_000_000, 99),
            mut reference in prop::collection::vec(-1_000_000_i64..1_000_000, 99),
        ) {
            for list in [&mut truth, &mut other, &mut reference] {
                list.sort_unstable();
            }
            let [truth, other, reference] = [&truth, &other, &reference].map(|q| Axis::new(q).unwrap());
            // Belief: the piecewise linear law itself, drawn at the middles of a fine grid of levels.
            let mean = |f: &Axis| {
                let draws = draws(&truth);
                draws.iter().map(|y| reference_crps(f, &reference, *y).as_f64()).sum::<f64>() / draws.len() as f64
            };
            prop_assert!(mean(&truth) >= mean(&other) - 2e-3);
            for y in [i64::MIN, -5, 0, 77, i64::MAX] {
                let s = reference_crps(&other, &reference, y);
                prop_assert!((Q32(0)..=Q32::ONE).contains(&s));
            }
        }
    }

    fn draws(law: &Axis) -> Vec<i64> {
        let inner =
            law.0.windows(2).flat_map(|w| (0..10).map(move |k| w[0] + (w[1] - w[0]) * (2 * k + 1) / 20));
        let low = std::iter::repeat_n(law.0[0], 5).chain(std::iter::repeat_n(law.0[0] - 2_000_000, 5));
        let high = std::iter::repeat_n(law.0[98], 5).chain(std::iter::repeat_n(law.0[98] + 2_000_000, 5));
        low.chain(inner).chain(high).collect()
    }
}
