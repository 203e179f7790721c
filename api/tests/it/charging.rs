//! Money: a unit is charged once, whichever way and however often it is delivered, and never without a delivery.

use serde_json::json;

use crate::rig::{PRICE, Rig, TOPICS};
use crate::socket::Client;

#[tokio::test]
async fn once_over_rest_websocket_and_reconnect() {
    let rig = Rig::start();
    rig.customer("demo", 1_000_000, &[0]);
    let key = rig.key("demo");
    let latest = format!("/v1/topics/{}/signals/latest", TOPICS[0]);
    let mut client = Client::open(&rig, &key).await;
    client.subscribe(&[TOPICS[0]], &json!("latest")).await;
    rig.issue(0, 0, 600_000);
    assert_eq!(client.until("signal").await["charged"], "9000");
    for _ in 0..3 {
        let response = rig.get(&latest, Some(&key)).await;
        assert_eq!(response.headers()["oraculo-charged-micros"], "0");
    }
    assert_eq!(rig.get("/v1/markets/polymarket/0xmarket0/signal", Some(&key)).await.status(), 200);
    drop(client);
    for from in [json!({"seq": 0}), json!("snapshot"), json!({"seq": 99})] {
        let mut again = Client::open(&rig, &rig.key("demo")).await;
        again.subscribe(&[TOPICS[0]], &from).await;
        let message = again.next().await.unwrap();
        assert_eq!((message["seq"].as_u64(), message["charged"].as_str()), (Some(1), Some("0")), "{from}");
    }
    assert_eq!(rig.balance(&key).await, (1_000_000 - PRICE).to_string());
    let view = rig.house.view.read().unwrap().clone();
    assert_eq!(view.topics().values().map(|t| t.sold).sum::<u64>(), 1);
    assert_eq!((view.ledger().imbalance(), view.ledger().chain_breaks), (0, 0));
    rig.stop().await;
}

#[tokio::test]
async fn once_for_many_at_the_same_time() {
    let rig = Rig::start();
    rig.customer("demo", 1_000_000, &[0]);
    let key = rig.key("demo");
    rig.issue(0, 0, 600_000);
    let path = format!("/v1/topics/{}/signals/latest", TOPICS[0]);
    let asks = (0..20).map(|_| rig.get(&path, Some(&key)));
    let answers = futures_util::future::join_all(asks).await;
    let charged: i64 = answers
        .iter()
        .map(|r| r.headers()["oraculo-charged-micros"].to_str().unwrap().parse::<i64>().unwrap())
        .sum();
    assert_eq!((charged, rig.balance(&key).await), (PRICE, (1_000_000 - PRICE).to_string()));
    rig.stop().await;
}

#[tokio::test]
async fn an_empty_purse_gets_nothing_and_says_so() {
    let rig = Rig::start();
    rig.customer("poor", PRICE, &[0, 1]);
    let key = rig.key("poor");
    let mut client = Client::open(&rig, &key).await;
    client.subscribe(&[TOPICS[0], TOPICS[1]], &json!("latest")).await;
    rig.issue(0, 0, 600_000);
    assert_eq!(client.until("signal").await["charged"], "9000");
    rig.issue(0, 1, 600_000);
    let error = client.until("error").await;
    assert_eq!(
        (error["code"].as_str(), error["topic"].as_str()),
        (Some("credits_exhausted"), Some(TOPICS[0]))
    );
    rig.issue(1, 1, 600_000);
    let (messages, code) = client.rest().await;
    assert_eq!((messages.last().unwrap()["topic"].as_str(), code), (Some(TOPICS[1]), 4002));
    assert!(messages.iter().all(|m| m["t"] != "signal"), "nothing was delivered unpaid");
    let response = rig.get(&format!("/v1/topics/{}/signals/latest", TOPICS[0]), Some(&key)).await;
    assert_eq!(response.status(), 402);
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "credits_exhausted");
    assert_eq!(rig.balance(&key).await, "0");
    rig.stop().await;
}

#[tokio::test]
async fn an_entitlement_that_ends_ends_the_stream() {
    let rig = Rig::start();
    rig.customer("demo", 1_000_000, &[0]);
    let key = rig.key("demo");
    let mut client = Client::open(&rig, &key).await;
    client.subscribe(&[TOPICS[0]], &json!("latest")).await;
    rig.issue(0, 0, 600_000);
    client.until("signal").await;
    // A month later.
    rig.issue(0, 30 * 288, 600_000);
    let (messages, code) = client.rest().await;
    assert_eq!((messages.last().unwrap()["code"].as_str(), code), (Some("not_entitled"), 4003));
    assert_eq!(rig.balance(&key).await, (1_000_000 - PRICE).to_string());
    rig.stop().await;
}

#[tokio::test]
async fn what_was_public_before_it_was_asked_for_is_free() {
    let rig = Rig::start();
    rig.customer("demo", 1_000_000, &[0]);
    let key = rig.key("demo");
    rig.issue(0, 0, 600_000);
    rig.issue(0, 1, 600_000);
    rig.resolve(0, true);
    let mut client = Client::open(&rig, &key).await;
    client.subscribe(&[TOPICS[0]], &json!({"seq": 0})).await;
    let (first, second) = (client.until("signal").await, client.until("signal").await);
    assert_eq!((first["charged"].as_str(), second["charged"].as_str()), (Some("0"), Some("9000")));
    rig.resolve(1, false);
    let response = rig.get(&format!("/v1/topics/{}/signals/latest", TOPICS[0]), Some(&key)).await;
    assert_eq!(response.headers()["oraculo-charged-micros"], "0");
    assert_eq!(rig.usages(), 1);
    drop(client);
    rig.stop().await;
}
