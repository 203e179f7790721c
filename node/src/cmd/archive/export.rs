//! `oraculo archive export` and `coverage`: the tape derived again from the raw frames. The archive is only read.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use ingest::coverage::{Coverage, Report, day_name};
use ingest::edge::archive::ArchiveReader;
use ingest::import::{ReaderKind, Tape};
use schemas::{Digest, TapeRow};
use serde_json::{Value, json};

use super::{Folder, archive_error, coded};
use crate::cmd::progress;
use crate::recorder::kept;

/// Arguments of `oraculo archive export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo archive export data/archive --to tape.rows\n  oraculo archive export data/archive --to tables --format parquet"
)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    folder: Folder,
    /// Where to write: a new file of rows, or an empty folder of tables.
    #[arg(long, value_name = "OUT")]
    to: PathBuf,
    /// Rows (length and CBOR, one after the other), or Parquet by venue, type and date.
    #[arg(long, value_enum, default_value = "rows")]
    format: Format,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Rows,
    Parquet,
}

/// Arguments of `oraculo archive coverage`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo archive coverage data/archive --json")]
pub(super) struct CoverageArgs {
    #[command(flatten)]
    folder: Folder,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// What a replay of an archive came to.
pub(in crate::cmd) struct Replayed {
    tape: Tape,
    sessions: Vec<Session>,
    records: u64,
    torn: u64,
    source: String,
    first_seq: u64,
}

/// What one session of it came to: the run of one machine.
struct Session {
    first_seq: u64,
    /// Hash of the plan it was recorded with.
    plan: Option<Digest>,
    records: u64,
    rows: u64,
    /// Of the machine in the end.
    digest: Digest,
}

/// Hears a row and its bytes, or that a machine begins.
pub(in crate::cmd) type OnRow<'a> = dyn FnMut(Option<(&TapeRow, &[u8])>) -> Result<()> + 'a;

/// Plays an archive through fresh machines. `on` hears every row and its bytes, and `None` where a machine begins.
pub(in crate::cmd) fn replay(dir: &Path, on: &mut OnRow<'_>) -> Result<Replayed> {
    let mut reader = ArchiveReader::open(dir).map_err(|error| archive_error(&error))?;
    let bar = progress::records(reader.expected(), "replaying");
    let kind = ReaderKind::of_source(reader.source());
    let (venue, first_seq) = (reader.venue(), reader.first_seq());
    let mut tape = Tape::new(kind, venue);
    let mut sessions: Vec<Session> = Vec::new();
    let mut deeds = Vec::new();
    let mut records = 0;
    while reader.advance().map_err(|error| archive_error(&error))? {
        let Some(seen) = reader.seen() else { break };
        if seen.fresh {
            end(&mut sessions, &tape);
            let session = kept::session(&reader).map_err(|error| coded(error.code(), &error))?;
            sessions.push(Session {
                first_seq: seen.record.seq,
                plan: session.plan,
                records: 0,
                rows: tape.rows().rows(),
                digest: Digest::default(),
            });
            if session.plan.is_none() && session.kind.source() != reader.source() {
                note_unplanned(seen.record.seq, reader.source());
            }
            tape.begin(session.kind, session.machine);
            on(None)?;
        }
        tape.apply(seen.record, false, &mut deeds, &mut |row, bytes| on(Some((row, bytes))))?;
        deeds.clear();
        sessions.last_mut().into_iter().for_each(|session| session.records += 1);
        records += 1;
        if records % 4_096 == 0 {
            bar.set_position(records);
        }
    }
    end(&mut sessions, &tape);
    bar.finish_and_clear();
    let torn = reader.tail().map_or(0, |tail| tail.torn);
    if torn > 0 {
        eprintln!("note: {torn} bytes of an unfinished block at the archive's end were not read");
    }
    if tape.skipped() > 0 {
        eprintln!(
            "note: {} records belong to a machine whose beginning retention deleted; they are not in the tape",
            tape.skipped()
        );
    }
    let source = reader.source().to_owned();
    Ok(Replayed { tape, sessions, records, torn, source, first_seq })
}

/// Recorded by something that kept no plan: what its machine was is not known.
fn note_unplanned(seq: u64, source: &str) {
    eprintln!(
        "note: the session from record {seq} on ({source}) has no plan; it is read like an import, and its rows may differ \
         from those that were said live"
    );
}

/// The session that was being read is over.
fn end(sessions: &mut [Session], tape: &Tape) {
    if let Some(last) = sessions.last_mut() {
        // It began with the number of rows there were before it.
        last.rows = tape.rows().rows() - last.rows;
        last.digest = tape.machine().digest();
    }
}

fn session_json(session: &Session) -> Value {
    json!({
        "first_seq": session.first_seq, "plan": session.plan.map(|plan| plan.to_string()),
        "records": session.records, "rows": session.rows, "digest": session.digest.to_string(),
    })
}

/// Exports.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode> {
    let (replayed, files) = match args.format {
        Format::Rows => (rows(&args.folder.dir, &args.to)?, 1),
        Format::Parquet => parquet(&args.folder.dir, &args.to)?,
    };
    let rows = replayed.tape.rows();
    if args.json {
        println!(
            "{}",
            json!({
                "rows": rows.rows(), "records": replayed.records, "files": files,
                "rows_digest": rows.digest().to_string(), "digest": replayed.tape.digest().to_string(),
                "sessions": replayed.sessions.iter().map(session_json).collect::<Vec<_>>(),
                "source": replayed.source, "first_seq": replayed.first_seq,
                "skipped_records": replayed.tape.skipped(), "torn_bytes": replayed.torn,
                "out": args.to.display().to_string(),
            })
        );
    } else {
        println!("rows    {} from {} records", rows.rows(), replayed.records);
        println!("digest  {}", replayed.tape.digest());
        println!("out     {} ({files} files)", args.to.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Every row as its length (four bytes, little-endian) and wire form v1; then a length of 0 and the BLAKE3 of all before
/// it.
fn rows(dir: &Path, to: &Path) -> Result<Replayed> {
    if to.exists() {
        return Err(coded("out_exists", format!("{} exists", to.display())));
    }
    let writing = || format!("writing {}", to.display());
    let partial = to.with_added_extension("part");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&partial).with_context(writing)?);
    let replayed = replay(dir, &mut |row| match row {
        Some((_, bytes)) => out.write_all(bytes).with_context(writing),
        None => Ok(()),
    });
    let finished = replayed.and_then(|replayed| {
        out.write_all(&[0; 4]).with_context(writing)?;
        out.write_all(&replayed.tape.rows().digest().0).with_context(writing)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all().with_context(writing)?;
        fs::rename(&partial, to).with_context(writing)?;
        Ok(replayed)
    });
    if finished.is_err() {
        fs::remove_file(&partial).ok();
    }
    finished
}

#[cfg(not(feature = "backtests"))]
fn parquet(_: &Path, _: &Path) -> Result<(Replayed, usize)> {
    let text = "this binary was built without the feature `backtests` that writes Parquet (the default build has it); use --format rows";
    Err(coded("needs_backtests", text))
}

#[cfg(feature = "backtests")]
fn parquet(dir: &Path, to: &Path) -> Result<(Replayed, usize)> {
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(coded("out_not_empty", format!("{} is not empty", to.display())));
    }
    let venue = ArchiveReader::open(dir).map_err(|error| archive_error(&error))?.venue();
    let mut writer = backtests::tape::HiveWriter::new(venue, to);
    let replayed = replay(dir, &mut |row| match row {
        Some((row, _)) => Ok(writer.push(row.clone())?),
        None => Ok(()),
    })?;
    let summary = writer.finish()?;
    Ok((replayed, summary.files.len()))
}

