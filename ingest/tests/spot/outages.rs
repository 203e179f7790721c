//! Silence, closed sockets and sockets that never open: a book is stale or lost, never quietly old, and comes back.

use ingest::venue::VenueMachine;
use ingest::venue::binance::{Binance, BinanceConfig};
use ingest::venue::coinbase::{Coinbase, CoinbaseConfig};
use ingest::venue::kraken::{Kraken, KrakenConfig};
use schemas::{BookState, GapReason, Raw, TapeBody, Timestamp};

use crate::driver::Driver;

const SECOND: i64 = 1_000_000_000;

const KRAKEN: &str =
    r#"[1,{"as":[["2.0","1.00","1618678123.4"]],"bs":[["1.0","1.00","1618678123.4"]]},"book-10","A/B"]"#;
const COINBASE: &str =
    r#"{"type":"snapshot","product_id":"A-B","asks":[["2.0","1.00"]],"bids":[["1.0","1.00"]]}"#;
const BINANCE: &str =
    r#"{"e":"depthUpdate","E":7,"s":"AB","U":1,"u":2,"b":[["1.0","1.00"]],"a":[["2.0","1.00"]]}"#;

/// Makes the one book live.
fn fill<M: VenueMachine>(driver: &mut Driver<M>, frame: &str) {
    driver.frame(frame.as_bytes());
    for (request, _) in std::mem::take(&mut driver.asked) {
        driver.reply(request, 200, br#"{"lastUpdateId":1,"bids":[["0.5","1.00"]],"asks":[]}"#);
    }
    assert_eq!(driver.machine.shelf().live(), 1);
}

fn states<M: VenueMachine>(driver: &Driver<M>) -> Vec<BookState> {
    let state = |body: &TapeBody| if let TapeBody::State(state) = body { Some(*state) } else { None };
    driver.rows.iter().filter_map(|row| state(&row.body)).collect()
}

fn silence<M: VenueMachine>(machine: M, frame: &str) {
    let mut driver = Driver::new(machine, Timestamp::from_secs(100));
    let start = driver.now;
    driver.start();
    fill(&mut driver, frame);
    driver.advance(start.plus(30 * SECOND - 1));
    assert_eq!((driver.machine.shelf().live(), driver.closes), (1, 0));
    driver.advance(start.plus(30 * SECOND));
    let reason = GapReason::Disconnected;
    let lost = BookState::Gap { reason, from: start, to: None };
    assert_eq!(states(&driver), [BookState::Live, BookState::Stale { since: start }, lost]);
    assert_eq!((driver.closes, driver.machine.shelf().counts.disconnects), (1, 1));
    // Frames of the old connection are nobody's.
    driver.frame(frame.as_bytes());
    assert_eq!(driver.machine.shelf().counts.stray, 1);
    driver.advance(start.plus(31 * SECOND));
    fill(&mut driver, frame);
    let closed = BookState::Gap { reason, from: start, to: Some(driver.now) };
    assert_eq!(states(&driver)[3..], [closed, BookState::Live]);
}

fn closed<M: VenueMachine>(machine: M, frame: &str) {
    let mut driver = Driver::new(machine, Timestamp::from_secs(100));
    driver.start();
    fill(&mut driver, frame);
    let conn = driver.conn;
    driver.apply(Raw::Closed { conn: conn + 7, reason: "another one".to_owned() });
    assert_eq!((driver.machine.shelf().live(), driver.machine.shelf().counts.stray), (1, 1));
    driver.opens = false;
    driver.apply(Raw::Closed { conn, reason: "gone".to_owned() });
    assert_eq!(driver.machine.shelf().live(), 0);
    assert!(matches!(states(&driver)[1], BookState::Gap { reason: GapReason::Disconnected, to: None, .. }));
    // Nothing opens for ten minutes: attempts become rare, and the one that opens works.
    let to = driver.now.plus(600 * SECOND);
    driver.advance(to);
    assert!((20..100).contains(&(driver.conn - conn)), "{} attempts", driver.conn - conn);
    driver.opens = true;
    let to = driver.now.plus(45 * SECOND);
    driver.advance(to);
    fill(&mut driver, frame);
    assert_eq!(driver.machine.shelf().counts.gaps, 1);
}

#[test]
fn silence_makes_a_book_stale_and_costs_the_connection() {
    silence(Kraken::new(KrakenConfig::capture()), KRAKEN);
    silence(Coinbase::new(CoinbaseConfig::capture()), COINBASE);
    silence(Binance::new(BinanceConfig::capture()), BINANCE);
}

#[test]
fn a_closed_connection_loses_its_books_until_another_opens() {
    closed(Kraken::new(KrakenConfig::capture()), KRAKEN);
    closed(Coinbase::new(CoinbaseConfig::capture()), COINBASE);
    closed(Binance::new(BinanceConfig::capture()), BINANCE);
}

#[test]
fn equal_histories_have_equal_digests_and_others_have_not() {
    fn run<M: VenueMachine>(machine: M, frame: &str, secs: i64) -> [u8; 32] {
        let mut driver = Driver::new(machine, Timestamp::from_secs(secs));
        driver.start();
        fill(&mut driver, frame);
        driver.machine.digest().0
    }
    let kraken = |secs| run(Kraken::new(KrakenConfig::capture()), KRAKEN, secs);
    let coinbase = |secs| run(Coinbase::new(CoinbaseConfig::capture()), COINBASE, secs);
    let binance = |secs| run(Binance::new(BinanceConfig::capture()), BINANCE, secs);
    for digest in [&kraken as &dyn Fn(i64) -> [u8; 32], &coinbase, &binance] {
        assert_eq!(digest(5), digest(5));
        assert_ne!(digest(5), digest(6));
    }
}
