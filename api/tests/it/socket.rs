//! The stream: contiguous, resumed whole or not at all, bounded for slow readers, drained at the end.

use futures_util::{SinkExt as _, StreamExt as _};
use schemas::{NoSignalReason, Verdict};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::rig::{PRICE, Rig, TOPICS, Trouble, question, topic_id};

pub struct Client {
    pub ws: WebSocketStream<TcpStream>,
    pub protocol: Option<String>,
}

impl Client {
    pub async fn open(rig: &Rig, key: &str) -> Self {
        Self::with(rig, &[("authorization", &format!("Bearer {key}"))]).await.unwrap()
    }

    pub async fn with(rig: &Rig, headers: &[(&'static str, &str)]) -> Result<Self, (u16, Value)> {
        Self::at(rig, "/v1/ws", headers).await
    }

    pub async fn at(rig: &Rig, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, (u16, Value)> {
        let mut request = format!("ws://{}{path}", rig.addr).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let tcp = socket.connect(rig.addr).await.unwrap();
        match tokio_tungstenite::client_async(request, tcp).await {
            Ok((ws, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                Ok(Self { ws, protocol: protocol.map(|p| p.to_str().unwrap().to_owned()) })
            }
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub async fn say(&mut self, message: &Value) {
        self.ws.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn subscribe(&mut self, topics: &[&str], from: &Value) -> Value {
        self.say(&json!({"t": "subscribe", "id": 1, "topics": topics, "from": from})).await;
        self.until("subscribed").await
    }

    /// The next message, or the close code.
    pub async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match self.ws.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(text.as_str()).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return Err(u16::from(CloseCode::Abnormal)),
            }
        }
    }

    /// The next message of a kind; others are passed over.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await.unwrap();
            if message["t"] == kind {
                return message;
            }
        }
    }

    /// All messages to the close, and its code.
    pub async fn rest(&mut self) -> (Vec<Value>, u16) {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                Ok(message) => messages.push(message),
                Err(code) => return (messages, code),
            }
        }
    }
}

fn kinds(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|m| m["t"].as_str().unwrap()).collect()
}

fn rig_with_demo() -> (Rig, String) {
    let rig = Rig::start();
    rig.customer("demo", 1_000_000, &[0, 1]);
    let key = rig.key("demo");
    (rig, key)
}

