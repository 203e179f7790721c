//! Two legs of a simulated venue under delays, cuts and lost frames, checked against the venue's own books; the books
//! and states are kept by the real shelf, and nothing here opens a socket.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod venue;

use std::collections::{BTreeMap, BTreeSet};

use ingest::book::Book;
use ingest::redundancy::{Redundant, RedundantConfig};
use ingest::venue::VenueMachine as _;
use ingest::{Deed, VenueOutput};
use proptest::prelude::*;
use schemas::{BookState, Machine as _, Raw, Record, TapeBody, TapeRow, Timestamp};
use venue::{Event, SimVenue, frame_of, snapshot_of};

const MS: i64 = schemas::time::NANOS_PER_MILLI;

/// What a leg's connection does.
#[derive(Clone, Debug)]
struct LegPlan {
    /// Delay of each frame, ms, cycled; a connection keeps its order.
    delays: Vec<i64>,
    /// The connection is cut at these times, ms; it is open again 50 ms after.
    cuts: Vec<i64>,
    /// Events that this leg does not get, by number.
    drops: BTreeSet<usize>,
}

/// One simulated run: events of the venue, one every `step` ms, and two legs.
struct World {
    machine: Redundant<SimVenue>,
    /// (due ms, order, leg, what): what is on its way; a cut removes a leg's.
    wire: BTreeMap<(i64, u64), (u32, Raw)>,
    order: u64,
    last_due: [i64; 2],
    conns: [u32; 2],
    open: [bool; 2],
    plans: [LegPlan; 2],
    sent: [usize; 2],
    books: Vec<Book>,
    seqs: Vec<u64>,
    rows: Vec<TapeRow>,
    seq: u64,
    now: i64,
}

impl World {
    fn new(instruments: usize, plans: [LegPlan; 2]) -> Self {
        let legs = [0, 1].map(|_| SimVenue::new(instruments));
        Self {
            machine: Redundant::new(RedundantConfig::default(), legs),
            wire: BTreeMap::new(),
            order: 0,
            last_due: [0; 2],
            conns: [0; 2],
            open: [false; 2],
            plans,
            sent: [0; 2],
            books: vec![Book::default(); instruments],
            seqs: vec![0; instruments],
            rows: Vec::new(),
            seq: 0,
            now: 0,
        }
    }

    fn apply(&mut self, body: Raw) {
        self.seq += 1;
        let mut out = Vec::new();
        self.machine.apply(&Record { seq: self.seq, at: Timestamp(self.now * MS), body }, &mut out);
        for output in out {
            match output {
                VenueOutput::Row(row) => self.rows.push(row),
                VenueOutput::Deed(deed) => self.deed(deed),
            }
        }
    }

    fn post(&mut self, leg: usize, after_ms: i64, raw: Raw) {
        let due = (self.now + after_ms).max(self.last_due[leg]);
        self.last_due[leg] = due;
        self.order += 1;
        self.wire.insert((due, self.order), (leg as u32, raw));
    }

    fn delay(&mut self, leg: usize) -> i64 {
        let delays = &self.plans[leg].delays;
        self.sent[leg] += 1;
        delays[self.sent[leg] % delays.len()]
    }

    fn deed(&mut self, deed: Deed) {
        match deed {
            Deed::Connect { conn, .. } => {
                let leg = (conn & 1) as usize;
                self.conns[leg] = conn;
                self.open[leg] = true;
                self.post(leg, 5, Raw::Connected { conn });
            }
            Deed::Send { conn, text } => {
                let leg = (conn & 1) as usize;
                if self.conns[leg] != conn || !self.open[leg] {
                    return;
                }
                let no: usize = text.parse().unwrap();
                let bytes = snapshot_of(no, self.seqs[no], &self.books[no]);
                let delay = self.delay(leg);
                self.post(leg, delay, Raw::Frame { conn, bytes });
            }
            Deed::Close { .. } | Deed::Fetch { .. } => {}
        }
    }

    fn cut(&mut self, leg: usize) {
        if self.open[leg] {
            self.open[leg] = false;
            self.wire.retain(|_, (of, _)| *of as usize != leg);
            self.last_due[leg] = self.now;
            let conn = self.conns[leg];
            self.apply(Raw::Closed { conn, reason: "1006 cut".to_owned() });
        }
    }

