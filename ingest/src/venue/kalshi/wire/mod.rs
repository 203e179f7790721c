//! Kalshi's WebSocket frames as borrowed values; a field that matters is there in its one spelling or the frame is
//! refused, never guessed.
//!
//! Shapes: AsyncAPI 2.0.0 and venues.md 1.2. Keys come in any order, `msg` may stand before `type`. A number where the
//! venue sends a decimal string (the cents of old) is refused. Nothing is allocated for book, ticker and trade frames.

use schemas::{BookSide, IndexPrice};

mod kind;
mod rare;

pub use kind::Kind;
pub use rare::parse_uuid;
use rare::{rare, ticker, trade};

use super::life::{EventFee, EventLife, MarketLife};
use crate::scan::{Scan, ScanError};

type Result<T> = std::result::Result<T, ScanError>;

/// One dollar in 1e-6 dollars.
pub const DOLLAR: i64 = 1_000_000;
/// Decimals of a price.
pub const PRICE_DECIMALS: u8 = 6;
/// Decimals of a quantity.
pub const QTY_DECIMALS: u8 = 2;
/// Times before 2001-09-09 or after 2100 in milliseconds are no milliseconds.
const MILLIS: std::ops::Range<i64> = 1_000_000_000_000..4_102_444_800_000;

/// A level of a snapshot: price in 1e-6 dollars, quantity in 1e-2 contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireLevel {
    /// Price of the side's own outcome.
    pub price: i64,
    /// Quantity.
    pub qty: i64,
}

/// `orderbook_snapshot`; both sides were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// Ticker.
    pub ticker: &'a [u8],
    /// Text of the yes bids; `None` = no order.
    pub yes: Option<&'a [u8]>,
    /// Text of the no bids; `None` = no order.
    pub no: Option<&'a [u8]>,
}

/// `orderbook_delta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta<'a> {
    /// Ticker.
    pub ticker: &'a [u8],
    /// Price of the side's own outcome, 1e-6 dollars.
    pub price: i64,
    /// Change of the quantity, 1e-2 contracts.
    pub delta: i64,
    /// `Bid` for yes, `Ask` for no.
    pub side: BookSide,
    /// When it was recorded, ms; optional by the venue's document.
    pub ts_ms: Option<i64>,
}

/// `ticker`: the best prices as the venue tells them. Quantities of 0 mean that there is no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticker<'a> {
    /// Ticker.
    pub ticker: &'a [u8],
    /// Best yes bid and its quantity.
    pub bid: WireLevel,
    /// Best yes ask and its quantity.
    pub ask: WireLevel,
    /// When, ms.
    pub ts_ms: i64,
}

/// `trade`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<'a> {
    /// The id, a UUID's bytes.
    pub id: [u8; 16],
    /// Ticker.
    pub ticker: &'a [u8],
    /// Price of yes, 1e-6 dollars.
    pub price: i64,
    /// Quantity, 1e-2 contracts.
    pub qty: i64,
    /// `Bid` if the taker bought yes.
    pub taker: BookSide,
    /// Matched off the book.
    pub block: bool,
    /// When, ms.
    pub ts_ms: i64,
}

/// `fill`: an execution of the account's own order, as it stands in recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill<'a> {
    /// The trade's id, a UUID's bytes.
    pub id: [u8; 16],
    /// Ticker.
    pub ticker: &'a [u8],
    /// Price of yes, 1e-6 dollars.
    pub price: i64,
    /// Quantity, 1e-2 contracts.
    pub qty: i64,
    /// Whether the own order took.
    pub is_taker: bool,
    /// The taker's side, where the frame tells the own one.
    pub taker: Option<BookSide>,
    /// The fee's own text in dollars, where the frame carries one.
    pub fee: Option<&'a [u8]>,
    /// When, ms.
    pub ts_ms: Option<i64>,
}

/// An average over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Average {
    /// The average.
    pub value: IndexPrice,
    /// Start, ms.
    pub start_ms: i64,
    /// End (exclusive), ms.
    pub end_ms: i64,
}

