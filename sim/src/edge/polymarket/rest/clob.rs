//! CLOB: books, grids, fees, the short market object. Never knows a market before the venue lists it.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::hub::Hub;
use super::super::log::LogEntry;
use super::{Params, fault, number, ok, refuse, text, values};
use crate::venues::polymarket::wire::{self, Flaw, Style};
use crate::venues::polymarket::{Outcome, rest};

const NO_BOOK: &str = "No orderbook exists for the requested token id";
/// Books in one `POST /books`.
const MAX_BOOKS: usize = 500;
/// Longest range of `/prices-history`, seconds.
const MAX_RANGE_S: i64 = 15 * 86_400;

/// The market of the token that the query names, if the CLOB knows it by now.
fn by_token(hub: &mut Hub, token: Option<&str>) -> Result<(usize, Outcome), Box<Response>> {
    let token = token.ok_or_else(|| Box::new(refuse(StatusCode::BAD_REQUEST, "Invalid token id")))?;
    let found = hub.find(token).filter(|&(market, _)| hub.is_listed(market));
    found.ok_or_else(|| Box::new(refuse(StatusCode::NOT_FOUND, NO_BOOK)))
}

fn object(hub: &Hub, market: usize, of: Outcome) -> String {
    let style = Style { bare: false, best_first: hub.config.best_first };
    wire::book_object(&hub.world.markets()[market], of, hub.world.now_ms(), style, Flaw::None)
}

/// `GET /book?token_id=`.
pub(in super::super) async fn book(State(shared): State<Arc<Shared>>, Query(params): Params) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let mut hub = shared.hub();
    match by_token(&mut hub, values(&params, "token_id").next()) {
        Ok((market, of)) => text(StatusCode::OK, object(&hub, market, of)),
        Err(refused) => *refused,
    }
}

#[derive(Deserialize)]
struct Wanted {
    token_id: String,
}

/// `POST /books` with `[{"token_id":…}]`; tokens without a book are left out.
pub(in super::super) async fn books(State(shared): State<Arc<Shared>>, body: String) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let Ok(wanted) = serde_json::from_str::<Vec<Wanted>>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "Invalid payload");
    };
    if wanted.len() > MAX_BOOKS {
        return refuse(StatusCode::BAD_REQUEST, "Payload exceeds the limit");
    }
    let mut hub = shared.hub();
    let mut out = Vec::with_capacity(wanted.len());
    for Wanted { token_id } in wanted {
        if let Ok((market, of)) = by_token(&mut hub, Some(&token_id)) {
            out.push(object(&hub, market, of));
        }
    }
    text(StatusCode::OK, format!("[{}]", out.join(",")))
}

/// `GET /tick-size?token_id=`.
pub(in super::super) async fn tick_size(
    State(shared): State<Arc<Shared>>,
    Query(params): Params,
) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let mut hub = shared.hub();
    match by_token(&mut hub, values(&params, "token_id").next()) {
        Ok((market, _)) => ok(&rest::tick_size(&hub.world.markets()[market])),
        Err(refused) => *refused,
    }
}

/// `GET /fee-rate?token_id=`.
pub(in super::super) async fn fee_rate(State(shared): State<Arc<Shared>>, Query(params): Params) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let mut hub = shared.hub();
    match by_token(&mut hub, values(&params, "token_id").next()) {
        Ok(_) => ok(&rest::fee_rate()),
        Err(refused) => *refused,
    }
}

/// `GET /prices-history?market=&startTs=&endTs=`: the prices of the token's trades, oldest first; long ranges are
/// refused, so that they are asked for in chunks.
pub(in super::super) async fn prices_history(
    State(shared): State<Arc<Shared>>,
    Query(params): Params,
) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let mut hub = shared.hub();
    let (market, of) = match by_token(&mut hub, values(&params, "market").next()) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let from: i64 = number(&params, "startTs").unwrap_or(0);
    let until: Option<i64> = number(&params, "endTs");
    if from > 0 && until.is_some_and(|until| until - from > MAX_RANGE_S) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid filters: 'startTs' and 'endTs' interval is too long",
        );
    }
    let points: Vec<Value> = hub
        .log
        .iter()
        .filter_map(|entry| match entry {
            LogEntry::Trade { trade, .. } if (trade.market, trade.outcome) == (market, of) => Some(trade),
            _ => None,
        })
        .filter(|t| t.at_ms / 1_000 >= from && until.is_none_or(|until| t.at_ms / 1_000 <= until))
        .map(rest::history_point)
        .collect();
    ok(&json!({ "history": points }))
}

/// `GET /clob-markets/{condition}`.
pub(in super::super) async fn clob_market(
    State(shared): State<Arc<Shared>>,
    Path(condition): Path<String>,
) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let mut hub = shared.hub();
    match hub.find_condition(&condition).filter(|&market| hub.is_listed(market)) {
        Some(market) => ok(&rest::clob_market(&hub.world.markets()[market])),
        None => refuse(StatusCode::NOT_FOUND, "market not found"),
    }
}
