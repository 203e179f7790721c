//! One WebSocket connection of the twin: its streams by address or by frame, then frames out. Never decides what is sent.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::Notify;

use super::Shared;
use crate::venues::binance::BinanceOut;

/// Largest frame a client may send, bytes.
const MAX_COMMAND: usize = 1024 * 1024;
/// Frames taken from the venue at a time.
const BATCH: usize = 64;

/// `GET /stream?streams=a/b/c`: each frame is wrapped with its stream's name.
pub(super) async fn combined(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<Vec<(String, String)>>,
    ws: WebSocketUpgrade,
) -> Response {
    let listed = query.into_iter().filter(|(key, _)| key == "streams");
    let streams = listed.flat_map(|(_, value)| split(&value)).collect();
    open(shared, ws, true, streams)
}

/// `GET /ws/a/b`: frames as they are.
pub(super) async fn raw(
    State(shared): State<Arc<Shared>>,
    Path(streams): Path<String>,
    ws: WebSocketUpgrade,
) -> Response {
    open(shared, ws, false, split(&streams))
}

/// `GET /ws`: no streams yet.
pub(super) async fn empty(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    open(shared, ws, false, Vec::new())
}

fn split(streams: &str) -> Vec<String> {
    streams.split('/').filter(|stream| !stream.is_empty()).map(str::to_owned).collect()
}

fn open(shared: Arc<Shared>, ws: WebSocketUpgrade, combined: bool, streams: Vec<String>) -> Response {
    ws.max_message_size(MAX_COMMAND).on_upgrade(move |socket| serve(shared, socket, combined, streams))
}

async fn serve(shared: Arc<Shared>, socket: WebSocket, combined: bool, streams: Vec<String>) {
    let waker = Arc::new(Notify::new());
    let conn = {
        let mut hub = shared.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let conn = hub.venue.open(combined, streams);
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

/// Moves frames until the connection ends; dropping the socket ends it without a close frame.
async fn pump(shared: &Shared, conn: u64, socket: WebSocket, waker: &Notify) {
    let (mut sink, mut commands) = socket.split();
    let mut pings = tokio::time::interval(shared.config.ping_every.max(Duration::from_millis(1)));
    pings.reset();
    let old = tokio::time::sleep(shared.config.max_age);
    tokio::pin!(old);
    loop {
        tokio::select! {
            () = waker.notified() => loop {
                let batch = shared.with(|venue, _| venue.take(conn, BATCH));
                if batch.is_empty() {
                    break;
                }
                for out in batch {
                    let BinanceOut::Text(text) = out else {
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
            () = &mut old => {
                // The venue says goodbye here; a peer that is gone already hears nothing.
                let _ = sink.send(Message::Close(None)).await;
                return;
            }
            _ = pings.tick() => {
                let body = shared.now_ms().to_string();
                if sink.send(Message::Ping(body.into())).await.is_err() {
                    return;
                }
            }
            command = commands.next() => match command {
                Some(Ok(Message::Text(text))) => shared.with(|venue, _| venue.command(conn, &text)),
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    }
}
