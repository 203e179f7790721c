//! Turns the text of a recorded day's files into a [`Day`]; refuses what does not add up, never repairs it.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{IndexPrice, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::civil;
use crate::day::{Day, DayMarket, DayParts, LISTED_BEFORE_S, Tick};
use crate::edge::files::DayFile;
use crate::error::SimError;

/// The header of a prices file.
pub const PRICES_HEADER: &str = "feed_ts_ms,value,full_accuracy_value,server_ts_ms,recv_ms";
/// When the venue's own resolution shows if its object does not say, seconds after the end.
const RESOLVES_AFTER_S: i64 = 16;
/// When a strike shows if no tick carries the start, seconds after the start.
const STRIKE_AFTER_S: i64 = 2;

/// A line of the markets file; fields that repeat those of `raw` are left out.
#[derive(Deserialize)]
struct Line {
    slug: String,
    asset: String,
    interval_sec: u32,
    condition_id: String,
    token_ids: Vec<String>,
    start_sec: i64,
    end_sec: i64,
    resolved: bool,
    outcome_prices: Vec<String>,
    strike_value: Option<String>,
    raw: Box<RawValue>,
}

/// What is read of the final Gamma object itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Final {
    slug: String,
    condition_id: String,
    #[serde(default)]
    start_date: Option<String>,
    #[serde(default)]
    closed_time: Option<String>,
}

/// The day of a markets file and a prices file.
///
/// # Errors
/// The first row that cannot be used, with its file and line.
pub fn day(markets: &DayFile, prices: &DayFile) -> Result<Day, SimError> {
    let ticks = ticks(prices)?;
    let received: BTreeMap<i64, i64> = ticks.iter().map(|t| (t.feed_ms, t.recv_ms)).collect();
    let mut out = Vec::new();
    let mut slugs = BTreeSet::new();
    let mut shape: Option<(String, u32)> = None;
    for (line, text) in (1..).zip(markets.text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let wrong = |what| SimError::MarketsRow { file: markets.name.clone(), line, what };
        let row: Line = serde_json::from_str(text).map_err(|_| wrong("not a market of the known form"))?;
        let (asset, interval_s) = shape.get_or_insert_with(|| (row.asset.clone(), row.interval_sec));
        if (&row.asset, row.interval_sec) != (&*asset, *interval_s) {
            return Err(wrong("another asset or interval than the lines before"));
        }
        if !slugs.insert(row.slug.clone()) || !slugs.insert(row.condition_id.clone()) {
            return Err(wrong("the market was listed before"));
        }
        out.push(market(row, &received).map_err(wrong)?);
    }
    let (asset, interval_s) = shape.ok_or_else(|| SimError::DayEmpty { file: markets.name.clone() })?;
    Ok(Day::assemble(DayParts {
        symbol: format!("{asset}/usd"),
        slug_prefix: slug_prefix(&asset, interval_s),
        interval_s,
        markets: out,
        ticks,
        quotes: None,
    }))
}

/// `btc-updown-5m` for btc and 300.
fn slug_prefix(asset: &str, interval_s: u32) -> String {
    format!("{asset}-updown-{}m", interval_s / 60)
}

fn market(row: Line, received: &BTreeMap<i64, i64>) -> Result<DayMarket, &'static str> {
    if row.asset.is_empty() || !row.asset.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err("the asset is not a lower-case name");
    }
    if row.interval_sec == 0 || row.end_sec.checked_sub(row.start_sec) != Some(i64::from(row.interval_sec)) {
        return Err("end is not start plus interval");
    }
    if row.slug != format!("{}-{}", slug_prefix(&row.asset, row.interval_sec), row.start_sec) {
        return Err("the slug does not name the start");
    }
    let token_ids: [String; 2] = row.token_ids.try_into().map_err(|_| "there are not two token ids")?;
    let strike = match row.strike_value.as_deref() {
        None => None,
        Some(atoms) => Some(IndexPrice::from_atoms(atoms).ok_or("the strike is no integer of 1e-18")?),
    };
    let raw: Final = serde_json::from_str(row.raw.get()).map_err(|_| "`raw` is no Gamma market")?;
    if raw.slug != row.slug || raw.condition_id != row.condition_id {
        return Err("`raw` is another market");
    }
    let time = |text: Option<String>, otherwise: i64| match text {
        None => Ok(otherwise),
        Some(text) => civil::parse(&text).ok_or("a time of `raw` cannot be read"),
    };
    let known_ms = received.get(&(row.start_sec * 1_000)).copied();
    Ok(DayMarket {
        token_ids,
        starts_at: Timestamp::from_secs(row.start_sec),
        ends_at: Timestamp::from_secs(row.end_sec),
        listed_at: Timestamp::from_secs(time(raw.start_date, row.start_sec - LISTED_BEFORE_S)?),
        strike,
        strike_known_at: Timestamp::from_millis(known_ms.unwrap_or((row.start_sec + STRIKE_AFTER_S) * 1_000)),
        official: official(row.resolved, &row.outcome_prices),
        resolved_at: Timestamp::from_secs(
            time(raw.closed_time, row.end_sec + RESOLVES_AFTER_S)?.max(row.end_sec),
        ),
        final_json: row.raw.get().into(),
        slug: row.slug,
        condition_id: row.condition_id,
    })
}

/// Only a clean 1 : 0 is a winner.
fn official(resolved: bool, prices: &[String]) -> Option<bool> {
    match prices {
        [up, down] if resolved && up == "1" && down == "0" => Some(true),
        [up, down] if resolved && up == "0" && down == "1" => Some(false),
        _ => None,
    }
}

fn ticks(file: &DayFile) -> Result<Vec<Tick>, SimError> {
    let mut lines = file.text.lines();
    let header = lines.next().unwrap_or_default();
    if header.trim_end() != PRICES_HEADER {
        return Err(SimError::PricesHeader {
            file: file.name.clone(),
            found: header.chars().take(200).collect(),
            expected: PRICES_HEADER,
        });
    }
    let mut out = Vec::new();
    for (line, text) in (2..).zip(lines).filter(|(_, text)| !text.is_empty()) {
        out.push(tick(text).map_err(|what| SimError::PricesRow { file: file.name.clone(), line, what })?);
    }
    if out.is_empty() {
        return Err(SimError::DayEmpty { file: file.name.clone() });
    }
    Ok(out)
}

fn tick(text: &str) -> Result<Tick, &'static str> {
    let cells: Vec<&str> = text.trim_end().split(',').collect();
    let [feed, value, full, server, recv] = cells[..] else { return Err("not five cells") };
    let ms = |cell: &str| -> Result<i64, &'static str> {
        cell.parse()
            .ok()
            .filter(|ms| (0..=9_000_000_000_000).contains(ms))
            .ok_or("a time is no count of milliseconds")
    };
    let printed = IndexPrice::from_decimal(value).ok_or("the value is no plain decimal")?;
    let full = IndexPrice::from_atoms(full).ok_or("the full value is no integer of 1e-18")?;
    // The printed value is the nearest f64, so it agrees to about 16 digits.
    if full.0 == 0 || (printed.0 - full.0).abs() > full.0 / 1_000_000_000_000 {
        return Err("value and full value disagree");
    }
    Ok(Tick { feed_ms: ms(feed)?, server_ms: ms(server)?, recv_ms: ms(recv)?, value: value.into(), full })
}
