//! Roles in several processes that meet over Redis.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cmd::run::Role;
use crate::config::Config;

/// Runs one role.
pub async fn run(_role: Role, _config: &Config, _ort_lib: Option<PathBuf>) -> Result<ExitCode> {
    bail!("pending")
}
