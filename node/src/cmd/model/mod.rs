//! `oraculo model`: everything a miner does with a bundle, one file per sub-command. Never signs a prediction.

pub mod init;
pub mod show;

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
}

/// Runs the sub-command.
pub fn run(args: ModelCommandArgs) -> Result<ExitCode> {
    match args.command {
        ModelCommand::Init(args) => init::run(&args),
        ModelCommand::Show(args) => show::run(&args),
    }
}
