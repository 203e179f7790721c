//! Frames of Polymarket's market channel, and the REST books of the same form, as integers; it never decides what a
//! book holds and never reads an absent field as a value.
//!
//! Source: docs.polymarket.com (market channel). Prices and sizes are strings, prices may lack the leading zero, key
//! order and level order are not trusted. A field that appears twice is refused. These may be absent or `null`, because
//! only a check hangs on them: `hash`, `best_bid`, `best_ask`, `market`, `transaction_hash`, `fee_rate_bps`,
//! `min_order_size`, `tick_size`, `neg_risk`, `last_trade_price`. Where `event_type` is absent the keys tell the type:
//! REST answers have none.

use sha1::{Digest as _, Sha1};

use crate::decimal;
use crate::scan::{Scan, ScanError};
use schemas::BookSide;

/// Decimals of a price.
pub const PRICE_DECIMALS: u8 = 6;
/// Decimals of a quantity.
pub const QTY_DECIMALS: u8 = 6;
/// One dollar.
pub const ONE: i64 = 1_000_000;
/// A best price that was not told.
pub const UNTOLD: i64 = -1;
/// A best price of a side without orders.
pub const NOBODY: i64 = 0;
/// Milliseconds at 2100-01-01; later times are refused.
const MAX_MILLIS: i64 = 4_102_444_800_000;

/// Why a message could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON, or a value of another kind than is sent.
    #[error("at byte {}: {}", .0.at, .0.what)]
    Unreadable(ScanError),
    /// A field that matters is absent.
    #[error("{0} is absent")]
    Missing(&'static str),
    /// A field holds what cannot be.
    #[error("{0} is unusable")]
    Bad(&'static str),
    /// A field appears twice.
    #[error("{0} appears twice")]
    Twice(&'static str),
    /// A message about books of a type that nobody has described.
    #[error("an unknown event type")]
    UnknownType,
}

impl WireError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Missing(_) => "missing_field",
            Self::Bad(_) => "bad_field",
            Self::Twice(_) => "field_twice",
            Self::UnknownType => "unknown_event",
        }
    }
}

impl From<ScanError> for WireError {
    fn from(error: ScanError) -> Self {
        Self::Unreadable(error)
    }
}

type Result<T> = std::result::Result<T, WireError>;

/// A piece of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    at: u32,
    len: u32,
}

impl Span {
    /// Its bytes.
    #[inline]
    pub fn of(self, frame: &[u8]) -> &[u8] {
        frame.get(self.at as usize..(self.at + self.len) as usize).unwrap_or_default()
    }
}

/// One level of a snapshot, with its strings as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireLevel {
    /// Price, 1e-6 dollars.
    pub price: i64,
    /// Quantity, 1e-6 shares.
    pub qty: i64,
    price_text: Span,
    qty_text: Span,
}

/// One change of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The token's id.
    pub asset: Span,
    /// Side of the level.
    pub side: BookSide,
    /// Price, 1e-6 dollars.
    pub price: i64,
    /// Quantity from now on, 1e-6 shares; 0 removes the level.
    pub qty: i64,
    /// The venue's hash of the book after the change; empty if it was not told.
    pub hash: Span,
    /// Best bid after the message, [`UNTOLD`] or [`NOBODY`].
    pub best_bid: i64,
    /// Best ask after the message, [`UNTOLD`] or [`NOBODY`].
    pub best_ask: i64,
}

/// Room for the lists of a message; kept between frames, so that steady state allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// `price_changes` of the last message.
    pub changes: Vec<Change>,
    /// `bids` of the last message.
    pub bids: Vec<WireLevel>,
    /// `asks` of the last message.
    pub asks: Vec<WireLevel>,
}

