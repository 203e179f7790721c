//! Gamma: markets and events. Never refuses a market that the CLOB does not know yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::Shared;
use super::{Params, fault, listed, number, ok, refuse, values};
use crate::venues::polymarket::rest;
use crate::venues::polymarket::world::{Market, Standing};

/// Condition ids in one request.
const MAX_IDS: usize = 100;
/// Objects of one page.
const MAX_PAGE: usize = 500;
/// Objects of a page that names no limit.
const PAGE: usize = 20;

/// The page and the filter of a query.
struct Page {
    limit: usize,
    offset: usize,
    closed: Option<bool>,
}

impl Page {
    /// `ids` are as many as were named, so that a query by id is not cut at the default page.
    fn of(params: &[(String, String)], ids: usize) -> Self {
        Self {
            limit: number(params, "limit").unwrap_or_else(|| PAGE.max(ids)).min(MAX_PAGE),
            offset: number(params, "offset").unwrap_or(0),
            closed: number(params, "closed"),
        }
    }

    /// An id shows a market whatever its state; a listing without a filter shows the open ones.
    fn shows(&self, market: &Market, by_id: bool) -> bool {
        let closed = market.standing != Standing::Open;
        self.closed.map_or(by_id || !closed, |wanted| wanted == closed)
    }
}

/// `GET /markets` with `condition_ids`, `clob_token_ids`, `slug`, `closed`, `limit` and `offset`.
pub(in super::super) async fn markets(State(shared): State<Arc<Shared>>, Query(params): Params) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let conditions = listed(&params, "condition_ids");
    let tokens = listed(&params, "clob_token_ids");
    let slugs = listed(&params, "slug");
    if conditions.len().max(tokens.len()) > MAX_IDS {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "too many ids");
    }
    let by_id = !(conditions.is_empty() && tokens.is_empty() && slugs.is_empty());
    let page = Page::of(&params, conditions.len().max(tokens.len()).max(slugs.len()));
    let hub = shared.hub();
    let named = conditions.iter().filter_map(|id| hub.find_condition(id));
    let named = named.chain(tokens.iter().filter_map(|id| hub.find(id)).map(|(market, _)| market));
    let all = hub.world.markets();
    let found: Vec<usize> = if conditions.is_empty() && tokens.is_empty() {
        let slugged = |m: &&Market| slugs.is_empty() || slugs.contains(&m.ids.slug.as_str());
        all.iter().filter(slugged).map(|m| m.number).collect()
    } else {
        named.collect()
    };
    let shown = found.into_iter().map(|market| &all[market]).filter(|m| page.shows(m, by_id));
    let now_ms = hub.world.now_ms();
    let objects = shown.skip(page.offset).take(page.limit).map(|market| {
        let mut object = rest::gamma_market(market, now_ms);
        object["events"] = json!([rest::gamma_event(market, Vec::new(), now_ms)]);
        object
    });
    ok(&Value::Array(objects.collect()))
}

/// `GET /events` with `slug`, `closed`, `limit` and `offset`; an event holds all its markets.
pub(in super::super) async fn events(State(shared): State<Arc<Shared>>, Query(params): Params) -> Response {
    if let Some(fault) = fault(&shared).await {
        return fault;
    }
    let slugs: Vec<_> = values(&params, "slug").collect();
    let page = Page::of(&params, slugs.len());
    let hub = shared.hub();
    let mut events: BTreeMap<usize, Vec<&Market>> = BTreeMap::new();
    for market in hub.world.markets() {
        if slugs.is_empty() || slugs.contains(&rest::event_slug(market).as_str()) {
            events.entry(crate::venues::polymarket::wire::event_id(market)).or_default().push(market);
        }
    }
    let now_ms = hub.world.now_ms();
    let by_id = !slugs.is_empty();
    let shown = events.into_values().filter(|markets| markets.iter().any(|m| page.shows(m, by_id)));
    let objects = shown.skip(page.offset).take(page.limit).map(|markets| {
        let objects = markets.iter().map(|m| rest::gamma_market(m, now_ms)).collect();
        rest::gamma_event(markets[0], objects, now_ms)
    });
    ok(&Value::Array(objects.collect()))
}
