//! `oraculo miner status`: one look at what the network says about a miner; it changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use forecaster::edge::client::status::standing;
use forecaster::edge::key_file;
use schemas::MinerId;

use super::{NodeArgs, patiently};

/// Arguments of `oraculo miner status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo miner status --connect http://127.0.0.1:8787 --api-key-file api.key --key miner.key"
)]
pub struct StatusArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The miner's key file.
    #[arg(long, value_name = "FILE", required_unless_present = "miner", conflicts_with = "miner")]
    key: Option<PathBuf>,
    /// Another miner's public key, 64 hex digits.
    #[arg(long, value_name = "HEX")]
    miner: Option<String>,
    /// The whole record as JSON on stdout.
    #[arg(long)]
    json: bool,
}

/// Shows.
pub async fn run(args: &StatusArgs) -> Result<ExitCode> {
    let rest = args.node.rest()?;
    let miner: MinerId = match (&args.miner, &args.key) {
        (Some(text), _) => text.parse().context("--miner: 64 lower-case hex digits")?,
        (None, Some(path)) => key_file::load(path)?.id(),
        (None, None) => unreachable!("one of them is required"),
    };
    let record = patiently(|| rest.miner(&miner)).await?;
    if args.json {
        println!("{}", serde_json::to_string(&record).context("encoding the record")?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}  {}  {}", record.row.name, record.row.kind, record.row.miner);
    println!("{}", standing(&record));
    for result in &record.recent {
        let p = result.p_ppm.map_or_else(|| "-".to_owned(), |p| format!("{:.4}", f64::from(p) / 1e6));
        let delta = result.delta.as_deref().unwrap_or("-");
        println!(
            "{}  {:<7}  p {p}  score {:.4} (reference {:.4})  {delta}  {}",
            &result.question[..8],
            result.status,
            result.score,
            result.reference_score,
            result.topic
        );
    }
    Ok(ExitCode::SUCCESS)
}
