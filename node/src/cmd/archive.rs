//! `oraculo archive`: lists, verifies, fills and reads archives of raw venue frames. It never changes a record.

mod export;
mod import;
mod load;
mod show;

pub(super) use export::replay;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use ingest::archive::ArchiveError;
use ingest::import::ImportError;

/// Arguments of `oraculo archive`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo archive import session.jsonl --venue kalshi --out data/archive --json\n  oraculo archive verify data/archive\n  oraculo archive export data/archive --to tape.rows\n  oraculo archive coverage data/archive"
)]
pub struct ArchiveArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the segments of an archive.
    #[command(after_help = "Example:\n  oraculo archive ls data/archive")]
    Ls(show::ShowArgs),
    /// Read every byte of an archive and check every hash; exit 1 if anything is damaged.
    #[command(after_help = "Example:\n  oraculo archive verify data/archive --json")]
    Verify(show::ShowArgs),
    /// Play recordings of a venue into a new archive and through the venue's machine.
    Import(import::ImportArgs),
    /// Derive the tape (normalised rows) from the raw frames; doing it twice gives equal bytes.
    Export(export::ExportArgs),
    /// Delete the oldest segments; their hashes stay, so the chain still verifies.
    Retain(show::RetainArgs),
    /// Say per market and day how long the book was live, stale, resyncing or lost, and why.
    Coverage(export::CoverageArgs),
}

/// The folder of an archive.
#[derive(Debug, Args)]
struct Folder {
    /// The archive: a folder with one venue's archive in it, or that venue's folder itself.
    dir: PathBuf,
}

/// Runs one of the sub-commands.
pub fn run(args: ArchiveArgs) -> Result<ExitCode> {
    match args.action {
        Action::Ls(args) => show::ls(&args),
        Action::Verify(args) => show::verify(&args),
        Action::Import(args) => import::run(&args),
        Action::Export(args) => export::run(&args),
        Action::Retain(args) => show::retain(&args),
        Action::Coverage(args) => export::coverage(&args),
    }
}

/// An error with its code, as every message of this command ends.
fn coded(code: &str, text: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{text} [{code}]")
}

fn archive_error(error: &ArchiveError) -> anyhow::Error {
    coded(error.code(), error)
}

fn import_error(error: &ImportError) -> anyhow::Error {
    coded(error.code(), error)
}