/// What a message says; lists are in the [`Scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The whole book of a token.
    Book(Book<'a>),
    /// Levels of one or more tokens.
    Changes {
        /// Condition id.
        market: Option<&'a [u8]>,
        /// Venue time, ms.
        ms: i64,
    },
    /// An execution.
    Trade(Trade<'a>),
    /// Another price grid.
    Tick(Tick<'a>),
    /// Best prices.
    Top {
        /// Condition id.
        market: Option<&'a [u8]>,
        /// Token id.
        asset: &'a [u8],
        /// Venue time, ms.
        ms: i64,
        /// Best bid or [`NOBODY`].
        bid: i64,
        /// Best ask or [`NOBODY`].
        ask: i64,
    },
    /// A market was listed.
    Listed(Listed<'a>),
    /// A market was resolved.
    Resolved {
        /// Condition id.
        market: &'a [u8],
        /// JSON array of token ids, in the order of the outcomes.
        assets: &'a [u8],
        /// The token that pays.
        winner: &'a [u8],
        /// Venue time, ms.
        ms: i64,
    },
    /// A type that has nothing to do with books.
    Foreign,
}

/// The head of a `book`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Book<'a> {
    /// Condition id.
    pub market: Option<&'a [u8]>,
    /// Token id.
    pub asset: &'a [u8],
    /// Venue time, ms.
    pub ms: i64,
    /// The venue's hash.
    pub hash: Option<&'a [u8]>,
    /// The price grid, 1e-6 dollars.
    pub tick: Option<i64>,
    /// The fields that only the hash needs, as JSON text.
    tail: Option<Tail<'a>>,
    stamp: &'a [u8],
}

/// `min_order_size`, `tick_size`, `neg_risk` and `last_trade_price` of a `book`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tail<'a> {
    min_order_size: &'a [u8],
    tick_size: &'a [u8],
    neg_risk: bool,
    last_trade_price: &'a [u8],
}

/// An execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<'a> {
    /// Condition id.
    pub market: Option<&'a [u8]>,
    /// Token id.
    pub asset: &'a [u8],
    /// Venue time, ms.
    pub ms: i64,
    /// Price, 1e-6 dollars.
    pub price: i64,
    /// Quantity, 1e-6 shares.
    pub qty: i64,
    /// The side that took.
    pub taker: BookSide,
    /// The chain's transaction; several fills may share one.
    pub transaction: &'a [u8],
}

/// A change of the price grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick<'a> {
    /// Condition id.
    pub market: Option<&'a [u8]>,
    /// Token id.
    pub asset: &'a [u8],
    /// Venue time, ms.
    pub ms: i64,
    /// Step before, 1e-6 dollars.
    pub old: i64,
    /// Step from now on, 1e-6 dollars.
    pub new: i64,
}

/// A new market; texts are JSON as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Condition id.
    pub market: &'a [u8],
    /// Venue time, ms.
    pub ms: i64,
    /// JSON array of token ids.
    pub assets: &'a [u8],
    /// JSON array of the outcomes' names, aligned with `assets`.
    pub outcomes: &'a [u8],
    /// The market's slug.
    pub slug: Option<&'a [u8]>,
    /// The price grid, 1e-6 dollars.
    pub tick: Option<i64>,
    /// Whether takers pay.
    pub fees_enabled: Option<bool>,
    /// The fee schedule as JSON.
    pub fee_schedule: Option<&'a [u8]>,
}

