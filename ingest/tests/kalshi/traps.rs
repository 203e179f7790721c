//! The traps of venues.md 6 that are Kalshi's: each by its number.

use ingest::venue::VenueMachine as _;
use ingest::venue::kalshi::KalshiConfig;
use schemas::{BookSide, BookState, GapReason, Phase, Ppm, TapeBody};

use crate::rest::market_object;
use crate::support::{Bench, delta, snapshot, subscribed};

/// A machine that follows A and B on sid 4, both live at seq 2.
pub(crate) fn two_books() -> Bench {
    let mut bench = Bench::connected(KalshiConfig { trade: false, ..KalshiConfig::books(&["A", "B"]) });
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["cmd"], "subscribe");
    assert_eq!(sent[0]["params"]["channels"][0], "orderbook_delta");
    assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["A", "B"]));
    bench.frame(&subscribed(sent[0]["id"].as_u64().unwrap(), "orderbook_delta", 4));
    bench.frame(&snapshot(4, 1, "A", &[("0.4000", "10.00")], &[("0.5500", "7.00")]));
    bench.frame(&snapshot(4, 2, "B", &[("0.2000", "1.00")], &[("0.7000", "2.00")]));
    assert!(bench.live("A") && bench.live("B"));
    bench
}

#[test]
fn trap_01_absent_side_is_an_empty_side() {
    let mut bench = two_books();
    bench.frame(&snapshot(4, 3, "A", &[("0.4100", "120.50")], &[]));
    assert_eq!(bench.side("A", BookSide::Bid), [(410_000, 12_050)]);
    assert!(bench.side("A", BookSide::Ask).is_empty());
    bench.frame(&snapshot(4, 4, "A", &[], &[]));
    assert!(bench.side("A", BookSide::Bid).is_empty() && bench.live("A"));
    bench.frame(&snapshot(4, 5, "A", &[], &[("0.5800", "7.00")]));
    assert_eq!(bench.side("A", BookSide::Ask), [(420_000, 700)]);
    assert_eq!((bench.counts().quarantined, bench.counts().gaps), (0, 0));
    // A side under another name, or as null, is no absent side.
    for side in [r#""yes_dollars":[["0.4000","1.00"]]"#, r#""yes_dollars_fp":null"#, r#""bids":[]"#] {
        let mut bench = two_books();
        bench.frame(&format!(
            r#"{{"type":"orderbook_snapshot","sid":4,"seq":3,"msg":{{"market_ticker":"A",{side}}}}}"#
        ));
        assert_eq!(bench.counts().quarantined, 1, "{side}");
        assert!(!bench.live("A") && bench.live("B"), "{side}");
    }
}

#[test]
fn trap_02_acks_consume_a_seq_and_come_in_any_order() {
    let mut bench = two_books();
    bench.add(&["C"]);
    bench.add(&["D"]);
    let ids: Vec<u64> = bench.sent().iter().map(|sent| sent["id"].as_u64().unwrap()).collect();
    let ack = |id: u64, seq: u64| {
        format!(
            r#"{{"type":"ok","id":{id},"sid":4,"seq":{seq},"msg":{{"market_tickers":["A","B","C","D"]}}}}"#
        )
    };
    bench.frame(&ack(ids[1], 3));
    bench.frame(&snapshot(4, 4, "D", &[("0.1000", "1.00")], &[]));
    bench.frame(&ack(ids[0], 5));
    bench.frame(&snapshot(4, 6, "C", &[("0.1000", "1.00")], &[]));
    // A sid-scoped error counts too.
    bench.frame(
        r#"{"type":"error","id":99,"sid":4,"seq":7,"msg":{"code":14,"msg":"Market Ticker required"}}"#,
    );
    bench.frame(&delta(4, 8, "A", "yes", "0.4000", "5.00"));
    assert_eq!(bench.counts().gaps, 0);
    assert_eq!(bench.counts().venue_errors, 1);
    assert_eq!(bench.side("A", BookSide::Bid), [(400_000, 1_500)]);
    assert!(["A", "B", "C", "D"].iter().all(|ticker| bench.live(ticker)));
    assert!(bench.sent().is_empty(), "nothing to repair");
}