    /// The venue says an event to every open leg.
    fn happen(&mut self, number: usize, event: &Event) {
        self.seqs[event.no] += 1;
        for &(side, price, qty) in &event.changes {
            self.books[event.no].set(side, price, qty);
        }
        let bytes = frame_of(self.seqs[event.no], event);
        for leg in [0, 1] {
            if self.open[leg] && !self.plans[leg].drops.contains(&number) {
                let (conn, delay) = (self.conns[leg], self.delay(leg));
                self.post(leg, delay, Raw::Frame { conn, bytes: bytes.clone() });
            }
        }
    }

    /// Delivers everything due up to `until`, ms.
    fn deliver(&mut self, until: i64) {
        loop {
            let wake = self.machine.wake_at().map(|at| (at.0 / MS).max(self.now) + 1);
            let next = self.wire.first_key_value().map(|((due, _), _)| *due);
            let Some(at) = [wake, next].into_iter().flatten().min().filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            if next == Some(at) {
                let (_, (_, raw)) = self.wire.pop_first().unwrap();
                self.apply(raw);
            } else {
                self.apply(Raw::TimeAdvanced { to: Timestamp(self.now * MS) });
            }
        }
        self.now = until;
    }

    fn run(&mut self, events: &[Event], step: i64) {
        self.apply(Raw::TimeAdvanced { to: Timestamp::ZERO });
        self.deliver(200);
        let begin = self.now;
        for (number, event) in events.iter().enumerate() {
            self.deliver(begin + number as i64 * step);
            for leg in [0, 1] {
                let due = |cut: &i64| (*cut..*cut + step).contains(&(number as i64 * step));
                if self.plans[leg].cuts.iter().any(due) {
                    self.cut(leg);
                }
            }
            // A lost message shows by the next one of its book, so the last of each book is never dropped.
            let last = !events[number + 1..].iter().any(|later| later.no == event.no);
            self.happen(if last { usize::MAX } else { number }, event);
        }
        self.deliver(begin + events.len() as i64 * step + 5_000);
    }

    /// The consumer's books, from the rows alone.
    fn consumer(&self) -> Vec<Book> {
        let mut books = vec![Book::default(); self.books.len()];
        let mut natives: BTreeMap<u32, usize> = BTreeMap::new();
        for row in &self.rows {
            match &row.body {
                TapeBody::Instrument(i) => {
                    natives.insert(row.instrument.0, i.native.parse().unwrap());
                }
                TapeBody::Clear => books[natives[&row.instrument.0]].clear(),
                TapeBody::Level { side, price, qty, .. } => {
                    books[natives[&row.instrument.0]].set(*side, *price, *qty);
                }
                _ => {}
            }
        }
        books
    }

    fn gaps(&self) -> usize {
        self.rows
            .iter()
            .filter(|r| matches!(r.body, TapeBody::State(BookState::Gap { to: None, .. })))
            .count()
    }

    fn trades(&self) -> Vec<[u8; 16]> {
        let id = |row: &TapeRow| match &row.body {
            TapeBody::Trade(trade) => Some(trade.id),
            _ => None,
        };
        self.rows.iter().filter_map(id).collect()
    }
}

/// An event before it has a number: instrument, changes, whether it is a trade too.
type Drawn = (usize, Vec<(bool, i64, i64)>, bool);

fn events(prices: i64, qtys: i64) -> impl Strategy<Value = Vec<Event>> {
    let change = (any::<bool>(), 1..prices, 0..qtys);
    let event = (0_usize..3, proptest::collection::vec(change, 1..4), any::<bool>());
    proptest::collection::vec(event, 20..160).prop_map(|drawn: Vec<Drawn>| {
        let build = |(number, (no, changes, trade)): (usize, Drawn)| Event::new(number, no, changes, trade);
        drawn.into_iter().enumerate().map(build).collect()
    })
}