/// A value as it stands in the message; its type is judged once the event's type is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field<'a> {
    #[default]
    Absent,
    Null,
    Text(&'a [u8]),
    Bool(bool),
    Other(&'a [u8]),
}

impl<'a> Field<'a> {
    #[inline]
    fn fill(&mut self, scan: &mut Scan<'a>, name: &'static str) -> Result<()> {
        if *self != Self::Absent {
            return Err(WireError::Twice(name));
        }
        *self = if scan.starts(b'"') {
            Self::Text(scan.plain()?)
        } else if scan.null()? {
            Self::Null
        } else if scan.starts(b't') || scan.starts(b'f') {
            Self::Bool(scan.boolean()?)
        } else {
            Self::Other(scan.raw()?)
        };
        Ok(())
    }

    #[inline]
    fn text(self, name: &'static str) -> Result<&'a [u8]> {
        match self {
            Self::Text(text) if !text.is_empty() => Ok(text),
            Self::Absent => Err(WireError::Missing(name)),
            _ => Err(WireError::Bad(name)),
        }
    }

    #[inline]
    fn optional(self, name: &'static str) -> Result<Option<&'a [u8]>> {
        match self {
            Self::Text(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Self::Absent | Self::Null => Ok(None),
            _ => Err(WireError::Bad(name)),
        }
    }

    fn list(self, name: &'static str) -> Result<&'a [u8]> {
        match self {
            Self::Other(raw) if raw.first() == Some(&b'[') => Ok(raw),
            Self::Absent => Err(WireError::Missing(name)),
            _ => Err(WireError::Bad(name)),
        }
    }
}

/// All fields of a message, whatever its type.
#[derive(Default)]
struct Fields<'a> {
    kind: Field<'a>,
    market: Field<'a>,
    asset: Field<'a>,
    timestamp: Field<'a>,
    hash: Field<'a>,
    price: Field<'a>,
    size: Field<'a>,
    side: Field<'a>,
    transaction: Field<'a>,
    best_bid: Field<'a>,
    best_ask: Field<'a>,
    old_tick: Field<'a>,
    new_tick: Field<'a>,
    min_order_size: Field<'a>,
    tick_size: Field<'a>,
    neg_risk: Field<'a>,
    last_trade_price: Field<'a>,
    assets: Field<'a>,
    outcomes: Field<'a>,
    winner: Field<'a>,
    slug: Field<'a>,
    first_tick: Field<'a>,
    fees_enabled: Field<'a>,
    fee_schedule: Field<'a>,
    bids: bool,
    asks: bool,
    changes: bool,
}

/// Reads one message of a frame; on an error the scan stands somewhere inside it.
pub fn read<'a>(scan: &mut Scan<'a>, scratch: &mut Scratch) -> Result<Event<'a>> {
    let mut fields = Fields::default();
    scan.object()?;
    while let Some(key) = scan.key()? {
        fields.take(key, scan, scratch)?;
    }
    fields.event()
}

impl<'a> Fields<'a> {
    #[inline]
    fn take(&mut self, key: &[u8], scan: &mut Scan<'a>, scratch: &mut Scratch) -> Result<()> {
        match key {
            b"event_type" => self.kind.fill(scan, "event_type"),
            b"market" => self.market.fill(scan, "market"),
            b"timestamp" => self.timestamp.fill(scan, "timestamp"),
            b"price_changes" => {
                once(&mut self.changes, "price_changes")?;
                changes(scan, &mut scratch.changes)
            }
            b"asset_id" => self.asset.fill(scan, "asset_id"),
            b"bids" => {
                once(&mut self.bids, "bids")?;
                levels(scan, &mut scratch.bids)
            }
            b"asks" => {
                once(&mut self.asks, "asks")?;
                levels(scan, &mut scratch.asks)
            }
            b"hash" => self.hash.fill(scan, "hash"),
            b"price" => self.price.fill(scan, "price"),
            b"size" => self.size.fill(scan, "size"),
            b"side" => self.side.fill(scan, "side"),
            _ => self.take_rare(key, scan),
        }
    }

    fn take_rare(&mut self, key: &[u8], scan: &mut Scan<'a>) -> Result<()> {
        match key {
            b"transaction_hash" => self.transaction.fill(scan, "transaction_hash"),
            b"best_bid" => self.best_bid.fill(scan, "best_bid"),
            b"best_ask" => self.best_ask.fill(scan, "best_ask"),
            b"old_tick_size" => self.old_tick.fill(scan, "old_tick_size"),
            b"new_tick_size" => self.new_tick.fill(scan, "new_tick_size"),
            b"min_order_size" => self.min_order_size.fill(scan, "min_order_size"),
            b"tick_size" => self.tick_size.fill(scan, "tick_size"),
            b"neg_risk" => self.neg_risk.fill(scan, "neg_risk"),
            b"last_trade_price" => self.last_trade_price.fill(scan, "last_trade_price"),
            b"assets_ids" => self.assets.fill(scan, "assets_ids"),
            b"outcomes" => self.outcomes.fill(scan, "outcomes"),
            b"winning_asset_id" => self.winner.fill(scan, "winning_asset_id"),
            b"slug" => self.slug.fill(scan, "slug"),
            b"order_price_min_tick_size" => self.first_tick.fill(scan, "order_price_min_tick_size"),
            b"fees_enabled" => self.fees_enabled.fill(scan, "fees_enabled"),
            b"fee_schedule" => self.fee_schedule.fill(scan, "fee_schedule"),
            _ => Ok(scan.skip()?),
        }
    }

    #[inline]
    fn event(&self) -> Result<Event<'a>> {
        match self.kind {
            Field::Text(b"price_change") => self.changes_event(),
            Field::Text(b"book") => self.book(),
            Field::Text(b"last_trade_price") => self.trade(),
            Field::Text(b"tick_size_change") => self.tick(),
            Field::Text(b"best_bid_ask") => self.top(),
            Field::Text(b"new_market") => self.listed(),
            Field::Text(b"market_resolved") => self.resolved(),
            Field::Text(_) if self.of_books() => Err(WireError::UnknownType),
            Field::Text(_) => Ok(Event::Foreign),
            Field::Absent => self.untyped(),
            _ => Err(WireError::Bad("event_type")),
        }
    }

    /// Whether it has a field that only messages about books have.
    fn of_books(&self) -> bool {
        self.bids
            || self.asks
            || self.changes
            || self.new_tick != Field::Absent
            || self.price != Field::Absent
    }

    fn untyped(&self) -> Result<Event<'a>> {
        if self.changes {
            self.changes_event()
        } else if self.bids || self.asks {
            self.book()
        } else if self.new_tick != Field::Absent || self.old_tick != Field::Absent {
            self.tick()
        } else if self.winner != Field::Absent {
            self.resolved()
        } else if self.price != Field::Absent || self.size != Field::Absent {
            self.trade()
        } else if self.best_bid != Field::Absent || self.best_ask != Field::Absent {
            self.top()
        } else {
            Err(WireError::Missing("event_type"))
        }
    }

    #[inline]
    fn market(&self) -> Result<Option<&'a [u8]>> {
        self.market.optional("market")
    }

    #[inline]
    fn ms(&self) -> Result<i64> {
        let text = self.timestamp.text("timestamp")?;
        let ms = decimal::parse(text, 0).filter(|ms| (1..=MAX_MILLIS).contains(ms));
        ms.ok_or(WireError::Bad("timestamp"))
    }

    #[inline]
    fn changes_event(&self) -> Result<Event<'a>> {
        if !self.changes {
            return Err(WireError::Missing("price_changes"));
        }
        Ok(Event::Changes { market: self.market()?, ms: self.ms()? })
    }

    fn book(&self) -> Result<Event<'a>> {
        for (there, name) in [(self.bids, "bids"), (self.asks, "asks")] {
            if !there {
                return Err(WireError::Missing(name));
            }
        }
        let tick = self.tick_size.optional("tick_size")?.map(|text| step(text, "tick_size")).transpose()?;
        let tail = match (self.min_order_size, self.tick_size, self.neg_risk, self.last_trade_price) {
            (Field::Text(a), Field::Text(b), Field::Bool(c), Field::Text(d)) => {
                Some(Tail { min_order_size: a, tick_size: b, neg_risk: c, last_trade_price: d })
            }
            _ => None,
        };
        Ok(Event::Book(Book {
            market: self.market()?,
            asset: self.asset.text("asset_id")?,
            ms: self.ms()?,
            hash: self.hash.optional("hash")?,
            tick,
            tail,
            stamp: self.timestamp.text("timestamp")?,
        }))
    }

    fn trade(&self) -> Result<Event<'a>> {
        let price = decimal::parse(self.price.text("price")?, PRICE_DECIMALS);
        let qty = decimal::parse(self.size.text("size")?, QTY_DECIMALS);
        Ok(Event::Trade(Trade {
            market: self.market()?,
            asset: self.asset.text("asset_id")?,
            ms: self.ms()?,
            price: price.filter(|p| (1..=ONE).contains(p)).ok_or(WireError::Bad("price"))?,
            qty: qty.filter(|q| *q > 0).ok_or(WireError::Bad("size"))?,
            taker: side(self.side.text("side")?)?,
            transaction: self.transaction.optional("transaction_hash")?.unwrap_or_default(),
        }))
    }

    fn tick(&self) -> Result<Event<'a>> {
        Ok(Event::Tick(Tick {
            market: self.market()?,
            asset: self.asset.text("asset_id")?,
            ms: self.ms()?,
            old: step(self.old_tick.text("old_tick_size")?, "old_tick_size")?,
            new: step(self.new_tick.text("new_tick_size")?, "new_tick_size")?,
        }))
    }

    fn top(&self) -> Result<Event<'a>> {
        let told = |field: Field<'a>, name| match field {
            Field::Text(text) => best(text, name),
            Field::Absent => Err(WireError::Missing(name)),
            _ => Err(WireError::Bad(name)),
        };
        Ok(Event::Top {
            market: self.market()?,
            asset: self.asset.text("asset_id")?,
            ms: self.ms()?,
            bid: told(self.best_bid, "best_bid")?.max(NOBODY),
            ask: told(self.best_ask, "best_ask")?.max(NOBODY),
        })
    }

    fn listed(&self) -> Result<Event<'a>> {
        let tick = self.first_tick.optional("order_price_min_tick_size")?;
        Ok(Event::Listed(Listed {
            market: self.market.text("market")?,
            ms: self.ms()?,
            assets: self.assets.list("assets_ids")?,
            outcomes: self.outcomes.list("outcomes")?,
            slug: self.slug.optional("slug")?,
            tick: tick.map(|text| step(text, "order_price_min_tick_size")).transpose()?,
            fees_enabled: match self.fees_enabled {
                Field::Bool(on) => Some(on),
                Field::Absent | Field::Null => None,
                _ => return Err(WireError::Bad("fees_enabled")),
            },
            fee_schedule: match self.fee_schedule {
                Field::Other(raw) => Some(raw),
                Field::Absent | Field::Null => None,
                _ => return Err(WireError::Bad("fee_schedule")),
            },
        }))
    }

    fn resolved(&self) -> Result<Event<'a>> {
        Ok(Event::Resolved {
            market: self.market.text("market")?,
            assets: self.assets.list("assets_ids")?,
            winner: self.winner.text("winning_asset_id")?,
            ms: self.ms()?,
        })
    }
}

