//! A venue that loses, doubles, delays and replays messages: whatever it does, a book is right or says that it is not.

use std::collections::BTreeMap;

use ingest::venue::VenueMachine;
use ingest::venue::polymarket::{Polymarket, PolymarketConfig};
use ingest::{Deed, VenueOutput};
use proptest::prelude::*;
use schemas::time::NANOS_PER_SEC;
use schemas::{BookSide, Raw, RestReply};

use crate::{MARKET, NO, Rig, T, YES};

/// Both tokens' books as the venue has them: price in cents to size.
#[derive(Clone, Default)]
struct Venue {
    ms: i64,
    /// Bids and asks of YES; NO is their mirror.
    sides: [BTreeMap<i64, i64>; 2],
}

fn cents(price: i64) -> String {
    format!("0.{price:02}")
}

impl Venue {
    fn levels(&self, token: &str, side: BookSide) -> BTreeMap<i64, i64> {
        let bid = usize::from(side == BookSide::Ask);
        if token == YES {
            self.sides[bid].clone()
        } else {
            self.sides[1 - bid].iter().map(|(price, size)| (100 - price, *size)).collect()
        }
    }

    fn best(&self, token: &str, side: BookSide) -> String {
        let levels = self.levels(token, side);
        let best = if side == BookSide::Bid { levels.keys().next_back() } else { levels.keys().next() };
        best.map_or_else(|| (if side == BookSide::Bid { "0" } else { "1" }).to_owned(), |price| cents(*price))
    }

