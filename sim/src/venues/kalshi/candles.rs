//! Kalshi's candlesticks, joined from the minutes of a market. Never invents a trade price: no trade, no OHLC.

use serde_json::{Value, json};

use super::market::{Market, Minute, Ohlc};
use super::object::{Query, Reply, bad, bare, listed, not_found, number, ok, param};
use super::units::{contracts_text, dollars_text};
use super::venue::KalshiVenue;

/// Tickers of one bulk request, the venue's limit.
const MAX_TICKERS: usize = 100;
/// Candles of one bulk answer, the venue's limit.
const MAX_CANDLES: usize = 10_000;

/// What a request asks for: seconds of the first and the last end of a period, its minutes, and whether a candle
/// before the first is wanted.
struct Span {
    from_s: i64,
    to_s: i64,
    minutes: i64,
    latest: bool,
}

fn span(query: &Query, now_us: i64) -> Result<Span, Reply> {
    let minutes = number(query, "period_interval")?.unwrap_or(1);
    if ![1, 60, 1_440].contains(&minutes) {
        return Err(bad("period_interval must be 1, 60 or 1440"));
    }
    let now_s = now_us.div_euclid(1_000_000);
    Ok(Span {
        from_s: number(query, "start_ts")?.unwrap_or(now_s - 3_600),
        to_s: number(query, "end_ts")?.unwrap_or(now_s),
        minutes,
        latest: param(query, "include_latest_before_start") == Some("true"),
    })
}

/// The candles of one market; those of `/historical` without the suffixes `_dollars` and `_fp`.
pub(super) fn one(venue: &KalshiVenue, ticker: &str, query: &Query, now_us: i64, historical: bool) -> Reply {
    let Some(market) = listed(venue, ticker, historical) else { return not_found() };
    match span(query, now_us) {
        Err(reply) => reply,
        Ok(span) => ok(&json!({"ticker": ticker, "candlesticks": candles(market, &span, historical)})),
    }
}

/// The candles of up to 100 markets.
pub(super) fn many(venue: &KalshiVenue, query: &Query, now_us: i64) -> Reply {
    let tickers: Vec<&str> = param(query, "market_tickers").map_or(Vec::new(), |t| t.split(',').collect());
    if tickers.is_empty() || tickers.len() > MAX_TICKERS {
        return bad("between 1 and 100 market_tickers");
    }
    let span = match span(query, now_us) {
        Ok(span) => span,
        Err(reply) => return reply,
    };
    let (mut total, mut markets) = (0, Vec::new());
    for market in tickers.into_iter().filter_map(|ticker| listed(venue, ticker, false)) {
        let candles = candles(market, &span, false);
        total += candles.len();
        markets.push(json!({"market_ticker": market.spec.ticker, "candlesticks": candles}));
    }
    if total > MAX_CANDLES {
        return bad("more than 10000 candlesticks");
    }
    ok(&json!({ "markets": markets }))
}

fn candles(market: &Market, span: &Span, historical: bool) -> Vec<Value> {
    let mut periods: Vec<(i64, Minute)> = Vec::new();
    for (minute, data) in &market.minutes {
        let end_s = (minute.div_euclid(span.minutes) + 1) * span.minutes * 60;
        match periods.last_mut() {
            Some((end, period)) if *end == end_s => *period = join(*period, *data),
            _ => periods.push((end_s, *data)),
        }
    }
    let mut previous: Option<i64> = None;
    let mut before: Option<(Minute, Option<i64>)> = None;
    let mut out = Vec::new();
    for (end_s, period) in periods {
        if (span.from_s..=span.to_s).contains(&end_s) {
            out.push(candle(end_s, &period, previous, historical));
        } else if end_s < span.from_s {
            before = Some((period, previous));
        }
        previous = period.price.map(|p| p.close).or(previous);
    }
    if span.latest
        && let Some((period, previous)) = before
    {
        // The synthetic candle: the last known quotes, no trade.
        let last =
            Ohlc { open: period.bid.close, low: period.bid.close, high: period.bid.close, ..period.bid };
        let ask =
            Ohlc { open: period.ask.close, low: period.ask.close, high: period.ask.close, ..period.ask };
        let known = period.price.map(|p| p.close).or(previous);
        let synthetic = Minute { bid: last, ask, price: None, notional: 0, volume: 0, ..period };
        out.insert(0, candle(span.from_s, &synthetic, known, historical));
    }
    out
}

fn join(first: Minute, next: Minute) -> Minute {
    Minute {
        bid: first.bid.join(next.bid),
        ask: first.ask.join(next.ask),
        price: match (first.price, next.price) {
            (Some(a), Some(b)) => Some(a.join(b)),
            (a, b) => a.or(b),
        },
        notional: first.notional + next.notional,
        volume: first.volume + next.volume,
        open_interest: next.open_interest,
    }
}

fn candle(end_s: i64, period: &Minute, previous: Option<i64>, historical: bool) -> Value {
    let price = period.price;
    let mean = (period.volume > 0).then(|| (period.notional / i128::from(period.volume)) as i64);
    let text = |value: Option<i64>| value.map(dollars_text);
    let traded = json!({
        "open_dollars": text(price.map(|p| p.open)), "low_dollars": text(price.map(|p| p.low)),
        "high_dollars": text(price.map(|p| p.high)), "close_dollars": text(price.map(|p| p.close)),
        "mean_dollars": text(mean), "min_dollars": text(price.map(|p| p.low)),
        "max_dollars": text(price.map(|p| p.high)), "previous_dollars": text(previous),
    });
    let (bid, ask) = (ohlc(period.bid), ohlc(period.ask));
    let named = |value: Value| if historical { bare(value) } else { value };
    named(json!({
        "end_period_ts": end_s, "yes_bid": named(bid), "yes_ask": named(ask), "price": named(traded),
        "volume_fp": contracts_text(period.volume), "open_interest_fp": contracts_text(period.open_interest),
    }))
}

fn ohlc(ohlc: Ohlc) -> Value {
    json!({
        "open_dollars": dollars_text(ohlc.open), "low_dollars": dollars_text(ohlc.low),
        "high_dollars": dollars_text(ohlc.high), "close_dollars": dollars_text(ohlc.close),
    })
}