#[test]
fn trap_03_a_seq_that_goes_back_loses_every_book_of_the_sid() {
    let mut bench = two_books();
    bench.frame(&delta(4, 3, "A", "yes", "0.4000", "1.00"));
    bench.frame(&delta(4, 3, "A", "yes", "0.4000", "1.00"));
    assert_eq!((bench.counts().duplicates, bench.counts().gaps), (1, 0));
    bench.frame(&delta(4, 1, "A", "yes", "0.4000", "1.00"));
    for ticker in ["A", "B"] {
        let state = bench.state(ticker);
        assert!(
            matches!(state, BookState::Gap { reason: GapReason::SequenceBack, to: None, .. }),
            "{state:?}"
        );
        assert!(bench.side(ticker, BookSide::Bid).is_empty());
    }
    let sent = bench.sent();
    assert_eq!(sent[0]["params"]["action"], "get_snapshot");
    assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["A", "B"]));
    // The sid goes on from where it went back to.
    bench.frame(&snapshot(4, 2, "A", &[("0.3000", "2.00")], &[]));
    assert!(bench.live("A") && !bench.live("B"));
    bench.frame(&delta(4, 3, "B", "yes", "0.2000", "1.00"));
    assert!(!bench.live("B"));
    assert_eq!(bench.counts().stale_dropped, 1);
    bench.frame(&snapshot(4, 4, "B", &[("0.2000", "9.00")], &[]));
    assert_eq!(bench.side("B", BookSide::Bid), [(200_000, 900)]);
    assert_eq!(bench.counts().gaps, 2);
}

#[test]
fn trap_04_a_delta_for_a_market_removed_a_moment_ago_is_dropped() {
    let mut bench = two_books();
    bench.delete(&["B"]);
    let sent = bench.sent();
    assert_eq!(sent[0]["params"]["action"], "delete_markets");
    assert_eq!(sent[0]["params"]["sid"], 4);
    bench.frame(&delta(4, 3, "B", "yes", "0.2000", "1.00"));
    bench.frame(&snapshot(4, 4, "B", &[("0.9000", "1.00")], &[]));
    bench.frame(&delta(4, 5, "NEVER", "yes", "0.2000", "1.00"));
    assert_eq!(bench.counts().foreign, 3);
    assert!(!bench.live("B") && bench.side("B", BookSide::Bid).is_empty());
    bench.frame(&delta(4, 6, "A", "yes", "0.4000", "1.00"));
    assert!(bench.live("A"), "dropped frames count");
    // Followed again: live with its next snapshot, not before.
    bench.add(&["B"]);
    assert_eq!(bench.sent()[0]["params"]["action"], "add_markets");
    bench.frame(&delta(4, 7, "B", "yes", "0.2000", "1.00"));
    assert!(!bench.live("B"));
    bench.frame(&snapshot(4, 8, "B", &[("0.3000", "1.00")], &[]));
    assert!(bench.live("B"));
}

