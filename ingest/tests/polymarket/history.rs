//! Recorded rows: snapshots make books, polled quotes make quotes.

use ingest::venue::VenueMachine;
use ingest::venue::polymarket::History;
use schemas::{BookSide, BookState, GapReason, TapeBody, TopRow, Venue};

use crate::{Rig, T, rows};

fn rig(venue: Venue) -> Rig<History> {
    let mut rig = Rig::new(History::new(venue));
    rig.now = schemas::Timestamp::ZERO;
    rig.connect();
    rig
}

fn row(ms: i64, bids: &str, asks: &str) -> String {
    format!(r#"{{"market_id":"0xab","ts":{ms},"side":"UP","bids":{bids},"asks":{asks}}}"#)
}

#[test]
fn each_row_is_a_whole_book() {
    let mut rig = rig(Venue::Polymarket);
    rig.frame(&row(T, r#"[["0.45","12.5"],["0.44","1"]]"#, r#"[["0.47","3"]]"#));
    rig.frame(&row(T + 1, r#"[["0.46","7"]]"#, "[]"));
    assert_eq!(rig.levels("0xab:UP", BookSide::Bid), [(460_000, 7_000_000)]);
    assert!(rig.levels("0xab:UP", BookSide::Ask).is_empty());
    assert_eq!((rig.counts().snapshots, rig.counts().frames), (2, 2));
    let slot = rig.machine.shelf().by_name("0xab:UP").unwrap();
    assert_eq!((slot.instrument.market.as_str(), slot.state), ("0xab", BookState::Live));
    rig.frame(&row(T, "[]", "[]"));
    assert_eq!(rig.counts().stale_dropped, 1);
}

#[test]
fn a_crossed_row_loses_the_book_and_the_next_one_brings_it_back() {
    let mut rig = rig(Venue::Polymarket);
    rig.frame(&row(T, r#"[["0.45","1"]]"#, r#"[["0.47","3"]]"#));
    rig.frame(&row(T + 1, r#"[["0.48","1"]]"#, r#"[["0.47","3"]]"#));
    assert!(matches!(rig.state("0xab:UP"), BookState::Gap { reason: GapReason::Crossed, to: None, .. }));
    assert_eq!(rig.counts().crossed, 1);
    rig.frame(&row(T + 2, r#"[["0.45","1"]]"#, r#"[["0.47","3"]]"#));
    assert_eq!(rig.state("0xab:UP"), BookState::Live);
}

#[test]
fn trap_13_crossed_quotes_from_polling_are_said_and_counted() {
    let mut rig = rig(Venue::PolymarketUs);
    let quote =
        |bid: &str, ask: &str, ms: i64| format!(r#"{{"ts":{ms},"slug":"a-b","bid":{bid},"ask":{ask}}}"#);
    rig.frame(&quote(r#""0.41""#, r#""0.43""#, T));
    rig.frame(&quote("null", r#""0.43""#, T + 1));
    rig.frame(&quote(r#""0.5""#, r#""0.43""#, T + 2));
    rig.frame(&quote(r#""0.43""#, r#""0.43""#, T + 3));
    let quotes: Vec<_> = rows(&rig.said)
        .filter_map(|row| match row.body {
            TapeBody::Quote { bid, ask } => Some((bid, ask)),
            _ => None,
        })
        .collect();
    let top = |price| Some(TopRow { price, qty: None });
    assert_eq!(
        quotes[..3],
        [(top(410_000), top(430_000)), (None, top(430_000)), (top(500_000), top(430_000))]
    );
    assert_eq!((rig.counts().crossed, rig.counts().quarantined, quotes.len()), (1, 0, 4));
    assert_eq!(rig.machine.venue(), Venue::PolymarketUs);
}

#[test]
fn rows_without_a_field_are_refused() {
    for (whole, fields) in [
        (row(T, r#"[["0.45","1"]]"#, "[]"), vec!["market_id", "ts", "side", "bids", "asks"]),
        (format!(r#"{{"ts":{T},"slug":"a","bid":null,"ask":"0.4"}}"#), vec!["ts", "slug", "bid", "ask"]),
    ] {
        for field in fields {
            let mut rig = rig(Venue::Polymarket);
            let mutant = whole.replace(&format!("\"{field}\""), &format!("\"{field}_v2\""));
            rig.frame(&mutant);
            assert_eq!(rig.counts().quarantined, 1, "{mutant}");
            assert_eq!(rig.machine.shelf().live(), 0);
        }
    }
    let mut rig = rig(Venue::Polymarket);
    for bad in [r#"[["0.45"]]"#, r#"[["0.45","1","2"]]"#, r#"[["1.5","1"]]"#, "[[0.45,1]]", "null"] {
        rig.frame(&row(T, bad, "[]"));
    }
    assert_eq!(rig.counts().quarantined, 5);
}
