//! `oraculo automl`: from prices to the best bundle with its honest score, in one command. Never trains itself: the
//! kit does, on rows that `features export` computes, and `model check` judges the file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::cmd::progress;
use crate::kit::{self, Kit};

/// Lines of a child's talk that are kept for an error.
const TALK_LINES: usize = 20;

/// Arguments of `oraculo automl`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo automl --topic btc-usd.up-5m --sim 7 --days 14 --out my-model\n  oraculo automl --topic btc-usd.up-5m --candles FILE.csv.gz --models logistic,lightgbm --json\n  \"$(oraculo automl --python)\" my-model/train.py     Python with the kit, made once"
)]
pub struct AutomlArgs {
    /// Prefix of the topics the forecaster answers.
    #[arg(long, default_value = crate::genesis::TOPIC_PREFIX)]
    topic: String,
    /// A dataset of `oraculo features export` (FILE.npz or FILE.csv with its FILE.json), or a recorded day's folder.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["candles", "sim"])]
    data: Option<PathBuf>,
    /// One-minute candles, as `oraculo features export` reads them.
    #[arg(long, value_name = "FILE", conflicts_with = "sim")]
    candles: Option<PathBuf>,
    /// Simulated days of this seed.
    #[arg(long, value_name = "SEED")]
    sim: Option<u64>,
    /// How many simulated days.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(2..=366))]
    days: u32,
    /// Feature set to export.
    #[arg(long, value_name = "SET")]
    set: Option<String>,
    /// Folder of the bundle.
    #[arg(long, default_value = "best-model")]
    out: PathBuf,
    /// Name of the forecaster [default: the folder's].
    #[arg(long)]
    name: Option<String>,
    /// Licence of the bundle, an SPDX expression.
    #[arg(long, default_value = "MIT OR Apache-2.0")]
    license: String,
    /// Models to try.
    #[arg(long, default_value = "logistic,lightgbm,mlp,gru", value_name = "LIST")]
    models: String,
    /// Train no further model after this time; what was trained is as it would be without a limit.
    #[arg(long)]
    minutes: Option<f64>,
    /// Seed of everything that is drawn: the same seed and data give the same bundle.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Python that makes the kit's environment.
    #[arg(long, default_value = "python3", env = "ORACULO_PYTHON", value_name = "PATH")]
    interpreter: String,
    /// Only make the kit's environment and print its Python.
    #[arg(long)]
    python: bool,
    /// The report as one JSON object on the last line of stdout.
    #[arg(long)]
    json: bool,
}

/// A step of the kit.
#[derive(Deserialize)]
struct Step {
    stage: String,
    done: u64,
    of: u64,
}

/// Exports, trains, compares, checks and reports.
pub fn run(args: &AutomlArgs) -> Result<ExitCode> {
    let started = clock::instant();
    let bar = progress::steps();
    let kit = kit::prepare(&kit::cache_dir()?, &args.interpreter, |what| tell(&bar, what))?;
    if args.python {
        bar.finish_and_clear();
        println!("{}", kit.python.display());
        return Ok(ExitCode::SUCCESS);
    }
    let data = dataset(args, &bar)?;
    let mut report = train(args, &kit, &data, &bar)?;
    bar.set_message("checking the bundle");
    report["check"] = check(&args.out)?;
    bar.finish_and_clear();
    report["data"] = json!(data.display().to_string());
    report["environment_installed"] = json!(kit.installed);
    report["wall_s"] = json!(started.elapsed().as_secs_f64());
    if args.json {
        println!("{report}");
    } else {
        print(&report);
    }
    Ok(ExitCode::SUCCESS)
}

