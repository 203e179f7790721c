//! Binance's streams in their documented forms: requests, the first event after a snapshot, rows, refusals.

use ingest::venue::VenueMachine;
use ingest::venue::binance::{Binance, BinanceConfig, Dialect};
use schemas::BookSide::{Ask, Bid};
use schemas::{BookState, GapReason, InstrumentKind, TapeBody, Timestamp, Venue};
use serde_json::{Value, json};

use crate::driver::Driver;

const SECOND: i64 = 1_000_000_000;
const SNAPSHOT: &str = r#"{"lastUpdateId":100,"E":2,"T":1,"bids":[["10.00","1.000"],["9.50","2.000"]],"asks":[["10.50","3.000"]]}"#;

fn started(dialect: Dialect, symbols: &[&str]) -> Driver<Binance> {
    let config = BinanceConfig::new(dialect, symbols.iter().map(|&name| name.to_owned()).collect());
    let mut driver = Driver::new(Binance::new(config), Timestamp::from_secs(1_700_000_000));
    driver.start();
    driver
}

/// Members come in alphabetical order.
fn event(first: i64, last: i64, previous: Option<i64>) -> Value {
    let mut event = json!({"e": "depthUpdate", "E": 7, "s": "ABCUSDT", "U": first, "u": last,
        "b": [["10.00", format!("{last}.000")]], "a": []});
    if let Some(previous) = previous {
        event["pu"] = previous.into();
        event["T"] = 6.into();
    }
    event
}

fn say(driver: &mut Driver<Binance>, frame: &Value) {
    driver.frame(frame.to_string().as_bytes());
}

/// A symbol whose first event asked for the snapshot, which then came.
fn loaded(dialect: Dialect, first: &Value) -> Driver<Binance> {
    let mut driver = started(dialect, &["ABCUSDT"]);
    say(&mut driver, first);
    let (request, _) = driver.asked.remove(0);
    driver.reply(request, 200, SNAPSHOT.as_bytes());
    driver
}

fn state(driver: &Driver<Binance>) -> Option<BookState> {
    driver.machine.shelf().by_name("ABCUSDT").map(|slot| slot.state)
}

