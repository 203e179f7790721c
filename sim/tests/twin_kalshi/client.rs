//! A plain client of the twin: signs, connects, says, hears; never retries and never judges.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use rsa::pkcs8::{EncodePublicKey as _, LineEnding};
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
use serde_json::{Value, json};
use sim::edge::kalshi::{KalshiTwin, KalshiTwinConfig, KalshiTwinHandle};
use sim::venues::kalshi::{Book, ClientKey, PublicKey, VenueConfig};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a test waits before it calls a silent socket a failure.
const GUARD: Duration = Duration::from_secs(20);
pub(crate) const WS_PATH: &str = "/trade-api/ws/v2";
pub(crate) const KEY_ID: &str = "11111111-2222-4333-8444-555555555555";

/// Draws for test keys and salts; the same in every run.
pub(crate) struct Draws(u64);

impl rsa::rand_core::RngCore for Draws {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        sim::venues::kalshi::units::mix(self.0)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        rsa::rand_core::impls::fill_bytes_via_next(self, dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for Draws {}

/// The private keys of this run: the client's and a stranger's.
fn keys() -> &'static [rsa::RsaPrivateKey; 2] {
    static KEYS: OnceLock<[rsa::RsaPrivateKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| [7, 8].map(|seed| rsa::RsaPrivateKey::new(&mut Draws(seed), 2_048).unwrap()))
}

/// What the venue knows about the client.
pub(crate) fn client_key() -> ClientKey {
    let pem = keys()[0].to_public_key().to_public_key_pem(LineEnding::LF).unwrap();
    ClientKey { id: KEY_ID.to_owned(), key: PublicKey::from_pem(&pem).unwrap() }
}

/// A signature of the client, or of the stranger.
pub(crate) fn sign(stranger: bool, text: &str) -> String {
    let signer = rsa::pss::SigningKey::<rsa::sha2::Sha256>::new(keys()[usize::from(stranger)].clone());
    STANDARD.encode(signer.sign_with_rng(&mut Draws(9), text.as_bytes()).to_bytes())
}

pub(crate) fn wall_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub(crate) fn config(venue: VenueConfig) -> KalshiTwinConfig {
    KalshiTwinConfig {
        venue: VenueConfig { clients: vec![client_key()], ..venue },
        ..KalshiTwinConfig::default()
    }
}

pub(crate) fn spawn(venue: VenueConfig) -> KalshiTwinHandle {
    KalshiTwin::spawn(config(venue)).unwrap()
}

pub(crate) struct Client {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
}

impl Client {
    /// Connects with the headers given, whatever they are.
    pub(crate) async fn knock(url: &str, headers: &[(&'static str, String)]) -> Result<Self, Error> {
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (ws, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Self { ws, next_id: 1 })
    }

    /// Connects as the venue wants it.
    pub(crate) async fn connect(twin: &KalshiTwinHandle) -> Self {
        let ts = twin.now_us() / 1_000;
        Self::knock(&twin.ws_url, &headers(ts, WS_PATH)).await.unwrap()
    }

    /// Sends a command and returns its id.
    pub(crate) async fn say(&mut self, cmd: &str, params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.say_text(&json!({"id": id, "cmd": cmd, "params": params}).to_string()).await;
        id
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.ws.send(Message::text(text)).await.unwrap();
    }

    /// Subscribes to one channel and returns the sid.
    pub(crate) async fn subscribe(&mut self, channel: &str, tickers: &[String]) -> u64 {
        let mut params = json!({"channels": [channel]});
        if !tickers.is_empty() {
            params["market_tickers"] = json!(tickers);
        }
        self.say("subscribe", params).await;
        let reply = self.hear().await;
        assert_eq!(reply["type"], "subscribed", "{reply}");
        reply["msg"]["sid"].as_u64().unwrap()
    }

    /// The next message of any kind; `None` when the connection is over.
    pub(crate) async fn hear_message(&mut self) -> Option<Message> {
        match tokio::time::timeout(GUARD, self.ws.next()).await.expect("the twin fell silent") {
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            Some(Ok(message)) => Some(message),
        }
    }

    /// The next text frame; `None` when the connection is over.
    pub(crate) async fn hear_text(&mut self) -> Option<String> {
        loop {
            if let Message::Text(text) = self.hear_message().await? {
                return Some(text.to_string());
            }
        }
    }

    /// The next text frame as JSON.
    pub(crate) async fn hear(&mut self) -> Value {
        let text = self.hear_text().await.expect("the connection ended");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Everything that is said until `for_ms` pass without a text frame.
    pub(crate) async fn hear_all(&mut self, for_ms: u64) -> Vec<Value> {
        let mut out = Vec::new();
        let silence = Duration::from_millis(for_ms);
        let mut deadline = tokio::time::Instant::now() + silence;
        while let Ok(next) = tokio::time::timeout_at(deadline, self.ws.next()).await {
            match next {
                Some(Ok(Message::Text(text))) => {
                    out.push(serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.to_string())));
                    deadline = tokio::time::Instant::now() + silence;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            }
        }
        out
    }
}

/// The headers of a good signature.
pub(crate) fn headers(ts_ms: i64, path: &str) -> Vec<(&'static str, String)> {
    vec![
        ("KALSHI-ACCESS-KEY", KEY_ID.to_owned()),
        ("KALSHI-ACCESS-TIMESTAMP", ts_ms.to_string()),
        ("KALSHI-ACCESS-SIGNATURE", sign(false, &format!("{ts_ms}GET{path}"))),
    ]
}

/// A text such as `0.4100` or `-20.50` in units of `10^-decimals`.
pub(crate) fn fixed(value: &Value, decimals: usize) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no text: {value}"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= decimals, "{text} has more than {decimals} decimals");
    format!("{whole}{part:0<decimals$}").parse().unwrap()
}

/// Books rebuilt from the wire alone, and what was wrong with it.
#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) books: BTreeMap<String, Book>,
    /// Last sequence number by sid.
    pub(crate) seqs: BTreeMap<u64, u64>,
    /// Frames whose number was not the last one plus one.
    pub(crate) breaks: Vec<(u64, u64)>,
    /// Levels that would have become negative.
    pub(crate) negative: usize,
}

impl Reference {
    pub(crate) fn apply(&mut self, frame: &Value) {
        if let (Some(sid), Some(seq)) = (frame["sid"].as_u64(), frame["seq"].as_u64()) {
            let last = self.seqs.insert(sid, seq).unwrap_or(0);
            if seq != last + 1 {
                self.breaks.push((last, seq));
            }
        }
        let msg = &frame["msg"];
        let ticker = msg["market_ticker"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str() {
            Some("orderbook_snapshot") => {
                let side = |key: &str| {
                    let levels = msg.get(key).and_then(Value::as_array);
                    assert_ne!(levels.map(Vec::len), Some(0), "an empty side has no key");
                    let level = |pair: &Value| (fixed(&pair[0], 6), fixed(&pair[1], 2));
                    levels.into_iter().flatten().map(level).collect()
                };
                let book = Book { yes: side("yes_dollars_fp"), no: side("no_dollars_fp") };
                self.books.insert(ticker, book);
            }
            Some("orderbook_delta") => {
                let book = self.books.get_mut(&ticker).expect("a delta before its snapshot");
                let levels = if msg["side"] == "yes" { &mut book.yes } else { &mut book.no };
                let (price, delta) = (fixed(&msg["price_dollars"], 6), fixed(&msg["delta_fp"], 2));
                let level = levels.entry(price).or_insert(0);
                *level += delta;
                self.negative += usize::from(*level < 0);
                if *level <= 0 {
                    levels.remove(&price);
                }
            }
            _ => {}
        }
    }
}
