//! The router, the frame around every route, and the server that drains; it answers no request itself.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Extension, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use super::gate::Gate;
use super::metrics;
use super::problem::{self, Failure};
use super::{ApiState, hosted, openapi, page, questions, read, register, socket, submit};
use crate::error::ApiError;

/// Says which request a problem was about.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Most archives that are read at a time.
const UPLOADS: usize = 2;
/// Longer paths are cut in answers.
const MAX_INSTANCE: usize = 256;

/// What every handler gets.
pub(super) struct Core {
    pub(super) state: ApiState,
    pub(super) gate: Gate,
    pub(super) sockets: socket::Seats,
    pub(super) page: Mutex<Option<page::Rendered>>,
    /// Archives are large: so many are read at a time.
    pub(super) uploads: Semaphore,
    requests: AtomicU64,
}

/// Tells sockets to leave, and knows when all have left.
#[derive(Clone)]
pub(super) struct Drain {
    pub(super) leaving: watch::Receiver<bool>,
    /// Held by every socket; dropped when it has left.
    pub(super) _here: mpsc::Sender<()>,
}

/// The whole API as a router.
pub fn app(state: ApiState) -> Router {
    let gate = Gate::new(&state.limits);
    let sockets = socket::Seats::new(&state);
    let (page, uploads) = (Mutex::default(), Semaphore::new(UPLOADS));
    let core = Arc::new(Core { gate, sockets, state, page, uploads, requests: AtomicU64::new(0) });
    let v1 = Router::new()
        .route("/topics", get(read::topics))
        .route("/topics/{id}", get(read::topic))
        .route("/topics/{id}/signals/latest", get(read::latest))
        .route("/topics/{id}/signals", get(read::history))
        .route("/markets/{venue}/{market_id}/signal", get(read::market_signal))
        .route("/leaderboard", get(read::leaderboard))
        .route("/miners/{key}", get(read::miner))
        .route("/account/balance", get(read::balance))
        .route("/miner/commitments", post(submit::commitment))
        .route("/miner/reveals", post(submit::reveal))
        .route("/miner/registrations", post(register::registration))
        .route("/miner/ws", get(socket::upgrade_miner))
        .route("/network", get(questions::network))
        .route("/questions", get(questions::list))
        .route("/market/{symbol}/history", get(questions::market))
        .route("/hosted", get(hosted::list))
        .route("/hosted/bundles", post(hosted::upload))
        .route("/hosted/{bundle}", get(hosted::one).delete(hosted::remove))
        .route("/dashboard", get(page::data))
        .route("/ws", get(socket::upgrade));
    Router::new()
        .nest("/v1", v1)
        .route("/livez", get(read::livez))
        .route("/readyz", get(read::readyz))
        .route("/metrics", get(read::metrics))
        .route("/openapi.json", get(openapi::serve))
        .route("/", get(page::index))
        .route("/assets/{file}", get(page::asset))
        .fallback(async || ApiError::RouteNotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&core), frame))
        .with_state(core)
}

/// Serves until `shutdown`; then takes no more, tells sockets to leave and waits for them as long as
/// [`crate::SocketBounds::drain_ms`] says by default.
pub async fn serve<F>(listener: TcpListener, app: Router, shutdown: F) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let patience = Duration::from_millis(crate::SocketBounds::default().drain_ms);
    let (leave, leaving) = watch::channel(false);
    let (here, mut left) = mpsc::channel::<()>(1);
    let app = app.layer(Extension(Drain { leaving: leaving.clone(), _here: here }));
    let quiet = |tcp: &mut tokio::net::TcpStream| {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    };
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let stop = async move {
        shutdown.await;
        // Nobody listens when there was no socket; that is fine.
        let _ = leave.send(true);
    };
    let server = axum::serve(listener.tap_io(quiet), service).with_graceful_shutdown(stop);
    let mut told = leaving;
    let too_long = async move {
        // An error means the sender is gone, and that it was never told to leave.
        if told.wait_for(|leave| *leave).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(patience).await;
    };
    let all_left = async move {
        let served = server.await;
        while left.recv().await.is_some() {}
        served
    };
    tokio::select! {
        served = all_left => served,
        () = too_long => Ok(()),
    }
}

/// Around every route: rate of the address, request id, problem documents, safe headers, the count.
async fn frame(State(core): State<Arc<Core>>, request: Request, next: Next) -> Response {
    let number = core.requests.fetch_add(1, Ordering::Relaxed);
    let request_id = format!("req_{:016x}_{number:x}", core.state.now().0);
    let path: String = request.uri().path().chars().take(MAX_INSTANCE).collect();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = method_label(request.method());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0);
    let free = matches!(route.as_str(), "/livez" | "/readyz");
    let admitted = if free { Ok(()) } else { core.gate.admit_address(peer, core.state.now()) };
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
        Err(error) => axum::response::IntoResponse::into_response(error),
    };
    if let Some(Failure(error)) = response.extensions_mut().remove::<Failure>() {
        response = problem::render(&error, response, &path, &request_id);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let status = response.status().as_u16();
    core.state.metrics.requests.get_or_create(&metrics::Request { route, method, status }).inc();
    response
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
