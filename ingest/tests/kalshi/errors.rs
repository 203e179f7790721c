//! Losses and their repair: snapshots asked for, subscriptions opened anew, terminal errors, new connections.

use ingest::venue::VenueMachine as _;
use ingest::venue::kalshi::KalshiConfig;
use ingest::{Deed, VenueOutput};
use schemas::{BookSide, BookState, GapReason, Machine as _, Raw, TapeBody};

use crate::support::{Bench, delta, snapshot, subscribed};
use crate::traps::two_books;

fn gap(bench: &Bench, ticker: &str) -> Option<GapReason> {
    match bench.state(ticker) {
        BookState::Gap { reason, to: None, .. } => Some(reason),
        _ => None,
    }
}

#[test]
fn a_skipped_seq_loses_the_sids_books_until_their_snapshots() {
    let mut bench = two_books();
    bench.frame(&delta(4, 4, "A", "yes", "0.4000", "1.00"));
    assert_eq!(gap(&bench, "A"), Some(GapReason::SequenceSkipped));
    assert_eq!(gap(&bench, "B"), Some(GapReason::SequenceSkipped));
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["cmd"], "update_subscription");
    assert_eq!(sent[0]["params"]["action"], "get_snapshot");
    bench.frame(&delta(4, 5, "A", "yes", "0.4000", "1.00"));
    bench.now = bench.now.plus(20_000_000);
    bench.frame(&snapshot(4, 6, "A", &[("0.4100", "3.00")], &[]));
    bench.frame(&delta(4, 7, "A", "yes", "0.4100", "-1.00"));
    assert_eq!(bench.side("A", BookSide::Bid), [(410_000, 200)]);
    assert!(bench.live("A") && !bench.live("B"));
    bench.frame(&snapshot(4, 8, "B", &[], &[]));
    assert!(bench.live("B"));
    let closed = bench.rows.iter().filter(
        |row| matches!(row.body, TapeBody::State(BookState::Gap { to: Some(to), from, .. }) if to > from),
    );
    assert_eq!(closed.count(), 2, "each gap says when it ended");
    bench.pass(10_000);
    assert!(bench.sent().is_empty());
}

