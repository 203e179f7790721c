//! Filters and pages of listings; a combination that the venue refuses is refused here, with the reason.

use std::fmt::Write as _;

use schemas::Timestamp;

/// Most markets of one page.
const MAX_MARKETS: u32 = 1_000;
/// Most events of one page.
pub(super) const MAX_EVENTS: u32 = 200;
/// Most trades of one page.
pub(super) const MAX_TRADES: u32 = 1_000;
/// Most tickers of one batch.
const MAX_TICKERS: usize = 100;
/// Most candles of one batch.
pub(super) const MAX_CANDLES: i64 = 10_000;

/// Why a request would be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A page size outside 1 to the venue's limit.
    #[error("limit {limit}, legal are 1 to {most}")]
    Limit {
        /// What was asked.
        limit: u32,
        /// The venue's limit.
        most: u32,
    },
    /// Time filters of different kinds at once, or one that does not go with the status.
    #[error("{0} excludes the other time filters or this status")]
    TimeFilters(&'static str),
    /// No ticker, or more than one batch takes.
    #[error("{0} tickers, legal are 1 to {MAX_TICKERS}")]
    Tickers(usize),
    /// An empty ticker.
    #[error("an empty ticker")]
    EmptyTicker,
    /// A candle length other than 1, 60 and 1440 minutes.
    #[error("candles of {0} minutes, legal are 1, 60 and 1440")]
    Interval(u32),
    /// A stretch that ends before it starts.
    #[error("the stretch ends before it starts")]
    Stretch,
    /// More candles than one answer holds.
    #[error("{0} candles, at most {MAX_CANDLES}")]
    Candles(i64),
}

impl RequestError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "bad_limit",
            Self::TimeFilters(_) => "bad_time_filters",
            Self::Tickers(_) => "bad_ticker_count",
            Self::EmptyTicker => "empty_ticker",
            Self::Interval(_) => "bad_interval",
            Self::Stretch => "bad_stretch",
            Self::Candles(_) => "too_many_candles",
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, RequestError>;

/// The query's own status words; they differ from a market's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Not open yet.
    Unopened,
    /// Open.
    Open,
    /// Paused.
    Paused,
    /// Closed.
    Closed,
    /// Settled.
    Settled,
}

impl StatusFilter {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unopened => "unopened",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Closed => "closed",
            Self::Settled => "settled",
        }
    }
}

/// Percent-escapes everything but unreserved characters (RFC 3986), in upper case.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A path whose query grows.
pub(super) struct Query {
    pub(super) text: String,
    empty: bool,
}

impl Query {
    pub(super) fn new(path: &str) -> Self {
        Self { text: path.to_owned(), empty: true }
    }

    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        let sign = if std::mem::replace(&mut self.empty, false) { '?' } else { '&' };
        let _ = write!(self.text, "{sign}{key}={}", escaped(value));
        self
    }

    pub(super) fn maybe(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    fn span(self, name: &str, span: Span) -> Self {
        let secs = |at: Timestamp| at.secs().to_string();
        let low = span.0.map(secs);
        let high = span.1.map(secs);
        self.maybe(&format!("min_{name}_ts"), low.as_deref())
            .maybe(&format!("max_{name}_ts"), high.as_deref())
    }
}

/// From and until, whole seconds are sent.
type Span = (Option<Timestamp>, Option<Timestamp>);

pub(super) fn limited(limit: u32, most: u32) -> Result<String> {
    if (1..=most).contains(&limit) { Ok(limit.to_string()) } else { Err(RequestError::Limit { limit, most }) }
}

pub(super) fn joined(tickers: &[&str]) -> Result<String> {
    if tickers.is_empty() || tickers.len() > MAX_TICKERS {
        return Err(RequestError::Tickers(tickers.len()));
    }
    if tickers.iter().any(|ticker| ticker.is_empty()) {
        return Err(RequestError::EmptyTicker);
    }
    Ok(tickers.join(","))
}

pub(super) fn named(ticker: &str) -> Result<String> {
    if ticker.is_empty() { Err(RequestError::EmptyTicker) } else { Ok(escaped(ticker)) }
}

