//! `oraculo features export`: a dataset for training from recorded days, simulated days, candles or archives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use forecaster::features::{FeatureSet, Gate, Needs};
use schemas::time::NANOS_PER_SEC;
use serde_json::{Value, json};

use super::dataset::{Dataset, Plan};
use super::source::Source;
use super::write::{self, Form};
use super::{coded, set};
use crate::cmd::progress;
use crate::genesis::{HORIZONS_S, MAX_INPUT_AGE_NS};

/// Horizons that fall on the ends of minute candles, seconds.
const CANDLE_HORIZONS_S: [u32; 4] = [60, 120, 180, 240];
/// Length of the markets made from candles, seconds.
const INTERVAL_S: u32 = 300;
/// Least history before a question, ns: the miners' own default.
const MIN_HISTORY_NS: i64 = 120 * NANOS_PER_SEC;
/// Most rows of a dataset.
const MAX_ROWS: usize = 4_000_000;
/// Share of the days that the proposed split keeps for validation.
const VALIDATION_SHARE: f64 = 0.25;
/// Length of a day.
const DAY_S: i64 = 86_400;

/// Arguments of `oraculo features export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo features export --sim 7 --days 30 --out train.npz\n  oraculo features export --candles candles_1m.csv.gz --every 60 --out train.csv\n  oraculo features export --data ../shared/data/polymarket --out day.npz --json"
)]
#[command(group = clap::ArgGroup::new("from").required(true).args(["data", "candles", "archive", "sim"]))]
pub(super) struct ExportArgs {
    /// A recorded day: a folder with *BTC-5m-markets-*.jsonl.gz and *BTCUSD-prices-*.csv.gz, any date.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Minute candles (columns timestamp and close, CSV or CSV.GZ), or a folder with one such file *_1m*; each close is
    /// an index value at its candle's end, and the markets' strikes and outcomes are closes.
    #[arg(long, value_name = "PATH")]
    candles: Option<PathBuf>,
    /// An archive of `oraculo record` or `oraculo archive import` with an index and its markets' lives.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// The index pair of the archive.
    #[arg(long, default_value = "btc/usd", value_name = "PAIR", requires = "archive")]
    symbol: String,
    /// Simulated days from this seed on: day k has the seed SEED + k.
    #[arg(long, value_name = "SEED")]
    sim: Option<u64>,
    /// How many simulated days.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3_650), requires = "sim")]
    days: u32,
    /// Feature set.
    #[arg(long, default_value = "updown-1", value_name = "NAME")]
    set: String,
    /// The columns, separated by commas; a row lacking one of them is left out [default: all the source can give].
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    features: Vec<String>,
    /// When questions open, seconds after the market's start [default: 60,150,240; 60,120,180,240 for candles].
    #[arg(long, value_delimiter = ',', value_name = "SECONDS")]
    horizons: Vec<u32>,
    /// Seconds between the starts of markets made from candles.
    #[arg(long, default_value_t = INTERVAL_S, value_parser = clap::value_parser!(u32).range(60..=86_400), requires = "candles")]
    every: u32,
    /// The dataset: NAME.csv or NAME.npz; NAME.json beside it says what it is.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace an existing dataset.
    #[arg(long)]
    overwrite: bool,
    /// What was written as one JSON object on the last line of stdout.
    #[arg(long)]
    json: bool,
}

/// Exports.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode> {
    let form = Form::of(&args.out)?;
    let sidecar = args.out.with_extension("json");
    for path in [&args.out, &sidecar] {
        if path.exists() && !args.overwrite {
            return Err(coded("out_exists", format!("{} exists; pass --overwrite", path.display())));
        }
    }
    let mut source = args.source()?;
    let plan = args.plan(&source)?;
    let data = play(&mut source, &plan)?;
    let names: Vec<&str> = plan.columns.iter().map(|c| plan.set.names[*c]).collect();
    let digest = write::write(&args.out, form, &data, &names)?;
    let about = about(args, &source, &plan, &data, &names, &digest);
    fs::write(&sidecar, format!("{about:#}\n")).with_context(|| format!("writing {}", sidecar.display()))?;
    report(args, &about, &sidecar);
    Ok(ExitCode::SUCCESS)
}

impl ExportArgs {
    fn source(&self) -> Result<Source> {
        if let Some(dir) = &self.archive {
            return Source::archive(dir, &self.symbol);
        }
        match (&self.data, &self.candles, self.sim) {
            (Some(dir), ..) => Source::recorded(dir),
            (_, Some(path), _) => {
                if !self.every.is_multiple_of(60) {
                    return Err(coded("bad_every", "--every must be a multiple of 60"));
                }
                Source::candles(path, INTERVAL_S, self.every)
            }
            (_, _, seed) => Ok(Source::Simulated(seed.unwrap_or_default(), self.days)),
        }
    }

