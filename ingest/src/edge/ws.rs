//! One WebSocket connection from opening to its last frame; it sends `Closed` exactly once and never reconnects itself.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use schemas::Raw;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::endpoints::path_of;
use super::seen::Seen;
use super::sign::{self, Signer};
use super::{Command, EdgeLimits};
use crate::error::quoted;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One connection and its queues.
pub(super) struct Conn {
    pub(super) number: u32,
    pub(super) url: String,
    pub(super) limits: EdgeLimits,
    pub(super) signer: Option<Arc<dyn Signer>>,
    pub(super) orders: mpsc::Receiver<Command>,
    pub(super) sink: mpsc::Sender<Seen>,
}

impl Conn {
    /// Opens the connection and pumps frames into the sink in their order until either side ends it.
    pub(super) async fn run(mut self) {
        let conn = self.number;
        let reason = match self.open().await {
            Ok(mut socket) => {
                if self.sink.send(Seen::now(Raw::Connected { conn })).await.is_err() {
                    return;
                }
                self.pump(&mut socket).await
            }
            Err(reason) => reason,
        };
        // The reader is gone only when the process ends.
        let _ = self.sink.send(Seen::now(Raw::Closed { conn, reason: quoted(&reason) })).await;
    }

    async fn open(&mut self) -> Result<Box<Socket>, String> {
        let Self { url, limits, signer, orders, .. } = self;
        let opening = timeout(limits.connect_timeout, handshake(url, limits, signer.as_ref()));
        let mut opening = std::pin::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return opened.unwrap_or_else(|_| Err("connect: timeout".to_owned())),
                order = orders.recv() => match order {
                    Some(Command::Send(_)) => {}
                    Some(Command::Close) | None => return Err("closed by the feed".to_owned()),
                },
            }
        }
    }

    async fn pump(&mut self, socket: &mut Socket) -> String {
        loop {
            let frame = tokio::select! {
                order = self.orders.recv() => match self.obey(socket, order).await {
                    Some(end) => return end,
                    None => continue,
                },
                frame = socket.next() => frame,
            };
            let bytes = match frame {
                Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
                Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
                Some(Ok(Message::Ping(body))) if self.limits.pass_pings => body.to_vec(),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    // The answer to a goodbye is already queued.
                    let _ = timeout(self.limits.send_timeout, socket.flush()).await;
                    return closed(frame.as_ref());
                }
                Some(Err(error)) => return format!("read: {error}"),
                None => return "ended by the venue".to_owned(),
            };
            let seen = Seen::now(Raw::Frame { conn: self.number, bytes });
            if self.sink.send(seen).await.is_err() {
                return "the reader is gone".to_owned();
            }
        }
    }

    /// Does an order; says why the connection ended, if it did.
    async fn obey(&mut self, socket: &mut Socket, order: Option<Command>) -> Option<String> {
        let limit = self.limits.send_timeout;
        match order {
            Some(Command::Send(text)) => match timeout(limit, socket.send(Message::text(text))).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("send: {error}")),
                Err(_) => Some("send: timeout".to_owned()),
            },
            Some(Command::Close) | None => {
                // A peer that does not take the goodbye is cut off.
                let _ = timeout(limit, socket.close(None)).await;
                Some("closed by the feed".to_owned())
            }
        }
    }
}

/// `CODE reason` as the venue's close frame has it (RFC 6455, 7.4).
fn closed(frame: Option<&CloseFrame>) -> String {
    frame.map_or_else(
        || "closed by the venue".to_owned(),
        |f| format!("{} {}", u16::from(f.code), f.reason).trim_end().to_owned(),
    )
}

async fn handshake(
    url: &str,
    limits: &EdgeLimits,
    signer: Option<&Arc<dyn Signer>>,
) -> Result<Box<Socket>, String> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits.max_frame_bytes))
        .max_frame_size(Some(limits.max_frame_bytes));
    let request = request(url, signer).await?;
    match connect_async_with_config(request, Some(config), true).await {
        Ok((socket, _)) => Ok(Box::new(socket)),
        Err(error) => Err(format!("connect: {error}")),
    }
}

async fn request(url: &str, signer: Option<&Arc<dyn Signer>>) -> Result<Request, String> {
    let mut request = url.into_client_request().map_err(|error| format!("connect: {error}"))?;
    for (name, value) in sign::headers(signer, "GET", path_of(url)).await? {
        let name = HeaderName::try_from(name).map_err(|error| format!("sign: {error}"))?;
        let value = HeaderValue::try_from(value).map_err(|error| format!("sign: {error}"))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}
