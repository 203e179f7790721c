//! Kraken spot market data, read-only; this module never sends an order.
//!
//! Speaks WebSocket v2 and reads the v1 frames of old captures. Both carry a CRC32 of the ten best levels with every
//! book update: a book is live only while its checksums fit, and is subscribed anew when one does not.

mod checksum;
mod control;
mod v1;
mod v2;

pub use checksum::checksum;

use schemas::time::NANOS_PER_SEC;
use schemas::{
    BookSide, BookState, Digest, GapReason, Instrument, InstrumentKind, InstrumentNo, Machine, Raw, Record,
    TapeBody, Times, Timestamp, TradeRow, Venue,
};

use crate::deed::{Deed, SOCKET_MAIN, VenueOutput};
use crate::link::{GaveUp, Link, LinkConfig};
use crate::names::Names;
use crate::scan::ScanError;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;

/// Unanswered subscriptions of one book after which the connection is given up.
const MAX_TRIES: u32 = 4;
/// Longest wait between two subscriptions of one book.
const RESYNC_CAP_NS: i64 = 60 * NANOS_PER_SEC;

/// Settings of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KrakenConfig {
    /// Pairs to follow by their v2 names, e.g. `BTC/USD`. Empty: every pair that is heard, nothing is subscribed.
    pub pairs: Vec<String>,
    /// Levels a side: 10, 25, 100, 500 or 1000.
    pub depth: u32,
    /// Whether one-minute candles are subscribed.
    pub candles: bool,
    /// Longest wait for a book or for the instruments, nanoseconds.
    pub resync_ns: i64,
    /// The connection.
    pub link: LinkConfig,
}

impl KrakenConfig {
    /// Follows these pairs at full depth, with a ping every 15 s.
    pub fn new(pairs: Vec<String>) -> Self {
        let ping = Some((r#"{"method":"ping"}"#.to_owned(), 15 * NANOS_PER_SEC));
        Self {
            pairs,
            link: LinkConfig { socket: SOCKET_MAIN, ping, ..LinkConfig::default() },
            ..Self::capture()
        }
    }

    /// Takes whatever a capture holds and subscribes nothing.
    pub fn capture() -> Self {
        Self {
            pairs: Vec::new(),
            depth: 1000,
            candles: true,
            resync_ns: 5 * NANOS_PER_SEC,
            link: LinkConfig { socket: SOCKET_MAIN, ..LinkConfig::default() },
        }
    }
}

/// What is known of one pair.
#[derive(Clone, Debug)]
struct Pair {
    native: String,
    no: Option<InstrumentNo>,
    /// Of price and quantity, once known.
    decimals: Option<(u8, u8)>,
    depth: usize,
    last_trade: i64,
    /// When an awaited book is asked for again; `MAX` if none is awaited.
    resync_at: Timestamp,
    tries: u32,
}

/// One level of a frame.
#[derive(Clone, Copy, Debug)]
struct Change {
    side: BookSide,
    price: i64,
    qty: i64,
    /// Time of the level, where it has one of its own.
    at: Option<Timestamp>,
}

/// Which books an unreadable frame may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    Everything,
    Pair(usize),
    Nothing,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Kraken {
    config: KrakenConfig,
    shelf: Shelf,
    link: Link,
    next_conn: u32,
    now: Timestamp,
    names: Names,
    pairs: Vec<Pair>,
    /// The levels of the frame at hand.
    changes: Vec<Change>,
    blame: Blame,
    /// The frames are of protocol v1.
    legacy: bool,
    /// When the instruments must have come; `MAX` if they are not awaited.
    instruments_by: Timestamp,
    /// The earliest of all timers but the link's.
    due: Timestamp,
}

impl Kraken {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: KrakenConfig) -> Self {
        let mut machine = Self {
            shelf: Shelf::default(),
            link: Link::new(config.link.clone()),
            next_conn: 0,
            now: Timestamp::ZERO,
            names: Names::default(),
            pairs: Vec::new(),
            changes: Vec::new(),
            blame: Blame::Everything,
            legacy: false,
            instruments_by: Timestamp::MAX,
            due: Timestamp::MAX,
            config,
        };
        for native in machine.config.pairs.clone() {
            machine.add(native.as_bytes());
        }
        machine
    }

    fn captures(&self) -> bool {
        self.config.pairs.is_empty()
    }

    fn add(&mut self, native: &[u8]) -> usize {
        let (no, new) = self.names.intern(native);
        if new {
            self.pairs.push(Pair {
                native: String::from_utf8_lossy(native).into_owned(),
                no: None,
                decimals: None,
                depth: self.config.depth as usize,
                last_trade: 0,
                resync_at: Timestamp::MAX,
                tries: 0,
            });
        }
        no.0 as usize
    }

    /// The pair of a name; `None` if it is not followed.
    #[inline]
    fn pair(&mut self, native: &[u8]) -> Option<usize> {
        match self.names.find(native) {
            Some(no) => Some(no.0 as usize),
            None if self.captures() => Some(self.add(native)),
            None => None,
        }
    }

    /// The instrument of a pair whose decimals are known.
    #[inline]
    fn introduce(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> Option<InstrumentNo> {
        let pair = &mut self.pairs[at];
        if pair.no.is_none() {
            let (price_decimals, qty_decimals) = pair.decimals?;
            let native = &pair.native;
            pair.no = Some(self.shelf.intern(native.as_bytes(), origin, out, || Instrument {
                venue: Venue::Kraken,
                native: native.clone(),
                market: native.clone(),
                kind: InstrumentKind::Spot,
                price_decimals,
                qty_decimals,
            }));
        }
        pair.no
    }

    fn on_frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.frames += 1;
        self.link.heard(self.now);
        self.blame = Blame::Everything;
        let read = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => self.on_array(bytes, origin, out),
            _ => self.on_object(bytes, origin, out),
        };
        if read.is_err() {
            self.quarantine(origin, out);
        }
    }

