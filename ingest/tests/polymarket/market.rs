//! Books, ticks, trades and what else the channel says; each trap of the venue has a test of its name.

use ingest::VenueOutput;
use ingest::venue::polymarket::market::placeholder;
use ingest::venue::{VenueMachine, polymarket::PolymarketConfig};
use schemas::time::NANOS_PER_SEC;
use schemas::{BookSide, BookState, GapReason, Phase, Ppm, TapeBody, Timestamp, TopRow};

use crate::{MARKET, NO, T, YES, book, both, capture, change, live, rows, sent};

const BID: BookSide = BookSide::Bid;
const ASK: BookSide = BookSide::Ask;

fn reason(state: BookState) -> Option<GapReason> {
    match state {
        BookState::Gap { reason, to: None, .. } => Some(reason),
        _ => None,
    }
}

#[test]
fn a_book_is_sorted_whatever_the_order_of_its_levels() {
    let rig = both();
    assert_eq!(rig.state(YES), BookState::Live);
    assert_eq!(rig.levels(YES, BID), [(500_000, 200_000_000), (490_000, 350_000_000)]);
    assert_eq!(rig.levels(YES, ASK), [(520_000, 250_000_000), (530_000, 10_500_000)]);
    assert_eq!((rig.counts().snapshots, rig.counts().gaps, rig.counts().quarantined), (2, 0, 0));
    let slot = rig.machine.shelf().by_name(YES).unwrap();
    assert_eq!(slot.instrument.market, MARKET);
}

#[test]
fn times_of_venue_and_receipt_are_kept_apart() {
    let mut rig = both();
    rig.now = rig.now.plus(7);
    let out = rig.frame(&change(T + 5, &[(YES, "BUY", "0.49", "1", "0.50", "0.52")]));
    let row = rows(&out).next().unwrap();
    assert_eq!(row.times.venue_at, Some(Timestamp::from_millis(T + 5)));
    assert_eq!((row.times.publish_at, row.times.recv_at), (None, Timestamp::from_millis(T).plus(7)));
}

#[test]
fn trap_05_subpenny_grid_change_on_a_live_book() {
    let mut rig = both();
    let tick = |old: &str, new: &str, ms: i64| {
        format!(
            r#"{{"event_type":"tick_size_change","asset_id":"{YES}","market":"{MARKET}","old_tick_size":"{old}","new_tick_size":"{new}","timestamp":"{ms}"}}"#
        )
    };
    let out = rig.frame(&tick("0.01", "0.001", T + 10));
    assert!(rows(&out).any(|row| row.body == TapeBody::TickSize { old: Some(10_000), new: 1_000 }));
    assert_eq!(reason(rig.state(YES)), Some(GapReason::TickChange));
    assert_eq!(rig.state(NO), BookState::Live);
    assert!(sent(&out).is_empty(), "the venue sends the new book by itself");
    // Changes of the old or the new grid mean nothing until the next book; nor does a book of before.
    rig.frame(&change(T + 11, &[(YES, "BUY", "0.505", "7", "0.505", "0.52")]));
    rig.frame(&book(YES, T + 9, &[("0.50", "1")], &[]));
    assert!(rig.levels(YES, BID).is_empty());
    assert_eq!((rig.counts().stale_dropped, reason(rig.state(YES))), (2, Some(GapReason::TickChange)));
    rig.frame(&book(YES, T + 12, &[("0.505", "7")], &[("0.52", "250")]));
    assert_eq!(rig.state(YES), BookState::Live);
    assert_eq!(rig.levels(YES, BID), [(505_000, 7_000_000)]);
    // The same announcement again, late: the book of the new grid stays.
    rig.frame(&tick("0.01", "0.001", T + 10));
    assert_eq!(rig.state(YES), BookState::Live);
}

