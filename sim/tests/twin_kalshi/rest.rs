//! The REST interface: pages, filters, truth, history, limits, signatures.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sim::edge::kalshi::{KalshiTwin, KalshiTwinConfig, KalshiTwinHandle, RestLimit, TwinClock};
use sim::venues::kalshi::{Book, Lifecycle, MarketSpec, VenueConfig};

use crate::client::{config, fixed, headers, wall_ms};

/// A limit that no test reaches.
const WIDE: RestLimit = RestLimit { refill_per_s: 1_000_000, capacity: 1_000_000, cost: 1 };

fn open(venue: VenueConfig) -> KalshiTwinHandle {
    KalshiTwin::spawn(KalshiTwinConfig { rest_limit: WIDE, ..config(venue) }).unwrap()
}

async fn get_with(twin: &KalshiTwinHandle, path: &str, headers: &[(&'static str, String)]) -> (u16, Value) {
    // A provider that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut request = reqwest::Client::new().get(format!("{}{path}", twin.rest_url));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let reply = request.send().await.unwrap();
    let status = reply.status().as_u16();
    (status, serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default())
}

async fn get(twin: &KalshiTwinHandle, path: &str) -> Value {
    let (status, body) = get_with(twin, path, &[]).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

async fn status(twin: &KalshiTwinHandle, path: &str) -> u16 {
    get_with(twin, path, &[]).await.0
}

/// All pages of a list.
async fn pages(twin: &KalshiTwinHandle, path: &str, key: &str) -> Vec<Value> {
    let (mut out, mut cursor) = (Vec::new(), String::new());
    loop {
        let body = get(twin, &format!("{path}&cursor={cursor}")).await;
        out.extend(body[key].as_array().unwrap().clone());
        body["cursor"].as_str().unwrap().clone_into(&mut cursor);
        if cursor.is_empty() {
            return out;
        }
    }
}

#[tokio::test]
async fn markets_come_in_pages_and_by_status() {
    let twin = open(VenueConfig { markets: MarketSpec::many(25), ..VenueConfig::default() });
    let listed = pages(&twin, "/markets?limit=10", "markets").await;
    let tickers: Vec<&str> = listed.iter().map(|m| m["ticker"].as_str().unwrap()).collect();
    assert_eq!(tickers, twin.tickers());
    assert!(twin.happen(&Lifecycle::Determined(tickers[3].to_owned(), "yes", 1_000_000)));
    assert!(twin.happen(&Lifecycle::Deactivated(tickers[4].to_owned())));
    for (filter, count) in [("open", 23), ("closed", 1), ("paused", 1), ("settled", 0), ("unopened", 0)] {
        let found = pages(&twin, &format!("/markets?status={filter}"), "markets").await;
        assert_eq!(found.len(), count, "{filter}");
    }
    assert_eq!(status(&twin, "/markets?status=active").await, 400, "the field's word is not the filter's");
    assert_eq!(status(&twin, "/markets?limit=1001").await, 400);
    assert_eq!(status(&twin, "/markets?cursor=x").await, 400);
    assert_eq!(status(&twin, "/markets/KXNONE").await, 404);
    let one = get(&twin, &format!("/markets/{}", tickers[3])).await;
    assert_eq!((&one["market"]["result"], &one["market"]["status"]), (&json!("yes"), &json!("determined")));
    assert_eq!(one["market"]["settlement_value_dollars"], "1.0000");
    let event = one["market"]["event_ticker"].as_str().unwrap();
    let event = get(&twin, &format!("/events/{event}")).await;
    assert_eq!(event["markets"].as_array().unwrap().len(), 5);
    assert_eq!(pages(&twin, "/events?limit=2", "events").await.len(), 5);
    assert_eq!(get(&twin, "/series/KXTWIN").await["series"]["fee_type"], "quadratic");
    twin.shutdown().await;
}

fn book_of(body: &Value) -> Book {
    let side = |key: &str| -> BTreeMap<i64, i64> {
        let levels = body[key].as_array().unwrap();
        levels.iter().map(|pair| (fixed(&pair[0], 6), fixed(&pair[1], 2))).collect()
    };
    Book { yes: side("yes_dollars"), no: side("no_dollars") }
}

#[tokio::test]
async fn order_books_and_trades_are_the_truth() {
    let twin = open(VenueConfig::default());
    twin.step(3_000).await;
    let tickers = twin.tickers();
    for ticker in &tickers {
        let body = get(&twin, &format!("/markets/{ticker}/orderbook")).await;
        assert_eq!(Some(book_of(&body["orderbook_fp"])), twin.truth(ticker));
    }
    let many = get(&twin, &format!("/markets/orderbooks?tickers={}", tickers.join(","))).await;
    assert_eq!(many["orderbooks"].as_array().unwrap().len(), tickers.len());
    assert_eq!(
        status(&twin, &format!("/markets/orderbooks?tickers={}", vec!["X"; 101].join(","))).await,
        400
    );
    let mut ids: Vec<String> = twin.trades().into_iter().map(|trade| trade.id).collect();
    ids.reverse();
    let listed = pages(&twin, "/markets/trades?limit=100", "trades").await;
    let heard: Vec<&str> = listed.iter().map(|trade| trade["trade_id"].as_str().unwrap()).collect();
    assert_eq!(heard, ids);
    twin.shutdown().await;
}

#[tokio::test]
async fn candles_join_the_minutes_and_have_no_price_without_a_trade() {
    let start_s = 1_782_864_000;
    let clock = TwinClock::Manual(start_s * 1_000_000);
    let config = KalshiTwinConfig { clock, rest_limit: WIDE, ..config(VenueConfig::default()) };
    let twin = KalshiTwin::spawn(config).unwrap();
    for _ in 0..3 {
        twin.step(1_000).await;
        twin.advance(Duration::from_mins(1));
    }
    let ticker = twin.tickers()[0].clone();
    let path = |minutes: i64| {
        format!(
            "/series/KXTWIN/markets/{ticker}/candlesticks?start_ts={start_s}&end_ts={}&period_interval={minutes}",
            start_s + 3_600
        )
    };
    let minutes = get(&twin, &path(1)).await["candlesticks"].as_array().unwrap().clone();
    let hours = get(&twin, &path(60)).await["candlesticks"].as_array().unwrap().clone();
    assert_eq!((minutes.len(), hours.len()), (3, 1));
    let ends: Vec<i64> = minutes.iter().map(|c| c["end_period_ts"].as_i64().unwrap()).collect();
    assert_eq!(ends, [start_s + 60, start_s + 120, start_s + 180]);
    let volume = |candle: &Value| fixed(&candle["volume_fp"], 2);
    let traded: i64 = twin.trades().iter().filter(|t| t.ticker == ticker).map(|t| t.count).sum();
    assert_eq!(volume(&hours[0]), traded);
    assert_eq!(minutes.iter().map(volume).sum::<i64>(), traded);
    let high = |c: &Value| fixed(&c["yes_bid"]["high_dollars"], 6);
    assert_eq!(Some(high(&hours[0])), minutes.iter().map(high).max());
    for candle in &minutes {
        assert_eq!(candle["price"]["open_dollars"].is_null(), volume(candle) == 0);
    }
    let bulk =
        format!("/markets/candlesticks?market_tickers={ticker}&start_ts={start_s}&end_ts={}", start_s + 180);
    assert_eq!(get(&twin, &bulk).await["markets"][0]["candlesticks"], json!(minutes));
    twin.shutdown().await;
}

#[tokio::test]
async fn a_pause_is_told_and_stops_everything() {
    let twin = open(VenueConfig::default());
    assert_eq!(get(&twin, "/exchange/status").await["trading_active"], true);
    twin.set_exchange(true, false);
    let told = get(&twin, "/exchange/status").await;
    assert_eq!((&told["exchange_active"], &told["trading_active"]), (&json!(true), &json!(false)));
    assert_eq!(told["exchange_index_statuses"][0]["trading_active"], false);
    assert_eq!(twin.step(10).await, 0);
    twin.set_exchange(true, true);
    assert_eq!(twin.step(10).await, 10);
    assert!(get(&twin, "/exchange/schedule").await["schedule"]["standard_hours"][0]["monday"].is_array());
    twin.shutdown().await;
}

#[tokio::test]
async fn history_takes_a_market_away_and_renames_its_fields() {
    let twin = open(VenueConfig::default());
    twin.step(500).await;
    let ticker = twin.tickers()[0].clone();
    let live = get(&twin, &format!("/markets/{ticker}")).await["market"].clone();
    assert!(live.get("yes_bid_dollars").is_some() && live.get("volume_fp").is_some());
    assert!(twin.to_history(&ticker));
    assert_eq!(status(&twin, &format!("/markets/{ticker}")).await, 404);
    assert_eq!(status(&twin, &format!("/markets/{ticker}/orderbook")).await, 404);
    let old = get(&twin, &format!("/historical/markets/{ticker}")).await["market"].clone();
    assert!(old.get("yes_bid_dollars").is_none() && old.get("volume_fp").is_none());
    assert_eq!((&old["yes_bid"], &old["volume"]), (&live["yes_bid_dollars"], &live["volume_fp"]));
    assert_eq!(pages(&twin, "/historical/markets?limit=5", "markets").await.len(), 1);
    assert_eq!(pages(&twin, "/markets?limit=100", "markets").await.len(), 15);
    for key in ["market_settled_ts", "trades_created_ts", "orders_updated_ts"] {
        assert!(get(&twin, "/historical/cutoff").await[key].is_string());
    }
    twin.shutdown().await;
}

#[tokio::test]
async fn too_many_requests_are_429_without_a_retry_time() {
    let rest_limit = RestLimit { refill_per_s: 1, capacity: 40, cost: 10 };
    let twin = KalshiTwin::spawn(KalshiTwinConfig { rest_limit, ..config(VenueConfig::default()) }).unwrap();
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(get_with(&twin, "/exchange/status", &[]).await);
    }
    assert!(seen[..4].iter().all(|(status, _)| *status == 200));
    assert_eq!(seen[5], (429, json!({"error": "too many requests"})));
    assert_eq!(twin.stats().rest_limited, 2);
    twin.shutdown().await;
}

#[tokio::test]
async fn a_signature_is_checked_where_there_is_one() {
    let twin = open(VenueConfig::default());
    let root = "/trade-api/v2";
    let good = headers(wall_ms(), &format!("{root}/markets"));
    assert_eq!(get_with(&twin, "/markets?limit=1", &good).await.0, 200, "the query is not signed");
    let old = headers(wall_ms() - 60_000, &format!("{root}/markets"));
    assert_eq!(get_with(&twin, "/markets", &old).await.0, 401);
    assert_eq!(get_with(&twin, "/events", &good).await.0, 401, "signed for another path");
    assert_eq!(status(&twin, "/account/limits").await, 401);
    let own = headers(wall_ms(), &format!("{root}/account/limits"));
    let (code, limits) = get_with(&twin, "/account/limits", &own).await;
    assert_eq!((code, &limits["read"]["bucket_capacity"]), (200, &json!(WIDE.capacity)));
    twin.shutdown().await;
}
