//! `oraculo keys`: creates, lists and revokes API keys in a node's folder. Stores hashes only.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use api::keys::{KeyStore, Scope};
use clap::{Args, Subcommand};
use schemas::{AccountId, Timestamp};
use serde_json::json;

use crate::clock;
use crate::run_dir::RunDir;

/// Arguments of `oraculo keys`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo keys --dir data/node create --account acme --scopes signals:read,stream"
)]
pub struct KeysArgs {
    /// The node's folder.
    #[arg(long, default_value = "data/node")]
    dir: PathBuf,
    /// JSON on stdout.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key; its secret is shown once. A running node sees it at once.
    Create {
        /// The account it belongs to.
        #[arg(long)]
        account: String,
        /// What it may do: signals:read, stream, account:read, miner:submit, miner:host.
        #[arg(long, value_delimiter = ',', default_value = "signals:read,stream,account:read")]
        scopes: Vec<String>,
        /// Expires after this many days [default: never].
        #[arg(long)]
        days: Option<u32>,
    },
    /// List the keys; secrets are not stored and cannot be shown.
    List,
    /// Revoke a key by its hint (see `list`).
    Revoke {
        /// The hint.
        hint: String,
    },
}

/// Creates, lists or revokes.
pub fn run(args: KeysArgs) -> Result<ExitCode> {
    std::fs::create_dir_all(&args.dir).with_context(|| format!("creating {}", args.dir.display()))?;
    let store = KeyStore::open(RunDir::at(&args.dir).keys()).context("opening the key file")?;
    match args.action {
        Action::Create { account, scopes, days } => create(&store, &account, &scopes, days, args.json)?,
        Action::List => list(&store, args.json)?,
        Action::Revoke { hint } => {
            let key = store.revoke(&hint, clock::wall_now())?;
            println!("{} of {} is revoked", key.hint, key.account);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(store: &KeyStore, account: &str, scopes: &[String], days: Option<u32>, json: bool) -> Result<()> {
    let account = AccountId::new(account).context("--account: 1 to 64 of a-z 0-9 . _ -")?;
    let scopes: Result<Vec<Scope>> = scopes.iter().map(|s| scope(s)).collect();
    let now = clock::wall_now();
    let expires = days.map(|d| now.plus(i64::from(d) * 86_400 * schemas::time::NANOS_PER_SEC));
    let key = store.create(&account, &scopes?, expires, now)?;
    if json {
        println!("{}", json!({"key": key.secret, "hint": key.info.hint, "account": account.0}));
    } else {
        println!("{}", key.secret);
        eprintln!("This is the only time the key is shown. Its hint is {}.", key.info.hint);
    }
    Ok(())
}

fn scope(text: &str) -> Result<Scope> {
    let known = || Scope::ALL.map(Scope::name).join(", ");
    Scope::ALL
        .into_iter()
        .find(|s| s.name() == text)
        .with_context(|| format!("{text:?} is no scope; known: {}", known()))
}

fn list(store: &KeyStore, json: bool) -> Result<()> {
    let show = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), time);
    for key in store.list()? {
        let scopes = key.scopes.iter().map(|s| s.name()).collect::<Vec<_>>().join(",");
        if json {
            println!(
                "{}",
                json!({"hint": key.hint, "account": key.account.0, "scopes": scopes, "created_at": time(key.created_at),
                       "expires_at": key.expires_at.map(time), "revoked_at": key.revoked_at.map(time)})
            );
        } else {
            println!(
                "{}  {}  {scopes}  created {}  expires {}  revoked {}",
                key.hint,
                key.account,
                time(key.created_at),
                show(key.expires_at),
                show(key.revoked_at)
            );
        }
    }
    Ok(())
}

fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.secs()).map_or_else(|_| "-".to_owned(), |t| t.to_string())
}
