//! Markets, events and series as REST tells them; what a market paid is read here and decided nowhere here.

use std::collections::BTreeMap;

use schemas::{Phase, Ppm, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::RestError;
use super::num::{Count, Dollars, Factor, Time, Verbatim};
use crate::venue::kalshi::life::{self, PriceRange};

/// `market_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketType {
    /// Pays 1 or 0, or a fraction.
    Binary,
    /// Pays a value.
    Scalar,
}

/// `status` of a market; not the query's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketStatus {
    /// Listed.
    Initialized,
    /// Halted.
    Inactive,
    /// Trading.
    Active,
    /// Trading has ended.
    Closed,
    /// An outcome is named.
    Determined,
    /// It is challenged.
    Disputed,
    /// It was changed.
    Amended,
    /// It is paid.
    Finalized,
}

impl MarketStatus {
    /// The venue's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Inactive => "inactive",
            Self::Active => "active",
            Self::Closed => "closed",
            Self::Determined => "determined",
            Self::Disputed => "disputed",
            Self::Amended => "amended",
            Self::Finalized => "finalized",
        }
    }

    /// The tape's word.
    pub const fn phase(self) -> Phase {
        match self {
            Self::Initialized => Phase::Created,
            Self::Inactive => Phase::Paused,
            Self::Active => Phase::Active,
            Self::Closed => Phase::Closed,
            Self::Determined => Phase::Determined,
            Self::Disputed => Phase::Disputed,
            Self::Amended => Phase::Amended,
            Self::Finalized => Phase::Final,
        }
    }

    /// Whether an outcome must be named.
    const fn names_an_outcome(self) -> bool {
        matches!(self, Self::Determined | Self::Disputed | Self::Amended | Self::Finalized)
    }
}

/// `strike_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrikeType {
    /// Above the floor.
    Greater,
    /// At or above the floor.
    GreaterOrEqual,
    /// Below the cap.
    Less,
    /// At or below the cap.
    LessOrEqual,
    /// From floor to cap.
    Between,
    /// By a function.
    Functional,
    /// In words.
    Custom,
    /// By structured targets.
    Structured,
}

impl MarketType {
    /// The venue's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Scalar => "scalar",
        }
    }
}

impl StrikeType {
    /// The venue's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greater => "greater",
            Self::GreaterOrEqual => "greater_or_equal",
            Self::Less => "less",
            Self::LessOrEqual => "less_or_equal",
            Self::Between => "between",
            Self::Functional => "functional",
            Self::Custom => "custom",
            Self::Structured => "structured",
        }
    }
}

/// One leg of a combination.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MveLeg {
    /// Event.
    pub event_ticker: String,
    /// Market.
    pub market_ticker: String,
    /// `yes` or `no`.
    pub side: String,
}