#[inline]
fn once(seen: &mut bool, name: &'static str) -> Result<()> {
    if std::mem::replace(seen, true) { Err(WireError::Twice(name)) } else { Ok(()) }
}

#[inline]
fn side(text: &[u8]) -> Result<BookSide> {
    match text {
        b"BUY" => Ok(BookSide::Bid),
        b"SELL" => Ok(BookSide::Ask),
        _ => Err(WireError::Bad("side")),
    }
}

/// A level's price: more than nothing and less than a dollar.
#[inline]
fn price(text: &[u8]) -> Result<i64> {
    let price = decimal::parse(text, PRICE_DECIMALS).filter(|p| (1..ONE).contains(p));
    price.ok_or(WireError::Bad("price"))
}

#[inline]
fn size(text: &[u8]) -> Result<i64> {
    decimal::parse(text, QTY_DECIMALS).filter(|q| *q >= 0).ok_or(WireError::Bad("size"))
}

fn step(text: &[u8], name: &'static str) -> Result<i64> {
    decimal::parse(text, PRICE_DECIMALS).filter(|p| (1..ONE).contains(p)).ok_or(WireError::Bad(name))
}

/// A best price: empty is untold, 0 and 1 are a side without orders.
#[inline]
fn best(text: &[u8], name: &'static str) -> Result<i64> {
    if text.is_empty() {
        return Ok(UNTOLD);
    }
    match decimal::parse(text, PRICE_DECIMALS) {
        Some(0 | ONE) => Ok(NOBODY),
        Some(price) if (1..ONE).contains(&price) => Ok(price),
        _ => Err(WireError::Bad(name)),
    }
}

