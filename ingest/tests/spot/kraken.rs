//! Kraken's WebSocket v2 in its documented forms: subscription, books, rows, refusals. Members come in alphabetical
//! order here, so that nothing can rest on the order of the documents.

use ingest::book::{Book, Level};
use ingest::venue::VenueMachine;
use ingest::venue::kraken::{Kraken, KrakenConfig, checksum};
use schemas::BookSide::{Ask, Bid};
use schemas::{BookState, GapReason, TapeBody, Timestamp};
use serde_json::{Value, json};

use crate::driver::Driver;

/// Prices at 1, quantities at 8 decimals.
fn instruments() -> Value {
    json!({"channel": "instrument", "type": "snapshot", "data": {"assets": [{"id": "USD"}], "pairs": [
        {"symbol": "BTC/USD", "base": "BTC", "price_precision": 1, "qty_precision": 8, "status": "online"},
        {"symbol": "OLD/USD", "price_precision": 4, "qty_precision": 2},
    ]}})
}

fn sum(bids: &[(i64, i64)], asks: &[(i64, i64)]) -> u32 {
    let mut book = Book::default();
    for (side, levels) in [(Bid, bids), (Ask, asks)] {
        for (price, qty) in levels {
            book.set(side, *price, *qty);
        }
    }
    checksum(&book)
}

fn snapshot() -> Value {
    let sum = sum(&[(452_835, 10_000_000), (452_834, 154_582_015)], &[(452_852, 100_000), (452_900, 50)]);
    serde_json::from_str(&format!(
        r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"BTC/USD",
            "bids":[{{"price":45283.5,"qty":0.1}},{{"price":45283.4,"qty":1.54582015}}],
            "asks":[{{"price":45285.2,"qty":0.001}},{{"price":45290,"qty":5e-7}}],
            "checksum":{sum},"timestamp":"2026-01-02T03:04:05.000001Z"}}]}}"#
    ))
    .unwrap()
}

fn update(bid: &str, qty: &str, sum: u32) -> Value {
    serde_json::from_str(&format!(
        r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{{"price":{bid},"qty":{qty}}}],
            "asks":[],"checksum":{sum},"timestamp":"2026-01-02T03:04:06.5Z"}}]}}"#
    ))
    .unwrap()
}

fn good_sum() -> u32 {
    sum(&[(452_835, 25_000_000), (452_834, 154_582_015)], &[(452_852, 100_000), (452_900, 50)])
}

fn started() -> Driver<Kraken> {
    let config = KrakenConfig::new(vec!["BTC/USD".to_owned(), "NEW/USD".to_owned()]);
    let mut driver = Driver::new(Kraken::new(config), Timestamp::from_secs(1_700_000_000));
    driver.start();
    driver
}

fn say(driver: &mut Driver<Kraken>, frame: &Value) {
    driver.frame(frame.to_string().as_bytes());
}

fn live() -> Driver<Kraken> {
    let mut driver = started();
    say(&mut driver, &instruments());
    say(&mut driver, &snapshot());
    assert_eq!(driver.machine.shelf().live(), 1);
    driver.sent.clear();
    driver
}

#[test]
fn books_are_subscribed_once_their_precision_is_known() {
    let mut driver = started();
    let first: Value = serde_json::from_str(&driver.sent[0]).unwrap();
    assert_eq!((driver.sent.len(), &first["params"]["channel"]), (1, &json!("instrument")));
    say(&mut driver, &json!({"channel": "status", "type": "update", "data": [{"system": "online"}]}));
    say(&mut driver, &instruments());
    let asked: Vec<Value> = driver.sent[1..].iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let channels: Vec<_> = asked.iter().map(|text| text["params"]["channel"].as_str().unwrap()).collect();
    assert_eq!(channels, ["book", "trade", "ticker", "ohlc"]);
    // NEW/USD is not listed and not asked for.
    assert_eq!(asked[0]["params"], json!({"channel": "book", "symbol": ["BTC/USD"], "depth": 1000}));
    say(&mut driver, &snapshot());
    let shelf = driver.machine.shelf();
    let slot = shelf.by_name("BTC/USD").unwrap();
    assert_eq!((slot.instrument.price_decimals, slot.instrument.qty_decimals), (1, 8));
    assert_eq!(slot.book.best(Bid), Some(Level { price: 452_835, qty: 10_000_000 }));
    assert_eq!(slot.book.side(Ask)[0], Level { price: 452_900, qty: 50 });
    assert_eq!((shelf.counts.checksums_ok, shelf.counts.quarantined), (1, 0));
}

