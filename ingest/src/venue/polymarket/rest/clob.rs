//! The CLOB's answers: books, price histories, fees, grids and market objects; it never rounds a price.

use schemas::{Ppm, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{RestError, RestResult, condition_id, epoch, from_json, number, optional, tokens};
use crate::scan::Scan;
use crate::venue::polymarket::market_wire::{Event, Scratch, WireError, WireLevel, read};

/// A book over REST; levels in the order of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestBook {
    /// Token id.
    pub asset: String,
    /// Venue time, ms.
    pub ms: i64,
    /// The venue's hash.
    pub hash: Option<String>,
    /// Price grid, 1e-6 dollars.
    pub tick: Option<i64>,
    /// Price and quantity of each bid, 1e-6.
    pub bids: Vec<(i64, i64)>,
    /// Price and quantity of each ask, 1e-6.
    pub asks: Vec<(i64, i64)>,
}

/// The answer to `GET /book`.
pub fn book(bytes: &[u8]) -> Result<RestBook, WireError> {
    let mut scan = Scan::new(bytes);
    let book = one_book(&mut scan)?;
    scan.end()?;
    Ok(book)
}

/// The answer to `POST /books`.
pub fn books(bytes: &[u8]) -> Result<Vec<RestBook>, WireError> {
    let mut scan = Scan::new(bytes);
    let mut list = Vec::new();
    scan.array()?;
    while scan.item()? {
        list.push(one_book(&mut scan)?);
    }
    scan.end()?;
    Ok(list)
}

fn one_book(scan: &mut Scan<'_>) -> Result<RestBook, WireError> {
    let mut scratch = Scratch::default();
    let Event::Book(head) = read(scan, &mut scratch)? else { return Err(WireError::Missing("bids")) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let side = |levels: &[WireLevel]| levels.iter().map(|level| (level.price, level.qty)).collect();
    Ok(RestBook {
        asset: text(head.asset),
        ms: head.ms,
        hash: head.hash.map(text),
        tick: head.tick,
        bids: side(&scratch.bids),
        asks: side(&scratch.asks),
    })
}

/// The answer to `GET /prices-history`: times and prices in 1e-6 dollars.
pub fn prices_history(bytes: &[u8]) -> RestResult<Vec<(Timestamp, i64)>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        history: Vec<Point<'a>>,
    }
    #[derive(Deserialize)]
    struct Point<'a> {
        #[serde(borrow)]
        t: &'a RawValue,
        #[serde(borrow)]
        p: &'a RawValue,
    }
    let answer: Answer<'_> = from_json(bytes)?;
    answer.history.iter().map(|point| Ok((epoch(point.t, "t")?, number(point.p, "p", 6)?))).collect()
}

/// Splits `[from, to)` (seconds) into parts of at most `span`, as long histories must be asked for.
pub fn chunks(from: i64, to: i64, span: i64) -> Vec<(i64, i64)> {
    let span = span.max(1);
    let mut parts = Vec::new();
    let mut at = from;
    while at < to {
        let end = at.saturating_add(span).min(to);
        parts.push((at, end));
        at = end;
    }
    parts
}

/// The answer to `GET /clob-markets/{condition}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClobInfo {
    /// Rate in 1e-6 (`fd.r`); `None` where the market has no fee.
    pub rate: Option<i64>,
    /// Exponent in 1e-6 (`fd.e`).
    pub exponent: Option<i64>,
    /// Whether only takers pay (`fd.to`).
    pub taker_only: Option<bool>,
    /// Price grid, 1e-6 dollars (`mts`).
    pub tick: i64,
    /// Smallest order, 1e-6 shares (`mos`).
    pub min_size: Option<i64>,
    /// Whether it belongs to a group of mutually exclusive markets (`nr`).
    pub neg_risk: bool,
    /// Its tokens (`t`).
    pub tokens: Vec<String>,
}

