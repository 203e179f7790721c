//! Everything that is read over REST; what is paid for is paid before it is answered.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::public;
use schemas::{AccountId, MarketId, Micros, MinerId, TopicId, Venue};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::charge;
use super::http::Core;
use super::keys::Scope;
use crate::error::ApiError;
use crate::view::{Held, MarketKnown};
use crate::{cursor, wire};

/// What a delivery cost, micro-USD.
const CHARGED: HeaderName = HeaderName::from_static("oraculo-charged-micros");
/// How old the signal is, milliseconds.
const AGE: HeaderName = HeaderName::from_static("oraculo-signal-age-ms");
/// A native market id is not longer than this.
const MAX_MARKET_ID: usize = 128;

/// How young a signal must be.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Fresh {
    /// Answer 503 `signal_absent` rather than a signal older than this.
    max_age_ms: Option<u64>,
}

/// Where a page starts and how long it is.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

type Core_ = State<Arc<Core>>;
pub(super) type PathOf<T> = Result<Path<T>, PathRejection>;
pub(super) type QueryOf<T> = Result<Query<T>, QueryRejection>;

pub(super) fn path<T>(path: PathOf<T>) -> Result<T, ApiError> {
    path.map(|Path(value)| value).map_err(|_| ApiError::PathInvalid("a segment is not text"))
}

pub(super) fn query<T>(query: QueryOf<T>) -> Result<T, ApiError> {
    query.map(|Query(value)| value).map_err(|rejection| ApiError::QueryInvalid(rejection.body_text()))
}

fn topic_id(text: &str) -> Result<TopicId, ApiError> {
    TopicId::new(text).ok_or(ApiError::PathInvalid("a topic is named with 1 to 64 of a-z 0-9 . _ -"))
}

/// All topics with their track records.
#[utoipa::path(get, path = "/v1/topics", tag = "public",
    responses((status = 200, body = public::TopicList), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn topics(State(core): Core_) -> Json<public::TopicList> {
    let view = core.state.read();
    Json(public::TopicList { data: view.topics().values().map(|t| wire::topic(&view, t)).collect() })
}

/// One topic.
#[utoipa::path(get, path = "/v1/topics/{id}", tag = "public", params(("id" = String, Path, description = "The topic")),
    responses((status = 200, body = public::Topic), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn topic(State(core): Core_, id: PathOf<String>) -> Result<Json<public::Topic>, ApiError> {
    let id = topic_id(&path(id)?)?;
    let view = core.state.read();
    let topic = view.topics().get(&id).ok_or(ApiError::TopicNotFound)?;
    Ok(Json(wire::topic(&view, topic)))
}

/// The newest signal of a topic. Charged once per slot, before it is answered; `If-None-Match` costs nothing.
#[utoipa::path(get, path = "/v1/topics/{id}/signals/latest", tag = "signals", security(("key" = ["signals:read"])),
    params(("id" = String, Path, description = "The topic"), Fresh),
    responses((status = 200, body = public::Signal, headers(("etag" = String, description = "The signal's id"))),
        (status = 304, description = "Still the same signal; free"),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn latest(
    State(core): Core_,
    method: Method,
    headers: HeaderMap,
    id: PathOf<String>,
    fresh: QueryOf<Fresh>,
) -> Result<Response, ApiError> {
    let key = core.gate.admit_key(&core.state, &headers, Scope::SignalsRead)?;
    let (id, fresh) = (topic_id(&path(id)?)?, query(fresh)?);
    let held = {
        let (view, now) = (core.state.read(), core.state.now());
        let topic = view.topics().get(&id).ok_or(ApiError::TopicNotFound)?;
        if !view.covers(&key.account, &id, now) {
            return Err(ApiError::NotEntitled);
        }
        topic.latest().cloned().ok_or(ApiError::SignalAbsent)?
    };
    sell(&core, &key.account, Ask { method, headers, fresh }, &held).await
}

/// The newest signal on a market, over the topics the caller may read. Charged like `latest`.
#[utoipa::path(get, path = "/v1/markets/{venue}/{market_id}/signal", tag = "signals", security(("key" = ["signals:read"])),
    params(("venue" = String, Path, description = "polymarket or kalshi"),
        ("market_id" = String, Path, description = "The venue's id (Polymarket: condition id)"), Fresh),
    responses((status = 200, body = public::Signal, headers(("etag" = String, description = "The signal's id"))),
        (status = 304, description = "Still the same signal; free"),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn market_signal(
    State(core): Core_,
    method: Method,
    headers: HeaderMap,
    segments: PathOf<(String, String)>,
    fresh: QueryOf<Fresh>,
) -> Result<Response, ApiError> {
    let key = core.gate.admit_key(&core.state, &headers, Scope::SignalsRead)?;
    let ((venue, native), fresh) = (path(segments)?, query(fresh)?);
    let venue: Venue = venue.parse().map_err(|()| ApiError::PathInvalid("no such venue"))?;
    if native.len() > MAX_MARKET_ID {
        return Err(ApiError::PathInvalid("a market id has at most 128 bytes"));
    }
    let held = {
        let (view, now) = (core.state.read(), core.state.now());
        match view.market_signal(&MarketId { venue, native }, &key.account, now) {
            (Some(held), _) => held.clone(),
            (None, MarketKnown::NotEntitled) => return Err(ApiError::NotEntitled),
            (None, MarketKnown::NoSignalYet | MarketKnown::Entitled) => return Err(ApiError::SignalAbsent),
            (None, MarketKnown::No) => return Err(ApiError::MarketNotFound),
        }
    };
    sell(&core, &key.account, Ask { method, headers, fresh }, &held).await
}

/// How a signal was asked for.
struct Ask {
    method: Method,
    headers: HeaderMap,
    fresh: Fresh,
}

/// Age, then the free answer, then the money, then the signal. What was public before it was asked for is free.
async fn sell(core: &Core, account: &AccountId, ask: Ask, held: &Held) -> Result<Response, ApiError> {
    let age = core.state.now().since(held.signal.issued_at).max(0) / schemas::time::NANOS_PER_MILLI;
    if ask.fresh.max_age_ms.is_some_and(|max| i64::try_from(max).is_ok_and(|max| age > max)) {
        return Err(ApiError::SignalAbsent);
    }
    let etag = format!("\"{}\"", held.signal.id);
    let base = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, "private, max-age=0, must-revalidate".to_owned()),
        (AGE, age.to_string()),
    ];
    if matches_etag(&ask.headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, base).into_response());
    }
    if ask.method == Method::HEAD {
        // Nothing is delivered, so nothing is charged.
        return Ok(base.into_response());
    }
    let charged = match held.outcome {
        Some(_) => Micros(0),
        None => charge::pay(&core.state, account, held).await?,
    };
    let body = wire::signal(core.state.read().epoch(), held);
    Ok((base, [(CHARGED, wire::money(charged))], Json(body)).into_response())
}

