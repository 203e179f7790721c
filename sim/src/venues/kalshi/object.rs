//! Kalshi's REST interface without a socket: a path and a query in, a status and a body out. Never changes a market.

use serde_json::{Map, Value, json};

use super::candles;
use super::market::{Market, Side, Status};
use super::units::{DOLLAR, contracts_text, dollars_text};
use super::venue::{KalshiVenue, created_time};
use super::wire;
use super::world::TrueTrade;
use crate::civil;

/// A query's parameters in the order they came.
pub type Query = [(String, String)];
/// A status and a JSON body.
pub type Reply = (u16, String);

/// Answers `GET /trade-api/v2{path}` at a time in microseconds since 1970.
pub fn get(venue: &KalshiVenue, path: &str, query: &Query, now_us: i64) -> Reply {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts[..] {
        ["exchange", "status"] => ok(&json!({
            "exchange_active": venue.exchange_active,
            "trading_active": venue.trading_active,
            "exchange_estimated_resume_time": null,
            "exchange_index_statuses": [{
                "exchange_index": 0,
                "exchange_active": venue.exchange_active,
                "trading_active": venue.trading_active,
            }],
        })),
        ["exchange", "schedule"] => ok(&schedule()),
        ["series"] => list(query, "series", series_tickers(venue).into_iter().map(series).collect(), 1_000),
        ["series", "fee_changes"] => ok(&json!({"series_fee_change_arr": []})),
        ["series", ticker] => {
            found(series_tickers(venue).into_iter().find(|s| *s == ticker), |s| json!({"series": series(s)}))
        }
        ["series", _, "markets", ticker, "candlesticks"] => candles::one(venue, ticker, query, now_us, false),
        ["events"] => list(query, "events", events(venue, query), 200),
        ["events", "fee_changes"] => ok(&json!({"event_fee_changes": fee_changes(venue), "cursor": ""})),
        ["events", ticker] => event_reply(venue, ticker),
        ["markets"] => markets(venue, query, false),
        ["markets", "trades"] => list(query, "trades", trades(venue, query, false), 1_000),
        ["markets", "orderbooks"] => orderbooks(venue, query),
        ["markets", "candlesticks"] => candles::many(venue, query, now_us),
        ["markets", ticker] => found(listed(venue, ticker, false), |m| json!({"market": market(venue, m)})),
        ["markets", ticker, "orderbook"] => match listed(venue, ticker, false) {
            None => not_found(),
            Some(m) => (200, format!(r#"{{"orderbook_fp":{}}}"#, wire::orderbook_fp(&m.book))),
        },
        ["historical", "cutoff"] => {
            let cutoff = civil::rfc3339(venue.started_s);
            ok(
                &json!({"market_settled_ts": cutoff, "trades_created_ts": cutoff, "orders_updated_ts": cutoff}),
            )
        }
        ["historical", "markets"] => markets(venue, query, true),
        ["historical", "trades"] => list(query, "trades", trades(venue, query, true), 1_000),
        ["historical", "markets", ticker] => {
            found(listed(venue, ticker, true), |m| json!({"market": bare(market(venue, m))}))
        }
        ["historical", "markets", ticker, "candlesticks"] => candles::one(venue, ticker, query, now_us, true),
        _ => not_found(),
    }
}

/// 200 with a body.
pub(super) fn ok(body: &Value) -> Reply {
    (200, body.to_string())
}

/// 404 in the venue's form.
pub(super) fn not_found() -> Reply {
    (404, r#"{"error":{"code":"not_found","message":"not found"}}"#.to_owned())
}

/// 400 in the venue's form.
pub(super) fn bad(details: &str) -> Reply {
    let error = json!({"code": "bad_request", "message": "bad request", "details": details});
    (400, json!({ "error": error }).to_string())
}

fn found<T>(item: Option<T>, body: impl FnOnce(T) -> Value) -> Reply {
    item.map_or_else(not_found, |item| ok(&body(item)))
}

/// The first value of a parameter.
pub(super) fn param<'a>(query: &'a Query, key: &str) -> Option<&'a str> {
    query.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, v)| v.as_str())
}

