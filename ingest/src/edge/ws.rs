//! One WebSocket connection from opening to its last frame; it sends `Closed` exactly once and never reconnects itself.

use futures_util::{SinkExt as _, StreamExt as _};
use schemas::Raw;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::{Command, EdgeLimits};
use crate::error::quoted;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens the connection and pumps frames into `sink` in their order until either side ends it.
pub(super) async fn run(
    conn: u32,
    url: String,
    limits: EdgeLimits,
    mut orders: mpsc::Receiver<Command>,
    sink: mpsc::Sender<Raw>,
) {
    let reason = match open(&url, &limits, &mut orders).await {
        Ok(mut socket) => {
            if sink.send(Raw::Connected { conn }).await.is_err() {
                return;
            }
            pump(conn, &mut socket, &limits, &mut orders, &sink).await
        }
        Err(reason) => reason,
    };
    // The reader is gone only when the process ends.
    let _ = sink.send(Raw::Closed { conn, reason: quoted(&reason) }).await;
}

async fn open(
    url: &str,
    limits: &EdgeLimits,
    orders: &mut mpsc::Receiver<Command>,
) -> Result<Box<Socket>, String> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits.max_frame_bytes))
        .max_frame_size(Some(limits.max_frame_bytes));
    let opening = timeout(limits.connect_timeout, connect_async_with_config(url, Some(config), true));
    let mut opening = std::pin::pin!(opening);
    loop {
        tokio::select! {
            opened = &mut opening => return match opened {
                Ok(Ok((socket, _))) => Ok(Box::new(socket)),
                Ok(Err(error)) => Err(format!("connect: {error}")),
                Err(_) => Err("connect: timeout".to_owned()),
            },
            order = orders.recv() => match order {
                Some(Command::Send(_)) => {}
                Some(Command::Close) | None => return Err("closed by the feed".to_owned()),
            },
        }
    }
}

async fn pump(
    conn: u32,
    socket: &mut Socket,
    limits: &EdgeLimits,
    orders: &mut mpsc::Receiver<Command>,
    sink: &mpsc::Sender<Raw>,
) -> String {
    loop {
        let frame = tokio::select! {
            order = orders.recv() => {
                match order {
                    Some(Command::Send(text)) => match timeout(limits.send_timeout, socket.send(Message::text(text))).await {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => return format!("send: {error}"),
                        Err(_) => return "send: timeout".to_owned(),
                    },
                    Some(Command::Close) | None => {
                        // A peer that does not take the goodbye is cut off.
                        let _ = timeout(limits.send_timeout, socket.close(None)).await;
                        return "closed by the feed".to_owned();
                    }
                }
            }
            frame = socket.next() => frame,
        };
        let bytes = match frame {
            Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
            Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
            Some(Ok(Message::Close(frame))) => {
                return frame.map_or_else(
                    || "closed by the venue".to_owned(),
                    |f| format!("closed by the venue: {f}"),
                );
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Err(error)) => return format!("read: {error}"),
            None => return "ended by the venue".to_owned(),
        };
        if sink.send(Raw::Frame { conn, bytes }).await.is_err() {
            return "the reader is gone".to_owned();
        }
    }
}
