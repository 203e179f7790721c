//! `oraculo model bench`: how long batches take on each engine, with rotating rows. Judges nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use forecaster::edge::check::{Latency, cost};
use forecaster::edge::{Engines, Model};
use forecaster::{Bundle, Device, EngineChoice, EngineKind};
use serde_json::json;

use crate::cmd::model_args::EngineArgs;

/// Distinct rows, so that no branch predictor learns one by heart.
const ROWS: usize = 8192;

/// Arguments of `oraculo model bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo model bench models/mlp\n  oraculo model bench models/mlp --engine ort --batches 1,64 --json"
)]
pub struct BenchArgs {
    /// The bundle.
    bundle: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
    /// Batch sizes [default: 1, 8, 64 and the manifest's largest].
    #[arg(long, value_delimiter = ',')]
    batches: Vec<usize>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Measures every engine that runs the model, or the one that is named.
pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    let bundle = Bundle::load(&args.bundle)?;
    let engines = args.engine.engines()?;
    let most = bundle.manifest().limits.max_batch as usize;
    let mut batches = if args.batches.is_empty() { vec![1, 8, 64, most] } else { args.batches.clone() };
    batches.retain(|n| (1..=most.min(ROWS)).contains(n));
    batches.sort_unstable();
    batches.dedup();
    if batches.is_empty() {
        bail!("no batch size between 1 and {most}, the bundle's max_batch");
    }
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for (kind, loaded) in candidates(&engines, args, &bundle) {
        match loaded.and_then(|mut model| measure(&mut model, &bundle, &batches)) {
            Ok(times) => found.extend(times),
            Err(error) if args.engine.engine == EngineChoice::Auto => {
                left_out.push((kind, format!("{error:#}")));
            }
            Err(error) => return Err(error),
        }
    }
    if args.json {
        let left_out: Vec<_> =
            left_out.iter().map(|(kind, why)| json!({"engine": kind, "reason": why})).collect();
        println!("{}", json!({"bundle": bundle.id().to_string(), "latency": found, "left_out": left_out}));
    } else {
        table(&found);
        for (kind, why) in &left_out {
            println!("{:<6} {why}", kind.name());
        }
    }
    Ok(if found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The model on every engine, or on the one that is named.
fn candidates(engines: &Engines, args: &BenchArgs, bundle: &Bundle) -> Vec<(EngineKind, Result<Model>)> {
    let kinds = match args.engine.engine {
        EngineChoice::Auto => EngineKind::ALL.to_vec(),
        EngineChoice::Only(kind) => vec![kind],
    };
    let load = |kind: EngineKind| {
        let only = engines.clone().choosing(EngineChoice::Only(kind));
        let device = if kind == EngineKind::Ort { args.engine.device } else { Device::Cpu };
        (kind, only.load(bundle, device).map_err(anyhow::Error::from))
    };
    kinds.into_iter().map(load).collect()
}

fn measure(model: &mut Model, bundle: &Bundle, batches: &[usize]) -> Result<Vec<Latency>> {
    if !model.takes_rows() {
        bail!("the bundle takes whole tensors; `oraculo model check` measures those");
    }
    let (width, rows) = (model.width(), rows(bundle, model.width()));
    let mut out = Vec::new();
    let mut answers = Vec::new();
    for n in batches {
        let kind = (model.engine(), model.report().chosen);
        out.push(cost::time(kind, *n, |i| {
            let start = i * n % (ROWS - n + 1);
            answers.clear();
            model.predict_into(&rows[start * width..(start + n) * width], *n, &mut answers)
        })?);
    }
    Ok(out)
}

/// Mixtures of the golden rows, or small numbers where there are none.
fn rows(bundle: &Bundle, width: usize) -> Vec<f32> {
    let pairs = bundle.golden().pairs();
    let number = |i: usize, j: usize| {
        let t = (i * 2_654_435_761 % 1000) as f32 / 1000.0;
        if pairs.is_empty() {
            return t - ((i + j * 7) % 11) as f32 / 11.0;
        }
        let (a, b) = (&pairs[i % pairs.len()].input, &pairs[(i * 7 + 3) % pairs.len()].input);
        a[j] * t + b[j] * (1.0 - t)
    };
    (0..ROWS).flat_map(|i| (0..width).map(move |j| number(i, j))).collect()
}

/// Times as a table.
pub fn table(found: &[Latency]) {
    if found.is_empty() {
        return;
    }
    println!(
        "{:<6} {:<8} {:>6} {:>11} {:>11} {:>11} {:>10}",
        "engine", "device", "batch", "min us", "p50 us", "p99 us", "us/row"
    );
    for l in found {
        println!(
            "{:<6} {:<8} {:>6} {:>11.2} {:>11.2} {:>11.2} {:>10.3}",
            l.engine.name(),
            format!("{:?}", l.provider).to_lowercase(),
            l.batch,
            l.min_us,
            l.p50_us,
            l.p99_us,
            l.min_us / l.batch as f64
        );
    }
}
