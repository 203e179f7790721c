//! Books, trades and candles as REST tells them; a book of REST is compared with the sequenced one and never merged.

use schemas::time::NANOS_PER_SEC;
use schemas::{BookSide, CandleRow, Timestamp, TradeRow};
use serde::Deserialize;

use super::RestError;
use super::num::{Count, Dollars, Time};
use crate::book::Book;
use crate::venue::kalshi::wire::{DOLLAR, parse_uuid};

/// A book: bids of yes and of no; null = no order, absent = an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Orderbook {
    /// Bids of yes.
    #[serde(deserialize_with = "side")]
    pub yes_dollars: Vec<(Dollars, Count)>,
    /// Bids of no.
    #[serde(deserialize_with = "side")]
    pub no_dollars: Vec<(Dollars, Count)>,
}

fn side<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(Dollars, Count)>, D::Error> {
    let levels: Vec<(Dollars, Count)> = Option::deserialize(deserializer)?.unwrap_or_default();
    let legal = levels.iter().all(|(price, qty)| price.0 > 0 && price.0 < DOLLAR && qty.0 > 0);
    let mut prices: Vec<Dollars> = levels.iter().map(|(price, _)| *price).collect();
    prices.sort_unstable();
    prices.dedup();
    if legal && prices.len() == levels.len() {
        Ok(levels)
    } else {
        Err(serde::de::Error::custom("levels between 0 and 1, each once"))
    }
}

impl Orderbook {
    /// As a book of yes: asks are 1 minus the no bids.
    pub fn book(&self) -> Book {
        let mut book = Book::default();
        for (price, qty) in &self.yes_dollars {
            book.set(BookSide::Bid, price.0, qty.0);
        }
        for (price, qty) in &self.no_dollars {
            book.set(BookSide::Ask, DOLLAR - price.0, qty.0);
        }
        book
    }
}

/// `/markets/{ticker}/orderbook`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OrderbookReply {
    /// The book.
    pub orderbook_fp: Orderbook,
}

/// One of several books.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TickerOrderbook {
    /// Market.
    pub ticker: String,
    /// The book.
    pub orderbook_fp: Orderbook,
}

/// `/markets/orderbooks`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Orderbooks {
    /// The books.
    pub orderbooks: Vec<TickerOrderbook>,
}

/// A trade.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TradeItem {
    /// UUID.
    pub trade_id: String,
    /// Market.
    pub ticker: String,
    /// Quantity.
    #[serde(rename = "count_fp")]
    pub count: Count,
    /// Price of yes.
    #[serde(rename = "yes_price_dollars")]
    pub yes_price: Dollars,
    /// Price of no.
    #[serde(rename = "no_price_dollars")]
    pub no_price: Dollars,
    /// `yes` or `no`.
    pub taker_outcome_side: Option<String>,
    /// `bid` or `ask`.
    pub taker_book_side: Option<String>,
    /// The old name of the former.
    pub taker_side: Option<String>,
    /// Matched off the book.
    pub is_block_trade: bool,
    /// When.
    pub created_time: Time,
}

impl TradeItem {
    /// As a row and its instant. Errors: no UUID, prices that do not make a dollar, sides that disagree or are absent.
    pub fn row(&self) -> Result<(TradeRow, Timestamp), RestError> {
        let id = parse_uuid(self.trade_id.as_bytes()).ok_or_else(|| RestError::shape("trade_id"))?;
        let (price, qty) = (self.yes_price.0, self.count.0);
        if price + self.no_price.0 != DOLLAR || !(0..=DOLLAR).contains(&price) || qty < 0 {
            return Err(RestError::shape("yes and no prices do not make a dollar"));
        }
        let read = |text: &Option<String>| match text.as_deref() {
            None => Ok(None),
            Some("yes" | "bid") => Ok(Some(BookSide::Bid)),
            Some("no" | "ask") => Ok(Some(BookSide::Ask)),
            Some(_) => Err(RestError::shape("a taker's side")),
        };
        let told = [read(&self.taker_outcome_side)?, read(&self.taker_book_side)?, read(&self.taker_side)?];
        let mut sides = told.into_iter().flatten();
        let taker = sides.next().ok_or_else(|| RestError::shape("a taker's side"))?;
        if sides.any(|side| side != taker) {
            return Err(RestError::shape("the taker's sides disagree"));
        }
        let block = self.is_block_trade;
        Ok((TradeRow { id, price, qty, taker: Some(taker), block }, self.created_time.0))
    }
}

/// `/markets/trades` and `/historical/trades`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Trades {
    /// The page.
    pub trades: Vec<TradeItem>,
    /// The next page, or empty.
    pub cursor: String,
}

