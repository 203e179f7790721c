//! Coinbase Advanced Trade in its documented forms: one sequence over all channels, increments, rows, errors.

use ingest::venue::VenueMachine;
use ingest::venue::coinbase::{Coinbase, CoinbaseConfig};
use schemas::BookSide::{Ask, Bid};
use schemas::{BookState, GapReason, TapeBody, Timestamp};
use serde_json::{Value, json};

use crate::driver::Driver;

const SECOND: i64 = 1_000_000_000;

/// A venue's end of one connection: it numbers what it says.
struct Wire {
    driver: Driver<Coinbase>,
    next: i64,
}

impl Wire {
    fn new(products: &[&str]) -> Self {
        let config = CoinbaseConfig::new(products.iter().map(|&name| name.to_owned()).collect());
        let mut driver = Driver::new(Coinbase::new(config), Timestamp::from_secs(1_700_000_000));
        driver.start();
        Self { driver, next: 0 }
    }

    fn say(&mut self, channel: &str, events: &Value) {
        let frame = json!({"channel": channel, "client_id": "", "timestamp": "2026-01-02T03:04:05.714964855Z",
            "sequence_num": self.next, "events": events});
        self.next += 1;
        self.driver.frame(frame.to_string().as_bytes());
    }

    fn book(&mut self, kind: &str, product: &str, levels: &[(&str, &str, &str)]) {
        let time = if kind == "snapshot" { "1970-01-01T00:00:00Z" } else { "2026-01-02T03:04:05.5Z" };
        let updates: Vec<_> = levels
            .iter()
            .map(|(side, price, qty)| json!({"side": side, "event_time": time, "price_level": price, "new_quantity": qty}))
            .collect();
        self.say("l2_data", &json!([{"type": kind, "product_id": product, "updates": updates}]));
    }

    fn status(&mut self) {
        self.say("status", &json!([{"type": "snapshot", "products": [
            {"id": "BTC-USD", "base_increment": "0.00000001", "quote_increment": "0.01", "status": "online"},
            {"id": "ETH-USD", "base_increment": "0.00000001", "quote_increment": "0.01", "status": "online"}]}]));
    }

    fn live() -> Self {
        let mut wire = Self::new(&["BTC-USD", "ETH-USD"]);
        wire.status();
        for product in ["BTC-USD", "ETH-USD"] {
            wire.book("snapshot", product, &[("bid", "21921.73", "0.5"), ("offer", "21922", "1")]);
        }
        assert_eq!(wire.driver.machine.shelf().live(), 2);
        wire
    }

    fn channels(&self) -> Vec<String> {
        let text = |text: &String| {
            serde_json::from_str::<Value>(text).unwrap()["channel"].as_str().unwrap().to_owned()
        };
        self.driver.sent.iter().map(text).collect()
    }

