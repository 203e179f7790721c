//! A market's life in one form, whether the WebSocket or REST tells it; an outcome is named here and never judged.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemas::{LifecycleRow, Phase, Ppm, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::wire::DOLLAR;
use crate::decimal;
use crate::truth::canon::canonical;
use crate::truth::grid;

/// A band of prices and its step, all in 1e-6 dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PriceRange {
    /// Lowest price.
    pub start: i64,
    /// Highest price.
    pub end: i64,
    /// Step.
    pub step: i64,
}

/// `market_lifecycle_v2`.
#[derive(Clone, Debug, PartialEq)]
pub struct MarketLife {
    /// Ticker.
    pub ticker: String,
    /// The venue's word: `created`, `activated`, ...
    pub said: String,
    /// Where the market stands; `Determined` may turn out to be an amendment.
    pub phase: Phase,
    /// What one yes contract pays, once named.
    pub payout: Option<Ppm>,
    /// When trading ends.
    pub closes_at: Option<Timestamp>,
    /// When it was determined or settled, by the venue.
    pub venue_at: Option<Timestamp>,
    /// The price grid, where it was told.
    pub ranges: Option<Vec<PriceRange>>,
    /// Everything else, keys sorted.
    pub detail: String,
}

/// `event_lifecycle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLife {
    /// Event ticker.
    pub event: String,
    /// Series ticker.
    pub series: String,
    /// The whole message, keys sorted.
    pub detail: String,
}

/// `event_fee_update`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFee {
    /// Event ticker.
    pub event: String,
    /// The fee type now; `None` = the series' own again.
    pub kind: Option<String>,
    /// The multiplier now in 1e-6; `None` = the series' own again.
    pub multiplier: Option<u32>,
    /// The whole message, keys sorted.
    pub detail: String,
}

/// Fee types the venue has described.
pub const FEE_TYPES: [&str; 5] = [
    "quadratic",
    "quadratic_with_maker_fees",
    "quadratic_with_combo_maker_fees",
    "flat",
    "margin_market_maker_program_fees",
];

type Said<T> = std::result::Result<T, &'static str>;

fn object(raw: &[u8]) -> Said<Map<String, Value>> {
    serde_json::from_slice(raw).map_err(|_| "an object")
}

fn text(map: &mut Map<String, Value>, key: &str) -> Said<Option<String>> {
    match map.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a string"),
    }
}

fn filled(map: &mut Map<String, Value>, key: &'static str) -> Said<String> {
    text(map, key)?.filter(|text| !text.is_empty()).ok_or(key)
}

fn seconds(map: &mut Map<String, Value>, key: &str) -> Said<Option<Timestamp>> {
    match map.remove(key) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(secs) if (0..4_102_444_800).contains(&secs) => Ok(Some(Timestamp::from_secs(secs))),
            _ => Err("a time in seconds"),
        },
    }
}

/// A number, or its decimal text, as an integer of 10^-`decimals`.
pub(super) fn scaled(value: &Value, decimals: u8) -> Option<i64> {
    match value {
        Value::String(text) => decimal::parse(text.as_bytes(), decimals),
        Value::Number(number) => decimal::parse(number.to_string().as_bytes(), decimals),
        _ => None,
    }
}

/// `price_ranges`: bands within a dollar that make a grid ([`grid::PriceRanges::new`]).
pub(super) fn ranges(value: &Value) -> Said<Vec<PriceRange>> {
    #[derive(Deserialize)]
    struct Band<'a> {
        start: &'a str,
        end: &'a str,
        step: &'a str,
    }
    const WHAT: &str = "price_ranges";
    let bands = value.as_array().ok_or(WHAT)?;
    let mut found = Vec::with_capacity(bands.len());
    for band in bands {
        let band = Band::deserialize(band).map_err(|_| WHAT)?;
        let read = |text: &str| decimal::parse(text.as_bytes(), 6).ok_or(WHAT);
        let range = PriceRange { start: read(band.start)?, end: read(band.end)?, step: read(band.step)? };
        if range.start < 0 || range.end > DOLLAR {
            return Err(WHAT);
        }
        found.push(range);
    }
    // What is taken here must be a grid to those who read the row.
    let bands = found.iter().map(|r| grid::PriceRange { start: r.start, end: r.end, step: r.step });
    grid::PriceRanges::new(bands.collect()).map_err(|_| WHAT)?;
    Ok(found)
}

