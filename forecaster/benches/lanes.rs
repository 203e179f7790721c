//! What batching gains for 1,024 callers that each wait for their answer, and what a pass over 10,000 markets takes.
//!
//! `cargo bench -p forecaster --bench lanes`; prints one line a measurement, the least and the median of several
//! rounds in which batched and unbatched take turns. Beside rows a second stands the processor time of the lane's thread
//! and of the callers' for each row, which other work on the machine does not change much.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forecaster::EngineChoice;
use forecaster::edge::calibrate::samples;
use forecaster::edge::{BareSource, Cadence, Calibration, Engines, Lane, LaneConfig, Plans, Search, Source};
use forecaster::engine::RowIo;
use schemas::BundleId;

#[path = "../tests/it/onnx.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod onnx;

const WIDTH: usize = 64;
const CLIENTS: usize = 1024;
const MARKETS: usize = 10_000;
const ROUNDS: usize = 5;

/// Gemm 64→128 ReLU 128→128 ReLU 128→1 Sigmoid.
fn mlp() -> Vec<u8> {
    let weights = |name, rows: usize, columns: usize| {
        let values: Vec<f32> = samples(&[], rows * columns, 1).iter().map(|x| x * 0.1).collect();
        onnx::tensor(name, &[rows as u64, columns as u64], &values)
    };
    let bias = |name, n: usize| onnx::tensor(name, &[n as u64], &vec![0.01; n]);
    let file = onnx::File {
        ir: 8,
        opsets: vec![("", 17)],
        nodes: vec![
            onnx::node("Gemm", &["x", "w1", "b1"], &["h1"]),
            onnx::node("Relu", &["h1"], &["r1"]),
            onnx::node("Gemm", &["r1", "w2", "b2"], &["h2"]),
            onnx::node("Relu", &["h2"], &["r2"]),
            onnx::node("Gemm", &["r2", "w3", "b3"], &["h3"]),
            onnx::node("Sigmoid", &["h3"], &["p"]),
        ],
        initializers: vec![
            weights("w1", 64, 128),
            bias("b1", 128),
            weights("w2", 128, 128),
            bias("b2", 128),
            weights("w3", 128, 1),
            bias("b3", 1),
        ],
        inputs: vec![onnx::value_info("x", 1, &[None, Some(64)])],
        outputs: vec![onnx::value_info("p", 1, &[None, Some(1)])],
        graph_extra: onnx::Msg::default(),
        model_extra: onnx::Msg::default(),
    };
    file.bytes()
}

fn source(engines: &Engines) -> Arc<dyn Source> {
    let (engines, bytes) = (engines.clone(), mlp());
    let rows = RowIo {
        input: "x".to_owned(),
        row_shape: vec![WIDTH],
        output: "p".to_owned(),
        answer_width: 1,
        constants: Vec::new(),
    };
    let deadline = Duration::from_millis(100);
    let open = move |options: &_| engines.session(&bytes, EngineChoice::Auto, options);
    Arc::new(BareSource { id: BundleId([1; 32]), rows, max_batch: 1024, deadline, open })
}

/// What one closed loop showed.
struct Seen {
    rows_per_s: f64,
    p50_ms: f64,
    /// Processor time a row, nanoseconds: the lane's thread, the callers' thread.
    lane_ns: f64,
    callers_ns: f64,
}

impl Seen {
    fn cpu_ns(&self) -> f64 {
        self.lane_ns.max(self.callers_ns)
    }
}