/// A string and where it stands.
#[inline]
fn spanned<'a>(scan: &mut Scan<'a>) -> Result<(&'a [u8], Span)> {
    let text = scan.plain()?;
    let at = scan.at() - 1 - text.len();
    Ok((text, Span { at: at as u32, len: text.len() as u32 }))
}

fn levels(scan: &mut Scan<'_>, into: &mut Vec<WireLevel>) -> Result<()> {
    into.clear();
    scan.array()?;
    while scan.item()? {
        let (mut at_price, mut at_size) = (None, None);
        scan.object()?;
        while let Some(key) = scan.key()? {
            let (slot, name) = match key {
                b"price" => (&mut at_price, "price"),
                b"size" => (&mut at_size, "size"),
                _ => {
                    scan.skip()?;
                    continue;
                }
            };
            if slot.replace(spanned(scan)?).is_some() {
                return Err(WireError::Twice(name));
            }
        }
        let (price_bytes, price_text) = at_price.ok_or(WireError::Missing("price"))?;
        let (qty_bytes, qty_text) = at_size.ok_or(WireError::Missing("size"))?;
        into.push(WireLevel { price: price(price_bytes)?, qty: size(qty_bytes)?, price_text, qty_text });
    }
    Ok(())
}

fn changes(scan: &mut Scan<'_>, into: &mut Vec<Change>) -> Result<()> {
    into.clear();
    scan.array()?;
    while scan.item()? {
        into.push(change(scan)?);
    }
    Ok(())
}

