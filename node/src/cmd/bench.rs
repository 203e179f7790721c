//! `oraculo bench`: measures on this machine, now, and prints the numbers of docs/benchmarks.md. Never a test.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks and starts threads")]

mod archive;
mod cold;
mod inference;
mod ingest;
mod peers;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bus::{Driver, FileLog, FileOptions, GroupCommit, GroupOptions, Limits, NoMachines};
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use schemas::Stream;
use serde_json::{Value, json};
use sim::{Day, WorldConfig};

use crate::demo_run::{DemoOptions, DemoRun};
use crate::probe::Probe;
use crate::run_dir::RunDir;
use crate::{clock, replay};

/// Body of an appended record, bytes: about that of a commitment.
const BODY: usize = 256;

/// Arguments of `oraculo bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo bench --json\n  oraculo bench ingest --json\n  oraculo bench inference --json     takes about five minutes and Python 3; not part of `all`"
)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    /// Where to write; a folder on the disk that counts.
    #[arg(long, default_value = "data/bench")]
    dir: PathBuf,
    /// Seconds of each append measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Market hours of the simulated day that is run and replayed.
    #[arg(long, default_value_t = 4)]
    hours: u64,
    /// Seed of the simulated day.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Assets of the cold start, two per market.
    #[arg(long, default_value_t = 10_000)]
    assets: usize,
    /// Messages of each made-up venue session.
    #[arg(long, default_value_t = 300_000)]
    messages: usize,
    /// Turns of every contender of `inference`.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Reloads of each model of `inference`.
    #[arg(long, default_value_t = 1_000)]
    reloads: usize,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// The parts of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Everything but `inference`, one after the other.
    All,
    /// Journal, replay and the way from a question to a sold signal.
    System,
    /// Market data: decoding, books, archive.
    Ingest,
    /// Running models, beside the C interface, Python and lleaves. Takes minutes and is not part of `all`.
    Inference,
}

/// Measures, one after the other.
pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    anyhow::ensure!(args.messages >= 1_000, "--messages must be at least 1000");
    anyhow::ensure!((2..=20_000).contains(&args.assets), "--assets must be 2 to 20000");
    anyhow::ensure!((1..=100).contains(&args.rounds), "--rounds must be 1 to 100");
    anyhow::ensure!((10..=100_000).contains(&args.reloads), "--reloads must be 10 to 100000");
    let report = match args.what {
        What::Inference => {
            let report = inference::run(&inference::Options { rounds: args.rounds, reloads: args.reloads })?;
            if !args.json {
                println!("{}", inference::table(&report));
            }
            report
        }
        What::Ingest => market_data(args)?,
        What::System => system(args)?,
        What::All => {
            let mut report = system(args)?;
            report["ingest"] = market_data(args)?;
            report
        }
    };
    println!("{}", if args.json { report.to_string() } else { serde_json::to_string_pretty(&report)? });
    Ok(ExitCode::SUCCESS)
}

fn market_data(args: &BenchArgs) -> Result<Value> {
    let mut report = ingest::run(args.messages)?;
    let markets = args.assets / 2;
    eprintln!("cold start of {} assets", 2 * markets);
    let dir = args.dir.join(format!("cold-{}", std::process::id()));
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let cold = runtime.block_on(cold::run(markets, &dir));
    std::fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
    report["cold_start"] = cold?;
    Ok(report)
}

fn system(args: &BenchArgs) -> Result<Value> {
    let root = args.dir.join(format!("{}", std::process::id()));
    std::fs::create_dir_all(&root).with_context(|| format!("creating {}", root.display()))?;
    let budget = Duration::from_secs(args.seconds.max(1));
    eprintln!("append + fsync, 1 in flight");
    let one = append(&root.join("one"), 1, budget)?;
    eprintln!("append + fsync, 1,024 in flight");
    let many = append(&root.join("many"), 1_024, budget)?;
    eprintln!("a simulated day of {} market hours, as fast as it settles", args.hours);
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let day = runtime.block_on(day(&root.join("day"), args.seed, args.hours))?;
    eprintln!("its replay");
    let replayed = replayed(&root.join("day"))?;
    std::fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
    Ok(json!({"append_fsync": {"in_flight_1": one, "in_flight_1024": many}, "day": day, "replay": replayed}))
}

