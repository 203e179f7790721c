//! CLOB, Gamma and Data API: what they show, what they refuse, and that they show the truth.

use std::collections::BTreeMap;

use serde_json::Value;
use sim::RestFault;
use sim::edge::polymarket::{PolymarketHandle, PolymarketTwinConfig};

use crate::client::{get, http, micros, recomputed_hash, spawn};

fn twin() -> PolymarketHandle {
    spawn(PolymarketTwinConfig { markets: 120, ..Default::default() })
}

fn levels(book: &Value, key: &str) -> Vec<(i64, i64)> {
    let number = |level: &Value, key: &str| micros(level[key].as_str().unwrap());
    book[key].as_array().unwrap().iter().rev().map(|l| (number(l, "price"), number(l, "size"))).collect()
}

async fn post_books(twin: &PolymarketHandle, body: String) -> (u16, Value) {
    let reply = http().post(format!("{}/books", twin.rest_url)).body(body).send().await.unwrap();
    (reply.status().as_u16(), serde_json::from_str(&reply.text().await.unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn books_are_the_truth_and_their_hashes_hold() {
    let twin = twin();
    twin.step(500).await;
    let assets = twin.assets();
    let mut wanted: Vec<_> = assets[..40].iter().map(|id| serde_json::json!({ "token_id": id })).collect();
    wanted.push(serde_json::json!({ "token_id": "1" }));
    let (status, books) = post_books(&twin, Value::Array(wanted).to_string()).await;
    let books = books.as_array().unwrap();
    assert_eq!((status, books.len()), (200, 40), "an unknown token is left out");
    for (book, asset) in books.iter().zip(&assets) {
        let truth = twin.truth(asset).unwrap();
        assert_eq!(book["asset_id"], asset.as_str());
        assert_eq!((levels(book, "bids"), levels(book, "asks")), (truth.bids, truth.asks));
        assert_eq!(recomputed_hash(book), book["hash"].as_str().unwrap());
    }
    assert_eq!(post_books(&twin, "{}".to_owned()).await.0, 400);
    assert_eq!(get(&twin, "/book?token_id=1").await.0, 404);
    assert_eq!(get(&twin, "/book").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_clob_answers_follow_the_market() {
    let twin = twin();
    let ids = twin.markets()[0].clone();
    let token = &ids.tokens[0];
    let tick = format!("/tick-size?token_id={token}");
    assert_eq!(get(&twin, &tick).await.1["minimum_tick_size"], 0.01);
    twin.change_tick(0);
    assert_eq!(get(&twin, &tick).await.1["minimum_tick_size"], 0.001);
    let (_, market) = get(&twin, &format!("/clob-markets/{}", ids.condition)).await;
    assert_eq!((&market["mts"], &market["mos"]), (&0.001.into(), &5.into()));
    assert_eq!(market["fd"], serde_json::json!({ "r": 0.07, "e": 1, "to": true }));
    assert_eq!(market["t"][1]["t"], ids.tokens[1].as_str());
    assert_eq!(get(&twin, "/clob-markets/0x0").await.0, 404);
    twin.step_market(0, 400).await;
    let (_, history) = get(&twin, &format!("/prices-history?market={token}")).await;
    assert!(!history["history"].as_array().unwrap().is_empty());
    let long = format!("/prices-history?market={token}&startTs=1&endTs=2000000000");
    assert_eq!(get(&twin, &long).await.0, 400, "long ranges are asked for in chunks");
}

#[tokio::test(flavor = "multi_thread")]
async fn gamma_pages_filters_and_limits_its_ids() {
    let twin = twin();
    let ids: Vec<_> = twin.markets().into_iter().map(|m| m.condition).collect();
    let query = |count: usize| format!("/markets?condition_ids={}", ids[..count].join("&condition_ids="));
    assert_eq!(get(&twin, &query(100)).await.1.as_array().unwrap().len(), 100);
    let (status, _) = get(&twin, &query(101)).await;
    assert_eq!(status, 422);
    let mut pages = Vec::new();
    for offset in [0, 50, 100] {
        let (_, page) = get(&twin, &format!("/markets?limit=50&offset={offset}")).await;
        pages.push(page.as_array().unwrap().len());
    }
    assert_eq!(pages, [50, 50, 20]);
    twin.resolve(3, 1_000_000);
    let (_, closed) = get(&twin, "/markets?closed=true").await;
    let closed = closed.as_array().unwrap();
    assert_eq!(closed.len(), 1);
    let inner =
        |key: &str| -> Vec<String> { serde_json::from_str(closed[0][key].as_str().unwrap()).unwrap() };
    assert_eq!(inner("clobTokenIds"), twin.markets()[3].tokens);
    assert_eq!(inner("outcomePrices"), ["1", "0"]);
    assert_eq!(inner("outcomes"), ["Up", "Down"]);
    // By id a closed market is shown, in a listing it is not.
    let (_, named) = get(&twin, &format!("/markets?condition_ids={}", ids[3])).await;
    assert_eq!(named[0]["closed"], true);
    let (_, listing) = get(&twin, "/markets?limit=500").await;
    assert_eq!(listing.as_array().unwrap().len(), 119);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_holds_its_neg_risk_group() {
    let twin = twin();
    let (_, market) = get(&twin, "/markets?slug=twin-market-1").await;
    let slug = market[0]["events"][0]["slug"].as_str().unwrap().to_owned();
    let (_, event) = get(&twin, &format!("/events?slug={slug}")).await;
    let markets = event[0]["markets"].as_array().unwrap();
    assert_eq!((markets.len(), &event[0]["negRisk"]), (4, &true.into()));
    assert!(markets.iter().all(|m| m["negRiskMarketID"] == event[0]["negRiskMarketID"]));
    assert_eq!(
        markets[0]["feeSchedule"],
        serde_json::json!({ "rate": 0.07, "exponent": 1, "takerOnly": true, "rebateRate": 0.2 })
    );
    let (_, alone) = get(&twin, "/events?slug=twin-market-5").await;
    assert_eq!((alone[0]["markets"].as_array().unwrap().len(), &alone[0]["negRisk"]), (1, &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn gamma_knows_a_new_market_before_the_clob_does() {
    let twin = spawn(PolymarketTwinConfig { unlisted_requests: 3, ..Default::default() });
    let new = twin.list_market();
    let (_, gamma) = get(&twin, &format!("/markets?condition_ids={}", new.condition)).await;
    assert_eq!((&gamma[0]["active"], &gamma[0]["acceptingOrders"]), (&true.into(), &true.into()));
    let path = format!("/clob-markets/{}", new.condition);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(get(&twin, &path).await.0);
    }
    assert_eq!(statuses, [404, 404, 404, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn trades_and_resolutions_are_those_of_the_market_channel() {
    let twin = twin();
    twin.step_market(2, 600).await;
    let condition = twin.markets()[2].condition.clone();
    let (_, trades) = get(&twin, &format!("/trades?market={condition}&limit=500")).await;
    let trades = trades.as_array().unwrap();
    let logged =
        twin.log().iter().filter(|e| matches!(e, sim::edge::polymarket::LogEntry::Trade { .. })).count();
    assert!(logged > 5 && trades.len() == logged);
    let times: Vec<_> = trades.iter().map(|t| t["timestamp"].as_i64().unwrap()).collect();
    assert!(times.iter().rev().is_sorted(), "newest first");
    let path = format!("/v2/resolutions?condition={condition}");
    let status = |body: &Value| body["data"][0]["status"].as_str().unwrap().to_owned();
    assert_eq!(status(&get(&twin, &path).await.1), "initialized");
    twin.resolve(2, 500_000);
    let (_, split) = get(&twin, &path).await;
    assert_eq!(
        (status(&split).as_str(), &split["data"][0]["payouts"]),
        ("resolved", &serde_json::json!(["0.5", "0.5"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_wrong_where_asked_and_a_spent_budget_means_429() {
    let rest = BTreeMap::from([(1, RestFault::Status(500)), (2, RestFault::Garbage)]);
    let twin = spawn(PolymarketTwinConfig { rest, rest_budget: Some(4), ..Default::default() });
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(get(&twin, "/markets?limit=1").await.0);
    }
    assert_eq!(statuses, [200, 500, 200, 200, 429, 429]);
    twin.refill(1);
    assert_eq!(get(&twin, "/markets?limit=1").await.0, 200);
    assert_eq!(get(&twin, "/markets?limit=1").await.0, 429);
}
