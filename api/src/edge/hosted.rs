//! Uploading, listing and removing hosted bundles; what a bundle is, only the host knows.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::{AccountId, BundleId, public};

use super::http::Core;
use super::keys::Scope;
use crate::error::ApiError;
use crate::hosted::{Host, HostError, Hosted};
use crate::wire;

/// An archive is larger than other bodies and may take this many times as long.
const PATIENCE: u64 = 6;
/// What an upload must say it is.
const TAR: &str = "application/x-tar";

/// Hands in a bundle as one plain tar. 201: it is checked and runs from now on. 200: it was here before.
#[utoipa::path(post, path = "/v1/hosted/bundles", tag = "hosted", security(("key" = ["miner:host"])),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 201, body = public::HostedBundle), (status = 200, body = public::HostedBundle),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn upload(State(core): State<Arc<Core>>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let (host, account) = admit(&core, &parts.headers)?;
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(TAR) {
        return Err(ApiError::MediaTypeUnsupported(TAR));
    }
    let most = host.max_bytes();
    let said = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|length| length > most) {
        return Err(ApiError::BodyTooLarge(most));
    }
    let _reading = core.uploads.try_acquire().map_err(|_| HostError::Busy)?;
    let patience = Duration::from_millis(core.state.limits.body_timeout_ms * PATIENCE);
    let read = tokio::time::timeout(patience, to_bytes(body, most)).await;
    let archive = read.map_err(|_| ApiError::BodyTimeout)?.map_err(|_| ApiError::BodyTooLarge(most))?;
    let (hosted, new) = host.upload(account, archive.into()).await?;
    let place = HeaderValue::from_str(&format!("/v1/hosted/{}", hosted.bundle));
    let mut response = Json(shown(&hosted)).into_response();
    *response.status_mut() = if new { StatusCode::CREATED } else { StatusCode::OK };
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// The caller's hosted bundles.
#[utoipa::path(get, path = "/v1/hosted", tag = "hosted", security(("key" = ["miner:host"])),
    responses((status = 200, body = public::HostedList),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
) -> Result<Json<public::HostedList>, ApiError> {
    let (host, account) = admit(&core, &headers)?;
    Ok(Json(public::HostedList { bundles: host.list(&account).iter().map(shown).collect() }))
}

/// One hosted bundle of the caller.
#[utoipa::path(get, path = "/v1/hosted/{bundle}", tag = "hosted", security(("key" = ["miner:host"])),
    params(("bundle" = String, Path, description = "Id of the bundle, hex")),
    responses((status = 200, body = public::HostedBundle),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn one(
    State(core): State<Arc<Core>>,
    Path(bundle): Path<String>,
    headers: HeaderMap,
) -> Result<Json<public::HostedBundle>, ApiError> {
    let (host, account) = admit(&core, &headers)?;
    let id = id(&bundle)?;
    let found = host.list(&account).into_iter().find(|hosted| hosted.bundle == id);
    Ok(Json(shown(&found.ok_or(HostError::Unknown)?)))
}

/// Stops a hosted bundle of the caller and forgets it; its miner keeps its stake and its name.
#[utoipa::path(delete, path = "/v1/hosted/{bundle}", tag = "hosted", security(("key" = ["miner:host"])),
    params(("bundle" = String, Path, description = "Id of the bundle, hex")),
    responses((status = 204),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(core): State<Arc<Core>>,
    Path(bundle): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let (host, account) = admit(&core, &headers)?;
    host.remove(account, id(&bundle)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks, and the host; without a host there is nothing to ask for.
fn admit(core: &Core, headers: &HeaderMap) -> Result<(Arc<dyn Host>, AccountId), ApiError> {
    let key = core.gate.admit_key(&core.state, headers, Scope::MinerHost)?;
    let host = core.state.host.clone().ok_or(ApiError::HostingOff)?;
    Ok((host, key.account))
}

fn id(text: &str) -> Result<BundleId, ApiError> {
    text.parse().map_err(|_| ApiError::PathInvalid("a bundle's id is 64 hex digits"))
}

fn shown(hosted: &Hosted) -> public::HostedBundle {
    let finding = |f: &crate::hosted::Finding| public::HostedFinding {
        code: f.code.to_owned(),
        passed: f.passed,
        detail: f.detail.clone(),
    };
    public::HostedBundle {
        bundle: hosted.bundle.to_string(),
        miner: hosted.miner.to_string(),
        name: hosted.name.clone(),
        topic: hosted.topic.clone(),
        state: hosted.state.name().to_owned(),
        code: hosted.state.code().map(str::to_owned),
        fee_ppm: hosted.fee.0,
        since: wire::time(hosted.since),
        findings: hosted.findings.iter().map(finding).collect(),
    }
}