/// A market as far as ingest needs it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Market {
    /// Ticker.
    pub ticker: String,
    /// Event.
    pub event_ticker: String,
    /// Binary or scalar.
    pub market_type: MarketType,
    /// Where it stands.
    pub status: MarketStatus,
    /// `yes`, `no`, `scalar` or empty.
    pub result: String,
    /// What one yes contract pays, once determined.
    #[serde(rename = "settlement_value_dollars")]
    pub settlement_value: Option<Dollars>,
    /// When it was paid.
    pub settlement_ts: Option<Time>,
    /// How long a determination waits before it is final, seconds.
    pub settlement_timer_seconds: i64,
    /// The value it was settled on, in words.
    pub expiration_value: Option<String>,
    /// Start of trading.
    pub open_time: Time,
    /// End of trading.
    pub close_time: Time,
    /// Latest expiration.
    pub latest_expiration_time: Option<Time>,
    /// Expected expiration.
    pub expected_expiration_time: Option<Time>,
    /// When the thing itself happens.
    pub occurrence_datetime: Option<Time>,
    /// When the object changed last.
    pub updated_time: Option<Time>,
    /// Trading may end before `close_time`.
    pub can_close_early: bool,
    /// On which condition.
    pub early_close_condition: Option<String>,
    /// Kind of strike.
    pub strike_type: Option<StrikeType>,
    /// Lower strike.
    pub floor_strike: Option<Verbatim>,
    /// Upper strike.
    pub cap_strike: Option<Verbatim>,
    /// Functional strike.
    pub functional_strike: Option<String>,
    /// Custom strike, as it stands.
    pub custom_strike: Option<Value>,
    /// Rules.
    pub rules_primary: String,
    /// More rules.
    pub rules_secondary: String,
    /// Name of the price grid.
    pub price_level_structure: String,
    /// The price grid.
    #[serde(deserialize_with = "ranges")]
    pub price_ranges: Vec<PriceRange>,
    /// `default` or `floor`.
    pub settlement_bounds_type: Option<String>,
    /// Shard.
    pub exchange_index: Option<i64>,
    /// Fees are waived until.
    pub fee_waiver_expiration_time: Option<Time>,
    /// Collection of a combination.
    pub mve_collection_ticker: Option<String>,
    /// Legs of a combination.
    pub mve_selected_legs: Option<Vec<MveLeg>>,
    /// Not yet confirmed by the venue.
    pub is_provisional: Option<bool>,
    /// Best yes bid; 0 = none.
    #[serde(rename = "yes_bid_dollars")]
    pub yes_bid: Dollars,
    /// Best yes ask; 1 = none.
    #[serde(rename = "yes_ask_dollars")]
    pub yes_ask: Dollars,
    /// Last trade.
    #[serde(rename = "last_price_dollars")]
    pub last_price: Dollars,
    /// Volume.
    #[serde(rename = "volume_fp")]
    pub volume: Count,
    /// Open interest.
    #[serde(rename = "open_interest_fp")]
    pub open_interest: Count,
}

fn ranges<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<PriceRange>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    life::ranges(&value).map_err(serde::de::Error::custom)
}

impl Market {
    /// What one yes contract pays; `None` before it is named. Errors where the status demands an outcome and none, or
    /// a contradiction, is told.
    pub fn payout(&self) -> Result<Option<Ppm>, RestError> {
        let value = self.settlement_value.map(|value| crate::decimal::print(value.0, 6));
        let payout = life::payout(Some(&self.result), value.as_deref()).map_err(RestError::shape)?;
        if payout.is_none() && self.status.names_an_outcome() {
            return Err(RestError::shape("a determined market without an outcome"));
        }
        Ok(payout)
    }

    /// Since when what it tells holds, as far as the venue says.
    pub fn since(&self) -> Option<Timestamp> {
        let settled = self.settlement_ts.filter(|_| self.status == MarketStatus::Finalized);
        settled.or(self.updated_time).map(|time| time.0)
    }
}

/// `/markets/{ticker}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct MarketReply {
    /// The market.
    pub market: Market,
}

/// `/markets`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Markets {
    /// The page.
    pub markets: Vec<Market>,
    /// The next page, or empty.
    pub cursor: String,
}

/// Names that lost their suffix under `/historical`.
const RENAMED: [(&str, &str); 9] = [
    ("settlement_value", "settlement_value_dollars"),
    ("yes_bid", "yes_bid_dollars"),
    ("yes_ask", "yes_ask_dollars"),
    ("no_bid", "no_bid_dollars"),
    ("no_ask", "no_ask_dollars"),
    ("last_price", "last_price_dollars"),
    ("volume", "volume_fp"),
    ("open_interest", "open_interest_fp"),
    ("liquidity", "liquidity_dollars"),
];

/// Numbers keep their own digits: the object is put together again as text.
fn restored(raw: &RawValue) -> Result<Market, RestError> {
    let json = |error: serde_json::Error| RestError::json(&error);
    let mut map: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).map_err(json)?;
    for (short, long) in RENAMED {
        if map.contains_key(long) {
            continue;
        }
        if let Some(value) = map.remove(short) {
            map.insert(long.to_owned(), value);
        }
    }
    let text = serde_json::to_string(&map).map_err(json)?;
    serde_json::from_str(&text).map_err(json)
}