/// `/markets` and `/historical/markets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketsQuery<'a> {
    /// Page size, 1 to 1000.
    pub limit: u32,
    /// One status.
    pub status: Option<StatusFilter>,
    /// One series.
    pub series: Option<&'a str>,
    /// One event.
    pub event: Option<&'a str>,
    /// Up to 100 markets; empty = all.
    pub tickers: &'a [&'a str],
    /// Created between; with status unopened or open only.
    pub created: Span,
    /// Closing between; with status closed only.
    pub close: Span,
    /// Settled between; with status settled only.
    pub settled: Span,
    /// Updated since; alone.
    pub updated: Option<Timestamp>,
    /// `Some(true)` = only combinations, `Some(false)` = none.
    pub combinations: Option<bool>,
}

impl Default for MarketsQuery<'_> {
    fn default() -> Self {
        Self {
            limit: MAX_MARKETS,
            status: None,
            series: None,
            event: None,
            tickers: &[],
            created: (None, None),
            close: (None, None),
            settled: (None, None),
            updated: None,
            combinations: None,
        }
    }
}

impl MarketsQuery<'_> {
    /// Time filters exclude each other and go with their own statuses only (venues.md 1.1).
    fn check(&self) -> Result<()> {
        use StatusFilter::{Closed, Open, Settled, Unopened};
        let given = |span: Span| span.0.is_some() || span.1.is_some();
        let used = [given(self.created), given(self.close), given(self.settled), self.updated.is_some()];
        let names = ["created", "close", "settled", "min_updated_ts"];
        let one = used.iter().position(|used| *used);
        if let Some(at) = one
            && used.iter().filter(|used| **used).count() > 1
        {
            return Err(RequestError::TimeFilters(names[at]));
        }
        let fits = match one {
            Some(0) => matches!(self.status, None | Some(Unopened | Open)),
            Some(1) => matches!(self.status, None | Some(Closed)),
            Some(2) => matches!(self.status, None | Some(Settled)),
            Some(_) => self.status.is_none(),
            None => true,
        };
        if !fits {
            return Err(RequestError::TimeFilters(names[one.unwrap_or_default()]));
        }
        let spans = [self.created, self.close, self.settled];
        let turned = spans.iter().any(|span| matches!(span, (Some(low), Some(high)) if low > high));
        if turned { Err(RequestError::Stretch) } else { Ok(()) }
    }

    pub(super) fn build(&self, path: &str) -> Result<String> {
        self.check()?;
        let tickers = if self.tickers.is_empty() { None } else { Some(joined(self.tickers)?) };
        let updated = self.updated.map(|at| at.secs().to_string());
        let mve = self.combinations.map(|only| if only { "only" } else { "exclude" });
        let query = Query::new(path)
            .with("limit", &limited(self.limit, MAX_MARKETS)?)
            .maybe("status", self.status.map(StatusFilter::name))
            .maybe("series_ticker", self.series)
            .maybe("event_ticker", self.event)
            .maybe("tickers", tickers.as_deref())
            .span("created", self.created)
            .span("close", self.close)
            .span("settled", self.settled)
            .maybe("min_updated_ts", updated.as_deref())
            .maybe("mve_filter", mve);
        Ok(query.text)
    }
}

/// `/events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsQuery<'a> {
    /// Page size, 1 to 200.
    pub limit: u32,
    /// One status.
    pub status: Option<StatusFilter>,
    /// One series.
    pub series: Option<&'a str>,
    /// With their markets.
    pub with_markets: bool,
}

impl Default for EventsQuery<'_> {
    fn default() -> Self {
        Self { limit: MAX_EVENTS, status: None, series: None, with_markets: false }
    }
}

/// `/markets/trades` and `/historical/trades`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradesQuery<'a> {
    /// Page size, 1 to 1000.
    pub limit: u32,
    /// One market.
    pub ticker: Option<&'a str>,
    /// Created from and until.
    pub span: Span,
}

impl Default for TradesQuery<'_> {
    fn default() -> Self {
        Self { limit: MAX_TRADES, ticker: None, span: (None, None) }
    }
}
