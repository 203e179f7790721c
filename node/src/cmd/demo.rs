//! `oraculo demo`: every role in one process, on a simulated or a recorded day, with one paying customer.
#![allow(clippy::disallowed_methods, reason = "node starts tasks")]

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use forecaster::edge::Device;
use schemas::Timestamp;
use sim::{Day, Pace, Speed, Twin, WorldConfig};

use crate::clock::{self, Clock};
use crate::cmd::progress;
use crate::demo_plan::{self, CUSTOMER};
use crate::run_dir::RunDir;
use crate::signals::Signals;
use crate::start::Running;
use crate::subscriber::{self, SharedBought};
use crate::summary::{Received, Summary};

/// How long the last signals may take to reach the customer.
const DRAIN: Duration = Duration::from_secs(20);
/// Where the simulated world begins: a round hour, so that runs of one seed are equal.
const WORLD_START_S: i64 = 1_790_000_000 / 3_600 * 3_600;
/// Price history before the first market: enough for a volatility, and the first signal comes soon.
const HISTORY_S: u64 = 240;
/// How long a demo runs where nobody sits at a terminal, seconds.
const UNATTENDED_S: u64 = 120;

/// Arguments of `oraculo demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  oraculo demo\n  oraculo demo --for 60 --seed 7 --json\n  oraculo demo --data ../shared/data/polymarket --json")]
pub struct DemoArgs {
    /// A recorded day: a folder with *BTC-5m-markets-*.jsonl.gz and *BTCUSD-prices-*.csv.gz, any date.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Stop after this much wall time: 90, 90s, 10m, 1h; 0 = until the day ends or Ctrl-C.
    /// [default: until the day ends or Ctrl-C; 120s for a simulated day when stdout is no terminal]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    for_: Option<Duration>,
    /// Market seconds per wall second, or `max` [default: 60 simulated, max recorded].
    #[arg(long, value_parser = parse_speed)]
    speed: Option<Speed>,
    /// Seed of the simulated world and of the demo's keys.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The summary as one JSON object on the last line of stdout.
    #[arg(long)]
    json: bool,
    /// Folder of the run, for `replay` and `backtest` [default: a new one under runs/].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Address of the API and the dashboard; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Folder of the model bundles [default: models/ nearby].
    #[arg(long)]
    models: Option<PathBuf>,
    /// ONNX Runtime library or its folder [default: ORT_DYLIB_PATH, or vendor/onnxruntime nearby].
    #[arg(long, value_name = "PATH")]
    ort_lib: Option<PathBuf>,
    /// Where models run: cpu, auto, cuda or cuda-or-fail.
    #[arg(long, default_value = DEFAULT_DEVICE, value_parser = parse_device)]
    device: Device,
}

/// Without the feature `cuda` there is nothing to choose from.
pub(crate) const DEFAULT_DEVICE: &str = if cfg!(feature = "cuda") { "auto" } else { "cpu" };

pub(crate) fn parse_device(text: &str) -> Result<Device, String> {
    text.parse().map_err(|e: forecaster::ForecasterError| e.to_string())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        None => (text, "s"),
        Some(at) => text.split_at(at),
    };
    let n: u64 = digits.parse().map_err(|_| format!("{text:?} is no time; write 90, 90s, 10m or 1h"))?;
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(format!("{text:?} is no time; write 90, 90s, 10m or 1h")),
    };
    Ok(Duration::from_secs(n.saturating_mul(scale)))
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.trim_end_matches('x').parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Factor(factor)),
        _ => Err(format!("{text:?} is no speed; write a number above 0, or max")),
    }
}

/// Runs the demo.
pub fn run(args: DemoArgs) -> Result<ExitCode> {
    let started = clock::instant();
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(demo(args, started))
}

async fn demo(args: DemoArgs, started: Instant) -> Result<ExitCode> {
    let day = Arc::new(day(&args)?);
    let dir = RunDir::create(&args.dir.clone().unwrap_or_else(|| default_dir(args.seed)))?;
    let speed = args.speed.unwrap_or(if args.data.is_some() { Speed::Max } else { Speed::Factor(60.0) });
    let pace = Pace::new(day.begins_at(), speed);
    let twin = Twin::spawn(Arc::clone(&day), pace.clone()).context("starting the venue's twin")?;
    let plan = demo_plan::plan(&args.demo_options(&day, &dir, &twin, &pace))?;
    let running = plan.run().await?;
    let kernel = running.kernel.clone();
    pace.set_hook(Box::new(move |to: Timestamp| {
        let kernel = kernel.clone();
        Box::pin(async move { kernel.advance(to).await })
    }));
    let bought = customer(&running)?;
    greet(&args, &running, dir.root(), &day);
    watch(&args, &running, &twin, &bought, started).await?;
    drain(&running, &bought).await;
    let (view, stalls) = (Arc::clone(&running.view), pace.stalls());
    twin.shutdown().await;
    let finished = running.stop().await?;
    let view = view.read().expect("no writer panics while holding the view");
    let mut summary = Summary::new(
        &view,
        &finished.tally,
        received(&bought, started),
        &dir.root().display().to_string(),
        started.elapsed().as_secs_f64(),
    );
    summary.digest = finished.digest.to_string();
    if stalls > 0 {
        eprintln!("warning: simulated time ran ahead {stalls} times because something did not settle within 5 s");
    }
    report(&args, &summary);
    Ok(ExitCode::SUCCESS)
}