/// The dataset that was named, or a fresh one in the bundle's folder.
fn dataset(args: &AutomlArgs, bar: &ProgressBar) -> Result<PathBuf> {
    if let Some(data) = args.data.as_ref().filter(|data| !data.is_dir()) {
        ensure!(
            data.is_file(),
            "training_data: --data {}: no such file; `oraculo features export` makes one",
            data.display()
        );
        return Ok(data.clone());
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("creating {}", args.out.display()))?;
    let file = args.out.join("data.npz");
    let mut command = own()?;
    command.args(["features", "export", "--overwrite"]);
    match (&args.data, &args.candles, args.sim) {
        (Some(day), ..) => command.arg("--data").arg(day),
        (_, Some(candles), _) => command.arg("--candles").arg(candles),
        (_, _, Some(seed)) => command.args(["--sim", &seed.to_string(), "--days", &args.days.to_string()]),
        _ => bail!(
            "training_data: say what to learn from: --candles FILE, --sim SEED (with --days N), or --data FILE of \
             `oraculo features export`"
        ),
    };
    if let Some(set) = &args.set {
        command.args(["--set", set]);
    }
    tell(bar, "computing features");
    let out =
        command.arg("--out").arg(&file).stdin(Stdio::null()).output().context("starting features export")?;
    ensure!(
        out.status.success() && file.is_file(),
        "training_data: `oraculo features export` failed: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    Ok(file)
}

/// Runs the kit's `best`, showing its steps; returns its report.
fn train(args: &AutomlArgs, kit: &Kit, data: &Path, bar: &ProgressBar) -> Result<Value> {
    let mut command = Command::new(&kit.python);
    command.args(["-m", "oraculo_training", "best", "--json", "--progress", "--models", &args.models]);
    command.args(["--topic", &args.topic, "--license", &args.license, "--seed", &args.seed.to_string()]);
    command.arg("--data").arg(data).arg("--out").arg(&args.out);
    if let Some(name) = &args.name {
        command.args(["--name", name]);
    }
    if let Some(minutes) = args.minutes {
        ensure!(minutes.is_finite() && minutes >= 0.0, "--minutes {minutes} is no time");
        command.args(["--minutes", &minutes.to_string()]);
    }
    // A file takes the report whatever its length: two pipes could block each other.
    std::fs::create_dir_all(&args.out).with_context(|| format!("creating {}", args.out.display()))?;
    let path = args.out.join(".report.json");
    let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    let child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::piped()).spawn();
    let mut child = child.context("starting the training kit")?;
    let kept = follow(child.stderr.take().expect("stderr is piped"), bar);
    ensure!(child.wait().context("waiting for the kit")?.success(), "training_failed: {}", kept.trim());
    let text = std::fs::read_to_string(&path).context("reading the kit's report")?;
    std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    let line = text.lines().last().context("the training kit reported nothing")?;
    serde_json::from_str(line).context("the training kit's report")
}