/// A whole number, or the default where the parameter is absent; `Err` where it is no number.
pub(super) fn number(query: &Query, key: &str) -> Result<Option<i64>, Reply> {
    let parse = |text: &str| text.parse().map_err(|_| bad(&format!("{key} is no number")));
    param(query, key).map(parse).transpose()
}

/// The market of a ticker if it is listed live, or under `/historical`.
pub(super) fn listed<'a>(venue: &'a KalshiVenue, ticker: &str, historical: bool) -> Option<&'a Market> {
    venue.world.market(ticker).filter(|market| market.historical == historical)
}

/// A page of items: `limit` (100 by default), `cursor` (opaque; here the place of the next item).
fn list(query: &Query, key: &str, items: Vec<Value>, most: i64) -> Reply {
    let (limit, start) = match (number(query, "limit"), cursor(query)) {
        (Ok(limit), Some(start)) => (limit.unwrap_or(100), start),
        (Err(reply), _) => return reply,
        (_, None) => return bad("invalid cursor"),
    };
    if !(1..=most).contains(&limit) {
        return bad("limit out of range");
    }
    let total = items.len();
    let page: Vec<Value> = items.into_iter().skip(start).take(limit as usize).collect();
    let next = start + page.len();
    let cursor = if next < total { format!("c{next}") } else { String::new() };
    let mut body = Map::new();
    body.insert(key.to_owned(), Value::Array(page));
    body.insert("cursor".to_owned(), Value::String(cursor));
    ok(&Value::Object(body))
}

fn cursor(query: &Query) -> Option<usize> {
    param(query, "cursor").map_or(Some(0), |text| text.strip_prefix('c')?.parse().ok())
}

fn schedule() -> Value {
    let day = json!([{"open_time": "00:00", "close_time": "00:00"}]);
    let mut week = json!({"start_time": "2026-01-01T00:00:00Z", "end_time": "2099-01-01T00:00:00Z"});
    for name in ["monday", "tuesday", "wednesday", "friday", "saturday", "sunday"] {
        week[name] = day.clone();
    }
    // The weekly maintenance.
    week["thursday"] = json!([
        {"open_time": "00:00", "close_time": "03:00"}, {"open_time": "05:00", "close_time": "00:00"},
    ]);
    json!({"schedule": {"standard_hours": [week], "maintenance_windows": []}})
}

fn series_tickers(venue: &KalshiVenue) -> Vec<&str> {
    unique(venue.world.markets.iter().map(|market| market.spec.series.as_str()))
}

fn unique<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    items.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn series(ticker: &str) -> Value {
    json!({
        "ticker": ticker, "title": ticker, "category": "Crypto", "frequency": "daily", "tags": [],
        "fee_type": "quadratic", "fee_multiplier": 1,
        "settlement_sources": [{"name": "CF Benchmarks", "url": "https://www.cfbenchmarks.com/"}],
        "contract_url": "", "contract_terms_url": "", "additional_prohibitions": [],
    })
}

fn event(venue: &KalshiVenue, ticker: &str) -> Option<Value> {
    let first = venue.world.markets.iter().find(|market| market.spec.event == ticker)?;
    let fee = venue.fee_overrides.get(ticker);
    Some(json!({
        "event_ticker": ticker, "series_ticker": first.spec.series, "title": first.spec.title,
        "sub_title": ticker, "category": "Crypto", "collateral_return_type": "MECNET",
        "mutually_exclusive": false, "available_on_brokers": true, "exchange_index": 0,
        "strike_date": null, "strike_period": "",
        "fee_type_override": fee.map(|f| f.0), "fee_multiplier_override": fee.map(|f| f.1),
    }))
}

