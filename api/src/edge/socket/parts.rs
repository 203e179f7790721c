//! Reader, timers and writer of one connection: they move bytes and decide nothing.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot, watch};

use super::Heard;
use super::session::Ending;
use crate::limits::SocketBounds;

/// Reads until the client is gone or breaks the rules. Every frame, also a pong, is a sign of life.
pub(super) async fn read(
    mut stream: SplitStream<WebSocket>,
    commands: mpsc::Sender<Heard>,
    heard: watch::Sender<()>,
) {
    while let Some(frame) = stream.next().await {
        heard.send_replace(());
        let command = match frame {
            Ok(Message::Text(text)) => Heard::Text(text.as_str().to_owned()),
            Ok(Message::Binary(_)) => Heard::Binary,
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Close(_)) => return,
            Err(_) => Heard::Broken,
        };
        let broken = matches!(command, Heard::Broken);
        // A session that is gone needs nothing more, but what is read does not stand in the way of the goodbye.
        let _ = commands.send(command).await;
        if broken {
            return;
        }
    }
}

/// Sends pings and notices silence.
pub(super) async fn time(
    bounds: SocketBounds,
    mut heard: watch::Receiver<()>,
    pings: mpsc::Sender<()>,
    idle: oneshot::Sender<()>,
) {
    let silence = Duration::from_millis(bounds.idle_ms.max(1));
    let mut beat = tokio::time::interval(Duration::from_millis(bounds.ping_ms.max(1)));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut quiet = Box::pin(tokio::time::sleep(silence));
    loop {
        tokio::select! {
            _ = beat.tick() => {
                // A full lane means the writer is stuck; the silence that follows ends the connection.
                let _ = pings.try_send(());
            }
            changed = heard.changed() => match changed {
                Ok(()) => quiet.as_mut().reset(tokio::time::Instant::now() + silence),
                // The reader is done, and the session hears it from there.
                Err(_) => std::future::pending().await,
            },
            () = &mut quiet => {
                // A session that is gone needs no word.
                let _ = idle.send(());
                return;
            }
        }
    }
}

/// Writes what the session queued, then its last words and the close frame; says the code it closed with.
pub(super) async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    mut queue: mpsc::Receiver<String>,
    mut pings: mpsc::Receiver<()>,
    last_words: oneshot::Receiver<Option<Ending>>,
) -> Option<u16> {
    loop {
        let next = tokio::select! {
            biased;
            Some(()) = pings.recv() => Message::Ping(bytes::Bytes::new()),
            next = queue.recv() => match next {
                Some(text) => Message::Text(text.into()),
                None => break,
            },
        };
        sink.send(next).await.ok()?;
    }
    let ending = last_words.await.ok()??;
    for message in ending.last {
        sink.send(Message::Text(message.into())).await.ok()?;
    }
    let frame = CloseFrame { code: ending.code, reason: ending.reason.into() };
    sink.send(Message::Close(Some(frame))).await.ok()?;
    Some(ending.code)
}