/// What one yes contract pays, from `result` and the settlement value.
///
/// Any value from 0 to 1 is legal; `yes` with nothing and `no` with everything is not.
pub fn payout(result: Option<&str>, value: Option<&str>) -> Said<Option<Ppm>> {
    const WHAT: &str = "result and settlement value";
    let value = match value {
        None | Some("") => None,
        Some(text) => {
            let value =
                decimal::parse(text.as_bytes(), 6).filter(|v| (0..=DOLLAR).contains(v)).ok_or(WHAT)?;
            Some(Ppm(value as u32))
        }
    };
    match (result, value) {
        (None | Some(""), value) => Ok(value),
        (Some("yes"), None) => Ok(Some(Ppm::ONE)),
        (Some("no"), None) => Ok(Some(Ppm(0))),
        (Some("yes"), Some(Ppm(0))) | (Some("no"), Some(Ppm::ONE)) => Err(WHAT),
        (Some("yes" | "no" | "scalar" | "void"), Some(value)) => Ok(Some(value)),
        (Some("scalar" | "void"), None) => Ok(None),
        _ => Err(WHAT),
    }
}

/// What a row carries in fields of its own; the rest is its detail.
const OWN: [&str; 7] = [
    "market_ticker",
    "event_type",
    "result",
    "settlement_value",
    "close_ts",
    "determination_ts",
    "settled_ts",
];

fn detail(raw: &[u8], without: &[&str]) -> Said<String> {
    canonical(raw, without).ok_or("an object of a known depth")
}

impl MarketLife {
    /// From the text of `msg`.
    pub fn decode(raw: &[u8]) -> Said<Self> {
        let mut map = object(raw)?;
        let ticker = filled(&mut map, "market_ticker")?;
        let said = filled(&mut map, "event_type")?;
        let phase = match said.as_str() {
            "created" => Phase::Created,
            "activated" => Phase::Active,
            "deactivated" => Phase::Paused,
            "determined" => Phase::Determined,
            "settled" => Phase::Final,
            "close_date_updated" | "price_level_structure_updated" | "metadata_updated" => Phase::Changed,
            _ => return Err("an event_type nobody has described"),
        };
        let payout =
            payout(text(&mut map, "result")?.as_deref(), text(&mut map, "settlement_value")?.as_deref())?;
        let closes_at = seconds(&mut map, "close_ts")?;
        let (determined, settled) =
            (seconds(&mut map, "determination_ts")?, seconds(&mut map, "settled_ts")?);
        let venue_at = if phase == Phase::Final { settled } else { determined };
        let ranges = map.get("price_ranges").map(ranges).transpose()?;
        if said == "price_level_structure_updated" && ranges.is_none() {
            return Err("price_ranges");
        }
        if said == "determined" && payout.is_none() {
            return Err("a result");
        }
        if said == "close_date_updated" && closes_at.is_none() {
            return Err("close_ts");
        }
        let detail = detail(raw, &OWN)?;
        Ok(Self { ticker, said, phase, payout, closes_at, venue_at, ranges, detail })
    }
}

impl EventLife {
    /// From the text of `msg`.
    pub fn decode(raw: &[u8]) -> Said<Self> {
        let mut map = object(raw)?;
        let detail = detail(raw, &[])?;
        Ok(Self {
            event: filled(&mut map, "event_ticker")?,
            series: filled(&mut map, "series_ticker")?,
            detail,
        })
    }
}

