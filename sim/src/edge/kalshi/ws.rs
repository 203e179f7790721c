//! One WebSocket connection of the twin: the signed handshake, commands in, frames out. Never decides what is sent.

use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::Notify;

use super::{Shared, WS_PATH};
use crate::venues::kalshi::Out;
use crate::venues::kalshi::auth::{self, Refusal, Signed};

/// Largest command a client may send, bytes.
const MAX_COMMAND: usize = 1024 * 1024;
/// Frames taken from the venue at a time.
const BATCH: usize = 64;

/// The signature headers of a request.
pub(super) fn signed(headers: &HeaderMap) -> Signed<'_> {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Signed {
        key: get("KALSHI-ACCESS-KEY"),
        timestamp: get("KALSHI-ACCESS-TIMESTAMP"),
        signature: get("KALSHI-ACCESS-SIGNATURE"),
    }
}

/// Checks a signed GET of a path by the venue's clock.
pub(super) fn check(shared: &Shared, headers: &HeaderMap, path: &str) -> Result<(), Refusal> {
    let venue = &shared.config.venue;
    let now_ms = shared.now_us().div_euclid(1_000);
    auth::check(&venue.clients, signed(headers), "GET", path, now_ms, venue.skew_ms)
}

/// `GET /trade-api/ws/v2`.
pub(super) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    ws: WebSocketUpgrade,
) -> Response {
    if shared.config.check_signatures
        && let Err(refusal) = check(&shared, &headers, WS_PATH)
    {
        shared.with(|venue, _| venue.stats.refused += 1);
        let json = [(header::CONTENT_TYPE, "application/json")];
        return (StatusCode::UNAUTHORIZED, json, refusal.body()).into_response();
    }
    ws.max_message_size(MAX_COMMAND).on_upgrade(move |socket| serve(shared, socket))
}

async fn serve(shared: Arc<Shared>, socket: WebSocket) {
    let waker = Arc::new(Notify::new());
    let conn = {
        let mut hub = shared.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let conn = hub.venue.open();
        hub.wakers.insert(conn, Arc::clone(&waker));
        conn
    };
    tokio::select! {
        () = shared.stop.stopped() => {}
        () = pump(&shared, conn, socket, &waker) => {}
    }
    let mut hub = shared.hub.lock().unwrap_or_else(PoisonError::into_inner);
    hub.venue.close(conn);
    hub.wakers.remove(&conn);
}

/// Moves frames and commands until the connection ends; dropping the socket ends it without a close frame.
async fn pump(shared: &Shared, conn: u64, socket: WebSocket, waker: &Notify) {
    let (mut sink, mut commands) = socket.split();
    let mut pings = tokio::time::interval(shared.config.ping_every.max(std::time::Duration::from_millis(1)));
    pings.reset();
    loop {
        tokio::select! {
            () = waker.notified() => loop {
                let batch = shared.with(|venue, _| venue.take(conn, BATCH));
                if batch.is_empty() {
                    break;
                }
                for out in batch {
                    let Out::Text(text) = out else {
                        // What was said before the cut still arrives.
                        let _ = sink.flush().await;
                        return;
                    };
                    if sink.feed(Message::Text(text.into())).await.is_err() {
                        return;
                    }
                }
                if sink.flush().await.is_err() {
                    return;
                }
            },
            _ = pings.tick() => {
                if sink.send(Message::Ping("heartbeat".into())).await.is_err() {
                    return;
                }
            }
            command = commands.next() => match command {
                Some(Ok(Message::Text(text))) => shared.with(|venue, now_us| venue.command(conn, &text, now_us)),
                Some(Ok(Message::Binary(_))) => shared.with(|venue, now_us| venue.command(conn, "", now_us)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    }
}
