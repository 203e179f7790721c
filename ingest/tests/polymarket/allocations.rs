//! The path of a change: nothing is allocated once a book has its size; and how long a change takes.

use std::hint::black_box;

use ingest::VenueOutput;
use ingest::venue::VenueMachine;
use ingest::venue::polymarket::{Polymarket, PolymarketConfig};
use schemas::{Machine, Raw, Record, Timestamp};

use crate::{NO, T, YES, book, change};

/// A machine with two books of forty levels a side, and messages that change both tokens without moving the top.
fn prepared(messages: i64) -> (Polymarket, Vec<Record<Raw>>) {
    let mut machine = Polymarket::new(PolymarketConfig::capture());
    let mut out = Vec::new();
    let mut seq = 0;
    let mut record = |body| {
        seq += 1;
        Record { seq, at: Timestamp::ZERO, body }
    };
    let frame = |text: String| Raw::Frame { conn: 1, bytes: text.into_bytes() };
    let price = |at: i64| format!("0.{at:03}");
    let text = |token: &str, bids: std::ops::Range<i64>, asks: std::ops::Range<i64>| {
        let (bids, asks): (Vec<_>, Vec<_>) = (bids.map(price).collect(), asks.map(price).collect());
        let sized = |list: &'static [String]| list.iter().map(|p| (p.as_str(), "100")).collect::<Vec<_>>();
        book(token, T, &sized(bids.leak()), &sized(asks.leak()))
    };
    let start = [
        record(Raw::TimeAdvanced { to: Timestamp::ZERO }),
        record(Raw::Connected { conn: 1 }),
        record(frame(text(YES, 460..500, 510..550))),
        record(frame(text(NO, 451..491, 501..541))),
    ];
    for record in &start {
        machine.apply(record, &mut out);
    }
    assert_eq!(machine.shelf().live(), 2);
    let message = |n: i64| {
        // A level goes and comes back, near the top and far from it.
        let at = 465 + n % 30;
        let size = if n % 60 < 30 { "0" } else { "123.45" };
        let (yes, no) = (price(at), price(1_000 - at));
        change(
            T + 1 + n,
            &[(YES, "BUY", &yes, size, "0.499", "0.510"), (NO, "SELL", &no, size, "0.490", "0.501")],
        )
    };
    let records = (0..messages).map(|n| record(frame(message(n)))).collect();
    (machine, records)
}

#[test]
fn a_change_allocates_nothing_in_steady_state() {
    let (mut machine, records) = prepared(4_000);
    let mut out: Vec<VenueOutput> = Vec::with_capacity(64);
    let (warm, steady) = records.split_at(2_000);
    for record in warm {
        machine.apply(record, &mut out);
        out.clear();
    }
    let before = machine.shelf().counts;
    let info = allocation_counter::measure(|| {
        for record in steady {
            machine.apply(record, &mut out);
            black_box(&out);
            out.clear();
        }
    });
    let after = machine.shelf().counts;
    assert_eq!(after.deltas - before.deltas, 4_000, "two changes a message");
    assert_eq!((after.tops_bad, after.gaps, after.quarantined), (0, 0, 0));
    assert_eq!(info.count_total, 0, "allocations in {} messages", steady.len());
}

#[test]
#[ignore = "a measurement: run it alone and optimised"]
fn nanoseconds_per_change() {
    let (machine, records) = prepared(100_000);
    let mut best = u128::MAX;
    for _ in 0..7 {
        let mut machine = machine.clone();
        let mut out: Vec<VenueOutput> = Vec::with_capacity(64);
        #[allow(clippy::disallowed_methods, reason = "a measurement")]
        let start = std::time::Instant::now();
        for record in &records {
            machine.apply(record, &mut out);
            black_box(&out);
            out.clear();
        }
        best = best.min(start.elapsed().as_nanos() / (2 * records.len() as u128));
    }
    let bytes = match &records[0].body {
        Raw::Frame { bytes, .. } => bytes.len(),
        _ => 0,
    };
    eprintln!("{best} ns per change, two changes a message of {bytes} bytes");
}