#[test]
fn a_tick_change_without_its_book_is_asked_for_after_a_second() {
    let mut rig = both();
    let tick = format!(
        r#"{{"event_type":"tick_size_change","asset_id":"{YES}","old_tick_size":"0.01","new_tick_size":"0.001","timestamp":"{}"}}"#,
        T + 10
    );
    rig.frame(&tick);
    assert!(sent(&rig.wait(NANOS_PER_SEC - 1)).is_empty());
    let asked = sent(&rig.wait(1));
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0]["operation"], "unsubscribe");
    assert_eq!(asked[1]["operation"], "subscribe");
    assert_eq!(asked[1]["assets_ids"], serde_json::json!([YES]));
    // The book that answers may be as old as its last change.
    rig.frame(&book(YES, T + 5, &[("0.505", "7")], &[]));
    assert_eq!(rig.state(YES), BookState::Live);
}

#[test]
fn a_tick_change_that_changes_nothing_clears_nothing() {
    let mut rig = both();
    for ms in [T + 1, T + 2] {
        rig.frame(&format!(
            r#"{{"event_type":"tick_size_change","asset_id":"{YES}","market":"{MARKET}","old_tick_size":"0.01","new_tick_size":"0.01","timestamp":"{ms}"}}"#
        ));
    }
    assert_eq!(rig.state(YES), BookState::Live);
    assert_eq!(rig.levels(YES, BID).len(), 2);
    assert_eq!((rig.counts().gaps, rig.counts().foreign), (0, 2));
}

