//! `oraculo demo`: every role in one process, on a simulated or a recorded day, with one paying customer.
#![allow(clippy::disallowed_methods, reason = "node starts tasks")]

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use indicatif::ProgressBar;
use schemas::Timestamp;
use sim::{Day, Speed, WorldConfig};

use crate::clock;
use crate::cmd::model_args::ModelArgs;
use crate::cmd::progress;
use crate::demo_plan;
use crate::demo_run::{DemoOptions, DemoRun};
use crate::guest::Watch;
use crate::signals::Signals;
use crate::summary::Summary;

/// Where the simulated world begins, 2026-06-08: runs of one seed are equal, and its venue settles by the last value, as
/// the real one did until 2026-08-06.
const WORLD_START_S: i64 = 1_780_876_800;
/// Price history before the first market: enough for a volatility, and the first signal comes soon.
const HISTORY_S: u32 = 240;
/// How long a demo runs where nobody sits at a terminal, seconds.
const UNATTENDED_S: u64 = 120;

/// How often the demo is looked at.
const BEAT: Duration = Duration::from_millis(100);

/// Arguments of `oraculo demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo demo\n  oraculo demo --for 60 --seed 7 --json\n  oraculo demo --data ../shared/data/polymarket --json\n  oraculo demo --bundle my-model --until-scored my-model"
)]
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
    /// Address of the API and the dashboard; port 0 picks a free one [default: 127.0.0.1:8787, or a free port].
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// A bundle's folder: one more miner runs it, under the bundle's name; may be given again.
    #[arg(long = "bundle", value_name = "DIR")]
    bundles: Vec<PathBuf>,
    /// Stop once a prediction of this miner is scored; fails if the demo ends before.
    #[arg(long, value_name = "NAME")]
    until_scored: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
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
    let mut guests = args.guests(started)?;
    let day = day(&args)?;
    let markets = day.markets.len();
    let demo = DemoRun::start(args.options(day, started)).await?;
    greet(&args, &demo, markets);
    watch(&args, &demo, &mut guests, started).await?;
    if !demo.drain().await {
        eprintln!("warning: the customer is still behind");
    }
    let mut end = demo.finish().await?;
    end.summary.guests = guests.reports(&end.summary.miners);
    if end.stalls > 0 {
        eprintln!(
            "warning: simulated time ran ahead {} times because something did not settle in time",
            end.stalls
        );
    }
    report(&args, &end.summary);
    if let Some(name) = args.until_scored.as_ref().filter(|name| !guests.is_scored(name)) {
        eprintln!("error: no prediction of {name} was scored; give the demo more time with --for");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

impl DemoArgs {
    fn options(&self, day: Day, started: Instant) -> DemoOptions {
        let recorded = self.data.as_ref();
        let standard = if recorded.is_some() { Speed::Max } else { Speed::Factor(60.0) };
        DemoOptions {
            day,
            speed: self.speed.unwrap_or(standard),
            dir: self.dir.clone().unwrap_or_else(|| default_dir(self.seed)),
            seed: self.seed,
            source: recorded.map_or_else(
                || format!("simulated day, seed {}", self.seed),
                |dir| format!("recorded day in {}", dir.display()),
            ),
            epoch_s: if recorded.is_some() { 3_600 } else { 900 },
            models: self.model.models.clone(),
            guests: self.bundles.clone(),
            ort_lib: self.model.ort_lib.clone(),
            engine: self.model.engine,
            device: self.model.device,
            listen: self.listen.unwrap_or_else(free_address),
            probe: None,
            started,
        }
    }

    /// The miners whose first score is reported.
    fn guests(&self, started: Instant) -> Result<Watch> {
        let mut names: Vec<String> =
            demo_plan::guest_names(&self.bundles)?.into_iter().map(|(name, _)| name).collect();
        if let Some(name) = &self.until_scored {
            let known = names.contains(name) || demo_plan::has_miner(name);
            ensure!(known, "--until-scored {name}: no such miner; bring its bundle with --bundle DIR");
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Ok(Watch::new(names, started))
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
        Some(dir) => {
            Day::recorded(dir).with_context(|| format!("reading the recorded day in {}", dir.display()))
        }
        None => Ok(Day::simulated(WorldConfig {
            seed: args.seed,
            start: Timestamp::from_secs(WORLD_START_S),
            length_s: 86_400,
            history_s: HISTORY_S,
            ..WorldConfig::default()
        })),
    }
}

/// The usual address, or a free port beside another demo that has it.
fn free_address() -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], 8787));
    match std::net::TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

