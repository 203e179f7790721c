//! The Open Inference Protocol, version 2, over JSON: a miner's models for existing tools; it never signs or commits.
//!
//! Rows go through the same lane as the miner's own questions, in the same batches and the same bounded queue. A row holds
//! the model's own columns, as its manifest names them, before normalisation; the answer is the probability of Up as it
//! would be published, a millionth exact.

mod desk;
mod tensor;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use desk::{Counter, Served};

/// Larger requests are refused.
pub const MAX_BODY: usize = 4 << 20;
/// Most rows of one request.
pub const MAX_ROWS: usize = 4_096;
/// The longest a request waits for its rows.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a request is not answered; the text is the protocol's `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    pub(crate) fn bad(error: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error: error.into() }
    }

    pub(crate) fn with(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        reply(self.status, &json!({ "error": self.error }))
    }
}

fn reply(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn ok(body: &Value) -> Response {
    reply(StatusCode::OK, body)
}

type Models = State<Arc<Served>>;

/// The protocol's routes over these models.
pub fn app(served: Arc<Served>) -> Router {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(async || ok(&json!({ "live": true }))))
        .route("/v2/health/ready", get(async || ok(&json!({ "ready": true }))))
        .route("/v2/models/{model}", get(metadata))
        .route("/v2/models/{model}/ready", get(ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(metadata_of))
        .route("/v2/models/{model}/versions/{version}/ready", get(ready_of))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_of))
        .fallback(async || Refusal::with(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Refusal::with(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(served)
}

/// Serves until `stop`.
pub async fn serve<F>(listener: TcpListener, served: Arc<Served>, stop: F) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    axum::serve(listener, app(served)).with_graceful_shutdown(stop).await
}

async fn server() -> Response {
    ok(&json!({ "name": "oraculo", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
}

async fn metadata(State(served): Models, Path(model): Path<String>) -> Result<Response, Refusal> {
    Ok(ok(&served.find(&model, None)?.metadata()))
}

async fn metadata_of(
    State(served): Models,
    Path((model, version)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    Ok(ok(&served.find(&model, Some(&version))?.metadata()))
}

async fn ready(State(served): Models, Path(model): Path<String>) -> Result<Response, Refusal> {
    served.find(&model, None)?;
    Ok(ok(&json!({ "name": model, "ready": true })))
}

async fn ready_of(
    State(served): Models,
    Path((model, version)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    served.find(&model, Some(&version))?;
    Ok(ok(&json!({ "name": model, "ready": true })))
}

async fn infer(
    State(served): Models,
    Path(model): Path<String>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Refusal> {
    answer(&served, &model, None, body).await
}

async fn infer_of(
    State(served): Models,
    Path((model, version)): Path<(String, String)>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Refusal> {
    answer(&served, &model, Some(&version), body).await
}

async fn answer(
    served: &Served,
    model: &str,
    version: Option<&str>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Refusal> {
    let model = served.find(model, version)?;
    let too_large =
        |_| Refusal::with(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {MAX_BODY} bytes"));
    let request = tensor::parse(&body.map_err(too_large)?)?;
    let rows = model.rows(&request)?;
    let answers = tokio::time::timeout(PATIENCE, served.run(model, rows))
        .await
        .map_err(|_| Refusal::with(StatusCode::GATEWAY_TIMEOUT, "no answer in time"))??;
    Ok(ok(&model.response(&request, &answers)))
}