fn event_markets(venue: &KalshiVenue, ticker: &str) -> Vec<Value> {
    let of = |m: &&Market| m.spec.event == ticker && !m.historical;
    venue.world.markets.iter().filter(of).map(|m| market(venue, m)).collect()
}

fn events(venue: &KalshiVenue, query: &Query) -> Vec<Value> {
    let nested = param(query, "with_nested_markets") == Some("true");
    let of = |m: &&Market| param(query, "series_ticker").is_none_or(|s| m.spec.series == s);
    let tickers = unique(venue.world.markets.iter().filter(of).map(|m| m.spec.event.as_str()));
    let one = |ticker: &str| {
        let mut event = event(venue, ticker)?;
        if nested {
            event["markets"] = Value::Array(event_markets(venue, ticker));
        }
        Some(event)
    };
    tickers.into_iter().filter_map(one).collect()
}

fn event_reply(venue: &KalshiVenue, ticker: &str) -> Reply {
    found(event(venue, ticker), |event| json!({"event": event, "markets": event_markets(venue, ticker)}))
}

fn fee_changes(venue: &KalshiVenue) -> Vec<Value> {
    let one = |(event, fee): (&String, &(&str, i64))| json!({"event_ticker": event, "fee_type_override": fee.0, "fee_multiplier_override": fee.1});
    venue.fee_overrides.iter().map(one).collect()
}

fn markets(venue: &KalshiVenue, query: &Query, historical: bool) -> Reply {
    let status = param(query, "status");
    if status.is_some_and(|s| !["unopened", "open", "paused", "closed", "settled"].contains(&s)) {
        return bad("status must be one of unopened, open, paused, closed, settled");
    }
    let tickers: Option<Vec<&str>> = param(query, "tickers").map(|list| list.split(',').collect());
    let wanted = |m: &&Market| {
        m.historical == historical
            && status.is_none_or(|s| m.status.filter() == s)
            && tickers.as_ref().is_none_or(|list| list.contains(&m.spec.ticker.as_str()))
            && param(query, "event_ticker").is_none_or(|e| m.spec.event == e)
            && param(query, "series_ticker").is_none_or(|s| m.spec.series == s)
    };
    let item = |m: &Market| if historical { bare(market(venue, m)) } else { market(venue, m) };
    list(query, "markets", venue.world.markets.iter().filter(wanted).map(item).collect(), 1_000)
}

/// The same object with the names of `/historical`: the suffixes `_dollars` and `_fp` are gone.
pub(super) fn bare(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let rename = |key: String| key.trim_end_matches("_dollars").trim_end_matches("_fp").to_owned();
    Value::Object(fields.into_iter().map(|(key, value)| (rename(key), value)).collect())
}

