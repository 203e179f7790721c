//! A plain client of the twin: subscribes, reads, leaves for every frame; never retries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use sim::{Day, Pace, Speed, Twin, TwinConfig, TwinHandle};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a test waits before it calls a silent socket a failure.
const GUARD: Duration = Duration::from_mins(1);

pub(crate) const SUBSCRIBE: &str = r#"{"action":"subscribe","subscriptions":[{"topic":"crypto_prices_chainlink","type":"update","filters":"{\"symbol\":\"btc/usd\"}"}]}"#;

/// The folder of the recorded day, if this checkout has it.
pub(crate) fn recorded_dir() -> Option<PathBuf> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/polymarket"));
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("SKIPPED: no recorded day in {}", dir.display());
    None
}

pub(crate) fn recorded() -> Option<Arc<Day>> {
    recorded_dir().map(|dir| Arc::new(Day::recorded(&dir).unwrap()))
}

/// A short made-up day: `markets` of five minutes.
pub(crate) fn small_day(markets: u64) -> Arc<Day> {
    let config = sim::WorldConfig { seed: 7, length_s: markets * 300, history_s: 600, ..Default::default() };
    Arc::new(Day::simulated(config))
}

pub(crate) fn lockstep(day: &Day) -> Pace {
    Pace::new(day.begins_at(), Speed::Max)
}

pub(crate) fn spawn(day: &Arc<Day>, pace: &Pace, config: TwinConfig) -> TwinHandle {
    let config = TwinConfig { wait_for_subscriber: GUARD, ..config };
    Twin::spawn_with(Arc::clone(day), pace.clone(), config).unwrap()
}

pub(crate) struct Client {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pace: Pace,
}

impl Client {
    pub(crate) async fn connect(twin: &TwinHandle) -> Self {
        let (ws, _) = tokio_tungstenite::connect_async(&twin.ws_url).await.unwrap();
        Self { ws, pace: twin.pace() }
    }

    pub(crate) async fn subscribed(twin: &TwinHandle) -> Self {
        let mut client = Self::connect(twin).await;
        client.say(SUBSCRIBE).await;
        client
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.pace.enter();
        self.ws.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn say_binary(&mut self) {
        self.pace.enter();
        self.ws.send(Message::binary(vec![1_u8, 2, 3])).await.unwrap();
    }

    /// The next text frame without leaving for it; `None` when the connection is over.
    pub(crate) async fn hear_only(&mut self) -> Option<String> {
        loop {
            let next = tokio::time::timeout(GUARD, self.ws.next()).await.expect("the twin fell silent");
            match next {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next text frame, applied at once; at the end it leaves for the close.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        let text = self.hear_only().await;
        self.pace.leave();
        text
    }

    /// Feed times (ms) of all updates until the connection is over.
    pub(crate) async fn feed_times(&mut self) -> Vec<i64> {
        let mut out = Vec::new();
        while let Some(text) = self.hear().await {
            out.extend(feed_time(&text));
        }
        out
    }
}

/// The feed time of an update frame.
pub(crate) fn feed_time(text: &str) -> Option<i64> {
    let frame: serde_json::Value = serde_json::from_str(text).ok()?;
    (frame["type"] == "update").then(|| frame["payload"]["timestamp"].as_i64().unwrap())
}

/// A GET of the twin's REST interface: status and body.
pub(crate) async fn get(twin: &TwinHandle, path: &str) -> (u16, String) {
    let reply = http().get(format!("{}{path}", twin.rest_url)).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

/// An HTTP client. With the feature `tls` anywhere in the build it wants a crypto provider, even for plain HTTP.
pub(crate) fn http() -> reqwest::Client {
    // A provider that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
