//! Whose frame is it? Tells a venue by the keys it alone uses; it never reads a value it would have to understand.

use std::collections::BTreeMap;

use schemas::Venue;
use serde_json::value::RawValue;

/// The venue of a REST or WebSocket address.
pub fn sniff_url(url: &str) -> Option<Venue> {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or(host).to_ascii_lowercase();
    let futures = ["fstream.", "fapi.", "dstream.", "dapi."].iter().any(|p| host.starts_with(p));
    match () {
        () if host.contains("kalshi") => Some(Venue::Kalshi),
        () if host.contains("polymarket.us") => Some(Venue::PolymarketUs),
        () if host.contains("polymarket") => Some(Venue::Polymarket),
        () if host.contains("kraken") => Some(Venue::Kraken),
        () if host.contains("coinbase") => Some(Venue::Coinbase),
        () if host.contains("binance") && futures => Some(Venue::BinanceFutures),
        () if host.contains("binance") => Some(Venue::Binance),
        () => None,
    }
}

/// The venue of a frame; `None` where the frame does not show it.
pub fn sniff_frame(bytes: &[u8]) -> Option<Venue> {
    match bytes.first()? {
        b'{' => sniff_object(bytes),
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_slice(bytes).ok()?;
            let first = items.first()?.get().as_bytes();
            match first.first()? {
                b'{' => sniff_object(first),
                // `[channel, …, "book-1000", "XBT/CHF"]`
                b'0'..=b'9' if items.len() >= 4 => Some(Venue::Kraken),
                _ => None,
            }
        }
        _ => None,
    }
}

fn sniff_object(bytes: &[u8]) -> Option<Venue> {
    let keys: BTreeMap<String, &RawValue> = serde_json::from_slice(bytes).ok()?;
    let has = |key: &str| keys.contains_key(key);
    let is_polymarket = has("event_type")
        || has("price_changes")
        || (has("asset_id") && has("market"))
        || (has("topic") && has("payload"))
        || (has("v") && has("channel") && has("payload"));
    if is_polymarket {
        return Some(Venue::Polymarket);
    }
    if has("type") && (has("msg") || has("sid")) {
        return Some(Venue::Kalshi);
    }
    if has("product_id") || has("product_ids") || (has("channel") && has("events")) {
        return Some(Venue::Coinbase);
    }
    if keys.get("type").is_some_and(|t| t.get() == "\"subscriptions\"") {
        return Some(Venue::Coinbase);
    }
    if has("stream") || (has("e") && has("E")) {
        let inner = keys.get("data").map_or(bytes, |data| data.get().as_bytes());
        let inner: BTreeMap<String, &RawValue> = serde_json::from_slice(inner).ok()?;
        let kind = inner.get("e").map(|kind| kind.get());
        // Only the futures venue names its best prices' type and the event before a depth event.
        let futures = inner.contains_key("pu") || kind == Some("\"bookTicker\"");
        return Some(if futures { Venue::BinanceFutures } else { Venue::Binance });
    }
    let is_kraken = has("event")
        || (has("channel") && (has("data") || keys.len() == 1))
        || (has("method") && (has("result") || has("success")));
    is_kraken.then_some(Venue::Kraken)
}
