//! Recorded Parquet as canonical JSON lines, one row a line, so that the raw archive can keep it; it never judges a row.
//!
//! The recordings hold prices and sizes as doubles; they are written with at most six decimals, which is exact for what
//! the venues quote.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, DataType, ParquetReader, PolarsError, SerReader, TimeUnit};

use crate::error::BacktestError;

/// Rows read at once.
const CHUNK: usize = 200_000;

/// How a row becomes a line.
type Format = fn(&DataFrame) -> Result<Vec<String>, PolarsError>;

/// The lines of a Parquet file, read in bounded pieces.
pub struct ParquetLines {
    path: PathBuf,
    format: Format,
    offset: usize,
    rows: usize,
    ready: VecDeque<String>,
    failed: bool,
}

impl ParquetLines {
    fn open(path: &Path, format: Format) -> Result<Self, BacktestError> {
        let file = File::open(path).map_err(|e| unreadable(path, &e))?;
        let rows = ParquetReader::new(file).num_rows().map_err(|e| unreadable(path, &e))?;
        Ok(Self { path: path.to_owned(), format, offset: 0, rows, ready: VecDeque::new(), failed: false })
    }

    /// How many lines there are altogether.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn fill(&mut self) -> Result<(), BacktestError> {
        let length = CHUNK.min(self.rows - self.offset);
        let file = File::open(&self.path).map_err(|e| unreadable(&self.path, &e))?;
        let frame = ParquetReader::new(file).with_slice(Some((self.offset, length))).finish();
        let lines = frame.and_then(|frame| (self.format)(&frame)).map_err(|e| unreadable(&self.path, &e))?;
        self.offset += length;
        self.ready = lines.into();
        Ok(())
    }
}

impl Iterator for ParquetLines {
    type Item = Result<String, BacktestError>;

    fn next(&mut self) -> Option<Self::Item> {
        let due = self.ready.is_empty() && self.offset < self.rows && !self.failed;
        if due && let Err(error) = self.fill() {
            self.failed = true;
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}

fn unreadable(path: &Path, detail: &impl std::fmt::Display) -> BacktestError {
    BacktestError::Read { path: path.display().to_string(), detail: detail.to_string() }
}

/// Book snapshots (`market_id, ts, side, bid_px[], bid_sz[], ask_px[], ask_sz[]`), one per line:
/// `{"market_id":"..","ts":ms,"side":"UP","bids":[["0.45","12.5"]],"asks":[]}`.
///
/// # Errors
/// `table_read_failed` when the file is no Parquet file or lacks a column.
pub fn read_l2_rows(path: &Path) -> Result<ParquetLines, BacktestError> {
    ParquetLines::open(path, l2_lines)
}

/// Quotes (`ts, slug, bid, ask`), one per line: `{"ts":ms,"slug":"..","bid":"0.41","ask":null}`.
///
/// # Errors
/// `table_read_failed` when the file is no Parquet file or lacks a column.
pub fn read_quote_rows(path: &Path) -> Result<ParquetLines, BacktestError> {
    ParquetLines::open(path, quote_lines)
}

/// A double with at most six decimals and no exponent; `None` if it is no number.
fn decimal(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    Some(if text.is_empty() || text == "-" || text == "-0" { "0".to_owned() } else { text.to_owned() })
}

/// Milliseconds since the epoch of an integer (already milliseconds) or date-time column.
fn millis(column: &Column) -> Result<Vec<Option<i64>>, PolarsError> {
    let per_milli = match column.dtype() {
        DataType::Datetime(TimeUnit::Nanoseconds, _) => 1_000_000,
        DataType::Datetime(TimeUnit::Microseconds, _) => 1_000,
        _ => 1,
    };
    let integers = column.cast(&DataType::Int64)?;
    Ok(integers.i64()?.iter().map(|v| v.map(|v| v.div_euclid(per_milli))).collect())
}

/// Each row's list of doubles.
fn lists(column: &Column) -> Result<Vec<Vec<f64>>, PolarsError> {
    let lists = column.list()?;
    let mut out = Vec::with_capacity(lists.len());
    for at in 0..lists.len() {
        let values = match lists.get_as_series(at) {
            Some(series) => series.f64()?.iter().map(|v| v.unwrap_or(f64::NAN)).collect(),
            None => Vec::new(),
        };
        out.push(values);
    }
    Ok(out)
}

fn pairs(prices: &[f64], sizes: &[f64]) -> serde_json::Value {
    let text = |v: &f64| decimal(*v).map_or(serde_json::Value::Null, serde_json::Value::String);
    prices.iter().zip(sizes).map(|(p, s)| serde_json::json!([text(p), text(s)])).collect()
}

fn l2_lines(frame: &DataFrame) -> Result<Vec<String>, PolarsError> {
    let (markets, sides) = (frame.column("market_id")?.str()?, frame.column("side")?.str()?);
    let ts = millis(frame.column("ts")?)?;
    let [bid_px, bid_sz, ask_px, ask_sz] = [
        lists(frame.column("bid_px")?)?,
        lists(frame.column("bid_sz")?)?,
        lists(frame.column("ask_px")?)?,
        lists(frame.column("ask_sz")?)?,
    ];
    Ok((0..frame.height())
        .map(|at| {
            serde_json::json!({
                "market_id": markets.get(at),
                "ts": ts[at],
                "side": sides.get(at),
                "bids": pairs(&bid_px[at], &bid_sz[at]),
                "asks": pairs(&ask_px[at], &ask_sz[at]),
            })
            .to_string()
        })
        .collect())
}

fn quote_lines(frame: &DataFrame) -> Result<Vec<String>, PolarsError> {
    let slugs = frame.column("slug")?.str()?;
    let ts = millis(frame.column("ts")?)?;
    let price = |name: &str| -> Result<Vec<Option<String>>, PolarsError> {
        let floats = frame.column(name)?.cast(&DataType::Float64)?;
        Ok(floats.f64()?.iter().map(|v| v.and_then(decimal)).collect())
    };
    let (bids, asks) = (price("bid")?, price("ask")?);
    Ok((0..frame.height())
        .map(|at| {
            serde_json::json!({ "ts": ts[at], "slug": slugs.get(at), "bid": bids[at], "ask": asks[at] })
                .to_string()
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_venues_quote() {
        for (value, want) in [
            (0.1, Some("0.1")),
            (0.480_000_000_000_000_04, Some("0.48")),
            (12.0, Some("12")),
            (0.0, Some("0")),
            (100.0, Some("100")),
            (1e-9, Some("0")),
            (f64::NAN, None),
        ] {
            assert_eq!(decimal(value).as_deref(), want, "{value}");
        }
    }
}