#[test]
fn without_an_answer_the_subscription_is_opened_anew_and_then_the_connection() {
    let mut bench = two_books();
    bench.frame(&delta(4, 9, "A", "yes", "0.4000", "1.00"));
    assert_eq!(bench.sent().len(), 1);
    bench.pass(1_000);
    let again = bench.sent();
    assert_eq!(again[0]["params"]["action"], "get_snapshot");
    bench.pass(2_000);
    let anew = bench.sent();
    let commands: Vec<&str> = anew.iter().map(|sent| sent["cmd"].as_str().unwrap()).collect();
    assert!(commands.ends_with(&["unsubscribe", "subscribe"]), "{commands:?}");
    assert_eq!(anew[anew.len() - 2]["params"]["sids"], serde_json::json!([4]));
    // The old sid is nobody's any more; the new one serves.
    bench.frame(&delta(4, 10, "A", "yes", "0.4000", "1.00"));
    assert_eq!(bench.counts().stray, 1);
    bench.frame(&subscribed(anew.last().unwrap()["id"].as_u64().unwrap(), "orderbook_delta", 9));
    bench.frame(r#"{"type":"unsubscribed","id":5,"sid":4,"seq":11}"#);
    bench.frame(&snapshot(9, 1, "A", &[("0.4000", "1.00")], &[]));
    assert!(bench.live("A"));
    // B never comes: it is asked for ever more rarely, and A is left alone.
    bench.deeds.clear();
    for seq in 2..120 {
        bench.pass(1_000);
        bench.frame(&delta(9, seq, "A", "yes", "0.4000", "1.00"));
    }
    let sent = bench.sent();
    assert!(sent.iter().all(|sent| sent["params"]["action"] == "get_snapshot"), "{sent:?}");
    assert!((3..20).contains(&sent.len()), "{}", sent.len());
    assert!(bench.live("A"));
    assert_eq!(bench.counts().disconnects, 0);
}

#[test]
fn a_subscription_that_stays_dead_ends_the_connection() {
    let mut bench = two_books();
    bench.frame(&delta(4, 9, "A", "yes", "0.4000", "1.00"));
    bench.pass(3_000);
    let sent = bench.sent();
    let id = sent.iter().find(|sent| sent["cmd"] == "subscribe").unwrap()["id"].as_u64().unwrap();
    bench.frame(&subscribed(id, "orderbook_delta", 5));
    bench.pass(8_000);
    assert!(bench.deeds.iter().any(|deed| matches!(deed, Deed::Close { conn: 1 })), "{:?}", bench.deeds);
    assert!(bench.deeds.iter().any(|deed| matches!(deed, Deed::Connect { conn: 2, .. })));
}

#[test]
fn terminal_errors_lose_every_book_with_their_reason_and_reconnect_later() {
    for (code, reason) in [(25, GapReason::Overflow), (10, GapReason::ChannelError)] {
        let mut bench = two_books();
        bench.frame(&format!(r#"{{"type":"error","sid":4,"seq":3,"msg":{{"code":{code},"msg":"x"}}}}"#));
        assert_eq!((gap(&bench, "A"), gap(&bench, "B")), (Some(reason), Some(reason)));
        assert_eq!(bench.deeds, [Deed::Close { conn: 1 }]);
        bench.frame(&delta(4, 4, "A", "yes", "0.4000", "1.00"));
        assert_eq!(bench.counts().stray, 1);
        bench.deeds.clear();
        bench.pass(600);
        assert_eq!(bench.deeds, [Deed::Connect { conn: 2, socket: 0 }]);
        // Without a sid it is as terminal.
        let mut bench = two_books();
        bench.frame(&format!(r#"{{"type":"error","msg":{{"code":{code},"msg":"x"}}}}"#));
        assert_eq!(gap(&bench, "A"), Some(reason));
    }
}

#[test]
fn a_recording_goes_on_after_a_terminal_error() {
    let mut bench = Bench::connected(KalshiConfig::capture());
    bench.frame(&subscribed(1, "orderbook_delta", 1));
    bench.frame(&snapshot(1, 1, "A", &[("0.4000", "1.00")], &[]));
    bench.frame(r#"{"type":"error","sid":1,"seq":2,"msg":{"code":25,"msg":"overflow"}}"#);
    assert_eq!(gap(&bench, "A"), Some(GapReason::Overflow));
    bench.frame(&subscribed(2, "orderbook_delta", 2));
    bench.frame(&snapshot(2, 1, "A", &[("0.4000", "2.00")], &[]));
    assert_eq!(bench.side("A", BookSide::Bid), [(400_000, 200)]);
    assert!(bench.live("A"));
    assert!(
        bench.deeds.iter().all(|deed| matches!(deed, Deed::Connect { .. })),
        "a recording is asked nothing"
    );
}

#[test]
fn a_recording_may_begin_in_the_middle_and_may_start_a_sid_again() {
    let mut bench = Bench::connected(KalshiConfig::capture());
    bench.frame(&snapshot(1, 77, "A", &[("0.4000", "1.00")], &[]));
    bench.frame(&delta(1, 78, "A", "yes", "0.4000", "1.00"));
    assert_eq!((bench.counts().gaps, bench.live("A")), (0, true));
    bench.frame(&subscribed(1, "orderbook_delta", 1));
    bench.frame(&snapshot(1, 1, "A", &[("0.4000", "5.00")], &[]));
    assert_eq!(bench.counts().gaps, 1, "what lies between two connections is not known");
    assert_eq!(bench.side("A", BookSide::Bid), [(400_000, 500)]);
    // Another connection of the same recording.
    bench.give(Raw::Frame { conn: 2, bytes: subscribed(1, "orderbook_delta", 1).into_bytes() });
    assert_eq!(gap(&bench, "A"), Some(GapReason::Disconnected));
    bench.give(Raw::Frame { conn: 2, bytes: snapshot(1, 1, "A", &[("0.4000", "6.00")], &[]).into_bytes() });
    assert!(bench.live("A"));
}

#[test]
fn after_a_reconnect_other_sids_serve_the_same_markets() {
    let mut bench = two_books();
    bench.give(Raw::Closed { conn: 1, reason: "cut".to_owned() });
    assert_eq!(gap(&bench, "A"), Some(GapReason::Disconnected));
    bench.pass(600);
    assert_eq!(bench.connect(), 2);
    let sent = bench.sent();
    assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["A", "B"]));
    bench.frame(&subscribed(sent[0]["id"].as_u64().unwrap(), "orderbook_delta", 77));
    // An answer of before, by its id, is nobody's.
    bench.frame(&subscribed(1, "orderbook_delta", 78));
    assert_eq!(bench.counts().stray, 1);
    bench.frame(&snapshot(77, 1, "A", &[("0.4000", "1.00")], &[]));
    bench.frame(&snapshot(77, 2, "B", &[("0.4000", "1.00")], &[]));
    bench.frame(&delta(77, 3, "B", "yes", "0.4000", "1.00"));
    assert!(bench.live("A") && bench.live("B"));
    bench.give(Raw::Frame { conn: 1, bytes: delta(4, 3, "A", "yes", "0.4000", "1.00").into_bytes() });
    assert_eq!(bench.side("A", BookSide::Bid), [(400_000, 100)]);
    assert_eq!(bench.counts().disconnects, 1);
}

#[test]
fn thirty_seconds_of_silence_are_death_and_a_heartbeat_is_life() {
    let mut bench = two_books();
    for _ in 0..6 {
        bench.pass(10_000);
        bench.frame("heartbeat");
    }
    assert!(bench.live("A"));
    assert_eq!((bench.counts().disconnects, bench.counts().quarantined), (0, 0));
    bench.pass(30_000);
    assert_eq!(gap(&bench, "A"), Some(GapReason::Disconnected));
    assert_eq!(bench.counts().disconnects, 1);
}

#[test]
fn a_level_below_zero_loses_that_book_alone() {
    let mut bench = two_books();
    bench.frame(&delta(4, 3, "A", "yes", "0.4000", "-10.01"));
    assert_eq!(gap(&bench, "A"), Some(GapReason::NegativeLevel));
    assert_eq!(bench.counts().negative_levels, 1);
    assert!(bench.live("B"));
    let sent = bench.sent();
    assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["A"]));
    bench.frame(&snapshot(4, 4, "A", &[("0.4000", "1.00")], &[]));
    assert!(bench.live("A"));
}

#[test]
fn locked_is_legal_and_crossed_is_counted_once() {
    let mut bench = two_books();
    bench.frame(&delta(4, 3, "A", "yes", "0.4500", "1.00"));
    assert_eq!(bench.counts().crossed, 0, "yes 0.45 + no 0.55 = 1.00");
    bench.frame(&delta(4, 4, "A", "yes", "0.4600", "1.00"));
    bench.frame(&delta(4, 5, "A", "yes", "0.4600", "1.00"));
    assert_eq!(bench.counts().crossed, 1);
    bench.frame(&delta(4, 6, "A", "yes", "0.4600", "-2.00"));
    bench.frame(&delta(4, 7, "A", "no", "0.5600", "2.00"));
    assert_eq!(bench.counts().crossed, 2);
    assert!(bench.live("A"));
}

#[test]
fn a_frame_that_may_have_been_a_change_makes_books_old_until_the_next_counter() {
    let mut bench = two_books();
    bench.frame("{\"type\":\"orderbook_del");
    assert!(matches!(bench.state("A"), BookState::Stale { .. }));
    assert_eq!(bench.counts().quarantined, 1);
    let probe = bench.sent();
    assert_eq!(probe[0]["params"]["action"], "get_snapshot", "a quiet market must be able to prove itself");
    bench.frame(&delta(4, 3, "B", "yes", "0.2000", "1.00"));
    assert!(bench.live("A") && bench.live("B"));
    assert_eq!(bench.counts().gaps, 0);
    // This time it was one.
    bench.frame("[]");
    bench.frame(&delta(4, 5, "B", "yes", "0.2000", "1.00"));
    assert_eq!(gap(&bench, "A"), Some(GapReason::SequenceSkipped));
}

#[test]
fn an_unreadable_change_loses_the_book_it_names() {
    let mut bench = two_books();
    bench.frame(&delta(4, 3, "A", "yes", "0.4000", "1.00").replace("delta_fp", "delta"));
    assert_eq!(gap(&bench, "A"), Some(GapReason::Unreadable));
    assert!(bench.live("B"));
    bench.frame(&delta(4, 4, "B", "yes", "0.2000", "1.00").replace("orderbook_delta", "orderbook_delta_v3"));
    assert_eq!(gap(&bench, "B"), Some(GapReason::Unreadable));
    assert_eq!(bench.counts().quarantined, 2);
    // Old spellings in cents are as unreadable.
    bench.frame(&snapshot(4, 5, "A", &[("0.4000", "1.00")], &[]));
    bench.frame(
        r#"{"type":"orderbook_delta","sid":4,"seq":6,"msg":{"market_ticker":"A","price":40,"delta":-5,"side":"yes"}}"#,
    );
    assert_eq!(gap(&bench, "A"), Some(GapReason::Unreadable));
}

#[test]
fn too_many_markets_are_split_and_too_many_commands_slowed_down() {
    let tickers: Vec<String> = (0..8).map(|n| format!("M{n}")).collect();
    let names: Vec<&str> = tickers.iter().map(String::as_str).collect();
    let mut bench = Bench::connected(KalshiConfig { trade: false, ..KalshiConfig::books(&names) });
    let first = bench.sent();
    let refuse =
        |id: u64, code: u32| format!(r#"{{"type":"error","id":{id},"msg":{{"code":{code},"msg":"x"}}}}"#);
    bench.frame(&refuse(first[0]["id"].as_u64().unwrap(), 26));
    let halves = bench.sent();
    assert_eq!(halves.len(), 2);
    assert_eq!(halves[0]["params"]["market_tickers"].as_array().unwrap().len(), 4);
    assert_eq!(halves[1]["params"]["market_tickers"][0], "M4");
    bench.frame(&subscribed(halves[0]["id"].as_u64().unwrap(), "orderbook_delta", 1));
    bench.frame(&refuse(halves[1]["id"].as_u64().unwrap(), 27));
    assert!(bench.sent().is_empty());
    bench.pass(1_100);
    let later: Vec<_> = bench.sent().into_iter().filter(|sent| sent["cmd"] == "subscribe").collect();
    assert_eq!(later.len(), 1);
    bench.frame(&subscribed(later[0]["id"].as_u64().unwrap(), "orderbook_delta", 2));
    // One more than the venue takes goes into a subscription of its own.
    bench.add(&["X"]);
    let added = bench.sent();
    assert_eq!((added.len(), added[0]["cmd"].as_str()), (1, Some("subscribe")));
    bench.frame(&subscribed(added[0]["id"].as_u64().unwrap(), "orderbook_delta", 3));
    bench.add(&["Y"]);
    let added = bench.sent();
    assert_eq!(added[0]["params"]["action"], "add_markets");
    bench.frame(&format!(
        r#"{{"type":"error","id":{},"sid":3,"seq":1,"msg":{{"code":26,"msg":"x"}}}}"#,
        added[0]["id"]
    ));
    let moved = bench.sent();
    assert_eq!(moved[0]["params"]["market_tickers"], serde_json::json!(["Y"]));
    assert_eq!(moved[0]["cmd"], "subscribe");
    assert_eq!(bench.counts().venue_errors, 3);
}

#[test]
fn an_ok_to_a_subscribe_means_that_the_venue_merged_it() {
    let config = KalshiConfig { trade: false, max_markets: 1, ..KalshiConfig::books(&["A", "B"]) };
    let mut bench = Bench::connected(config);
    let sent = bench.sent();
    assert_eq!(sent.len(), 2);
    bench.frame(&subscribed(sent[0]["id"].as_u64().unwrap(), "orderbook_delta", 1));
    bench.frame(&snapshot(1, 1, "A", &[("0.4000", "1.00")], &[]));
    let id = &sent[1]["id"];
    bench
        .frame(&format!(r#"{{"type":"ok","id":{id},"sid":1,"seq":2,"msg":{{"market_tickers":["A","B"]}}}}"#));
    bench.frame(&snapshot(1, 3, "B", &[("0.4000", "1.00")], &[]));
    assert!(bench.live("A") && bench.live("B"));
    bench.frame(&delta(1, 9, "A", "yes", "0.4000", "1.00"));
    assert!(!bench.live("A") && !bench.live("B"));
}

#[test]
fn a_gap_of_trades_is_told_and_the_books_stand() {
    let config = KalshiConfig { lifecycle: false, ..KalshiConfig::books(&["A"]) };
    let mut bench = Bench::connected(config);
    let sent = bench.sent();
    for (at, (channel, sid)) in [("orderbook_delta", 1), ("trade", 2)].into_iter().enumerate() {
        assert_eq!(sent[at]["params"]["channels"][0], channel);
        bench.frame(&subscribed(sent[at]["id"].as_u64().unwrap(), channel, sid));
    }
    bench.frame(&snapshot(1, 1, "A", &[("0.4000", "1.00")], &[]));
    bench.frame(&crate::messages::trade(2, 1, 1));
    bench.rows.clear();
    bench.now = bench.now.plus(5);
    bench.frame(&crate::messages::trade(2, 3, 2));
    assert_eq!((bench.counts().gaps, bench.counts().fills), (1, 2));
    let sent = bench.sent();
    assert_eq!((sent[0]["cmd"].as_str(), sent[1]["cmd"].as_str()), (Some("unsubscribe"), Some("subscribe")));
    bench.frame(&subscribed(sent[1]["id"].as_u64().unwrap(), "trade", 3));
    let states: Vec<&TapeBody> =
        bench.told().into_iter().filter(|body| matches!(body, TapeBody::State(_))).collect();
    assert!(
        matches!(
            states[..],
            [
                TapeBody::State(BookState::Gap { reason: GapReason::SequenceSkipped, to: Some(_), .. }),
                TapeBody::State(BookState::Live)
            ]
        ),
        "{states:?}"
    );
    assert!(bench.live("A"));
    bench.frame(&crate::messages::trade(3, 1, 2));
    assert_eq!((bench.counts().duplicates, bench.counts().fills), (1, 2), "an execution is told once");
}

#[test]
fn same_records_same_outputs_and_digest() {
    let run = || {
        let mut bench = two_books();
        bench.frame(&delta(4, 9, "A", "yes", "0.4000", "1.00"));
        bench.pass(5_000);
        bench.give(Raw::Closed { conn: 1, reason: "cut".to_owned() });
        bench.pass(5_000);
        let said: Vec<VenueOutput> = bench.rows.iter().cloned().map(VenueOutput::Row).collect();
        (bench.machine.digest(), bench.machine.shelf().digest(), said, bench.deeds)
    };
    assert_eq!(run(), run());
}