/// Prices of a side over an interval; there always are some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Ohlc {
    /// First.
    #[serde(rename = "open_dollars")]
    pub open: Dollars,
    /// Lowest.
    #[serde(rename = "low_dollars")]
    pub low: Dollars,
    /// Highest.
    #[serde(rename = "high_dollars")]
    pub high: Dollars,
    /// Last.
    #[serde(rename = "close_dollars")]
    pub close: Dollars,
}

/// Trade prices over an interval; null where nothing traded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OhlcMaybe {
    /// First.
    #[serde(rename = "open_dollars")]
    pub open: Option<Dollars>,
    /// Lowest.
    #[serde(rename = "low_dollars")]
    pub low: Option<Dollars>,
    /// Highest.
    #[serde(rename = "high_dollars")]
    pub high: Option<Dollars>,
    /// Last.
    #[serde(rename = "close_dollars")]
    pub close: Option<Dollars>,
    /// Mean.
    #[serde(rename = "mean_dollars")]
    pub mean: Option<Dollars>,
    /// Last before the interval.
    #[serde(rename = "previous_dollars")]
    pub previous: Option<Dollars>,
}

/// One candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Candle {
    /// Its inclusive end, seconds.
    pub end_period_ts: i64,
    /// Best yes bid.
    pub yes_bid: Ohlc,
    /// Best yes ask.
    pub yes_ask: Ohlc,
    /// Trades.
    pub price: OhlcMaybe,
    /// Quantity traded.
    #[serde(rename = "volume_fp")]
    pub volume: Count,
    /// Open interest.
    #[serde(rename = "open_interest_fp")]
    pub open_interest: Count,
}

impl Candle {
    /// As a row of an interval of so many minutes; it starts one interval before its inclusive end.
    pub fn row(&self, minutes: u32, now: Timestamp) -> Result<CandleRow, RestError> {
        let told = [self.price.open, self.price.high, self.price.low, self.price.close];
        let traded = told.iter().flatten().count();
        if traded != 0 && traded != told.len() {
            return Err(RestError::shape("a candle with some of its prices"));
        }
        if !(0..4_102_444_800).contains(&self.end_period_ts) {
            return Err(RestError::shape("end_period_ts"));
        }
        let [open, high, low, close] = told.map(|price| price.map(|price| price.0));
        let interval_s = minutes.saturating_mul(60);
        let end = Timestamp::from_secs(self.end_period_ts);
        let start = end.plus(-i64::from(interval_s) * NANOS_PER_SEC);
        Ok(CandleRow { start, interval_s, open, high, low, close, volume: self.volume.0, closed: end <= now })
    }
}

/// `/series/{series}/markets/{ticker}/candlesticks`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Candles {
    /// Market.
    pub ticker: String,
    /// The candles.
    pub candlesticks: Vec<Candle>,
}

/// One market of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MarketCandles {
    /// Market.
    pub market_ticker: String,
    /// The candles.
    pub candlesticks: Vec<Candle>,
}

/// `/historical/markets/{ticker}/candlesticks`: the same without suffixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoricalCandles {
    /// Market.
    pub ticker: String,
    /// The candles.
    pub candlesticks: Vec<Candle>,
}

#[derive(Deserialize)]
struct OldOhlc {
    open: Dollars,
    low: Dollars,
    high: Dollars,
    close: Dollars,
}

#[derive(Deserialize)]
struct OldOhlcMaybe {
    open: Option<Dollars>,
    low: Option<Dollars>,
    high: Option<Dollars>,
    close: Option<Dollars>,
    mean: Option<Dollars>,
    previous: Option<Dollars>,
}

#[derive(Deserialize)]
struct OldCandle {
    end_period_ts: i64,
    yes_bid: OldOhlc,
    yes_ask: OldOhlc,
    price: OldOhlcMaybe,
    volume: Count,
    open_interest: Count,
}

impl From<OldOhlc> for Ohlc {
    fn from(old: OldOhlc) -> Self {
        Self { open: old.open, low: old.low, high: old.high, close: old.close }
    }
}

impl From<OldCandle> for Candle {
    fn from(old: OldCandle) -> Self {
        let OldOhlcMaybe { open, low, high, close, mean, previous } = old.price;
        Self {
            end_period_ts: old.end_period_ts,
            yes_bid: old.yes_bid.into(),
            yes_ask: old.yes_ask.into(),
            price: OhlcMaybe { open, low, high, close, mean, previous },
            volume: old.volume,
            open_interest: old.open_interest,
        }
    }
}

impl<'de> Deserialize<'de> for HistoricalCandles {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Reply {
            ticker: String,
            candlesticks: Vec<OldCandle>,
        }
        let reply = Reply::deserialize(deserializer)?;
        let candlesticks = reply.candlesticks.into_iter().map(Candle::from).collect();
        Ok(Self { ticker: reply.ticker, candlesticks })
    }
}
