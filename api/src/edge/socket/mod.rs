//! The WebSocket at `/v1/ws`: the handshake, the seats, and the parts of one connection; it knows no prices.
//!
//! Close codes: 4000 bad request (do not retry as is), 4001 key no longer good (retry with another), 4002 credits
//! exhausted and 4003 not entitled (retry after paying), 4008 slow consumer (resume), 4010 the service could not
//! charge (resume), 4011 going away (resume), 4029 too many commands (retry slowly).

mod miner;
mod parts;
mod session;
mod start;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::future::FusedFuture as _;
use futures_util::{FutureExt as _, StreamExt as _};
use schemas::public;
use tokio::sync::{mpsc, oneshot, watch};

use super::ApiState;
use super::http::{Core, Drain};
use super::keys::{KeyInfo, Scope};
use super::metrics::{Closed, Metrics};
use crate::error::ApiError;
use crate::limits::SocketBounds;
use session::{Ending, Session};

/// The subprotocol that is spoken.
const PROTOCOL: &str = "oraculo.v1.json";
/// Commands read ahead.
const COMMANDS: usize = 16;
/// Pings that may wait.
const PINGS: usize = 2;

/// Opens a WebSocket. The key is sent as `Authorization: Bearer <key>`, or, from a browser, as the second entry of
/// the subprotocol list `["oraculo.v1.json", "oraculo-auth.<key>"]`. Messages: `ClientMessage`, `ServerMessage`.
#[utoipa::path(get, path = "/v1/ws", tag = "stream", security(("key" = ["stream"])),
    responses((status = 101, description = "Messages are `ClientMessage` and `ServerMessage`"),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn upgrade(
    State(core): State<Arc<Core>>,
    drain: Option<Extension<Drain>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let key = core.gate.admit_socket(&core.state, &headers, Scope::Stream)?;
    open(core, drain, key, upgrade, Kind::Customer)
}

/// Opens a miner's WebSocket: questions, market facts and verdicts. The key is sent as for `/v1/ws`. Messages:
/// `MinerClientMessage`, `MinerServerMessage`.
#[utoipa::path(get, path = "/v1/miner/ws", tag = "miner", security(("key" = ["miner:submit"])),
    responses((status = 101, description = "Messages are `MinerClientMessage` and `MinerServerMessage`"),
        (status = "default", body = public::Problem, content_type = "application/problem+json")))]
pub(super) async fn upgrade_miner(
    State(core): State<Arc<Core>>,
    drain: Option<Extension<Drain>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let key = core.gate.admit_socket(&core.state, &headers, Scope::MinerSubmit)?;
    open(core, drain, key, upgrade, Kind::Miner)
}

/// Whose connection it is.
#[derive(Clone, Copy)]
enum Kind {
    /// Signals.
    Customer,
    /// Questions and market facts.
    Miner,
}

/// What ties a session to its connection.
struct Ends {
    out: mpsc::Sender<String>,
    commands: mpsc::Receiver<Heard>,
    leaving: Option<watch::Receiver<bool>>,
    idle: oneshot::Receiver<()>,
}

fn open(
    core: Arc<Core>,
    drain: Option<Extension<Drain>>,
    key: KeyInfo,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    kind: Kind,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| ApiError::WebSocketRequired)?;
    let seat = core.sockets.take(&key.hint)?;
    let bounds = core.state.limits.socket;
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(bounds.message_bytes)
        .max_frame_size(bounds.message_bytes)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * bounds.message_bytes.max(64 * 1024));
    let drain = drain.map(|Extension(drain)| drain);
    Ok(upgrade.on_upgrade(move |socket| Box::pin(run(core, key, drain, socket, (seat, kind)))))
}

/// Runs one connection: reader, timers, session and writer side by side in one task, none waiting for another's
/// socket work; it ends when the writer has said the last word, or has had its time for it.
async fn run(
    core: Arc<Core>,
    key: KeyInfo,
    drain: Option<Drain>,
    socket: WebSocket,
    (seat, kind): (Seat, Kind),
) {
    let bounds = core.state.limits.socket;
    let patience = Duration::from_millis(bounds.close_ms);
    let (mut sink, stream) = socket.split();
    let (out, queue) = mpsc::channel(bounds.queue.max(1));
    let (command, commands) = mpsc::channel(COMMANDS);
    let (ping, pings) = mpsc::channel(PINGS);
    let (last, last_words) = oneshot::channel();
    let (heard, hearing) = watch::channel(());
    let (idle, idled) = oneshot::channel();
    let leaving = drain.as_ref().map(|d| d.leaving.clone());
    let tied = Ends { out, commands, leaving, idle: idled };
    let (of, name) = (Arc::clone(&core), seat.name());
    let ends = async {
        let ending = match kind {
            Kind::Customer => Box::pin(Session::new(of, key, name, tied).run()).await,
            Kind::Miner => Box::pin(miner::MinerSession::new(of, key, name, tied).run()).await,
        };
        // The writer is gone when the client is; then nobody needs last words.
        let _ = last.send(ending);
        tokio::time::sleep(patience).await;
        None
    };
    let mut reading = pin!(parts::read(stream, command, heard).fuse());
    let never = async {
        tokio::join!(&mut reading, parts::time(bounds, hearing, ping, idle));
        std::future::pending().await
    };
    let code: Option<u16> = tokio::select! {
        code = parts::write(&mut sink, queue, pings, last_words) => code,
        code = ends => code,
        code = never => code,
    };
    if code.is_some() {
        // A socket closed with bytes unread is reset, and a reset can overtake the close frame: let the client go first.
        let gone =
            async { if reading.is_terminated() { std::future::pending().await } else { reading.await } };
        // It has had its time either way.
        let _ = tokio::time::timeout(patience, gone).await;
    }
    core.state.metrics.ws_closed.get_or_create(&Closed { code: code.unwrap_or(1006) }).inc();
    drop(drain);
    drop(seat);
}

/// Who sits where: bounds on connections, in all and per key.
#[derive(Clone)]
pub(super) struct Seats {
    bounds: SocketBounds,
    taken: Arc<Mutex<Taken>>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Taken {
    number: u64,
    all: usize,
    by_key: BTreeMap<String, usize>,
}

impl Seats {
    pub(super) fn new(state: &ApiState) -> Self {
        Self { bounds: state.limits.socket, taken: Arc::default(), metrics: Arc::clone(&state.metrics) }
    }

    fn take(&self, key: &str) -> Result<Seat, ApiError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_key.get(key).copied().unwrap_or_default();
        if taken.all >= self.bounds.connections || own >= self.bounds.connections_per_key {
            return Err(ApiError::TooManyConnections);
        }
        taken.number += 1;
        taken.all += 1;
        taken.by_key.insert(key.to_owned(), own + 1);
        self.metrics.ws_connections.inc();
        Ok(Seat { seats: self.clone(), key: key.to_owned(), number: taken.number })
    }
}

/// One connection's place; given back when dropped.
struct Seat {
    seats: Seats,
    key: String,
    number: u64,
}

impl Seat {
    fn name(&self) -> String {
        format!("conn_{:x}", self.number)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(own) = taken.by_key.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                taken.by_key.remove(&self.key);
            }
        }
        self.seats.metrics.ws_connections.dec();
    }
}

/// Writes a message out.
fn text(message: &public::ServerMessage) -> String {
    serde_json::to_string(message).expect("a message is plain data with string keys")
}

/// What the reader hands to the session.
enum Heard {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary,
    /// Something that is no message, or one too large.
    Broken,
}

/// How a connection ends.
fn bad_request(detail: &str) -> Ending {
    Ending::new(4000, "bad_request", detail)
}
