//! `oraculo model`: everything a miner does with a bundle, one file per sub-command. Never signs a prediction.

pub mod import;
pub mod pack;
pub mod show;
pub mod sign;

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
    /// Turn any ONNX file into a bundle.
    Import(Box<import::ImportArgs>),
    /// Pack a bundle's folder into one file.
    Pack(pack::PackArgs),
    /// Vouch for a bundle with an Ed25519 key.
    Sign(sign::SignArgs),
}

/// Runs the sub-command.
pub fn run(args: ModelCommandArgs) -> Result<ExitCode> {
    match args.command {
        ModelCommand::Show(args) => show::run(&args),
        ModelCommand::Import(args) => import::run(&args),
        ModelCommand::Pack(args) => pack::run(&args),
        ModelCommand::Sign(args) => sign::run(&args),
    }
}