    #[cold]
    fn quarantine(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.quarantined += 1;
        match self.blame {
            Blame::Nothing => {}
            Blame::Pair(at) => self.lose(at, GapReason::Unreadable, origin, out),
            Blame::Everything => {
                for at in 0..self.pairs.len() {
                    self.lose(at, GapReason::Unreadable, origin, out);
                }
            }
        }
    }

    /// A book is lost and asked for again.
    #[cold]
    fn lose(&mut self, at: usize, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.pairs[at].no else { return };
        if self.shelf.slot(no).is_some_and(|slot| has_book(&slot.state)) {
            self.shelf.lose(no, reason, origin, out);
            self.resync(at, out);
        }
    }

    /// Everything that hung on the connection is lost.
    fn lose_all(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        for pair in &mut self.pairs {
            pair.resync_at = Timestamp::MAX;
            pair.tries = 0;
            if let Some(no) = pair.no {
                self.shelf.lose(no, reason, origin, out);
            }
        }
        self.instruments_by = Timestamp::MAX;
        self.due = Timestamp::MAX;
    }

    /// Subscribes one book anew, and again with growing waits until it comes.
    fn resync(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        if !self.link.is_open() {
            return;
        }
        let conn = self.link.conn();
        let name = std::slice::from_ref(&self.pairs[at].native);
        let depth = self.pairs[at].depth;
        for subscribe in [false, true] {
            let text = if self.legacy {
                v1::book_text(subscribe, name, depth)
            } else {
                v2::book_text(subscribe, name, depth)
            };
            out.push(VenueOutput::Deed(Deed::Send { conn, text }));
        }
        self.await_book(at);
    }

    fn await_book(&mut self, at: usize) {
        let pair = &mut self.pairs[at];
        let wait = self.config.resync_ns.max(1).saturating_mul(1 << pair.tries.min(10)).min(RESYNC_CAP_NS);
        pair.tries += 1;
        pair.resync_at = self.now.plus(wait);
        self.due = self.due.min(pair.resync_at);
    }

    fn on_open(&mut self, out: &mut Vec<VenueOutput>) {
        if self.captures() {
            return;
        }
        let text = v2::INSTRUMENTS.to_owned();
        out.push(VenueOutput::Deed(Deed::Send { conn: self.link.conn(), text }));
        self.instruments_by = self.now.plus(self.config.resync_ns.max(1));
        self.due = self.due.min(self.instruments_by);
    }

    /// Gives the connection up; the link opens another.
    #[cold]
    fn give_up(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.disconnects += 1;
        self.link.give_up(self.now, out);
        self.lose_all(reason, origin, out);
    }

    fn run(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if let Some(why) = self.link.run(self.now, &mut self.next_conn, out) {
            self.shelf.counts.disconnects += 1;
            if why != GaveUp::ConnectTimeout {
                for pair in &self.pairs {
                    if let Some(no) = pair.no {
                        self.shelf.age(no, origin, out);
                    }
                }
            }
            self.lose_all(GapReason::Disconnected, origin, out);
        }
        if self.now >= self.due {
            self.run_timers(origin, out);
        }
    }

