//! `oraculo features`: what the feature sets are, and datasets made of them by the code that serves live rows.

mod archive;
mod candles;
mod dataset;
mod export;
mod source;
mod write;

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use forecaster::features::{self, FeatureSet, doc};
use serde_json::json;

/// Arguments of `oraculo features`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo features list\n  oraculo features export --sim 7 --days 3 --out train.npz"
)]
pub struct FeaturesArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the feature sets, or the features of one: formula, unit, legal range, source.
    List(ListArgs),
    /// Write a dataset for training: one row a market and question time, with reference and outcome.
    Export(export::ExportArgs),
}

/// Arguments of `oraculo features list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo features list --set updown-1 --json")]
struct ListArgs {
    /// The set [default: all].
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
    /// The table of docs/features.md.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs one of the sub-commands.
pub fn run(args: FeaturesArgs) -> Result<ExitCode> {
    match args.action {
        Action::List(args) => list(&args),
        Action::Export(args) => export::run(&args),
    }
}

/// An error with its code, as every message of this command ends.
fn coded(code: &str, text: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{text} [{code}]")
}

/// The set of this name.
fn set(name: &str) -> Result<&'static FeatureSet> {
    let known = || features::SETS.iter().map(|set| set.name).collect::<Vec<_>>().join(", ");
    features::set(name).ok_or_else(|| {
        coded("unknown_feature_set", format!("no feature set is called {name:?}; there is: {}", known()))
    })
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let sets: Vec<&FeatureSet> = match &args.set {
        Some(name) => vec![set(name)?],
        None => features::SETS.iter().collect(),
    };
    if args.json {
        let sets: Vec<_> = sets.iter().map(|set| set_json(set)).collect();
        println!("{}", json!({ "sets": sets }));
        return Ok(ExitCode::SUCCESS);
    }
    for set in sets {
        if args.markdown {
            print!("{}", doc::table(set));
            continue;
        }
        println!("{}  {} features, looks back {} s", set.name, set.width(), set.lookback_s);
        for (i, spec) in set.specs.iter().enumerate() {
            println!("{i:>4} {:<18} {:<12} {}", spec.name, spec.source.name(), spec.formula);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn set_json(set: &FeatureSet) -> serde_json::Value {
    let feature = |spec: &features::Spec| {
        json!({
            "name": spec.name, "formula": spec.formula, "unit": spec.unit, "least": spec.least, "most": spec.most,
            "source": spec.source.name(), "missing": spec.missing,
        })
    };
    let features: Vec<_> = set.specs.iter().map(feature).collect();
    json!({ "name": set.name, "lookback_s": set.lookback_s, "features": features })
}