#[test]
fn the_instruments_that_never_come_cost_the_connection() {
    let mut driver = started();
    let conn = driver.conn;
    let to = driver.now.plus(6_000_000_000);
    driver.advance(to);
    assert_eq!((driver.closes, driver.conn), (1, conn + 1));
}

#[test]
fn an_update_is_verified_and_a_bad_sum_costs_the_book() {
    let mut driver = live();
    say(&mut driver, &update("45283.5", "0.25", good_sum()));
    let row = driver.rows.last().unwrap();
    assert_eq!(row.body, TapeBody::Level { side: Bid, price: 452_835, qty: 25_000_000, snapshot: false });
    assert_eq!(row.times.venue_at, Some(Timestamp(1_767_323_046_500_000_000)));
    say(&mut driver, &update("45283.5", "0.26", good_sum()));
    let shelf = driver.machine.shelf();
    assert_eq!((shelf.counts.checksums_ok, shelf.counts.checksums_bad, shelf.counts.gaps), (2, 1, 1));
    assert!(matches!(
        shelf.by_name("BTC/USD").unwrap().state,
        BookState::Gap { reason: GapReason::Checksum, .. }
    ));
    let methods: Vec<_> = driver
        .sent
        .iter()
        .map(|text| serde_json::from_str::<Value>(text).unwrap()["method"].clone())
        .collect();
    assert_eq!(methods, [json!("unsubscribe"), json!("subscribe")]);
    // What still comes for the old subscription changes nothing.
    say(&mut driver, &update("45283.5", "0.25", good_sum()));
    assert!(driver.machine.shelf().by_name("BTC/USD").unwrap().book.is_empty());
    say(&mut driver, &snapshot());
    let shelf = driver.machine.shelf();
    assert_eq!((shelf.live(), shelf.counts.stale_dropped), (1, 1));
    let closed = |body: &TapeBody| matches!(body, TapeBody::State(BookState::Gap { to: Some(_), .. }));
    assert_eq!(driver.count(closed), 1);
}

#[test]
fn more_digits_than_the_precision_are_not_rounded() {
    let mut driver = live();
    say(&mut driver, &update("45283.55", "0.25", good_sum()));
    let shelf = driver.machine.shelf();
    assert_eq!((shelf.counts.quarantined, shelf.live()), (1, 0));
    assert!(matches!(
        shelf.by_name("BTC/USD").unwrap().state,
        BookState::Gap { reason: GapReason::Unreadable, .. }
    ));
}

#[test]
fn the_depth_is_kept_after_every_update() {
    let mut driver = live();
    say(
        &mut driver,
        &json!({"method": "subscribe", "success": true, "time_in": "x", "time_out": "y",
        "result": {"channel": "book", "depth": 10, "snapshot": true, "symbol": "BTC/USD"}}),
    );
    let mut bids = vec![(452_835, 10_000_000), (452_834, 154_582_015)];
    for at in 0..12 {
        bids.push((452_836 + at, 100_000_000));
        let sum = sum(&bids, &[(452_852, 100_000), (452_900, 50)]);
        say(&mut driver, &update(&format!("{}", (452_836 + at) as f64 / 10.0), "1.0", sum));
    }
    let shelf = driver.machine.shelf();
    assert_eq!(shelf.by_name("BTC/USD").unwrap().book.side(Bid).len(), 10);
    assert_eq!((shelf.counts.checksums_bad, shelf.counts.checksums_ok), (0, 13));
}