/// One entry of `price_changes`.
#[inline]
fn change(scan: &mut Scan<'_>) -> Result<Change> {
    const NONE: i64 = -1;
    let (mut asset, mut taken, mut at_price, mut qty) = (Span::default(), None, NONE, NONE);
    let (mut hash, mut best_bid, mut best_ask) = (Span::default(), None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        let again = match key {
            b"asset_id" => std::mem::replace(&mut asset, spanned(scan)?.1).len > 0,
            b"price" => std::mem::replace(&mut at_price, price(scan.plain()?)?) != NONE,
            b"size" => std::mem::replace(&mut qty, size(scan.plain()?)?) != NONE,
            b"side" => taken.replace(side(scan.plain()?)?).is_some(),
            b"hash" if scan.null()? => false,
            b"hash" => std::mem::replace(&mut hash, spanned(scan)?.1).len > 0,
            b"best_bid" => best_bid.replace(told(scan, "best_bid")?).is_some(),
            b"best_ask" => best_ask.replace(told(scan, "best_ask")?).is_some(),
            _ => {
                scan.skip()?;
                false
            }
        };
        if again {
            return Err(WireError::Twice("a field of price_changes"));
        }
    }
    let side = taken.ok_or(WireError::Missing("side"))?;
    let whole = |there: bool, name| if there { Ok(()) } else { Err(WireError::Missing(name)) };
    whole(asset.len > 0, "asset_id")?;
    whole(at_price != NONE, "price")?;
    whole(qty != NONE, "size")?;
    let (best_bid, best_ask) = (best_bid.unwrap_or(UNTOLD), best_ask.unwrap_or(UNTOLD));
    Ok(Change { asset, side, price: at_price, qty, hash, best_bid, best_ask })
}

