//! `oraculo model sign`: adds `signature.json` to a bundle, folder or file. Never shows a key.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use forecaster::bundle::parts::SIGNATURE;
use forecaster::bundle::{BundleLimits, Parts, Policy};
use forecaster::edge::key_file;
use serde_json::json;

use super::pack::replace;

/// Arguments of `oraculo model sign`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo model sign models/mlp --key miner.key")]
pub struct SignArgs {
    /// The bundle's folder or file. An older signature is replaced.
    bundle: PathBuf,
    /// The key's file: 64 hex digits, readable by its owner alone.
    #[arg(long)]
    key: PathBuf,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Checks the bundle, signs its id and writes the signature beside it or into it.
pub fn run(args: &SignArgs) -> Result<ExitCode> {
    let limits = BundleLimits::default();
    let key = key_file::load(&args.key)?;
    // An older signature may be of an older version: that is why it is replaced.
    let mut parts = Parts { signature: None, ..Parts::read(&args.bundle, &limits)? };
    let bundle = parts.clone().check(Policy::Local, &limits)?;
    let seal = key.seal(&bundle.id());
    let text = seal.to_json(&bundle.id());
    if args.bundle.is_dir() {
        replace(&args.bundle.join(SIGNATURE), text.as_bytes())?;
    } else {
        parts.signature = Some(text);
        replace(&args.bundle, &parts.to_tar()?)?;
    }
    let signer = hex::encode(seal.pubkey);
    if args.json {
        println!("{}", json!({"bundle": bundle.id().to_string(), "signed_by": signer}));
    } else {
        println!("{} signed by {signer}", bundle.id());
    }
    Ok(ExitCode::SUCCESS)
}
