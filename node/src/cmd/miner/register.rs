//! `oraculo miner register`: signs a registration and hands it in; doing so twice changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use forecaster::MinerKey;
use forecaster::edge::client::Rest;
use schemas::{Micros, MinerJoined};
use serde_json::json;

use super::{NodeArgs, miner_key, patiently};

/// Arguments of `oraculo miner register`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo miner register --connect http://127.0.0.1:8787 --api-key-file api.key --key miner.key --name alice --stake 1000000"
)]
pub struct RegisterArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The miner's key file; made if it does not exist.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A name for people that no other miner has.
    #[arg(long)]
    name: String,
    /// What it says it is; never used in scoring.
    #[arg(long, default_value = "model")]
    kind: String,
    /// The stake, micro-units; as many micro-USD of prepaid money pay for it.
    #[arg(long, value_name = "MICROS")]
    stake: i64,
    /// JSON on stdout.
    #[arg(long)]
    json: bool,
}

/// Registers.
pub async fn run(args: &RegisterArgs) -> Result<ExitCode> {
    let (rest, key) = (args.node.rest()?, miner_key(&args.key)?);
    join(&rest, &key, &args.name, &args.kind, args.stake).await?;
    if args.json {
        println!("{}", json!({ "miner": key.id().to_string(), "registered": true }));
    } else {
        println!("{} is a member", key.id());
    }
    Ok(ExitCode::SUCCESS)
}

/// Signs and hands in until the network lists the miner.
pub(super) async fn join(rest: &Rest, key: &MinerKey, name: &str, kind: &str, stake: i64) -> Result<()> {
    let network = patiently(|| rest.network()).await?;
    let mut hash = [0; 32];
    hex::decode_to_slice(&network.hash, &mut hash).context("the node's network hash is no 64 hex digits")?;
    let joined: MinerJoined = key.register(&hash, name, kind, Micros(stake));
    patiently(|| rest.register(&joined)).await?;
    let id = key.id();
    let listed = patiently(|| rest.miner(&id)).await?;
    if listed.row.name != name {
        return Err(anyhow!("this key is registered as {:?}; a miner keeps its name", listed.row.name));
    }
    Ok(())
}