/// Reports coverage.
pub(super) fn coverage(args: &CoverageArgs) -> Result<ExitCode> {
    let mut coverage = Coverage::default();
    let replayed = replay(&args.folder.dir, &mut |row| {
        match row {
            Some((row, _)) => coverage.observe(row),
            None => coverage.session(),
        }
        Ok(())
    })?;
    let report = coverage.finish();
    if args.json {
        println!("{}", to_json(&report, &replayed));
    } else {
        print(&report);
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(report: &Report, replayed: &Replayed) -> Value {
    let days: Vec<Value> = report
        .days
        .iter()
        .map(|(key, day)| {
            json!({
                "venue": key.venue, "market": key.native, "day": day_name(key.day),
                "from_ns": day.from.0, "to_ns": day.to.0, "live_ns": day.live_ns, "stale_ns": day.stale_ns,
                "resyncing_ns": day.resyncing_ns, "gap_ns": day.gap_ns, "gaps": day.gaps,
            })
        })
        .collect();
    json!({
        "days": days, "without_book": report.without_book, "rows": replayed.tape.rows().rows(),
        "skipped_records": replayed.tape.skipped(),
    })
}

fn print(report: &Report) {
    println!(
        "{:<11} {:<44} {:>8} {:>9} {:>8} {:>9} {:>8} {:>5} reasons",
        "day", "market", "hours", "live %", "stale %", "resync %", "lost %", "gaps"
    );
    for (key, day) in &report.days {
        let known = day.to.since(day.from);
        let share = |ns: i64| 100.0 * ns as f64 / known.max(1) as f64;
        let reasons: Vec<String> =
            day.gap_ns.iter().map(|(reason, ns)| format!("{reason} {:.3} s", *ns as f64 / 1e9)).collect();
        let name: String = key.native.chars().take(44).collect();
        println!(
            "{:<11} {name:<44} {:>8.3} {:>9.4} {:>8.4} {:>9.4} {:>8.4} {:>5} {}",
            day_name(key.day),
            known as f64 / 3.6e12,
            share(day.live_ns),
            share(day.stale_ns),
            share(day.resyncing_ns),
            share(day.lost_ns()),
            day.gaps,
            reasons.join(", ")
        );
    }
    if report.days.is_empty() {
        println!("nothing can be said: no book was ever seen, or the recording has no receive times");
    }
    println!("\n{} instruments without a book are left out", report.without_book);
}
