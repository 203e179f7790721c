//! The socket of a miner: it connects, listens, and connects again; what it hears goes into one bounded queue.
//!
//! After every new connection the market starts again some facts before where it ended: a node that lost its power may
//! have forgotten its newest facts and numbered others like them.

#![allow(clippy::disallowed_methods, reason = "an edge: it speaks WebSocket")]

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use schemas::public::{MinerChannel, MinerClientMessage, MinerServerMessage, MinerVerdict, Network};
use schemas::{MarketEvent, MinerId, Question, Timestamp};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::convert;
use super::pause::Pause;
use super::rest::Rest;

/// Facts that are read again after a new connection.
const OVERLAP: u64 = 1_024;
/// A connection on which nothing is heard for this long is given up. The node pings every 20 s.
const SILENCE: Duration = Duration::from_secs(45);
/// How often the node is asked for its clock.
const BEAT: Duration = Duration::from_secs(10);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// A connection stands.
    Connected(Network),
    /// It does not any more, or could not be made.
    Lost(String),
    /// A market fact, and when the node recorded it.
    Fact(Timestamp, MarketEvent),
    /// A question.
    Question(Box<Question>),
    /// What the validator said about this miner.
    Verdict(Box<MinerVerdict>),
    /// A message that is not understood; counted.
    Strange,
}

/// Listens until nobody wants to hear any more.
pub(super) async fn listen(rest: Rest, miner: MinerId, heard: mpsc::Sender<Heard>) {
    let mut position = Position::default();
    let mut pause = Pause::default();
    loop {
        let lost = match connection(&rest, miner, &heard, &mut position, &mut pause).await {
            Ok(()) => return,
            Err(reason) => reason,
        };
        if heard.send(Heard::Lost(lost)).await.is_err() {
            return;
        }
        tokio::time::sleep(pause.next()).await;
    }
}

/// How far the market was read, and in which history.
#[derive(Debug, Default)]
struct Position {
    epoch: String,
    seq: u64,
}

/// One connection; `Ok` when nobody listens any more.
async fn connection(
    rest: &Rest,
    miner: MinerId,
    heard: &mpsc::Sender<Heard>,
    position: &mut Position,
    pause: &mut Pause,
) -> Result<(), String> {
    let mut request = rest.socket_url().into_client_request().map_err(|e| e.to_string())?;
    let bearer =
        format!("Bearer {}", rest.key()).parse().map_err(|_| "the API key is no header value".to_owned())?;
    request.headers_mut().insert("authorization", bearer);
    let opening = tokio::time::timeout(HANDSHAKE, tokio_tungstenite::connect_async(request)).await;
    let (socket, _) =
        opening.map_err(|_| "the handshake took too long".to_owned())?.map_err(|e| e.to_string())?;
    let (mut out, mut frames) = socket.split();
    let mut beat = tokio::time::interval(BEAT);
    loop {
        let frame = tokio::select! {
            frame = tokio::time::timeout(SILENCE, frames.next()) => frame,
            _ = beat.tick() => {
                let ping = text(&MinerClientMessage::Ping { id: 0 });
                out.send(ping).await.map_err(|e| e.to_string())?;
                continue;
            }
        };
        let message = match frame {
            Err(_) => return Err("nothing was heard for too long".to_owned()),
            Ok(None) => return Err("the node closed the connection".to_owned()),
            Ok(Some(Err(error))) => return Err(error.to_string()),
            Ok(Some(Ok(Message::Text(message)))) => message,
            Ok(Some(Ok(Message::Close(frame)))) => {
                return Err(
                    frame.map_or_else(|| "closed".to_owned(), |f| format!("closed: {} {}", f.code, f.reason))
                );
            }
            Ok(Some(Ok(_))) => continue,
        };
        let said: Option<MinerServerMessage> = serde_json::from_str(message.as_str()).ok();
        if let Some(MinerServerMessage::Welcome { network, .. }) = &said {
            pause.reset();
            let after = position.start(&network.epoch);
            out.send(text(&subscription(miner, after))).await.map_err(|e| e.to_string())?;
        }
        let Some(news) = news(rest, said, position)? else { continue };
        if heard.send(news).await.is_err() {
            return Ok(());
        }
    }
}

impl Position {
    /// Where to start in a node's history.
    fn start(&mut self, epoch: &str) -> u64 {
        if self.epoch != epoch {
            *self = Self { epoch: epoch.to_owned(), seq: 0 };
        }
        self.seq.saturating_sub(OVERLAP)
    }
}

fn subscription(miner: MinerId, after: u64) -> MinerClientMessage {
    MinerClientMessage::Subscribe {
        id: 1,
        channels: vec![MinerChannel::Questions, MinerChannel::Market, MinerChannel::Miner],
        miner: Some(miner.to_string()),
        market_after: Some(after),
    }
}

/// What a message means for the miner; an error ends the connection.
fn news(
    rest: &Rest,
    said: Option<MinerServerMessage>,
    position: &mut Position,
) -> Result<Option<Heard>, String> {
    let clock = |at: &str| {
        if let Some(at) = convert::time(at) {
            rest.clock().said(at);
        }
    };
    Ok(match said {
        None => Some(Heard::Strange),
        Some(MinerServerMessage::Welcome { network, .. }) => {
            clock(&network.server_time);
            Some(Heard::Connected(network))
        }
        Some(MinerServerMessage::Question { server_time, question }) => {
            clock(&server_time);
            Some(convert::question(&question).map_or(Heard::Strange, |q| Heard::Question(Box::new(q))))
        }
        Some(MinerServerMessage::Market { server_time, fact }) => {
            clock(&server_time);
            position.seq = fact.seq;
            Some(convert::fact(&fact).map_or(Heard::Strange, |(at, event)| Heard::Fact(at, event)))
        }
        Some(MinerServerMessage::Verdict { server_time, verdict }) => {
            clock(&server_time);
            Some(Heard::Verdict(Box::new(verdict)))
        }
        Some(MinerServerMessage::Pong { server_time, .. }) => {
            clock(&server_time);
            None
        }
        Some(MinerServerMessage::Error { code, detail, .. }) => return Err(format!("{code}: {detail}")),
        Some(MinerServerMessage::GoingAway { .. }) => return Err("the node is going away".to_owned()),
        Some(MinerServerMessage::Subscribed { .. } | MinerServerMessage::Gap { .. }) => None,
    })
}

fn text(message: &MinerClientMessage) -> Message {
    Message::text(serde_json::to_string(message).expect("a message is plain data"))
}
