//! The answers of CLOB, Gamma and Data API about one market, as JSON values; never sets a status.
//!
//! Gamma and the Data API speak floats where CLOB speaks strings; a value of 1e-6 has few enough digits to be exact.

use serde_json::{Value, json};

use super::book::Outcome;
use super::decimal::{ONE, text};
use super::ids;
use super::wire::{description, event_id, market_id, question};
use super::world::{Market, Standing, Trade};
use crate::civil;

/// A number of 1e-6 as a JSON number.
fn float(value: i64) -> f64 {
    value as f64 / ONE as f64
}

/// `GET /tick-size`.
pub fn tick_size(market: &Market) -> Value {
    json!({ "minimum_tick_size": float(market.book.tick) })
}

/// `GET /fee-rate`: the legacy figure, which is not what a taker pays (see `feeSchedule`).
pub fn fee_rate() -> Value {
    json!({ "base_fee": "1000" })
}

/// `GET /clob-markets/{condition}`.
pub fn clob_market(market: &Market) -> Value {
    let token = |of: Outcome| json!({ "t": market.ids.tokens[of.index()], "o": market.outcomes[of.index()] });
    json!({
        "gst": null,
        "r": {},
        "t": Outcome::BOTH.map(token),
        "mos": 5,
        "mts": float(market.book.tick),
        "mbf": 1000,
        "tbf": 1000,
        "rfqe": false,
        "itode": false,
        "ibce": false,
        "fd": { "r": 0.07, "e": 1, "to": true },
    })
}

/// Outcome prices in 1e-6: what a resolved market paid, else the middle of the book.
fn prices(market: &Market) -> [i64; 2] {
    let yes = match market.standing {
        Standing::Resolved { yes } => yes,
        Standing::Open => match market.book.top(Outcome::Yes) {
            (Some(bid), Some(ask)) => i64::midpoint(bid, ask),
            _ => ONE / 2,
        },
    };
    [yes, ONE - yes]
}