#[tokio::test]
async fn a_subscriber_hears_everything_in_order() {
    let (rig, key) = rig_with_demo();
    let mut client = Client::open(&rig, &key).await;
    let welcome = client.next().await.unwrap();
    assert_eq!(
        (welcome["t"].as_str(), welcome["limits"]["max_message_bytes"].as_u64()),
        (Some("welcome"), Some(65536))
    );
    let subscribed = client.subscribe(&[TOPICS[0], TOPICS[2], "nope"], &json!("latest")).await;
    assert_eq!(subscribed["topics"][0]["seq"], 0);
    assert_eq!(subscribed["topics"][0]["epoch"], welcome["epoch"]);
    let skipped =
        json!([{"topic": TOPICS[2], "code": "not_entitled"}, {"topic": "nope", "code": "topic_not_found"}]);
    assert_eq!(subscribed["skipped"], skipped);
    rig.issue(0, 0, 600_000);
    rig.issue(2, 0, 666_666);
    rig.house.tell(&[Verdict::NoSignal {
        topic: topic_id(0),
        question: question(0, 1).id,
        slot: question(0, 1).market_starts_at,
        reason: NoSignalReason::NoForecasts,
    }]);
    rig.resolve(0, true);
    rig.issue(0, 2, 700_000);
    let mut heard = Vec::new();
    while heard.iter().filter(|m: &&Value| m["t"] == "signal").count() < 2 {
        heard.push(client.next().await.unwrap());
    }
    let without_balance: Vec<&str> = kinds(&heard).into_iter().filter(|k| *k != "balance").collect();
    assert_eq!(without_balance, ["signal", "no_signal", "outcome", "signal"]);
    let signals: Vec<&Value> = heard.iter().filter(|m| m["t"] == "signal").collect();
    assert_eq!((signals[0]["seq"].as_u64(), signals[1]["seq"].as_u64()), (Some(1), Some(2)));
    assert_eq!(
        (signals[0]["charged"].as_str(), signals[0]["signal"]["p_ppm"].as_u64()),
        (Some("9000"), Some(600_000))
    );
    assert_eq!(client.until("balance").await["prepaid"], "982000");
    client.say(&json!({"t": "unsubscribe", "id": 2, "topics": [TOPICS[0]]})).await;
    assert_eq!(client.until("unsubscribed").await["topics"], json!([TOPICS[0]]));
    rig.issue(0, 3, 700_000);
    client.say(&json!({"t": "ping", "id": 3})).await;
    assert_eq!(client.next().await.unwrap()["t"], "pong");
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn a_browser_sends_its_key_in_the_subprotocols() {
    let (rig, key) = rig_with_demo();
    let offered = format!("oraculo.v1.json, oraculo-auth.{key}");
    let mut client = Client::with(&rig, &[("sec-websocket-protocol", &offered)]).await.unwrap();
    assert_eq!(client.protocol.as_deref(), Some("oraculo.v1.json"), "the key is not echoed");
    assert_eq!(client.next().await.unwrap()["t"], "welcome");
    let no_key = Client::with(&rig, &[("sec-websocket-protocol", "oraculo.v1.json")]).await.err().unwrap();
    assert_eq!((no_key.0, no_key.1["code"].as_str()), (401, Some("unauthenticated")));
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn a_stream_resumes_whole_or_starts_anew() {
    let rig = Rig::with(|_| {}, |v| v.signals_per_topic = 4, 64);
    rig.customer("demo", 1_000_000, &[0]);
    let key = rig.key("demo");
    for slot in 0..6 {
        rig.issue(0, slot, 600_000);
    }
    let epoch = rig.house.view.read().unwrap().epoch().to_owned();
    // The ring has 3, 4, 5, 6.
    for (from, recovered, seq, first) in [
        (json!({"seq": 2, "epoch": epoch}), true, 2, Some(("signal", 3))),
        (json!({"seq": 4}), true, 4, Some(("signal", 5))),
        (json!({"seq": 6}), true, 6, None),
        (json!({"seq": 1}), false, 6, Some(("snapshot", 6))),
        (json!({"seq": 7}), false, 6, Some(("snapshot", 6))),
        (json!({"seq": 4, "epoch": "00ff00ff00ff00ff"}), false, 6, Some(("snapshot", 6))),
        (json!({"seq": u64::MAX}), false, 6, Some(("snapshot", 6))),
        (json!("snapshot"), false, 6, Some(("snapshot", 6))),
        (json!("latest"), false, 6, None),
    ] {
        let mut client = Client::open(&rig, &key).await;
        let subscribed = client.subscribe(&[TOPICS[0]], &from).await;
        let topic = &subscribed["topics"][0];
        assert_eq!(
            (topic["recovered"].as_bool(), topic["seq"].as_u64()),
            (Some(recovered), Some(seq)),
            "{from}"
        );
        client.say(&json!({"t": "ping", "id": 9})).await;
        let mut heard = Vec::new();
        let last = if first.is_some() { 6 } else { 0 };
        while heard.last().map_or(0, |s: &u64| *s) < last {
            let message = client.next().await.unwrap();
            if message["t"] == "signal" || message["t"] == "snapshot" {
                if heard.is_empty() {
                    assert_eq!(message["t"], first.unwrap().0, "{from}");
                }
                heard.push(message["seq"].as_u64().unwrap());
            }
        }
        let want: Vec<u64> = first.map_or(Vec::new(), |(_, seq)| (seq..=6).collect());
        assert_eq!(heard, want, "{from}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_missed_doorbell_loses_nothing() {
    // One doorbell, and 300 signals issued before the session can look up even once.
    let rig = Rig::with(|_| {}, |_| {}, 1);
    rig.customer("demo", 10_000_000, &[0]);
    let key = rig.key("demo");
    let mut client = Client::open(&rig, &key).await;
    client.subscribe(&[TOPICS[0]], &json!("latest")).await;
    for slot in 0..300 {
        rig.issue(0, slot, 600_000);
    }
    for want in 1..=300 {
        assert_eq!(client.until("signal").await["seq"], want);
    }
    assert!(rig.metrics().lagged() > 0, "the doorbell was missed");
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn a_ring_that_was_outrun_is_told_as_a_gap() {
    let rig = Rig::with(|_| {}, |v| v.signals_per_topic = 4, 1);
    rig.customer("demo", 10_000_000, &[0]);
    let key = rig.key("demo");
    let mut client = Client::open(&rig, &key).await;
    client.subscribe(&[TOPICS[0]], &json!("latest")).await;
    // No await in between: the session, on the same thread, cannot look up.
    for slot in 0..10 {
        rig.issue(0, slot, 600_000);
    }
    let gap = client.until("gap").await;
    assert_eq!((gap["from"].as_u64(), gap["to"].as_u64()), (Some(1), Some(6)));
    for want in 7..=10 {
        assert_eq!(client.until("signal").await["seq"], want);
    }
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn a_slow_reader_gets_a_gap_and_is_closed_and_others_do_not_notice() {
    let slow = |l: &mut api::ApiLimits| {
        l.socket.queue = 4;
        l.socket.stall_ms = 50;
        l.socket.close_ms = 600_000;
    };
    let rig = Rig::with(slow, |_| {}, 64);
    rig.customer("demo", 100_000_000, &[0]);
    rig.customer("quick", 100_000_000, &[0]);
    let (key, quick) = (rig.key("demo"), rig.key("quick"));
    let mut lazy = Client::open(&rig, &key).await;
    lazy.subscribe(&[TOPICS[0]], &json!("latest")).await;
    let mut eager = Client::open(&rig, &quick).await;
    eager.subscribe(&[TOPICS[0]], &json!("latest")).await;
    let mut head = 0;
    while rig.metrics().slow_consumers() == 0 {
        rig.issue(0, head, 600_000);
        head += 1;
        assert_eq!(eager.until("signal").await["seq"], head);
        assert!(head < 4_000, "the slow reader was never noticed");
    }
    let charged_before = rig.usages();
    let (messages, code) = lazy.rest().await;
    drop(lazy);
    assert_eq!(code, 4008);
    let gap = messages.last().unwrap();
    assert_eq!(gap["t"], "gap");
    let seqs: Vec<u64> =
        messages.iter().filter(|m| m["t"] == "signal").map(|m| m["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "what was queued came, in order");
    assert_eq!(
        gap["from"].as_u64(),
        Some(seqs.len() as u64 + 1),
        "and nothing between that and the gap is lost"
    );
    assert_eq!(rig.usages(), charged_before);
    let paid = 100_000_000 - rig.balance(&key).await.parse::<i64>().unwrap();
    assert_eq!(paid, PRICE * seqs.len() as i64, "only what was delivered is paid");
    drop(eager);
    rig.stop().await;
}

#[tokio::test]
async fn wrong_messages_have_codes_and_do_not_end_the_connection() {
    let (rig, key) = rig_with_demo();
    let mut client = Client::open(&rig, &key).await;
    client.until("welcome").await;
    let topics: Vec<String> = (0..300).map(|n| format!("t{n}")).collect();
    for (text, code) in [
        ("hello".to_owned(), "json_malformed"),
        ("{\"t\":\"ping\"".to_owned(), "json_malformed"),
        ("{\"t\":\"ping\",\"id\":1,\"id\":2}".to_owned(), "json_duplicate_key"),
        (format!("{}{}", "[".repeat(20), "]".repeat(20)), "json_too_deep"),
        ("{\"t\":\"shout\",\"id\":1}".to_owned(), "validation_failed"),
        ("{\"t\":\"ping\",\"id\":-1}".to_owned(), "validation_failed"),
        ("{\"t\":\"ping\",\"id\":1,\"x\":1}".to_owned(), "validation_failed"),
        (json!({"t": "subscribe", "id": 4, "topics": [], "from": "latest"}).to_string(), "validation_failed"),
        (json!({"t": "subscribe", "id": 5, "topics": topics, "from": "latest"}).to_string(), "validation_failed"),
        (json!({"t": "subscribe", "id": 6, "topics": ["x"], "from": "dawn"}).to_string(), "validation_failed"),
        (
            json!({"t": "subscribe", "id": 7, "topics": [TOPICS[0], "x"], "from": "latest", "on_invalid": "fail"})
                .to_string(),
            "topic_not_found",
        ),
    ] {
        client.ws.send(Message::text(text.clone())).await.unwrap();
        let error = client.next().await.unwrap();
        assert_eq!((error["t"].as_str(), error["code"].as_str()), (Some("error"), Some(code)), "{text}");
    }
    rig.issue(0, 0, 600_000);
    client.say(&json!({"t": "ping", "id": 8})).await;
    assert_eq!(client.next().await.unwrap()["id"], 8, "`fail` subscribed to nothing");
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn broken_frames_floods_and_crowds_are_refused() {
    let few = |l: &mut api::ApiLimits| l.socket.connections_per_key = 3;
    let rig = Rig::with(few, |_| {}, 64);
    rig.customer("demo", 1_000_000, &[0]);
    let key = rig.key("demo");
    let mut large = Client::open(&rig, &key).await;
    large.ws.send(Message::text("x".repeat(64 * 1024 + 1))).await.unwrap();
    assert_eq!(large.rest().await.1, 4000);
    let mut binary = Client::open(&rig, &key).await;
    binary.ws.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(binary.rest().await.1, 4000);
    let mut flood = Client::open(&rig, &key).await;
    for id in 0..41 {
        flood.say(&json!({"t": "ping", "id": id})).await;
    }
    let (messages, code) = flood.rest().await;
    assert_eq!((messages.last().unwrap()["code"].as_str(), code), (Some("rate_limited"), 4029));
    drop((large, binary, flood));
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let mut seated = Vec::new();
    // Seats of those who left are free as soon as the server has noticed.
    while seated.len() < 3 {
        match Client::with(&rig, &headers).await {
            Ok(client) => seated.push(client),
            Err((status, _)) => assert_eq!(status, 503),
        }
        tokio::task::yield_now().await;
    }
    let one_more = Client::with(&rig, &headers).await.err().unwrap();
    assert_eq!((one_more.0, one_more.1["code"].as_str()), (503, Some("too_many_connections")));
    drop(seated);
    rig.stop().await;
}

#[tokio::test]
async fn a_revoked_key_gets_nothing_more() {
    let (rig, key) = rig_with_demo();
    let mut client = Client::open(&rig, &key).await;
    client.subscribe(&[TOPICS[0]], &json!("latest")).await;
    rig.issue(0, 0, 600_000);
    client.until("signal").await;
    let hint = rig.keys.list().unwrap()[0].hint.clone();
    rig.keys.revoke(&hint, rig.house.now()).unwrap();
    rig.issue(0, 1, 600_000);
    let (messages, code) = client.rest().await;
    assert_eq!((messages.last().unwrap()["code"].as_str(), code), (Some("key_revoked"), 4001));
    assert!(!kinds(&messages).contains(&"signal"));
    rig.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let quiet = |l: &mut api::ApiLimits| {
        l.socket.idle_ms = 30;
        l.socket.ping_ms = 600_000;
    };
    let rig = Rig::with(quiet, |_| {}, 64);
    rig.customer("demo", 1, &[0]);
    let mut client = Client::open(&rig, &rig.key("demo")).await;
    assert_eq!(client.rest().await.1, 4000);
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let beat = |l: &mut api::ApiLimits| l.socket.ping_ms = 5;
    let rig = Rig::with(beat, |_| {}, 64);
    rig.customer("demo", 1, &[0]);
    let mut client = Client::open(&rig, &rig.key("demo")).await;
    let mut pings = 0;
    while pings < 5 {
        if let Some(Ok(Message::Ping(_))) = client.ws.next().await {
            pings += 1;
        }
    }
    client.say(&json!({"t": "ping", "id": 1})).await;
    client.until("pong").await;
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn when_the_service_cannot_charge_it_says_so_and_skips_nothing() {
    let (rig, key) = rig_with_demo();
    for trouble in [Trouble::Desk(api::DeskError::Overloaded), Trouble::Silence] {
        let mut client = Client::open(&rig, &key).await;
        client.subscribe(&[TOPICS[1]], &json!("latest")).await;
        rig.trouble(Some(trouble));
        rig.issue(1, 0, 600_000);
        let (messages, code) = client.rest().await;
        assert_eq!((messages.last().unwrap()["t"].as_str(), code), (Some("error"), 4010));
        rig.trouble(None);
    }
    let mut client = Client::open(&rig, &key).await;
    let subscribed = client.subscribe(&[TOPICS[1]], &json!({"seq": 0})).await;
    assert_eq!(subscribed["topics"][0]["recovered"], true);
    assert_eq!(client.until("signal").await["seq"], 1);
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn a_service_that_closes_says_goodbye() {
    let (mut rig, key) = rig_with_demo();
    let mut client = Client::open(&rig, &key).await;
    client.until("welcome").await;
    rig.leave();
    let (messages, code) = client.rest().await;
    assert_eq!((kinds(&messages), code), (vec!["going_away"], 4011));
}
