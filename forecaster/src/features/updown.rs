//! Feature set `updown-1`: ten numbers a model may see; pure functions of past ticks that never look ahead.
//!
//! Everything is as of the instant the question opens. The price at an instant is the last tick at or before it. A
//! window longer than the history uses the longest history there is. Computed in f64 in a fixed order, natural
//! logarithms from `libm`, then cast to f32, so every platform gets the same bits.

use schemas::time::NANOS_PER_SEC;
use schemas::{IndexPrice, Question, Timestamp};

use super::{NoRow, Source, Spec};
use crate::history::History;

/// Name of the feature set, as manifests spell it.
pub const FEATURE_SET: &str = "updown-1";
/// How many features a row has.
pub const WIDTH: usize = 10;
/// The features in the order of the row.
pub const NAMES: [&str; WIDTH] = super::names_of(&SPECS);
/// Longest window, seconds.
pub const LOOKBACK_S: i64 = 3600;
/// The set, for manifests.
pub const SET: super::FeatureSet =
    super::FeatureSet { name: FEATURE_SET, names: &NAMES, specs: &SPECS, lookback_s: LOOKBACK_S as u32 };
/// The features that hang on the strike.
pub(crate) const OF_STRIKE: [usize; 3] = [0, 7, 8];
/// Least volatility per square root of a second: below it an index did not move at all.
pub const VOL_FLOOR: f64 = 1e-7;
/// Where z is clipped.
pub const Z_CLIP: f64 = 8.0;

const SHORT: &str = "less history than the miner's bound (120 s)";
const Z_SHORT: &str = "the same, or the strike is not positive";
const ROOT: &str = "1/√s";

const fn spec(
    name: &'static str,
    formula: &'static str,
    unit: &'static str,
    range: [f64; 2],
    missing: &'static str,
) -> Spec {
    Spec { name, formula, unit, least: range[0], most: range[1], source: Source::Index, missing }
}

/// What the features are.
pub const SPECS: [Spec; WIDTH] = [
    spec("log_moneyness", "ln(S / K)", "1", [-1.0, 1.0], "the strike is not positive"),
    spec("tau_s", "seconds until the close, at least 1", "s", [1.0, 1e7], "never"),
    spec(
        "vol_15m",
        "√(mean of (60 s log return)² / 60), stepped by 10 s over 15 min, at least 1e-7",
        ROOT,
        [1e-7, 0.1],
        SHORT,
    ),
    spec("vol_60m", "the same over 60 min", ROOT, [1e-7, 0.1], SHORT),
    spec("ret_60s", "ln(S / S 60 s ago)", "1", [-1.0, 1.0], SHORT),
    spec(
        "ret_300s",
        "ln(S / S 300 s ago), or over the whole history if it is shorter",
        "1",
        [-1.0, 1.0],
        SHORT,
    ),
    spec(
        "ret_900s",
        "ln(S / S 900 s ago), or over the whole history if it is shorter",
        "1",
        [-1.0, 1.0],
        SHORT,
    ),
    spec("z_15m", "log_moneyness / (vol_15m · √tau_s), clipped to ±8", "σ", [-Z_CLIP, Z_CLIP], Z_SHORT),
    spec("z_60m", "log_moneyness / (vol_60m · √tau_s), clipped to ±8", "σ", [-Z_CLIP, Z_CLIP], Z_SHORT),
    spec("elapsed_s", "seconds since the start", "s", [-1e7, 1e7], "never"),
];

/// Distance of neighbouring overlapping returns, seconds.
const STEP_S: i64 = 10;
/// Length of one return, in steps.
const RETURN_STEPS: usize = 6;
/// Steps in the longest window.
const STEPS: i64 = LOOKBACK_S / STEP_S;

/// What a row is computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The strike K.
    pub strike: IndexPrice,
    /// The instant everything is as of.
    pub opens_at: Timestamp,
    /// The market's start.
    pub starts_at: Timestamp,
    /// The market's end.
    pub resolves_at: Timestamp,
}

impl From<&Question> for Target {
    fn from(q: &Question) -> Self {
        Self {
            strike: q.strike,
            opens_at: q.opens_at,
            starts_at: q.market_starts_at,
            resolves_at: q.resolves_at,
        }
    }
}