/// `cfbenchmarks_value` and `cfbenchmarks_value_5hz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexValue<'a> {
    /// Which index, e.g. `BRTI`.
    pub index: &'a [u8],
    /// The value.
    pub value: IndexPrice,
    /// When the source published it, ms.
    pub source_ms: i64,
    /// When the venue had it, ms.
    pub received_ms: i64,
    /// Average of the last 60 s (1 Hz channel only).
    pub trailing: Option<Average>,
    /// The quarter hour's settling average, in its last minute only.
    pub settling: Option<Average>,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// A subscription is open.
    Subscribed {
        /// Its channel.
        channel: &'a [u8],
        /// Its number on this connection.
        sid: u32,
    },
    /// A command was done.
    Ok,
    /// A subscription is closed.
    Unsubscribed,
    /// A command or subscription failed.
    Error {
        /// The venue's number of it.
        code: i64,
    },
    /// A whole book.
    Snapshot(Snapshot<'a>),
    /// A change of a book.
    Delta(Delta<'a>),
    /// Best prices.
    Ticker(Ticker<'a>),
    /// A trade.
    Trade(Trade<'a>),
    /// An own execution.
    Fill(Fill<'a>),
    /// A market's life.
    Market(Box<MarketLife>),
    /// An event was created.
    Event(Box<EventLife>),
    /// An event's fee changed.
    Fee(Box<EventFee>),
    /// An index value.
    Index(IndexValue<'a>),
    /// The list of indices.
    IndexList,
    /// Described and of no concern.
    Foreign,
}

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame<'a> {
    /// Our command's number, in answers.
    pub id: Option<u64>,
    /// The subscription.
    pub sid: Option<u32>,
    /// Its counter.
    pub seq: Option<u64>,
    /// What it says.
    pub body: Body<'a>,
}

/// What can be known of a frame that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remains<'a> {
    /// The subscription.
    pub sid: Option<u32>,
    /// Its counter.
    pub seq: Option<u64>,
    /// The market, if it is named.
    pub ticker: Option<&'a [u8]>,
}

/// Keeps a field's value; a second one of the same name is refused.
#[inline]
fn once<T>(scan: &Scan<'_>, slot: &mut Option<T>, value: T) -> Result<()> {
    if slot.is_some() {
        return Err(scan.error("a key twice"));
    }
    *slot = Some(value);
    Ok(())
}

/// A field that must be there.
#[inline]
fn need<T>(scan: &Scan<'_>, slot: Option<T>, what: &'static str) -> Result<T> {
    slot.ok_or_else(|| scan.error(what))
}

#[inline]
fn sid(scan: &mut Scan<'_>) -> Result<u32> {
    let value = scan.integer()?;
    u32::try_from(value).ok().filter(|sid| *sid > 0).ok_or_else(|| scan.error("a sid from 1"))
}

#[inline]
fn counter(scan: &mut Scan<'_>) -> Result<u64> {
    let value = scan.integer()?;
    u64::try_from(value).map_err(|_| scan.error("a number from 0"))
}

/// A time in milliseconds.
#[inline]
fn millis(scan: &mut Scan<'_>) -> Result<i64> {
    let value = scan.integer()?;
    if MILLIS.contains(&value) { Ok(value) } else { Err(scan.error("a time in milliseconds")) }
}

#[inline]
fn name<'a>(scan: &mut Scan<'a>) -> Result<&'a [u8]> {
    let name = scan.plain()?;
    if name.is_empty() { Err(scan.error("a name")) } else { Ok(name) }
}

/// A price strictly between 0 and 1 dollar.
#[inline]
fn price(scan: &mut Scan<'_>) -> Result<i64> {
    let value = scan.decimal(PRICE_DECIMALS)?;
    if value > 0 && value < DOLLAR { Ok(value) } else { Err(scan.error("a price between 0 and 1")) }
}

#[inline]
fn qty(scan: &mut Scan<'_>) -> Result<i64> {
    let value = scan.decimal(QTY_DECIMALS)?;
    if value >= 0 { Ok(value) } else { Err(scan.error("a quantity from 0")) }
}

/// `yes`/`no` (bid/ask of the yes book).
#[inline]
fn outcome(scan: &mut Scan<'_>) -> Result<BookSide> {
    match scan.plain()? {
        b"yes" => Ok(BookSide::Bid),
        b"no" => Ok(BookSide::Ask),
        _ => Err(scan.error("yes or no")),
    }
}

/// Reads one frame.
#[inline]
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>> {
    let mut scan = Scan::new(bytes);
    let (mut kind, mut id, mut sub, mut seq) = (None, None, None, None);
    let (mut body, mut late) = (None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"type" => {
                let value = Kind::of(scan.plain()?);
                once(&scan, &mut kind, value)?;
            }
            b"sid" => {
                let value = sid(&mut scan)?;
                once(&scan, &mut sub, value)?;
            }
            b"seq" => {
                let value = counter(&mut scan)?;
                once(&scan, &mut seq, value)?;
            }
            b"id" => {
                let value = counter(&mut scan)?;
                once(&scan, &mut id, value)?;
            }
            b"msg" => {
                if body.is_some() || late.is_some() {
                    return Err(scan.error("a key twice"));
                }
                match kind {
                    Some(kind) => body = Some(message(kind, &mut scan)?),
                    None => late = Some(scan.raw()?),
                }
            }
            _ => scan.skip()?,
        }
    }
    scan.end()?;
    let kind = need(&scan, kind, "type")?;
    if let Some(raw) = late {
        body = Some(message(kind, &mut Scan::new(raw))?);
    }
    let body = match body {
        Some(body) => body,
        None => without_message(kind, &scan)?,
    };
    Ok(Frame { id, sid: sub, seq, body })
}

/// Frames that are whole without a `msg`.
#[cold]
fn without_message<'a>(kind: Kind, scan: &Scan<'a>) -> Result<Body<'a>> {
    match kind {
        Kind::Ok => Ok(Body::Ok),
        Kind::Unsubscribed => Ok(Body::Unsubscribed),
        Kind::Foreign => Ok(Body::Foreign),
        _ => Err(scan.error("msg")),
    }
}

