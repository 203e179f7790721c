//! A thousand reloads under load: every answer must be whole, one version's, once; and memory must not grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use forecaster::EngineChoice;
use forecaster::edge::{Engines, Lane, LaneConfig};
use forecaster::engine::EngineKind;
use indicatif::ProgressBar;
use schemas::BundleId;
use serde_json::{Map, Value, json};

use super::clocks::Times;
use super::workloads::Workload;

const VERSIONS: [BundleId; 2] = [BundleId([1; 32]), BundleId([2; 32])];
/// Callers, and rows of one request.
const CLIENTS: usize = 64;
const ROWS: usize = 8;
/// Rows a second that all callers together ask for.
const RATE: f64 = 50_000.0;
/// As far as one row's answer may move with its neighbours.
const NEAR: f32 = 1e-5;

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    mixed: AtomicU64,
    stop: AtomicBool,
    /// Whether reloads are under way; the times of calls are kept apart.
    reloading: AtomicBool,
}

/// What each version answers to each row; rows where both are near are of no use.
struct Expected {
    rows: Vec<usize>,
    by_version: [Vec<f32>; 2],
}

impl Expected {
    fn new(engines: &Engines, versions: [&Workload; 2]) -> Result<Self> {
        let mut by_version = [Vec::new(), Vec::new()];
        for (workload, out) in versions.iter().zip(&mut by_version) {
            let mut session = workload.session(engines, EngineChoice::Only(EngineKind::Ort))?;
            for row in 0..4096 {
                session.run_rows(versions[0].batch(row, 1), 1, out)?;
            }
        }
        let far = |row: &usize| (by_version[0][*row] - by_version[1][*row]).abs() > 100.0 * NEAR;
        let rows: Vec<usize> = (0..4096).filter(far).collect();
        ensure!(rows.len() > 1000, "the two versions are too alike to be told apart");
        Ok(Self { rows, by_version })
    }
}

/// Reloads the model again and again while callers ask. `lost`, `doubled` and `mixed` count rows.
pub(super) fn under_load(
    engines: &Engines,
    versions: [&Workload; 2],
    reloads: usize,
    bar: &ProgressBar,
) -> Result<Value> {
    let expected = Arc::new(Expected::new(engines, versions)?);
    let sources = [versions[0].source(engines, VERSIONS[0]), versions[1].source(engines, VERSIONS[1])];
    let config = LaneConfig { queue: 4 * CLIENTS * ROWS, ..LaneConfig::default() };
    let lane = Lane::start_with(vec![Arc::clone(&sources[0])], config, Box::new(|_| {}))?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().context("starting the runtime")?;
    let counts = Arc::new(Counts::default());
    let mut tasks = Vec::with_capacity(CLIENTS);
    for client in 0..CLIENTS {
        let seat = lane.seat(VERSIONS[0])?;
        let (counts, expected) = (Arc::clone(&counts), Arc::clone(&expected));
        tasks.push(runtime.spawn(caller(client, seat, versions[0].clone(), counts, expected)));
    }
    std::thread::sleep(Duration::from_secs(2));
    counts.reloading.store(true, Ordering::Relaxed);
    let (started, before) = (Instant::now(), counts.answered.load(Ordering::Relaxed));
    for n in 0..reloads {
        let (served, next) = (VERSIONS[n % 2], &sources[(n + 1) % 2]);
        lane.reload_with(served, Arc::clone(next)).with_context(|| format!("reload {n}"))?;
        bar.inc(1);
    }
    let rate = (counts.answered.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
    counts.stop.store(true, Ordering::Relaxed);
    let mut times = [Times::default(), Times::default()];
    for task in tasks {
        let found = runtime.block_on(task).context("a caller panicked")?;
        times.iter_mut().zip(found).for_each(|(all, one)| all.0.extend(one));
    }
    let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
    let (asked, answered) = (get(&counts.asked), get(&counts.answered));
    let lane = lane.shutdown();
    let [steady, reloading] = times.map(|t| t.quantile(0.99) / 1e3);
    Ok(json!({
        "reloads": reloads, "rows": asked, "lost": asked - answered, "failed": get(&counts.failed),
        "doubled": lane.answered.saturating_sub(answered), "mixed": get(&counts.mixed), "rows_per_s": rate,
        "p99_steady_us": steady, "p99_reloading_us": reloading, "p99_ratio": reloading / steady,
    }))
}

/// Asks about eight rows at a time, at its share of the rate, and compares every answer with what the version that
/// signs it must say. Gives its times: before and during the reloads.
async fn caller(
    client: usize,
    mut seat: forecaster::edge::Seat,
    workload: Workload,
    counts: Arc<Counts>,
    expected: Arc<Expected>,
) -> [Vec<u64>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    let mut rows = Vec::with_capacity(ROWS * workload.width());
    let mut turn = client * 131;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64((CLIENTS * ROWS) as f64 / RATE));
    while !counts.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        rows.clear();
        let picked: [usize; ROWS] =
            std::array::from_fn(|i| expected.rows[(turn + i * 17) % expected.rows.len()]);
        picked.iter().for_each(|row| rows.extend_from_slice(workload.batch(*row, 1)));
        turn += 1;
        let (started, phase) = (Instant::now(), counts.reloading.load(Ordering::Relaxed));
        counts.asked.fetch_add(ROWS as u64, Ordering::Relaxed);
        match seat.ask(&rows, None).await {
            Ok(answer) => {
                times[usize::from(phase)].push(started.elapsed().as_nanos() as u64);
                counts.answered.fetch_add(answer.outcomes.len() as u64, Ordering::Relaxed);
                let version = VERSIONS.iter().position(|id| *id == answer.bundle);
                let right = |(row, got): (&usize, &f32)| {
                    version.is_some_and(|v| (expected.by_version[v][*row] - got).abs() <= NEAR)
                };
                let wrong = picked.iter().zip(&answer.values).filter(|pair| !right(*pair)).count();
                counts.mixed.fetch_add(wrong as u64, Ordering::Relaxed);
            }
            Err(_) => drop(counts.failed.fetch_add(ROWS as u64, Ordering::Relaxed)),
        }
    }
    times
}

/// How much the process grows over reloads of each model, MB; the first fifth fills caches and is not counted.
pub(super) fn growth(
    engines: &Engines,
    workloads: &[Workload],
    reloads: usize,
    bar: &ProgressBar,
) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    for workload in workloads {
        bar.set_message(format!("memory over reloads of {}", workload.name));
        let sources = VERSIONS.map(|id| workload.source(engines, id));
        let lane = Lane::start_with(vec![Arc::clone(&sources[0])], LaneConfig::default(), Box::new(|_| {}))?;
        let mut first = None;
        for n in 0..reloads {
            if n == reloads / 5 {
                first = resident_mb();
            }
            lane.reload_with(VERSIONS[n % 2], Arc::clone(&sources[(n + 1) % 2]))?;
            bar.inc(1);
        }
        let grown = resident_mb().zip(first).map(|(last, first)| last - first);
        out.insert(workload.name.clone(), json!(grown));
    }
    Ok(out)
}

/// Resident memory of this process, MB; Linux only.
fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kb| kb / 1024.0)
}
