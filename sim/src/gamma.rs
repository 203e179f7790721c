//! Gamma's event and market objects as they were known at an instant; never shows a field that knows the future.
//!
//! A day keeps each market's *final* object. Before the resolution only the fields in [`STATIC`] are copied from
//! it, because they are fixed when a market is listed; the few that live are set from what is known now.

use std::collections::BTreeMap;

use schemas::{IndexPrice, Timestamp};
use serde_json::value::RawValue;

use crate::day::{Day, DayMarket};
use crate::quote::BestQuote;

/// Fields that are fixed when a market is listed, so that the final object may lend them to the past.
pub const STATIC: [&str; 36] = [
    "acceptingOrdersTimestamp",
    "clearBookOnStart",
    "clobTokenIds",
    "conditionId",
    "createdAt",
    "cyom",
    "description",
    "enableOrderBook",
    "endDate",
    "endDateIso",
    "eventStartTime",
    "feeSchedule",
    "feeType",
    "feesEnabled",
    "groupItemThreshold",
    "hasReviewedDates",
    "holdingRewardsEnabled",
    "icon",
    "id",
    "image",
    "makerBaseFee",
    "makerRebatesFeeShareBps",
    "marketMakerAddress",
    "negRisk",
    "negRiskOther",
    "orderMinSize",
    "outcomes",
    "question",
    "questionID",
    "resolutionSource",
    "restricted",
    "rewardsMaxSpread",
    "rewardsMinSize",
    "slug",
    "startDate",
    "takerBaseFee",
];

/// Fields that live: set from what is known at the instant asked for.
pub const LIVE: [&str; 9] = [
    "acceptingOrders",
    "active",
    "bestAsk",
    "bestBid",
    "closed",
    "lastTradePrice",
    "orderPriceMinTickSize",
    "outcomePrices",
    "spread",
];

/// The market object at `now`, JSON; `None` before it is listed.
pub fn market(day: &Day, market: &DayMarket, now: Timestamp) -> Option<String> {
    if now < market.listed_at {
        return None;
    }
    if now >= market.resolved_at {
        return Some(market.final_json.to_string());
    }
    let quote = day.quotes().and_then(|quotes| quotes.at(day, market, now));
    let fields = fields(&market.final_json);
    let mut out: BTreeMap<&str, String> =
        STATIC.iter().filter_map(|&key| fields.get(key).map(|value| (key, value.get().to_owned()))).collect();
    out.insert("active", "true".to_owned());
    out.insert("closed", "false".to_owned());
    out.insert("acceptingOrders", (now < market.ends_at).to_string());
    // The venue refines the tick once the price nears 0 or 1; every market starts at a cent.
    out.insert("orderPriceMinTickSize", "0.01".to_owned());
    match quote {
        None => {
            out.insert("outcomePrices", text(r#"["0.5", "0.5"]"#));
        }
        Some(quote) => set_quote(&mut out, quote),
    }
    Some(object(out))
}

/// The event around a market at `now`, JSON; `None` before it is listed.
pub fn event(day: &Day, of: &DayMarket, now: Timestamp) -> Option<String> {
    let market = market(day, of, now)?;
    let fields = fields(&of.final_json);
    let copied = |key: &str| fields.get(key).map_or_else(|| "null".to_owned(), |v| v.get().to_owned());
    let mut out: BTreeMap<&str, String> = BTreeMap::new();
    for key in ["id", "startDate", "endDate"] {
        out.insert(key, copied(key));
    }
    out.insert("slug", text(&of.slug));
    out.insert("ticker", text(&of.slug));
    out.insert("title", copied("question"));
    out.insert("active", "true".to_owned());
    out.insert("closed", (now >= of.resolved_at).to_string());
    if let Some(strike) = strike_at(of, now) {
        out.insert("eventMetadata", format!(r#"{{"priceToBeat":{strike}}}"#));
    }
    out.insert("markets", format!("[{market}]"));
    Some(object(out))
}

/// The strike, if it was known at `now`.
pub fn strike_at(market: &DayMarket, now: Timestamp) -> Option<IndexPrice> {
    market.strike.filter(|_| now >= market.starts_at.max(market.strike_known_at))
}

fn set_quote(out: &mut BTreeMap<&str, String>, quote: BestQuote) {
    let cents = |c: u8| format!("{}", f64::from(c) / 100.0);
    let up = u16::from(quote.bid) + u16::from(quote.ask);
    let half_cents = |h: u16| format!("{}", f64::from(h) / 200.0);
    out.insert("bestBid", cents(quote.bid));
    out.insert("bestAsk", cents(quote.ask));
    out.insert("spread", cents(quote.ask - quote.bid));
    out.insert("lastTradePrice", cents(quote.last));
    out.insert("outcomePrices", text(&format!(r#"["{}", "{}"]"#, half_cents(up), half_cents(200 - up))));
}

/// The fields of a final object; it was checked when the day was made.
fn fields(final_json: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(final_json).unwrap_or_default()
}

/// A JSON string.
pub(crate) fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// A JSON object of fields whose values are JSON already.
pub(crate) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<_> = fields.into_iter().map(|(key, value)| format!(r#""{key}":{value}"#)).collect();
    format!("{{{}}}", fields.join(","))
}
