//! Kalshi's REST answers as typed values, its requests as text, its limits as a bucket; nothing here asks by itself.
//!
//! Shapes: OpenAPI 3.34.0 and venues.md 1.1. Money and quantities are decimal strings; a number in their place (the
//! cents of old) is refused. A field that decides something must be there; one that the venue leaves out where it does
//! not apply is an `Option`.

mod account;
mod bucket;
mod data;
mod market;
mod num;
mod pager;
mod query;
pub mod request;
mod told;

pub use account::{
    AccountLimits, Bucket, DayHours, EndpointCost, EndpointCosts, ExchangeStatus, IndexStatus, Maintenance,
    Schedule, StandardHours, Window,
};
pub use bucket::{DEFAULT_COST, TokenBucket};
pub use data::{
    Candle, Candles, HistoricalCandles, MarketCandles, Ohlc, OhlcMaybe, Orderbook, OrderbookReply,
    Orderbooks, TickerOrderbook, TradeItem, Trades,
};
pub use market::{
    Cutoff, Event, EventFeeChange, EventFeeChanges, EventReply, Events, FeeChange, FeeChanges, Market,
    MarketReply, MarketStatus, MarketType, Markets, MveLeg, Series, SeriesList, SeriesReply,
    SettlementSource, StrikeType, historical_market, historical_markets,
};
pub use num::{Count, Dollars, Factor, Time, Verbatim};
pub use pager::{Page, Pager, PagerError};
pub use query::{EventsQuery, MarketsQuery, RequestError, StatusFilter, TradesQuery};

use serde::de::DeserializeOwned;

/// Why an answer could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    BadJson(String),
    /// JSON, but a field is missing, null or of another type where it decides something.
    #[error("unexpected shape: {0}")]
    BadShape(String),
}

impl RestError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadJson(_) => "bad_json",
            Self::BadShape(_) => "bad_shape",
        }
    }

    fn json(error: &serde_json::Error) -> Self {
        let text = crate::error::quoted(&error.to_string());
        if error.is_data() { Self::BadShape(text) } else { Self::BadJson(text) }
    }

    fn shape(text: &str) -> Self {
        Self::BadShape(crate::error::quoted(text))
    }
}

/// Reads an answer.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RestError> {
    serde_json::from_slice(bytes).map_err(|error| RestError::json(&error))
}
