//! The frames that Kalshi's WebSocket sends, in the key order of the recorded session. Never decides what is sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::market::{Book, Market, Side};
use super::units::{DOLLAR, contracts, contracts_text, dollars, dollars_text, rfc3339_us};
use super::world::TrueTrade;

/// `{"type":…,"id":…,"sid":…,"seq":…,"msg":…}`; what is `None` has no key.
pub fn frame(kind: &str, id: Option<u64>, sid: Option<u64>, seq: Option<u64>, msg: Option<&str>) -> String {
    let mut out = String::with_capacity(96 + msg.map_or(0, str::len));
    let _ = write!(out, r#"{{"type":"{kind}""#);
    for (key, value) in [("id", id), ("sid", sid), ("seq", seq)] {
        if let Some(value) = value {
            let _ = write!(out, r#","{key}":{value}"#);
        }
    }
    if let Some(msg) = msg {
        let _ = write!(out, r#","msg":{msg}"#);
    }
    out.push('}');
    out
}

/// The payload of a snapshot; a side without levels has no key. `yes_leg` writes the no side at the price of yes.
pub fn snapshot(market: &Market, yes_leg: bool) -> String {
    let mut out = format!(r#"{{"market_ticker":"{}","market_id":"{}""#, market.spec.ticker, market.id);
    levels(&mut out, "yes_dollars_fp", market.book.side(Side::Yes));
    if yes_leg {
        let turned: BTreeMap<i64, i64> = market.book.no.iter().map(|(p, q)| (DOLLAR - p, *q)).collect();
        levels(&mut out, "no_dollars_fp", &turned);
    } else {
        levels(&mut out, "no_dollars_fp", market.book.side(Side::No));
    }
    out.push('}');
    out
}

fn levels(out: &mut String, key: &str, levels: &BTreeMap<i64, i64>) {
    if levels.is_empty() {
        return;
    }
    let _ = write!(out, r#","{key}":"#);
    pairs(out, levels);
}

/// Levels in ascending price as `[["0.0100","5.00"],…]`.
pub fn pairs(out: &mut String, levels: &BTreeMap<i64, i64>) {
    out.push('[');
    for (place, (price, qty)) in levels.iter().enumerate() {
        out.push_str(if place == 0 { "[\"" } else { ",[\"" });
        dollars(out, *price);
        out.push_str("\",\"");
        contracts(out, *qty);
        out.push_str("\"]");
    }
    out.push(']');
}

/// The payload of a delta.
pub fn delta(market: &Market, side: Side, price: i64, delta: i64, at_us: i64, yes_leg: bool) -> String {
    let price = if yes_leg && side == Side::No { DOLLAR - price } else { price };
    let mut out = String::with_capacity(256);
    let _ = write!(out, r#"{{"market_ticker":"{}","market_id":"{}""#, market.spec.ticker, market.id);
    out.push_str(r#","price_dollars":""#);
    dollars(&mut out, price);
    out.push_str(r#"","delta_fp":""#);
    contracts(&mut out, delta);
    let (side, ts, ms) = (side.name(), rfc3339_us(at_us), at_us.div_euclid(1_000));
    let _ = write!(out, r#"","side":"{side}","ts":"{ts}","ts_ms":{ms}}}"#);
    out
}

/// The payload of a trade; `corrupt` writes a no price that does not complement the yes price.
pub fn trade(trade: &TrueTrade, corrupt: bool) -> String {
    let no_price = DOLLAR - trade.yes_price;
    let no_price = if corrupt { (no_price + 70_000) % DOLLAR } else { no_price };
    format!(
        concat!(
            r#"{{"trade_id":"{}","market_ticker":"{}","yes_price_dollars":"{}","no_price_dollars":"{}","#,
            r#""count_fp":"{}","taker_side":"{side}","taker_outcome_side":"{side}","taker_book_side":"{}","#,
            r#""is_block_trade":false,"ts":{},"ts_ms":{}}}"#
        ),
        trade.id,
        trade.ticker,
        dollars_text(trade.yes_price),
        dollars_text(no_price),
        contracts_text(trade.count),
        if trade.taker == Side::Yes { "bid" } else { "ask" },
        trade.at_us.div_euclid(1_000_000),
        trade.at_us.div_euclid(1_000),
        side = trade.taker.name(),
    )
}

/// The payload of a ticker.
pub fn ticker(market: &Market, at_us: i64) -> String {
    let ((bid, bid_size), (ask, ask_size)) = (market.yes_bid(), market.yes_ask());
    let last = market.last_price.unwrap_or(0);
    format!(
        concat!(
            r#"{{"market_id":"{}","market_ticker":"{}","price_dollars":"{}","yes_bid_dollars":"{}","#,
            r#""yes_ask_dollars":"{}","volume_fp":"{}","open_interest_fp":"{}","dollar_volume":{},"#,
            r#""dollar_open_interest":{},"yes_bid_size_fp":"{}","yes_ask_size_fp":"{}","#,
            r#""last_trade_size_fp":"{}","ts":{},"ts_ms":{},"time":"{}"}}"#
        ),
        market.id,
        market.spec.ticker,
        dollars_text(last),
        dollars_text(bid),
        dollars_text(ask),
        contracts_text(market.volume),
        contracts_text(market.open_interest),
        market.notional / 100_000_000,
        i128::from(last) * i128::from(market.open_interest) / 100_000_000,
        contracts_text(bid_size),
        contracts_text(ask_size),
        contracts_text(market.last_size),
        at_us.div_euclid(1_000_000),
        at_us.div_euclid(1_000),
        rfc3339_us(at_us),
    )
}

/// The payload of an `ok`: the tickers that the subscription holds now, sorted.
pub fn tickers(mut tickers: Vec<&str>) -> String {
    tickers.sort_unstable();
    serde_json::json!({ "market_tickers": tickers }).to_string()
}

/// The body of a REST order book.
pub fn orderbook_fp(book: &Book) -> String {
    let mut out = String::from(r#"{"no_dollars":"#);
    pairs(&mut out, &book.no);
    out.push_str(r#","yes_dollars":"#);
    pairs(&mut out, &book.yes);
    out.push('}');
    out
}

/// The words of an error code (AsyncAPI 2.0.0).
pub const fn error_words(code: u16) -> &'static str {
    match code {
        2 => "Params required",
        3 => "Channels required",
        4 => "Subscription IDs required",
        5 => "Unknown command",
        7 => "Unknown subscription ID",
        8 => "Unknown channel name",
        10 => "Channel error",
        11 => "Invalid parameter",
        12 => "Exactly one subscription ID is required",
        13 => "Unsupported action",
        14 => "Market Ticker required",
        15 => "Action required",
        24 => "Index IDs required",
        25 => "Subscription buffer overflow",
        26 => "Subscription market limit exceeded",
        27 => "Too many requests",
        _ => "Unable to process message",
    }
}

/// The payload of an error.
pub fn error(code: u16) -> String {
    format!(r#"{{"code":{code},"msg":"{}"}}"#, error_words(code))
}
