//! `oraculo bench inference`: what running models costs beside the C interface, Python and lleaves in the same run, with
//! each target of docs/inference-bench.md and whether it is met. What cannot be measured here is named, never guessed.

mod calls;
mod clocks;
mod lanes;
mod peer;
mod raw;
mod reload;
mod targets;
mod workloads;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use forecaster::edge::{Engines, Search};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use peer::Peer;
use workloads::Workload;

/// How much is measured.
pub(super) struct Options {
    /// Turns of every contender.
    pub(super) rounds: usize,
    /// Reloads of each model.
    pub(super) reloads: usize,
}

/// Measures and gives the report.
pub(super) fn run(options: &Options) -> Result<Value> {
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let library = Search::here(None, env).find()?;
    let engines = Engines::open(&library)?;
    match workloads::prepare() {
        Ok((place, all)) => measure(&engines, &place, &all, options),
        // Without models there is nothing to measure; the report says so in place of numbers.
        Err(error) => {
            let why = format!("{error:#}");
            eprintln!("nothing is measured: {why}");
            Ok(targets::report(&targets::Measured::default(), vec![("everything".to_owned(), why)]))
        }
    }
}

fn measure(
    engines: &Engines,
    place: &workloads::Place,
    all: &[Workload],
    options: &Options,
) -> Result<Value> {
    let mut skipped = Vec::new();
    let (twins, main): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|w| w.name == "mlp2");
    let named = |name: &str| main.iter().find(|w| w.name == name).with_context(|| format!("no model {name}"));
    let bar = progress(main.iter().map(|w| calls::batches(&w.name).len()).sum());
    let mut peer = Peer::start(place)?;
    let calls = calls::run(engines, &main, &mut peer, options.rounds, &bar)?;
    drop(peer);
    bar.finish_and_clear();
    let bar = progress(main.len());
    let batching = part("batching", &mut skipped, lanes::batching(engines, &main, options.rounds, &bar));
    bar.finish_and_clear();
    let mut cadence = Map::new();
    for name in ["mlp", "lgbm"] {
        let found = part("cadence", &mut skipped, lanes::cadence(engines, named(name)?, options.rounds));
        cadence.extend(found.map(|figures| (name.to_owned(), figures)));
    }
    let bar = progress(options.reloads * (1 + main.len()));
    bar.set_message("reloads under load");
    let twin = twins.first().context("no second version of mlp")?;
    let reload = reload::under_load(engines, [named("mlp")?, twin], options.reloads, &bar);
    let reload = part("reload", &mut skipped, reload);
    let growth = part("growth", &mut skipped, reload::growth(engines, &main, options.reloads, &bar));
    bar.finish_and_clear();
    let measured = targets::Measured { calls, batching, cadence, reload, growth };
    Ok(targets::report(&measured, skipped))
}

/// A part that failed is named in the report with its reason; the others go on.
fn part<T>(name: &str, skipped: &mut Vec<(String, String)>, found: Result<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            eprintln!("{name} is not measured: {error:#}");
            skipped.push((name.to_owned(), format!("{error:#}")));
            None
        }
    }
}

/// A bar on stderr, silent where nobody looks.
fn progress(total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:32} {wide_bar} {pos}/{len} ETA {eta}")
        .expect("the template is a constant");
    ProgressBar::new(total as u64).with_style(style)
}

/// The report for people: a line for each target.
pub(super) fn table(report: &Value) -> String {
    let mut out = String::new();
    for target in report["targets"].as_array().into_iter().flatten() {
        let met = match target["met"].as_bool() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        };
        let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
        let measured = match &target["measured"] {
            Value::Null => target["reason"].as_str().unwrap_or_default().to_owned(),
            Value::Number(n) => format!("{:.3}", n.as_f64().unwrap_or(f64::NAN)),
            other => other.to_string(),
        };
        let line = format!("{:4} {:12} {:52} {measured}\n", text("id"), met, text("target"));
        out.push_str(&line);
    }
    out
}
