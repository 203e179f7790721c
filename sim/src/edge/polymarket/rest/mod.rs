//! The twin's REST interfaces; every request is counted and may go wrong on purpose. Never changes a book.

pub(super) mod clob;
pub(super) mod data;
pub(super) mod gamma;

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::Shared;
use crate::faults::RestFault;

/// Longest that a hanging answer hangs, wall time.
const HANG: Duration = Duration::from_mins(1);

type Params = axum::extract::Query<Vec<(String, String)>>;

fn values<'a>(params: &'a [(String, String)], key: &'a str) -> impl Iterator<Item = &'a str> {
    params.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
}

/// The first value of a key that is a number.
fn number<T: std::str::FromStr>(params: &[(String, String)], key: &str) -> Option<T> {
    values(params, key).next().and_then(|v| v.parse().ok())
}

/// The values of a key, repeated or with commas between.
fn listed<'a>(params: &'a [(String, String)], key: &'a str) -> Vec<&'a str> {
    values(params, key).flat_map(|v| v.split(',')).filter(|v| !v.is_empty()).collect()
}

fn ok(body: &Value) -> Response {
    text(StatusCode::OK, body.to_string())
}

fn refuse(status: StatusCode, error: &str) -> Response {
    text(status, json!({ "error": error }).to_string())
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Counts the request and answers it if a fault or the budget says so.
async fn fault(shared: &Shared) -> Option<Response> {
    let fault = {
        let mut hub = shared.hub();
        let number = hub.stats.requests;
        hub.stats.requests += 1;
        let over = hub.config.rest_budget.is_some_and(|budget| number >= budget);
        if over { Some(RestFault::Status(429)) } else { hub.config.rest.get(&number).copied() }
    };
    Some(match fault? {
        RestFault::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refuse(status, status.canonical_reason().unwrap_or("error"))
        }
        RestFault::Garbage => text(StatusCode::OK, "<html>".to_owned()),
        RestFault::Hang => {
            tokio::select! {
                () = shared.stop.stopped() => {}
                () = tokio::time::sleep(HANG) => {}
            }
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
    })
}
