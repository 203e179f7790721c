//! `oraculo model import`: any ONNX file becomes a bundle; it says what it decided and what it noticed. Sends nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use forecaster::EngineChoice;
use forecaster::bundle::BundleLimits;
use forecaster::edge::import::{ImportOptions, Imported, import};
use forecaster::edge::{Engines, OrtEngine};
use serde_json::json;

use crate::assets;

/// Arguments of `oraculo model import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo model import power.onnx --out bundles/power --scaler power_scaler.npz --license MIT\n  \
                  oraculo model import up.onnx --out bundles/up --topic btc-usd.up-5m --features updown-1 --license MIT\n  \
                  oraculo model import up.onnx --out bundles/up --topic btc-usd.up-5m --features updown-1:tau_s,vol_15m"
)]
pub struct ImportArgs {
    /// The ONNX file, or a folder with one. Data outside the file is taken from the same folder only.
    model: PathBuf,
    /// The bundle's folder; it must not exist or be empty.
    #[arg(long)]
    out: PathBuf,
    /// Name of the bundle [default: the file's].
    #[arg(long)]
    name: Option<String>,
    /// Topic it forecasts; needs --features.
    #[arg(long, requires = "features")]
    topic: Option<String>,
    /// SPDX licence expression.
    #[arg(long)]
    license: Option<String>,
    /// Mean and scale of each column: npz, or JSON with two lists.
    #[arg(long, value_name = "FILE")]
    scaler: Option<PathBuf>,
    /// Feature set, and the features the model sees in its order: SET or SET:NAME,NAME...
    #[arg(long, value_name = "SET[:NAMES]", value_parser = parse_features)]
    features: Option<(String, Vec<String>)>,
    /// Size of a free dimension to try, NAME=SIZE; may be repeated.
    #[arg(long, value_name = "NAME=SIZE", value_parser = parse_pair::<u32>)]
    dim: Vec<(String, u32)>,
    /// Value of an input that never changes, NAME=VALUE; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair::<f64>)]
    constant: Vec<(String, f64)>,
    /// ONNX Runtime library or its folder [default: ORT_DYLIB_PATH, or vendor/onnxruntime nearby].
    #[arg(long, value_name = "PATH")]
    ort_lib: Option<PathBuf>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Imports and writes the bundle.
pub fn run(args: &ImportArgs) -> Result<ExitCode> {
    let used = std::fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some());
    if used || args.out.is_file() {
        bail!("{} is not empty; name a new folder with --out", args.out.display());
    }
    let library = assets::ort_search(args.ort_lib.clone()).find().and_then(|path| OrtEngine::open(&path));
    let engines = Engines::new(library, EngineChoice::Auto);
    let options = ImportOptions {
        name: args.name.clone(),
        topic: args.topic.clone(),
        license: args.license.clone(),
        scaler: args.scaler.clone(),
        features: args.features.clone(),
        dims: args.dim.clone(),
        constants: args.constant.clone(),
    };
    let done = import(&engines, &args.model, &options, &BundleLimits::default())
        .with_context(|| format!("importing {}", args.model.display()))?;
    done.parts.write(&args.out)?;
    if args.json {
        print_json(args, &done);
    } else {
        print(args, &done);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_json(args: &ImportArgs, done: &Imported) {
    let report = json!({
        "bundle": done.bundle.id().to_string(), "out": args.out.display().to_string(), "inlined": done.inlined,
        "manifest": done.bundle.manifest(), "notes": done.notes, "hosted": done.hosted.is_none(),
        "hosted_refusal": done.hosted,
        "golden": {"pairs": done.bundle.golden().pairs().len(), "cases": done.bundle.golden().cases().len()},
    });
    println!("{report}");
}

fn print(args: &ImportArgs, done: &Imported) {
    println!("{}", done.parts.manifest);
    for note in &done.notes {
        println!("{}: {}\n    {}", note.code, note.cause, note.cure);
    }
    match &done.hosted {
        None => println!("hosted: the pre-scan of a host would take it"),
        Some(note) => println!("hosted: {}\n    {}", note.cause, note.cure),
    }
    eprintln!("bundle {} written to {}", done.bundle.id(), args.out.display());
    eprintln!("next: read forecaster.toml, then `oraculo model check {}`", args.out.display());
}

#[allow(clippy::unnecessary_wraps, reason = "the form of a value parser")]
fn parse_features(text: &str) -> Result<(String, Vec<String>), String> {
    let (set, names) = text.split_once(':').unwrap_or((text, ""));
    let names = names.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
    Ok((set.to_owned(), names))
}

fn parse_pair<T: std::str::FromStr>(text: &str) -> Result<(String, T), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = value.parse().map_err(|_| format!("`{value}` is no such number"))?;
    Ok((name.to_owned(), value))
}
