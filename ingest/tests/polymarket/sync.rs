//! Connections, shards, lost books and audits: what is asked of the venue, when, and what silence means.

use ingest::deed::HOST_MAIN;
use ingest::venue::VenueMachine;
use ingest::venue::polymarket::{Polymarket, PolymarketConfig};
use ingest::{Deed, VenueOutput};
use schemas::time::NANOS_PER_SEC;
use schemas::{BookState, GapReason, Raw, RestReply};

use crate::{NO, Rig, T, YES, book, both, change, rows, sent};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{:078}", n + 1)).collect()
}

fn fetches(out: &[VenueOutput]) -> Vec<(u32, String)> {
    let fetch = |said: &VenueOutput| match said {
        VenueOutput::Deed(Deed::Fetch { request, host: HOST_MAIN, path, body }) if path == "/books" => {
            Some((*request, body.clone().unwrap()))
        }
        _ => None,
    };
    out.iter().filter_map(fetch).collect()
}

#[test]
fn no_connection_ever_carries_more_than_two_hundred_tokens() {
    let config = PolymarketConfig { shard: 10_000, ..PolymarketConfig::new(names(450)) };
    let mut rig = Rig::new(Polymarket::new(config));
    let out = rig.connect();
    assert_eq!(rig.machine.shard_sizes(), [200, 200, 50]);
    let first = sent(&out);
    assert_eq!(first.len(), 3);
    for (text, size) in first.iter().zip([200, 200, 50]) {
        assert_eq!((&text["type"], &text["custom_feature_enabled"]), (&"market".into(), &true.into()));
        assert_eq!(text["assets_ids"].as_array().unwrap().len(), size);
    }
    // More tokens fill the last connection first, then open another.
    rig.machine.add_assets((1_000..1_200).map(|n| format!("{n:078}")));
    let out = rig.connect();
    assert_eq!(rig.machine.shard_sizes(), [200, 200, 200, 50]);
    let more = sent(&out);
    assert_eq!(
        (&more[0]["operation"], more[0]["assets_ids"].as_array().unwrap().len()),
        (&"subscribe".into(), 150)
    );
    assert_eq!((&more[1]["type"], more[1]["assets_ids"].as_array().unwrap().len()), (&"market".into(), 50));
}

#[test]
fn a_book_is_emptied_when_it_is_unsubscribed_and_comes_back_with_its_next_snapshot() {
    let mut rig = both();
    rig.machine.remove_assets([YES.to_owned()]);
    let out = rig.wait(0);
    assert_eq!(sent(&out)[0]["operation"], "unsubscribe");
    assert!(!rig.state(YES).is_live() && rig.machine.shelf().by_name(YES).unwrap().book.is_empty());
    // What is still on its way is nobody's.
    rig.frame(&change(T + 1, &[(YES, "BUY", "0.49", "1", "0.50", "0.52")]));
    rig.frame(&book(YES, T + 2, &[("0.5", "1")], &[]));
    assert_eq!((rig.counts().foreign, rig.machine.shelf().live()), (2, 1));
    rig.machine.add_assets([YES.to_owned()]);
    assert_eq!(sent(&rig.wait(0))[0]["operation"], "subscribe");
    rig.frame(&book(YES, T + 3, &[("0.5", "1")], &[]));
    assert_eq!(rig.machine.shelf().live(), 2);
}

#[test]
fn a_ping_goes_out_every_ten_seconds() {
    let mut rig = both();
    let mut pings = 0;
    for _ in 0..6 {
        let out = rig.wait(10 * NANOS_PER_SEC);
        pings += out
            .iter()
            .filter(|said| matches!(said, VenueOutput::Deed(Deed::Send { text, .. }) if text == "PING"))
            .count();
        rig.frame("PONG");
    }
    assert_eq!(pings, 6);
}

#[test]
fn a_socket_that_answers_pings_and_brings_no_data_is_left() {
    let mut rig = both();
    let mut out = Vec::new();
    let mut stale = false;
    for _ in 0..13 {
        out.extend(rig.wait(10 * NANOS_PER_SEC));
        stale |= matches!(rig.state(YES), BookState::Stale { .. });
        if out.iter().any(|said| matches!(said, VenueOutput::Deed(Deed::Close { conn: 1 }))) {
            break;
        }
        rig.frame("PONG");
    }
    assert!(out.iter().any(|said| matches!(said, VenueOutput::Deed(Deed::Close { conn: 1 }))));
    assert!(stale, "before that its books were said to be stale");
    assert!(matches!(rig.state(YES), BookState::Gap { reason: GapReason::Disconnected, to: None, .. }));
    let again = rig.wait(NANOS_PER_SEC);
    let connects = |said: &VenueOutput| matches!(said, VenueOutput::Deed(Deed::Connect { conn: 2, .. }));
    assert!(out.iter().chain(&again).any(connects));
}

