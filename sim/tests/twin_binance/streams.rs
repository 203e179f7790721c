//! Streams by address and by frame; trades, candles and best prices.

use std::time::Duration;

use serde_json::json;
use sim::edge::binance::{BinanceTwin, BinanceTwinConfig};
use sim::venues::binance::BinanceConfig;

use crate::client::{Client, eight, get, spawn};

#[tokio::test]
async fn streams_are_subscribed_listed_and_left_by_frames() {
    let twin = spawn(BinanceConfig::default());
    let mut client = Client::at(&twin, "/ws").await;
    twin.step(50).await;
    client.say(r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth"],"id":7}"#).await;
    assert_eq!(client.hear().await, json!({"result": null, "id": 7}));
    twin.step(50).await;
    let frames = client.hear_all(100).await;
    assert!(
        !frames.is_empty()
            && frames.iter().all(|frame| frame.get("stream").is_none() && frame["s"] == "BTCUSDT")
    );
    client.say(r#"{"method":"LIST_SUBSCRIPTIONS","id":8}"#).await;
    assert_eq!(client.hear().await, json!({"result": ["btcusdt@aggTrade", "btcusdt@depth"], "id": 8}));
    client.say(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth"],"id":9}"#).await;
    assert_eq!(client.hear().await, json!({"result": null, "id": 9}));
    twin.step(50).await;
    assert!(client.hear_all(100).await.is_empty());
    client.say(r#"{"method":"TURN","id":10}"#).await;
    assert_eq!(client.hear().await["error"]["code"], 2);
    let mut raw = Client::at(&twin, "/ws/ethusdt@trade").await;
    while twin.stats().connections < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    twin.step(200).await;
    assert!(raw.hear_all(100).await.iter().all(|frame| frame["e"] == "trade" && frame["s"] == "ETHUSDT"));
    twin.shutdown().await;
}

#[tokio::test]
async fn every_trade_arrives_once_on_both_streams_and_over_rest() {
    let twin = spawn(BinanceConfig::default());
    let mut client = Client::streams(&twin, "btcusdt@trade/btcusdt@aggTrade").await;
    twin.step(1_000).await;
    let frames = client.hear_all(100).await;
    let trades = twin.trades("BTCUSDT");
    assert!(trades.len() > 40);
    for (stream, id) in [("btcusdt@trade", "t"), ("btcusdt@aggTrade", "a")] {
        let heard: Vec<_> = frames.iter().filter(|f| f["stream"] == stream).map(|f| &f["data"]).collect();
        assert_eq!(heard.len(), trades.len());
        for (data, trade) in heard.into_iter().zip(&trades) {
            assert_eq!(
                (data[id].as_u64(), eight(&data["p"]), eight(&data["q"])),
                (Some(trade.id), trade.price, trade.qty)
            );
            assert_eq!(
                (data["m"].as_bool(), data["T"].as_i64()),
                (Some(trade.buyer_is_maker), Some(trade.at_ms))
            );
        }
    }
    let rest = get(&twin, "/api/v3/aggTrades?symbol=BTCUSDT&fromId=11&limit=5").await.1;
    let ids: Vec<u64> = rest.as_array().unwrap().iter().map(|t| t["a"].as_u64().unwrap()).collect();
    assert_eq!(ids, [11, 12, 13, 14, 15]);
    twin.shutdown().await;
}

#[tokio::test]
async fn candles_close_once_and_sum_the_trades() {
    let start = 1_700_000_040_000;
    let config = BinanceTwinConfig { clock_ms: Some(start), ..BinanceTwinConfig::default() };
    let twin = BinanceTwin::spawn(config).unwrap();
    let mut client = Client::streams(&twin, "btcusdt@kline_1m").await;
    for _ in 0..3 {
        twin.step(300).await;
        twin.advance(Duration::from_mins(1));
    }
    let frames = client.hear_all(100).await;
    let closed: Vec<_> = frames.iter().map(|f| &f["data"]["k"]).filter(|k| k["x"] == true).collect();
    let starts: Vec<i64> = closed.iter().map(|k| k["t"].as_i64().unwrap()).collect();
    assert_eq!(starts, [start, start + 60_000]);
    for candle in closed {
        let open = candle["t"].as_i64().unwrap();
        let inside: Vec<_> =
            twin.trades("BTCUSDT").into_iter().filter(|t| (open..open + 60_000).contains(&t.at_ms)).collect();
        assert_eq!(eight(&candle["v"]), inside.iter().map(|t| t.qty).sum::<i64>());
        assert_eq!(Some(eight(&candle["h"])), inside.iter().map(|t| t.price).max());
        assert_eq!(Some(eight(&candle["l"])), inside.iter().map(|t| t.price).min());
        assert_eq!(
            (eight(&candle["o"]), eight(&candle["c"])),
            (inside[0].price, inside.last().unwrap().price)
        );
        assert_eq!(candle["n"].as_u64(), Some(inside.len() as u64));
    }
    twin.shutdown().await;
}

#[tokio::test]
async fn the_book_ticker_is_the_top_of_the_true_book() {
    let twin = spawn(BinanceConfig::default());
    let mut client = Client::streams(&twin, "btcusdt@bookTicker").await;
    twin.step(500).await;
    assert!(twin.quiesce().await);
    let last = client.hear_all(100).await.pop().unwrap()["data"].clone();
    let book = twin.truth("BTCUSDT").unwrap();
    let (bid, ask) = (book.best_bid().unwrap(), book.best_ask().unwrap());
    assert_eq!((eight(&last["b"]), eight(&last["B"])), bid);
    assert_eq!((eight(&last["a"]), eight(&last["A"])), ask);
    twin.shutdown().await;
}
