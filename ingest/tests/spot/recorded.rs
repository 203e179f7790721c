//! The recordings: every number the venues let us check.

use ingest::Counts;
use ingest::venue::VenueMachine;
use ingest::venue::binance::{Binance, BinanceConfig};
use ingest::venue::coinbase::{Coinbase, CoinbaseConfig};
use ingest::venue::kraken::{Kraken, KrakenConfig};
use schemas::{TapeBody, Timestamp, Venue};

use crate::driver::Driver;
use crate::{Line, recording};

fn start(lines: &[Line]) -> Timestamp {
    lines[0].at.plus(-1_000_000_000)
}

/// Nothing in a clean recording is lost, unreadable or unexpected.
fn assert_clean(counts: &Counts) {
    let odd = [counts.gaps, counts.quarantined, counts.crossed, counts.checksums_bad, counts.tops_bad];
    assert_eq!(odd, [0; 5], "{counts:?}");
    assert_eq!(
        (counts.stray, counts.foreign, counts.disconnects, counts.venue_errors),
        (0, 0, 0, 0),
        "{counts:?}"
    );
}

#[test]
fn kraken_every_checksum_fits() {
    let Some(lines) = recording("KRAKEN.ws.50.0") else { return };
    let mut driver = Driver::new(Kraken::new(KrakenConfig::capture()), start(&lines));
    driver.replay(&lines, &[]);
    let shelf = driver.machine.shelf();
    assert_clean(&shelf.counts);
    assert_eq!(shelf.counts.checksums_ok, 4_269);
    assert_eq!((shelf.counts.snapshots, shelf.len(), shelf.live()), (10, 10, 10));
    for (_, slot) in shelf.slots() {
        assert!(slot.book.side(schemas::BookSide::Ask).len() <= 1_000);
        assert!(!slot.book.crossed());
    }
}

#[test]
fn kraken_trades_and_tickers() {
    let (Some(trades), Some(tickers)) = (recording("KRAKEN.ws.48.0"), recording("KRAKEN.ws.49.0")) else {
        return;
    };
    let mut driver = Driver::new(Kraken::new(KrakenConfig::capture()), start(&trades));
    driver.replay(&trades, &[]);
    assert_clean(&driver.machine.shelf().counts);
    let rows = driver.count(|body| matches!(body, TapeBody::Trade(_)));
    assert_eq!((rows as u64, rows), (driver.machine.shelf().counts.fills, 10));
    let mut driver = Driver::new(Kraken::new(KrakenConfig::capture()), start(&tickers));
    driver.replay(&tickers, &[]);
    assert_clean(&driver.machine.shelf().counts);
    assert_eq!(driver.count(|body| matches!(body, TapeBody::Quote { .. })), 18);
}

fn binance(name: &str) -> Option<Driver<Binance>> {
    let (frames, bodies) = (recording(&format!("{name}.ws.1.0"))?, recording(&format!("{name}.http.0.0"))?);
    let mut driver = Driver::new(Binance::new(BinanceConfig::capture()), start(&frames));
    driver.replay(&frames, &bodies);
    Some(driver)
}

#[test]
fn binance_spot_has_no_gap_and_five_stale_events() {
    let Some(driver) = binance("BINANCE") else { return };
    let shelf = driver.machine.shelf();
    assert_clean(&shelf.counts);
    assert_eq!((shelf.counts.stale_dropped, shelf.counts.duplicates), (5, 0));
    assert_eq!((shelf.counts.snapshots, shelf.live()), (4, 4));
    assert_eq!((driver.machine.venue(), shelf.counts.fills), (Venue::Binance, 2));
    assert_eq!(driver.count(|body| matches!(body, TapeBody::Quote { .. })), 84);
    assert_eq!(driver.count(|body| matches!(body, TapeBody::Candle(_))), 2);
    for (_, slot) in shelf.slots() {
        assert_eq!((slot.instrument.price_decimals, slot.instrument.qty_decimals), (8, 8));
    }
}

#[test]
fn binance_futures_has_no_gap_and_fifteen_stale_events() {
    let Some(driver) = binance("BINANCE_FUTURES") else { return };
    let shelf = driver.machine.shelf();
    assert_clean(&shelf.counts);
    assert_eq!((shelf.counts.stale_dropped, shelf.counts.duplicates), (15, 0));
    assert_eq!((shelf.counts.snapshots, shelf.live()), (4, 4));
    assert_eq!((driver.machine.venue(), shelf.counts.fills), (Venue::BinanceFutures, 91));
    assert_eq!(driver.count(|body| matches!(body, TapeBody::Quote { .. })), 613);
    assert_eq!(driver.count(|body| matches!(body, TapeBody::Candle(_))), 67);
}

#[test]
fn coinbase_books_are_uncrossed_and_agree_with_the_ticker() {
    let Some(lines) = recording("COINBASE.ws.28.0") else { return };
    let mut driver = Driver::new(Coinbase::new(CoinbaseConfig::capture()), start(&lines));
    driver.replay(&lines, &[]);
    let shelf = driver.machine.shelf();
    assert_clean(&shelf.counts);
    // Ten of the 107 tickers are the first of their product and tell a trade from before the book.
    assert_eq!((shelf.counts.tops_ok, shelf.counts.tops_bad), (97, 0));
    assert_eq!((shelf.counts.snapshots, shelf.counts.deltas, shelf.live()), (10, 9_719, 10));
    assert_eq!((shelf.counts.fills, shelf.counts.duplicates), (107, 0));
    assert_eq!(driver.count(|body| matches!(body, TapeBody::Quote { .. })), 107);
}