/// The row of a target, or why there is none.
///
/// `min_history_ns` and `max_input_age_ns` are measured from `target.opens_at`; at least 60 s of history are needed
/// whatever the bound says, because no return fits in less.
pub fn row(
    history: &History,
    target: &Target,
    min_history_ns: i64,
    max_input_age_ns: i64,
) -> Result<[f32; WIDTH], NoRow> {
    let row = raw(history, target, min_history_ns, max_input_age_ns)?;
    match row.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(NoRow::NotFinite(index as u8)),
        None => Ok(row),
    }
}

/// The same before the gate: numbers may be NaN or infinite.
pub(crate) fn raw(
    history: &History,
    target: &Target,
    min_history_ns: i64,
    max_input_age_ns: i64,
) -> Result<[f32; WIDTH], NoRow> {
    let now = target.opens_at;
    let last = history.at(now).ok_or(NoRow::NoTick)?;
    if now.since(last.at) > max_input_age_ns {
        return Err(NoRow::StaleInput);
    }
    let oldest = history.oldest().ok_or(NoRow::NoTick)?;
    let length_ns = now.since(oldest.at);
    if length_ns < min_history_ns.max(STEP_S * RETURN_STEPS as i64 * NANOS_PER_SEC) {
        return Err(NoRow::ShortHistory);
    }
    Ok(compute(history, target, last.value.as_f64(), length_ns).map(|x| x as f32))
}

/// The ten numbers; some are not finite when the strike is not positive.
fn compute(history: &History, target: &Target, spot: f64, length_ns: i64) -> [f64; WIDTH] {
    let now = target.opens_at;
    let (grid, reach) = grid(history, now, length_ns);
    let grid = &grid[..reach];
    let moneyness = libm::log(spot / target.strike.as_f64());
    let tau = seconds(target.resolves_at.since(now)).max(1.0);
    let (vol_15m, vol_60m) = (volatility(grid, 900), volatility(grid, LOOKBACK_S));
    let back = |window_s: i64| {
        let reach = (window_s * NANOS_PER_SEC).min(length_ns);
        let then = history.at(now.plus(-reach)).map_or(f64::NAN, |p| p.value.as_f64());
        libm::log(spot / then)
    };
    let z = |vol: f64| (moneyness / (vol * tau.sqrt())).clamp(-Z_CLIP, Z_CLIP);
    [
        moneyness,
        tau,
        vol_15m,
        vol_60m,
        back(60),
        back(300),
        back(900),
        z(vol_15m),
        z(vol_60m),
        seconds(now.since(target.starts_at)),
    ]
}

/// Prices at 0, 10, 20 … seconds back, as far as the history and the lookback reach, and how many they are.
fn grid(history: &History, now: Timestamp, length_ns: i64) -> ([f64; STEPS as usize + 1], usize) {
    let steps = STEPS.min(length_ns / (STEP_S * NANOS_PER_SEC));
    let mut grid = [f64::NAN; STEPS as usize + 1];
    for (k, slot) in (0..=steps).zip(&mut grid) {
        let then = now.plus(-k * STEP_S * NANOS_PER_SEC);
        *slot = history.at(then).map_or(f64::NAN, |p| p.value.as_f64());
    }
    (grid, steps as usize + 1)
}

/// Square root of the mean squared 60-second log return over the window, per square root of a second.
fn volatility(grid: &[f64], window_s: i64) -> f64 {
    let reach = grid.len().min((window_s / STEP_S) as usize + 1);
    let window = &grid[..reach];
    let returns = window.iter().zip(&window[RETURN_STEPS.min(reach)..]);
    let (mut sum, mut n) = (0.0, 0.0);
    for (new, old) in returns {
        let r = libm::log(new / old);
        sum += r * r;
        n += 1.0;
    }
    let vol = (sum / n / (STEP_S as f64 * RETURN_STEPS as f64)).sqrt();
    // Not `max`: that would turn NaN into the floor, and NaN must reach the gate.
    if vol < VOL_FLOOR { VOL_FLOOR } else { vol }
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / NANOS_PER_SEC as f64
}