    fn reason(&self, product: &str) -> Option<GapReason> {
        match self.driver.machine.shelf().by_name(product).unwrap().state {
            BookState::Gap { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

#[test]
fn books_are_subscribed_once_their_increments_are_known() {
    let mut wire = Wire::new(&["BTC-USD", "ETH-USD"]);
    assert_eq!(wire.channels(), ["heartbeats", "status"]);
    wire.say("subscriptions", &json!([{"subscriptions": {"heartbeats": ["heartbeats"]}}]));
    wire.status();
    assert_eq!(wire.channels()[2..], ["level2", "market_trades", "ticker", "candles"]);
    wire.book("snapshot", "BTC-USD", &[("bid", "21921", "0.5"), ("offer", "21922", "1")]);
    let slot = wire.driver.machine.shelf().by_name("BTC-USD").unwrap();
    // The texts alone would say 0 and 1.
    assert_eq!((slot.instrument.price_decimals, slot.instrument.qty_decimals), (2, 8));
    let row = wire.driver.rows.iter().find(|row| matches!(row.body, TapeBody::Level { .. })).unwrap();
    assert_eq!((row.times.venue_at, row.venue_seq), (None, 2));
    assert!(row.times.publish_at.is_some());
    wire.book("update", "BTC-USD", &[("bid", "21921.50", "0.25"), ("offer", "21922", "0")]);
    let slot = wire.driver.machine.shelf().by_name("BTC-USD").unwrap();
    assert_eq!((slot.book.qty(Bid, 2_192_150), slot.book.side(Ask).len()), (25_000_000, 0));
    assert!(wire.driver.rows.last().unwrap().times.venue_at.is_some());
}

#[test]
fn without_a_status_the_books_are_subscribed_all_the_same() {
    let mut wire = Wire::new(&["BTC-USD"]);
    let to = wire.driver.now.plus(4 * SECOND);
    wire.driver.advance(to);
    assert_eq!(wire.channels()[2..], ["level2", "market_trades", "ticker", "candles"]);
    wire.book("snapshot", "BTC-USD", &[("bid", "21921.5", "0.5"), ("offer", "21922.75", "1.125")]);
    let slot = wire.driver.machine.shelf().by_name("BTC-USD").unwrap();
    assert_eq!((slot.instrument.price_decimals, slot.instrument.qty_decimals), (2, 3));
}

#[test]
fn a_skip_in_any_channel_loses_every_book() {
    let mut wire = Wire::live();
    let conn = wire.driver.conn;
    wire.next += 1;
    wire.say("heartbeats", &json!([{"current_time": "x", "heartbeat_counter": 42}]));
    assert_eq!(wire.driver.machine.shelf().live(), 0);
    for product in ["BTC-USD", "ETH-USD"] {
        assert_eq!(wire.reason(product), Some(GapReason::SequenceSkipped));
    }
    let to = wire.driver.now.plus(SECOND);
    wire.driver.advance(to);
    assert_eq!((wire.driver.closes, wire.driver.conn), (1, conn + 1));
    // The new connection counts from its own start.
    wire.next = 0;
    wire.status();
    wire.book("snapshot", "BTC-USD", &[("bid", "21921.73", "0.5"), ("offer", "21922", "1")]);
    assert_eq!(wire.driver.machine.shelf().live(), 1);
}

#[test]
fn a_repeated_frame_is_dropped_and_an_older_one_loses_every_book() {
    let mut wire = Wire::live();
    wire.next -= 1;
    wire.book("update", "BTC-USD", &[("bid", "1.00", "9")]);
    let shelf = wire.driver.machine.shelf();
    assert_eq!((shelf.counts.duplicates, shelf.by_name("BTC-USD").unwrap().book.qty(Bid, 100)), (1, 0));
    wire.next -= 2;
    wire.book("update", "BTC-USD", &[("bid", "1.00", "9")]);
    assert_eq!(wire.reason("ETH-USD"), Some(GapReason::SequenceBack));
}

#[test]
fn a_heartbeat_that_skips_loses_every_book() {
    let mut wire = Wire::live();
    wire.say("heartbeats", &json!([{"heartbeat_counter": "7"}]));
    wire.say("heartbeats", &json!([{"heartbeat_counter": 8}]));
    assert_eq!(wire.driver.machine.shelf().live(), 2);
    wire.say("heartbeats", &json!([{"heartbeat_counter": 10}]));
    assert_eq!(wire.driver.machine.shelf().live(), 0);
}

#[test]
fn one_unreadable_or_crossed_book_is_resubscribed_alone() {
    let mut wire = Wire::live();
    wire.driver.sent.clear();
    wire.book("update", "BTC-USD", &[("bid", "21921.731", "9")]);
    assert_eq!(wire.reason("BTC-USD"), Some(GapReason::Unreadable));
    wire.book("update", "ETH-USD", &[("bid", "21923", "9")]);
    assert_eq!(wire.reason("ETH-USD"), Some(GapReason::Crossed));
    let counts = wire.driver.machine.shelf().counts;
    assert_eq!((counts.quarantined, counts.crossed, counts.gaps), (1, 1, 2));
    assert_eq!(wire.channels(), ["level2"; 4]);
    assert_eq!(wire.driver.closes, 0);
    wire.book("snapshot", "BTC-USD", &[("bid", "21921.73", "0.5"), ("offer", "21922", "1")]);
    assert_eq!(wire.driver.machine.shelf().live(), 1);
}

#[test]
fn a_frame_without_its_number_or_time_loses_books() {
    for key in ["sequence_num", "timestamp", "events"] {
        let mut wire = Wire::live();
        let mut frame = json!({"channel": "l2_data", "timestamp": "2026-01-02T03:04:05Z", "sequence_num": wire.next,
            "events": [{"type": "update", "product_id": "BTC-USD", "updates": []}]});
        frame.as_object_mut().unwrap().remove(key);
        wire.driver.frame(frame.to_string().as_bytes());
        assert_eq!(wire.driver.machine.shelf().live(), 0, "{key}");
        assert_eq!(wire.driver.machine.shelf().counts.quarantined, 1, "{key}");
    }
}

#[test]
fn trades_candles_and_best_prices_become_rows() {
    let mut wire = Wire::live();
    let trade = |id: u64, side: &str| {
        json!({"trade_id": id.to_string(), "product_id": "ETH-USD", "price": "1260.01", "size": "0.3", "side": side,
            "time": "2026-01-02T03:04:05.265Z"})
    };
    // The newest comes first.
    wire.say(
        "market_trades",
        &json!([{"type": "snapshot", "trades": [trade(12, "BUY"), trade(11, "SELL")]}]),
    );
    wire.say("market_trades", &json!([{"type": "update", "trades": [trade(13, "SELL"), trade(12, "BUY")]}]));
    let trades: Vec<_> = wire
        .driver
        .rows
        .iter()
        .filter_map(|row| match &row.body {
            TapeBody::Trade(trade) => Some((trade.id[15], trade.taker)),
            _ => None,
        })
        .collect();
    // The venue names the maker's side.
    assert_eq!(trades, [(11, Some(Bid)), (12, Some(Ask)), (13, Some(Bid))]);
    assert_eq!(wire.driver.machine.shelf().counts.duplicates, 1);
    wire.say("candles", &json!([{"type": "update", "candles": [{"start": "1688998200", "high": "1867.72",
        "low": "1865.63", "open": "1867.38", "close": "1866.81", "volume": "0.20269406", "product_id": "ETH-USD"}]}]));
    let Some(TapeBody::Candle(candle)) = wire.driver.rows.last().map(|row| &row.body) else {
        panic!("no candle")
    };
    assert_eq!((candle.start.secs(), candle.interval_s, candle.volume), (1_688_998_200, 300, 20_269_406));
    wire.say(
        "ticker",
        &json!([{"type": "update", "tickers": [{"type": "ticker", "product_id": "BTC-USD",
        "price": "21932.98", "best_bid": "21931.98", "best_bid_quantity": "8000.21", "best_ask": "21933.98",
        "best_ask_quantity": "8038.07770938"}]}]),
    );
    assert!(matches!(wire.driver.rows.last().unwrap().body, TapeBody::Quote { bid: Some(_), ask: Some(_) }));
    assert_eq!((wire.driver.machine.shelf().counts.quarantined, wire.driver.machine.shelf().live()), (0, 2));
}

#[test]
fn an_error_ends_the_connection_and_the_next_ones_come_later_and_later() {
    let mut wire = Wire::live();
    for _ in 0..5 {
        wire.driver.frame(br#"{"type":"error","message":"authentication failure"}"#);
        assert_eq!(wire.driver.machine.shelf().live(), 0);
        let to = wire.driver.now.plus(31 * SECOND);
        wire.driver.advance(to);
    }
    let counts = wire.driver.machine.shelf().counts;
    assert!(counts.venue_errors >= 3, "{counts:?}");
    assert_eq!(wire.reason("BTC-USD"), Some(GapReason::ChannelError));
}
