//! `oraculo model check`: everything that can be found out about a bundle before anybody relies on it. Changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use forecaster::edge::check::{Advice, advice};
use forecaster::edge::{CheckOptions, CheckReport, Engines, Finding, check_with};
use forecaster::{Bundle, Check, ForecasterError};
use schemas::Timestamp;
use serde_json::{Value, json};
use sim::{Day, WorldConfig};

use crate::cmd::model_args::EngineArgs;
use crate::dry_run::{self, DryRun};

/// Where the made-up day of the dry run begins: the same for everybody.
const DAY_S: i64 = 1_780_876_800;

/// Arguments of `oraculo model check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo model check models/mlp\n  oraculo model check models/mlp --engine rten --json\n  oraculo model check models/mlp --data ../shared/data/polymarket\n\nExit code 0 if every check passed, else 1. Every finding has a code, a cause and a cure."
)]
pub struct CheckArgs {
    /// The bundle.
    bundle: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
    /// A recorded day for the dry run: a folder with *BTC-5m-markets-*.jsonl.gz and *BTCUSD-prices-*.csv.gz
    /// [default: a simulated day].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Leave out the times of every engine and batch size and the dry run.
    #[arg(long)]
    quick: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Checks. Exit 1 if anything failed.
pub fn run(args: &CheckArgs) -> Result<ExitCode> {
    let bundle = match Bundle::load(&args.bundle) {
        Ok(bundle) => bundle,
        Err(ForecasterError::Bundle { check, detail }) => return Ok(refused(args, check, &detail)),
        Err(error) => return Err(error.into()),
    };
    let engines = args.engine.engines()?;
    let scratch = std::env::temp_dir().join(format!("oraculo-check-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).context("making a scratch folder")?;
    let options =
        CheckOptions { device: args.engine.device, scratch: Some(scratch.clone()), measure: !args.quick };
    let report = check_with(&engines, &bundle, &options);
    // A scratch folder that stays behind harms nobody.
    let _ = std::fs::remove_dir_all(&scratch);
    let mut report = report?;
    let dry = if args.quick { None } else { dry_run(args, &engines, &bundle, &mut report)? };
    let ok = report.passed();
    if args.json {
        println!("{}", as_json(&bundle, &report, dry.as_ref()));
    } else {
        print(&bundle, &report, dry.as_ref());
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A bundle that the static checks refuse.
fn refused(args: &CheckArgs, check: Check, detail: &str) -> ExitCode {
    let found = Finding { check, passed: false, detail: detail.to_owned() };
    if args.json {
        println!("{}", json!({"ok": false, "bundle": null, "findings": [finding(&found)]}));
    } else {
        line(&found);
    }
    ExitCode::FAILURE
}

/// The dry run and its finding.
fn dry_run(
    args: &CheckArgs,
    engines: &Engines,
    bundle: &Bundle,
    report: &mut CheckReport,
) -> Result<Option<DryRun>> {
    if let Some(reason) = dry_run::unfit(bundle) {
        let detail = format!("does not apply: {reason}");
        report.findings.push(Finding { check: Check::DryRun, passed: true, detail });
        return Ok(None);
    }
    let day = match &args.data {
        Some(dir) => {
            Day::recorded(dir).with_context(|| format!("reading the recorded day in {}", dir.display()))?
        }
        None => Day::simulated(WorldConfig { start: Timestamp::from_secs(DAY_S), ..WorldConfig::default() }),
    };
    let mut model = engines.load(bundle, args.engine.device)?;
    let found = dry_run::run(&mut model, bundle, &day)?;
    let source = if args.data.is_some() { "recorded" } else { "simulated" };
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.5}"));
    let detail = format!(
        "{} of {} questions of a {source} day answered; Brier {} (reference {}), log loss {} (reference {})",
        found.answered,
        found.questions,
        number(found.brier),
        number(found.reference_brier),
        number(found.log_loss),
        number(found.reference_log_loss)
    );
    report.findings.push(Finding { check: Check::DryRun, passed: found.answered > 0, detail });
    Ok(Some(found))
}

fn finding(found: &Finding) -> Value {
    let Advice { cause, cure } = advice::of(found.check);
    json!({
        "code": found.check.code(), "passed": found.passed, "detail": found.detail, "cause": cause, "cure": cure,
    })
}

fn as_json(bundle: &Bundle, report: &CheckReport, dry: Option<&DryRun>) -> Value {
    let shares = |table: &forecaster::edge::probe::ProviderTable| {
        let share = |(name, s): (&String, &forecaster::edge::probe::ProviderShare)| {
            (name.clone(), json!({"nodes": s.nodes, "micros": s.micros}))
        };
        json!({"requested": table.report.requested, "chosen": table.report.chosen.name(),
            "reason": table.report.reason, "nodes": table.shares.iter().map(share).collect::<Value>()})
    };
    json!({
        "ok": report.passed(), "bundle": bundle.id().to_string(), "name": bundle.manifest().name,
        "engine": report.engine, "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "nan_policy": report.nan_policy, "load_ms": report.load_ms, "latency": report.latency,
        "providers": report.providers.as_ref().map(shares), "dry_run": dry,
    })
}

fn line(found: &Finding) {
    println!("{} {:<22} {}", if found.passed { "ok  " } else { "FAIL" }, found.check.code(), found.detail);
    if !found.passed {
        let Advice { cause, cure } = found.advice();
        println!("     cause: {cause}\n     cure:  {cure}");
    }
}

fn print(bundle: &Bundle, report: &CheckReport, dry: Option<&DryRun>) {
    println!("bundle {} {} on {}", bundle.manifest().name, bundle.id(), report.engine.name());
    report.findings.iter().for_each(line);
    super::bench::table(&report.latency);
    for (reason, n) in dry.into_iter().flat_map(|d| &d.abstained) {
        println!("dry run: {n} questions without an answer: {reason}");
    }
}
