//! One WebSocket connection of the twin: commands in, frames out. Never reads ahead of what it has handled.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{Notify, mpsc};

use super::twin::{Conn, Outgoing, Shared};
use crate::rtds::{self, Command};

/// Largest command a client may send, bytes.
const MAX_COMMAND: usize = 64 * 1024;

/// `GET /ws`.
pub(super) async fn upgrade(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    if shared.hub().conns.len() >= shared.config.max_connections {
        shared.counters.refused.bump();
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    ws.max_message_size(MAX_COMMAND).on_upgrade(move |socket| serve(shared, socket))
}

/// How a connection ended.
#[derive(PartialEq)]
enum End {
    /// The peer closed it or it broke.
    Peer,
    /// The twin cut it.
    Cut,
    /// The twin stops.
    Stopped,
}

async fn serve(shared: Arc<Shared>, socket: WebSocket) {
    let (queue, frames) = mpsc::channel(shared.config.queue.max(1));
    let kill = Arc::new(Notify::new());
    let id = {
        let mut hub = shared.hub();
        let id = hub.next_conn;
        hub.next_conn += 1;
        let (kill, opened) = (Arc::clone(&kill), shared.pace.now());
        hub.conns.insert(id, Conn { queue, kill, opened, subscribed: false });
        id
    };
    shared.counters.connections.bump();
    let end = tokio::select! {
        biased;
        () = kill.notified() => End::Cut,
        () = shared.stop.stopped() => End::Stopped,
        end = pump(&shared, id, socket, frames) => end,
    };
    let was_open = shared.hub().conns.remove(&id).is_some();
    match (end, was_open) {
        // Cut and closed by the peer at once: the peer's own close has its own unit.
        (End::Peer, false) => shared.pace.leave(),
        // The peer leaves once it has noticed.
        (End::Stopped, true) => shared.pace.enter(),
        _ => {}
    }
}

/// Moves frames and commands until the connection ends. Dropping it drops what was queued, which leaves.
async fn pump(shared: &Shared, id: u64, socket: WebSocket, mut frames: mpsc::Receiver<Outgoing>) -> End {
    let (mut sink, mut commands) = socket.split();
    loop {
        tokio::select! {
            frame = frames.recv() => {
                // The sender is in the hub; it is gone once the twin has cut the connection.
                let Some(Outgoing { text, hold }) = frame else { return End::Cut };
                if sink.send(Message::Text(text)).await.is_err() {
                    return End::Peer;
                }
                hold.pass_on();
            }
            command = commands.next() => match command {
                Some(Ok(Message::Text(text))) => {
                    handle(shared, id, &text);
                    shared.pace.leave();
                }
                Some(Ok(Message::Binary(_))) => {
                    refuse(shared, id);
                    shared.pace.leave();
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Peer,
            },
        }
    }
}

fn handle(shared: &Shared, id: u64, text: &str) {
    match rtds::parse(text) {
        Ok(Command::Ping) => {
            if shared.send(&mut shared.hub(), id, Utf8Bytes::from_static(rtds::PONG)) {
                shared.counters.pongs.bump();
            }
        }
        Ok(Command::Subscribe(wanted)) => {
            for _ in wanted.iter().filter(|w| w.is_for(&shared.day.symbol)) {
                subscribe(shared, id);
            }
        }
        Ok(Command::Unsubscribe(wanted)) => {
            if wanted.iter().any(|w| w.is_for(&shared.day.symbol))
                && let Some(conn) = shared.hub().conns.get_mut(&id)
            {
                conn.subscribed = false;
            }
        }
        Err(_) => refuse(shared, id),
    }
}

fn refuse(shared: &Shared, id: u64) {
    if shared.send(&mut shared.hub(), id, Utf8Bytes::from_static(rtds::ERROR)) {
        shared.counters.error_frames.bump();
    }
}

/// The history first, every later tick after it: both under the hub's lock.
fn subscribe(shared: &Shared, id: u64) {
    let hub = &mut *shared.hub();
    let now = shared.pace.now();
    let Some(conn) = hub.conns.get_mut(&id) else { return };
    conn.subscribed = true;
    let zombie = shared.config.faults.zombie(conn.opened, now);
    let played = shared.day.ticks().get(..hub.cursor).unwrap_or_default();
    if !zombie {
        let history = rtds::history(&shared.day.symbol, now, played);
        shared.send(hub, id, history.into());
    }
    shared.counters.subscribes.bump();
    shared.subscribed.notify_waiters();
}
