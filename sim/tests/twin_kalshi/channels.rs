//! The other channels: trades, tickers, lifecycle, indices, heartbeats.

use std::time::Duration;

use serde_json::{Value, json};
use sim::edge::kalshi::{KalshiTwin, KalshiTwinConfig, TwinClock};
use sim::venues::kalshi::{Lifecycle, MarketSpec, Structure, VenueConfig};

use crate::client::{Client, config, fixed, spawn};

#[tokio::test]
async fn every_trade_arrives_once_with_a_whole_sequence() {
    let twin = spawn(VenueConfig::default());
    let mut client = Client::connect(&twin).await;
    client.subscribe("trade", &[]).await;
    twin.step(2_000).await;
    let frames = client.hear_all(150).await;
    let trades = twin.trades();
    assert!(trades.len() > 100);
    assert_eq!(frames.len(), trades.len());
    for (place, (frame, trade)) in frames.iter().zip(&trades).enumerate() {
        let msg = &frame["msg"];
        assert_eq!((&frame["type"], frame["seq"].as_u64()), (&json!("trade"), Some(place as u64 + 1)));
        assert_eq!(
            (msg["trade_id"].as_str(), msg["market_ticker"].as_str()),
            (Some(&*trade.id), Some(&*trade.ticker))
        );
        let (yes, no) = (fixed(&msg["yes_price_dollars"], 6), fixed(&msg["no_price_dollars"], 6));
        assert_eq!((yes, yes + no), (trade.yes_price, 1_000_000));
        assert_eq!(fixed(&msg["count_fp"], 2), trade.count);
        assert_eq!(msg["ts_ms"].as_i64(), Some(trade.at_us / 1_000));
    }
    let ids: std::collections::BTreeSet<_> = trades.iter().map(|trade| &trade.id).collect();
    assert_eq!(ids.len(), trades.len());
    twin.shutdown().await;
}

#[tokio::test]
async fn the_ticker_is_the_top_of_the_true_book_and_has_no_sequence() {
    let twin = spawn(VenueConfig::default());
    let ticker = twin.tickers()[0].clone();
    let mut client = Client::connect(&twin).await;
    let params = json!({"channels": ["ticker"], "market_ticker": ticker, "send_initial_snapshot": true});
    client.say("subscribe", params).await;
    client.hear().await;
    assert_eq!(client.hear().await["type"], "ticker");
    twin.step(3_000).await;
    let frames = client.hear_all(150).await;
    let last = frames.last().unwrap();
    assert!(frames.iter().all(|frame| frame.get("seq").is_none() && frame["type"] == "ticker"));
    let book = twin.truth(&ticker).unwrap();
    let best =
        |side: &std::collections::BTreeMap<i64, i64>| side.last_key_value().map_or((0, 0), |(p, q)| (*p, *q));
    let ((bid, bid_size), (no, ask_size)) = (best(&book.yes), best(&book.no));
    assert_eq!(fixed(&last["msg"]["yes_bid_dollars"], 6), bid);
    assert_eq!(fixed(&last["msg"]["yes_ask_dollars"], 6), 1_000_000 - no);
    assert_eq!(fixed(&last["msg"]["yes_bid_size_fp"], 2), bid_size);
    assert_eq!(fixed(&last["msg"]["yes_ask_size_fp"], 2), ask_size);
    let volume: i64 = twin.trades().iter().filter(|t| t.ticker == ticker).map(|t| t.count).sum();
    assert_eq!(fixed(&last["msg"]["volume_fp"], 2), volume);
    twin.shutdown().await;
}

