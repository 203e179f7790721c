//! `oraculo model pack`: one file of a bundle's folder, the same bytes whenever and wherever it is packed. Runs nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use forecaster::bundle::{BundleLimits, Parts, Policy};
use serde_json::json;

/// Arguments of `oraculo model pack`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo model pack models/mlp --out mlp.tar")]
pub struct PackArgs {
    /// The bundle's folder.
    bundle: PathBuf,
    /// The file to write; it must not exist.
    #[arg(long)]
    out: PathBuf,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Checks the bundle and writes the archive.
pub fn run(args: &PackArgs) -> Result<ExitCode> {
    let limits = BundleLimits::default();
    let parts = Parts::read(&args.bundle, &limits)?;
    let bytes = parts.to_tar()?;
    let bundle = parts.check(Policy::Local, &limits)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&args.out)
        .with_context(|| format!("creating {}; an old file is not overwritten", args.out.display()))?;
    file.write_all(&bytes)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing {}", args.out.display()))?;
    if args.json {
        let report = json!({"bundle": bundle.id().to_string(), "file": args.out.display().to_string(), "bytes": bytes.len()});
        println!("{report}");
    } else {
        println!("{}", bundle.id());
        eprintln!("{}, {} bytes", args.out.display(), bytes.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Replaces a file in one step, so that nobody sees half of it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().context("a file needs a name")?.to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    std::fs::write(&new, bytes).with_context(|| format!("writing {}", new.display()))?;
    std::fs::rename(&new, path).with_context(|| format!("replacing {}", path.display()))
}
