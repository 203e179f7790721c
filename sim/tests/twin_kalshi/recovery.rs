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
        // Longer than the silence that a client puts up with, so that a zombie is noticed.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            twin.step(30).await;
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
    let cases = [
        ("drop", WireFaults { drop: at(), ..none() }),
        ("duplicate", WireFaults { duplicate: at(), ..none() }),
        ("reorder", WireFaults { reorder: at(), ..none() }),
        ("cut", WireFaults { cut: at(), ..none() }),
        ("garbage", WireFaults { garbage: at(), ..none() }),
        ("overflow", WireFaults { overflow: at(), ..none() }),
        ("rewind", WireFaults { rewind: at(), ..none() }),
        ("zombie", WireFaults { zombie: at(), ..none() }),
        ("corrupt", WireFaults { corrupt: at(), ..none() }),
    ];
    futures_util::future::join_all(cases.map(|(name, faults)| survives(name, faults))).await;
}