/// Weak comparison (RFC 9110, 13.1.2).
fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let mut tags = values.flat_map(|v| v.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A topic's signals, newest first: those whose market has ended, and those the account has paid for.
#[utoipa::path(get, path = "/v1/topics/{id}/signals", tag = "signals", security(("key" = ["signals:read"])),
    params(("id" = String, Path, description = "The topic"), PageQuery),
    responses((status = 200, body = public::SignalPage), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn history(
    State(core): Core_,
    headers: HeaderMap,
    id: PathOf<String>,
    page: QueryOf<PageQuery>,
) -> Result<Json<public::SignalPage>, ApiError> {
    let key = core.gate.admit_key(&core.state, &headers, Scope::SignalsRead)?;
    let (id, page) = (topic_id(&path(id)?)?, query(page)?);
    let limits = &core.state.limits;
    let limit = page.limit.unwrap_or(limits.page_default);
    if !(1..=limits.page_max).contains(&limit) {
        return Err(ApiError::QueryInvalid(format!("limit is 1 to {}", limits.page_max)));
    }
    let view = core.state.read();
    if !view.topics().contains_key(&id) {
        return Err(ApiError::TopicNotFound);
    }
    let before = page.cursor.map(|text| cursor::decode(&text, view.epoch(), &id)).transpose()?;
    let (found, has_more) = view.history(&id, &key.account, before, limit as usize);
    let last = found.last().map(|held| held.signal.topic_seq).filter(|_| has_more);
    Ok(Json(public::SignalPage {
        data: found.iter().map(|held| wire::signal(view.epoch(), held)).collect(),
        next_cursor: last.map(|seq| cursor::encode(view.epoch(), &id, seq)),
        has_more,
    }))
}

/// All miners by stake.
#[utoipa::path(get, path = "/v1/leaderboard", tag = "public",
    responses((status = 200, body = public::Leaderboard), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn leaderboard(State(core): Core_) -> Json<public::Leaderboard> {
    let view = core.state.read();
    Json(public::Leaderboard { data: wire::leaderboard(&view), as_of: wire::time(view.at()) })
}

/// One miner's record and calibration.
#[utoipa::path(get, path = "/v1/miners/{key}", tag = "public", params(("key" = String, Path, description = "The miner's public key, 64 hex digits")),
    responses((status = 200, body = public::Miner), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn miner(State(core): Core_, key: PathOf<String>) -> Result<Json<public::Miner>, ApiError> {
    let wrong = |_| ApiError::PathInvalid("a miner's key is 64 lower-case hex digits");
    let key: MinerId = path(key)?.parse().map_err(wrong)?;
    let view = core.state.read();
    let record = view.miner(&key).ok_or(ApiError::MinerNotFound)?;
    Ok(Json(wire::miner(&view, record)))
}

/// The own prepaid balance.
#[utoipa::path(get, path = "/v1/account/balance", tag = "account", security(("key" = ["account:read"])),
    responses((status = 200, body = public::Balance), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn balance(State(core): Core_, headers: HeaderMap) -> Result<Response, ApiError> {
    let key = core.gate.admit_key(&core.state, &headers, Scope::AccountRead)?;
    let view = core.state.read();
    let account = view.account(&key.account).ok_or(ApiError::AccountNotFound)?;
    let body = public::Balance {
        account: key.account.to_string(),
        prepaid: wire::money(account.prepaid),
        spent: wire::money(account.spent),
        units: account.units,
        subscriptions: view.subscriptions_of(&key.account).map(wire::subscription).collect(),
    };
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(body)).into_response())
}

/// Whether the process answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "It answers")))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// What `/readyz` says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// Whether requests should be sent here.
    ready: bool,
    /// What was looked at.
    checks: Vec<ReadyCheck>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadyCheck {
    /// What.
    name: String,
    /// Whether it is well.
    ok: bool,
    /// How it is.
    detail: String,
}

/// Whether requests should be sent here.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Ready), (status = 503, body = Ready)))]
pub(super) async fn readyz(State(core): Core_) -> Response {
    let health = (core.state.health)();
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let check = |c: super::HealthCheck| ReadyCheck { name: c.name, ok: c.ok, detail: c.detail };
    let body = Ready { ready: health.ready, checks: health.checks.into_iter().map(check).collect() };
    (status, Json(body)).into_response()
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(core): Core_) -> Response {
    let health = (core.state.health)();
    let more = (core.state.more_metrics)();
    let text = core.state.metrics.text(&core.state.read(), &health, &more);
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
