//! A plain reference client: it rebuilds books from the wire, recomputes hashes by itself and never repairs anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use sim::edge::polymarket::{PolymarketHandle, PolymarketTwin, PolymarketTwinConfig};
use sim::venues::polymarket::Levels;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a test waits before it calls a silent socket a failure.
const GUARD: Duration = Duration::from_secs(30);

pub(crate) fn spawn(config: PolymarketTwinConfig) -> PolymarketHandle {
    PolymarketTwin::spawn(config).unwrap()
}

/// Decimal text to 1e-6 by string arithmetic.
pub(crate) fn micros(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 6, "{text}");
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().unwrap() };
    let padded = format!("{fraction:0<6}");
    whole * 1_000_000 + padded.parse::<i64>().unwrap()
}

/// What ended a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Close(u16),
    /// The connection went without a close frame.
    Cut,
}

pub(crate) struct Socket {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn open(url: &str) -> Self {
        let (ws, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self { ws }
    }

    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        self.ws.send(Message::text(text.into())).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(GUARD, self.ws.next()).await.expect("the twin fell silent");
            match next {
                Some(Ok(Message::Text(text))) => return Heard::Text(text.to_string()),
                Some(Ok(Message::Close(Some(frame)))) => return Heard::Close(frame.code.into()),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Heard::Cut,
                Some(Ok(_)) => {}
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.hear().await {
            Heard::Text(text) => text,
            other => panic!("expected a frame, heard {other:?}"),
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// Everything that was sent before the answer to a `PING`, or before the connection ended.
    pub(crate) async fn until_pong(&mut self) -> (Vec<String>, Option<Heard>) {
        let mut out = Vec::new();
        if self.ws.send(Message::text("PING")).await.is_err() {
            return (out, Some(Heard::Cut));
        }
        loop {
            match self.hear().await {
                Heard::Text(text) if text == "PONG" => return (out, None),
                Heard::Text(text) => out.push(text),
                end => return (out, Some(end)),
            }
        }
    }
}

/// The first frame of a market connection.
pub(crate) fn first_frame(assets: &[String], custom: bool) -> String {
    serde_json::json!({ "type": "market", "assets_ids": assets, "custom_feature_enabled": custom })
        .to_string()
}

pub(crate) fn operation(word: &str, assets: &[String]) -> String {
    serde_json::json!({ "operation": word, "assets_ids": assets, "custom_feature_enabled": false })
        .to_string()
}

/// The objects of a frame, which is one object or an array.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items,
        Ok(item) => vec![item],
        Err(error) => panic!("no JSON ({error}): {text}"),
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) bids: BTreeMap<i64, i64>,
    pub(crate) asks: BTreeMap<i64, i64>,
    /// No delta counts before a book.
    pub(crate) live: bool,
}

impl Book {
    pub(crate) fn levels(&self) -> Levels {
        Levels {
            bids: self.bids.iter().rev().map(|(&p, &s)| (p, s)).collect(),
            asks: self.asks.iter().map(|(&p, &s)| (p, s)).collect(),
        }
    }

    fn top(&self) -> (i64, i64) {
        let bid = self.bids.last_key_value().map_or(0, |(&p, _)| p);
        (bid, self.asks.first_key_value().map_or(1_000_000, |(&p, _)| p))
    }
}

/// Books rebuilt from frames, and what did not fit.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    pub(crate) books: BTreeMap<String, Book>,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) bad_hashes: u64,
    pub(crate) bad_tops: u64,
    pub(crate) garbage: u64,
    /// Changes that came before a book of their asset.
    pub(crate) early: u64,
    pub(crate) timestamps: Vec<i64>,
}

impl Replica {
    pub(crate) fn apply_all(&mut self, texts: &[String]) {
        for text in texts {
            match serde_json::from_str::<Value>(text) {
                Ok(Value::Array(items)) => items.iter().for_each(|item| self.apply(item)),
                Ok(item) => self.apply(&item),
                Err(_) => self.garbage += 1,
            }
        }
    }

    pub(crate) fn apply(&mut self, item: &Value) {
        let kind = item["event_type"].as_str().unwrap().to_owned();
        self.timestamps.push(item["timestamp"].as_str().unwrap().parse().unwrap());
        match kind.as_str() {
            "book" => self.book(item),
            "price_change" => self.change(item),
            "tick_size_change" => {
                let asset = item["asset_id"].as_str().unwrap();
                *self.books.entry(asset.to_owned()).or_default() = Book::default();
            }
            _ => {}
        }
        *self.counts.entry(kind).or_default() += 1;
    }

