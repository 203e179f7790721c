//! `oraculo model predict`: runs a bundle on inputs from a file. Publishes nothing.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use forecaster::Bundle;
use forecaster::edge::{Model, lane};
use forecaster::engine::Tensor;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cmd::model_args::EngineArgs;

/// Largest input file, bytes.
const MAX_INPUT: u64 = 64 << 20;

/// Arguments of `oraculo model predict`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo model predict models/mlp --input rows.json\n  echo '{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"dtype\":\"f32\",\"data\":[0.5,1]}]}' | oraculo model predict my-bundle --input -\n\nThe file holds {\"rows\":[[…],…]} (whole rows of the feature set) or {\"inputs\":[tensors]} for one run, or\n{\"runs\":[{\"inputs\":[…]},…]} for several runs between which a state is kept."
)]
pub struct PredictArgs {
    /// The bundle.
    bundle: PathBuf,
    /// The inputs as JSON; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
    /// One JSON object on the last line of stdout.
    #[arg(long)]
    json: bool,
}

/// What the input file holds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Rows(Rows),
    One(Run),
    Many(Runs),
}

/// Rows of the feature set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    rows: Vec<Vec<f32>>,
}

/// The inputs of one run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    inputs: Vec<Tensor>,
}

/// Several runs on one state.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Runs {
    runs: Vec<Run>,
}

/// Runs and prints the outputs.
pub fn run(args: &PredictArgs) -> Result<ExitCode> {
    let bundle = Bundle::load(&args.bundle)?;
    let text = read(&args.input)?;
    let input: Input = serde_json::from_str(&text)
        .context("the input is none of {\"rows\": …}, {\"inputs\": …}, {\"runs\": …}; see --help")?;
    let mut model = args.engine.engines()?.load(&bundle, args.engine.device)?;
    let (ok, mut report) = match input {
        Input::Rows(rows) => of_rows(&mut model, &rows.rows)?,
        Input::One(run) => (true, json!({"outputs": of_tensors(&mut model, &run.inputs)?})),
        Input::Many(runs) => {
            let outputs = runs.runs.iter().map(|run| of_tensors(&mut model, &run.inputs));
            let outputs: Vec<Value> = outputs.collect::<Result<_>>()?;
            (true, json!({"runs": outputs.into_iter().map(|o| json!({"outputs": o})).collect::<Vec<_>>()}))
        }
    };
    report["bundle"] = json!(bundle.id().to_string());
    report["engine"] = json!(model.engine());
    if args.json {
        println!("{report}");
    } else {
        println!("{}", serde_json::to_string_pretty(&report).context("writing JSON")?);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(MAX_INPUT).read_to_string(&mut text).context("reading stdin")?;
        return Ok(text);
    }
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.take(MAX_INPUT).read_to_string(&mut text).with_context(|| format!("reading {}", path.display()))?;
    Ok(text)
}

/// Every row alone through the gates; a refused row has a code instead of an answer, and the exit code says so.
fn of_rows(model: &mut Model, rows: &[Vec<f32>]) -> Result<(bool, Value)> {
    if !model.takes_rows() {
        bail!("this bundle takes whole tensors: write {{\"inputs\": [...]}}");
    }
    let (mut all, mut answers) = (true, Vec::with_capacity(rows.len()));
    for row in rows {
        let mut numbers = Vec::new();
        let decoded = lane::gate_input(row, model.width())
            .and_then(|()| model.predict_into(row, 1, &mut numbers))
            .and_then(|()| model.decode(&numbers));
        match decoded {
            Ok(_) => answers.push(json!({"answer": numbers})),
            Err(error) => {
                all = false;
                answers.push(json!({"error": error.code(), "reason": error.to_string()}));
            }
        }
    }
    Ok((all, json!({"answers": answers})))
}

fn of_tensors(model: &mut Model, inputs: &[Tensor]) -> Result<Value> {
    let outputs = model.run_tensors(inputs)?;
    serde_json::to_value(outputs).context("writing the outputs as JSON")
}
