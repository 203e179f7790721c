//! `oraculo backtest`: replays a finished run through the live machines and writes tables and an evaluation.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use backtests::{Collector, Evaluation};
use bus::BusError;
use clap::Args;

use crate::cmd::progress;
use crate::replay;
use crate::run_dir::RunDir;

/// Arguments of `oraculo backtest`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo backtest runs/one --out runs/one/tables")]
pub struct BacktestArgs {
    /// The run's folder.
    dir: PathBuf,
    /// Where to write the tables and evaluation.json [default: <DIR>/tables].
    #[arg(long)]
    out: Option<PathBuf>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Replays, collects, evaluates.
pub fn run(args: BacktestArgs) -> Result<ExitCode> {
    let dir = RunDir::open(&args.dir)?;
    let total = dir.manifest()?.finished.map_or(0, |f| f.last_seq);
    let bar = progress::records(total, "replaying");
    let mut collector = Collector::new();
    let mut watch = |entry: &schemas::Entry| {
        collector.observe(entry).map_err(|error| match error {
            backtests::BacktestError::Body { seq, source, .. } => {
                BusError::Body { seq, stream: entry.stream, source }
            }
            backtests::BacktestError::Write { .. } | backtests::BacktestError::Read { .. } => {
                unreachable!("observing touches no file")
            }
        })
    };
    replay::replay(&dir, &mut watch, &mut |seq| bar.set_position(seq))?;
    bar.finish_and_clear();
    let tables = collector.finish();
    let evaluation = backtests::evaluate(&tables);
    let out = args.out.unwrap_or_else(|| args.dir.join("tables"));
    fs::create_dir_all(&out).with_context(|| format!("creating {}", out.display()))?;
    let json = serde_json::to_string_pretty(&evaluation).context("encoding the evaluation")?;
    fs::write(out.join("evaluation.json"), json + "\n")
        .with_context(|| format!("writing to {}", out.display()))?;
    write_tables(&tables, &out)?;
    if args.json {
        println!("{}", serde_json::to_string(&evaluation).context("encoding the evaluation")?);
    } else {
        print(&evaluation);
        println!("\ntables and evaluation.json are in {}", out.display());
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "backtests")]
fn write_tables(tables: &backtests::Tables, out: &std::path::Path) -> Result<()> {
    backtests::parquet::write(tables, out)?;
    Ok(())
}

#[cfg(not(feature = "backtests"))]
#[allow(clippy::unnecessary_wraps, reason = "the same signature with and without polars")]
fn write_tables(_: &backtests::Tables, _: &std::path::Path) -> Result<()> {
    eprintln!(
        "note: this binary was built without the feature `backtests`: no Parquet tables, only evaluation.json"
    );
    Ok(())
}

fn print(evaluation: &Evaluation) {
    println!(
        "{:<22} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "topic", "n", "brier", "log", "baseline", "skill", "market"
    );
    for (topic, e) in &evaluation.topics {
        let market = e.market_brier.map_or_else(|| "-".to_owned(), |b| format!("{b:.5}"));
        println!(
            "{topic:<22} {:>5} {:>9.5} {:>9.5} {:>9.5} {:>8.2}% {market:>9}",
            e.n,
            e.brier,
            e.log,
            e.baseline_brier,
            100.0 * e.skill_vs_baseline
        );
    }
    println!(
        "\n{:<14} {:<9} {:>5} {:>8} {:>9} {:>9} {:>14}",
        "miner", "kind", "n", "missing", "brier", "baseline", "stake change"
    );
    for m in evaluation.miners.values() {
        let show = |b: Option<f64>| b.map_or_else(|| "-".to_owned(), |b| format!("{b:.5}"));
        println!(
            "{:<14} {:<9} {:>5} {:>8} {:>9} {:>9} {:>14.6}",
            m.name,
            m.kind,
            m.n,
            m.missing,
            show(m.brier),
            show(m.baseline_brier),
            m.delta_micros as f64 / 1e6
        );
    }
    println!("\nledger: {} postings, sum {} micros", evaluation.postings, evaluation.sum_micros);
}