fn default_dir(seed: u64) -> PathBuf {
    let now = clock::wall_now().secs();
    Path::new("runs").join(format!("demo-{now}-{}-{seed}", std::process::id()))
}

fn greet(args: &DemoArgs, demo: &DemoRun, markets: usize) {
    eprintln!("dashboard  {}", demo.running.url());
    eprintln!("run        {}", demo.dir.root().display());
    let what = if args.data.is_some() { "recorded" } else { "simulated" };
    let miners = 5 + args.bundles.len();
    eprintln!(
        "day        {what}, {markets} markets; twin -> ingest -> {miners} miners -> 3 validators -> api -> 1 customer"
    );
    if let Some(limit) = args.limit() {
        eprintln!(
            "stops      after {} s (Ctrl-C stops sooner; --for 0 runs to the day's end)",
            limit.as_secs()
        );
    }
}

/// Shows a live line until the day ends, time is up, or somebody stops it.
async fn watch(args: &DemoArgs, demo: &DemoRun, guests: &mut Watch, started: Instant) -> Result<()> {
    let bar = progress::line();
    let mut tick = tokio::time::interval(BEAT);
    let mut beat = 0_u32;
    let limit = args.limit();
    let done = demo.twin.done();
    tokio::pin!(done);
    let mut signals = Signals::new()?;
    loop {
        tokio::select! {
            () = &mut done => break,
            () = signals.stop() => break,
            _ = tick.tick() => {
                if demo.running.is_down() {
                    bail!("the kernel stopped; the log above says why");
                }
                guests.look(&demo.running);
                if beat.is_multiple_of(5) {
                    show(&bar, &live_line(demo), beat.is_multiple_of(50));
                }
                beat += 1;
                let enough = args.until_scored.as_ref().is_some_and(|name| guests.is_scored(name));
                if enough || limit.is_some_and(|limit| started.elapsed() >= limit) {
                    break;
                }
            }
        }
    }
    guests.look(&demo.running);
    bar.finish_and_clear();
    Ok(())
}

/// On a terminal the line is rewritten; elsewhere it is printed now and then.
fn show(bar: &ProgressBar, line: &str, now_and_then: bool) {
    bar.set_message(line.to_owned());
    bar.tick();
    if now_and_then && !std::io::stderr().is_terminal() {
        eprintln!("{line}");
    }
}

/// Questions settled, signals sold, and for every miner its Brier score beside the reference's and its stake change.
fn live_line(demo: &DemoRun) -> String {
    let view = demo.running.view.read().expect("no writer panics while holding the view");
    let settled: u64 = view.topics().values().map(|t| t.ensemble.n).sum();
    let miners: Vec<String> = view
        .miners()
        .values()
        .filter_map(|m| {
            let (overall, change) = (m.overall(), (m.stake.0 - m.stake_start.0) as f64 / 1e6);
            Some(format!(
                "{} {:.3}/{:.3} {change:+.2}",
                m.name,
                overall.track.brier()?,
                overall.reference_loss()?
            ))
        })
        .collect();
    let now = demo.twin.pace().now().secs();
    let at = jiff::Timestamp::from_second(now).map_or_else(|_| String::new(), |t| t.to_string());
    format!(
        "{at}  settled {settled}  sold {}  Brier/reference payout: {}",
        demo.received(),
        miners.join(" | ")
    )
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