/// Reads `GET /clob-markets/{condition}`.
pub fn info(bytes: &[u8]) -> RestResult<ClobInfo> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        fd: Option<Fee<'a>>,
        #[serde(borrow)]
        mts: &'a RawValue,
        #[serde(borrow)]
        mos: Option<&'a RawValue>,
        nr: Option<bool>,
        t: Vec<Token>,
    }
    #[derive(Deserialize)]
    struct Fee<'a> {
        #[serde(borrow)]
        r: &'a RawValue,
        #[serde(borrow)]
        e: &'a RawValue,
        to: Option<bool>,
    }
    #[derive(Deserialize)]
    struct Token {
        t: String,
    }
    let answer: Answer<'_> = from_json(bytes)?;
    let ids: Vec<String> = answer.t.into_iter().map(|token| token.t).collect();
    tokens(&ids)?;
    Ok(ClobInfo {
        rate: answer.fd.as_ref().map(|fee| number(fee.r, "fd.r", 6)).transpose()?,
        exponent: answer.fd.as_ref().map(|fee| number(fee.e, "fd.e", 6)).transpose()?,
        taker_only: answer.fd.as_ref().and_then(|fee| fee.to),
        tick: number(answer.mts, "mts", 6)?,
        min_size: optional(answer.mos, "mos", 6)?,
        neg_risk: answer.nr == Some(true),
        tokens: ids,
    })
}

/// The answer to `GET /fee-rate`: basis points.
pub fn fee_rate(bytes: &[u8]) -> RestResult<i64> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        base_fee: &'a RawValue,
    }
    let answer: Answer<'_> = from_json(bytes)?;
    number(answer.base_fee, "base_fee", 0)
}

/// The answer to `GET /tick-size`: 1e-6 dollars.
pub fn tick_size(bytes: &[u8]) -> RestResult<i64> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        minimum_tick_size: &'a RawValue,
    }
    let answer: Answer<'_> = from_json(bytes)?;
    let tick = number(answer.minimum_tick_size, "minimum_tick_size", 6)?;
    if tick > 0 { Ok(tick) } else { Err(RestError::field("minimum_tick_size", &tick.to_string())) }
}

/// The CLOB's own market object (`GET /markets/{condition}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClobMarket {
    /// Condition id.
    pub condition_id: String,
    /// Whether trading has ended for good.
    pub closed: bool,
    /// Whether orders are taken; says nothing about the outcome.
    pub accepting_orders: bool,
    /// Price grid, 1e-6 dollars.
    pub tick: i64,
    /// Token ids and names of the outcomes, in the venue's order.
    pub tokens: Vec<(String, String)>,
    /// What the first outcome pays, where it is certain.
    pub payout: Option<Ppm>,
}

#[derive(Deserialize)]
struct WireMarket<'a> {
    condition_id: String,
    closed: bool,
    accepting_orders: bool,
    #[serde(borrow)]
    minimum_tick_size: &'a RawValue,
    is_50_50_outcome: Option<bool>,
    #[serde(borrow)]
    tokens: Vec<WireToken<'a>>,
}

#[derive(Deserialize)]
struct WireToken<'a> {
    token_id: String,
    outcome: String,
    #[serde(borrow)]
    price: &'a RawValue,
    winner: bool,
}

/// Reads the CLOB's own market object.
pub fn market(bytes: &[u8]) -> RestResult<ClobMarket> {
    let wire: WireMarket<'_> = from_json(bytes)?;
    let ids: Vec<String> = wire.tokens.iter().map(|token| token.token_id.clone()).collect();
    tokens(&ids)?;
    Ok(ClobMarket {
        condition_id: condition_id(&wire.condition_id)?,
        closed: wire.closed,
        accepting_orders: wire.accepting_orders,
        tick: number(wire.minimum_tick_size, "minimum_tick_size", 6)?,
        payout: payout(&wire)?,
        tokens: wire.tokens.iter().map(|t| (t.token_id.clone(), t.outcome.clone())).collect(),
    })
}

/// A price of one dollar with 18 decimals.
const ONE: i64 = 1_000_000_000_000_000_000;

/// Strict: closed, two tokens, and winners and prices that say the same.
fn payout(wire: &WireMarket<'_>) -> RestResult<Option<Ppm>> {
    let [first, second] = wire.tokens.as_slice() else { return Ok(None) };
    let prices = (number(first.price, "price", 18)?, number(second.price, "price", 18)?);
    Ok(match (first.winner, second.winner, prices) {
        _ if !wire.closed => None,
        (true, false, (ONE, 0)) => Some(Ppm::ONE),
        (false, true, (0, ONE)) => Some(Ppm(0)),
        (a, b, (x, y)) if a == b && x == y && x == ONE / 2 && wire.is_50_50_outcome == Some(true) => {
            Some(Ppm::HALF)
        }
        _ => None,
    })
}
