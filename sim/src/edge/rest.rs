//! The twin's Gamma REST interface: what was known at virtual now. Never lists what was not listed yet.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::twin::Shared;
use crate::day::DayMarket;
use crate::faults::RestFault;
use crate::gamma;

/// Condition ids in one request, the venue's limit.
const MAX_IDS: usize = 100;
/// Longest that a hanging answer hangs, wall time.
const HANG: Duration = Duration::from_mins(1);

type Params = Query<Vec<(String, String)>>;

/// `GET /events?slug=`: the event of a slug, or `[]`.
pub(super) async fn events(State(shared): State<Arc<Shared>>, Query(params): Params) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let now = shared.pace.now();
    let found = values(&params, "slug").filter_map(|slug| shared.day.by_slug(slug));
    array(found.take(MAX_IDS).filter_map(|m| gamma::event(&shared.day, m, now)))
}

/// `GET /markets?slug=` or `?condition_ids=`: the markets, or `[]`; more than 100 ids are refused with 422.
pub(super) async fn markets(State(shared): State<Arc<Shared>>, Query(params): Params) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let now = shared.pace.now();
    let slugs = values(&params, "slug").filter_map(|slug| shared.day.by_slug(slug));
    let ids: Vec<_> = values(&params, "condition_ids").flat_map(|v| v.split(',')).collect();
    if ids.len() > MAX_IDS {
        return json(StatusCode::UNPROCESSABLE_ENTITY, r#"{"error":"too many condition ids"}"#.to_owned());
    }
    let by_id = ids.into_iter().filter_map(|id| shared.day.by_condition(id));
    let found: Vec<&DayMarket> = slugs.take(MAX_IDS).chain(by_id).collect();
    array(found.into_iter().filter_map(|m| gamma::market(&shared.day, m, now)))
}

fn values<'a>(params: &'a [(String, String)], key: &'a str) -> impl Iterator<Item = &'a str> {
    params.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
}

fn array(items: impl Iterator<Item = String>) -> Response {
    json(StatusCode::OK, format!("[{}]", items.collect::<Vec<_>>().join(",")))
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Counts the request and answers it if a fault says so.
async fn fault(shared: &Shared) -> Option<Response> {
    let number = shared.counters.rest_requests.bump();
    let fault = *shared.config.faults.rest.get(&number)?;
    shared.counters.rest_faults.bump();
    Some(match fault {
        RestFault::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            json(status, format!(r#"{{"error":"{}"}}"#, status.canonical_reason().unwrap_or("error")))
        }
        RestFault::Garbage => json(StatusCode::OK, "<html>".to_owned()),
        RestFault::Hang => {
            tokio::select! {
                () = shared.stop.stopped() => {}
                () = tokio::time::sleep(HANG) => {}
            }
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
    })
}
