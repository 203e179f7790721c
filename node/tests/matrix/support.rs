//! One case of the matrix: a recording against a twin, stopped when the twin rests, then read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;
use ingest::VenueOutput;
use ingest::edge::{Endpoints, Seen};
use ingest::venue::VenueMachine as _;
use node::recorder::{Outcome, RawSink, RunLimits, Subject, at_of, record};
use schemas::{
    BookSide, BookState, Digest, InstrumentNo, Machine as _, Record, TapeBody, TapeRow, Timestamp, TradeRow,
};
use sim::WireFaults;
use tokio::sync::oneshot;

/// Messages of a case.
pub(crate) const MESSAGES: u64 = 1_500;
/// Messages each second.
pub(crate) const RATE: u64 = 400;
/// Silence after which a connection that answers pings is given up here, ns; the rest of the matrix never is so quiet.
pub(crate) const ZOMBIE_NS: i64 = 2_500_000_000;
/// How long books may take to be the twin's once it rests, wall time; a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fault does at these messages.
type Set = fn(&mut WireFaults);

/// The faults of the matrix by name.
pub(crate) const FAULTS: [(&str, Set); 11] = [
    ("none", |_| {}),
    ("drop", |f| f.drop.extend(AT)),
    ("duplicate", |f| f.duplicate.extend(AT)),
    ("reorder", |f| f.reorder.extend(AT)),
    ("cut", |f| f.cut.extend(AT)),
    ("garbage", |f| f.garbage.extend(AT)),
    ("overflow", |f| f.overflow.extend(AT)),
    ("rewind", |f| f.rewind.extend(AT)),
    ("zombie", |f| f.zombie.extend([200])),
    ("corrupt", |f| f.corrupt.extend(AT)),
    ("tick_change", |f| f.tick_change.extend(AT)),
];
/// The messages that are hit.
const AT: [u64; 4] = [150, 400, 401, 800];

/// A fault by its name.
pub(crate) fn faults(name: &str) -> WireFaults {
    let mut faults = WireFaults::default();
    FAULTS.iter().find(|(known, _)| *known == name).unwrap().1(&mut faults);
    faults
}

/// Keeps what was seen where the test can read it.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<Seen>>>);

impl RawSink for Shared {
    fn append(&mut self, seen: &Seen) -> Result<u64> {
        let mut all = self.0.lock().unwrap();
        all.push(seen.clone());
        Ok(all.len() as u64)
    }

    fn last_at(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn next_seq(&self) -> u64 {
        self.0.lock().unwrap().len() as u64 + 1
    }

    fn tick(&mut self, _mono_ns: u64) -> Result<()> {
        Ok(())
    }

    fn close(self) -> Result<Option<Digest>> {
        Ok(None)
    }
}

/// A recording under way.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    seen: Shared,
    task: tokio::task::JoinHandle<Result<Outcome>>,
}

/// Starts recording.
pub(crate) fn start(subject: Subject, endpoints: Endpoints) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let seen = Shared::default();
    let sink = seen.clone();
    let task = tokio::spawn(async move {
        let until = async move {
            let _ = stopped.await;
        };
        record(subject, sink, endpoints, None, RunLimits::default(), &ProgressBar::hidden(), until).await
    });
    Running { stop, seen, task }
}

/// What a case ended with.
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) rows: Vec<TapeRow>,
}

impl Running {
    /// Waits until a fresh machine that reads what was recorded so far has the true books, stops, and reads it all.
    pub(crate) async fn finish(self, case: &str, make: impl Fn() -> Subject, truth: &[Truth]) -> Ended {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let seen = self.seen.0.lock().unwrap().clone();
            let (_, machine) = replay(make(), &seen);
            if truth.iter().all(|book| book.is_held(&machine)) || tokio::time::Instant::now() > deadline {
                break;
            }
        }
        self.stop.send(()).unwrap();
        let outcome = self.task.await.unwrap().unwrap();
        let seen = self.seen.0.lock().unwrap();
        let (rows, machine) = replay(make(), &seen);
        assert_eq!(machine.digest(), outcome.digest, "{case}: live and replay end alike");
        for book in truth {
            book.check(case, &outcome.subject);
        }
        let ended = Ended { outcome, rows };
        ended.check_tape(case);
        ended
    }
}

fn replay(mut machine: Subject, seen: &[Seen]) -> (Vec<TapeRow>, Subject) {
    let (mut rows, mut out, mut at) = (Vec::new(), Vec::new(), Timestamp::ZERO);
    for (n, one) in seen.iter().enumerate() {
        at = at_of(at, one.wall, &one.raw);
        machine.apply(&Record { seq: n as u64 + 1, at, body: one.raw.clone() }, &mut out);
        rows.extend(out.drain(..).filter_map(|said| match said {
            VenueOutput::Row(row) => Some(row),
            VenueOutput::Deed(_) => None,
        }));
    }
    (rows, machine)
}

/// A side as prices and quantities.
pub(crate) type Side = BTreeMap<i64, i64>;

