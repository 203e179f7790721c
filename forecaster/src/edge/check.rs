//! `model check`, the part that needs the engine (C09 to C16); it never changes a bundle and never stops at the first
//! finding.
//!
//! What is observed in real models: outputs whose actual shape contradicts the declared one (C09), answers that
//! depend on the batch they come in (C12), NaN that turns into a plausible number (C14).

#![allow(clippy::disallowed_methods, reason = "an edge: it measures how long a batch takes")]

use std::time::Instant;

use ndarray::{Array2, ArrayView2};

use super::lane;
use super::{Engines, Model};
use crate::bundle::Bundle;
use crate::bundle::golden::{MIN_PAIRS, TOLERANCE};
use crate::engine::Device;
use crate::error::{Check, ForecasterError};

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// Whether it passed.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

/// Largest batch that is tried.
const MAX_ROWS: usize = 64;
/// Runs per latency measurement; the least counts, because a shared machine disturbs the others.
const LATENCY_RUNS: usize = 20;

/// Runs every dynamic check on the CPU, one thread; an error only when the model does not load at all.
pub fn check(engines: &Engines, bundle: &Bundle) -> Result<Vec<Finding>, ForecasterError> {
    let mut model = engines.load(bundle, Device::Cpu)?;
    let rows = probe_rows(bundle, model.width());
    let checks: [DynamicCheck; 7] = [shape, golden, repeat, batch_invariance, nan_policy, range, latency];
    Ok(checks.into_iter().map(|check| finding(check(&mut model, bundle, &rows))).collect())
}

/// One check.
type DynamicCheck = fn(&mut Model, &Bundle, &Array2<f32>) -> Found;

/// A check, whether it passed, what was seen; or the engine's error.
type Found = (Check, Result<(bool, String), ForecasterError>);

fn finding((check, found): Found) -> Finding {
    match found {
        Ok((passed, detail)) => Finding { check, passed, detail },
        Err(error) => Finding { check, passed: false, detail: error.to_string() },
    }
}

/// Golden rows and mixtures of them, so that every row is of a plausible size.
fn probe_rows(bundle: &Bundle, width: usize) -> Array2<f32> {
    let pairs = bundle.golden().pairs();
    Array2::from_shape_fn((MAX_ROWS, width), |(i, j)| {
        if pairs.is_empty() {
            return ((i * 7 + j * 3) % 11) as f32 / 11.0;
        }
        let (a, b) = (&pairs[i % pairs.len()].input, &pairs[(i / pairs.len() + i) % pairs.len()].input);
        f32::midpoint(a[j], b[j])
    })
}

/// C09: batches of 1, 2 and the most have the declared shape (`predict` checks it).
fn shape(model: &mut Model, _: &Bundle, rows: &Array2<f32>) -> Found {
    let sizes = [1, 2, MAX_ROWS.min(model.max_batch())];
    let mut run = || {
        for n in sizes {
            model.predict(head(rows, n))?;
        }
        Ok((true, format!("batches of {sizes:?} have the declared shape")))
    };
    (Check::Shape, run())
}

/// C10: golden pairs.
fn golden(model: &mut Model, bundle: &Bundle, _: &Array2<f32>) -> Found {
    let pairs = bundle.golden().pairs();
    let mut run = || {
        if pairs.len() < MIN_PAIRS {
            return Ok((false, format!("{} golden pairs, {MIN_PAIRS} are needed", pairs.len())));
        }
        let mut worst = 0.0_f32;
        for pair in pairs {
            let row = ArrayView2::from_shape((1, pair.input.len()), &pair.input)
                .map_err(|e| ForecasterError::Run(e.to_string()))?;
            let got = model.predict(row)?;
            worst = widest(worst, &got, &pair.output);
        }
        Ok((worst <= TOLERANCE, format!("{} pairs, largest difference {worst:e}", pairs.len())))
    };
    (Check::Golden, run())
}

/// C11: the same bytes twice.
fn repeat(model: &mut Model, _: &Bundle, rows: &Array2<f32>) -> Found {
    let mut run = || {
        let (a, b) = (model.predict(rows.view())?, model.predict(rows.view())?);
        let same = a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()));
        Ok((same, if same { "same bits twice" } else { "two runs differ" }.to_owned()))
    };
    (Check::Repeat, run())
}

/// C12: a row alone and the same row in a batch.
fn batch_invariance(model: &mut Model, _: &Bundle, rows: &Array2<f32>) -> Found {
    let mut run = || {
        let batch = model.predict(rows.view())?;
        let mut single = Vec::with_capacity(batch.len());
        for row in rows.rows() {
            single.extend(model.predict(row.insert_axis(ndarray::Axis(0)))?);
        }
        let worst = widest(0.0, &single, &batch);
        Ok((worst <= TOLERANCE, format!("largest difference {worst:e}")))
    };
    (Check::BatchInvariance, run())
}

/// C14: reports what the model does with NaN in each feature. Passes in any case: the gate keeps NaN out.
fn nan_policy(model: &mut Model, _: &Bundle, rows: &Array2<f32>) -> Found {
    let mut run = || {
        let mut swallowed = 0;
        for j in 0..rows.ncols() {
            let mut row = head(rows, 1).to_owned();
            row[(0, j)] = f32::NAN;
            let got = model.predict(row.view())?;
            swallowed += u32::from(got.iter().all(|p| p.is_finite()));
        }
        Ok((
            true,
            format!("swallows NaN in {swallowed} of {} features; the gate refuses such rows", rows.ncols()),
        ))
    };
    (Check::NanPolicy, run())
}

/// C15: answers in range and not all the same.
fn range(model: &mut Model, _: &Bundle, rows: &Array2<f32>) -> Found {
    let limits = model.range();
    let mut run = || {
        let got = model.predict(rows.view())?;
        let legal = got.iter().all(|p| lane::gate_output(*p, limits).is_ok());
        let (low, high) =
            got.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), p| (l.min(*p), h.max(*p)));
        Ok((legal && low < high, format!("answers from {low} to {high}")))
    };
    (Check::Range, run())
}

/// C16: a full batch within the manifest's deadline.
fn latency(model: &mut Model, bundle: &Bundle, rows: &Array2<f32>) -> Found {
    let deadline = u128::from(bundle.manifest().limits.deadline_ms) * 1000;
    let rows = head(rows, MAX_ROWS.min(model.max_batch()));
    let mut run = || {
        let mut best = u128::MAX;
        for _ in 0..LATENCY_RUNS {
            let start = Instant::now();
            model.predict(rows)?;
            best = best.min(start.elapsed().as_micros());
        }
        Ok((best <= deadline, format!("{} rows in {best} us, deadline {deadline} us", rows.nrows())))
    };
    (Check::Latency, run())
}

fn head(rows: &Array2<f32>, n: usize) -> ArrayView2<'_, f32> {
    rows.slice_axis(ndarray::Axis(0), ndarray::Slice::from(..n))
}

/// The largest difference; NaN and a missing answer count as infinite.
fn widest(start: f32, a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    let differs = |(x, y): (&f32, &f32)| if (x - y).is_nan() { f32::INFINITY } else { (x - y).abs() };
    a.iter().zip(b).map(differs).fold(start, f32::max)
}