/// Processor time of the threads of this name, nanoseconds.
fn cpu_ns(name: &str) -> u64 {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").starts_with(name) {
            sum += read("schedstat").split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

/// 1,024 callers, each waiting for its answer, in tasks of a runtime with one thread.
fn closed_loop(lane: &Lane, seconds: f64) -> Seen {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("callers").build().unwrap();
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let rows = Arc::new(samples(&[], WIDTH, 8192));
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut seat = lane.seat(BundleId([1; 32])).unwrap();
            let (stop, asked, rows) = (Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&rows));
            runtime.spawn(async move {
                let (mut n, mut times) = (client * 7, Vec::with_capacity(1 << 12));
                while !stop.load(Ordering::Relaxed) {
                    n = (n + 1) % 8192;
                    let timed = (n % 16 == 0).then(Instant::now);
                    let answer = seat.ask(&rows[n * WIDTH..(n + 1) * WIDTH], None).await.unwrap();
                    assert!(answer.outcomes[0].is_answer());
                    times.extend(timed.map(|t| t.elapsed()));
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                times
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let threads = || [cpu_ns("inference") as f64, cpu_ns("callers") as f64];
    let (first, started, before) = (asked.load(Ordering::Relaxed), Instant::now(), threads());
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let rows = (asked.load(Ordering::Relaxed) - first) as f64;
    let (rows_per_s, after) = (rows / started.elapsed().as_secs_f64(), threads());
    stop.store(true, Ordering::Relaxed);
    let mut times: Vec<Duration> = tasks.into_iter().flat_map(|t| runtime.block_on(t).unwrap()).collect();
    times.sort_unstable();
    let p50_ms = times[times.len() / 2].as_secs_f64() * 1e3;
    let [lane_ns, callers_ns] = [0, 1].map(|i| (after[i] - before[i]) / rows);
    Seen { rows_per_s, p50_ms, lane_ns, callers_ns }
}

fn lane(engines: &Engines, max_batch: usize) -> Lane {
    let calibration = Calibration { max_batch, ..Calibration::default() };
    let config = LaneConfig { queue: 4096, calibration, ..LaneConfig::default() };
    Lane::start_with(vec![source(engines)], config, Box::new(|_| {})).unwrap()
}

fn batching(engines: &Engines) {
    let (mut gains, mut cpu_gains) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // One lane at a time, so that the thread of this name is the one that is measured.
        let alone = closed_loop(&lane(engines, 1), 0.7);
        let many = lane(engines, 4096);
        let plan = many.plans().remove(0).1;
        let batched = closed_loop(&many, 0.7);
        for (what, seen) in [("unbatched", &alone), ("batched", &batched)] {
            let Seen { rows_per_s, p50_ms, lane_ns, callers_ns } = seen;
            println!(
                "{what:9} {rows_per_s:8.0} rows/s p50 {p50_ms:6.2} ms; a row {lane_ns:.0} ns lane, {callers_ns:.0} ns callers"
            );
        }
        gains.push(batched.rows_per_s / alone.rows_per_s);
        cpu_gains.push(alone.cpu_ns() / batched.cpu_ns());
        let (batch, one) = (plan.batch, plan.costs[0].nanos);
        println!(
            "b* {batch}: the model alone takes {one} ns for one row, {} ns a row for b*",
            plan.cost_ns(batch) / batch as u64
        );
    }
    gains.sort_by(f64::total_cmp);
    cpu_gains.sort_by(f64::total_cmp);
    let middle = ROUNDS / 2;
    println!(
        "gain: {:.1} in rows/s (best {:.1}), {:.1} by the busier thread's time (median)",
        gains[middle],
        gains[ROUNDS - 1],
        cpu_gains[middle]
    );
}

fn cadence(engines: &Engines) {
    let source = source(engines);
    let mut cadence = Cadence::start(&source, &Calibration::default(), &Plans::in_memory()).unwrap();
    let rows = samples(&[], WIDTH, MARKETS);
    let mut times = Vec::new();
    for _ in 0..ROUNDS * 4 {
        let started = Instant::now();
        let sweep = cadence.predict::<()>(MARKETS, |m, out| {
            out.copy_from_slice(&rows[m * WIDTH..(m + 1) * WIDTH]);
            Ok(())
        });
        assert_eq!(sweep.unwrap().abstentions(), 0);
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let batch = cadence.plan().batch;
    println!(
        "cadence: {MARKETS} markets, b* {batch}: least {:.2} ms, median {:.2} ms",
        times[0],
        times[times.len() / 2]
    );
}

fn main() {
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let library = match Search::here(None, env).find() {
        Ok(library) => library,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    let engines = Engines::open(&library).unwrap();
    cadence(&engines);
    batching(&engines);
}
