//! Each fault, seen on the wire exactly as it is described.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sim::WireFaults;
use sim::edge::kalshi::KalshiTwinHandle;
use sim::venues::kalshi::{MarketSpec, VenueConfig};

use crate::client::{Client, Reference, fixed, spawn};

/// A twin of one market whose message 4 is a delta, with a client that has its snapshot (seq 1).
async fn one_market(faults: WireFaults) -> (KalshiTwinHandle, Client, u64, String) {
    let markets = vec![MarketSpec::new("KXONE-26DEC31-T1", 500_000)];
    let twin = spawn(VenueConfig { seed: 3, markets, faults, ..VenueConfig::default() });
    let ticker = twin.tickers()[0].clone();
    let mut client = Client::connect(&twin).await;
    let sid = client.subscribe("orderbook_delta", std::slice::from_ref(&ticker)).await;
    assert_eq!(client.hear().await["seq"], 1);
    (twin, client, sid, ticker)
}

/// Steps ten messages and hears them; the first five must be deltas.
async fn ten(twin: &KalshiTwinHandle, client: &mut Client) -> Vec<Value> {
    assert_eq!(twin.step(10).await, 10);
    client.hear_all(150).await
}

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames.iter().filter_map(|frame| frame["seq"].as_u64()).collect()
}

fn at(number: u64) -> BTreeSet<u64> {
    BTreeSet::from([number])
}

/// The frames of a run without faults.
async fn healthy() -> Vec<Value> {
    let (twin, mut client, ..) = one_market(WireFaults::default()).await;
    let frames = ten(&twin, &mut client).await;
    assert!(frames.len() >= 7 && twin.trades().iter().all(|_| frames.len() < 10), "{frames:?}");
    twin.shutdown().await;
    frames
}

/// The message number of the delta with sequence number 5 in a healthy run.
async fn number_of_fifth() -> u64 {
    let (twin, ..) = one_market(WireFaults::default()).await;
    let (mut number, mut deltas) = (0, 1);
    loop {
        let trades = twin.trades().len();
        twin.burst(1);
        deltas += u64::from(twin.trades().len() == trades);
        if deltas == 5 {
            return number;
        }
        number += 1;
    }
}

#[tokio::test]
async fn without_faults_the_sequence_is_whole() {
    let frames = healthy().await;
    let want: Vec<u64> = (2..2 + frames.len() as u64).collect();
    assert_eq!(seqs(&frames), want);
}

#[tokio::test]
async fn drop_uses_a_number_and_sends_nothing() {
    let drop = at(number_of_fifth().await);
    let (twin, mut client, ..) = one_market(WireFaults { drop, ..WireFaults::default() }).await;
    let frames = ten(&twin, &mut client).await;
    assert_eq!(seqs(&frames)[..4], [2, 3, 4, 6]);
    assert_eq!((twin.stats().dropped, frames.len()), (1, healthy().await.len() - 1));
    twin.shutdown().await;
}

#[tokio::test]
async fn duplicate_sends_the_same_number_twice() {
    let duplicate = at(number_of_fifth().await);
    let (twin, mut client, ..) = one_market(WireFaults { duplicate, ..WireFaults::default() }).await;
    let frames = ten(&twin, &mut client).await;
    assert_eq!(seqs(&frames)[..6], [2, 3, 4, 5, 5, 6]);
    assert_eq!(frames[3], frames[4]);
    twin.shutdown().await;
}

#[tokio::test]
async fn reorder_swaps_with_the_successor() {
    let reorder = at(number_of_fifth().await);
    let (twin, mut client, ..) = one_market(WireFaults { reorder, ..WireFaults::default() }).await;
    let frames = ten(&twin, &mut client).await;
    assert_eq!(seqs(&frames)[..6], [2, 3, 4, 6, 5, 7]);
    assert_eq!(frames.len(), healthy().await.len());
    twin.shutdown().await;
}

#[tokio::test]
async fn a_held_frame_is_sent_when_the_venue_falls_quiet() {
    let (twin, mut client, ..) =
        one_market(WireFaults { reorder: (0..9).collect(), ..WireFaults::default() }).await;
    twin.step(1).await;
    assert!(client.hear_all(100).await.is_empty() || !twin.trades().is_empty());
    assert!(twin.quiesce().await);
    assert_eq!(seqs(&client.hear_all(100).await), [2]);
    twin.shutdown().await;
}

#[tokio::test]
async fn cut_ends_the_connection_without_a_goodbye() {
    let cut = at(number_of_fifth().await);
    let (twin, mut client, _, ticker) = one_market(WireFaults { cut, ..WireFaults::default() }).await;
    twin.step(10).await;
    let mut heard = Vec::new();
    while let Some(text) = client.hear_text().await {
        heard.push(serde_json::from_str(&text).unwrap());
    }
    assert_eq!(seqs(&heard), [2, 3, 4]);
    // Opened anew it serves the truth.
    let mut client = Client::connect(&twin).await;
    client.subscribe("orderbook_delta", std::slice::from_ref(&ticker)).await;
    let mut reference = Reference::default();
    reference.apply(&client.hear().await);
    assert_eq!(reference.books.get(&ticker), twin.truth(&ticker).as_ref());
    twin.shutdown().await;
}

#[tokio::test]
async fn garbage_is_no_json_and_uses_no_number() {
    let garbage = at(number_of_fifth().await);
    let (twin, mut client, ..) = one_market(WireFaults { garbage, ..WireFaults::default() }).await;
    let frames = ten(&twin, &mut client).await;
    assert!(frames[3].is_string(), "{}", frames[3]);
    assert_eq!(seqs(&frames)[..4], [2, 3, 4, 5]);
    twin.shutdown().await;
}

