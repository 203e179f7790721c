//! What all fuzz targets share: a machine is driven with lines as frames and must keep its promises whatever they hold.

use ingest::VenueOutput;
use ingest::venue::VenueMachine;
use schemas::{BookSide, Raw, Record, RestReply, TapeBody, Timestamp};

/// A time within the recordings.
const NOW_MS: i64 = 1_782_873_105_000;

fn record(seq: u64, body: Raw) -> Record<Raw> {
    Record { seq, at: Timestamp::from_millis(NOW_MS + seq as i64), body }
}

/// Opens connection 1, then feeds each line as a frame; a line that begins with `@` is a REST answer to request
/// number `seq % 8`, one that begins with `!` closes the connection, and `+` lets a second pass.
pub fn drive<M: VenueMachine>(make: impl Fn() -> M, data: &[u8]) {
    let (first, again) = (run(make(), data), run(make(), data));
    assert_eq!(first, again, "equal history, equal rows and digest");
}

fn run<M: VenueMachine>(mut machine: M, data: &[u8]) -> (Vec<VenueOutput>, schemas::Digest) {
    let mut all = Vec::new();
    let mut out = Vec::new();
    let mut seq = 2;
    machine.apply(&record(1, Raw::TimeAdvanced { to: Timestamp::from_millis(NOW_MS) }), &mut out);
    machine.apply(&record(2, Raw::Connected { conn: 1 }), &mut out);
    for line in data.split(|b| *b == b'\n').take(64) {
        seq += 1;
        let body = match line {
            [b'@', status, rest @ ..] => Raw::Rest(RestReply {
                request: u32::from(*status) % 8,
                status: if *status & 8 == 0 { 200 } else { 404 },
                bytes: rest.to_vec(),
            }),
            [b'!', ..] => Raw::Closed { conn: 1, reason: "4003 fuzz".to_owned() },
            [b'+', ..] => Raw::TimeAdvanced { to: Timestamp::from_millis(NOW_MS + 1_000 * seq as i64) },
            frame => Raw::Frame { conn: 1, bytes: frame.to_vec() },
        };
        machine.apply(&record(seq, body), &mut out);
        check(&machine);
        all.append(&mut out);
    }
    for row in &all {
        if let VenueOutput::Row(row) = row
            && let TapeBody::Level { qty, .. } = row.body
        {
            assert!(qty >= 0, "a negative level on the tape");
        }
    }
    (all, machine.digest())
}

/// Books hold positive levels in order, and a live book is not crossed.
fn check<M: VenueMachine>(machine: &M) {
    for (_, slot) in machine.shelf().slots() {
        for side in [BookSide::Bid, BookSide::Ask] {
            let levels = slot.book.side(side);
            assert!(levels.iter().all(|l| l.qty > 0), "a level without a quantity");
            let ordered = levels.windows(2).all(|w| match side {
                BookSide::Bid => w[0].price < w[1].price,
                BookSide::Ask => w[0].price > w[1].price,
            });
            assert!(ordered, "levels out of order");
        }
    }
}