impl EventFee {
    /// From the text of `msg`; both overrides must be there, if only as null.
    pub fn decode(raw: &[u8]) -> Said<Self> {
        let mut map = object(raw)?;
        let detail = detail(raw, &[])?;
        let event = filled(&mut map, "event_ticker")?;
        let kind = match map.remove("fee_type_override").ok_or("fee_type_override")? {
            Value::Null => None,
            Value::String(kind) if FEE_TYPES.contains(&kind.as_str()) => Some(kind),
            _ => return Err("fee_type_override"),
        };
        let multiplier = match map.remove("fee_multiplier_override").ok_or("fee_multiplier_override")? {
            Value::Null => None,
            value @ Value::Number(_) => {
                let scaled = scaled(&value, 6).and_then(|m| u32::try_from(m).ok());
                Some(scaled.ok_or("fee_multiplier_override")?)
            }
            _ => return Err("fee_multiplier_override"),
        };
        Ok(Self { event, kind, multiplier, detail })
    }
}

/// What is known of one market's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where it stands.
    pub phase: Phase,
    /// What it pays, once named.
    pub payout: Option<Ppm>,
    /// When trading ends.
    pub closes_at: Option<Timestamp>,
    /// Hash of the rest of its object as REST told it last.
    pub object: Option<[u8; 32]>,
}

/// One thing told of a market's life, by WebSocket or REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// Ticker.
    pub ticker: &'a str,
    /// The venue's word.
    pub said: &'a str,
    /// Where it stands.
    pub phase: Phase,
    /// What it pays, once named.
    pub payout: Option<Ppm>,
    /// When trading ends.
    pub closes_at: Option<Timestamp>,
    /// What else changed, or, by REST, what else there is.
    pub detail: Cow<'a, str>,
    /// `detail` is the whole object, told again with every reading: it is news only where it differs.
    pub whole: bool,
}

/// The lives of all markets that were heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    known: BTreeMap<String, Known>,
}

impl Lives {
    /// What is known of a market.
    pub fn get(&self, ticker: &str) -> Option<Known> {
        self.known.get(ticker).copied()
    }

    /// All markets and what is known of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Known)> {
        self.known.iter().map(|(ticker, known)| (ticker.as_str(), *known))
    }

    /// Takes what was told; a row if it is news. A second determination with another outcome is an amendment. What is
    /// not told again (`settled` names no outcome) stays as it was told last. Where only the rest of an object differs
    /// from its reading before, the row is a mere change.
    pub fn take(&mut self, told: Told<'_>) -> Option<LifecycleRow> {
        let before = self.get(told.ticker);
        let payout = told.payout.or_else(|| before.and_then(|b| b.payout));
        let closes_at = told.closes_at.or_else(|| before.and_then(|b| b.closes_at));
        let renamed = before.and_then(|b| b.payout).zip(told.payout).is_some_and(|(was, is)| was != is);
        let phase = match told.phase {
            Phase::Determined if renamed => Phase::Amended,
            phase => phase,
        };
        // A mere change does not move the market to another phase.
        let stands = if phase == Phase::Changed { before.map_or(phase, |b| b.phase) } else { phase };
        let object = before.and_then(|b| b.object);
        let read =
            told.whole.then(|| schemas::id::derive("oraculo/kalshi-object/1", &[told.detail.as_bytes()]));
        let now = Known { phase: stands, payout, closes_at, object: read.or(object) };
        if phase != Phase::Changed && before == Some(now) {
            return None;
        }
        let same = before.is_some_and(|b| Known { object: now.object, ..b } == now);
        let phase = if same { Phase::Changed } else { phase };
        self.known.insert(told.ticker.to_owned(), now);
        Some(LifecycleRow {
            market: told.ticker.to_owned(),
            phase,
            said: told.said.to_owned(),
            payout,
            closes_at,
            detail: told.detail.into_owned(),
        })
    }
}
