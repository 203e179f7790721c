//! The pump of one WebSocket connection: commands in, frames out in order. Never reads ahead of what it has handled.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};

use super::Shared;
use super::conn::{Ears, Out};

/// Largest command a client may send, bytes; a subscribe of 10,000 assets fits.
const MAX_COMMAND: usize = 4 << 20;
/// Frames written before the socket is flushed.
const BURST: usize = 64;

/// What a socket does with a text frame of its client.
pub(super) type Handler = fn(&Shared, u64, &str);

/// Accepts a connection whose commands go to `handler`.
pub(super) fn accept(shared: Arc<Shared>, ws: WebSocketUpgrade, handler: Handler) -> Response {
    {
        let hub = shared.hub();
        if hub.conns.len() >= hub.config.max_connections {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    ws.max_message_size(MAX_COMMAND)
        .max_frame_size(MAX_COMMAND)
        .on_upgrade(move |socket| serve(shared, socket, handler))
}

async fn serve(shared: Arc<Shared>, socket: WebSocket, handler: Handler) {
    let ears = {
        let mut hub = shared.hub();
        let queue = hub.config.queue;
        hub.conns.open(queue)
    };
    let (id, kill) = (ears.id, Arc::clone(&ears.kill));
    let (sink, commands) = socket.split();
    tokio::select! {
        biased;
        () = kill.notified() => {}
        () = shared.stop.stopped() => {}
        () = pump(&shared, ears, sink, commands, handler) => {}
    }
    let mut hub = shared.hub();
    hub.forget(id);
    hub.conns.remove(id);
}

async fn pump(
    shared: &Shared,
    mut ears: Ears,
    mut sink: SplitSink<WebSocket, Message>,
    mut commands: SplitStream<WebSocket>,
    handler: Handler,
) {
    let mut burst = Vec::with_capacity(BURST);
    loop {
        tokio::select! {
            count = ears.queue.recv_many(&mut burst, BURST) => {
                if count == 0 || !write(&mut sink, &mut burst, &ears).await {
                    return;
                }
            }
            command = commands.next() => match command {
                Some(Ok(Message::Text(text))) => handler(shared, ears.id, &text),
                Some(Ok(Message::Binary(_))) => handler(shared, ears.id, "\u{0}"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    }
}

/// Writes what is queued; `false` once the connection is over.
async fn write(sink: &mut SplitSink<WebSocket, Message>, burst: &mut Vec<Out>, ears: &Ears) -> bool {
    let mut written = 0;
    for out in burst.drain(..) {
        match out {
            Out::Text(text) => {
                if sink.feed(Message::Text(text)).await.is_err() {
                    return false;
                }
                written += 1;
            }
            Out::Close(code, reason) => {
                let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
                // The peer may be gone already, which is an end too.
                let _ = sink.send(Message::Close(Some(frame))).await;
                return false;
            }
            Out::Cut => {
                let _ = sink.flush().await;
                return false;
            }
        }
    }
    let flushed = sink.flush().await.is_ok();
    ears.backlog.fetch_sub(written, SeqCst);
    flushed
}
