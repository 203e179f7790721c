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
    Digest, GapReason, InstrumentKind, InstrumentNo, Machine, Raw, Record, TapeBody, Timestamp, TradeRow,
    Venue,
};

use super::spot::{Blame, Change, Event, Session, must};
use crate::deed::{Deed, SOCKET_MAIN, VenueOutput};
use crate::link::LinkConfig;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;

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

/// The machine.
#[derive(Clone, Debug)]
pub struct Kraken {
    config: KrakenConfig,
    session: Session,
    /// Levels a side of each pair's book, by the places of the listings.
    depths: Vec<usize>,
    /// The levels of the frame at hand.
    changes: Vec<Change>,
    blame: Blame,
    /// The frames are of protocol v1.
    legacy: bool,
    /// When the instruments must have come; `MAX` if they are not awaited.
    instruments_by: Timestamp,
}

impl Kraken {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: KrakenConfig) -> Self {
        let session = Session::new(&config.link, &config.pairs);
        Self {
            depths: vec![config.depth as usize; session.listings.len()],
            session,
            changes: Vec::new(),
            blame: Blame::Everything,
            legacy: false,
            instruments_by: Timestamp::MAX,
            config,
        }
    }

    /// The place of a pair; `None` if it is not followed.
    #[inline]
    fn pair(&mut self, native: &[u8]) -> Option<usize> {
        let at = self.session.find(native)?;
        if at == self.depths.len() {
            self.depths.push(self.config.depth as usize);
        }
        Some(at)
    }

    /// The instrument of a pair whose decimals are known.
    #[inline]
    fn introduce(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> Option<InstrumentNo> {
        self.session.introduce(at, (Venue::Kraken, InstrumentKind::Spot), origin, out)
    }

    fn on_frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.blame = Blame::Everything;
        let read = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => self.on_array(bytes, origin, out),
            _ => self.on_object(bytes, origin, out),
        };
        if read.is_err() {
            for at in self.session.quarantine(self.blame) {
                self.lose(at, GapReason::Unreadable, origin, out);
            }
        }
    }

    /// A book is lost and asked for again.
    #[cold]
    fn lose(&mut self, at: usize, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.session.lose(at, reason, origin, out) {
            self.resync(at, out);
        }
    }

    /// Subscribes one book anew, and again with growing waits until it comes.
    fn resync(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        if !self.session.link.is_open() {
            return;
        }
        let conn = self.session.link.conn();
        let name = std::slice::from_ref(&self.session.listings[at].native);
        let depth = self.depths[at];
        for subscribe in [false, true] {
            let text = if self.legacy {
                v1::book_text(subscribe, name, depth)
            } else {
                v2::book_text(subscribe, name, depth)
            };
            out.push(VenueOutput::Deed(Deed::Send { conn, text }));
        }
        self.session.await_book(at, self.config.resync_ns);
    }

    fn on_open(&mut self, out: &mut Vec<VenueOutput>) {
        if self.session.captures {
            return;
        }
        let text = v2::INSTRUMENTS.to_owned();
        out.push(VenueOutput::Deed(Deed::Send { conn: self.session.link.conn(), text }));
        self.instruments_by = self.session.now.plus(self.config.resync_ns.max(1));
        self.session.remind(self.instruments_by);
    }

    /// Gives the connection up; the link opens another.
    #[cold]
    fn give_up(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.session.give_up(reason, origin, out);
        self.instruments_by = Timestamp::MAX;
    }

    #[cold]
    fn run_timers(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.instruments_by <= self.session.now || self.session.is_hopeless() {
            self.give_up(GapReason::Disconnected, origin, out);
            return;
        }
        for at in 0..self.depths.len() {
            if self.session.is_late(at) {
                self.resync(at, out);
            }
        }
        self.session.due = self.session.next_resync().min(self.instruments_by);
    }

    /// A snapshot in `changes` becomes the book.
    fn load(&mut self, at: usize, sum: Option<u32>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.introduce(at, origin, out) else { return };
        self.session.load(at, no, &self.changes, origin, out);
        if self.verify(at, no, sum, origin, out) {
            self.session.listings[at].tries = 0;
        }
    }

    /// The changes in `changes` go into the book, which is then truncated and verified.
    #[inline]
    fn update(&mut self, at: usize, sum: u32, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.session.update(at, &self.changes, origin, out) else { return };
        self.session.shelf.truncate(no, self.depths[at]);
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
        let Some(slot) = self.session.shelf.slot(no) else { return false };
        if let Some(sum) = sum {
            if checksum(&slot.book) != sum {
                self.session.shelf.counts.checksums_bad += 1;
                self.lose(at, GapReason::Checksum, origin, out);
                return false;
            }
            self.session.shelf.counts.checksums_ok += 1;
        }
        if self.session.crossed(no) {
            self.lose(at, GapReason::Crossed, origin, out);
            return false;
        }
        self.session.shelf.heard(no, origin, out);
        true
    }

    fn trade(&mut self, no: InstrumentNo, row: TradeRow, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.session.shelf.counts.fills += 1;
        self.session.link.data(self.session.now);
        self.session.shelf.push(no, TapeBody::Trade(row), origin, out);
    }
}

impl Machine for Kraken {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let (origin, event) = self.session.hear(record, out);
        match event {
            Event::Frame(bytes) => self.on_frame(bytes, &origin, out),
            Event::Opened => self.on_open(out),
            Event::Lost => self.instruments_by = Timestamp::MAX,
            Event::Reply(_) => self.session.shelf.counts.stray += 1,
            Event::Nothing => {}
        }
        if self.session.run(&origin, out) {
            self.instruments_by = Timestamp::MAX;
        }
        if self.session.is_due() {
            self.run_timers(&origin, out);
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.session.wake_at())
    }

    fn digest(&self) -> Digest {
        let listings = self.session.listings.iter();
        let pairs: Vec<_> =
            listings.map(|l| (l.native.as_str(), l.last_trade, l.resync_at, l.tries)).collect();
        let own = schemas::encode(&(
            pairs,
            self.session.now,
            self.session.next_conn,
            self.session.link.wake_at(),
            self.session.due,
            self.legacy,
        ));
        Digest::combine(&[self.session.shelf.digest(), Digest::of(&own)])
    }
}

impl VenueMachine for Kraken {
    fn venue(&self) -> Venue {
        Venue::Kraken
    }

    fn shelf(&self) -> &Shelf {
        &self.session.shelf
    }
}