/// Moves the bar with the kit's steps; returns the last lines that were no steps.
fn follow(talk: impl std::io::Read, bar: &ProgressBar) -> String {
    let mut kept: VecDeque<String> = VecDeque::new();
    for line in BufReader::new(talk).lines().map_while(Result::ok) {
        if let Ok(step) = serde_json::from_str::<Step>(&line) {
            bar.set_length(step.of + 1);
            bar.set_position(step.done);
            bar.set_message(match step.stage.as_str() {
                "test" => "opening the test part".to_owned(),
                "done" => "trained".to_owned(),
                model => format!("training {model}"),
            });
            continue;
        }
        if kept.len() == TALK_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    Vec::from(kept).join("\n")
}

/// What `oraculo model check` says of the winner. A bundle that fails is no result.
fn check(bundle: &Path) -> Result<Value> {
    let out = own()?.args(["model", "check", "--json"]).arg(bundle).stdin(Stdio::null()).output();
    let out = out.context("starting model check")?;
    let text = String::from_utf8_lossy(&out.stdout);
    let verdict = text.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or(Value::Null);
    ensure!(
        out.status.success(),
        "training_check: the bundle must not be used; see every finding with its cure: oraculo model check {}\n{}",
        bundle.display(),
        String::from_utf8_lossy(&out.stderr).trim()
    );
    Ok(verdict)
}

/// This very program.
fn own() -> Result<Command> {
    Ok(Command::new(std::env::current_exe().context("finding this program")?))
}

fn tell(bar: &ProgressBar, what: &'static str) {
    bar.set_message(what);
    bar.tick();
    if bar.is_hidden() {
        eprintln!("{what}");
    }
}

fn print(report: &Value) {
    let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    println!(
        "{:<11}{:<12}{:>7}{:>10}{:>10}{:>8}  {:<18} calibration",
        "part", "model", "rows", "Brier", "log", "ECE", "Brier − reference"
    );
    for candidate in report["candidates"].as_array().into_iter().flatten() {
        let how = format!("  {}", text(&candidate["calibration"]["kind"]));
        println!("{}{how}", row("validation", &text(&candidate["model"]), &candidate["validation"]));
    }
    println!("{}", row("test", &text(&report["winner"]), &report["test"]));
    for model in report["left_out"].as_array().into_iter().flatten() {
        println!("{:<11}{:<12} not trained: --minutes was over", "", text(model));
    }
    let test = &report["test"];
    println!(
        "\nThe validation part chose the winner. The test part was opened once, after that: its score is the honest one."
    );
    println!(
        "A coin scores 0.25000 (Brier) and 0.69315 (log). Errors are over blocks of {} s.",
        test["coin"]["brier_difference"]["block_s"]
    );
    println!("verdict    {}", text(&report["verdict"]));
    if report["test_opened"].as_u64().is_some_and(|n| n > 1) {
        println!(
            "But the test part of this very dataset was opened {} times by now: what you changed in between, you may have chosen on it.",
            report["test_opened"]
        );
    }
    println!(
        "\nbundle     {}  ({}, licence {})",
        text(&report["bundle"]),
        text(&report["winner"]),
        text(&report["license"])
    );
    println!(
        "data       {}, SHA-256 {}",
        text(&report["provenance"]["data"]["source"]),
        text(&report["provenance"]["data"]["sha256"])
    );
    println!("next       oraculo model deploy {}", text(&report["bundle"]));
}

/// One line of scores; the error of the difference is over blocks of time.
fn row(part: &str, model: &str, s: &Value) -> String {
    let number = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
    let gap = &s["reference"]["brier_difference"];
    let gap = match (gap["mean"].as_f64(), gap["se"].as_f64()) {
        (Some(mean), Some(se)) => format!("{mean:+.5} ± {se:.5}"),
        (Some(mean), None) => format!("{mean:+.5}"),
        _ => "-".to_owned(),
    };
    format!(
        "{part:<11}{model:<12}{:>7}{:>10.5}{:>10.5}{:>8.4}  {gap:<18}",
        s["rows"].as_u64().unwrap_or(0),
        number(&s["brier"]),
        number(&s["log"]),
        number(&s["ece"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_move_the_bar_and_the_rest_is_kept_bounded() {
        let bar = ProgressBar::hidden();
        let lines: Vec<String> = (0..50).map(|k| format!("line {k}\n")).collect();
        let talk = String::from("{\"stage\": \"mlp\", \"done\": 2, \"of\": 5}\n") + &lines.concat();
        let kept = follow(talk.as_bytes(), &bar);
        assert_eq!((bar.position(), bar.length()), (2, Some(6)));
        assert_eq!(bar.message(), "training mlp");
        assert_eq!(kept.lines().count(), TALK_LINES);
        assert!(kept.ends_with("line 49"), "{kept}");
    }

    #[test]
    fn a_row_shows_the_error_of_the_difference_where_there_is_one() {
        let scores = |se: Value| json!({"rows": 7, "brier": 0.2, "log": 0.6, "ece": 0.01, "reference": {"brier_difference": {"mean": -0.01, "se": se}}});
        for (se, want) in [(json!(0.002), "-0.01000 ± 0.00200"), (Value::Null, "-0.01000")] {
            let line = row("test", "mlp", &scores(se));
            assert!(line.contains(want) && line.contains("0.60000"), "{line}");
        }
        assert!(row("test", "mlp", &json!({"reference": null})).contains(" - "));
    }
}
