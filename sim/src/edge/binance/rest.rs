//! The twin's REST interface: depth, aggregate trades, symbols, time. Never limits and never signs: all of it is public.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::Shared;
use crate::venues::binance::{BinanceVenue, wire};

/// Levels of a depth snapshot without a limit, the venue's default.
const LEVELS: usize = 100;
/// Trades of one answer without a limit, the venue's default, and at most.
const TRADES: (usize, usize) = (500, 1_000);

/// `GET /api/v3/{path}`.
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let param = |key: &str| query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let symbol = param("symbol").unwrap_or_default();
    let limit = param("limit").and_then(|text| text.parse().ok());
    let from = param("fromId").and_then(|text| text.parse().ok());
    let (status, body) = shared.with(|venue, now_ms| match path.as_str() {
        "ping" => (200, "{}".to_owned()),
        "time" => (200, json!({ "serverTime": now_ms }).to_string()),
        "exchangeInfo" => (200, info(venue, now_ms).to_string()),
        "depth" => venue.depth_snapshot(symbol, limit.unwrap_or(LEVELS)),
        "aggTrades" => trades(venue, symbol, from, limit.unwrap_or(TRADES.0).min(TRADES.1)),
        _ => (404, r#"{"code":-1,"msg":"Not found."}"#.to_owned()),
    });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn info(venue: &BinanceVenue, now_ms: i64) -> Value {
    let text = |value: i64| {
        let mut out = String::new();
        wire::eight(&mut out, value);
        out
    };
    let symbol = |symbol: &crate::venues::binance::market::Symbol| {
        json!({
            "symbol": symbol.spec.symbol, "status": "TRADING",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": text(symbol.tick)},
                {"filterType": "LOT_SIZE", "stepSize": text(symbol.spec.lot)},
            ],
        })
    };
    json!({
        "timezone": "UTC", "serverTime": now_ms,
        "symbols": venue.symbols.iter().map(symbol).collect::<Vec<_>>(),
    })
}

/// Aggregate trades from an id on, or the last ones.
fn trades(venue: &BinanceVenue, name: &str, from: Option<u64>, limit: usize) -> (u16, String) {
    let Some(symbol) = venue.symbols.iter().find(|symbol| symbol.spec.symbol == name) else {
        return (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned());
    };
    let all = &symbol.trades;
    let skip = from.map_or_else(|| all.len().saturating_sub(limit), |id| id.saturating_sub(1) as usize);
    let one = |trade| {
        let mut value: Value = serde_json::from_str(&wire::agg_trade(trade)).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|key, _| !["e", "E", "s"].contains(&key.as_str()));
        }
        value
    };
    (200, all.iter().skip(skip).take(limit).map(one).collect::<Value>().to_string())
}