/// A JSON array inside a JSON string, as Gamma has it.
fn nested(items: [&str; 2]) -> String {
    format!(r#"["{}", "{}"]"#, items[0], items[1])
}

/// Gamma's market object without its events.
pub fn gamma_market(market: &Market, now_ms: i64) -> Value {
    let open = market.standing == Standing::Open;
    let listed = civil::rfc3339(market.listed_ms / 1_000);
    let end_s = (market.listed_ms / 86_400_000 + 30) * 86_400;
    let [yes, no] = prices(market).map(text);
    let mut out = json!({
        "id": market_id(market).to_string(),
        "question": question(market),
        "conditionId": market.ids.condition,
        "questionID": ids::hex32(7, market.number as u64, "question"),
        "slug": market.ids.slug,
        "description": description(),
        "resolutionSource": "",
        "createdAt": listed,
        "startDate": listed,
        "startDateIso": &listed[..10],
        "endDate": civil::rfc3339(end_s),
        "endDateIso": civil::date(end_s),
        "updatedAt": civil::rfc3339(now_ms / 1_000),
        "acceptingOrdersTimestamp": listed,
        "outcomes": nested(market.outcomes),
        "outcomePrices": nested([&yes, &no]),
        "clobTokenIds": nested([&market.ids.tokens[0], &market.ids.tokens[1]]),
        "active": true,
        "closed": !open,
        "archived": false,
        "acceptingOrders": open,
        "enableOrderBook": true,
        "restricted": true,
        "negRisk": market.neg_risk.is_some(),
        "negRiskOther": false,
        "orderPriceMinTickSize": float(market.book.tick),
        "orderMinSize": 5,
        "makerBaseFee": 1000,
        "takerBaseFee": 1000,
        "feesEnabled": true,
        "feeType": "crypto_fees_v2",
        "feeSchedule": { "rate": 0.07, "exponent": 1, "takerOnly": true, "rebateRate": 0.2 },
        "umaResolutionStatuses": "[]",
        "volume": "0",
    });
    let mut set = |key: &str, value: Value| {
        out[key] = value;
    };
    if let Some(group) = &market.neg_risk {
        set("negRiskMarketID", json!(group));
    }
    if let (Some(bid), Some(ask)) = market.book.top(Outcome::Yes)
        && open
    {
        set("bestBid", json!(float(bid)));
        set("bestAsk", json!(float(ask)));
        set("spread", json!(float(ask - bid)));
    }
    if market.book.last > 0 {
        set("lastTradePrice", json!(float(market.book.last)));
    }
    if !open {
        set("closedTime", json!(civil::gamma_closed_time(now_ms / 1_000)));
        set("umaResolutionStatus", json!("resolved"));
    }
    out
}

/// The slug of a market's event.
pub fn event_slug(market: &Market) -> String {
    if market.neg_risk.is_some() {
        format!("twin-event-{}", event_id(market))
    } else {
        market.ids.slug.clone()
    }
}

/// Gamma's event object; `markets` are the objects of its markets.
pub fn gamma_event(first: &Market, markets: Vec<Value>, now_ms: i64) -> Value {
    let listed = civil::rfc3339(first.listed_ms / 1_000);
    let slug = event_slug(first);
    let closed = markets.iter().all(|m| m["closed"] == true);
    let mut out = json!({
        "id": event_id(first).to_string(),
        "ticker": slug,
        "slug": slug,
        "title": question(first),
        "description": description(),
        "resolutionSource": "",
        "startDate": listed,
        "creationDate": listed,
        "createdAt": listed,
        "endDate": civil::rfc3339((first.listed_ms / 86_400_000 + 30) * 86_400),
        "updatedAt": civil::rfc3339(now_ms / 1_000),
        "active": true,
        "closed": closed,
        "archived": false,
        "new": false,
        "featured": false,
        "restricted": true,
        "enableOrderBook": true,
        "negRisk": first.neg_risk.is_some(),
        "negRiskAugmented": false,
        "enableNegRisk": first.neg_risk.is_some(),
    });
    if let Some(group) = &first.neg_risk {
        out["negRiskMarketID"] = json!(group);
    }
    if !markets.is_empty() {
        out["markets"] = Value::Array(markets);
    }
    out
}

/// The Data API's trade.
pub fn data_trade(market: &Market, trade: &Trade) -> Value {
    json!({
        "asset": market.ids.tokens[trade.outcome.index()],
        "conditionId": market.ids.condition,
        "side": trade.side.word(),
        "price": float(trade.price),
        "size": float(trade.size),
        "timestamp": trade.at_ms / 1_000,
        "transactionHash": trade.transaction,
        "proxyWallet": ids::address(11, trade.size as u64, "wallet"),
        "title": question(market),
        "slug": market.ids.slug,
    })
}

/// The Data API's resolution of a market, after venues.md §2: UMA's stages before, its payouts after.
pub fn resolution(market: &Market, now_ms: i64) -> Value {
    let resolved = matches!(market.standing, Standing::Resolved { .. });
    let paid = match market.standing {
        Standing::Resolved { yes } => json!([text(yes), text(ONE - yes)]),
        Standing::Open => Value::Null,
    };
    let proposed = match market.standing {
        Standing::Resolved { yes } => json!(text(yes)),
        Standing::Open => Value::Null,
    };
    json!({
        "condition_id": market.ids.condition,
        "question_id": ids::hex32(7, market.number as u64, "question"),
        "status": if resolved { "resolved" } else { "initialized" },
        "reporter": "UMA_OO",
        "was_disputed": false,
        "proposed_price": proposed,
        "expected_settlement_time": resolved.then_some(now_ms / 1_000),
        "expected_settlement_basis": if resolved { "liveness" } else { "none" },
        "payouts": paid,
    })
}

/// One point of `/prices-history`.
pub fn history_point(trade: &Trade) -> Value {
    json!({ "t": trade.at_ms / 1_000, "p": float(trade.price) })
}