#[test]
fn data_makes_stale_books_live_again() {
    let mut rig = both();
    for _ in 0..7 {
        rig.wait(10 * NANOS_PER_SEC);
        rig.frame("PONG");
    }
    assert!(matches!(rig.state(NO), BookState::Stale { .. }));
    rig.frame(&change(T + 1, &[(YES, "BUY", "0.49", "1", "0.50", "0.52")]));
    assert_eq!((rig.state(YES), rig.state(NO)), (BookState::Live, BookState::Live));
}

#[test]
fn a_book_that_does_not_come_is_asked_for_again_and_again_but_ever_less() {
    let mut rig = both();
    rig.frame(&change(T + 1, &[(YES, "BUY", "0.49", "5", "0.51", "0.52")]));
    let mut asked = Vec::new();
    for second in 1..=40 {
        let mut out = rig.wait(NANOS_PER_SEC / 2);
        // The connection is alive: the other book moves.
        out.extend(rig.frame(&change(T + second, &[(NO, "BUY", "0.40", "1", "0.48", "0.50")])));
        out.extend(rig.wait(NANOS_PER_SEC / 2));
        if !sent(&out).is_empty() {
            asked.push(second);
        }
    }
    assert_eq!(asked, [1, 3, 7, 15, 31]);
}

#[test]
fn a_connection_that_answers_a_subscription_with_nothing_but_pongs_is_left_at_once() {
    let mut rig = both();
    let asked = rig.frame(&change(T + 1, &[(YES, "BUY", "0.49", "5", "0.51", "0.52")]));
    assert!(matches!(rig.state(YES), BookState::Gap { reason: GapReason::TopMismatch, .. }));
    let operations: Vec<_> = sent(&asked).iter().map(|text| text["operation"].clone()).collect();
    assert_eq!(operations, ["unsubscribe", "subscribe"]);
    let early = rig.wait(NANOS_PER_SEC - 1);
    rig.frame("PONG");
    assert!(sent(&early).is_empty() && rig.state(NO).is_live(), "a book may take so long: {early:?}");
    // Nothing but the answer to a ping since it was asked for.
    let out = rig.wait(1);
    assert!(out.iter().any(|said| matches!(said, VenueOutput::Deed(Deed::Close { conn: 1 }))));
    assert!(sent(&out).is_empty(), "it is not asked again: {out:?}");
    assert!(matches!(rig.state(NO), BookState::Gap { reason: GapReason::Disconnected, .. }));
    assert_eq!(rig.counts().disconnects, 1);
    let again = rig.wait(NANOS_PER_SEC);
    assert!(again.iter().any(|said| matches!(said, VenueOutput::Deed(Deed::Connect { conn: 2, .. }))));
    rig.apply(Raw::Connected { conn: 2 });
    rig.frame_on(2, &book(YES, T + 2, &[("0.5", "1")], &[]));
    assert!(rig.state(YES).is_live());
}

#[test]
fn a_book_older_than_what_was_heard_is_refused_and_at_last_the_connection_too() {
    let mut rig = both();
    rig.frame(&change(T + 9, &[(YES, "BUY", "0.49", "5", "0.51", "0.52")]));
    for _ in 0..2 {
        rig.frame(&book(YES, T + 1, &[("0.5", "1")], &[]));
    }
    assert_eq!(rig.counts().stale_dropped, 2);
    let out = rig.frame(&book(YES, T + 1, &[("0.5", "1")], &[]));
    assert!(out.iter().any(|said| matches!(said, VenueOutput::Deed(Deed::Close { conn: 1 }))));
    assert_eq!(rig.machine.shelf().live(), 0);
}

/// Two live books and an audit that is due every ten seconds.
fn audited() -> Rig<Polymarket> {
    let config =
        PolymarketConfig { audit_batch: 1, ..PolymarketConfig::new([YES.to_owned(), NO.to_owned()]) };
    let mut rig = Rig::new(Polymarket::new(config));
    rig.connect();
    rig.frame(&book(YES, T, &[("0.50", "200")], &[("0.52", "250")]));
    rig.frame(&book(NO, T, &[("0.48", "250")], &[("0.50", "200")]));
    rig
}

