//! `oraculo bench`: pending.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

/// Arguments of `oraculo bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {}

/// Measures.
pub fn run(_args: BenchArgs) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