/// A market object, with the fields of a real one of 2026-08.
pub fn market(venue: &KalshiVenue, market: &Market) -> Value {
    let spec = &market.spec;
    let (opened, close) =
        (civil::rfc3339(venue.started_s), civil::rfc3339(venue.started_s + spec.closes_after_s));
    let ((bid, bid_size), (ask, ask_size)) = (market.yes_bid(), market.yes_ask());
    let dollars = |price| Value::String(dollars_text(price));
    let last = dollars(market.last_price.unwrap_or(0));
    let structure = market.structure;
    let mut out = json!({
        "can_close_early": true, "cap_strike": null, "close_time": close, "created_time": opened,
        "custom_strike": null, "early_close_condition": "", "event_ticker": spec.event, "exchange_index": 0,
        "expected_expiration_time": close, "expiration_time": close, "expiration_value": "",
        "fee_waiver_expiration_time": null, "floor_strike": spec.floor_strike, "functional_strike": null,
        "is_provisional": null, "last_price_dollars": last, "latest_expiration_time": close,
        "liquidity_dollars": "0.0000", "market_type": "binary", "mve_collection_ticker": null,
        "mve_selected_legs": null, "no_sub_title": "No", "notional_value_dollars": "1.0000",
        "occurrence_datetime": close, "open_interest_fp": contracts_text(market.open_interest),
        "open_time": opened,
    });
    let rest = json!({
        "previous_price_dollars": last, "price_level_structure": structure.name(),
        "price_ranges": structure.ranges_json(), "primary_participant_key": null, "result": market.result,
        "rules_primary": format!("If it happens, {} resolves to Yes.", spec.ticker), "rules_secondary": "",
        "settlement_timer_seconds": 120, "settlement_ts": market.settled_s.map(civil::rfc3339),
        "settlement_value_dollars": market.settlement.map(dollars_text), "status": market.status.name(),
        "strike_type": if spec.floor_strike.is_some() { "greater" } else { "structured" },
        "subtitle": null, "ticker": spec.ticker, "title": spec.title, "updated_time": opened,
        "volume_24h_fp": contracts_text(market.volume), "volume_fp": contracts_text(market.volume),
        "yes_ask_size_fp": contracts_text(ask_size), "yes_bid_size_fp": contracts_text(bid_size),
        "yes_sub_title": "Yes",
    });
    if let (Value::Object(out), Value::Object(rest)) = (&mut out, rest) {
        out.extend(rest);
    }
    for (key, price) in [
        ("yes_bid_dollars", bid),
        ("yes_ask_dollars", ask),
        ("no_bid_dollars", DOLLAR - ask),
        ("no_ask_dollars", DOLLAR - bid),
        ("previous_yes_bid_dollars", bid),
        ("previous_yes_ask_dollars", ask),
    ] {
        out[key] = dollars(price);
    }
    debug_assert!(market.status != Status::Active || market.result.is_empty(), "no result while trading");
    out
}

fn orderbooks(venue: &KalshiVenue, query: &Query) -> Reply {
    let tickers: Vec<&str> =
        query.iter().filter(|(k, _)| k == "tickers").flat_map(|(_, v)| v.split(',')).collect();
    if tickers.is_empty() || tickers.len() > 100 {
        return bad("between 1 and 100 tickers");
    }
    let books = tickers.into_iter().filter_map(|ticker| listed(venue, ticker, false));
    let one = |m: &Market| {
        format!(r#"{{"ticker":"{}","orderbook_fp":{}}}"#, m.spec.ticker, wire::orderbook_fp(&m.book))
    };
    let books: Vec<String> = books.map(one).collect();
    (200, format!(r#"{{"orderbooks":[{}]}}"#, books.join(",")))
}

/// Trades, the youngest first, of one ticker or all, between `min_ts` and `max_ts` (seconds, inclusive).
fn trades(venue: &KalshiVenue, query: &Query, historical: bool) -> Vec<Value> {
    let bound = |key: &str| param(query, key).and_then(|text| text.parse::<i64>().ok());
    let (from, to) = (bound("min_ts"), bound("max_ts"));
    let wanted = |trade: &&TrueTrade| {
        let at = trade.at_us.div_euclid(1_000_000);
        param(query, "ticker").is_none_or(|ticker| trade.ticker == ticker)
            && venue.world.market(&trade.ticker).is_some_and(|m| m.historical == historical)
            && from.is_none_or(|from| at >= from)
            && to.is_none_or(|to| at <= to)
    };
    venue.world.trades.iter().rev().filter(wanted).map(trade).collect()
}

fn trade(trade: &TrueTrade) -> Value {
    json!({
        "trade_id": trade.id, "ticker": trade.ticker, "count_fp": contracts_text(trade.count),
        "yes_price_dollars": dollars_text(trade.yes_price),
        "no_price_dollars": dollars_text(DOLLAR - trade.yes_price),
        "taker_side": trade.taker.name(), "taker_outcome_side": trade.taker.name(),
        "taker_book_side": if trade.taker == Side::Yes { "bid" } else { "ask" },
        "is_block_trade": false, "created_time": created_time(trade.at_us),
    })
}
