//! `closed-form/1`, the frozen reference forecast that predictions are scored against; it never learns and never changes.
//!
//! p = Φ( ln(S/K) / (σ·√τ) ): S the newest index value, K the strike, τ the seconds to the close, σ² per second the mean
//! of squared overlapping 60-second log returns of the last 15 minutes (stepped by 10 s, each end the last value at or
//! before its instant) divided by 60. Floats live only inside this formula; `erf` and `log` come from libm.

use std::collections::BTreeMap;

use schemas::time::NANOS_PER_SEC;
use schemas::{IndexPrice, Ppm, Timestamp};

/// The name questions carry in `reference_source`.
pub const SOURCE: &str = "closed-form/1";
/// Returns are taken over this many seconds,
const RETURN_S: i64 = 60;
/// stepped by this many,
const STEP_S: i64 = 10;
/// within this many before the instant.
const WINDOW_S: i64 = 900;
/// The history must reach back at least this many seconds.
const MIN_HISTORY_S: i64 = 120;
/// Smallest volatility, per square root of a second.
const SIGMA_FLOOR: f64 = 1e-7;
/// Probabilities stay this far from 0 and 1, in millionths.
const MARGIN_PPM: u32 = 1_000;

/// Index values by the feed's own time.
pub type Ticks = BTreeMap<Timestamp, IndexPrice>;

/// The newest value at or before an instant, with its own time.
pub fn value_at(ticks: &Ticks, at: Timestamp) -> Option<(Timestamp, IndexPrice)> {
    ticks.range(..=at).next_back().map(|(t, v)| (*t, *v))
}

/// Volatility per square root of a second at an instant; `None` with less than 120 s of history.
pub fn sigma(ticks: &Ticks, at: Timestamp) -> Option<f64> {
    value_at(ticks, at.plus(-MIN_HISTORY_S * NANOS_PER_SEC))?;
    let log_at = |back_s: i64| {
        value_at(ticks, at.plus(-back_s * NANOS_PER_SEC)).map(|(_, value)| libm::log(value.as_f64()))
    };
    let (mut sum, mut count) = (0.0, 0_u32);
    let mut back = 0;
    while back + RETURN_S <= WINDOW_S {
        let (Some(end), Some(start)) = (log_at(back), log_at(back + RETURN_S)) else { break };
        sum += (end - start) * (end - start);
        count += 1;
        back += STEP_S;
    }
    let variance = sum / f64::from(count) / RETURN_S as f64;
    Some(libm::sqrt(variance).max(SIGMA_FLOOR))
}

/// Probability that the index is at or above `strike` after `tau_s` seconds; `None` if a number makes no sense.
pub fn probability_up(spot: IndexPrice, strike: IndexPrice, sigma: f64, tau_s: f64) -> Option<Ppm> {
    if spot.0 <= 0 || strike.0 <= 0 || tau_s <= 0.0 || tau_s.is_nan() {
        return None;
    }
    let z = libm::log(spot.as_f64() / strike.as_f64()) / (sigma * libm::sqrt(tau_s));
    let p = 0.5 * (1.0 + libm::erf(z / std::f64::consts::SQRT_2));
    Ppm::from_f64(p).map(|p| p.clamped(MARGIN_PPM))
}
