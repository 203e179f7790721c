//! Minute candles as an index: each close is one value at its candle's end. Refuses what is no candle file, repairs
//! nothing, and cuts at every hole.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::read::MultiGzDecoder;
use schemas::{IndexPrice, IndexTick, MarketEvent, MarketId, Timestamp, Venue};

use super::coded;
use super::source::{Asked, Fact, Segment};

/// Length of a candle, seconds.
const MINUTE_S: i64 = 60;
/// Largest file that is read, bytes after decompression.
const MAX_BYTES: u64 = 1 << 30;
/// The index pair that candles stand for.
const SYMBOL: &str = "btc/usd";

/// The segments of a candle file, and its name: an unbroken stretch each.
pub(super) fn read(path: &Path, interval_s: u32, every_s: u32) -> Result<(Vec<Segment>, String)> {
    let file = if path.is_dir() { only_file(path)? } else { path.to_owned() };
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let text = text(&file)?;
    let closes = closes(&text, &name)?;
    let mut segments = Vec::new();
    let mut rest = closes.as_slice();
    while !rest.is_empty() {
        let unbroken = 1 + rest.windows(2).take_while(|pair| pair[1].0 - pair[0].0 == MINUTE_S).count();
        let (stretch, later) = rest.split_at(unbroken);
        segments.push(segment(stretch, i64::from(interval_s), i64::from(every_s)));
        rest = later;
    }
    Ok((segments, name))
}

/// The one file of minute candles in a folder.
fn only_file(dir: &Path) -> Result<PathBuf> {
    let reading = || format!("reading {}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let name = path.to_string_lossy().into_owned();
        if name.contains("_1m") && (name.ends_with(".csv") || name.ends_with(".csv.gz")) {
            found.push(path);
        }
    }
    found.sort();
    let count = found.len();
    match (found.pop(), count) {
        (Some(file), 1) => Ok(file),
        (_, count) => Err(coded(
            "candles_file",
            format!("{} holds {count} files *_1m*.csv or *_1m*.csv.gz; name one file", dir.display()),
        )),
    }
}

fn text(file: &Path) -> Result<String> {
    let unreadable = |e| coded("file_unreadable", format!("cannot read {}: {e}", file.display()));
    let reader = fs::File::open(file).map_err(unreadable)?;
    let mut text = String::new();
    if file.extension().is_some_and(|e| e == "gz") {
        MultiGzDecoder::new(reader).take(MAX_BYTES).read_to_string(&mut text)
    } else {
        reader.take(MAX_BYTES).read_to_string(&mut text)
    }
    .map_err(unreadable)?;
    Ok(text)
}

/// End (seconds) and close of every candle, ascending.
fn closes(text: &str, name: &str) -> Result<Vec<(i64, IndexPrice)>> {
    let wrong = |line: usize, what: &str| coded("candles_row", format!("{name}:{line}: {what}"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|_| wrong(1, "no CSV header"))?.clone();
    let column = |want: &str| header.iter().position(|cell| cell == want);
    let (Some(stamp), Some(close)) = (column("timestamp"), column("close")) else {
        return Err(coded(
            "candles_header",
            format!("{name}: the columns `timestamp` and `close` are needed"),
        ));
    };
    let mut out: Vec<(i64, IndexPrice)> = Vec::new();
    for (line, row) in (2..).zip(reader.records()) {
        let row = row.map_err(|_| wrong(line, "no CSV row"))?;
        let cell = |column: usize| row.get(column).unwrap_or_default();
        let start =
            seconds(cell(stamp)).ok_or_else(|| wrong(line, "the time is not `YYYY-MM-DD HH:MM:SS`"))?;
        let value = IndexPrice::from_decimal(cell(close)).filter(|v| v.0 > 0);
        let value = value.ok_or_else(|| wrong(line, "the close is no positive decimal"))?;
        if out.last().is_some_and(|(last, _)| start + MINUTE_S <= *last) {
            return Err(wrong(line, "the times do not ascend"));
        }
        out.push((start + MINUTE_S, value));
    }
    let minutes = out.windows(2).filter(|pair| pair[1].0 - pair[0].0 == MINUTE_S).count();
    if minutes * 2 < out.len() || out.is_empty() {
        return Err(coded("candles_interval", format!("{name}: these are not candles of one minute")));
    }
    Ok(out)
}

fn seconds(text: &str) -> Option<i64> {
    let text = text.trim_end_matches('Z');
    let when: jiff::civil::DateTime = text.parse().ok()?;
    Some(when.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// A close is known the nanosecond before its instant: it is the last price of an interval that ends there.
fn segment(closes: &[(i64, IndexPrice)], interval_s: i64, every_s: i64) -> Segment {
    let tick = |(at_s, value): &(i64, IndexPrice)| {
        let feed_at = Timestamp::from_secs(*at_s);
        let tick = IndexTick { symbol: SYMBOL.to_owned(), feed_at, value: *value, server_at: None };
        (feed_at.plus(-1), Fact::Event(MarketEvent::Tick(tick)))
    };
    let at = |second: i64| {
        let index = closes.binary_search_by_key(&second, |(at, _)| *at).ok()?;
        closes.get(index).map(|(_, value)| *value)
    };
    let market = |start: &i64| {
        let (strike, last) = (at(*start)?, at(start + interval_s)?);
        let starts_at = Timestamp::from_secs(*start);
        let name = format!("candles-{}m-{start}", interval_s / MINUTE_S);
        Some(Asked {
            id: MarketId { venue: Venue::Polymarket, native: name.clone() },
            name,
            starts_at,
            closes_at: Timestamp::from_secs(start + interval_s),
            strike: Some(strike),
            strike_known_at: starts_at,
            up: Some(last >= strike),
        })
    };
    let starts = closes.iter().map(|(at, _)| at).filter(|at| *at % every_s == 0);
    Segment {
        symbol: SYMBOL.to_owned(),
        facts: closes.iter().map(tick).collect(),
        markets: starts.filter_map(market).collect(),
    }
}
