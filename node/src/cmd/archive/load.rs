//! Reads the files of an import, whatever they are packed in, and says what could not be read. Writes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ingest::import::{Lines, Recording, unpack};

use super::{coded, import_error};

/// Complaints about single lines that are printed; all are counted.
const SHOWN: usize = 20;

/// What is in the files.
pub(super) struct Loaded {
    pub(super) recordings: Vec<Recording>,
    pub(super) tables: Vec<Lines>,
    /// Frames, REST bodies and rows altogether.
    pub(super) frames: u64,
    /// Lines that could not be read.
    pub(super) unreadable: u64,
}

/// Reads all files.
pub(super) fn load(files: &[PathBuf]) -> Result<Loaded> {
    let mut loaded = Loaded { recordings: Vec::new(), tables: Vec::new(), frames: 0, unreadable: 0 };
    for file in files {
        let name = file.display().to_string();
        if file.is_dir() {
            return Err(coded("is_directory", format!("{name} is a directory; name its files")));
        }
        if begins_like_parquet(file) {
            let table = table(file, &mut loaded.frames)?;
            loaded.tables.push(table);
            continue;
        }
        let data = fs::read(file)
            .map_err(|error| coded("file_unreadable", format!("cannot read {name}: {error}")))?;
        let data = unpack(&name, data).map_err(|error| import_error(&error))?;
        let recording = Recording::read(&name, data).map_err(|error| import_error(&error))?;
        for complaint in &recording.complaints {
            if loaded.unreadable < SHOWN as u64 {
                eprintln!("{name}:{}: {}", complaint.line, complaint.code);
            }
            loaded.unreadable += 1;
        }
        if recording.is_empty() {
            eprintln!("{name}: nothing in it can be read");
        }
        loaded.frames += recording.frames();
        loaded.recordings.push(recording);
    }
    if loaded.unreadable > SHOWN as u64 {
        eprintln!("... and {} more lines that could not be read", loaded.unreadable - SHOWN as u64);
    }
    if loaded.frames == 0 {
        return Err(coded("nothing_read", "nothing could be read: no file holds a frame"));
    }
    Ok(loaded)
}

fn begins_like_parquet(file: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 4];
    fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && &magic == b"PAR1"
}

#[cfg(not(feature = "backtests"))]
fn table(file: &Path, _: &mut u64) -> Result<Lines> {
    let text = format!(
        "{} is a Parquet table; this binary was built without the feature `backtests` that reads it (the default build has it)",
        file.display()
    );
    Err(coded("needs_backtests", text))
}

/// Snapshots are put in the order of their times; quotes are too many for that and come as the file has them.
#[cfg(feature = "backtests")]
fn table(file: &Path, frames: &mut u64) -> Result<Lines> {
    use backtests::tape::{read_l2_rows, read_quote_rows};
    let name = file.display().to_string();
    let bad = |error: backtests::BacktestError| coded("bad_table", error);
    let readable = |lines: Result<backtests::tape::ParquetLines, _>| {
        lines.is_ok_and(|mut lines| lines.next().is_none_or(|line| line.is_ok()))
    };
    if readable(read_l2_rows(file)) {
        let lines: Result<Vec<String>, _> = read_l2_rows(file).map_err(bad)?.collect();
        let mut lines = lines.map_err(bad)?;
        lines.sort_by_key(|line| time_of(line));
        *frames += lines.len() as u64;
        return Ok(Lines { name, lines: Box::new(lines.into_iter().map(Ok)) });
    }
    if readable(read_quote_rows(file)) {
        let lines = read_quote_rows(file).map_err(bad)?;
        *frames += lines.rows() as u64;
        return Ok(Lines {
            name,
            lines: Box::new(lines.map(|line| line.map_err(|error| error.to_string()))),
        });
    }
    let text = format!("{name} holds neither book snapshots nor quotes");
    Err(coded("unknown_table", text))
}

#[cfg(feature = "backtests")]
fn time_of(line: &str) -> i64 {
    let digits = line.split_once("\"ts\":").map_or("", |(_, rest)| rest);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}
