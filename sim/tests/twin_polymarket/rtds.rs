//! The real-time data sockets: v1 topics, history and faults; v2 auth, ops, limits, sequence and close codes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sim::WireFaults;
use sim::edge::polymarket::{PolymarketHandle, PolymarketTwinConfig, RtdsConfig};

use crate::client::{Heard, Socket, spawn};

/// A v1 subscribe to one topic.
pub(crate) fn subscribe(topic: &str, filters: &str) -> String {
    json!({ "action": "subscribe", "subscriptions": [{ "topic": topic, "type": "update", "filters": filters }] })
        .to_string()
}

fn one_coin(faults: WireFaults) -> PolymarketHandle {
    let rtds = RtdsConfig {
        coins: vec!["btc".to_owned()],
        faults,
        min_op_gap: Duration::ZERO,
        ..RtdsConfig::default()
    };
    spawn(PolymarketTwinConfig { markets: 1, rtds, ..Default::default() })
}

fn auth(rtds: &RtdsConfig) -> String {
    json!({ "op": "auth", "rid": "a1", "auth": { "apiKey": rtds.api_key, "secret": rtds.secret, "passphrase": rtds.passphrase } })
        .to_string()
}

fn v2_subscribe(rid: &str, keys: &[(&str, Value)]) -> String {
    let keys: Vec<_> =
        keys.iter().map(|(channel, filter)| json!({ "channel": channel, "filter": filter })).collect();
    json!({ "op": "subscribe", "rid": rid, "subscriptions": keys }).to_string()
}

async fn v2_authed(twin: &PolymarketHandle) -> Socket {
    let mut socket = Socket::open(&twin.rtds2_ws_url).await;
    socket.say(auth(&RtdsConfig::default())).await;
    assert_eq!(socket.json().await, json!({ "op": "authed", "rid": "a1" }));
    socket
}

