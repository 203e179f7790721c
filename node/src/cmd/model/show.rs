//! `oraculo model show`: what a bundle says of itself and what its file holds. Runs nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use forecaster::Bundle;
use serde_json::json;

/// Arguments of `oraculo model show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo model show models/mlp --json")]
pub struct ShowArgs {
    /// The bundle's folder or file.
    bundle: PathBuf,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Prints the manifest, or everything as JSON.
pub fn run(args: &ShowArgs) -> Result<ExitCode> {
    let bundle = Bundle::load(&args.bundle)?;
    let facts = bundle.facts();
    let operators: Vec<String> = facts
        .operators
        .iter()
        .map(|(domain, name)| if domain.is_empty() { name.clone() } else { format!("{domain}::{name}") })
        .collect();
    let signer = bundle.seal().map(|seal| hex::encode(seal.pubkey));
    if args.json {
        let report = json!({
            "bundle": bundle.id().to_string(), "manifest": bundle.manifest(), "bytes": bundle.model().len(),
            "ir_version": facts.ir_version, "nodes": facts.nodes, "operators": operators, "signed_by": signer,
            "nesting": facts.nesting, "folding": facts.folding, "unbounded": facts.unbounded,
            "golden": {"pairs": bundle.golden().pairs().len(), "cases": bundle.golden().cases().len()},
        });
        println!("{report}");
    } else {
        println!("# bundle {}, {} bytes, {} nodes", bundle.id(), bundle.model().len(), facts.nodes);
        println!("# signed by {}", signer.as_deref().unwrap_or("nobody"));
        println!("# operators: {}\n{}", operators.join(", "), bundle.manifest().to_toml());
    }
    Ok(ExitCode::SUCCESS)
}
