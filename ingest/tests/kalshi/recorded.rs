//! The recorded session and REST answers through the machine; the numbers of the data's own description must come out.

use std::collections::BTreeSet;

use ingest::venue::VenueMachine as _;
use ingest::venue::kalshi::{Kalshi, KalshiConfig};
use schemas::{BookSide, Digest, Machine as _, Raw, Record, TapeBody, Timestamp};

use crate::support::{Bench, session};

/// The session as an import gives it: no receive times, nothing moves.
fn run(frames: &[String]) -> (Kalshi, Vec<ingest::VenueOutput>) {
    let mut machine = Kalshi::new(KalshiConfig::capture());
    let mut out = Vec::new();
    let mut seq = 0;
    let mut give = |body| {
        seq += 1;
        machine.apply(&Record { seq, at: Timestamp::ZERO, body }, &mut out);
    };
    give(Raw::TimeAdvanced { to: Timestamp::ZERO });
    give(Raw::Connected { conn: 1 });
    for frame in frames {
        give(Raw::Frame { conn: 1, bytes: frame.as_bytes().to_vec() });
    }
    (machine, out)
}

#[test]
fn the_recorded_session_has_no_gap_no_negative_level_and_no_crossed_book() {
    let Some(frames) = session() else { return };
    let (machine, out) = run(&frames);
    let counts = machine.shelf().counts;
    assert_eq!(counts.frames, 1_950);
    assert_eq!((counts.deltas, counts.snapshots), (1_939, 5));
    assert_eq!((counts.gaps, counts.negative_levels, counts.crossed), (0, 0, 0));
    assert_eq!((counts.quarantined, counts.stray, counts.duplicates, counts.stale_dropped), (0, 0, 0, 0));
    assert_eq!((machine.shelf().len(), machine.shelf().live()), (5, 5));
    let (again, out_again) = run(&frames);
    assert_eq!(machine.digest(), again.digest());
    assert_eq!(out, out_again);
}

#[test]
fn the_recorded_session_needs_its_acks_to_count() {
    let Some(frames) = session() else { return };
    let without: Vec<String> = frames.into_iter().filter(|frame| !frame.contains(r#""type":"ok""#)).collect();
    let (machine, _) = run(&without);
    assert!(machine.shelf().counts.gaps > 0, "acks consume a seq");
}

#[test]
fn the_tape_alone_rebuilds_the_recorded_books() {
    let Some(frames) = session() else { return };
    let (machine, out) = run(&frames);
    let mut books = vec![ingest::book::Book::default(); machine.shelf().len()];
    for said in &out {
        let ingest::VenueOutput::Row(row) = said else { continue };
        match row.body {
            TapeBody::Clear => books[row.instrument.0 as usize].clear(),
            TapeBody::Level { side, price, qty, .. } => {
                books[row.instrument.0 as usize].set(side, price, qty);
            }
            _ => {}
        }
    }
    let rebuilt: Vec<Digest> = books.iter().map(ingest::book::Book::digest).collect();
    let kept: Vec<Digest> = machine.shelf().slots().map(|(_, slot)| slot.book.digest()).collect();
    assert_eq!(rebuilt, kept);
}

#[test]
fn key_order_and_msg_before_type_change_nothing() {
    let Some(frames) = session() else { return };
    let turned: Vec<String> = frames
        .iter()
        .map(|frame| {
            let value: serde_json::Value = serde_json::from_str(frame).unwrap();
            // serde_json's map is sorted: id, msg, seq, sid, type.
            let text = value.to_string();
            assert!(text.find("\"msg\"") < text.find("\"type\""));
            text
        })
        .collect();
    let (plain, _) = run(&frames);
    let (other, _) = run(&turned);
    assert_eq!(plain.digest(), other.digest());
}

#[test]
fn venue_times_are_the_frames_own_and_receive_times_the_records() {
    let Some(frames) = session() else { return };
    let mut bench = Bench::connected(KalshiConfig::capture());
    for frame in frames.iter().take(60) {
        bench.frame(frame);
    }
    let deltas = bench.rows.iter().filter(|row| matches!(row.body, TapeBody::Level { snapshot: false, .. }));
    let times: BTreeSet<bool> =
        deltas.map(|row| row.times.venue_at.is_some() && row.times.recv_at == bench.now).collect();
    assert_eq!(times, BTreeSet::from([true]));
    assert!(bench.rows.iter().all(|row| row.times.publish_at.is_none()));
    assert!(!bench.side("KXNEXTTEAMNBA-26LJAM-GSW", BookSide::Bid).is_empty());
}
