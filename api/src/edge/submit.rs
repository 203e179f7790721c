//! Miners' submissions over REST: form is checked here, everything else by the validator.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::{Intake, MinerId, QuestionId, Verdict, public};

use super::charge;
use super::http::Core;
use super::keys::{KeyInfo, Scope};
use crate::error::ApiError;
use crate::{strict, submit as form, wire};

/// Hands in a commitment. 200: admitted. 202: durable, the verdict is still open.
#[utoipa::path(post, path = "/v1/miner/commitments", tag = "miner", security(("key" = ["miner:submit"])),
    request_body = public::Commitment,
    responses((status = 200, body = public::Receipt), (status = 202, body = public::Receipt),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn commitment(
    State(core): State<Arc<Core>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = body(&core, request).await?;
    let json: public::Commitment = strict::parse(&body, core.state.limits.json_depth)?;
    let record = form::commitment(&json)?;
    let (miner, question) = (record.miner, record.question);
    hand_in(&core, Intake::Commitment(record), miner, question).await
}

/// Hands in a reveal. 200: admitted. 202: durable, the verdict is still open.
#[utoipa::path(post, path = "/v1/miner/reveals", tag = "miner", security(("key" = ["miner:submit"])),
    request_body = public::Reveal,
    responses((status = 200, body = public::Receipt), (status = 202, body = public::Receipt),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn reveal(State(core): State<Arc<Core>>, request: Request) -> Result<Response, ApiError> {
    let body = body(&core, request).await?;
    let json: public::Reveal = strict::parse(&body, core.state.limits.json_depth)?;
    let record = form::reveal(&json)?;
    let (miner, question) = (record.miner, record.question);
    hand_in(&core, Intake::Reveal(record), miner, question).await
}

/// The body of an admitted caller.
async fn body(core: &Core, request: Request) -> Result<Bytes, ApiError> {
    Ok(body_of(core, request).await?.1)
}

/// An admitted caller and its body, whose type, size and time are bounded.
pub(super) async fn body_of(core: &Core, request: Request) -> Result<(KeyInfo, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    let key = core.gate.admit_key(&core.state, &parts.headers, Scope::MinerSubmit)?;
    if !is_json(&parts.headers) {
        return Err(ApiError::MediaTypeUnsupported("application/json"));
    }
    Ok((key, read(core, &parts.headers, body).await?))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

async fn read(core: &Core, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let limits = &core.state.limits;
    let too_large = ApiError::BodyTooLarge(limits.body_bytes);
    let said = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|length| length > limits.body_bytes) {
        return Err(too_large);
    }
    let patience = Duration::from_millis(limits.body_timeout_ms);
    let read = tokio::time::timeout(patience, to_bytes(body, limits.body_bytes)).await;
    // The only other failure is a client that went away, and it does not read the answer.
    read.map_err(|_| ApiError::BodyTimeout)?.map_err(|_| too_large)
}

/// Submits a record and answers with its place in the log, or with the validator's code.
async fn hand_in(core: &Core, record: Intake, who: MinerId, what: QuestionId) -> Result<Response, ApiError> {
    let receipt = charge::submit(&core.state, record).await?;
    let verdict = receipt.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Accepted { miner, question, .. } if (*miner, *question) == (Some(who), Some(what)) => {
            Some(Ok(()))
        }
        Verdict::Rejected { code, .. } => Some(Err(*code)),
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