    fn plan(&self, source: &Source) -> Result<Plan> {
        let set: &'static FeatureSet = set(&self.set)?;
        let position = |name: &String| {
            set.position(name).ok_or_else(|| {
                let text = format!("{name:?} is no feature of {}; see `oraculo features list`", set.name);
                coded("unknown_feature", text)
            })
        };
        let named: Result<Vec<usize>> = self.features.iter().map(position).collect();
        let mut columns = named?;
        if columns.is_empty() {
            columns = set.supplied_by(source.origins()).columns().collect();
        }
        let mut horizons_s = self.horizons.clone();
        if horizons_s.is_empty() {
            let candles = self.candles.is_some();
            horizons_s = if candles { CANDLE_HORIZONS_S.to_vec() } else { HORIZONS_S.to_vec() };
        }
        horizons_s.sort_unstable();
        horizons_s.dedup();
        let gate = Gate {
            needs: columns.iter().copied().collect::<Needs>(),
            min_history_ns: MIN_HISTORY_NS,
            max_input_age_ns: MAX_INPUT_AGE_NS,
        };
        Ok(Plan { set, gate, columns, horizons_s })
    }
}

fn play(source: &mut Source, plan: &Plan) -> Result<Dataset> {
    let bar = progress::records(source.len() as u64, "segments");
    let mut data = Dataset::default();
    for index in 0..source.len() {
        let segment = source.take(index)?;
        data.play(&segment, plan);
        if data.rows.len() > MAX_ROWS {
            return Err(coded("too_many_rows", format!("more than {MAX_ROWS} rows; ask for fewer days")));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if data.rows.is_empty() {
        let why: Vec<String> = data.skipped.iter().map(|(why, n)| format!("{why}: {n}")).collect();
        let why = if why.is_empty() { "no question fits in the records".to_owned() } else { why.join(", ") };
        return Err(coded("no_rows", format!("there is no row to write ({why})")));
    }
    Ok(data)
}

/// What the sidecar says.
fn about(
    args: &ExportArgs,
    source: &Source,
    plan: &Plan,
    data: &Dataset,
    names: &[&str],
    digest: &str,
) -> Value {
    let up = data.rows.iter().filter(|r| r.up).count();
    let brier = |p: &dyn Fn(f64) -> f64| {
        let loss = data.rows.iter().map(|r| (p(r.reference) - f64::from(u8::from(r.up))).powi(2));
        loss.sum::<f64>() / data.rows.len() as f64
    };
    json!({
        "file": args.out.file_name().map(|n| n.to_string_lossy()),
        "feature_set": plan.set.name,
        "lookback_s": plan.set.lookback_s,
        "features": names,
        "set_features": plan.set.names,
        "source": source.name(),
        "rows": data.rows.len(),
        "skipped": data.skipped,
        "horizons_s": plan.horizons_s,
        "from_s": data.rows.iter().map(|r| r.start_s).min(),
        "to_s": data.rows.iter().map(|r| r.close_s).max(),
        "up_share": up as f64 / data.rows.len() as f64,
        "reference": ingest::reference::SOURCE,
        "reference_brier": brier(&|p| p),
        "split": split(data, plan),
        "blake3": digest,
        "made_by": format!("oraculo {}", env!("CARGO_PKG_VERSION")),
    })
}

/// A split by time that leaks nothing: whole days where there are several, and one lookback left out in between.
fn split(data: &Dataset, plan: &Plan) -> Value {
    let first = data.rows.iter().map(|r| r.start_s).min().unwrap_or(0);
    let last = data.rows.iter().map(|r| r.close_s).max().unwrap_or(0);
    let days = (last - 1).div_euclid(DAY_S) - first.div_euclid(DAY_S) + 1;
    let unit = if days >= 2 { DAY_S } else { i64::from(INTERVAL_S) };
    let units = (last - 1).div_euclid(unit) - first.div_euclid(unit) + 1;
    let kept = ((units as f64 * VALIDATION_SHARE).round() as i64).max(1);
    let border = ((last - 1).div_euclid(unit) + 1 - kept) * unit;
    let purge = i64::from(plan.set.lookback_s);
    json!({ "train_closes_by_s": border - purge, "validate_starts_from_s": border, "purge_s": purge })
}

fn report(args: &ExportArgs, about: &Value, sidecar: &Path) {
    if args.json {
        println!("{about}");
        return;
    }
    println!("rows      {} of {}", about["rows"], about["source"].as_str().unwrap_or_default());
    println!("features  {} of {}", about["features"].as_array().map_or(0, Vec::len), about["feature_set"]);
    println!("skipped   {}", about["skipped"]);
    println!("reference Brier {}", about["reference_brier"]);
    println!("blake3    {}", about["blake3"].as_str().unwrap_or_default());
    println!("out       {} and {}", args.out.display(), sidecar.display());
}