#[test]
fn trades_candles_and_best_prices_become_rows() {
    let mut driver = live();
    let trade = |id: i64, side: &str| {
        json!({"symbol": "BTC/USD", "side": side, "price": 45284.0, "qty": 0.5, "ord_type": "market",
            "trade_id": id, "timestamp": "2026-01-02T03:04:05Z"})
    };
    say(
        &mut driver,
        &json!({"channel": "trade", "type": "snapshot", "data": [trade(7, "sell"), trade(8, "buy")]}),
    );
    say(
        &mut driver,
        &json!({"channel": "trade", "type": "update", "data": [trade(8, "buy"), trade(9, "sell")]}),
    );
    let trades: Vec<_> = driver
        .rows
        .iter()
        .filter_map(|row| match &row.body {
            TapeBody::Trade(trade) => Some((trade.id[15], trade.taker, trade.price, trade.qty)),
            _ => None,
        })
        .collect();
    let (price, qty) = (452_840, 50_000_000);
    let want = [(7, Some(Ask), price, qty), (8, Some(Bid), price, qty), (9, Some(Ask), price, qty)];
    assert_eq!((trades, driver.machine.shelf().counts.duplicates), (want.to_vec(), 1));
    say(
        &mut driver,
        &json!({"channel": "ohlc", "type": "update", "timestamp": "2026-01-02T03:04:05Z", "data": [
        {"symbol": "BTC/USD", "open": 45280, "high": 45290.1, "low": 45279.9, "close": 45284, "trades": 2,
         "volume": 1.5, "vwap": 45283.77, "interval_begin": "2026-01-02T03:04:00.000000000Z", "interval": 1,
         "timestamp": "2026-01-02T03:05:00.000000Z"}]}),
    );
    let Some(TapeBody::Candle(candle)) = driver.rows.last().map(|row| &row.body) else { panic!("no candle") };
    assert_eq!(
        (candle.interval_s, candle.high, candle.volume, candle.closed),
        (60, Some(452_901), 150_000_000, false)
    );
    say(
        &mut driver,
        &json!({"channel": "ticker", "type": "update", "data": [
        {"symbol": "BTC/USD", "bid": 45283.5, "bid_qty": 0.1, "ask": 45285.2, "ask_qty": 0.001, "last": 1.0}]}),
    );
    assert!(matches!(driver.rows.last().unwrap().body, TapeBody::Quote { bid: Some(_), ask: Some(_) }));
    say(&mut driver, &json!({"channel": "heartbeat"}));
    say(&mut driver, &json!({"method": "pong", "req_id": 1, "time_in": "x", "time_out": "y"}));
    assert_eq!((driver.machine.shelf().counts.quarantined, driver.machine.shelf().live()), (0, 1));
}

#[test]
fn a_trade_that_cannot_be_read_costs_no_book() {
    let mut driver = live();
    say(
        &mut driver,
        &json!({"channel": "trade", "type": "update", "data": [{"symbol": "BTC/USD", "price": null}]}),
    );
    assert_eq!((driver.machine.shelf().counts.quarantined, driver.machine.shelf().live()), (1, 1));
}

#[test]
fn a_pair_that_is_refused_does_not_cost_the_connection() {
    let mut driver = started();
    say(&mut driver, &instruments());
    say(
        &mut driver,
        &json!({"method": "subscribe", "success": false, "symbol": "BTC/USD",
        "error": "Currency pair not supported BTC/USD", "time_in": "x", "time_out": "y"}),
    );
    for _ in 0..50 {
        let to = driver.now.plus(10_000_000_000);
        driver.advance(to);
        say(&mut driver, &json!({"channel": "heartbeat"}));
        if !std::mem::take(&mut driver.sent).is_empty() {
            say(
                &mut driver,
                &json!({"method": "subscribe", "success": false, "symbol": "BTC/USD", "error": "no"}),
            );
        }
    }
    assert_eq!((driver.closes, driver.conn), (0, 1));
    assert!(driver.machine.shelf().counts.venue_errors > 1);
}

#[test]
fn another_precision_costs_the_book() {
    let mut driver = live();
    say(
        &mut driver,
        &json!({"channel": "instrument", "type": "update", "data": {"pairs": [
        {"symbol": "BTC/USD", "price_precision": 2, "qty_precision": 8}]}}),
    );
    assert_eq!((driver.machine.shelf().live(), driver.machine.shelf().counts.gaps), (0, 1));
}