    /// Any change of state has another hash, as the venue's.
    fn hash(&self) -> String {
        let text = format!("{} {:?}", self.ms, self.sides);
        schemas::Digest::of(text.as_bytes())
            .0
            .iter()
            .take(20)
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    fn book(&self, token: &str) -> String {
        let list = |side| {
            let level =
                |(price, size): (&i64, &i64)| format!(r#"{{"price":"{}","size":"{size}"}}"#, cents(*price));
            self.levels(token, side).iter().map(level).collect::<Vec<_>>().join(",")
        };
        format!(
            r#"{{"event_type":"book","asset_id":"{token}","market":"{MARKET}","bids":[{}],"asks":[{}],"timestamp":"{}","hash":"{}"}}"#,
            list(BookSide::Bid),
            list(BookSide::Ask),
            self.ms,
            self.hash()
        )
    }

    /// An order at a level of YES changes both tokens' books.
    fn order(&mut self, price: i64, size: i64, later: i64) -> String {
        self.ms += later;
        let at = usize::from(price > 50);
        if size == 0 {
            self.sides[at].remove(&price);
        } else {
            self.sides[at].insert(price, size);
        }
        let entry = |token: &str, side: &str, price: i64| {
            format!(
                r#"{{"asset_id":"{token}","price":"{}","size":"{size}","side":"{side}","hash":"{}","best_bid":"{}","best_ask":"{}"}}"#,
                cents(price),
                self.hash(),
                self.best(token, BookSide::Bid),
                self.best(token, BookSide::Ask)
            )
        };
        let sides = if at == 0 { ["BUY", "SELL"] } else { ["SELL", "BUY"] };
        let (yes, no) = (entry(YES, sides[0], price), entry(NO, sides[1], 100 - price));
        format!(
            r#"{{"event_type":"price_change","market":"{MARKET}","price_changes":[{yes},{no}],"timestamp":"{}"}}"#,
            self.ms
        )
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Drop,
    Duplicate,
    /// Sent after so many others.
    Delay(usize),
    /// An old message again, this far back.
    Replay(usize),
    Garbage,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        12 => Just(Fault::None),
        1 => Just(Fault::Drop),
        1 => Just(Fault::Duplicate),
        1 => (1_usize..5).prop_map(Fault::Delay),
        1 => (1_usize..30).prop_map(Fault::Replay),
        1 => Just(Fault::Garbage),
    ]
}

/// Delivers a frame and answers every subscription with the book as it is now.
fn deliver(rig: &mut Rig<Polymarket>, venue: &Venue, text: &str) {
    let out = rig.frame(text);
    answer(rig, venue, &out);
}

fn answer(rig: &mut Rig<Polymarket>, venue: &Venue, out: &[VenueOutput]) {
    for said in out {
        match said {
            VenueOutput::Deed(Deed::Send { text, .. }) if text.contains(r#""subscribe""#) => {
                for token in [YES, NO].into_iter().filter(|token| text.contains(token)) {
                    deliver(rig, venue, &venue.book(token));
                }
            }
            VenueOutput::Deed(Deed::Fetch { request, .. }) => {
                let bytes = format!("[{},{}]", venue.book(YES), venue.book(NO)).into_bytes();
                let out = rig.apply(Raw::Rest(RestReply { request: *request, status: 200, bytes }));
                answer(rig, venue, &out);
            }
            _ => {}
        }
    }
}

/// Time passes, and the venue answers within a tenth of a second.
fn wait(rig: &mut Rig<Polymarket>, venue: &Venue, nanos: i64) {
    let end = rig.now.plus(nanos);
    while rig.now < end {
        let out = rig.wait((end.0 - rig.now.0).min(NANOS_PER_SEC / 10));
        answer(rig, venue, &out);
    }
}

fn is_right(rig: &Rig<Polymarket>, venue: &Venue, token: &str) -> bool {
    [BookSide::Bid, BookSide::Ask].into_iter().all(|side| {
        let mut want: Vec<_> =
            venue.levels(token, side).into_iter().map(|(p, s)| (p * 10_000, s * 1_000_000)).collect();
        if side == BookSide::Bid {
            want.reverse();
        }
        rig.levels(token, side) == want
    })
}

fn started() -> (Rig<Polymarket>, Venue) {
    let config = PolymarketConfig::new([YES.to_owned(), NO.to_owned()]);
    let mut rig = Rig::new(Polymarket::new(config));
    rig.connect();
    let mut venue = Venue { ms: T, ..Venue::default() };
    for price in [40, 45, 55, 60] {
        venue.order(price, 100, 0);
    }
    for token in [YES, NO] {
        deliver(&mut rig, &venue, &venue.book(token));
    }
    (rig, venue)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn after_any_faults_and_an_audit_the_books_are_the_venues(
        script in proptest::collection::vec((35_i64..=65, 0_i64..4, 0_i64..3, fault()), 1..80),
    ) {
        let (mut rig, mut venue) = started();
        let mut delayed: Vec<(usize, String)> = Vec::new();
        let mut history = Vec::new();
        for (price, size, later, fault) in script {
            if price == 50 {
                continue;
            }
            let text = venue.order(price, size, later);
            match fault {
                Fault::Drop => {}
                Fault::Delay(by) => delayed.push((history.len() + by, text.clone())),
                Fault::Garbage => {
                    deliver(&mut rig, &venue, "{\"event_type\":");
                    deliver(&mut rig, &venue, &text);
                }
                Fault::Duplicate => {
                    deliver(&mut rig, &venue, &text);
                    deliver(&mut rig, &venue, &text);
                }
                Fault::None | Fault::Replay(_) => deliver(&mut rig, &venue, &text),
            }
            if let Fault::Replay(back) = fault {
                let old: Option<&String> = history.len().checked_sub(back).and_then(|at| history.get(at));
                if let Some(old) = old.cloned() {
                    deliver(&mut rig, &venue, &old);
                }
            }
            history.push(text);
            let (due, left) = delayed.into_iter().partition(|(at, _)| *at <= history.len());
            delayed = left;
            for (_, text) in due {
                deliver(&mut rig, &venue, &text);
            }
            rig.now = rig.now.plus(NANOS_PER_SEC / 100);
        }
        for (_, text) in delayed {
            deliver(&mut rig, &venue, &text);
        }
        // Lost books are back within a second.
        wait(&mut rig, &venue, NANOS_PER_SEC);
        prop_assert_eq!(rig.machine.shelf().live(), 2);
        // What no check could see is found by the audit and mended.
        for _ in 0..4 {
            wait(&mut rig, &venue, 5 * NANOS_PER_SEC);
            rig.frame("PONG");
        }
        for token in [YES, NO] {
            prop_assert!(rig.state(token).is_live());
            prop_assert!(is_right(&rig, &venue, token), "{token} differs");
        }
    }

    #[test]
    fn without_faults_nothing_is_lost_or_dropped(
        script in proptest::collection::vec((35_i64..=65, 0_i64..4, 0_i64..3), 1..80),
    ) {
        let (mut rig, mut venue) = started();
        let mut levels = 0;
        let mut repeated = 0;
        for (price, size, later) in script.into_iter().filter(|(price, ..)| *price != 50) {
            let before = rig.counts();
            let text = venue.order(price, size, later);
            deliver(&mut rig, &venue, &text);
            levels += 2;
            repeated += rig.counts().duplicates - before.duplicates;
            prop_assert!(is_right(&rig, &venue, YES) && is_right(&rig, &venue, NO));
        }
        let counts = rig.counts();
        prop_assert_eq!(counts.deltas + repeated, levels);
        prop_assert_eq!((counts.stale_dropped, counts.quarantined, counts.gaps, counts.tops_bad), (0, 0, 0, 0));
    }
}