fn leg(perfect: bool) -> impl Strategy<Value = LegPlan> {
    let delays = proptest::collection::vec(1_i64..40, 1..20);
    let cuts = proptest::collection::vec(0_i64..1_500, 0..if perfect { 1 } else { 4 });
    let drops = proptest::collection::btree_set(0_usize..160, 0..if perfect { 1 } else { 6 });
    (delays, cuts, drops).prop_map(|(delays, cuts, drops)| LegPlan { delays, cuts, drops })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// One leg never fails: whatever the other does, every change comes once, in order, and nothing is lost.
    #[test]
    fn one_good_leg_is_enough(events in events(30, 1_000_000), bad in leg(false), good in leg(true), first in any::<bool>()) {
        let plans = if first { [good, bad] } else { [bad, good] };
        let mut world = World::new(3, plans);
        world.run(&events, 10);
        prop_assert_eq!(world.gaps(), 0);
        let truth: Vec<u64> = world.books.iter().map(Book::quick_hash).collect();
        let got: Vec<u64> = world.consumer().iter().map(Book::quick_hash).collect();
        prop_assert_eq!(&truth, &got);
        let said: Vec<[u8; 16]> = world.trades();
        let happened: BTreeSet<[u8; 16]> = events.iter().filter_map(Event::trade).collect();
        prop_assert_eq!(said.len(), happened.len(), "each trade once");
        prop_assert_eq!(said.into_iter().collect::<BTreeSet<_>>(), happened);
        for no in 0..3 {
            prop_assert_eq!(changes_said(&world, no), changes_of(&events, no), "instrument {}", no);
        }
        let [a, b] = world.machine.stats();
        prop_assert!(a.wins + b.wins > 0);
    }

    /// Both legs fail, books repeat themselves: in the end the book is the venue's, and every row adds up to it.
    #[test]
    fn the_book_is_the_venues_in_the_end(events in events(4, 3), a in leg(false), b in leg(false)) {
        let mut world = World::new(3, [a, b]);
        world.run(&events, 10);
        let truth: Vec<u64> = world.books.iter().map(Book::quick_hash).collect();
        let got: Vec<u64> = world.consumer().iter().map(Book::quick_hash).collect();
        prop_assert_eq!(&truth, &got);
        prop_assert_eq!(world.machine.shelf().live(), 3);
        let said = world.trades();
        prop_assert_eq!(said.len(), said.iter().collect::<BTreeSet<_>>().len(), "no trade twice");
        // The states a consumer saw end with live.
        for (no, slot) in world.machine.shelf().slots() {
            let last = world.rows.iter().rev().find_map(|row| match row.body {
                TapeBody::State(state) if row.instrument == no => Some(state),
                _ => None,
            });
            prop_assert_eq!(last, Some(slot.state));
        }
    }
}

/// The changes of one instrument as rows, without snapshots.
fn changes_said(world: &World, no: usize) -> Vec<(schemas::BookSide, i64, i64)> {
    let number =
        world.machine.shelf().slots().find(|(_, s)| s.instrument.native == no.to_string()).unwrap().0;
    let level = |row: &TapeRow| match row.body {
        TapeBody::Level { side, price, qty, snapshot: false } if row.instrument == number => {
            Some((side, price, qty))
        }
        _ => None,
    };
    world.rows.iter().filter_map(level).collect()
}

fn changes_of(events: &[Event], no: usize) -> Vec<(schemas::BookSide, i64, i64)> {
    events.iter().filter(|e| e.no == no).flat_map(|e| e.changes.clone()).collect()
}

fn plan(delay: i64, cuts: &[i64]) -> LegPlan {
    LegPlan { delays: vec![delay], cuts: cuts.to_vec(), drops: BTreeSet::new() }
}

/// A steady stream of changes, one every 10 ms.
fn stream(count: usize) -> Vec<Event> {
    (0..count)
        .map(|n| Event::new(n, n % 3, vec![(n % 2 == 0, 1 + n as i64 % 9, n as i64 + 1)], n % 5 == 0))
        .collect()
}

#[test]
fn the_leading_leg_is_cut_without_a_gap() {
    let mut world = World::new(3, [plan(2, &[300, 600]), plan(30, &[450])]);
    let events = stream(120);
    world.run(&events, 10);
    assert_eq!(world.gaps(), 0);
    assert_eq!(world.machine.shelf().counts.disconnects, 3);
    let [fast, slow] = world.machine.stats();
    assert!(fast.wins > slow.wins && slow.wins > 0, "{fast:?} {slow:?}");
    assert!(slow.lag_max_ns >= 20 * MS, "{slow:?}");
    for no in 0..3 {
        assert_eq!(changes_said(&world, no), changes_of(&events, no));
    }
}

#[test]
fn a_gap_is_said_only_when_both_are_lost() {
    let mut world = World::new(3, [plan(5, &[300]), plan(5, &[300])]);
    world.run(&stream(120), 10);
    assert_eq!(world.gaps(), 3);
    assert_eq!(world.machine.shelf().live(), 3);
    assert_eq!(world.consumer(), world.books);
}

/// Equal records give equal digests, also half-way.
#[test]
fn a_replay_is_equal() {
    let run = || {
        let mut world = World::new(3, [plan(3, &[200]), plan(17, &[500])]);
        world.run(&stream(100), 10);
        (world.machine.digest(), world.rows)
    };
    let (a, b) = (run(), run());
    assert_eq!(a, b);
}