impl DemoArgs {
    fn demo_options<'a>(
        &'a self,
        day: &'a Day,
        dir: &'a RunDir,
        twin: &'a sim::TwinHandle,
        pace: &Pace,
    ) -> demo_plan::Options<'a> {
        demo_plan::Options {
            seed: self.seed,
            source: self.data.as_ref().map_or_else(
                || format!("simulated day, seed {}", self.seed),
                |dir| format!("recorded day in {}", dir.display()),
            ),
            epoch_s: if self.data.is_some() { 3_600 } else { 900 },
            day,
            dir,
            twin,
            clock: Clock::Stepped(pace.clone()),
            models: self.models.as_deref(),
            ort_lib: self.ort_lib.clone(),
            device: self.device,
            listen: self.listen,
        }
    }

    fn limit(&self) -> Option<Duration> {
        match self.for_ {
            Some(limit) => (!limit.is_zero()).then_some(limit),
            None if self.data.is_some() || std::io::stdout().is_terminal() => None,
            None => Some(Duration::from_secs(UNATTENDED_S)),
        }
    }
}

fn day(args: &DemoArgs) -> Result<Day> {
    match &args.data {
        Some(dir) => Day::recorded(dir).with_context(|| format!("reading the recorded day in {}", dir.display())),
        None => Ok(Day::simulated(WorldConfig {
            seed: args.seed,
            start: Timestamp::from_secs(WORLD_START_S),
            length_s: 86_400,
            history_s: HISTORY_S,
            ..WorldConfig::default()
        })),
    }
}

fn default_dir(seed: u64) -> PathBuf {
    let now = clock::wall_now().secs();
    Path::new("runs").join(format!("demo-{now}-{}-{seed}", std::process::id()))
}

fn customer(running: &Running) -> Result<SharedBought> {
    let account = schemas::AccountId::new(CUSTOMER).expect("the demo's customer has a plain name");
    let key = running.customer_key(&account)?;
    let bought = SharedBought::default();
    let topics = demo_plan::topic_names();
    let task = subscriber::run(running.ws_url(), key, topics, Arc::clone(&bought));
    tokio::spawn(async move {
        if let Err(error) = task.await {
            tracing::error!("the customer stopped: {error:#}");
        }
    });
    Ok(bought)
}

fn greet(args: &DemoArgs, running: &Running, dir: &Path, day: &Day) {
    eprintln!("dashboard  {}", running.url());
    eprintln!("run        {}", dir.display());
    let what = if args.data.is_some() { "recorded" } else { "simulated" };
    eprintln!("day        {what}, {} markets of {} s; twin -> ingest -> 5 miners -> 3 validators -> api -> 1 customer", day.markets.len(), day.interval_s);
    if let Some(limit) = args.limit() {
        eprintln!("stops      after {} s (Ctrl-C stops sooner; --for 0 runs to the day's end)", limit.as_secs());
    }
}

/// Shows a live line until the day ends, time is up, or somebody stops it.
async fn watch(
    args: &DemoArgs,
    running: &Running,
    twin: &sim::TwinHandle,
    bought: &SharedBought,
    started: Instant,
) -> Result<()> {
    let bar = progress::line();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let mut beat = 0_u32;
    let limit = args.limit();
    let done = twin.done();
    tokio::pin!(done);
    let mut signals = Signals::new()?;
    loop {
        tokio::select! {
            () = &mut done => break,
            () = signals.stop() => break,
            _ = tick.tick() => {
                if running.is_down() {
                    bail!("the kernel stopped; the log above says why");
                }
                let line = live_line(running, twin, bought);
                bar.set_message(line.clone());
                bar.tick();
                beat += 1;
                if !std::io::stderr().is_terminal() && beat.is_multiple_of(10) {
                    eprintln!("{line}");
                }
                if limit.is_some_and(|limit| started.elapsed() >= limit) {
                    break;
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn live_line(running: &Running, twin: &sim::TwinHandle, bought: &SharedBought) -> String {
    let view = running.view.read().expect("no writer panics while holding the view");
    let received = bought.lock().expect("the customer never panics").signals;
    let settled: u64 = view.topics().values().map(|t| t.ensemble.n).sum();
    let briers: Vec<String> = view
        .miners()
        .values()
        .filter_map(|m| Some(format!("{} {:.4}", m.name, m.overall().track.brier()?)))
        .collect();
    let at = jiff::Timestamp::from_millisecond(twin.pace().now().millis()).map_or_else(|_| String::new(), |t| t.to_string());
    format!("{at}  settled {settled}  sold {received}  Brier: {}", briers.join("  "))
}

/// Waits until the customer has every issued signal.
async fn drain(running: &Running, bought: &SharedBought) {
    let deadline = clock::instant() + DRAIN;
    while clock::instant() < deadline {
        let issued: u64 = {
            let view = running.view.read().expect("no writer panics while holding the view");
            view.topics().values().map(|t| t.issued).sum()
        };
        if bought.lock().expect("the customer never panics").signals >= issued {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("warning: the customer is still behind after {} s", DRAIN.as_secs());
}

fn received(bought: &SharedBought, started: Instant) -> Received {
    let bought = bought.lock().expect("the customer never panics");
    Received {
        signals: bought.signals,
        holes: bought.holes,
        first_ms: bought.first.map(|at| at.duration_since(started).as_millis() as u64),
    }
}

fn report(args: &DemoArgs, summary: &Summary) {
    if args.json {
        println!("{}", serde_json::to_string(summary).expect("a summary is plain data"));
        return;
    }
    println!("{}", summary.text());
    println!("digest     {}", summary.digest);
    println!("check it   oraculo replay --check {}", summary.dir);
}