/// Closed loop: `in_flight` submissions wait for their acknowledgement; each acknowledgement submits the next.
fn append(dir: &Path, in_flight: u64, budget: Duration) -> Result<Value> {
    let log = FileLog::open(dir, FileOptions::default())?;
    let driver = Driver::new(log, NoMachines, Limits::default());
    let (submitter, group) = GroupCommit::start(driver, GroupOptions::default(), clock::wall_now, drop)?;
    let acked = Arc::new(AtomicU64::new(0));
    let mut latency = histogram()?;
    let (done, finished) = std::sync::mpsc::sync_channel::<Duration>(2_048);
    let started = Instant::now();
    let submit = || -> Result<()> {
        let (acked, done, at) = (Arc::clone(&acked), done.clone(), Instant::now());
        submitter.submit(Stream::Intake, vec![7; BODY], move |ack| {
            if ack.is_ok() {
                acked.fetch_add(1, Ordering::Relaxed);
            }
            // The bench is over when nobody listens any more.
            let _ = done.send(at.elapsed());
        })?;
        Ok(())
    };
    for _ in 0..in_flight {
        submit()?;
    }
    while started.elapsed() < budget {
        latency.saturating_record(finished.recv().context("the commit thread is gone")?.as_nanos() as u64);
        submit()?;
    }
    for _ in 0..in_flight {
        finished.recv().context("the commit thread is gone")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(submitter);
    group.finish()?;
    let total = acked.load(Ordering::Relaxed);
    Ok(json!({"acks": total, "acks_per_s": total as f64 / seconds, "latency": quantiles(&latency)}))
}

/// Nanoseconds up to ten minutes, three digits.
fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).context("a histogram of nanoseconds")
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    let micros = |q: f64| histogram.value_at_quantile(q) as f64 / 1_000.0;
    json!({"n": histogram.len(), "p50_us": micros(0.5), "p99_us": micros(0.99), "max_us": micros(1.0)})
}

async fn day(dir: &Path, seed: u64, hours: u64) -> Result<Value> {
    let world = WorldConfig {
        seed,
        start: WorldConfig::default().start,
        length_s: hours * 3_600,
        ..WorldConfig::default()
    };
    let probe = Probe::default();
    let options = DemoOptions {
        probe: Some(probe.clone()),
        ..DemoOptions::new(Day::simulated(world), dir.to_owned(), seed)
    };
    let started = Instant::now();
    let demo = DemoRun::start(options).await?;
    demo.twin.done().await;
    demo.drain().await;
    let wall = started.elapsed().as_secs_f64();
    let end = demo.finish().await?;
    let mut issue = histogram()?;
    let mut deliver = issue.clone();
    let mut whole = issue.clone();
    for hops in probe.hops() {
        let (Some(issued), Some(received)) = (hops.issued, hops.received) else { continue };
        issue.saturating_record(issued.duration_since(hops.asked).as_nanos() as u64);
        deliver.saturating_record(received.saturating_duration_since(issued).as_nanos() as u64);
        whole.saturating_record(received.duration_since(hops.asked).as_nanos() as u64);
    }
    Ok(json!({
        "wall_s": wall, "market_s_per_wall_s": hours as f64 * 3_600.0 / wall, "stalls": end.stalls,
        "signals": end.summary.signals.issued, "sold": end.summary.signals.sold,
        "question_to_signal": quantiles(&issue), "signal_to_socket": quantiles(&deliver),
        "question_to_socket": quantiles(&whole),
    }))
}

fn replayed(dir: &Path) -> Result<Value> {
    let dir = RunDir::open(dir)?;
    let started = Instant::now();
    let replayed = replay::replay(&dir, &mut |_| Ok(()), &mut |_| {})?;
    let seconds = started.elapsed().as_secs_f64();
    replay::check(&replayed)?;
    let records = replayed.report.entries;
    Ok(json!({"records": records, "seconds": seconds, "records_per_s_per_core": records as f64 / seconds}))
}
