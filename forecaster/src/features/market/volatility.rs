//! Family volatility: realised, exponentially weighted, from ranges, and what kind of volatility it was.
//!
//! Sources: Garman and Klass, "On the Estimation of Security Price Volatilities from Historical Data", J. Business 53
//! (1980); Parkinson, "The Extreme Value Method for Estimating the Variance of the Rate of Return", J. Business 53
//! (1980); Barndorff-Nielsen and Shephard, "Power and Bipower Variation with Stochastic Volatility and Jumps",
//! J. Financial Econometrics 2 (2004); J.P. Morgan, "RiskMetrics Technical Document" (1996) for the weighted one.

use std::f64::consts::{FRAC_PI_2, LN_2};

use super::series::{Grid, STEP_S};
use super::{Basis, Frame, Why, spec};
use crate::features::updown::VOL_FLOOR;
use crate::features::{Source, Spec};

const FINE: &str = "the history is shorter, or over a tenth of it has no value within 15 s";
const COARSE: &str = "the history is shorter, or over a tenth of it has no value within 60 s";
const CANDLE: &str = "the history is shorter, or over a tenth of the minutes have fewer than 3 values";

const fn vol(name: &'static str, formula: &'static str, source: Source, missing: &'static str) -> Spec {
    spec(name, formula, "1/√s", [VOL_FLOOR, 0.05], source, missing)
}

/// The features. r10 are neighbouring 10 s log returns, r60 overlapping 60 s log returns stepped by 10 s.
pub const SPECS: [Spec; 13] = [
    vol("rv_60s", "√(mean of r10² / 10) over 60 s, at least 1e-7", Source::FineIndex, FINE),
    vol("rv_300s", "√(mean of r10² / 10) over 300 s, at least 1e-7", Source::FineIndex, FINE),
    vol("rv_900s", "√(mean of r60² / 60) over 900 s, at least 1e-7", Source::Index, COARSE),
    vol("rv_3600s", "√(mean of r60² / 60) over 3600 s, at least 1e-7", Source::Index, COARSE),
    vol(
        "ewma_60s",
        "√(Σ w r10² / Σ w / 10), w halves every 60 s, over 360 s, at least 1e-7",
        Source::FineIndex,
        FINE,
    ),
    vol(
        "ewma_300s",
        "√(Σ w r10² / Σ w / 10), w halves every 300 s, over 1800 s, at least 1e-7",
        Source::FineIndex,
        FINE,
    ),
    vol(
        "ewma_900s",
        "√(Σ w r10² / Σ w / 10), w halves every 900 s, over 3600 s, at least 1e-7",
        Source::FineIndex,
        FINE,
    ),
    vol(
        "gk_900s",
        "√(mean of (½ ln(H/L)² − (2 ln 2 − 1) ln(C/O)²) / 60) over 15 minutes' candles, at least 1e-7",
        Source::FineIndex,
        CANDLE,
    ),
    vol("gk_3600s", "the same over 60 minutes' candles", Source::FineIndex, CANDLE),
    vol(
        "parkinson_900s",
        "√(mean of ln(H/L)² / (4 ln 2) / 60) over 15 minutes' candles, at least 1e-7",
        Source::FineIndex,
        CANDLE,
    ),
    spec(
        "jump_share_900s",
        "1 − (π/2 · Σ over neighbours abs(r10) abs(r10')) / Σ r10² over 900 s, clipped to 0 … 1; 0 if nothing moved",
        "1",
        [0.0, 1.0],
        Source::FineIndex,
        FINE,
    ),
    spec(
        "autocorr_900s",
        "(Σ over neighbours r10 r10') / Σ r10² over 900 s; 0 if nothing moved",
        "1",
        [-1.0, 1.0],
        Source::FineIndex,
        FINE,
    ),
    spec("vol_ratio", "ln(rv_300s / rv_3600s)", "1", [-15.0, 15.0], Source::FineIndex, "either is missing"),
];

