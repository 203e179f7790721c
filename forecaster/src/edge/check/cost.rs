//! C16 and C17: how long a batch takes on each engine, how long loading takes and how much memory; it never judges an
//! answer.

#![allow(clippy::disallowed_methods, reason = "an edge: it measures time")]

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Finding, Subject, finding};
use crate::bundle::Bundle;
use crate::edge::{Engines, Model};
use crate::engine::{Device, EngineKind, LoadOptions, Provider};
use crate::error::{Check, ForecasterError};

/// Fewest and most runs of one batch size.
const RUNS: (usize, usize) = (9, 2000);
/// How long one batch size is measured, unless the fewest runs take longer.
const PATIENCE: Duration = Duration::from_millis(200);

/// Time per call of one batch size on one engine, microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The engine.
    pub engine: EngineKind,
    /// Where it ran.
    pub provider: Provider,
    /// Rows in a call.
    pub batch: usize,
    /// The least; a shared machine disturbs the others.
    pub min_us: f64,
    /// The middle.
    pub p50_us: f64,
    /// The 99th of a hundred.
    pub p99_us: f64,
    /// How many calls were timed.
    pub runs: usize,
}

/// Times calls of one batch size; the rows rotate, because one row repeated trains the branch predictor.
///
/// `call` gets the number of the call.
pub fn time(
    model: (EngineKind, Provider),
    batch: usize,
    mut call: impl FnMut(usize) -> Result<(), ForecasterError>,
) -> Result<Latency, ForecasterError> {
    for i in 0..3 {
        call(i)?;
    }
    let begun = Instant::now();
    let mut times = Vec::with_capacity(RUNS.1);
    while times.len() < RUNS.0 || times.len() < RUNS.1 && begun.elapsed() < PATIENCE {
        let start = Instant::now();
        call(times.len())?;
        times.push(start.elapsed().as_nanos() as f64 / 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let (engine, provider) = model;
    let (min_us, p50_us, p99_us) = (times[0], at(0.5), at(0.99));
    Ok(Latency { engine, provider, batch, min_us, p50_us, p99_us, runs: times.len() })
}

/// Loads the bundle and says how long that took and how much memory; C17.
pub(super) fn load(
    engines: &Engines,
    bundle: &Bundle,
    device: Device,
) -> Result<(Model, f64, Finding), ForecasterError> {
    let before = resident_kib();
    let start = Instant::now();
    let model = engines.load(bundle, device)?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let limit = u64::from(bundle.manifest().limits.max_rss_mb) * 1024;
    let found = match (before, resident_kib()) {
        (Some(before), Some(after)) => {
            let grown = after.saturating_sub(before);
            (grown <= limit, format!("loaded in {load_ms:.1} ms, memory grew by {grown} KiB of {limit} KiB"))
        }
        _ => (true, format!("loaded in {load_ms:.1} ms; this system does not say how much memory it takes")),
    };
    Ok((model, load_ms, finding(Check::Load, Ok(found))))
}

/// Resident memory of this process, KiB; `None` where the system has no `/proc`.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// C16: the largest batch within the deadline, and the cost of every batch size on every engine where that is asked for.
pub(super) fn latency(s: &mut Subject<'_>) -> (Finding, Vec<Latency>) {
    let most = s.probes.most(&s.model);
    let mut all = Vec::new();
    let own = s.model.engine();
    if s.options.measure {
        let mut sizes: Vec<usize> =
            std::iter::successors(Some(1), |n| Some(n * 2)).take_while(|n| *n < most).collect();
        sizes.push(most);
        for kind in s.engines.kinds() {
            // An engine that cannot run this model has no times; C18 says why.
            let options = LoadOptions { device: s.options.device, ..LoadOptions::default() };
            let device = if kind == EngineKind::Ort { s.options.device } else { Device::Cpu };
            let Ok(mut model) = s.on(kind, &LoadOptions { device, ..options }) else { continue };
            all.extend(sizes.iter().map_while(|n| timed(s, &mut model, *n).ok()));
        }
    }
    let whole = all.iter().find(|l| l.engine == own && l.batch == most).cloned();
    let whole = match whole {
        Some(latency) => Ok(latency),
        None => own_time(s, most),
    };
    let deadline = f64::from(s.bundle.manifest().limits.deadline_ms) * 1e3;
    let found = whole.map(|l| {
        let seen = format!("{} rows in {:.0} us at best, {:.0} us at the 99th", l.batch, l.min_us, l.p99_us);
        (l.min_us <= deadline, format!("{seen}; the deadline is {deadline} us"))
    });
    (finding(Check::Latency, found), all)
}

fn own_time(s: &mut Subject<'_>, most: usize) -> Result<Latency, ForecasterError> {
    let options = LoadOptions { device: s.options.device, ..LoadOptions::default() };
    let mut model = s.again(&options)?;
    timed(s, &mut model, most)
}

fn timed(s: &Subject<'_>, model: &mut Model, n: usize) -> Result<Latency, ForecasterError> {
    let places = s.probes.len() - n + 1;
    let kind = (model.engine(), model.report().chosen);
    time(kind, n, |i| s.probes.together(model, i * n % places, n).map(drop))
}
