//! `oraculo replay`: recomputes a finished run from its journal. Never writes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::clock;
use crate::cmd::progress;
use crate::replay;
use crate::run_dir::RunDir;

/// Arguments of `oraculo replay`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo demo --dir runs/one --for 60 && oraculo replay --check runs/one")]
pub struct ReplayArgs {
    /// The run's folder.
    dir: PathBuf,
    /// Hold digest, chain and last record against what the live run said of itself; exit 1 if they differ.
    #[arg(long)]
    check: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Replays.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    let dir = RunDir::open(&args.dir)?;
    let total = dir.manifest()?.finished.map_or(0, |f| f.last_seq);
    let bar = progress::records(total, "replaying");
    let started = clock::instant();
    let replayed = replay::replay(&dir, &mut |_| Ok(()), &mut |seq| bar.set_position(seq))?;
    let seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    if args.check {
        replay::check(&replayed)?;
    }
    let report = &replayed.report;
    if args.json {
        println!(
            "{}",
            json!({
                "ok": true, "checked": args.check, "records": report.entries, "external": report.external,
                "derived": report.derived, "last_seq": report.last.0, "chain": report.chain.to_string(),
                "digest": report.digest.to_string(), "seconds": seconds,
                "records_per_s": report.entries as f64 / seconds,
            })
        );
    } else {
        println!(
            "records   {} ({} from outside, {} derived again, byte for byte)",
            report.entries, report.external, report.derived
        );
        println!("digest    {}", report.digest);
        println!("chain     {}", report.chain);
        println!("speed     {:.0} records/s", report.entries as f64 / seconds);
        if args.check {
            println!("check     ok: every derived record, score, payout and signal equals the live run's");
        }
    }
    Ok(ExitCode::SUCCESS)
}
