//! The signed handshake: who gets in and who does not.

use serde_json::Value;
use sim::venues::kalshi::VenueConfig;
use tokio_tungstenite::tungstenite::Error;

use crate::client::{Client, KEY_ID, WS_PATH, headers, sign, spawn, wall_ms};

/// The status and the JSON error of a refusal.
async fn refusal(url: &str, headers: &[(&'static str, String)]) -> (u16, Value) {
    match Client::knock(url, headers).await {
        Ok(_) => panic!("the handshake was accepted"),
        Err(Error::Http(reply)) => {
            let body = reply.body().clone().unwrap_or_default();
            (reply.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default())
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_good_signature_is_accepted() {
    let twin = spawn(VenueConfig::default());
    let mut client = Client::connect(&twin).await;
    client.say("list_subscriptions", Value::Null).await;
    let reply = client.hear().await;
    assert_eq!((&reply["type"], &reply["msg"]), (&"ok".into(), &serde_json::json!([])));
    assert_eq!(twin.stats().connections, 1);
    twin.shutdown().await;
}

#[tokio::test]
async fn everything_else_is_refused_with_401() {
    let twin = spawn(VenueConfig::default());
    let now = wall_ms();
    let good = headers(now, WS_PATH);
    let with = |at: usize, value: String| {
        let mut headers = good.clone();
        headers[at].1 = value;
        headers
    };
    let cases = [
        ("no header", Vec::new(), "missing access headers"),
        ("no key", good[1..].to_vec(), "missing access headers"),
        ("no timestamp", vec![good[0].clone(), good[2].clone()], "missing access headers"),
        ("no signature", good[..2].to_vec(), "missing access headers"),
        ("unknown key", with(0, "another".to_owned()), "api key not found"),
        ("old timestamp", headers(now - 60_000, WS_PATH), "header timestamp expired"),
        ("early timestamp", headers(now + 60_000, WS_PATH), "header timestamp expired"),
        ("no number", with(1, "soon".to_owned()), "header timestamp expired"),
        ("stranger's key", with(2, sign(true, &format!("{now}GET{WS_PATH}"))), "incorrect api key signature"),
        ("another path", headers(now, "/trade-api/v2/markets"), "incorrect api key signature"),
        ("with a query", headers(now, "/trade-api/ws/v2?a=1"), "incorrect api key signature"),
        (
            "another method",
            with(2, sign(false, &format!("{now}POST{WS_PATH}"))),
            "incorrect api key signature",
        ),
        ("another time", with(1, (now + 1).to_string()), "incorrect api key signature"),
        ("no base64", with(2, "%%%".to_owned()), "incorrect api key signature"),
    ];
    let count = cases.len() as u64;
    for (name, headers, why) in cases {
        let (status, body) = refusal(&twin.ws_url, &headers).await;
        assert_eq!((status, body["error"]["details"].as_str()), (401, Some(why)), "{name}: {body}");
    }
    assert_eq!(twin.stats().refused, count);
    assert_eq!(twin.stats().connections, 0);
    let elsewhere = twin.ws_url.replace("/ws/v2", "/ws/v9");
    assert_eq!(refusal(&elsewhere, &good).await.0, 404, "another path");
    twin.shutdown().await;
}

#[tokio::test]
async fn the_query_is_no_part_of_the_signature() {
    let twin = spawn(VenueConfig::default());
    let url = format!("{}?compress=0", twin.ws_url);
    assert!(Client::knock(&url, &headers(wall_ms(), WS_PATH)).await.is_ok());
    assert_eq!(KEY_ID.len(), 36, "a key id has the form of a UUID");
    twin.shutdown().await;
}