#[inline]
fn told(scan: &mut Scan<'_>, name: &'static str) -> Result<i64> {
    if scan.null()? { Ok(UNTOLD) } else { best(scan.plain()?, name) }
}

/// Whether the venue's SHA-1 of a `book` fits; `None` where the message lacks what the hash covers.
///
/// SHA-1 of the compact JSON with the keys market, asset_id, timestamp, hash (empty), bids, asks, min_order_size,
/// tick_size, neg_risk and last_trade_price, over the strings as received (py-clob-client-v2, utilities).
pub fn hash_fits(book: &Book<'_>, scratch: &Scratch, frame: &[u8]) -> Option<bool> {
    let (tail, hash, market) = (book.tail?, book.hash?, book.market?);
    let sum = book_sum(market, book, &tail, scratch, frame);
    let mut text = [0_u8; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(sum) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    Some(hash.eq_ignore_ascii_case(&text))
}

fn book_sum(market: &[u8], book: &Book<'_>, tail: &Tail<'_>, scratch: &Scratch, frame: &[u8]) -> [u8; 20] {
    let mut sum = Sha1::new();
    put(&mut sum, &[br#"{"market":""#, market, br#"","asset_id":""#, book.asset]);
    put(&mut sum, &[br#"","timestamp":""#, book.stamp, br#"","hash":"","bids":["#]);
    put_levels(&mut sum, &scratch.bids, frame);
    put(&mut sum, &[br#"],"asks":["#]);
    put_levels(&mut sum, &scratch.asks, frame);
    let neg_risk: &[u8] = if tail.neg_risk { b"true" } else { b"false" };
    put(&mut sum, &[br#"],"min_order_size":""#, tail.min_order_size, br#"","tick_size":""#, tail.tick_size]);
    put(&mut sum, &[br#"","neg_risk":"#, neg_risk, br#","last_trade_price":""#, tail.last_trade_price]);
    put(&mut sum, &[br#""}"#]);
    sum.finalize().into()
}

fn put(sum: &mut Sha1, parts: &[&[u8]]) {
    for part in parts {
        sum.update(part);
    }
}

fn put_levels(sum: &mut Sha1, levels: &[WireLevel], frame: &[u8]) {
    for (at, level) in levels.iter().enumerate() {
        let open: &[u8] = if at == 0 { br#"{"price":""# } else { br#",{"price":""# };
        put(sum, &[open, level.price_text.of(frame), br#"","size":""#, level.qty_text.of(frame), br#""}"#]);
    }
}

/// Calls `f` with every string value of a JSON value, as far as it can be read.
pub fn strings(scan: &mut Scan<'_>, depth: u32, f: &mut impl FnMut(&[u8])) -> Result<()> {
    if depth == 0 {
        return Ok(scan.skip()?);
    }
    if scan.starts(b'"') {
        f(scan.text()?.as_bytes());
    } else if scan.starts(b'{') {
        scan.object()?;
        while scan.key()?.is_some() {
            strings(scan, depth - 1, f)?;
        }
    } else if scan.starts(b'[') {
        scan.array()?;
        while scan.item()? {
            strings(scan, depth - 1, f)?;
        }
    } else {
        scan.skip()?;
    }
    Ok(())
}

/// Whether a message, unreadable as it is, says to be of a type that changes no book.
pub fn harmless(message: &[u8]) -> bool {
    let mut scan = Scan::new(message);
    let mut kind: &[u8] = b"";
    let mut look = || -> std::result::Result<(), ScanError> {
        scan.object()?;
        while let Some(key) = scan.key()? {
            if key == b"event_type" && scan.starts(b'"') {
                kind = scan.plain()?;
            } else {
                scan.skip()?;
            }
        }
        Ok(())
    };
    look().is_ok()
        && matches!(kind, b"last_trade_price" | b"best_bid_ask" | b"new_market" | b"market_resolved")
}