#[test]
fn trap_05_a_finer_grid_on_a_live_book_keeps_its_levels() {
    let mut bench =
        Bench::connected(KalshiConfig { trade: false, lifecycle: true, ..KalshiConfig::books(&["A"]) });
    let ids: Vec<u64> = bench.sent().iter().map(|sent| sent["id"].as_u64().unwrap()).collect();
    bench.frame(&subscribed(ids[0], "market_lifecycle_v2", 1));
    bench.frame(&subscribed(ids[1], "orderbook_delta", 2));
    bench.frame(&snapshot(2, 1, "A", &[("0.4000", "10.00")], &[("0.5500", "7.00")]));
    let grid = |seq: u64, step: &str| {
        format!(
            r#"{{"type":"market_lifecycle_v2","sid":1,"seq":{seq},"msg":{{"market_ticker":"A","event_type":"price_level_structure_updated","price_level_structure":"x","price_ranges":[{{"start":"0.0000","end":"1.0000","step":"{step}"}}]}}}}"#
        )
    };
    bench.frame(&grid(1, "0.0100"));
    bench.frame(&grid(2, "0.0010"));
    assert!(bench.live("A"));
    assert_eq!(bench.side("A", BookSide::Bid), [(400_000, 1_000)]);
    bench.frame(&delta(2, 2, "A", "yes", "0.4015", "3.00"));
    bench.frame(&delta(2, 3, "A", "no", "0.5505", "1.00"));
    assert_eq!(bench.side("A", BookSide::Bid), [(401_500, 300), (400_000, 1_000)]);
    assert_eq!(bench.side("A", BookSide::Ask), [(449_500, 100), (450_000, 700)]);
    assert_eq!(bench.machine.grid("A")[0].step, 1_000);
    let steps: Vec<_> = bench
        .rows
        .iter()
        .filter_map(|row| match row.body {
            TapeBody::TickSize { old, new } => Some((old, new)),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [(None, 10_000), (Some(10_000), 1_000)]);
    assert_eq!((bench.counts().gaps, bench.counts().quarantined), (0, 0));
}

fn life(seq: u64, rest: &str) -> String {
    format!(r#"{{"type":"market_lifecycle_v2","sid":1,"seq":{seq},"msg":{{"market_ticker":"A",{rest}}}}}"#)
}

#[test]
fn trap_12_scalar_void_and_amended_outcomes_are_legal_and_only_final_is_final() {
    let mut bench = Bench::connected(KalshiConfig::capture());
    bench.frame(&subscribed(1, "market_lifecycle_v2", 1));
    let told = [
        r#""event_type":"created","close_ts":1786758000"#,
        r#""event_type":"activated""#,
        r#""event_type":"determined","result":"yes","settlement_value":"1.0000","determination_ts":1786758100"#,
        // The same again is no news; another outcome is an amendment.
        r#""event_type":"determined","result":"yes","settlement_value":"1.0000","determination_ts":1786758100"#,
        r#""event_type":"determined","result":"scalar","settlement_value":"0.5000","determination_ts":1786758200"#,
        r#""event_type":"settled","settled_ts":1786758300"#,
    ];
    for (at, rest) in told.iter().enumerate() {
        bench.frame(&life(at as u64 + 1, rest));
    }
    let rows: Vec<(Phase, Option<Ppm>)> = bench
        .told()
        .into_iter()
        .filter_map(|body| match body {
            TapeBody::Lifecycle(row) => Some((row.phase, row.payout)),
            _ => None,
        })
        .collect();
    assert_eq!(
        rows,
        [
            (Phase::Created, None),
            (Phase::Active, None),
            (Phase::Determined, Some(Ppm::ONE)),
            (Phase::Amended, Some(Ppm::HALF)),
            (Phase::Final, Some(Ppm::HALF)),
        ]
    );
    assert_eq!((bench.counts().duplicates, bench.counts().quarantined), (1, 0));
    let known = bench.machine.lives().get("A").unwrap();
    assert_eq!((known.phase, known.payout), (Phase::Final, Some(Ppm::HALF)));
    // Contradictions and outcomes outside 0 to 1 are quarantined.
    for bad in [
        r#""event_type":"determined","result":"yes","settlement_value":"0.0000""#,
        r#""event_type":"determined","result":"no","settlement_value":"1.0000""#,
        r#""event_type":"determined","result":"scalar","settlement_value":"1.0001""#,
        r#""event_type":"determined","result":"maybe""#,
        r#""event_type":"determined""#,
    ] {
        let mut bench = Bench::connected(KalshiConfig::capture());
        bench.frame(&subscribed(1, "market_lifecycle_v2", 1));
        bench.frame(&life(1, bad));
        assert_eq!(bench.counts().quarantined, 1, "{bad}");
        assert_eq!(bench.machine.lives().get("A"), None, "{bad}");
    }
}

#[test]
fn trap_12_rest_and_websocket_tell_the_same_rows() {
    let mut bench = Bench::connected(KalshiConfig { rest: true, ..KalshiConfig::books(&["A"]) });
    bench.machine.look_up(&["A"], &mut Vec::new());
    bench.pass(1);
    let mut request = 1;
    for (status, result, value, phase, payout) in [
        ("initialized", "", "null", Phase::Created, None),
        ("inactive", "", "null", Phase::Paused, None),
        ("active", "", "null", Phase::Active, None),
        ("closed", "", "null", Phase::Closed, None),
        ("determined", "no", "\"0.0000\"", Phase::Determined, Some(Ppm(0))),
        ("disputed", "no", "\"0.0000\"", Phase::Disputed, Some(Ppm(0))),
        ("amended", "scalar", "\"0.2500\"", Phase::Amended, Some(Ppm(250_000))),
        ("finalized", "scalar", "\"0.2500\"", Phase::Final, Some(Ppm(250_000))),
    ] {
        bench.rows.clear();
        let mut out = Vec::new();
        bench.machine.look_up(&["A"], &mut out);
        request += 1;
        let body = market_object("A", status, result, value);
        // Requests are numbered from 1; the status poll and the first look-up came before.
        bench.reply(request + 1, 200, &format!(r#"{{"markets":[{body}],"cursor":""}}"#));
        let rows: Vec<_> = bench
            .rows
            .iter()
            .filter_map(|row| match &row.body {
                TapeBody::Lifecycle(row) => Some((row.phase, row.payout, row.said.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(rows, [(phase, payout, status)], "{status} {:?}", bench.counts());
    }
    // A market that must have an outcome and has none is quarantined.
    bench.machine.look_up(&["A"], &mut Vec::new());
    let body = market_object("A", "finalized", "", "null");
    bench.reply(request + 2, 200, &format!(r#"{{"markets":[{body}],"cursor":""}}"#));
    assert_eq!(bench.counts().quarantined, 1);
}

#[test]
fn trap_14_a_market_that_left_the_listing_is_found_under_historical_with_other_names() {
    let mut bench = Bench::connected(KalshiConfig { rest: true, ..KalshiConfig::books(&["A", "OLD"]) });
    bench.reply(1, 200, r#"{"exchange_active":true,"trading_active":true}"#);
    bench.fetched();
    let mut out = Vec::new();
    bench.machine.look_up(&["A", "OLD"], &mut out);
    bench.pass(1);
    let listed = market_object("A", "active", "", "null");
    bench.reply(2, 200, &format!(r#"{{"markets":[{listed}],"cursor":""}}"#));
    let fetched = bench.fetched();
    assert_eq!(fetched, [(3, "/historical/markets/OLD".to_owned())]);
    let mut old = market_object("OLD", "finalized", "yes", "\"1.0000\"");
    for (long, short) in [
        ("settlement_value_dollars", "settlement_value"),
        ("yes_bid_dollars", "yes_bid"),
        ("yes_ask_dollars", "yes_ask"),
        ("last_price_dollars", "last_price"),
        ("volume_fp", "volume"),
        ("open_interest_fp", "open_interest"),
    ] {
        old = old.replace(&format!("\"{long}\""), &format!("\"{short}\""));
    }
    bench.reply(3, 200, &format!(r#"{{"market":{old}}}"#));
    let known = bench.machine.lives().get("OLD").unwrap();
    assert_eq!((known.phase, known.payout), (Phase::Final, Some(Ppm::ONE)));
    assert_eq!((bench.counts().quarantined, bench.counts().failed_requests), (0, 0));
    assert!(!bench.machine.shelf().is_empty());
    // The short names are legal there and nowhere else.
    bench.machine.look_up(&["A"], &mut out);
    bench.reply(4, 200, &format!(r#"{{"markets":[{old}],"cursor":""}}"#));
    assert_eq!(bench.counts().quarantined, 1);
}
