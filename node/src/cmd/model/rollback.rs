//! `oraculo model rollback`: makes an earlier version of a model the active one. Removes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use forecaster::edge::store::Store;
use serde_json::json;

use super::deploy::{DEFAULT_STORE, tell};

/// Arguments of `oraculo model rollback`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo model rollback mlp\n  oraculo model rollback mlp --to 1.0.0 --store data/store --json"
)]
pub struct RollbackArgs {
    /// The model; may be left out when the store holds one only.
    name: Option<String>,
    /// The version to go back to, or the start of its name [default: the one that was active before].
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Folder of the model store.
    #[arg(long, default_value = DEFAULT_STORE, env = "ORACULO_STORE", value_name = "DIR")]
    store: PathBuf,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Points at the earlier version.
pub fn run(args: &RollbackArgs) -> Result<ExitCode> {
    let store = Store::at(&args.store);
    let models = store.list()?;
    let name = match (&args.name, models.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [one]) => one.name.clone(),
        (None, []) => bail!("{} holds no model", args.store.display()),
        (None, many) => {
            let names: Vec<&str> = many.iter().map(|m| m.name.as_str()).collect();
            bail!("which model? the store holds {}", names.join(", "));
        }
    };
    if !models.iter().any(|m| m.name == name) {
        bail!("{} holds no model `{name}`; see `oraculo model list`", args.store.display());
    }
    let pointer = store.write()?.rollback(&name, args.to.as_deref())?;
    if args.json {
        println!("{}", json!({ "name": name, "pointer": pointer }));
    } else {
        eprintln!("{}", tell(&args.store, &name, &pointer));
    }
    Ok(ExitCode::SUCCESS)
}
