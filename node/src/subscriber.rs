//! The demo's paying customer: a plain WebSocket client that buys every signal and checks the sequence.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::probe::Probe;

/// What the customer has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Bought {
    /// Signals received, each once.
    pub signals: u64,
    /// Newest sequence per topic.
    pub seqs: BTreeMap<String, u64>,
    /// Wall time of the first signal.
    pub first: Option<Instant>,
    /// Holes in the sequence: must stay zero.
    pub holes: u64,
    /// Error frames received, by code.
    pub errors: BTreeMap<String, u64>,
}

/// Shared between the client's task and the summary.
pub type SharedBought = Arc<Mutex<Bought>>;

/// Connects, subscribes to `topics` from their beginning and reads until the server goes away.
pub async fn run(
    ws_url: String,
    key: String,
    topics: Vec<String>,
    bought: SharedBought,
    probe: Option<Probe>,
) -> Result<()> {
    let mut request = ws_url.into_client_request().context("the API's own URL is valid")?;
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().context("a key is ASCII")?);
    let (socket, _) = connect_async(request).await.context("connecting to the API")?;
    let (mut tx, mut rx) = socket.split();
    let subscribe = json!({"t": "subscribe", "id": 1, "topics": topics, "from": {"seq": 0}});
    tx.send(Message::text(subscribe.to_string())).await.context("subscribing")?;
    let mut keepalive = tokio::time::interval(Duration::from_secs(10));
    loop {
        tokio::select! {
            frame = rx.next() => match frame {
                Some(Ok(Message::Text(text))) => take(&text, &bought, probe.as_ref())?,
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => bail!("the API's socket broke: {error}"),
            },
            _ = keepalive.tick() => tx.send(Message::text(r#"{"t":"ping","id":2}"#)).await.context("keeping alive")?,
        }
    }
}

fn take(text: &str, bought: &SharedBought, probe: Option<&Probe>) -> Result<()> {
    let frame: Value = serde_json::from_str(text).context("the API sends JSON")?;
    let mut bought = bought.lock().expect("the summary never panics while reading");
    match frame["t"].as_str() {
        Some("signal") => {
            let topic = frame["topic"].as_str().context("a signal names its topic")?.to_owned();
            let seq = frame["seq"].as_u64().context("a signal has a seq")?;
            let question = frame["signal"]["question"].as_str().and_then(|id| id.parse().ok());
            if let (Some(probe), Some(question)) = (probe, question) {
                probe.received(question);
            }
            let last = bought.seqs.insert(topic, seq).unwrap_or(0);
            bought.holes += u64::from(seq != last + 1);
            bought.signals += 1;
            bought.first.get_or_insert_with(crate::clock::instant);
        }
        Some("error") => {
            let code = frame["code"].as_str().unwrap_or("unknown").to_owned();
            tracing::warn!(code, detail = %frame["detail"], "the API refused something");
            *bought.errors.entry(code).or_default() += 1;
        }
        _ => {}
    }
    Ok(())
}
