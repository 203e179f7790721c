//! Errors as `application/problem+json`; the frame around every route fills in who asked for what.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::public::Problem;

use crate::error::ApiError;

/// The error of a response, until the frame renders it.
#[derive(Clone, Debug)]
pub(super) struct Failure(pub(super) ApiError);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Failure(self));
        response
    }
}

/// The response with the error written out.
pub(super) fn render(error: &ApiError, mut response: Response, path: &str, request_id: &str) -> Response {
    let problem = Problem {
        kind: format!("urn:oraculo:problem:{}", error.code()),
        title: response.status().canonical_reason().unwrap_or("Error").to_owned(),
        status: response.status().as_u16(),
        detail: error.to_string(),
        instance: Some(path.to_owned()),
        code: error.code().to_owned(),
        request_id: request_id.to_owned(),
    };
    let body = serde_json::to_vec(&problem).expect("a problem is plain data");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::CONTENT_LENGTH);
    let wait = match error {
        ApiError::RateLimited { retry_after_s } => Some(*retry_after_s),
        ApiError::Desk(_) | ApiError::NoVerdict | ApiError::TooManyConnections | ApiError::SignalAbsent => {
            Some(1)
        }
        _ => None,
    };
    if let Some(seconds) = wait {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.status() == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    *response.body_mut() = Body::from(body);
    response
}