#[test]
fn trap_06_a_message_that_touches_two_tokens_is_applied_whole_or_not_at_all() {
    let mut rig = both();
    let out = rig.frame(&change(
        T + 1,
        &[(YES, "BUY", "0.51", "40", "0.51", "0.52"), (NO, "SELL", ".49", "40", "0.48", "0.49")],
    ));
    // Both sides stand before anything else is said.
    let bodies: Vec<_> = rows(&out).map(|row| matches!(row.body, TapeBody::Level { .. })).collect();
    assert_eq!(bodies, [true, true]);
    assert_eq!(rig.levels(YES, BID)[0], (510_000, 40_000_000));
    assert_eq!(rig.levels(NO, ASK)[0], (490_000, 40_000_000));
    assert_eq!((rig.counts().tops_ok, rig.counts().tops_bad), (2, 0));

    // The second half cannot be read: the first half is not applied, both books are lost and asked for.
    let whole = change(
        T + 2,
        &[(YES, "BUY", "0.51", "99", "0.51", "0.52"), (NO, "SELL", "0.49", "99", "0.48", "0.49")],
    );
    let half = whole.replacen(r#""side":"SELL""#, r#""side":"sold""#, 1);
    let out = rig.frame(&half);
    assert!(!rows(&out).any(|row| matches!(row.body, TapeBody::Level { .. })));
    assert_eq!(reason(rig.state(YES)), Some(GapReason::Unreadable));
    assert_eq!(reason(rig.state(NO)), Some(GapReason::Unreadable));
    assert_eq!(rig.counts().quarantined, 1);
    let asked = sent(&out);
    assert_eq!(asked.len(), 2, "one pair of frames for both");
    assert_eq!(asked[1]["assets_ids"].as_array().unwrap().len(), 2);
}

#[test]
fn trap_06_a_half_that_is_out_of_order_loses_both_books() {
    let mut rig = both();
    rig.frame(&change(T + 5, &[(YES, "BUY", "0.49", "1", "0.50", "0.52")]));
    // YES is older than its last change and no repeat; NO by itself would be fine.
    rig.frame(&change(
        T + 4,
        &[(NO, "BUY", "0.47", "1", "0.48", "0.50"), (YES, "BUY", "0.48", "1", "0.50", "0.52")],
    ));
    assert_eq!(reason(rig.state(YES)), Some(GapReason::SequenceBack));
    assert_eq!(reason(rig.state(NO)), Some(GapReason::SequenceBack));
}

#[test]
fn trap_07_replays_after_a_reconnect_and_equal_timestamps() {
    let mut rig = both();
    let first = change(T + 1, &[(YES, "BUY", "0.51", "40", "0.51", "0.52")]);
    let second = change(T + 1, &[(YES, "BUY", "0.49", "5", "0.51", "0.52")]);
    rig.frame(&first);
    rig.frame(&second);
    assert_eq!(rig.levels(YES, BID), [(510_000, 40_000_000), (500_000, 200_000_000), (490_000, 5_000_000)]);
    // The same again at once: nothing new, nothing lost.
    rig.frame(&first);
    assert_eq!((rig.counts().duplicates, rig.counts().gaps), (1, 0));

    rig.apply(schemas::Raw::Closed { conn: 1, reason: "cut".to_owned() });
    assert_eq!(reason(rig.state(YES)), Some(GapReason::Disconnected));
    let out = rig.wait(NANOS_PER_SEC);
    let conn = out.iter().find_map(|said| match said {
        VenueOutput::Deed(ingest::Deed::Connect { conn, .. }) => Some(*conn),
        _ => None,
    });
    let conn = conn.unwrap();
    let subscribed = sent(&rig.apply(schemas::Raw::Connected { conn }));
    assert_eq!(subscribed[0]["type"], "market");
    // Replayed before the book: dropped. The book holds the second, not yet the third.
    rig.frame_on(conn, &first);
    let bids = [("0.51", "40"), ("0.50", "200"), ("0.49", "5")];
    rig.frame_on(conn, &book(YES, T + 1, &bids, &[("0.52", "250")]));
    assert_eq!(rig.state(YES), BookState::Live);
    // Older than the book: a replay. As old as the book: applied, and says the same.
    rig.frame_on(conn, &change(T, &[(YES, "BUY", "0.49", "777", "0.51", "0.52")]));
    rig.frame_on(conn, &second);
    rig.frame_on(conn, &change(T + 1, &[(YES, "BUY", "0.48", "9", "0.51", "0.52")]));
    assert_eq!(rig.levels(YES, BID)[2..], [(490_000, 5_000_000), (480_000, 9_000_000)]);
    assert_eq!(rig.counts().stale_dropped, 2);
    assert_eq!(rig.state(YES), BookState::Live);
    // Records of the old connection are nobody's.
    rig.frame_on(1, &change(T + 9, &[(YES, "BUY", "0.48", "1", "0.51", "0.52")]));
    assert_eq!(rig.counts().stray, 1);
}

#[test]
fn a_level_that_goes_back_within_one_millisecond_is_applied() {
    let mut rig = both();
    for size in ["5", "6", "5", "5"] {
        rig.frame(&change(T + 1, &[(YES, "BUY", "0.49", size, "0.50", "0.52")]));
    }
    assert_eq!(rig.levels(YES, BID)[1], (490_000, 5_000_000));
    assert_eq!((rig.counts().deltas, rig.counts().duplicates, rig.counts().gaps), (3, 1, 0));
}

#[test]
fn a_late_repeat_is_a_duplicate_and_a_late_stranger_is_a_gap() {
    let mut rig = both();
    let old = change(T + 1, &[(YES, "BUY", "0.49", "5", "0.50", "0.52")]);
    rig.frame(&old);
    rig.frame(&change(T + 2, &[(YES, "BUY", "0.49", "6", "0.50", "0.52")]));
    rig.frame(&old);
    assert_eq!((rig.counts().duplicates, rig.state(YES)), (1, BookState::Live));
    assert_eq!(rig.levels(YES, BID)[1], (490_000, 6_000_000));
    rig.frame(&change(T + 1, &[(YES, "BUY", "0.47", "5", "0.50", "0.52")]));
    assert_eq!(reason(rig.state(YES)), Some(GapReason::SequenceBack));
}

#[test]
fn best_prices_that_differ_lose_the_book_and_it_is_back_within_a_second() {
    let mut rig = both();
    let out = rig.frame(&change(T + 1, &[(YES, "BUY", "0.49", "5", "0.51", "0.52")]));
    assert_eq!(reason(rig.state(YES)), Some(GapReason::TopMismatch));
    assert_eq!((rig.counts().tops_bad, rig.state(NO)), (1, BookState::Live));
    assert_eq!(sent(&out).len(), 2, "asked for at once");
    // Nothing is applied until the book comes.
    rig.frame(&change(T + 2, &[(YES, "BUY", "0.51", "1", "0.51", "0.52")]));
    rig.now = rig.now.plus(NANOS_PER_SEC / 10);
    let out = rig.frame(&book(YES, T + 2, &[("0.51", "1")], &[("0.52", "250")]));
    let closed = rows(&out).find_map(|row| match row.body {
        TapeBody::State(BookState::Gap { reason, from, to: Some(to) }) => Some((reason, to.since(from))),
        _ => None,
    });
    assert_eq!(closed, Some((GapReason::TopMismatch, NANOS_PER_SEC / 10)));
    assert_eq!(rig.state(YES), BookState::Live);
}

#[test]
fn sides_without_orders_have_no_best_price() {
    let mut rig = both();
    rig.frame(&change(T + 1, &[(NO, "BUY", "0.48", "0", "0", "0.50")]));
    assert_eq!((rig.counts().tops_ok, rig.levels(NO, BID).len()), (1, 0));
    rig.frame(&change(T + 2, &[(NO, "SELL", "0.50", "0", "0", "0.51"), (NO, "SELL", "0.51", "0", "0", "1")]));
    assert_eq!((rig.counts().tops_ok, rig.counts().tops_bad), (2, 0));
}

#[test]
fn trap_13_a_book_that_we_crossed_is_lost_and_a_crossed_snapshot_is_refused() {
    let mut rig = both();
    let out = rig.frame(&change(T + 1, &[(YES, "BUY", "0.52", "5", "", "")]));
    assert_eq!(reason(rig.state(YES)), Some(GapReason::Crossed));
    assert_eq!((rig.counts().crossed, sent(&out).len()), (1, 2));
    rig.frame(&book(YES, T + 2, &[("0.60", "1")], &[("0.40", "1")]));
    assert_eq!(reason(rig.state(YES)), Some(GapReason::Crossed));
    assert_eq!(rig.counts().crossed, 2);
    // A quote that is told crossed is the venue's: counted and said.
    let out = rig.frame(&top("0.60", "0.40"));
    let quote = TapeBody::Quote {
        bid: Some(TopRow { price: 600_000, qty: None }),
        ask: Some(TopRow { price: 400_000, qty: None }),
    };
    assert!(rows(&out).any(|row| row.body == quote));
    assert_eq!(rig.counts().crossed, 3);
}

fn top(bid: &str, ask: &str) -> String {
    format!(
        r#"{{"event_type":"best_bid_ask","market":"{MARKET}","asset_id":"{YES}","best_bid":"{bid}","best_ask":"{ask}","spread":"0.04","timestamp":"{T}"}}"#
    )
}

#[test]
fn placeholder_orders_are_kept_and_are_no_quotes() {
    let mut rig = both();
    let out = rig.frame(&top("0.01", "0.99"));
    assert!(rows(&out).any(|row| row.body == TapeBody::Quote { bid: None, ask: None }));
    let no = rig.machine.shelf().slots().find(|(_, slot)| slot.instrument.native == YES).unwrap().0;
    assert!(rig.machine.quotable(no));
    rig.frame(&book(YES, T + 1, &[("0.01", "5000")], &[("0.99", "5000")]));
    let slot = rig.machine.shelf().by_name(YES).unwrap();
    assert!(placeholder(&slot.book) && slot.state.is_live());
    assert!(!rig.machine.quotable(no));
    assert_eq!(rig.levels(YES, BID).len(), 1);
}

fn fill(size: &str, ms: i64, hash: &str) -> String {
    format!(
        r#"{{"event_type":"last_trade_price","market":"{MARKET}","asset_id":"{YES}","fee_rate_bps":"","price":"0.51","side":"BUY","size":"{size}","timestamp":"{ms}","transaction_hash":"{hash}"}}"#
    )
}

#[test]
fn fills_of_one_transaction_are_several_and_a_frame_sent_twice_counts_once() {
    let mut rig = both();
    let frame = format!("[{},{},{}]", fill("25", T, "0xa"), fill("25", T, "0xa"), fill("3.5", T, "0xa"));
    let out = rig.frame(&frame);
    let mut ids: Vec<_> = rows(&out)
        .filter_map(|row| match row.body {
            TapeBody::Trade(trade) => {
                assert_eq!((trade.price, trade.taker), (510_000, Some(BID)));
                Some(trade.id)
            }
            _ => None,
        })
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    rig.frame(&frame);
    assert_eq!((rig.counts().fills, rig.counts().duplicates), (3, 3));
    rig.frame(&fill("25", T, "0xb"));
    assert_eq!(rig.counts().fills, 4);
    // The price as the venue writes it is not part of what a fill is.
    rig.frame(&fill("25.0", T, "0xb").replace("0.51", ".510"));
    assert_eq!((rig.counts().fills, rig.counts().duplicates), (4, 4));
    assert_eq!(rig.state(YES), BookState::Live);
}

#[test]
fn old_trades_are_forgotten_within_bounds() {
    let config = PolymarketConfig { trade_window: 3, ..PolymarketConfig::new([YES.to_owned()]) };
    let mut rig = crate::Rig::new(ingest::venue::polymarket::Polymarket::new(config));
    rig.connect();
    for ms in 0..5 {
        rig.frame(&fill("1", T + ms, ""));
    }
    rig.frame(&fill("1", T + 4, ""));
    assert_eq!((rig.counts().fills, rig.counts().duplicates), (5, 1));
}

#[test]
fn trap_12_a_resolution_names_what_the_first_outcome_pays() {
    let mut rig = both();
    let resolved = |winner: &str| {
        format!(
            r#"{{"event_type":"market_resolved","id":"1","market":"{MARKET}","assets_ids":["{YES}","{NO}"],"winning_asset_id":"{winner}","winning_outcome":"No","timestamp":"{T}"}}"#
        )
    };
    let out = rig.frame(&resolved(NO));
    let row = rows(&out).find_map(|row| match &row.body {
        TapeBody::Lifecycle(life) => Some((row.instrument, life.clone())),
        _ => None,
    });
    let (no, life) = row.unwrap();
    assert_eq!(rig.machine.shelf().slot(no).unwrap().instrument.native, YES);
    assert_eq!((life.phase, life.payout, life.market.as_str()), (Phase::Final, Some(Ppm(0)), MARKET));
    // A winner that is none of its tokens is not guessed.
    rig.frame(&resolved("12345"));
    assert_eq!(rig.counts().quarantined, 1);
}

#[test]
fn a_new_market_is_said_with_its_fees_and_grid() {
    let mut rig = both();
    let out = rig.frame(&format!(
        r#"{{"event_type":"new_market","id":"1","question":"a \"quoted\" one?","market":"0xab","slug":"s","assets_ids":["11","22"],"outcomes":["Yes","No"],"timestamp":"{T}","order_price_min_tick_size":"0.001","fees_enabled":true,"fee_schedule":{{"rate":"0.07","exponent":1}}}}"#
    ));
    let life = rows(&out).find_map(|row| match &row.body {
        TapeBody::Lifecycle(life) => Some(life.clone()),
        _ => None,
    });
    let life = life.unwrap();
    assert_eq!((life.phase, life.market.as_str()), (Phase::Created, "0xab"));
    assert_eq!(
        life.detail,
        r#"{"fee_schedule":{"exponent":1,"rate":"0.07"},"fees_enabled":true,"outcomes":["Yes","No"],"slug":"s","tick_size":"0.001","tokens":["11","22"]}"#
    );
}

#[test]
fn unknown_types_are_foreign_unless_they_may_change_a_book() {
    let mut rig = both();
    rig.frame(&format!(r#"{{"event_type":"holiday","asset_id":"{YES}","timestamp":"{T}"}}"#));
    assert_eq!((rig.counts().foreign, rig.state(YES)), (1, BookState::Live));
    rig.frame(&format!(r#"{{"event_type":"book_v2","asset_id":"{YES}","bids":[],"timestamp":"{T}"}}"#));
    assert_eq!(reason(rig.state(YES)), Some(GapReason::Unreadable));
}

#[test]
fn plain_words_are_counted_and_broken_json_loses_every_book_of_the_connection() {
    let mut rig = both();
    for text in ["PONG", "", "[]", "INVALID OPERATION"] {
        rig.frame(text);
    }
    assert_eq!((rig.counts().quarantined, rig.counts().venue_errors, rig.counts().gaps), (1, 1, 0));
    rig.frame(r#"{"event_type":"price_change","#);
    assert_eq!((rig.counts().quarantined, rig.counts().gaps), (2, 2));
}

#[test]
fn the_venues_hash_is_checked_where_the_frame_has_what_it_covers() {
    // SHA-1 of {"market":"0x1","asset_id":"7","timestamp":"1767200000000","hash":"","bids":[{"price":"0.4","size":"5"}],
    // "asks":[{"price":"0.6","size":"7"}],"min_order_size":"5","tick_size":"0.01","neg_risk":false,
    // "last_trade_price":"0.5"}, computed with sha1sum.
    const HASH: &str = "8565a1155c95d0dae0d77d9f9e2e07130ef8989a";
    let frame = |hash: &str| {
        format!(
            r#"{{"event_type":"book","hash":"{hash}","market":"0x1","asset_id":"7","timestamp":"{T}","bids":[{{"price":"0.4","size":"5"}}],"asks":[{{"price":"0.6","size":"7"}}],"min_order_size":"5","tick_size":"0.01","neg_risk":false,"last_trade_price":"0.5"}}"#
        )
    };
    let mut rig = live(&["7"]);
    rig.frame(&frame(HASH));
    assert_eq!((rig.counts().checksums_ok, rig.counts().checksums_bad), (1, 0));
    rig.frame(&frame(&HASH.replace('1', "2")).replace("1767200000000", "1767200000001"));
    assert_eq!((rig.counts().checksums_bad, rig.state("7")), (1, BookState::Live));

    let config = PolymarketConfig { verify_hash: true, ..PolymarketConfig::new(["7".to_owned()]) };
    let mut strict = crate::Rig::new(ingest::venue::polymarket::Polymarket::new(config));
    strict.connect();
    strict.frame(&frame(&HASH.replace('1', "2")));
    assert!(!strict.state("7").is_live());
    strict.frame(&frame(HASH));
    assert!(strict.state("7").is_live());
}

#[test]
fn recordings_without_receive_times_are_read_whole() {
    let mut rig = capture();
    let yes = book(YES, T, &[("0.50", "200")], &[("0.52", "250")]);
    rig.frame(&yes);
    rig.frame(&change(
        T + 1,
        &[(YES, "BUY", "0.51", "1", "0.51", "0.52"), (NO, "SELL", "0.49", "1", "0.48", "0.49")],
    ));
    rig.frame(&book(NO, T + 1, &[("0.48", "250")], &[("0.49", "1")]));
    assert_eq!(rig.machine.shelf().live(), 2);
    assert_eq!((rig.counts().deltas, rig.counts().stale_dropped, rig.counts().gaps), (1, 1, 0));
    assert!(sent(&rig.said).is_empty());
    // A connection that ends is followed by another although no time passes.
    rig.apply(schemas::Raw::Closed { conn: 1, reason: "recorded".to_owned() });
    let out = rig.connect();
    assert!(out.is_empty(), "it was asked for with the end of the first");
    rig.apply(schemas::Raw::Connected { conn: 2 });
    rig.frame_on(2, &yes);
    assert_eq!(rig.state(YES), BookState::Live);
}