fn v2_btc() -> String {
    v2_subscribe("s1", &[("price.crypto", json!({ "symbol": "btcusd" }))])
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_speaks_every_price_topic_and_dumps_history_on_a_filter() {
    let twin = one_coin(WireFaults::default());
    twin.step_rtds(200).await;
    let mut socket = Socket::open(&twin.rtds_ws_url).await;
    for (topic, symbol, window) in [
        ("crypto_prices", "btcusdt", None),
        ("crypto_prices_chainlink", "btc/usd", None),
        ("crypto_prices_twap_thirty", "btc/usd", Some(30)),
        ("crypto_prices_twap_sixty", "btc/usd", Some(60)),
    ] {
        let filter = json!({ "symbol": symbol }).to_string();
        socket.say(subscribe(topic, &filter)).await;
        let history = socket.json().await;
        assert_eq!((&history["type"], &history["topic"]), (&"subscribe".into(), &topic.into()));
        let data = history["payload"]["data"].as_array().unwrap();
        assert_eq!(data.len(), 120, "two minutes of a tick a second");
        twin.step_rtds(1).await;
        let update = socket.json().await;
        let payload = &update["payload"];
        assert_eq!((&update["topic"], &payload["symbol"]), (&topic.into(), &symbol.into()));
        assert_eq!(payload["timestamp"].as_i64().unwrap(), data[119]["timestamp"].as_i64().unwrap() + 1_000);
        assert_eq!(payload.get("window_s").and_then(Value::as_i64), window);
        let full = payload["full_accuracy_value"].as_str().unwrap();
        assert_eq!(full.contains('.'), topic == "crypto_prices");
        let scale = if topic == "crypto_prices" { 1.0 } else { 1e18 };
        let exact = full.parse::<f64>().unwrap() / scale;
        assert!((exact - payload["value"].as_f64().unwrap()).abs() < 1e-6);
        socket.say(subscribe(topic, &filter).replace(r#""subscribe""#, r#""unsubscribe""#)).await;
        assert_eq!(socket.until_pong().await, (vec![], None));
    }
    // Without a filter there is no history.
    socket.say(subscribe("crypto_prices_chainlink", "")).await;
    assert_eq!(socket.until_pong().await, (vec![], None));
    socket.say("nonsense").await;
    assert_eq!(socket.json().await["statusCode"], 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_faults_show_as_they_are_described() {
    let at = |n: u64| BTreeSet::from([n]);
    let faults = WireFaults {
        drop: at(1),
        duplicate: at(2),
        reorder: at(4),
        garbage: at(6),
        corrupt: at(7),
        zombie: at(9),
        ..WireFaults::default()
    };
    let twin = one_coin(faults);
    let mut socket = Socket::open(&twin.rtds_ws_url).await;
    socket.say(subscribe("crypto_prices_chainlink", "")).await;
    socket.until_pong().await;
    twin.step_rtds(12).await;
    assert!(twin.quiesce().await);
    let (texts, end) = socket.until_pong().await;
    assert_eq!(end, None, "a zombie answers pings");
    let frames: Vec<Option<Value>> = texts.iter().map(|t| serde_json::from_str(t).ok()).collect();
    let start = frames[0].as_ref().unwrap()["payload"]["timestamp"].as_i64().unwrap();
    let ticks: Vec<_> = frames
        .iter()
        .map(|f| f.as_ref().map(|f| (f["payload"]["timestamp"].as_i64().unwrap() - start) / 1_000))
        .collect();
    assert_eq!(ticks, [0, 2, 2, 3, 5, 4, -1, 6, 7, 8].map(|n| (n >= 0).then_some(n)));
    let corrupt = frames[8].as_ref().unwrap();
    let exact = corrupt["payload"]["full_accuracy_value"].as_str().unwrap().parse::<f64>().unwrap() / 1e18;
    assert!((exact / corrupt["payload"]["value"].as_f64().unwrap() - 10.0).abs() < 1e-6, "a decimal shift");
    twin.set_rtds_faults(WireFaults { cut: at(12), ..WireFaults::default() });
    let mut other = Socket::open(&twin.rtds_ws_url).await;
    other.say(subscribe("crypto_prices_chainlink", "")).await;
    other.until_pong().await;
    twin.step_rtds(1).await;
    assert_eq!(other.hear().await, Heard::Cut);
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_wants_a_credential_and_closes_on_a_wrong_one() {
    let twin = one_coin(WireFaults::default());
    let mut socket = Socket::open(&twin.rtds2_ws_url).await;
    socket.say(v2_btc()).await;
    let refused = json!({ "op": "error", "code": "auth_required", "channel": "price.crypto", "rid": "s1" });
    assert_eq!(socket.json().await, refused);
    twin.step_rtds(3).await;
    socket.say(json!({ "op": "ping", "rid": "p1" }).to_string()).await;
    assert_eq!(socket.json().await, json!({ "op": "pong", "rid": "p1" }), "and no price before it");
    for wrong in ["api_key", "secret", "passphrase"] {
        let mut rtds = RtdsConfig::default();
        match wrong {
            "api_key" => rtds.api_key.push('x'),
            "secret" => rtds.secret.push('x'),
            _ => rtds.passphrase.push('x'),
        }
        let mut socket = Socket::open(&twin.rtds2_ws_url).await;
        socket.say(auth(&rtds)).await;
        assert_eq!(socket.json().await["code"], "auth_failed");
        assert_eq!(socket.hear().await, Heard::Close(4001), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_sends_a_snapshot_then_ticks_with_a_sequence_for_each_channel() {
    let twin = one_coin(WireFaults::default());
    twin.step_rtds(5).await;
    let mut socket = v2_authed(&twin).await;
    let twap = ("price.crypto.twap", json!({ "symbol": "btcusd", "window_seconds": 60 }));
    socket.say(v2_subscribe("s1", &[("price.crypto", json!({ "symbol": "btcusd" })), twap])).await;
    for channel in ["price.crypto", "price.crypto.twap"] {
        assert_eq!(socket.json().await, json!({ "op": "subscribed", "channel": channel, "rid": "s1" }));
        let snapshot = socket.json().await;
        assert_eq!((&snapshot["seq"], &snapshot["snapshot"]), (&1.into(), &true.into()));
        assert_eq!(snapshot["payload"]["data"].as_array().unwrap().len(), 5);
    }
    // The same pair again: an acknowledgement, no snapshot.
    socket.say(v2_btc()).await;
    assert_eq!(socket.json().await["op"], "subscribed");
    for seq in 2..=5 {
        twin.step_rtds(1).await;
        for channel in ["price.crypto", "price.crypto.twap"] {
            let frame = socket.json().await;
            assert_eq!(
                (&frame["channel"], &frame["seq"], &frame["v"]),
                (&channel.into(), &seq.into(), &1.into())
            );
            let payload = &frame["payload"];
            let full: f64 = payload["full_accuracy_value"].as_str().unwrap().parse().unwrap();
            assert!((full - payload["value"].as_f64().unwrap()).abs() < 1e-6);
            assert_eq!(payload.get("window_seconds").is_some(), channel.ends_with("twap"));
            // Optional words are said on even numbers only.
            assert_eq!(frame.get("dropped").is_some(), seq % 2 == 0);
        }
    }
    socket
        .say(
            json!({ "op": "unsubscribe", "channel": "price.crypto", "filter": { "symbol": "btcusd" } })
                .to_string(),
        )
        .await;
    assert_eq!(socket.json().await, json!({ "op": "unsubscribed", "channel": "price.crypto" }));
    twin.step_rtds(1).await;
    assert_eq!(socket.json().await["channel"], "price.crypto.twap");
    // A window that has no data is acknowledged and stays empty.
    socket
        .say(v2_subscribe(
            "s2",
            &[("price.crypto.twap", json!({ "symbol": "btcusd", "window_seconds": 30 }))],
        ))
        .await;
    assert_eq!(socket.json().await["op"], "subscribed");
    assert_eq!(socket.json().await["payload"]["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_says_what_it_dropped_and_a_rewound_sequence_starts_at_one() {
    let faults = WireFaults {
        drop: BTreeSet::from([1]),
        overflow: BTreeSet::from([3, 4]),
        rewind: BTreeSet::from([6]),
        ..WireFaults::default()
    };
    let twin = one_coin(faults);
    let mut socket = v2_authed(&twin).await;
    socket.say(v2_btc()).await;
    socket.json().await;
    assert_eq!(socket.json().await["seq"], 1);
    twin.step_rtds(8).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let frame = socket.json().await;
        seen.push((
            frame["seq"].as_u64().unwrap(),
            frame.get("dropped").and_then(Value::as_u64).unwrap_or(0),
        ));
    }
    // Tick 1 is a hole in the sequence; ticks 3 and 4 are none, but are counted as dropped.
    assert_eq!(seen, [(2, 0), (4, 0), (5, 2), (1, 0), (2, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_limits_close_with_4008() {
    let twin = one_coin(WireFaults::default());
    let keys: Vec<_> =
        (0..65).map(|i| ("price.crypto", json!({ "symbol": format!("coin{i}usd") }))).collect();
    let mut socket = v2_authed(&twin).await;
    socket.say(v2_subscribe("s1", &keys[..64])).await;
    for _ in 0..128 {
        assert_ne!(socket.json().await["op"], "error");
    }
    socket.say(v2_subscribe("s2", &keys[64..])).await;
    assert_eq!(socket.json().await["code"], "too_many_subscriptions");
    assert_eq!(socket.hear().await, Heard::Close(4008));

    let mut socket = v2_authed(&twin).await;
    socket.say(format!(r#"{{"op":"ping","rid":"{}"}}"#, "x".repeat(60_000))).await;
    assert_eq!(socket.json().await["code"], "frame_too_large");
    assert_eq!(socket.hear().await, Heard::Close(4008));

    let mut socket = v2_authed(&twin).await;
    socket
        .say(v2_subscribe(
            "s1",
            &[("price.fish", json!({})), ("price.crypto", json!({ "symbol": "BTCUSD" }))],
        ))
        .await;
    assert_eq!(socket.json().await["code"], "unknown_channel");
    assert_eq!(socket.json().await["code"], "invalid_filter");
    socket.say("{").await;
    assert_eq!(socket.json().await["code"], "invalid_frame");
    twin.drain_rtds2();
    assert_eq!(socket.hear().await, Heard::Close(4003));
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_ops_that_come_too_fast_close_with_4008_and_patient_ones_do_not() {
    let twin = spawn(PolymarketTwinConfig { markets: 1, ..Default::default() });
    let mut socket = v2_authed(&twin).await;
    tokio::time::sleep(Duration::from_millis(115)).await;
    socket.say(v2_btc()).await;
    assert_eq!(socket.json().await["op"], "subscribed");
    socket.json().await;
    socket.say(json!({ "op": "ping" }).to_string()).await;
    assert_eq!(socket.json().await, json!({ "op": "pong" }), "pings are free");
    socket.say(v2_btc()).await;
    assert_eq!(socket.json().await["code"], "rate_limited");
    assert_eq!(socket.hear().await, Heard::Close(4008));
}
