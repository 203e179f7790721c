//! `oraculo archive ls`, `verify` and `retain`: what is there, whether it is whole, and what may go.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use ingest::archive::Retention;
use ingest::coverage::DAY_NS;
use ingest::edge::archive::{self, Report, SegmentReport, SegmentState};
use schemas::Timestamp;
use serde_json::{Value, json};

use super::{Folder, archive_error, coded};
use crate::clock;

/// Arguments of `oraculo archive ls` and `verify`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    folder: Folder,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Arguments of `oraculo archive retain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo archive retain data/archive --max-age 30d --max-bytes 50GB --dry-run"
)]
pub(super) struct RetainArgs {
    #[command(flatten)]
    folder: Folder,
    /// Segments whose newest frame is older go: a number and s, m, h or d.
    #[arg(long, value_parser = age, value_name = "AGE")]
    max_age: Option<i64>,
    /// The oldest segments go until the rest fits: bytes, or a number and KB, MB, GB or TB.
    #[arg(long, value_parser = size, value_name = "SIZE")]
    max_bytes: Option<u64>,
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Lists.
pub(super) fn ls(args: &ShowArgs) -> Result<ExitCode> {
    let report = archive::list(&args.folder.dir).map_err(|error| archive_error(&error))?;
    show(&report, args.json, false);
    Ok(ExitCode::SUCCESS)
}

/// Verifies; the exit code says whether all is well.
pub(super) fn verify(args: &ShowArgs) -> Result<ExitCode> {
    let report = archive::verify(&args.folder.dir).map_err(|error| archive_error(&error))?;
    show(&report, args.json, true);
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn show(report: &Report, as_json: bool, verified: bool) {
    if as_json {
        println!("{}", to_json(report, verified));
        return;
    }
    println!(
        "{} archive, source {}",
        report.venue,
        if report.source.is_empty() { "-" } else { &report.source }
    );
    println!(
        "{:<7} {:<24} {:<8} {:>10} {:>12} {:<20} {:<20} verdict",
        "number", "file", "state", "frames", "bytes", "from", "to"
    );
    for segment in &report.segments {
        println!(
            "{:<7} {:<24} {:<8} {:>10} {:>12} {:<20} {:<20} {}",
            segment.number,
            segment.file,
            segment.state.name(),
            segment.frames,
            segment.bytes,
            time(segment.from),
            time(segment.to),
            verdict(segment, verified)
        );
    }
    plans(report);
    println!("\nframes {}", report.frames());
    println!("chain  {}", report.chain);
    if report.manifest_torn > 0 {
        println!("note   {} bytes of an unfinished manifest line", report.manifest_torn);
    }
    if verified {
        println!("{}", if report.ok() { "ok" } else { "DAMAGED" });
    }
}

/// Says what each recording's machine was built from.
fn plans(report: &Report) {
    let mut last = None;
    for segment in &report.segments {
        if segment.plan.is_some() && segment.plan != last {
            last = segment.plan;
            let plan = last.map(|plan| plan.to_string()).unwrap_or_default();
            println!("plan   {plan} from segment {}", segment.number);
        }
    }
}

fn verdict(segment: &SegmentReport, verified: bool) -> String {
    match (&segment.error, segment.torn) {
        (Some(error), _) => format!("{error} [{}]", error.code()),
        (None, torn) if torn > 0 => format!("{torn} bytes of an unfinished block at its end"),
        _ if segment.state == SegmentState::Gone => "deleted by retention".to_owned(),
        _ if verified => "ok".to_owned(),
        _ => String::new(),
    }
}

fn to_json(report: &Report, verified: bool) -> Value {
    let segments: Vec<Value> = report
        .segments
        .iter()
        .map(|s| {
            json!({
                "number": s.number, "file": s.file, "state": s.state.name(), "first_seq": s.first_seq,
                "frames": s.frames, "bytes": s.bytes, "from_ns": s.from.0, "to_ns": s.to.0,
                "hash_ok": s.hash_ok, "chain_ok": s.chain_ok, "torn_bytes": s.torn, "plan": s.plan.map(|plan| plan.to_string()),
                "error": s.error.as_ref().map(|e| json!({"code": e.code(), "detail": e.to_string()})),
            })
        })
        .collect();
    json!({
        "venue": report.venue.name(), "source": report.source, "frames": report.frames(),
        "chain": report.chain.to_string(), "ok": verified.then(|| report.ok()),
        "manifest_torn_bytes": report.manifest_torn, "segments": segments,
    })
}

/// Deletes.
pub(super) fn retain(args: &RetainArgs) -> Result<ExitCode> {
    if args.max_age.is_none() && args.max_bytes.is_none() {
        return Err(coded("no_limit", "nothing would be deleted: give --max-age, --max-bytes or both"));
    }
    let retention = Retention { max_age_ns: args.max_age, max_bytes: args.max_bytes };
    let gone = archive::retain(&args.folder.dir, &retention, clock::wall_now(), args.dry_run)
        .map_err(|error| archive_error(&error))?;
    if args.json {
        let gone: Vec<Value> = gone.iter().map(|g| json!({"number": g.number, "why": g.why})).collect();
        println!("{}", json!({"dry_run": args.dry_run, "deleted": gone}));
    } else {
        for g in &gone {
            println!(
                "{} segment {} ({})",
                if args.dry_run { "would delete" } else { "deleted" },
                g.number,
                g.why
            );
        }
        println!("{} segments{}", gone.len(), if args.dry_run { " would go" } else { " are gone" });
    }
    Ok(ExitCode::SUCCESS)
}

/// `YYYY-MM-DDThh:mm:ssZ`, or `-` for an unknown time.
pub(super) fn time(at: Timestamp) -> String {
    if at == Timestamp::ZERO {
        return "-".to_owned();
    }
    let (day, of_day) = (at.0.div_euclid(DAY_NS), at.0.rem_euclid(DAY_NS) / 1_000_000_000);
    let (h, m, s) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{}T{h:02}:{m:02}:{s:02}Z", ingest::coverage::day_name(day))
}

fn age(text: &str) -> Result<i64, String> {
    let units = [("s", 1_i64), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let found = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let nanos = found.and_then(|(number, seconds)| {
        number
            .trim()
            .parse::<u32>()
            .ok()
            .and_then(|n| i64::from(n).checked_mul(seconds)?.checked_mul(1_000_000_000))
    });
    nanos.ok_or_else(|| format!("{text:?} is no age, e.g. 30d or 12h"))
}

fn size(text: &str) -> Result<u64, String> {
    let units =
        [("TB", 1_000_000_000_000_u64), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000), ("", 1)];
    let found = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let bytes = found.and_then(|(number, bytes)| number.trim().parse::<u64>().ok()?.checked_mul(bytes));
    bytes.ok_or_else(|| format!("{text:?} is no size, e.g. 50GB"))
}
