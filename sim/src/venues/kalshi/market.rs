//! One market of the made-up Kalshi: its true book and what follows from it. Never a negative level, never crossed.

use std::collections::BTreeMap;

use super::grid::Structure;
use super::units::{DOLLAR, mix, uuid};

/// A side of a Kalshi book; both hold bids only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Bids for yes.
    Yes,
    /// Bids for no.
    No,
}

impl Side {
    /// The venue's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
        }
    }
}

/// A true book: price in 1e-6 dollars to quantity in 1e-2 contracts; no level is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Bids for yes.
    pub yes: BTreeMap<i64, i64>,
    /// Bids for no.
    pub no: BTreeMap<i64, i64>,
}

impl Book {
    /// The levels of a side.
    pub const fn side(&self, side: Side) -> &BTreeMap<i64, i64> {
        match side {
            Side::Yes => &self.yes,
            Side::No => &self.no,
        }
    }

    /// The best bid of a side as price and quantity.
    pub fn best(&self, side: Side) -> Option<(i64, i64)> {
        self.side(side).last_key_value().map(|(p, q)| (*p, *q))
    }

    /// Adds a signed quantity at a price; `false` and no change where the level would become negative or the book
    /// would cross or lock (best yes + best no must stay below one dollar).
    pub fn apply(&mut self, side: Side, price: i64, delta: i64) -> bool {
        let old = self.side(side).get(&price).copied().unwrap_or(0);
        let new = old + delta;
        let opposite = self.best(side.other()).map_or(0, |(p, _)| p);
        if new < 0 || (new > 0 && price + opposite >= DOLLAR) {
            return false;
        }
        let levels = match side {
            Side::Yes => &mut self.yes,
            Side::No => &mut self.no,
        };
        if new == 0 {
            levels.remove(&price);
        } else {
            levels.insert(price, new);
        }
        true
    }
}

/// What a market is, as the venue lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketSpec {
    /// The market's ticker.
    pub ticker: String,
    /// The ticker of its event.
    pub event: String,
    /// The ticker of its series.
    pub series: String,
    /// The question.
    pub title: String,
    /// `floor_strike` in whole dollars; `None` is a market of `strike_type` structured.
    pub floor_strike: Option<i64>,
    /// Where the generator starts, 1e-6 dollars; `None` starts with an empty book.
    pub mid: Option<i64>,
    /// The side that has no level at the start.
    pub missing: Option<Side>,
    /// The price grid.
    pub structure: Structure,
    /// Unix second of the close, counted from the venue's first second.
    pub closes_after_s: i64,
}

impl MarketSpec {
    /// A market of one-cent prices around `mid` (1e-6 dollars).
    pub fn new(ticker: &str, mid: i64) -> Self {
        let event = ticker.rsplit_once('-').map_or(ticker, |(event, _)| event);
        let series = ticker.split_once('-').map_or(ticker, |(series, _)| series);
        Self {
            ticker: ticker.to_owned(),
            event: event.to_owned(),
            series: series.to_owned(),
            title: format!("{event} above the strike?"),
            floor_strike: Some(60_000),
            mid: Some(mid),
            missing: None,
            structure: Structure::LinearCent,
            closes_after_s: 86_400,
        }
    }

    /// `count` markets in events of five; of each sixteen one lacks the yes side, one the no side, one both, and one
    /// has sub-cent prices.
    pub fn many(count: usize) -> Vec<Self> {
        let one = |n: usize| {
            let mut spec = Self::new(
                &format!("KXTWIN-26DEC31E{:05}-T{}", n / 5, 10 + n % 5),
                (10 + (n as i64 * 37) % 81) * 10_000,
            );
            spec.floor_strike = Some(60_000 + 250 * n as i64);
            match n % 16 {
                5 => spec.missing = Some(Side::Yes),
                9 => spec.missing = Some(Side::No),
                11 => spec.mid = None,
                13 => spec.structure = Structure::TaperedDeciCent,
                _ => {}
            }
            spec
        };
        (0..count).map(one).collect()
    }

    /// The market's UUID; depends on the ticker alone.
    pub fn id(&self) -> String {
        let word = self.ticker.bytes().fold(7, |acc, b| mix(acc ^ u64::from(b)));
        uuid(word, mix(word))
    }
}

/// Where a market is in its life (REST `status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Trading.
    Active,
    /// Trading is paused.
    Inactive,
    /// No more trading, no result yet.
    Closed,
    /// A result, not final.
    Determined,
    /// Final.
    Finalized,
}