    #[cold]
    fn run_timers(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let late = |pair: &Pair| pair.resync_at <= self.now && pair.tries >= MAX_TRIES;
        if self.instruments_by <= self.now || self.pairs.iter().any(late) {
            self.give_up(GapReason::Disconnected, origin, out);
            return;
        }
        self.due = Timestamp::MAX;
        for at in 0..self.pairs.len() {
            if self.pairs[at].resync_at <= self.now {
                self.resync(at, out);
            }
        }
        let timers = self.pairs.iter().map(|pair| pair.resync_at);
        self.due = timers.chain([self.instruments_by]).min().unwrap_or(Timestamp::MAX);
    }

    /// A snapshot in `changes` becomes the book.
    fn load(&mut self, at: usize, sum: Option<u32>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.introduce(at, origin, out) else { return };
        self.shelf.clear(no, origin, out);
        for change in &self.changes {
            self.shelf.load(no, change.side, change.price, change.qty, &change.origin(origin), out);
        }
        self.pairs[at].resync_at = Timestamp::MAX;
        self.link.data(self.now);
        self.shelf.loaded(no, origin, out);
        if self.verify(at, no, sum, origin, out) {
            self.pairs[at].tries = 0;
        }
    }

    /// The changes in `changes` go into the book, which is then truncated and verified.
    #[inline]
    fn update(&mut self, at: usize, sum: u32, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let live =
            self.pairs[at].no.filter(|no| self.shelf.slot(*no).is_some_and(|slot| has_book(&slot.state)));
        let Some(no) = live else {
            self.shelf.counts.stale_dropped += 1;
            return;
        };
        for change in &self.changes {
            self.shelf.set(no, change.side, change.price, change.qty, &change.origin(origin), out);
        }
        self.shelf.truncate(no, self.pairs[at].depth);
        self.link.data(self.now);
        self.verify(at, no, Some(sum), origin, out);
    }

    /// Compares checksums; a book whose own differs is lost.
    #[inline]
    fn verify(
        &mut self,
        at: usize,
        no: InstrumentNo,
        sum: Option<u32>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> bool {
        let Some(slot) = self.shelf.slot(no) else { return false };
        let crossed = slot.book.crossed();
        if let Some(sum) = sum {
            if checksum(&slot.book) != sum {
                self.shelf.counts.checksums_bad += 1;
                self.lose(at, GapReason::Checksum, origin, out);
                return false;
            }
            self.shelf.counts.checksums_ok += 1;
        }
        if crossed {
            self.shelf.counts.crossed += 1;
            self.lose(at, GapReason::Crossed, origin, out);
            return false;
        }
        self.shelf.heard(no, origin, out);
        true
    }

    fn trade(&mut self, no: InstrumentNo, row: TradeRow, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.fills += 1;
        self.link.data(self.now);
        self.shelf.push(no, TapeBody::Trade(row), origin, out);
    }
}

impl Change {
    #[inline]
    fn origin(&self, frame: &Origin) -> Origin {
        let venue_at = self.at.or(frame.times.venue_at);
        Origin { times: Times { venue_at, ..frame.times }, ..*frame }
    }
}

/// Whether the state is one in which the book holds something to lose.
#[inline]
const fn has_book(state: &BookState) -> bool {
    matches!(state, BookState::Live | BookState::Stale { .. })
}

/// The field must be there.
#[inline]
fn must<T>(value: Option<T>, what: &'static str) -> Result<T, ScanError> {
    value.ok_or(ScanError { at: 0, what })
}

impl Machine for Kraken {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let at = match &record.body {
            Raw::TimeAdvanced { to } => record.at.max(*to),
            _ => record.at,
        };
        self.now = self.now.max(at);
        let times = Times { recv_at: at, ..Times::default() };
        let origin = Origin { raw_seq: record.seq, venue_seq: 0, times };
        match &record.body {
            Raw::Frame { conn, bytes } if self.link.owns(*conn) => self.on_frame(bytes, &origin, out),
            Raw::Connected { conn } if self.link.opened(*conn, self.now) => self.on_open(out),
            Raw::Closed { conn, .. } if self.link.closed(*conn, self.now) => {
                self.shelf.counts.disconnects += 1;
                self.lose_all(GapReason::Disconnected, &origin, out);
            }
            Raw::TimeAdvanced { .. } => {}
            _ => self.shelf.counts.stray += 1,
        }
        self.run(&origin, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.link.wake_at().min(self.due))
    }

    fn digest(&self) -> Digest {
        let pairs: Vec<_> =
            self.pairs.iter().map(|p| (p.native.as_str(), p.last_trade, p.resync_at, p.tries)).collect();
        let own =
            schemas::encode(&(pairs, self.now, self.next_conn, self.link.wake_at(), self.due, self.legacy));
        Digest::combine(&[self.shelf.digest(), Digest::of(&own)])
    }
}

impl VenueMachine for Kraken {
    fn venue(&self) -> Venue {
        Venue::Kraken
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
