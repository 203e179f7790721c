//! A client that recovers as the venue's rules say holds the truth after every fault.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sim::WireFaults;
use sim::edge::kalshi::KalshiTwinHandle;
use sim::venues::kalshi::VenueConfig;

use crate::client::{Client, Reference, spawn};

/// Silence after which a connection counts as dead, milliseconds.
const SILENT_MS: u64 = 300;

/// Follows all books; any break, negative level, unreadable frame or error drops them and subscribes anew.
async fn follow(twin: &KalshiTwinHandle, done: &tokio::sync::watch::Receiver<bool>) -> (Reference, usize) {
    let tickers = twin.tickers();
    let mut resyncs = 0;
    loop {
        let mut client = Client::connect(twin).await;
        'subscribed: loop {
            client
                .say("subscribe", json!({"channels": ["orderbook_delta"], "market_tickers": tickers}))
                .await;
            let (mut reference, mut sid) = (Reference::default(), None);
            loop {
                let text =
                    match tokio::time::timeout(Duration::from_millis(SILENT_MS), client.hear_text()).await {
                        Ok(Some(text)) => text,
                        // A book may only be trusted in silence if it was complete and the venue is quiet.
                        Err(_) if *done.borrow() && reference.books.len() == tickers.len() => {
                            return (reference, resyncs);
                        }
                        Ok(None) | Err(_) => break 'subscribed,
                    };
                let frame: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                if frame["type"] == "subscribed" {
                    sid = frame["msg"]["sid"].as_u64();
                    continue;
                }
                let ours = frame["sid"].as_u64().is_none_or(|of| sid == Some(of));
                if ours {
                    reference.apply(&frame);
                    let broken = !reference.breaks.is_empty() || reference.negative > 0;
                    if broken || frame.is_null() || frame["type"] == "error" {
                        resyncs += 1;
                        if frame["type"] != "error" {
                            client.say("unsubscribe", json!({"sids": [sid]})).await;
                        }
                        continue 'subscribed;
                    }
                }
            }
        }
        resyncs += 1;
    }
}

/// Runs 3,000 messages with a fault at three of them and compares all books with the truth.
async fn survives(name: &str, faults: WireFaults) {
    let twin = spawn(VenueConfig { faults, ..VenueConfig::default() });
    let (done, is_done) = tokio::sync::watch::channel(false);
    let play = async {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            twin.step(100).await;
        }
        assert!(twin.quiesce().await);
        done.send_replace(true);
    };
    let ((reference, resyncs), ()) = tokio::join!(follow(&twin, &is_done), play);
    for ticker in twin.tickers() {
        assert_eq!(reference.books.get(&ticker), twin.truth(&ticker).as_ref(), "{name} {ticker}");
    }
    assert!(resyncs > 0, "{name} was never noticed");
    twin.shutdown().await;
}

#[tokio::test]
async fn every_fault_is_survived_with_the_true_book() {
    // Several in a row, so that one of them is a delta that the client would get.
    let at = || -> BTreeSet<u64> { (1_000..1_004).collect() };
    let none = WireFaults::default;
    survives("drop", WireFaults { drop: at(), ..none() }).await;
    survives("duplicate", WireFaults { duplicate: at(), ..none() }).await;
    survives("reorder", WireFaults { reorder: BTreeSet::from([1_000]), ..none() }).await;
    survives("cut", WireFaults { cut: at(), ..none() }).await;
    survives("garbage", WireFaults { garbage: at(), ..none() }).await;
    survives("overflow", WireFaults { overflow: at(), ..none() }).await;
    survives("rewind", WireFaults { rewind: at(), ..none() }).await;
    survives("zombie", WireFaults { zombie: at(), ..none() }).await;
    survives("corrupt", WireFaults { corrupt: at(), ..none() }).await;
}
