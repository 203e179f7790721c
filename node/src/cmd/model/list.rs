//! `oraculo model list`: what a model store holds. Changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use forecaster::edge::store::{Listed, Mode, Store};

use super::deploy::DEFAULT_STORE;

/// Arguments of `oraculo model list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo model list --store data/store --json")]
pub struct ListArgs {
    /// Folder of the model store.
    #[arg(long, default_value = DEFAULT_STORE, env = "ORACULO_STORE", value_name = "DIR")]
    store: PathBuf,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Prints every model and its versions.
pub fn run(args: &ListArgs) -> Result<ExitCode> {
    let models = Store::at(&args.store).list()?;
    if args.json {
        println!("{}", serde_json::json!({ "store": args.store.display().to_string(), "models": models }));
        return Ok(ExitCode::SUCCESS);
    }
    if models.is_empty() {
        eprintln!("{} holds no model; put one in with `oraculo model deploy BUNDLE`", args.store.display());
    }
    for model in &models {
        println!("{}", model.name);
        for version in &model.versions {
            println!("  {version}{}", role(model, version));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a version is in its model, for people.
fn role(model: &Listed, version: &str) -> &'static str {
    let pointer = &model.pointer;
    match &pointer.candidate {
        _ if pointer.active.as_deref() == Some(version) => "  active",
        Some(c) if c.version == version && c.mode == Mode::Canary => "  canary",
        Some(c) if c.version == version => "  shadow",
        _ if pointer.history.last().is_some_and(|v| v == version) => "  before",
        _ => "",
    }
}
