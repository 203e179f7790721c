//! Frames of Polymarket's real-time data service (RTDS v1) as index values; it never fills in a missing number.
//!
//! Sources: docs.polymarket.com/developers/RTDS/RTDS-crypto-prices (topic, `type`, JSON filter, ping) and the recorded
//! frames in `shared/data/polymarket`. A filtered subscription is first answered with about two minutes of history
//! (`type: "subscribe"`), whose values carry only a JSON number; updates carry the exact value as well.

use std::borrow::Cow;

use schemas::{IndexPrice, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{IngestError, quoted};

/// The topic of the Chainlink index.
pub const TOPIC: &str = "crypto_prices_chainlink";
/// What the client sends every few seconds.
pub const PING: &str = "PING";
/// Milliseconds at 2100-01-01; later times are refused.
const MAX_MILLIS: i64 = 4_102_444_800_000;

/// One frame, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtdsFrame {
    /// The answer to a ping.
    Pong,
    /// One value.
    Update(RtdsTick),
    /// The dump that follows a subscription, ascending by time.
    History(Vec<RtdsTick>),
    /// An empty frame, another topic or another symbol: legal and not for us.
    Foreign,
}

/// One index value as the relay said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtdsTick {
    /// The feed's own time.
    pub feed_at: Timestamp,
    /// The value.
    pub value: IndexPrice,
    /// When the relay sent it; history has none.
    pub server_at: Option<Timestamp>,
}

/// The text that subscribes to one symbol, e.g. `btc/usd`.
pub fn subscribe(symbol: &str) -> String {
    let filters = serde_json::json!({ "symbol": symbol }).to_string();
    let subscription = serde_json::json!({ "topic": TOPIC, "type": "*", "filters": filters });
    serde_json::json!({ "action": "subscribe", "subscriptions": [subscription] }).to_string()
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    timestamp: Option<i64>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    timestamp: Option<i64>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    full_accuracy_value: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<Vec<Point<'a>>>,
}

#[derive(Deserialize)]
struct Point<'a> {
    timestamp: i64,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    full_accuracy_value: Option<&'a RawValue>,
}

/// Decodes one frame for one symbol. Unknown fields are tolerated; anything else that does not fit is an error.
pub fn decode(bytes: &[u8], symbol: &str, max_bytes: usize) -> Result<RtdsFrame, IngestError> {
    if bytes.len() > max_bytes {
        return Err(IngestError::TooLarge { bytes: bytes.len(), limit: max_bytes });
    }
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return Ok(RtdsFrame::Foreign);
    }
    if bytes.eq_ignore_ascii_case(b"pong") {
        return Ok(RtdsFrame::Pong);
    }
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|e| IngestError::json(&e))?;
    if envelope.topic != TOPIC {
        return Ok(RtdsFrame::Foreign);
    }
    let payload = envelope.payload.ok_or_else(|| IngestError::BadShape("no payload".to_owned()))?;
    let payload: Payload<'_> = serde_json::from_str(payload.get()).map_err(|e| IngestError::json(&e))?;
    if payload.symbol != symbol {
        return Ok(RtdsFrame::Foreign);
    }
    match envelope.kind.as_ref() {
        "update" => update(envelope.timestamp, &payload).map(RtdsFrame::Update),
        "subscribe" => history(&payload).map(RtdsFrame::History),
        other => Err(IngestError::UnknownType(quoted(other))),
    }
}

fn update(server_ms: Option<i64>, payload: &Payload<'_>) -> Result<RtdsTick, IngestError> {
    let ms = payload.timestamp.ok_or_else(|| IngestError::BadShape("no payload.timestamp".to_owned()))?;
    Ok(RtdsTick {
        feed_at: instant("payload.timestamp", ms)?,
        value: exact(payload.value, payload.full_accuracy_value)?,
        server_at: server_ms.map(|ms| instant("timestamp", ms)).transpose()?,
    })
}

fn history(payload: &Payload<'_>) -> Result<Vec<RtdsTick>, IngestError> {
    let data = payload.data.as_ref().ok_or_else(|| IngestError::BadShape("no payload.data".to_owned()))?;
    let mut ticks = Vec::with_capacity(data.len());
    for point in data {
        ticks.push(RtdsTick {
            feed_at: instant("data.timestamp", point.timestamp)?,
            value: exact(point.value, point.full_accuracy_value)?,
            server_at: None,
        });
    }
    ticks.sort_by_key(|tick| tick.feed_at);
    Ok(ticks)
}

fn instant(field: &'static str, ms: i64) -> Result<Timestamp, IngestError> {
    match ms {
        1..=MAX_MILLIS => Ok(Timestamp::from_millis(ms)),
        _ => Err(IngestError::time(field, &ms.to_string())),
    }
}

/// The exact value if it is there, else the JSON number's own digits; both must tell the same price to one millionth.
fn exact(value: Option<&RawValue>, full: Option<&RawValue>) -> Result<IndexPrice, IngestError> {
    let plain = value.map(RawValue::get);
    let price = if let Some(full) = full {
        full_accuracy(full.get())?
    } else {
        let text = plain.ok_or_else(|| IngestError::number("value", "absent"))?;
        IndexPrice::from_decimal(text).ok_or_else(|| IngestError::number("value", text))?
    };
    if price.0 <= 0 {
        return Err(IngestError::number("value", &price.to_string()));
    }
    match plain.and_then(IndexPrice::from_decimal) {
        Some(near) if near.0.abs_diff(price.0) > price.0.unsigned_abs() / 1_000_000 => {
            Err(IngestError::ValueMismatch { value: near.to_string(), full: price.to_string() })
        }
        _ => Ok(price),
    }
}

/// A string: with a dot it is a decimal, without one it counts units of 1e-18.
fn full_accuracy(token: &str) -> Result<IndexPrice, IngestError> {
    let refuse = || IngestError::number("full_accuracy_value", token);
    let text = token.strip_prefix('"').and_then(|t| t.strip_suffix('"')).ok_or_else(refuse)?;
    let price =
        if text.contains('.') { IndexPrice::from_decimal(text) } else { IndexPrice::from_atoms(text) };
    price.ok_or_else(refuse)
}