#[tokio::test]
async fn overflow_is_error_25_and_the_end_of_the_subscription() {
    let overflow = at(number_of_fifth().await);
    let (twin, mut client, sid, _) = one_market(WireFaults { overflow, ..WireFaults::default() }).await;
    let frames = ten(&twin, &mut client).await;
    let want = json!({"type": "error", "sid": sid, "seq": 5, "msg": {"code": 25, "msg": "Subscription buffer overflow"}});
    assert_eq!((frames.len(), &frames[3]), (4, &want));
    twin.shutdown().await;
}

#[tokio::test]
async fn a_full_queue_is_error_25_too() {
    let twin = spawn(VenueConfig { buffer: 50, ..VenueConfig::default() });
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    client.subscribe("orderbook_delta", &tickers).await;
    client.hear_all(100).await;
    assert_eq!(twin.burst(500), 500);
    let frames = client.hear_all(150).await;
    assert_eq!((frames.len(), &frames[50]["msg"]["code"]), (51, &json!(25)));
    assert_eq!(seqs(&frames), (17..=67).collect::<Vec<_>>());
    assert_eq!(twin.stats().overflows, 1);
    twin.shutdown().await;
}

#[tokio::test]
async fn rewind_begins_again_at_1_on_the_same_sid() {
    let rewind = at(number_of_fifth().await);
    let (twin, mut client, sid, _) = one_market(WireFaults { rewind, ..WireFaults::default() }).await;
    let frames = ten(&twin, &mut client).await;
    assert_eq!(seqs(&frames)[..5], [2, 3, 4, 1, 2]);
    assert!(frames.iter().all(|frame| frame["sid"] == sid));
    twin.shutdown().await;
}

#[tokio::test]
async fn a_zombie_answers_pings_and_says_nothing() {
    let zombie = at(number_of_fifth().await);
    let venue = VenueConfig {
        seed: 3,
        markets: vec![MarketSpec::new("KXONE-26DEC31-T1", 500_000)],
        faults: WireFaults { zombie, ..WireFaults::default() },
        ..VenueConfig::default()
    };
    let config = sim::edge::kalshi::KalshiTwinConfig {
        ping_every: std::time::Duration::from_millis(20),
        ..crate::client::config(venue)
    };
    let twin = sim::edge::kalshi::KalshiTwin::spawn(config).unwrap();
    let mut client = Client::connect(&twin).await;
    client.subscribe("orderbook_delta", &twin.tickers()).await;
    assert_eq!(seqs(&ten(&twin, &mut client).await), [1, 2, 3, 4]);
    client.say("list_subscriptions", Value::Null).await;
    for _ in 0..3 {
        let message = client.hear_message().await.unwrap();
        assert!(message.is_ping(), "{message}");
        assert_eq!(message.into_data().as_ref(), b"heartbeat");
    }
    twin.shutdown().await;
}

#[tokio::test]
async fn corrupt_takes_more_than_there_is_and_the_truth_does_not() {
    let corrupt = at(number_of_fifth().await);
    let (twin, mut client, _, ticker) = one_market(WireFaults { corrupt, ..WireFaults::default() }).await;
    let (frames, healthy) = (ten(&twin, &mut client).await, healthy().await);
    let differ: Vec<usize> = (0..frames.len())
        .filter(|at| fixed(&frames[*at]["msg"]["delta_fp"], 2) != fixed(&healthy[*at]["msg"]["delta_fp"], 2))
        .collect();
    assert_eq!(differ, [3]);
    assert!(twin.truth(&ticker).unwrap().yes.values().all(|qty| *qty > 0));
    let mut client = Client::connect(&twin).await;
    client.subscribe("orderbook_delta", std::slice::from_ref(&ticker)).await;
    let snapshot = client.hear().await;
    let before = frames[..3].iter().chain([&frames[3]]).filter(|f| same_level(f, &frames[3]));
    assert!(before.map(|f| fixed(&f["msg"]["delta_fp"], 2)).sum::<i64>() < 0, "{snapshot}");
    twin.shutdown().await;
}

fn same_level(a: &Value, b: &Value) -> bool {
    ["price_dollars", "side"].iter().all(|key| a["msg"][key] == b["msg"][key])
}

#[tokio::test]
async fn tick_change_is_told_on_the_lifecycle_channel_of_a_live_book() {
    let tick_change = at(number_of_fifth().await);
    let (twin, mut client, _, ticker) = one_market(WireFaults { tick_change, ..WireFaults::default() }).await;
    let mut lifecycle = Client::connect(&twin).await;
    lifecycle.subscribe("market_lifecycle_v2", &[]).await;
    let frames = ten(&twin, &mut client).await;
    let told = lifecycle.hear().await;
    assert_eq!(
        (&told["seq"], &told["msg"]["event_type"]),
        (&json!(1), &json!("price_level_structure_updated"))
    );
    assert_eq!(told["msg"]["price_level_structure"], "tapered_deci_cent");
    let ranges = json!([
        {"start": "0.0000", "end": "0.1000", "step": "0.0010"},
        {"start": "0.1000", "end": "0.9000", "step": "0.0100"},
        {"start": "0.9000", "end": "1.0000", "step": "0.0010"},
    ]);
    assert_eq!(told["msg"]["price_ranges"], ranges);
    let whole: Vec<u64> = (2..2 + frames.len() as u64).collect();
    assert_eq!(seqs(&frames), whole, "the book's own sequence goes on");
    assert_eq!(told["msg"]["market_ticker"], ticker.as_str());
    twin.shutdown().await;
}