fn answer(rig: &mut Rig<Polymarket>, request: u32, body: &str) -> Vec<VenueOutput> {
    rig.apply(Raw::Rest(RestReply { request, status: 200, bytes: body.as_bytes().to_vec() }))
}

#[test]
fn audits_go_round_and_compare_equal_states_only() {
    let mut rig = audited();
    let asked = fetches(&rig.wait(10 * NANOS_PER_SEC));
    assert_eq!(asked, [(1, format!(r#"[{{"token_id":"{YES}"}}]"#))]);
    answer(&mut rig, 1, &format!("[{}]", book(YES, T, &[("0.50", "200")], &[("0.52", "250")])));
    assert_eq!((rig.counts().audits_ok, rig.counts().audits_bad), (1, 0));
    let asked = fetches(&rig.wait(10 * NANOS_PER_SEC));
    assert!(asked[0].1.contains(NO));
    // The same state by its hash, another content.
    let out = answer(&mut rig, 2, &format!("[{}]", book(NO, T, &[("0.48", "249")], &[("0.50", "200")])));
    assert_eq!(rig.counts().audits_bad, 1);
    assert!(matches!(rig.state(NO), BookState::Gap { reason: GapReason::Audit, to: None, .. }));
    assert_eq!(sent(&out).len(), 2);
    // An older answer says nothing.
    rig.wait(10 * NANOS_PER_SEC);
    answer(&mut rig, 3, &format!("[{}]", book(YES, T - 5, &[("0.40", "1")], &[]).replace("0x1", "0x0")));
    assert_eq!((rig.counts().audits_ok, rig.counts().audits_bad), (1, 1));
}

#[test]
fn an_audit_finds_a_last_change_that_never_came() {
    let mut rig = audited();
    rig.wait(10 * NANOS_PER_SEC);
    let newer = book(YES, T + 5, &[("0.49", "1"), ("0.50", "200")], &[("0.52", "250")]).replace("0x1", "0x2");
    answer(&mut rig, 1, &format!("[{newer}]"));
    assert!(rig.state(YES).is_live(), "its change may still be on its way");
    rig.wait(2 * NANOS_PER_SEC);
    assert!(matches!(rig.state(YES), BookState::Gap { reason: GapReason::Audit, .. }));
    // Where the change does come, nothing is lost.
    rig.frame(&newer);
    rig.wait(20 * NANOS_PER_SEC);
    let newest = book(YES, T + 9, &[("0.50", "200")], &[("0.52", "250")]).replace("0x1", "0x3");
    let request = rig.said.iter().rev().find_map(|said| fetches(std::slice::from_ref(said)).pop()).unwrap().0;
    answer(&mut rig, request, &format!("[{newest}]"));
    rig.frame(&change(T + 9, &[(YES, "BUY", "0.49", "0", "0.50", "0.52")]));
    rig.wait(3 * NANOS_PER_SEC);
    assert!(rig.state(YES).is_live());
}

#[test]
fn an_audit_without_an_answer_is_counted_and_the_next_one_comes() {
    let mut rig = audited();
    rig.wait(10 * NANOS_PER_SEC);
    rig.apply(Raw::Rest(RestReply { request: 1, status: 500, bytes: Vec::new() }));
    assert_eq!(rig.counts().failed_requests, 1);
    assert_eq!(fetches(&rig.wait(10 * NANOS_PER_SEC)).len(), 1);
    rig.frame("PONG");
    let later = rig.wait(20 * NANOS_PER_SEC);
    assert_eq!((fetches(&later).len(), rig.counts().failed_requests), (2, 3));
    answer(&mut rig, 77, "[]");
    assert_eq!(rig.counts().stray, 1);
}

#[test]
fn nothing_is_said_twice_and_equal_records_give_equal_digests() {
    let (a, b) = (both(), both());
    assert_eq!(schemas::Machine::digest(&a.machine), schemas::Machine::digest(&b.machine));
    assert_eq!(a.said, b.said);
    let numbers: Vec<u64> = rows(&a.said).map(|row| row.raw_seq).collect();
    assert!(numbers.is_sorted() && *numbers.last().unwrap() == 3);
}
