//! What a miner that runs elsewhere reads over REST: the network, open questions, market facts; nothing sealed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use schemas::public;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::http::Core;
use super::keys::Scope;
use super::read::{PathOf, QueryOf, path, query};
use crate::error::ApiError;
use crate::{questions, wire};

/// Most facts of one answer.
const FACTS: u32 = 2_000;
/// An index pair is not longer than this.
const MAX_SYMBOL: usize = 64;

/// Which questions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `open`: what may be committed to or revealed now. `recent`: the newest, whatever their phase.
    state: Option<String>,
}

/// Which market facts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Facts after this position; 0 for all that are kept.
    since: Option<u64>,
    /// 1 to 2000.
    #[param(minimum = 1, maximum = 2000)]
    limit: Option<u32>,
}

/// The network as miners must know it.
pub(super) fn describe(state: &ApiState) -> public::Network {
    public::Network {
        name: state.network.name.clone(),
        hash: hex::encode(state.network.hash),
        epoch: state.read().epoch().to_owned(),
        server_time: wire::exact_time(state.now()),
    }
}

/// The network's name, the hash that commitments carry, and the service's clock.
#[utoipa::path(get, path = "/v1/network", tag = "public",
    responses((status = 200, body = public::Network), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn network(State(core): State<Arc<Core>>) -> Json<public::Network> {
    Json(describe(&core.state))
}

/// Questions with everything that is needed to answer them.
#[utoipa::path(get, path = "/v1/questions", tag = "miner", security(("key" = ["miner:submit"])), params(Which),
    responses((status = 200, body = public::QuestionList), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    which: QueryOf<Which>,
) -> Result<Json<public::QuestionList>, ApiError> {
    core.gate.admit_key(&core.state, &headers, Scope::MinerSubmit)?;
    let now = core.state.now();
    let from = match query(which)?.state.as_deref() {
        None | Some("open") => Some(now),
        Some("recent") => None,
        Some(_) => return Err(ApiError::QueryInvalid("state is open or recent".to_owned())),
    };
    let hash = core.state.network.hash;
    let data =
        core.state.board().questions(from).map(|asked| questions::question(asked, &hash, now)).collect();
    let epoch = core.state.read().epoch().to_owned();
    Ok(Json(public::QuestionList { data, epoch, server_time: wire::exact_time(now) }))
}

/// Market facts after a position, oldest first: the values of one index, and quotes.
#[utoipa::path(get, path = "/v1/market/{symbol}/history", tag = "miner", security(("key" = ["miner:submit"])),
    params(("symbol" = String, Path, description = "The index pair, percent-encoded: btc%2Fusd"), Since),
    responses((status = 200, body = public::MarketHistory), (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn market(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    symbol: PathOf<String>,
    since: QueryOf<Since>,
) -> Result<Json<public::MarketHistory>, ApiError> {
    core.gate.admit_key(&core.state, &headers, Scope::MinerSubmit)?;
    let (symbol, since) = (path(symbol)?, query(since)?);
    if symbol.len() > MAX_SYMBOL {
        return Err(ApiError::PathInvalid("an index pair has at most 64 bytes"));
    }
    let limit = since.limit.unwrap_or(FACTS);
    if !(1..=FACTS).contains(&limit) {
        return Err(ApiError::QueryInvalid(format!("limit is 1 to {FACTS}")));
    }
    let (data, next, has_more, oldest) = {
        let board = core.state.board();
        let (found, next, more) = board.history(&symbol, since.since.unwrap_or(0), limit as usize);
        (found.into_iter().map(questions::fact).collect(), next, more, board.oldest_fact())
    };
    let epoch = core.state.read().epoch().to_owned();
    let server_time = wire::exact_time(core.state.now());
    Ok(Json(public::MarketHistory { data, next, has_more, oldest, epoch, server_time }))
}