/// Computes them, and leaves what the family of the strike needs.
pub(super) fn put(grid: &Grid, frame: &mut Frame, from: usize, basis: &mut Basis) {
    let short = realised(grid, 60, 1, true);
    basis.rv_300s = realised(grid, 300, 1, true);
    basis.rv_900s = realised(grid, 900, 6, false);
    basis.rv_3600s = realised(grid, 3600, 6, false);
    basis.ewma_300s = weighted(grid, 1800, 300.0);
    basis.gk_900s = garman_klass(grid, 15);
    let pieces = [
        short,
        basis.rv_300s,
        basis.rv_900s,
        basis.rv_3600s,
        weighted(grid, 360, 60.0),
        basis.ewma_300s,
        weighted(grid, 3600, 900.0),
        basis.gk_900s,
        garman_klass(grid, 60),
        parkinson(grid, 15),
    ];
    for (i, vol) in pieces.into_iter().enumerate() {
        frame.put(from + i, vol);
    }
    let pairs = pairs(grid);
    let clipped = |(sum, _, bipower): (f64, f64, f64)| {
        if sum > 0.0 { (1.0 - FRAC_PI_2 * bipower / sum).clamp(0.0, 1.0) } else { 0.0 }
    };
    frame.put(from + 10, pairs.map(clipped));
    frame.put(from + 11, pairs.map(|(sum, cross, _)| if sum > 0.0 { cross / sum } else { 0.0 }));
    let ratio = basis.rv_300s.and_then(|short| Ok(libm::log(short / basis.rv_3600s?)));
    frame.put(from + 12, ratio);
}

/// A variance per second as a volatility.
fn root(variance: f64) -> f64 {
    let vol = libm::sqrt(variance);
    if vol < VOL_FLOOR { VOL_FLOOR } else { vol }
}

/// From returns of `steps` grid steps, overlapping.
fn realised(grid: &Grid, window_s: usize, steps: usize, fine: bool) -> Result<f64, Why> {
    let ln = grid.window(window_s, fine)?;
    let returns = ln.iter().zip(&ln[steps..]);
    let n = (ln.len() - steps) as f64;
    let sum = returns.fold(0.0, |sum, (new, old)| sum + (new - old) * (new - old));
    Ok(root(sum / n / (steps as f64 * STEP_S as f64)))
}

fn weighted(grid: &Grid, window_s: usize, half_life_s: f64) -> Result<f64, Why> {
    let ln = grid.window(window_s, true)?;
    let decay = libm::exp2(-(STEP_S as f64) / half_life_s);
    let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
    for (new, old) in ln.iter().zip(&ln[1..]) {
        sum += weight * (new - old) * (new - old);
        weights += weight;
        weight *= decay;
    }
    Ok(root(sum / weights / STEP_S as f64))
}

fn garman_klass(grid: &Grid, minutes: usize) -> Result<f64, Why> {
    let (mut sum, mut n) = (0.0, 0.0);
    for [open, high, low, close] in grid.candles(minutes)? {
        let (range, body) = (high - low, close - open);
        sum += 0.5 * range * range - (2.0 * LN_2 - 1.0) * body * body;
        n += 1.0;
    }
    Ok(root(sum / n / 60.0))
}

fn parkinson(grid: &Grid, minutes: usize) -> Result<f64, Why> {
    let (mut sum, mut n) = (0.0, 0.0);
    for [_, high, low, _] in grid.candles(minutes)? {
        sum += (high - low) * (high - low);
        n += 1.0;
    }
    Ok(root(sum / n / (4.0 * LN_2) / 60.0))
}

/// Over 900 s: sum of squared returns, of products of neighbours, of products of their sizes.
fn pairs(grid: &Grid) -> Result<(f64, f64, f64), Why> {
    let ln = grid.window(900, true)?;
    let (mut sum, mut cross, mut bipower) = (0.0, 0.0, 0.0);
    let mut newer: Option<f64> = None;
    for (new, old) in ln.iter().zip(&ln[1..]) {
        let r = new - old;
        sum += r * r;
        if let Some(newer) = newer {
            cross += newer * r;
            bipower += newer.abs() * r.abs();
        }
        newer = Some(r);
    }
    Ok((sum, cross, bipower))
}