/// `/historical/markets/{ticker}`: the same object, with or without the suffixes.
pub fn historical_market(bytes: &[u8]) -> Result<Market, RestError> {
    #[derive(Deserialize)]
    struct Reply {
        market: Box<RawValue>,
    }
    restored(&super::decode::<Reply>(bytes)?.market)
}

/// `/historical/markets`.
pub fn historical_markets(bytes: &[u8]) -> Result<Markets, RestError> {
    #[derive(Deserialize)]
    struct Reply {
        markets: Vec<Box<RawValue>>,
        cursor: String,
    }
    let reply: Reply = super::decode(bytes)?;
    let markets = reply.markets.iter().map(|raw| restored(raw)).collect::<Result<_, _>>()?;
    Ok(Markets { markets, cursor: reply.cursor })
}

/// `/historical/cutoff`: what is older lives under `/historical`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Cutoff {
    /// Markets settled before.
    pub market_settled_ts: Time,
    /// Trades created before.
    pub trades_created_ts: Time,
    /// Orders updated before.
    pub orders_updated_ts: Time,
}

/// Where an outcome comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SettlementSource {
    /// Name.
    pub name: Option<String>,
    /// Address.
    pub url: Option<String>,
}

/// A series.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Series {
    /// Ticker.
    pub ticker: String,
    /// Title.
    pub title: String,
    /// Category.
    pub category: String,
    /// How often it is listed.
    pub frequency: String,
    /// Fee type.
    pub fee_type: String,
    /// Fee multiplier.
    pub fee_multiplier: Factor,
    /// Sources; null where there are none.
    pub settlement_sources: Option<Vec<SettlementSource>>,
}

/// `/series/{ticker}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SeriesReply {
    /// The series.
    pub series: Series,
}

/// `/series`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SeriesList {
    /// All series.
    pub series: Vec<Series>,
}

/// A change of a series' fee.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FeeChange {
    /// Its id.
    pub id: String,
    /// Series.
    pub series_ticker: String,
    /// New fee type.
    pub fee_type: String,
    /// New multiplier.
    pub fee_multiplier: Factor,
    /// From when.
    pub scheduled_ts: Time,
}

/// `/series/fee_changes`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FeeChanges {
    /// The changes.
    pub series_fee_change_arr: Vec<FeeChange>,
}

/// A change of an event's fee; null = the series' own again, absent = an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EventFeeChange {
    /// Its id.
    pub id: String,
    /// Event.
    pub event_ticker: String,
    /// New fee type.
    #[serde(deserialize_with = "nullable")]
    pub fee_type_override: Option<String>,
    /// New multiplier.
    #[serde(deserialize_with = "nullable")]
    pub fee_multiplier_override: Option<Factor>,
    /// From when.
    pub scheduled_ts: Time,
}

/// `/events/fee_changes`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EventFeeChanges {
    /// The changes.
    pub event_fee_changes: Vec<EventFeeChange>,
    /// The next page, or empty.
    #[serde(default)]
    pub cursor: String,
}

/// A field that may be null but must be there.
fn nullable<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(d)
}

/// An event.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event {
    /// Ticker.
    pub event_ticker: String,
    /// Series.
    pub series_ticker: String,
    /// Title.
    pub title: String,
    /// Subtitle.
    pub sub_title: String,
    /// At most one market of it pays.
    pub mutually_exclusive: bool,
    /// `MECNET`, `DIRECNET` or empty.
    pub collateral_return_type: String,
    /// The event's own fee type.
    pub fee_type_override: Option<String>,
    /// The event's own multiplier.
    pub fee_multiplier_override: Option<Factor>,
    /// Its markets, where they were asked for.
    pub markets: Option<Vec<Market>>,
}

/// `/events`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Events {
    /// The page.
    pub events: Vec<Event>,
    /// The next page, or empty.
    pub cursor: String,
}

/// `/events/{ticker}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EventReply {
    /// The event.
    pub event: Event,
}