#[inline]
fn message<'a>(kind: Kind, scan: &mut Scan<'a>) -> Result<Body<'a>> {
    match kind {
        Kind::Delta => delta(scan).map(Body::Delta),
        Kind::Snapshot => snapshot(scan).map(Body::Snapshot),
        Kind::Ticker => ticker(scan).map(Body::Ticker),
        Kind::Trade => trade(scan).map(Body::Trade),
        _ => rare(kind, scan),
    }
}

#[inline]
fn delta<'a>(scan: &mut Scan<'a>) -> Result<Delta<'a>> {
    let (mut ticker, mut at, mut change, mut side, mut ts_ms) = (None, None, None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"market_ticker" => {
                let value = name(scan)?;
                once(scan, &mut ticker, value)?;
            }
            b"price_dollars" => {
                let value = price(scan)?;
                once(scan, &mut at, value)?;
            }
            b"delta_fp" => {
                let value = scan.decimal(QTY_DECIMALS)?;
                once(scan, &mut change, value)?;
            }
            b"side" => {
                let value = outcome(scan)?;
                once(scan, &mut side, value)?;
            }
            b"ts_ms" => {
                let value = millis(scan)?;
                once(scan, &mut ts_ms, value)?;
            }
            _ => scan.skip()?,
        }
    }
    Ok(Delta {
        ticker: need(scan, ticker, "market_ticker")?,
        price: need(scan, at, "price_dollars")?,
        delta: need(scan, change, "delta_fp")?,
        side: need(scan, side, "side")?,
        ts_ms,
    })
}

fn snapshot<'a>(scan: &mut Scan<'a>) -> Result<Snapshot<'a>> {
    let (mut ticker, mut yes, mut no) = (None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"market_ticker" => {
                let value = name(scan)?;
                once(scan, &mut ticker, value)?;
            }
            b"yes_dollars_fp" => {
                let value = checked_levels(scan)?;
                once(scan, &mut yes, value)?;
            }
            b"no_dollars_fp" => {
                let value = checked_levels(scan)?;
                once(scan, &mut no, value)?;
            }
            // An absent side is an empty side: a side under another name must not pass as one.
            key if key.starts_with(b"yes") || key.starts_with(b"no") || scan.starts(b'[') => {
                return Err(scan.error("a side under another name"));
            }
            _ => scan.skip()?,
        }
    }
    Ok(Snapshot { ticker: need(scan, ticker, "market_ticker")?, yes, no })
}

/// The text of a side after all its levels were read and none was found twice.
fn checked_levels<'a>(scan: &mut Scan<'a>) -> Result<&'a [u8]> {
    let text = scan.raw()?;
    let mut last: Option<i64> = None;
    let mut rising: Option<bool> = None;
    levels(text, |level| {
        let above = last.map(|last| level.price > last);
        let fits = last != Some(level.price) && (rising.is_none() || rising == above);
        rising = above;
        last = Some(level.price);
        fits
    })
    .map_err(|what| scan.error(what))?;
    Ok(text)
}

/// Reads the levels of a side; stops with an error where `take` says `false`.
pub fn levels(text: &[u8], mut take: impl FnMut(WireLevel) -> bool) -> std::result::Result<(), &'static str> {
    let mut scan = Scan::new(text);
    let mut read = || -> Result<()> {
        scan.array()?;
        while scan.item()? {
            scan.array()?;
            scan.item()?;
            let price = price(&mut scan)?;
            if !scan.item()? {
                return Err(scan.error("a level's quantity"));
            }
            let qty = qty(&mut scan)?;
            if scan.item()? {
                return Err(scan.error("a level of two"));
            }
            if !take(WireLevel { price, qty }) {
                return Err(scan.error("levels out of order"));
            }
        }
        scan.end()
    };
    read().map_err(|error| error.what)
}

/// What is known of a frame that [`decode`] refused: enough to say which books it may have changed.
#[cold]
pub fn remains(bytes: &[u8]) -> Remains<'_> {
    let mut scan = Scan::new(bytes);
    let mut found = Remains::default();
    let mut read = || -> Result<()> {
        scan.object()?;
        while let Some(key) = scan.key()? {
            let raw = scan.raw()?;
            match key {
                b"sid" => found.sid = sid(&mut Scan::new(raw)).ok(),
                b"seq" => found.seq = counter(&mut Scan::new(raw)).ok(),
                b"msg" => found.ticker = named_ticker(raw),
                _ => {}
            }
        }
        scan.end()
    };
    // A document that breaks off says nothing for sure.
    if read().is_err() { Remains::default() } else { found }
}

fn named_ticker(msg: &[u8]) -> Option<&[u8]> {
    let mut scan = Scan::new(msg);
    let mut ticker = None;
    scan.object().ok()?;
    while let Some(key) = scan.key().ok()? {
        if key == b"market_ticker" {
            ticker = Some(name(&mut scan).ok()?);
        } else {
            scan.skip().ok()?;
        }
    }
    ticker
}
