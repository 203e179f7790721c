//! `oraculo model`: everything a miner does with a bundle, one file per sub-command. Never signs a prediction.

pub mod bench;
pub mod check;
pub mod deploy;
pub mod import;
pub mod init;
pub mod list;
pub mod pack;
pub mod predict;
pub mod rollback;
pub mod show;
pub mod sign;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Arguments of `oraculo model`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  oraculo model init my-model\n  oraculo model show models/mlp")]
pub struct ModelCommandArgs {
    /// What to do with it.
    #[command(subcommand)]
    command: ModelCommand,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Make a new model: a working baseline and a script that trains something better.
    Init(init::InitArgs),
    /// Show what a bundle is: manifest, inputs, outputs, operators.
    Show(show::ShowArgs),
    /// Turn any ONNX file into a bundle.
    Import(Box<import::ImportArgs>),
    /// Pack a bundle's folder into one file.
    Pack(pack::PackArgs),
    /// Vouch for a bundle with an Ed25519 key.
    Sign(sign::SignArgs),
    /// Check a bundle in every way: answers, engines, latency, memory, a dry run with scores.
    Check(check::CheckArgs),
    /// Measure how long batches take on each engine.
    Bench(bench::BenchArgs),
    /// Run a bundle on inputs from a file.
    Predict(predict::PredictArgs),
    /// Check a bundle and put it into a model store, where running miners find it.
    Deploy(deploy::DeployArgs),
    /// List what a model store holds.
    List(list::ListArgs),
    /// Make an earlier version of a model the active one.
    Rollback(rollback::RollbackArgs),
}

/// Runs the sub-command.
pub fn run(args: ModelCommandArgs) -> Result<ExitCode> {
    match args.command {
        ModelCommand::Init(args) => init::run(&args),
        ModelCommand::Show(args) => show::run(&args),
        ModelCommand::Import(args) => import::run(&args),
        ModelCommand::Pack(args) => pack::run(&args),
        ModelCommand::Sign(args) => sign::run(&args),
        ModelCommand::Check(args) => check::run(&args),
        ModelCommand::Bench(args) => bench::run(&args),
        ModelCommand::Predict(args) => predict::run(&args),
        ModelCommand::Deploy(args) => deploy::run(&args),
        ModelCommand::List(args) => list::run(&args),
        ModelCommand::Rollback(args) => rollback::run(&args),
    }
}
