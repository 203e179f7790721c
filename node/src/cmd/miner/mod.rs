//! `oraculo miner`: a miner in a process of its own, on this machine or another. Never shows a key.
#![allow(clippy::disallowed_methods, reason = "node starts tasks and reads files")]

pub mod register;
pub mod run;
pub mod status;

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use forecaster::MinerKey;
use forecaster::edge::client::Rest;
use forecaster::edge::key_file;

/// How long a node that does not answer is waited for before a command gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts.
const BETWEEN: Duration = Duration::from_millis(500);

/// Arguments of `oraculo miner`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo miner run --bundle models/gbt --connect http://127.0.0.1:8787 --api-key-file api.key --key miner.key --name alice --stake 1000000"
)]
pub struct MinerArgs {
    /// What to do.
    #[command(subcommand)]
    command: MinerCommand,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
enum MinerCommand {
    /// Answer questions with a model until stopped.
    Run(run::RunArgs),
    /// Join the network: the stake is taken from the account's prepaid money.
    Register(register::RegisterArgs),
    /// Show what the network says about a miner.
    Status(status::StatusArgs),
}

/// Runs the sub-command.
pub fn run(args: MinerArgs) -> Result<ExitCode> {
    ingest::edge::use_tls();
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    match args.command {
        MinerCommand::Run(args) => runtime.block_on(run::run(args)),
        MinerCommand::Register(args) => runtime.block_on(register::run(&args)),
        MinerCommand::Status(args) => runtime.block_on(status::run(&args)),
    }
}

/// Where the node is, and the key for its API.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// The node's API, e.g. http://127.0.0.1:8787.
    #[arg(long, value_name = "URL")]
    connect: String,
    /// File with an API key of scope miner:submit (`oraculo keys create`), readable by its owner alone.
    #[arg(long, value_name = "FILE")]
    api_key_file: PathBuf,
}

impl NodeArgs {
    fn rest(&self) -> Result<Rest> {
        Ok(Rest::new(&self.connect, &api_key(&self.api_key_file)?)?)
    }
}

fn api_key(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let mode = file.metadata().with_context(|| format!("reading {}", path.display()))?.permissions().mode();
    let open = mode & 0o077;
    ensure!(open == 0, "{0} can be read by others; run: chmod 600 {0}", path.display());
    let mut text = String::new();
    file.by_ref()
        .take(1_024)
        .read_to_string(&mut text)
        .with_context(|| format!("reading {}", path.display()))?;
    let key = text.trim();
    ensure!(
        !key.is_empty(),
        "{} is empty; make a key with `oraculo keys create --scopes miner:submit`",
        path.display()
    );
    Ok(key.to_owned())
}

/// The miner's key; a new one is drawn if the file does not exist.
fn miner_key(path: &Path) -> Result<MinerKey> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    Ok(key_file::load_or_generate(path)?)
}

/// Asks until the node answers, or patience ends; a refusal is an answer.
async fn patiently<T, F, Fut>(mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, forecaster::edge::client::Failure>>,
{
    let began = crate::clock::instant();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) if failure.is_passing() && began.elapsed() < PATIENCE => {
                tracing::info!(code = failure.code(), "the node does not answer yet");
                tokio::time::sleep(BETWEEN).await;
            }
            Err(failure) => return Err(forecaster::ForecasterError::from(failure).into()),
        }
    }
}
