//! Books rebuilt from snapshot and stream equal the truth, wherever the snapshot lies.

use std::time::Duration;

use serde_json::Value;
use sim::venues::binance::BinanceConfig;

use crate::client::{Client, Reference, Step, get, spawn};

/// The depth events of a symbol among combined frames.
fn depth<'a>(frames: &'a [Value], symbol: &str) -> Vec<&'a Value> {
    let stream = format!("{symbol}@depth@100ms");
    frames.iter().filter(|frame| frame["stream"] == stream.as_str()).map(|frame| &frame["data"]).collect()
}

#[tokio::test]
async fn ids_are_contiguous_and_events_hold_several() {
    let twin = spawn(BinanceConfig::default());
    let first = twin.last_id("BTCUSDT").unwrap();
    let mut client = Client::streams(&twin, "btcusdt@depth@100ms").await;
    twin.step(500).await;
    assert!(twin.quiesce().await);
    let frames = client.hear_all(100).await;
    let (mut last, mut several) = (first, 0);
    for event in depth(&frames, "btcusdt") {
        let (from, to) = (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap());
        assert_eq!(from, last + 1);
        assert!(to >= from);
        several += usize::from(to > from);
        last = to;
    }
    assert_eq!(Some(last), twin.last_id("BTCUSDT"));
    assert!(several > 50);
    twin.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_before_within_or_after_the_events_leads_to_the_truth() {
    for (skew, stale) in [(0, true), (-1, true), (-40, true), (1, false), (7, false)] {
        let twin = spawn(BinanceConfig { snapshot_skew: vec![skew], ..BinanceConfig::default() });
        let mut client = Client::streams(&twin, "btcusdt@depth@100ms").await;
        twin.step(200).await;
        let told = twin.last_id("BTCUSDT").unwrap();
        let (status, snapshot) = get(&twin, "/api/v3/depth?symbol=BTCUSDT&limit=1000").await;
        assert_eq!(status, 200);
        let id = snapshot["lastUpdateId"].as_u64().unwrap();
        assert_eq!(id as i64 - told as i64, skew, "where the snapshot lies");
        twin.step(200).await;
        assert!(twin.quiesce().await);
        let frames = client.hear_all(100).await;
        let mut reference = Reference::new(&snapshot);
        let steps: Vec<Step> =
            depth(&frames, "btcusdt").into_iter().map(|event| reference.apply(event)).collect();
        assert!(!steps.contains(&Step::Hole), "{skew}");
        assert!(steps.contains(&Step::Stale) || !stale);
        let events = depth(&frames, "btcusdt");
        let within = events.iter().any(|e| e["U"].as_u64().unwrap() <= id && id < e["u"].as_u64().unwrap());
        assert!(within || skew <= 0, "a snapshot ahead of the stream lies within the next event");
        assert_eq!(Some(reference.book), twin.truth("BTCUSDT"), "{skew}");
        twin.shutdown().await;
    }
}

#[tokio::test]
async fn several_connections_at_thousands_of_messages_a_second_all_hold_the_truth() {
    let twin = spawn(BinanceConfig::default());
    let snapshot = get(&twin, "/api/v3/depth?symbol=ETHUSDT&limit=5000").await.1;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::streams(&twin, "ethusdt@depth@100ms/btcusdt@depth@100ms").await);
    }
    while twin.stats().connections < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    twin.run(4_000);
    let readers = clients.into_iter().map(|mut client| async move { client.hear_all(300).await });
    let quiet = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(twin.quiesce().await);
    };
    let (heard, ()) = tokio::join!(futures_util::future::join_all(readers), quiet);
    assert!(twin.stats().messages >= 2_000);
    for frames in &heard {
        assert_eq!(frames, &heard[0]);
        let mut reference = Reference::new(&snapshot);
        assert!(depth(frames, "ethusdt").into_iter().all(|event| reference.apply(event) == Step::Applied));
        assert_eq!(Some(reference.book), twin.truth("ETHUSDT"));
    }
    twin.shutdown().await;
}

#[tokio::test]
async fn the_generator_never_crosses_a_book() {
    let twin = spawn(BinanceConfig::default());
    for _ in 0..500 {
        twin.burst(20);
        for symbol in ["BTCUSDT", "ETHUSDT"] {
            let book = twin.truth(symbol).unwrap();
            assert!(book.best_bid().unwrap().0 < book.best_ask().unwrap().0, "{symbol}");
            assert!(book.bids.values().chain(book.asks.values()).all(|qty| *qty > 0));
        }
    }
    twin.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_is_cut_to_its_limit_and_unknown_symbols_are_refused() {
    let twin = spawn(BinanceConfig::default());
    let snapshot = get(&twin, "/api/v3/depth?symbol=BTCUSDT&limit=5").await.1;
    assert_eq!(
        (snapshot["bids"].as_array().unwrap().len(), snapshot["asks"].as_array().unwrap().len()),
        (5, 5)
    );
    let (status, refusal) = get(&twin, "/api/v3/depth?symbol=NONE").await;
    assert_eq!((status, &refusal["code"]), (400, &(-1121).into()));
    twin.shutdown().await;
}