#[test]
fn streams_are_asked_for_in_pieces_and_slowly() {
    let names: Vec<String> = (0..120).map(|at| format!("S{at}USDT")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut driver = started(Dialect::Spot, &names);
    assert_eq!(driver.sent.len(), 1);
    let to = driver.now.plus(SECOND);
    driver.advance(to);
    assert_eq!(driver.sent.len(), 3);
    let first: Value = serde_json::from_str(&driver.sent[0]).unwrap();
    assert_eq!((&first["method"], first["params"].as_array().unwrap().len()), (&json!("SUBSCRIBE"), 200));
    assert_eq!(first["params"][0], "s0usdt@depth@100ms");
    say(&mut driver, &json!({"result": null, "id": 1}));
    // Quiet symbols are asked for after a while, a few at a time.
    let to = driver.now.plus(3 * SECOND);
    driver.advance(to);
    assert_eq!(driver.asked.len(), 8);
    let (request, path) = driver.asked.remove(0);
    assert_eq!(path, "/api/v3/depth?symbol=S0USDT&limit=1000");
    driver.reply(request, 200, SNAPSHOT.as_bytes());
    assert_eq!((driver.asked.len(), driver.machine.shelf().live()), (8, 1));
    assert_eq!(driver.machine.shelf().counts.quarantined, 0);
}

#[test]
fn the_first_spot_event_must_reach_the_snapshot() {
    for (first, last, live, stale) in
        [(90, 100, true, 1), (95, 101, true, 0), (101, 103, true, 0), (102, 103, false, 0)]
    {
        let driver = loaded(Dialect::Spot, &event(first, last, None));
        let shelf = driver.machine.shelf();
        assert_eq!((shelf.live() == 1, shelf.counts.stale_dropped), (live, stale), "{first} {last}");
        // A snapshot that is too old is not used at all and asked for again.
        assert_eq!(shelf.counts.failed_requests, u64::from(!live));
    }
}

#[test]
fn the_first_futures_event_must_reach_the_snapshot() {
    // The last one begins after the snapshot's number, yet follows directly on an event that the snapshot holds.
    let cases =
        [(90, 99, 80, true, 1), (90, 100, 80, true, 1), (95, 104, 94, true, 0), (103, 104, 99, true, 0)];
    for (first, last, previous, live, stale) in cases {
        let driver = loaded(Dialect::Futures, &event(first, last, Some(previous)));
        let shelf = driver.machine.shelf();
        assert_eq!(
            (shelf.live() == 1, shelf.counts.stale_dropped),
            (live, stale),
            "{first} {last} {previous}"
        );
    }
    let driver = loaded(Dialect::Futures, &event(103, 104, Some(101)));
    assert_eq!(driver.machine.shelf().counts.failed_requests, 1);
}

#[test]
fn a_skipped_event_loses_the_book_until_another_snapshot() {
    let mut driver = loaded(Dialect::Spot, &event(99, 101, None));
    say(&mut driver, &event(102, 104, None));
    say(&mut driver, &event(102, 104, None));
    assert_eq!((driver.machine.shelf().counts.duplicates, driver.machine.shelf().live()), (1, 1));
    say(&mut driver, &event(106, 107, None));
    assert!(matches!(state(&driver), Some(BookState::Gap { reason: GapReason::SequenceSkipped, .. })));
    say(&mut driver, &event(108, 109, None));
    let (request, _) = driver.asked.remove(0);
    driver.reply(request, 200, SNAPSHOT.replace("100", "106").as_bytes());
    let shelf = driver.machine.shelf();
    let slot = shelf.by_name("ABCUSDT").unwrap();
    assert_eq!((slot.state, slot.book.qty(Bid, 1_000)), (BookState::Live, 109_000));
    assert_eq!((shelf.counts.gaps, shelf.counts.snapshots), (1, 2));
    // Rows never go back in time or in the order of records.
    assert!(driver.rows.is_sorted_by_key(|row| (row.times.recv_at, row.raw_seq)));
}

#[test]
fn an_event_that_overlaps_loses_the_book() {
    let mut driver = loaded(Dialect::Spot, &event(99, 101, None));
    say(&mut driver, &event(101, 103, None));
    assert!(matches!(state(&driver), Some(BookState::Gap { reason: GapReason::SequenceBack, .. })));
}

#[test]
fn a_price_with_more_digits_is_not_rounded() {
    let mut driver = loaded(Dialect::Spot, &event(99, 101, None));
    let mut next = event(102, 104, None);
    next["b"][0][0] = "10.005".into();
    say(&mut driver, &next);
    assert!(matches!(state(&driver), Some(BookState::Gap { reason: GapReason::Unreadable, .. })));
    assert_eq!(driver.machine.shelf().counts.quarantined, 1);
    // Zeros are no digits.
    let mut driver = loaded(Dialect::Spot, &event(99, 101, None));
    next["b"][0][0] = "10.0000".into();
    say(&mut driver, &next);
    assert_eq!(state(&driver), Some(BookState::Live));
}

#[test]
fn requests_that_fail_are_made_again_later_and_later() {
    let mut driver = started(Dialect::Futures, &["ABCUSDT"]);
    say(&mut driver, &event(99, 101, Some(98)));
    assert_eq!(driver.asked[0].1, "/fapi/v1/depth?symbol=ABCUSDT&limit=1000");
    let mut last = 101;
    for (status, wait) in [(503, 1), (0, 2), (200, 4), (429, 60), (503, 16)] {
        let (request, _) = driver.asked.remove(0);
        driver.reply(request, status, b"{}");
        let asked_at = driver.now.plus(wait * SECOND);
        for part in [9, 10] {
            let to = asked_at.plus(wait * SECOND / 10 * (part - 10));
            while driver.now < to {
                let step = to.min(driver.now.plus(10 * SECOND));
                driver.advance(step);
                say(&mut driver, &event(last + 1, last + 2, Some(last)));
                last += 2;
            }
            assert_eq!(driver.asked.len(), usize::from(part == 10), "after {status}");
        }
    }
    let counts = driver.machine.shelf().counts;
    assert_eq!((counts.failed_requests, counts.quarantined, counts.stray), (4, 1, 0));
    driver.reply(99, 200, SNAPSHOT.as_bytes());
    assert_eq!(driver.machine.shelf().counts.stray, 1);
}

#[test]
fn what_waits_for_a_snapshot_is_bounded() {
    let mut config = BinanceConfig::new(Dialect::Spot, vec!["ABCUSDT".to_owned()]);
    config.max_buffered = 10;
    let mut driver = Driver::new(Binance::new(config), Timestamp::from_secs(1));
    driver.start();
    for at in 101..150 {
        say(&mut driver, &event(at, at, None));
    }
    // The oldest events are gone: the snapshot does not reach those that are left, and a newer one does.
    let (request, _) = driver.asked.remove(0);
    driver.reply(request, 200, SNAPSHOT.as_bytes());
    assert_eq!(driver.machine.shelf().live(), 0);
    let to = driver.now.plus(2 * SECOND);
    driver.advance(to);
    let (request, _) = driver.asked.remove(0);
    driver.reply(request, 200, SNAPSHOT.replace("100", "145").as_bytes());
    assert_eq!(driver.machine.shelf().by_name("ABCUSDT").unwrap().book.qty(Bid, 1_000), 149_000);
}

#[test]
fn trades_candles_and_best_prices_become_rows() {
    let mut driver = loaded(Dialect::Futures, &event(99, 101, Some(98)));
    let trade = |id: i64, maker: bool| {
        json!({"stream": "abcusdt@aggTrade", "data": {"e": "aggTrade", "E": 9, "s": "ABCUSDT", "a": id, "p": "10.25",
            "q": "1.5", "f": 1, "l": 2, "T": 8, "m": maker}})
    };
    say(&mut driver, &trade(5, true));
    say(&mut driver, &trade(6, false));
    say(&mut driver, &trade(6, false));
    // The same trade told singly.
    say(
        &mut driver,
        &json!({"e": "trade", "E": 9, "s": "ABCUSDT", "t": 77, "p": "10.25", "q": "1.5", "T": 8, "m": true}),
    );
    let takers: Vec<_> = driver
        .rows
        .iter()
        .filter_map(|row| match &row.body {
            TapeBody::Trade(trade) => {
                Some((trade.id[15], trade.taker, row.times.venue_at, row.times.publish_at))
            }
            _ => None,
        })
        .collect();
    let (at, sent) = (Some(Timestamp::from_millis(8)), Some(Timestamp::from_millis(9)));
    assert_eq!(takers, [(5, Some(Ask), at, sent), (6, Some(Bid), at, sent)]);
    let counts = driver.machine.shelf().counts;
    assert_eq!((counts.fills, counts.duplicates, counts.foreign), (2, 1, 1));
    say(
        &mut driver,
        &json!({"e": "kline", "E": 9, "s": "ABCUSDT", "k": {"t": 60_000, "T": 119_999, "i": "1m",
        "o": "10.00", "c": "10.10", "h": "10.20", "l": "9.90", "v": "123.5", "n": 7, "x": true}}),
    );
    let Some(TapeBody::Candle(candle)) = driver.rows.last().map(|row| &row.body) else { panic!("no candle") };
    assert_eq!(
        (candle.start.secs(), candle.interval_s, candle.close, candle.closed),
        (60, 60, Some(1_010), true)
    );
    say(
        &mut driver,
        &json!({"e": "bookTicker", "u": 7, "s": "ABCUSDT", "b": "10.00", "B": "1.5", "a": "10.50",
        "A": "2", "T": 8, "E": 9}),
    );
    assert!(matches!(driver.rows.last().unwrap().body, TapeBody::Quote { bid: Some(_), ask: Some(_) }));
    // Unknown events and symbols are tolerated.
    say(&mut driver, &json!({"e": "markPriceUpdate", "E": 9, "s": "ABCUSDT", "p": "1"}));
    say(
        &mut driver,
        &json!({"e": "trade", "E": 9, "s": "OTHER", "t": 1, "p": "1", "q": "1", "T": 8, "m": true}),
    );
    let shelf = driver.machine.shelf();
    assert_eq!((shelf.counts.foreign, shelf.counts.quarantined, shelf.len(), shelf.live()), (3, 0, 1, 1));
    assert_eq!(shelf.by_name("ABCUSDT").unwrap().instrument.kind, InstrumentKind::Perpetual);
    assert_eq!(driver.machine.venue(), Venue::BinanceFutures);
}

#[test]
fn a_connection_is_replaced_before_the_venue_ends_it() {
    let mut driver = loaded(Dialect::Spot, &event(99, 101, None));
    let end = driver.now.plus((23 * 60 + 50) * 60 * SECOND);
    let mut last = 101;
    while driver.now < end.plus(-SECOND) {
        let to = end.plus(-SECOND).min(driver.now.plus(20 * SECOND));
        driver.advance(to);
        say(&mut driver, &event(last + 1, last + 1, None));
        last += 1;
    }
    assert_eq!((driver.closes, driver.conn, driver.machine.shelf().live()), (0, 1, 1));
    driver.advance(end.plus(SECOND));
    assert_eq!((driver.closes, driver.conn, driver.machine.shelf().live()), (1, 2, 0));
}

#[test]
fn an_error_ends_the_connection() {
    let errors =
        [r#"{"error":{"code":2,"msg":"Invalid request"},"id":1}"#, r#"{"code":0,"msg":"Unknown property"}"#];
    for error in errors {
        let mut driver = loaded(Dialect::Spot, &event(99, 101, None));
        driver.frame(error.as_bytes());
        assert_eq!((driver.closes, driver.machine.shelf().counts.venue_errors), (1, 1));
        assert!(matches!(state(&driver), Some(BookState::Gap { reason: GapReason::ChannelError, .. })));
    }
}
