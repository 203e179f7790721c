//! Data API: trades and resolutions. Never tells a trade that the market channel did not produce.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::log::LogEntry;
use super::{Params, fault, listed, number, ok, refuse};
use crate::venues::polymarket::rest;

/// Trades of one page.
const MAX_TRADES: usize = 500;
/// Conditions in one request for resolutions.
const MAX_CONDITIONS: usize = 20;

/// `GET /trades` with `market` (condition ids), `limit` and `offset`; newest first.
pub(in super::super) async fn trades(State(shared): State<Arc<Shared>>, Query(params): Params) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let conditions = listed(&params, "market");
    let (limit, offset) = (number(&params, "limit").unwrap_or(100), number(&params, "offset").unwrap_or(0));
    let hub = shared.hub();
    let wanted: Vec<_> = conditions.iter().filter_map(|id| hub.find_condition(id)).collect();
    let trades = hub.log.iter().rev().filter_map(|entry| match entry {
        LogEntry::Trade { trade, .. } if conditions.is_empty() || wanted.contains(&trade.market) => {
            Some(trade)
        }
        _ => None,
    });
    let page = trades.skip(offset).take(Ord::min(limit, MAX_TRADES));
    ok(&Value::Array(page.map(|t| rest::data_trade(&hub.world.markets()[t.market], t)).collect()))
}

/// `GET /resolutions` (also under `/v2`) with `condition`; misses are left out.
pub(in super::super) async fn resolutions(
    State(shared): State<Arc<Shared>>,
    Query(params): Params,
) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let conditions = listed(&params, "condition");
    if conditions.is_empty() || conditions.len() > MAX_CONDITIONS {
        return refuse(StatusCode::BAD_REQUEST, "between 1 and 20 conditions");
    }
    let hub = shared.hub();
    let found = conditions.iter().filter_map(|id| hub.find_condition(id));
    let now_ms = hub.world.now_ms();
    let rows: Vec<Value> = found.map(|m| rest::resolution(&hub.world.markets()[m], now_ms)).collect();
    ok(&json!({ "data": rows }))
}
