//! What batching gains: 1,024 callers that each wait for their answer, batched and unbatched lanes in turns; and what a
//! pass over 10,000 markets takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use forecaster::edge::{Cadence, Calibration, Engines, Lane, LaneConfig, Plans};
use indicatif::ProgressBar;
use schemas::BundleId;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::clocks::Times;
use super::workloads::{MAX_BATCH, Workload};

/// Callers at a time.
const CLIENTS: usize = 1024;
/// Markets of one pass.
const MARKETS: usize = 10_000;
/// The model's name in its lane.
const ID: BundleId = BundleId([1; 32]);

fn lane(engines: &Engines, workload: &Workload, max_batch: usize) -> Result<Lane> {
    let calibration = Calibration { max_batch, budget: Duration::from_millis(300) };
    let config = LaneConfig { queue: 4 * CLIENTS, calibration, ..LaneConfig::default() };
    let lane = Lane::start_with(vec![workload.source(engines, ID)], config, Box::new(|_| {}));
    lane.with_context(|| format!("a lane for {}", workload.name))
}

/// Rows a second and the times of calls, for callers in tasks of a runtime with one thread.
fn closed_loop(runtime: &Runtime, lane: &Lane, workload: &Workload, seconds: f64) -> Result<(f64, Times)> {
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::with_capacity(CLIENTS);
    for client in 0..CLIENTS {
        let mut seat = lane.seat(ID)?;
        let (stop, asked, workload) = (Arc::clone(&stop), Arc::clone(&asked), workload.clone());
        tasks.push(runtime.spawn(async move {
            let (mut turn, mut times) = (client * 7, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                let started = Instant::now();
                let answer = seat.ask(workload.batch(turn, 1), None).await?;
                ensure!(answer.outcomes[0].is_answer(), "a row of {} had no answer", workload.name);
                asked.fetch_add(1, Ordering::Relaxed);
                if turn % 8 == 0 {
                    times.push(started.elapsed().as_nanos() as u64);
                }
            }
            Ok(times)
        }));
    }
    std::thread::sleep(Duration::from_secs_f64(seconds / 3.0));
    let (first, started) = (asked.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let rate = (asked.load(Ordering::Relaxed) - first) as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut times = Times::default();
    for task in tasks {
        times.0.extend(runtime.block_on(task).context("a caller panicked")??);
    }
    Ok((rate, times))
}

/// `{model: figures}`: rows a second unbatched and at the calibrated size, in turns.
pub(super) fn batching(
    engines: &Engines,
    workloads: &[Workload],
    rounds: usize,
    bar: &ProgressBar,
) -> Result<Map<String, Value>> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().context("starting the runtime")?;
    let mut out = Map::new();
    for workload in workloads {
        bar.set_message(format!("1,024 callers of {}", workload.name));
        // A slow model answers 1,024 callers in seconds.
        let seconds = if workload.name == "tfm" { 4.0 } else { 0.7 };
        let (mut gains, mut best, mut unbatched) = (Vec::new(), Times::default(), 0.0_f64);
        let (mut rate, mut size) = (0.0_f64, 0);
        for _ in 0..rounds {
            let alone = lane(engines, workload, 1)?;
            let (one, _) = closed_loop(&runtime, &alone, workload, seconds)?;
            drop(alone);
            let batched = lane(engines, workload, MAX_BATCH)?;
            size = batched.plans().first().map_or(0, |(_, plan)| plan.batch);
            let (many, times) = closed_loop(&runtime, &batched, workload, seconds)?;
            gains.push(many / one);
            unbatched = unbatched.max(one);
            rate = rate.max(many);
            best.0.extend(times.0);
        }
        gains.sort_by(f64::total_cmp);
        let figures = json!({
            "gain": gains[gains.len() / 2], "gains": gains, "unbatched_rows_per_s": unbatched, "rows_per_s": rate,
            "batch": size, "p50_us": best.p50() / 1e3, "p99_us": best.quantile(0.99) / 1e3,
        });
        out.insert(workload.name.clone(), figures);
        bar.inc(1);
    }
    Ok(out)
}

/// Milliseconds from rows of features in memory to probabilities, for all markets at once.
pub(super) fn cadence(engines: &Engines, workload: &Workload, rounds: usize) -> Result<Value> {
    let source = workload.source(engines, ID);
    let mut cadence = Cadence::start(&source, &Calibration::default(), &Plans::in_memory())?;
    let mut times = Times::default();
    for round in 0..rounds * 6 {
        let started = Instant::now();
        let sweep = cadence.predict::<()>(MARKETS, |market, row| {
            row.copy_from_slice(workload.batch(market + round, 1));
            Ok(())
        })?;
        ensure!(sweep.abstentions() == 0, "a market of {} had no answer", workload.name);
        times.0.push(started.elapsed().as_nanos() as u64);
    }
    Ok(json!({"min_ms": times.min() / 1e6, "p50_ms": times.p50() / 1e6, "batch": cadence.plan().batch}))
}
