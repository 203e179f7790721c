//! The twin's REST interface: signatures where a request is signed, the token bucket, then the venue's answer.

use std::sync::{Arc, PoisonError};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::ws::{check, signed};
use super::{REST_ROOT, RestLimit, Shared, wall_us};
use crate::venues::kalshi::auth::Refusal;
use crate::venues::kalshi::object;

/// The token bucket of all requests.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RestLimit,
    /// Millionths of a token.
    level: u64,
    at_us: i64,
}

impl Bucket {
    pub(super) fn full(limit: RestLimit) -> Self {
        Self { limit, level: limit.capacity * 1_000_000, at_us: wall_us() }
    }

    /// Takes the tokens of one request, if they are there.
    fn take(&mut self, now_us: i64) -> bool {
        let passed = (now_us - self.at_us).max(0) as u64;
        self.at_us = now_us;
        self.level = (self.level + passed * self.limit.refill_per_s).min(self.limit.capacity * 1_000_000);
        let cost = self.limit.cost * 1_000_000;
        let enough = self.level >= cost;
        if enough {
            self.level -= cost;
        }
        enough
    }
}

/// `GET /trade-api/v2/…`.
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    shared.with(|venue, _| venue.stats.rest_requests += 1);
    let path = uri.path();
    let rest = path.strip_prefix(REST_ROOT).unwrap_or(path);
    let must_sign = rest.starts_with("/account/");
    if shared.config.check_signatures && (must_sign || !signed(&headers).is_absent()) {
        if let Err(refusal) = check(&shared, &headers, path) {
            shared.with(|venue, _| venue.stats.rest_refused += 1);
            return json(401, refusal.body());
        }
    } else if must_sign && signed(&headers).is_absent() {
        return json(401, Refusal::Missing.body());
    }
    if !shared.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(wall_us()) {
        shared.with(|venue, _| venue.stats.rest_limited += 1);
        return json(429, r#"{"error":"too many requests"}"#.to_owned());
    }
    if rest == "/account/limits" {
        return json(200, limits(shared.config.rest_limit));
    }
    let (status, body) = shared.with(|venue, now_us| object::get(venue, rest, &query, now_us));
    json(status, body)
}

fn limits(limit: RestLimit) -> String {
    let bucket = serde_json::json!({"refill_rate": limit.refill_per_s, "bucket_capacity": limit.capacity});
    serde_json::json!({"usage_tier": "basic", "read": bucket, "write": bucket}).to_string()
}

fn json(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
