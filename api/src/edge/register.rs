//! Miners' registrations over REST: form is checked here, everything else by the validator.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemas::verdict::What;
use schemas::{Intake, Verdict, public};

use super::charge;
use super::http::Core;
use super::submit::body_of;
use crate::error::ApiError;
use crate::{register, strict, wire};

/// Registers a miner: its stake is taken from the prepaid balance of the key's account. 200: it is a member.
/// 202: durable, the verdict is still open. Who registers again gets `duplicate_miner`, and nothing is taken twice.
#[utoipa::path(post, path = "/v1/miner/registrations", tag = "miner", security(("key" = ["miner:submit"])),
    request_body = public::Registration,
    responses((status = 200, body = public::Receipt), (status = 202, body = public::Receipt),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn registration(
    State(core): State<Arc<Core>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (key, body) = body_of(&core, request).await?;
    let json: public::Registration = strict::parse(&body, core.state.limits.json_depth)?;
    let joined = register::registration(&json, &key.account)?;
    let who = joined.miner;
    let receipt = charge::submit(&core.state, Intake::Miner(joined)).await?;
    let verdict = receipt.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::MinerListed(listed) if listed.miner == who => Some(Ok(())),
        Verdict::Rejected { what: What::Registry, code, .. } => Some(Err(*code)),
        _ => None,
    });
    let status = match verdict {
        Some(Ok(())) => StatusCode::OK,
        Some(Err(code)) => return Err(ApiError::Refused(code)),
        None => StatusCode::ACCEPTED,
    };
    let body = public::Receipt { seq: receipt.seq, at: wire::time(receipt.at) };
    Ok((status, Json(body)).into_response())
}
