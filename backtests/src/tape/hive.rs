//! A tape into hive-partitioned Parquet files with bounded memory; it never reorders rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polars::prelude::ParquetWriter;
use schemas::{BookState, Digest, TapeBody, TapeRow, Timestamp, Venue};
use serde::Serialize;

use super::columns::{Kept, Table, frame};
use crate::error::BacktestError;

/// Rows of one partition that are written as one file.
const PART_ROWS: usize = 1 << 20;
/// Rows held in memory over all partitions; above it the largest partition is written.
const MAX_ROWS: usize = 4 << 20;
/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HiveFile {
    /// Path relative to the folder.
    pub path: String,
    /// Rows in it.
    pub rows: usize,
    /// BLAKE3 of its bytes.
    pub blake3: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HiveSummary {
    /// Rows of the tape.
    pub rows: u64,
    /// Files in the order of their paths.
    pub files: Vec<HiveFile>,
    /// BLAKE3 over the files' paths and digests.
    pub digest: String,
}

/// Rows of one table and day.
#[derive(Default)]
struct Partition {
    rows: Vec<Kept>,
    parts: usize,
}

/// Writes a tape row by row.
pub struct HiveWriter {
    venue: Venue,
    dir: PathBuf,
    partitions: BTreeMap<(Table, i64), Partition>,
    held: usize,
    live: Vec<bool>,
    rows: u64,
    files: Vec<HiveFile>,
}

impl HiveWriter {
    /// Writes below `dir`, which is created when the first file is.
    pub fn new(venue: Venue, dir: &Path) -> Self {
        Self {
            venue,
            dir: dir.to_owned(),
            partitions: BTreeMap::new(),
            held: 0,
            live: Vec::new(),
            rows: 0,
            files: Vec::new(),
        }
    }

    /// Takes the next row.
    ///
    /// # Errors
    /// `table_write_failed` when a file cannot be created or written.
    pub fn push(&mut self, row: TapeRow) -> Result<(), BacktestError> {
        let live = self.fold(&row);
        let key = (Table::of(&row.body), day(&row));
        let partition = self.partitions.entry(key).or_default();
        partition.rows.push(Kept { tape_seq: self.rows, live, row });
        self.rows += 1;
        self.held += 1;
        if partition.rows.len() >= PART_ROWS {
            self.flush(key)?;
        } else if self.held >= MAX_ROWS {
            let largest = self.partitions.iter().max_by_key(|(_, p)| p.rows.len()).map(|(key, _)| *key);
            if let Some(key) = largest {
                self.flush(key)?;
            }
        }
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// `table_write_failed` when a file cannot be created or written.
    pub fn finish(mut self) -> Result<HiveSummary, BacktestError> {
        let keys: Vec<_> = self.partitions.keys().copied().collect();
        for key in keys {
            self.flush(key)?;
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut text = String::new();
        for file in &self.files {
            text.push_str(&file.path);
            text.push('\n');
            text.push_str(&file.blake3);
            text.push('\n');
        }
        let digest = Digest::of(text.as_bytes()).to_string();
        Ok(HiveSummary { rows: self.rows, files: self.files, digest })
    }

    /// Whether the row's instrument is live after it.
    fn fold(&mut self, row: &TapeRow) -> bool {
        let no = row.instrument.0 as usize;
        if row.instrument == schemas::InstrumentNo::NONE {
            return false;
        }
        if self.live.len() <= no {
            self.live.resize(no + 1, false);
        }
        if let TapeBody::State(state) = &row.body {
            self.live[no] = matches!(state, BookState::Live);
        }
        self.live[no]
    }

    fn flush(&mut self, key: (Table, i64)) -> Result<(), BacktestError> {
        let Some(partition) = self.partitions.get_mut(&key).filter(|p| !p.rows.is_empty()) else {
            return Ok(());
        };
        let rows = std::mem::take(&mut partition.rows);
        let part = partition.parts;
        partition.parts += 1;
        self.held -= rows.len();
        let (table, day) = key;
        let venue = self.venue.name();
        let path = format!("venue={venue}/type={}/date={}/part-{part:04}.parquet", table.name(), date(day));
        let file = self.dir.join(&path);
        let bytes = save(&file, table, &rows)?;
        self.files.push(HiveFile { path, rows: rows.len(), blake3: Digest::of(&bytes).to_string() });
        Ok(())
    }
}

fn failed(path: &Path, detail: &impl std::fmt::Display) -> BacktestError {
    BacktestError::Write { path: path.display().to_string(), detail: detail.to_string() }
}

/// Writes a part and gives its bytes, so that nobody reads them back to hash them.
fn save(path: &Path, table: Table, rows: &[Kept]) -> Result<Vec<u8>, BacktestError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| failed(path, &e))?;
    }
    let mut frame = frame(table, rows).map_err(|e| failed(path, &e))?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).map_err(|e| failed(path, &e))?;
    std::fs::write(path, &bytes).map_err(|e| failed(path, &e))?;
    Ok(bytes)
}

/// The UTC day a row belongs to, in days since the epoch.
fn day(row: &TapeRow) -> i64 {
    let at = match row.times.recv_at {
        Timestamp::ZERO => row.times.venue_at.unwrap_or_default(),
        at => at,
    };
    at.secs().div_euclid(DAY_S)
}

/// `2026-07-01` of days since the epoch (the civil calendar of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn date(days: i64) -> String {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Writes a whole tape below `dir`.
///
/// # Errors
/// `table_write_failed` when a file cannot be created or written.
pub fn write_hive(
    venue: Venue,
    rows: impl IntoIterator<Item = TapeRow>,
    dir: &Path,
) -> Result<HiveSummary, BacktestError> {
    let mut writer = HiveWriter::new(venue, dir);
    for row in rows {
        writer.push(row)?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_calendar_names() {
        for (days, want) in
            [(0, "1970-01-01"), (20_635, "2026-07-01"), (11_016, "2000-02-29"), (-1, "1969-12-31")]
        {
            assert_eq!(date(days), want);
        }
    }
}
