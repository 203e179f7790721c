//! `oraculo archive import`: recordings into a new archive and through the venue's machine. Refuses a folder that has
//! anything in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use ingest::edge::archive::{ArchiveOptions, ArchiveWriter, Fsync};
use ingest::import::{Driver, DriverStats, ImportError, Play, Pool, Tape};
use schemas::{Digest, Venue};
use serde::Serialize;

use super::load::{Loaded, load};
use super::{coded, import_error};
use crate::clock;
use crate::cmd::progress;

/// Arguments of `oraculo archive import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo archive import session.jsonl --venue kalshi --out data/archive --json\n  oraculo archive import BINANCE.http.0.0 BINANCE.ws.1.0 --venue binance --out data/binance\n\nWhat a file holds is seen from its content: JSON lines, recorded REST exchanges, cryptofeed captures, canonical rows,\nindex prices, market lists, Parquet tables; plain, gzip or zstd. Files with receive times are merged by time, files\nwithout them are played one after the other."
)]
pub(super) struct ImportArgs {
    /// The recordings, in any order.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whose they are: kalshi, polymarket, polymarket-us, coinbase, kraken, binance, binance-futures.
    #[arg(long, value_parser = venue)]
    venue: Venue,
    /// The new archive's folder; it must be empty or not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The level of zstd, 1 to 22.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=22))]
    level: i32,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// What an import did.
struct Imported {
    venue: Venue,
    stats: DriverStats,
    tape: Tape,
    chain: Digest,
}

fn venue(text: &str) -> Result<Venue, String> {
    let names = Venue::ALL.map(Venue::name).join(", ");
    text.parse().map_err(|()| format!("{text:?} is no venue; there are {names}"))
}

/// Imports.
pub(super) fn run(args: &ImportArgs) -> Result<ExitCode> {
    check_out(&args.out)?;
    let started = clock::instant();
    let loaded = load(&args.files)?;
    let unreadable = loaded.unreadable;
    let bar = progress::records(loaded.frames, "importing");
    let imported = import(args, loaded, &bar).map_err(|error| import_error(&error))?;
    bar.finish_and_clear();
    let summary = summary(args.venue, &imported, unreadable);
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print(&summary, &args.out, started.elapsed().as_secs_f64());
    }
    Ok(ExitCode::SUCCESS)
}

fn check_out(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(out)
        .map_err(|error| coded("out_unusable", format!("cannot use {}: {error}", out.display())))?;
    if entries.next().is_some() {
        return Err(coded(
            "out_not_empty",
            format!("{} is not empty; an import begins a new archive", out.display()),
        ));
    }
    Ok(())
}

fn import(args: &ImportArgs, loaded: Loaded, bar: &ProgressBar) -> Result<Imported, ImportError> {
    let mut play = Play::new(loaded.recordings, loaded.tables, args.venue)?;
    let exchanges = play.take_exchanges();
    let (kind, venue, first_at) = (play.kind(), play.venue(), play.first_at(&exchanges));
    let options = ArchiveOptions { level: args.level, fsync: Fsync::AtClose, ..ArchiveOptions::default() };
    let mut writer = ArchiveWriter::open(&args.out, venue, kind.source(), options)?;
    let mut driver = Driver::new(Tape::new(kind, venue), Pool::new(exchanges), &mut writer);
    driver.start(first_at)?;
    play.run(&mut driver, &mut |frames| bar.set_position(frames))?;
    let (stats, tape, _) = driver.finish()?;
    let chain = writer.close()?;
    Ok(Imported { venue, stats, tape, chain })
}

/// The line of `--json`.
#[derive(Serialize)]
struct Summary {
    venue: &'static str,
    frames: u64,
    events: u64,
    gaps: u64,
    stale_dropped: u64,
    checksums: Checked,
    negative_levels: u64,
    crossed: u64,
    fills: u64,
    markets: u64,
    digest: String,
    fees: Checked,
    tops: Checked,
    deltas: u64,
    snapshots: u64,
    duplicates: u64,
    quarantined: u64,
    unreadable_lines: u64,
    foreign: u64,
    stray: u64,
    disconnects: u64,
    failed_requests: u64,
    unasked_bodies: u64,
    records: u64,
    chain: String,
    /// The venue the frames are of, where it is not the one asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    recognised: Option<&'static str>,
}

#[derive(Serialize)]
struct Checked {
    ok: u64,
    bad: u64,
}

/// What the venue's machine counted, and what the files held.
fn summary(asked: Venue, imported: &Imported, unreadable: u64) -> Summary {
    let Imported { venue, stats, tape, chain } = imported;
    let counts = tape.counts();
    Summary {
        venue: asked.name(),
        frames: stats.frames,
        events: tape.rows().rows(),
        gaps: counts.gaps,
        stale_dropped: counts.stale_dropped,
        checksums: Checked { ok: counts.checksums_ok, bad: counts.checksums_bad },
        negative_levels: counts.negative_levels,
        crossed: counts.crossed,
        fills: counts.fills,
        markets: tape.rows().markets(),
        digest: tape.digest().to_string(),
        fees: Checked { ok: counts.fees_ok, bad: counts.fees_bad },
        tops: Checked { ok: counts.tops_ok, bad: counts.tops_bad },
        deltas: counts.deltas,
        snapshots: counts.snapshots,
        duplicates: counts.duplicates,
        quarantined: counts.quarantined,
        unreadable_lines: unreadable,
        foreign: counts.foreign,
        stray: counts.stray,
        disconnects: counts.disconnects,
        failed_requests: counts.failed_requests,
        unasked_bodies: stats.unasked,
        records: stats.records,
        chain: chain.to_string(),
        recognised: (*venue != asked).then(|| venue.name()),
    }
}

fn print(s: &Summary, out: &Path, seconds: f64) {
    let line = |name: &str, values: &[(u64, &str)]| {
        let texts = values.iter().map(|(value, what)| format!("{:<22}", format!("{value} {what}")));
        println!("{name:<10} {}", texts.collect::<String>().trim_end());
    };
    println!("{:<10} {}", "venue", s.recognised.unwrap_or(s.venue));
    let unreadable = s.unreadable_lines;
    line("read", &[(s.frames, "frames"), (unreadable, "unreadable lines"), (s.quarantined, "quarantined")]);
    line("tape", &[(s.events, "rows"), (s.markets, "markets"), (s.fills, "fills")]);
    line("books", &[(s.snapshots, "snapshots"), (s.deltas, "deltas"), (s.stale_dropped, "stale dropped")]);
    line("lost", &[(s.gaps, "gaps"), (s.negative_levels, "negative levels"), (s.crossed, "crossed")]);
    line("checksums", &[(s.checksums.ok, "ok"), (s.checksums.bad, "bad")]);
    line("tops", &[(s.tops.ok, "ok"), (s.tops.bad, "bad")]);
    line("fees", &[(s.fees.ok, "ok"), (s.fees.bad, "bad")]);
    println!("{:<10} {}", "digest", s.digest);
    println!("{:<10} {} ({seconds:.1} s)", "archive", out.display());
}