impl Status {
    /// The venue's word in market objects.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Closed => "closed",
            Self::Determined => "determined",
            Self::Finalized => "finalized",
        }
    }

    /// The word of the `status` filter of the markets query that lists it.
    pub const fn filter(self) -> &'static str {
        match self {
            Self::Active => "open",
            Self::Inactive => "paused",
            Self::Closed | Self::Determined => "closed",
            Self::Finalized => "settled",
        }
    }
}

/// Open, low, high and close, 1e-6 dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ohlc {
    /// First.
    pub open: i64,
    /// Lowest.
    pub low: i64,
    /// Highest.
    pub high: i64,
    /// Last.
    pub close: i64,
}

impl Ohlc {
    const fn at(price: i64) -> Self {
        Self { open: price, low: price, high: price, close: price }
    }

    fn take(&mut self, price: i64) {
        (self.low, self.high, self.close) = (self.low.min(price), self.high.max(price), price);
    }

    /// This period followed by the next.
    #[must_use]
    pub fn join(self, next: Self) -> Self {
        Self {
            open: self.open,
            low: self.low.min(next.low),
            high: self.high.max(next.high),
            close: next.close,
        }
    }
}

/// One minute of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// Yes bid (0 without one).
    pub bid: Ohlc,
    /// Yes ask (one dollar without one).
    pub ask: Ohlc,
    /// Prices of the trades, if any.
    pub price: Option<Ohlc>,
    /// Sum of price times quantity of the trades, 1e-8 dollars.
    pub notional: i128,
    /// Traded quantity, 1e-2 contracts.
    pub volume: i64,
    /// Open interest at its end, 1e-2 contracts.
    pub open_interest: i64,
}

/// A market and everything that is true of it.
#[derive(Clone, Debug)]
pub struct Market {
    /// What it is.
    pub spec: MarketSpec,
    /// Its UUID.
    pub id: String,
    /// Its true book.
    pub book: Book,
    /// Its present grid.
    pub structure: Structure,
    /// Where it is in its life.
    pub status: Status,
    /// `yes`, `no`, `scalar` or nothing yet.
    pub result: &'static str,
    /// What a yes contract pays, 1e-6 dollars, once determined.
    pub settlement: Option<i64>,
    /// Unix second of the final settlement.
    pub settled_s: Option<i64>,
    /// Whether it is listed under `/historical` only.
    pub historical: bool,
    /// The last trade's yes price, 1e-6 dollars.
    pub last_price: Option<i64>,
    /// The last trade's quantity, 1e-2 contracts.
    pub last_size: i64,
    /// Traded quantity, 1e-2 contracts.
    pub volume: i64,
    /// Sum of yes price times quantity, 1e-8 dollars.
    pub notional: i128,
    /// Open interest, 1e-2 contracts.
    pub open_interest: i64,
    /// Candles by Unix minute.
    pub minutes: BTreeMap<i64, Minute>,
}

impl Market {
    /// A market without any level.
    pub fn new(spec: MarketSpec) -> Self {
        Self {
            id: spec.id(),
            structure: spec.structure,
            spec,
            book: Book::default(),
            status: Status::Active,
            result: "",
            settlement: None,
            settled_s: None,
            historical: false,
            last_price: None,
            last_size: 0,
            volume: 0,
            notional: 0,
            open_interest: 0,
            minutes: BTreeMap::new(),
        }
    }

    /// Best yes bid, 0 without one, and its quantity.
    pub fn yes_bid(&self) -> (i64, i64) {
        self.book.best(Side::Yes).unwrap_or((0, 0))
    }

    /// Best yes ask, one dollar without one, and its quantity: the complement of the best no bid.
    pub fn yes_ask(&self) -> (i64, i64) {
        self.book.best(Side::No).map_or((DOLLAR, 0), |(p, q)| (DOLLAR - p, q))
    }

    /// Books the quotes, and a trade if there was one, into the minute of `now_us`.
    pub fn mark(&mut self, now_us: i64, trade: Option<(i64, i64)>) {
        let (bid, ask) = (self.yes_bid().0, self.yes_ask().0);
        let fresh = Minute {
            bid: Ohlc::at(bid),
            ask: Ohlc::at(ask),
            price: None,
            notional: 0,
            volume: 0,
            open_interest: self.open_interest,
        };
        let minute = self.minutes.entry(now_us.div_euclid(60_000_000)).or_insert(fresh);
        minute.bid.take(bid);
        minute.ask.take(ask);
        minute.open_interest = self.open_interest;
        if let Some((price, count)) = trade {
            minute.price.get_or_insert_with(|| Ohlc::at(price)).take(price);
            minute.volume += count;
            minute.notional += i128::from(price) * i128::from(count);
        }
    }
}