#[tokio::test]
async fn the_whole_life_of_a_market_is_told_in_order() {
    let twin = spawn(VenueConfig::default());
    let mut client = Client::connect(&twin).await;
    client.subscribe("market_lifecycle_v2", &[]).await;
    let ticker = "KXNEW-26DEC31-T5";
    let life = [
        Lifecycle::EventCreated { event: "KXNEW-26DEC31".to_owned(), series: "KXNEW".to_owned() },
        Lifecycle::Created(MarketSpec::new(ticker, 300_000)),
        Lifecycle::Deactivated(ticker.to_owned()),
        Lifecycle::Activated(ticker.to_owned()),
        Lifecycle::Structure(ticker.to_owned(), Structure::DeciCent),
        Lifecycle::Strike(ticker.to_owned(), 70_000),
        Lifecycle::CloseDate(ticker.to_owned(), 1_800_000_000),
        Lifecycle::EventFee { event: "KXNEW-26DEC31".to_owned(), fee: Some(("quadratic", 2)) },
        Lifecycle::EventFee { event: "KXNEW-26DEC31".to_owned(), fee: None },
        Lifecycle::Determined(ticker.to_owned(), "scalar", 500_000),
        Lifecycle::Settled(ticker.to_owned()),
    ];
    for event in &life {
        assert!(twin.happen(event), "{event:?}");
    }
    assert!(!twin.happen(&Lifecycle::Settled("KXNONE".to_owned())));
    let frames = client.hear_all(150).await;
    let seqs: Vec<u64> = frames.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=life.len() as u64).collect::<Vec<_>>());
    let kinds: Vec<&str> = frames
        .iter()
        .map(|frame| frame["msg"]["event_type"].as_str().unwrap_or_else(|| frame["type"].as_str().unwrap()))
        .collect();
    let want = [
        "event_lifecycle",
        "created",
        "deactivated",
        "activated",
        "price_level_structure_updated",
        "metadata_updated",
        "close_date_updated",
        "event_fee_update",
        "event_fee_update",
        "determined",
        "settled",
    ];
    assert_eq!(kinds, want);
    assert_eq!(frames[9]["msg"]["settlement_value"], "0.5000");
    assert_eq!(frames[8]["msg"]["fee_type_override"], Value::Null);
    let log: Vec<Value> = twin.lifecycles().into_iter().map(|sent| sent.msg).collect();
    let heard: Vec<Value> = frames.iter().map(|frame| frame["msg"].clone()).collect();
    assert_eq!(heard, log);
    assert!(twin.truth(ticker).is_some_and(|book| !book.yes.is_empty()));
    twin.shutdown().await;
}

#[tokio::test]
async fn indices_tick_each_second_and_their_windows_are_the_venues() {
    // Ninety seconds before a quarter of an hour.
    let close_ms = 1_782_873_900_000_i64;
    assert_eq!(close_ms % 900_000, 0);
    let clock = TwinClock::Manual((close_ms - 90_000) * 1_000);
    let twin = KalshiTwin::spawn(KalshiTwinConfig { clock, ..config(VenueConfig::default()) }).unwrap();
    let mut client = Client::connect(&twin).await;
    client.say("subscribe", json!({"channels": ["cfbenchmarks_value"], "index_ids": ["BRTI"]})).await;
    let sid = client.hear().await["msg"]["sid"].clone();
    client.say("update_subscription", json!({"sid": sid, "action": "indexlist"})).await;
    let list = client.hear().await;
    assert_eq!(list["type"], "cfbenchmarks_value_indexlist");
    assert_eq!(list["msg"]["index_ids"], json!(["BRTI", "ETHUSD_RTI"]));
    twin.advance(Duration::from_secs(100));
    let frames = client.hear_all(150).await;
    let ticks: Vec<_> = twin.index_ticks().into_iter().filter(|tick| tick.id == "BRTI").collect();
    assert_eq!((frames.len(), ticks.len()), (100, 100));
    let mean = |from: i64, to: i64, or: i64| {
        let inside: Vec<i64> =
            ticks.iter().filter(|t| t.at_ms >= from && t.at_ms < to).map(|t| t.value).collect();
        if inside.is_empty() { or } else { inside.iter().sum::<i64>() / inside.len() as i64 }
    };
    for (place, (frame, tick)) in frames.iter().zip(&ticks).enumerate() {
        let msg = &frame["msg"];
        assert_eq!(frame["seq"].as_u64(), Some(place as u64 + 2), "the index list used number 1");
        let trailing = mean(tick.at_ms - 60_000, tick.at_ms, tick.value);
        assert_eq!(fixed(&msg["avg_60s_data"]["value"], 8), trailing);
        assert_eq!(msg["avg_60s_data"]["window_size"].as_u64(), Some(place.min(60) as u64));
        let data: Value = serde_json::from_str(msg["data"].as_str().unwrap()).unwrap();
        assert_eq!((data["time"].as_i64(), fixed(&data["value"], 8)), (Some(tick.at_ms), tick.value));
        let second = (tick.at_ms - (close_ms - 60_000)) / 1_000;
        let windowed = msg.get("last_60s_windowed_average_15min");
        assert_eq!(windowed.is_some(), (1..=60).contains(&second), "{second}");
        if let Some(windowed) = windowed {
            assert_eq!(windowed["window_size"].as_i64(), Some(second));
            assert_eq!(fixed(&windowed["value"], 8), mean(close_ms - 59_999, tick.at_ms + 1, 0));
        }
    }
    twin.shutdown().await;
}

#[tokio::test]
async fn heartbeats_come_as_pings_with_that_body() {
    let twin = KalshiTwin::spawn(KalshiTwinConfig {
        ping_every: Duration::from_millis(10),
        ..config(VenueConfig::default())
    })
    .unwrap();
    let mut client = Client::connect(&twin).await;
    for _ in 0..3 {
        let message = client.hear_message().await.unwrap();
        assert!(message.is_ping());
        assert_eq!(message.into_data().as_ref(), b"heartbeat");
    }
    assert_eq!(KalshiTwinConfig::default().ping_every, Duration::from_secs(10));
    twin.shutdown().await;
}
