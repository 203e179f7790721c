//! The dashboard's files and its data; nothing that is for buyers only passes here.

use std::sync::{Arc, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rust_embed::RustEmbed;

use super::http::Core;
use crate::dashboard::{Dashboard, dashboard};
use crate::error::ApiError;

/// What the page may load: its own files, nothing else, nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// The dashboard's data as of a record, written out once for all who ask.
pub(super) struct Rendered {
    seq: u64,
    connections: u64,
    json: Bytes,
}

/// The page.
pub(super) async fn index() -> Result<Response, ApiError> {
    file("index.html")
}

/// One of the page's own files.
pub(super) async fn asset(
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Response, ApiError> {
    let Path(name) = path.map_err(|_| ApiError::RouteNotFound)?;
    file(&name)
}

fn file(name: &str) -> Result<Response, ApiError> {
    let file = Assets::get(name).ok_or(ApiError::RouteNotFound)?;
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    Ok((headers, file.data.into_owned()).into_response())
}

/// The dashboard's data: public, polled by the page every second.
#[utoipa::path(get, path = "/v1/dashboard", tag = "public", responses((status = 200, body = Dashboard)))]
pub(super) async fn data(State(core): State<Arc<Core>>) -> Response {
    let connections = core.state.metrics.connections();
    let seq = core.state.read().seq();
    let mut slot = core.page.lock().unwrap_or_else(PoisonError::into_inner);
    let json = match &*slot {
        Some(page) if (page.seq, page.connections) == (seq, connections) => page.json.clone(),
        _ => {
            let view = core.state.read();
            let page = dashboard(&view, connections, core.state.limits.dashboard_rows);
            let seq = view.seq();
            drop(view);
            let json = Bytes::from(serde_json::to_vec(&page).expect("a dashboard is plain data"));
            *slot = Some(Rendered { seq, connections, json: json.clone() });
            json
        }
    };
    drop(slot);
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], json)
        .into_response()
}
