//! A plain client of the twin: connects, says, hears; never retries and never judges.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use sim::edge::binance::{BinanceTwin, BinanceTwinConfig, BinanceTwinHandle};
use sim::venues::binance::{BinanceConfig, SpotBook};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a test waits before it calls a silent socket a failure.
const GUARD: Duration = Duration::from_secs(20);

pub(crate) fn spawn(venue: BinanceConfig) -> BinanceTwinHandle {
    BinanceTwin::spawn(BinanceTwinConfig { venue, ..BinanceTwinConfig::default() }).unwrap()
}

/// GET: status and JSON.
pub(crate) async fn get(twin: &BinanceTwinHandle, path: &str) -> (u16, Value) {
    // A provider that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let reply = reqwest::get(format!("{}{path}", twin.rest_url)).await.unwrap();
    (reply.status().as_u16(), serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default())
}

pub(crate) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    /// Connects to combined streams.
    pub(crate) async fn streams(twin: &BinanceTwinHandle, streams: &str) -> Self {
        Self::at(twin, &format!("/stream?streams={streams}")).await
    }

    pub(crate) async fn at(twin: &BinanceTwinHandle, path: &str) -> Self {
        let (ws, _) = tokio_tungstenite::connect_async(format!("{}{path}", twin.ws_url)).await.unwrap();
        // The server registers a connection right after its handshake.
        while twin.stats().connections == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self(ws)
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next message of any kind; `None` when the connection is over.
    pub(crate) async fn hear_message(&mut self) -> Option<Result<Message, ()>> {
        match tokio::time::timeout(GUARD, self.0.next()).await.expect("the twin fell silent") {
            Some(Ok(message)) => Some(Ok(message)),
            Some(Err(_)) => Some(Err(())),
            None => None,
        }
    }

    /// The next text frame as JSON.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.hear_message().await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Everything that is said until `for_ms` pass without a text frame; what is no JSON is a string.
    pub(crate) async fn hear_all(&mut self, for_ms: u64) -> Vec<Value> {
        self.hear_texts(for_ms)
            .await
            .into_iter()
            .map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
            .collect()
    }

    pub(crate) async fn hear_texts(&mut self, for_ms: u64) -> Vec<String> {
        let mut out = Vec::new();
        let silence = Duration::from_millis(for_ms);
        let mut deadline = tokio::time::Instant::now() + silence;
        while let Ok(next) = tokio::time::timeout_at(deadline, self.0.next()).await {
            match next {
                Some(Ok(Message::Text(text))) => {
                    out.push(text.to_string());
                    deadline = tokio::time::Instant::now() + silence;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            }
        }
        out
    }
}

/// A text of eight decimals in 1e-8.
pub(crate) fn eight(value: &Value) -> i64 {
    let text = value.as_str().unwrap();
    let (whole, part) = text.split_once('.').unwrap();
    assert_eq!(part.len(), 8, "{text}");
    format!("{whole}{part}").parse().unwrap()
}

fn levels(value: &Value) -> Vec<(i64, i64)> {
    value.as_array().unwrap().iter().map(|pair| (eight(&pair[0]), eight(&pair[1]))).collect()
}

/// What the venue's rules say about an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Older than the snapshot.
    Stale,
    /// Applied.
    Applied,
    /// It does not follow.
    Hole,
}

/// A book of a snapshot and the events after it.
pub(crate) struct Reference {
    pub(crate) book: SpotBook,
    last: u64,
    first: bool,
}

impl Reference {
    pub(crate) fn new(snapshot: &Value) -> Self {
        let side = |key: &str| -> BTreeMap<i64, i64> { levels(&snapshot[key]).into_iter().collect() };
        let book = SpotBook { bids: side("bids"), asks: side("asks") };
        Self { book, last: snapshot["lastUpdateId"].as_u64().unwrap(), first: true }
    }

    /// Drops u ≤ last; the first event must hold last+1; each next must begin at last+1.
    pub(crate) fn apply(&mut self, event: &Value) -> Step {
        let (from, to) = (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap());
        if to <= self.last {
            return Step::Stale;
        }
        let follows = if self.first { from <= self.last + 1 } else { from == self.last + 1 };
        if !follows {
            return Step::Hole;
        }
        (self.first, self.last) = (false, to);
        for (bid, key) in [(true, "b"), (false, "a")] {
            for (price, qty) in levels(&event[key]) {
                self.book.set(bid, price, qty);
            }
        }
        Step::Applied
    }
}
