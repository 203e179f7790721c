//! Each fault, seen on the wire exactly as it is described.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use sim::WireFaults;
use sim::edge::binance::{BinanceTwin, BinanceTwinConfig, BinanceTwinHandle};
use sim::venues::binance::{BinanceConfig, SymbolSpec};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, spawn};

/// The message that is hit: a depth event with this seed (checked by the healthy run).
const HIT: u64 = 7;

fn venue(faults: WireFaults) -> BinanceConfig {
    BinanceConfig {
        seed: 2,
        symbols: vec![SymbolSpec::new("BTCUSDT", 60_000)],
        faults,
        ..BinanceConfig::default()
    }
}

/// Twelve messages of one symbol as a client hears them, and the twin.
async fn twelve(faults: WireFaults) -> (BinanceTwinHandle, Vec<Value>) {
    let twin = spawn(venue(faults));
    let mut client = Client::streams(&twin, "btcusdt@depth@100ms/btcusdt@trade").await;
    twin.with(|venue, _| (0..12).for_each(|_| assert!(venue.step(1_700_000_000_000))));
    let frames = client.hear_all(150).await;
    (twin, frames)
}

fn hit() -> BTreeSet<u64> {
    BTreeSet::from([HIT])
}

async fn healthy() -> Vec<Value> {
    let frames = twelve(WireFaults::default()).await.1;
    assert_eq!(frames.len(), 12);
    assert!(
        frames[HIT as usize]["data"]["e"] == "depthUpdate"
            && frames[HIT as usize + 1]["data"]["e"] == "depthUpdate"
    );
    frames
}

#[tokio::test]
async fn drop_is_a_hole_in_the_ids() {
    let mut want = healthy().await;
    let (twin, frames) = twelve(WireFaults { drop: hit(), ..WireFaults::default() }).await;
    want.remove(HIT as usize);
    assert_eq!(frames, want);
    assert_eq!(twin.stats().dropped, 1);
    twin.shutdown().await;
}

#[tokio::test]
async fn duplicate_reorder_and_garbage() {
    let want = healthy().await;
    let at = HIT as usize;
    let (_, frames) = twelve(WireFaults { duplicate: hit(), ..WireFaults::default() }).await;
    assert_eq!((frames.len(), &frames[at], &frames[at + 1]), (13, &want[at], &want[at]));
    let (_, frames) = twelve(WireFaults { reorder: hit(), ..WireFaults::default() }).await;
    assert_eq!((frames.len(), &frames[at], &frames[at + 1]), (12, &want[at + 1], &want[at]));
    let (_, frames) = twelve(WireFaults { garbage: hit(), ..WireFaults::default() }).await;
    assert!(frames[at].is_string());
    assert_eq!((frames.len(), &frames[at + 1]), (13, &want[at]));
}

#[tokio::test]
async fn cut_and_overflow_end_the_connection_without_a_close_frame() {
    for faults in [
        WireFaults { cut: hit(), ..WireFaults::default() },
        WireFaults { overflow: hit(), ..WireFaults::default() },
    ] {
        let twin = spawn(venue(faults));
        let mut client = Client::streams(&twin, "btcusdt@depth@100ms/btcusdt@trade").await;
        twin.burst(12);
        for _ in 0..HIT {
            assert!(client.hear_message().await.unwrap().is_ok());
        }
        let last = client.hear_message().await;
        assert!(!matches!(last, Some(Ok(_))), "{last:?}");
        twin.shutdown().await;
    }
}

#[tokio::test]
async fn a_full_queue_cuts_the_connection() {
    let twin = spawn(BinanceConfig { buffer: 50, ..venue(WireFaults::default()) });
    let mut client = Client::streams(&twin, "btcusdt@depth@100ms/btcusdt@trade").await;
    twin.burst(500);
    assert_eq!(client.hear_all(150).await.len(), 50);
    assert_eq!(twin.stats().cuts, 1);
    twin.shutdown().await;
}

#[tokio::test]
async fn rewind_jumps_back_and_goes_on_contiguously() {
    let want = healthy().await;
    let at = HIT as usize;
    let (twin, frames) = twelve(WireFaults { rewind: hit(), ..WireFaults::default() }).await;
    for (place, (frame, want)) in frames.iter().zip(&want).enumerate() {
        let back = if place < at { 0 } else { 500 };
        for key in ["U", "u"] {
            assert_eq!(
                frame["data"][key].as_u64(),
                want["data"][key].as_u64().map(|id| id - back),
                "{place}"
            );
        }
        assert_eq!(frame["data"]["b"], want["data"]["b"]);
    }
    assert_eq!(twin.stats().rewinds, 1);
    twin.shutdown().await;
}

#[tokio::test]
async fn a_zombie_pings_and_says_nothing() {
    let faults = WireFaults { zombie: hit(), ..WireFaults::default() };
    let ping_every = Duration::from_millis(20);
    let config = BinanceTwinConfig { venue: venue(faults), ping_every, ..BinanceTwinConfig::default() };
    let twin = BinanceTwin::spawn(config).unwrap();
    let mut client = Client::streams(&twin, "btcusdt@depth@100ms/btcusdt@trade").await;
    twin.step(12).await;
    assert_eq!(client.hear_all(100).await.len() as u64, HIT);
    client.say(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#).await;
    for _ in 0..3 {
        assert!(client.hear_message().await.unwrap().unwrap().is_ping());
    }
    twin.shutdown().await;
}

#[tokio::test]
async fn corrupt_crosses_the_told_book_and_not_the_true_one() {
    let want = healthy().await;
    let at = HIT as usize;
    let (twin, frames) = twelve(WireFaults { corrupt: hit(), ..WireFaults::default() }).await;
    let bids = |frame: &Value| frame["data"]["b"].as_array().unwrap().len();
    assert_eq!(bids(&frames[at]), bids(&want[at]) + 1);
    let book = twin.truth("BTCUSDT").unwrap();
    assert!(book.best_bid().unwrap().0 < book.best_ask().unwrap().0);
    let others = |frames: &[Value]| {
        frames.iter().enumerate().filter(|(p, _)| *p != at).map(|(_, f)| f.clone()).collect::<Vec<_>>()
    };
    assert_eq!(others(&frames), others(&want));
    twin.shutdown().await;
}

#[tokio::test]
async fn an_old_connection_is_closed_with_a_goodbye() {
    let max_age = Duration::from_millis(50);
    let twin = BinanceTwin::spawn(BinanceTwinConfig { max_age, ..BinanceTwinConfig::default() }).unwrap();
    let mut client = Client::streams(&twin, "btcusdt@trade").await;
    assert!(matches!(client.hear_message().await, Some(Ok(Message::Close(_)))));
    assert_eq!(BinanceTwinConfig::default().max_age, Duration::from_hours(24));
    twin.shutdown().await;
}
