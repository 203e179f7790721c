//! The requests of ingest as path and query, relative to `/trade-api/v2`; what the venue refuses is refused here.

use schemas::Timestamp;

use super::query::{
    EventsQuery, MAX_CANDLES, MAX_EVENTS, MAX_TRADES, MarketsQuery, Query, RequestError, Result,
    StatusFilter, TradesQuery, joined, limited, named,
};

/// `/exchange/status`.
pub const STATUS: &str = "/exchange/status";
/// `/exchange/schedule`.
pub const SCHEDULE: &str = "/exchange/schedule";
/// `/historical/cutoff`.
pub const CUTOFF: &str = "/historical/cutoff";
/// `/account/limits` (signed).
pub const LIMITS: &str = "/account/limits";
/// `/account/endpoint_costs`.
pub const COSTS: &str = "/account/endpoint_costs";
/// `/series/fee_changes` with those of the past.
pub const SERIES_FEES: &str = "/series/fee_changes?show_historical=true";
/// `/events/fee_changes`.
pub const EVENT_FEES: &str = "/events/fee_changes";

/// `/series`, all in one answer.
pub fn series(ticker: Option<&str>) -> Result<String> {
    match ticker {
        None => Ok("/series".to_owned()),
        Some(ticker) => Ok(format!("/series/{}", named(ticker)?)),
    }
}

/// `/events`.
pub fn events(query: &EventsQuery<'_>) -> Result<String> {
    let nested = query.with_markets.then_some("true");
    let built = Query::new("/events")
        .with("limit", &limited(query.limit, MAX_EVENTS)?)
        .maybe("status", query.status.map(StatusFilter::name))
        .maybe("series_ticker", query.series)
        .maybe("with_nested_markets", nested);
    Ok(built.text)
}

/// `/events/{ticker}`.
pub fn event(ticker: &str) -> Result<String> {
    Ok(format!("/events/{}", named(ticker)?))
}

/// `/markets`.
pub fn markets(query: &MarketsQuery<'_>) -> Result<String> {
    query.build("/markets")
}

/// `/historical/markets`.
pub fn historical_markets(query: &MarketsQuery<'_>) -> Result<String> {
    query.build("/historical/markets")
}

/// `/markets/{ticker}`.
pub fn market(ticker: &str) -> Result<String> {
    Ok(format!("/markets/{}", named(ticker)?))
}

/// `/historical/markets/{ticker}`.
pub fn historical_market(ticker: &str) -> Result<String> {
    Ok(format!("/historical/markets/{}", named(ticker)?))
}

/// `/markets/{ticker}/orderbook`, all levels.
pub fn orderbook(ticker: &str) -> Result<String> {
    Ok(format!("/markets/{}/orderbook", named(ticker)?))
}

/// `/markets/orderbooks`, at most 100 markets.
pub fn orderbooks(tickers: &[&str]) -> Result<String> {
    Ok(Query::new("/markets/orderbooks").with("tickers", &joined(tickers)?).text)
}

/// `/markets/trades`, or `/historical/trades` before the cutoff.
pub fn trades(query: &TradesQuery<'_>, historical: bool) -> Result<String> {
    if matches!(query.span, (Some(low), Some(high)) if low > high) {
        return Err(RequestError::Stretch);
    }
    let path = if historical { "/historical/trades" } else { "/markets/trades" };
    let secs = |at: Option<Timestamp>| at.map(|at| at.secs().to_string());
    let built = Query::new(path)
        .with("limit", &limited(query.limit, MAX_TRADES)?)
        .maybe("ticker", query.ticker)
        .maybe("min_ts", secs(query.span.0).as_deref())
        .maybe("max_ts", secs(query.span.1).as_deref());
    Ok(built.text)
}

/// How many candles a stretch has; errors where it is turned round or the length is none of the venue's.
fn candle_count(minutes: u32, from: Timestamp, to: Timestamp) -> Result<i64> {
    if !matches!(minutes, 1 | 60 | 1_440) {
        return Err(RequestError::Interval(minutes));
    }
    if from > to {
        return Err(RequestError::Stretch);
    }
    Ok((to.secs() - from.secs()) / (i64::from(minutes) * 60) + 1)
}

fn stretch(path: &str, minutes: u32, from: Timestamp, to: Timestamp) -> Query {
    Query::new(path)
        .with("period_interval", &minutes.to_string())
        .with("start_ts", &from.secs().to_string())
        .with("end_ts", &to.secs().to_string())
}

/// `/series/{series}/markets/{ticker}/candlesticks`; `end_period_ts` of a candle is its inclusive end.
pub fn candles(series: &str, ticker: &str, minutes: u32, from: Timestamp, to: Timestamp) -> Result<String> {
    candle_count(minutes, from, to)?;
    let path = format!("/series/{}/markets/{}/candlesticks", named(series)?, named(ticker)?);
    Ok(stretch(&path, minutes, from, to).text)
}

/// `/historical/markets/{ticker}/candlesticks`.
pub fn historical_candles(ticker: &str, minutes: u32, from: Timestamp, to: Timestamp) -> Result<String> {
    candle_count(minutes, from, to)?;
    let path = format!("/historical/markets/{}/candlesticks", named(ticker)?);
    Ok(stretch(&path, minutes, from, to).text)
}

/// `/markets/candlesticks`: at most 100 markets and 10,000 candles.
pub fn batch_candles(tickers: &[&str], minutes: u32, from: Timestamp, to: Timestamp) -> Result<String> {
    let names = joined(tickers)?;
    let count = candle_count(minutes, from, to)?.saturating_mul(tickers.len() as i64);
    if count > MAX_CANDLES {
        return Err(RequestError::Candles(count));
    }
    Ok(stretch("/markets/candlesticks", minutes, from, to).with("market_tickers", &names).text)
}