/// What a twin says a book holds.
pub(crate) struct Truth {
    pub(crate) native: String,
    pub(crate) bids: Side,
    pub(crate) asks: Side,
}

fn side_of(slot: &ingest::Slot, side: BookSide) -> Side {
    slot.book.best_first(side).map(|level| (level.price, level.qty)).collect()
}

impl Truth {
    fn is_held(&self, machine: &Subject) -> bool {
        machine.shelf().by_name(&self.native).is_some_and(|slot| {
            slot.state.is_live()
                && side_of(slot, BookSide::Bid) == self.bids
                && side_of(slot, BookSide::Ask) == self.asks
        })
    }

    fn check(&self, case: &str, machine: &Subject) {
        let native = &self.native;
        let slot = machine.shelf().by_name(native).unwrap_or_else(|| panic!("{case}: {native} is unknown"));
        assert_eq!(slot.state, BookState::Live, "{case}: {native}");
        assert_eq!(side_of(slot, BookSide::Bid), self.bids, "{case}: bids of {native}");
        assert_eq!(side_of(slot, BookSide::Ask), self.asks, "{case}: asks of {native}");
    }
}

impl Ended {
    /// The books that the rows alone give are those of the machine.
    fn check_tape(&self, case: &str) {
        let mut books: BTreeMap<InstrumentNo, [Side; 2]> = BTreeMap::new();
        for row in &self.rows {
            let book = books.entry(row.instrument).or_default();
            match row.body {
                TapeBody::Clear => *book = Default::default(),
                TapeBody::Level { side, price, qty, .. } => {
                    let side = &mut book[usize::from(side == BookSide::Ask)];
                    if qty > 0 {
                        side.insert(price, qty)
                    } else {
                        side.remove(&price)
                    };
                }
                _ => {}
            }
        }
        for (no, slot) in self.outcome.subject.shelf().slots() {
            let book = books.remove(&no).unwrap_or_default();
            for (side, got) in [BookSide::Bid, BookSide::Ask].into_iter().zip(&book) {
                assert_eq!(got, &side_of(slot, side), "{case}: the tape of {}", slot.instrument.native);
            }
        }
    }

    /// All trades with their instrument's native name; none may come twice.
    pub(crate) fn trades(&self, case: &str) -> Vec<(String, TradeRow, TapeRow)> {
        let mut ids = std::collections::BTreeSet::new();
        let mut out = Vec::new();
        for row in &self.rows {
            let TapeBody::Trade(trade) = row.body else { continue };
            let native = self.outcome.subject.shelf().slot(row.instrument).unwrap().instrument.native.clone();
            assert!(ids.insert((native.clone(), trade.id)), "{case}: {native} trade {trade:?} came twice");
            out.push((native, trade, row.clone()));
        }
        out
    }

    /// Whether a gap of this instrument (or the time before its first snapshot) covers the instant.
    pub(crate) fn covered(&self, native: &str, at: Timestamp) -> bool {
        const SLACK_NS: i64 = 100_000_000;
        let shelf = self.outcome.subject.shelf();
        let mut first_live = None;
        let mut found = false;
        for row in &self.rows {
            if shelf.slot(row.instrument).is_none_or(|slot| slot.instrument.native != native) {
                continue;
            }
            match row.body {
                TapeBody::State(BookState::Live) => first_live = first_live.or(Some(row.times.recv_at)),
                TapeBody::State(BookState::Gap { from, to, .. }) => {
                    let to = to.unwrap_or(Timestamp::MAX);
                    found |= at >= from.plus(-SLACK_NS) && at <= to.plus(SLACK_NS);
                }
                _ => {}
            }
        }
        found || first_live.is_none_or(|live| at <= live.plus(SLACK_NS))
    }

    /// Seconds from each loss being noticed to the book being live again.
    pub(crate) fn resyncs(&self) -> Vec<f64> {
        let mut open = BTreeMap::new();
        let mut out = Vec::new();
        for row in &self.rows {
            match row.body {
                TapeBody::State(BookState::Gap { to: None, .. }) => {
                    open.insert(row.instrument, row.times.recv_at);
                }
                TapeBody::State(BookState::Live) => {
                    if let Some(since) = open.remove(&row.instrument) {
                        out.push(row.times.recv_at.since(since) as f64 / 1e9);
                    }
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "every gap is closed");
        out
    }

    /// Prints what the case cost: read it with `--no-capture`.
    pub(crate) fn print(&self, venue: &str, case: &str) {
        let mut took = self.resyncs();
        took.sort_by(f64::total_cmp);
        let at = |q: f64| took.get(((took.len().max(1) - 1) as f64 * q) as usize).copied().unwrap_or(0.0);
        let counts = self.outcome.subject.shelf().counts;
        eprintln!(
            "{venue:<10} {case:<12} {:>5} deltas {:>3} gaps, live again after p50 {:.3} s p99 {:.3} s, {} duplicates, {} quarantined",
            counts.deltas,
            counts.gaps,
            at(0.5),
            at(0.99),
            counts.duplicates,
            counts.quarantined,
        );
    }
}
