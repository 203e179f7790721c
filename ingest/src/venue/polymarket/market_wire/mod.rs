//! Frames of Polymarket's market channel, and the REST books of the same form, as integers; it never decides what a
//! book holds and never reads an absent field as a value.
//!
//! Source: docs.polymarket.com (market channel). Prices and sizes are strings, prices may lack the leading zero, key
//! order and level order are not trusted. A field that appears twice is refused. These may be absent or `null`, because
//! only a check hangs on them: `hash`, `best_bid`, `best_ask`, `market`, `transaction_hash`, `fee_rate_bps`,
//! `min_order_size`, `tick_size`, `neg_risk`, `last_trade_price`. Where `event_type` is absent the keys tell the type:
//! REST answers have none.

mod hash;
mod lists;
mod search;

use schemas::BookSide;

use crate::decimal;
use crate::scan::{Scan, ScanError};
use lists::{best, changes, levels, once, side, step};

pub use hash::hash_fits;
pub use search::{harmless, strings};

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
