//! `oraculo model`: everything a miner does with a bundle, one file per sub-command. Never signs a prediction.

pub mod deploy;
pub mod list;
pub mod rollback;
pub mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Arguments of `oraculo model`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo model show models/mlp")]
pub struct ModelCommandArgs {
    /// What to do with it.
    #[command(subcommand)]
    command: ModelCommand,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Show what a bundle is: manifest, inputs, outputs, operators.
    Show(show::ShowArgs),
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
        ModelCommand::Show(args) => show::run(&args),
        ModelCommand::Deploy(args) => deploy::run(&args),
        ModelCommand::List(args) => list::run(&args),
        ModelCommand::Rollback(args) => rollback::run(&args),
    }
}
