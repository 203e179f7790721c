//! `oraculo config`: shows or checks the configuration. Never starts anything.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use crate::config;

/// Arguments of `oraculo config`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo config show > oraculo.toml && oraculo config check oraculo.toml")]
pub struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the effective configuration as TOML.
    Show {
        /// Configuration file.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Print where each value came from instead.
        #[arg(long)]
        origin: bool,
    },
    /// Check a configuration file.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// Shows or checks.
pub fn run(args: ConfigArgs) -> Result<ExitCode> {
    match args.action {
        Action::Show { config: file, origin } => {
            let loaded = config::load(file.as_deref(), &config::environment(), &[])?;
            if origin {
                for (key, from) in &loaded.origin {
                    println!("{key}\t{from}");
                }
            } else {
                print!("{}", toml::to_string_pretty(&loaded.config).context("encoding the configuration")?);
            }
        }
        Action::Check { file } => {
            config::load(Some(&file), &config::environment(), &[])?;
            println!("{}: ok", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