    fn book(&mut self, item: &Value) {
        if recomputed_hash(item) != item["hash"].as_str().unwrap() {
            self.bad_hashes += 1;
        }
        let side = |key: &str| {
            let levels = item[key].as_array().unwrap().iter();
            levels
                .map(|l| (micros(l["price"].as_str().unwrap()), micros(l["size"].as_str().unwrap())))
                .collect()
        };
        let book = Book { bids: side("bids"), asks: side("asks"), live: true };
        self.books.insert(item["asset_id"].as_str().unwrap().to_owned(), book);
    }

    fn change(&mut self, item: &Value) {
        let mut touched = BTreeMap::new();
        for change in item["price_changes"].as_array().unwrap() {
            let text = |key: &str| change[key].as_str().unwrap();
            let Some(book) = self.books.get_mut(text("asset_id")).filter(|book| book.live) else {
                self.early += 1;
                continue;
            };
            let side = if text("side") == "BUY" { &mut book.bids } else { &mut book.asks };
            match micros(text("size")) {
                0 => side.remove(&micros(text("price"))),
                size => side.insert(micros(text("price")), size),
            };
            touched.insert(text("asset_id").to_owned(), (micros(text("best_bid")), micros(text("best_ask"))));
        }
        // A message is applied as a whole before it is compared.
        for (asset, top) in touched {
            self.bad_tops += u64::from(self.books[&asset].top() != top);
        }
    }

    /// Assets whose book is not the truth.
    pub(crate) fn wrong(&self, twin: &PolymarketHandle, assets: &[String]) -> Vec<String> {
        let same = |asset: &&String| {
            self.books.get(*asset).is_none_or(|book| Some(book.levels()) != twin.truth(asset))
        };
        assets.iter().filter(same).cloned().collect()
    }

    pub(crate) fn count(&self, kind: &str) -> u64 {
        self.counts.get(kind).copied().unwrap_or(0)
    }
}

/// SHA-1 over the compact JSON of a book with an empty hash, written here from the parsed values alone.
pub(crate) fn recomputed_hash(item: &Value) -> String {
    let quoted = |key: &str| item[key].to_string();
    let levels = |key: &str| {
        let levels = item[key].as_array().unwrap().iter();
        let levels: Vec<_> =
            levels.map(|l| format!("{{\"price\":{},\"size\":{}}}", l["price"], l["size"])).collect();
        levels.join(",")
    };
    let text = format!(
        "{{\"market\":{},\"asset_id\":{},\"timestamp\":{},\"hash\":\"\",\"bids\":[{}],\"asks\":[{}],\"min_order_size\":{},\"tick_size\":{},\"neg_risk\":{},\"last_trade_price\":{}}}",
        quoted("market"),
        quoted("asset_id"),
        quoted("timestamp"),
        levels("bids"),
        levels("asks"),
        quoted("min_order_size"),
        quoted("tick_size"),
        quoted("neg_risk"),
        quoted("last_trade_price"),
    );
    let mut out = String::new();
    for byte in Sha1::digest(text.as_bytes()) {
        write!(out, "{byte:02x}").unwrap();
    }
    out
}

/// A market connection with its replica.
pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) replica: Replica,
    pub(crate) heard: Vec<String>,
}

impl Client {
    pub(crate) async fn subscribed(twin: &PolymarketHandle, assets: &[String], custom: bool) -> Self {
        let mut socket = Socket::open(&twin.market_ws_url).await;
        socket.say(first_frame(assets, custom)).await;
        let mut client = Self { socket, replica: Replica::default(), heard: Vec::new() };
        client.catch_up().await;
        client
    }

    /// Reads and applies all that was sent so far; returns what ended the connection, if anything did.
    pub(crate) async fn catch_up(&mut self) -> Option<Heard> {
        let (texts, end) = self.socket.until_pong().await;
        self.replica.apply_all(&texts);
        self.heard.extend(texts);
        end
    }

    /// The objects of a kind that were heard, in order.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Value> {
        let texts = self.heard.iter().filter(|text| serde_json::from_str::<Value>(text).is_ok());
        texts.flat_map(|text| objects(text)).filter(|item| item["event_type"] == kind).collect()
    }
}

/// An HTTP client. With the feature `tls` anywhere in the build it wants a crypto provider, even for plain HTTP.
pub(crate) fn http() -> reqwest::Client {
    // A provider that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A GET of the twin's REST interface: status and body.
pub(crate) async fn get(twin: &PolymarketHandle, path: &str) -> (u16, Value) {
    let reply = http().get(format!("{}{path}", twin.rest_url)).send().await.unwrap();
    let status = reply.status().as_u16();
    (status, serde_json::from_str(&reply.text().await.unwrap()).unwrap_or(Value::Null))
}
