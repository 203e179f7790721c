//! What the machines of the spot venues share: one connection, its clock, and the instruments whose books hang on it.
//!
//! It reads no frame and subscribes nothing: which book is trusted, and how one is asked for, is each venue's own.

use schemas::time::NANOS_PER_SEC;
use schemas::{
    BookSide, BookState, GapReason, Instrument, InstrumentKind, InstrumentNo, Raw, Record, RestReply, Times,
    Timestamp, Venue,
};

use crate::deed::VenueOutput;
use crate::link::{GaveUp, Link, LinkConfig};
use crate::names::Names;
use crate::scan::ScanError;
use crate::shelf::{Origin, Shelf};

/// Unanswered subscriptions of one book after which the connection is given up.
const MAX_TRIES: u32 = 4;
/// Longest wait between two subscriptions of one book.
pub(super) const RESYNC_CAP_NS: i64 = 60 * NANOS_PER_SEC;

pub(super) type Result<T> = std::result::Result<T, ScanError>;

/// The field must be there.
#[inline]
pub(super) fn must<T>(value: Option<T>, what: &'static str) -> Result<T> {
    value.ok_or(ScanError { at: 0, what })
}

/// One level of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) side: BookSide,
    pub(super) price: i64,
    pub(super) qty: i64,
    /// Time of the level, where it has one of its own.
    pub(super) at: Option<Timestamp>,
}

impl Change {
    #[inline]
    fn origin(&self, frame: &Origin) -> Origin {
        let venue_at = self.at.or(frame.times.venue_at);
        Origin { times: Times { venue_at, ..frame.times }, ..*frame }
    }
}

/// Which books an unreadable frame may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    Everything,
    One(usize),
    Nothing,
}

/// What a record is to the machine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    /// A frame of the connection.
    Frame(&'a [u8]),
    /// An answer over REST.
    Reply(&'a RestReply),
    /// The connection is open: the machine subscribes.
    Opened,
    /// The connection has ended, its books are lost: the machine forgets what else hung on it.
    Lost,
    /// Nothing to do with the machine.
    Nothing,
}

/// One instrument of the venue.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) native: String,
    /// Once it is introduced.
    pub(super) no: Option<InstrumentNo>,
    /// Of price and quantity, once known.
    pub(super) decimals: Option<(u8, u8)>,
    pub(super) last_trade: i64,
    /// When an awaited book is asked for again; `MAX` if none is awaited.
    pub(super) resync_at: Timestamp,
    pub(super) tries: u32,
}

/// One connection and its successors, and the instruments that are heard over it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) shelf: Shelf,
    pub(super) link: Link,
    pub(super) next_conn: u32,
    pub(super) now: Timestamp,
    /// In the order of their first mention.
    pub(super) listings: Vec<Listing>,
    names: Names,
    /// Whatever is heard is taken and nothing is subscribed.
    pub(super) captures: bool,
    /// The earliest of all the machine's timers but the link's.
    pub(super) due: Timestamp,
}

impl Session {
    /// Follows these instruments, or whatever is heard if there are none; the first record makes it connect.
    pub(super) fn new(link: &LinkConfig, natives: &[String]) -> Self {
        let mut session = Self {
            shelf: Shelf::default(),
            link: Link::new(link.clone()),
            next_conn: 0,
            now: Timestamp::ZERO,
            listings: Vec::new(),
            names: Names::default(),
            captures: natives.is_empty(),
            due: Timestamp::MAX,
        };
        for native in natives {
            session.add(native.as_bytes());
        }
        session
    }

    fn add(&mut self, native: &[u8]) -> usize {
        let (no, new) = self.names.intern(native);
        if new {
            self.listings.push(Listing {
                native: String::from_utf8_lossy(native).into_owned(),
                no: None,
                decimals: None,
                last_trade: 0,
                resync_at: Timestamp::MAX,
                tries: 0,
            });
        }
        no.0 as usize
    }

    /// The place of an instrument, the next free one if it is new; `None` if it is not followed.
    #[inline]
    pub(super) fn find(&mut self, native: &[u8]) -> Option<usize> {
        match self.names.find(native) {
            Some(no) => Some(no.0 as usize),
            None if self.captures => Some(self.add(native)),
            None => None,
        }
    }

    /// The number of an instrument whose decimals are known.
    #[inline]
    pub(super) fn introduce(
        &mut self,
        at: usize,
        (venue, kind): (Venue, InstrumentKind),
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Option<InstrumentNo> {
        let listing = &mut self.listings[at];
        if listing.no.is_none() {
            let (price_decimals, qty_decimals) = listing.decimals?;
            let native = &listing.native;
            listing.no = Some(self.shelf.intern(native.as_bytes(), origin, out, || Instrument {
                venue,
                native: native.clone(),
                market: native.clone(),
                kind,
                price_decimals,
                qty_decimals,
            }));
        }
        listing.no
    }

    /// Moves the clock, and says what the record is and where its rows come from.
    #[inline]
    pub(super) fn hear<'a>(
        &mut self,
        record: &'a Record<Raw>,
        out: &mut Vec<VenueOutput>,
    ) -> (Origin, Event<'a>) {
        let at = match &record.body {
            Raw::TimeAdvanced { to } => record.at.max(*to),
            _ => record.at,
        };
        self.now = self.now.max(at);
        let times = Times { recv_at: at, ..Times::default() };
        let origin = Origin { raw_seq: record.seq, venue_seq: 0, times };
        let event = match &record.body {
            Raw::Frame { conn, bytes } if self.link.owns(*conn) => {
                self.shelf.counts.frames += 1;
                self.link.heard(self.now);
                Event::Frame(bytes)
            }
            Raw::Rest(reply) => Event::Reply(reply),
            Raw::Connected { conn } if self.link.opened(*conn, self.now) => Event::Opened,
            Raw::Closed { conn, .. } if self.link.closed(*conn, self.now) => {
                self.lose_all(GapReason::Disconnected, &origin, out);
                Event::Lost
            }
            Raw::TimeAdvanced { .. } => Event::Nothing,
            _ => {
                self.shelf.counts.stray += 1;
                Event::Nothing
            }
        };
        (origin, event)
    }

    /// Does what the link has due. `true` if the connection was given up and its books are lost.
    #[inline]
    pub(super) fn run(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) -> bool {
        let Some(why) = self.link.run(self.now, &mut self.next_conn, out) else { return false };
        if why != GaveUp::ConnectTimeout {
            for no in self.listings.iter().filter_map(|listing| listing.no) {
                self.shelf.age(no, origin, out);
            }
        }
        self.lose_all(GapReason::Disconnected, origin, out);
        true
    }

    /// Gives the connection up, whose books are lost; the link opens another.
    #[cold]
    pub(super) fn give_up(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.link.give_up(self.now, out);
        self.lose_all(reason, origin, out);
    }

    #[cold]
    fn lose_all(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.disconnects += 1;
        for listing in &mut self.listings {
            (listing.resync_at, listing.tries) = (Timestamp::MAX, 0);
            if let Some(no) = listing.no {
                self.shelf.lose(no, reason, origin, out);
            }
        }
        self.due = Timestamp::MAX;
    }

    /// The machine has something to do then.
    #[inline]
    pub(super) fn remind(&mut self, at: Timestamp) {
        self.due = self.due.min(at);
    }

    /// Whether the machine has something to do now.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.now >= self.due
    }

    /// When the machine needs the clock.
    #[inline]
    pub(super) fn wake_at(&self) -> Timestamp {
        self.link.wake_at().min(self.due)
    }

    /// Counts an unreadable frame; says the places of the books that it may have changed.
    #[cold]
    pub(super) fn quarantine(&mut self, blame: Blame) -> std::ops::Range<usize> {
        self.shelf.counts.quarantined += 1;
        match blame {
            Blame::Nothing => 0..0,
            Blame::One(at) => at..at + 1,
            Blame::Everything => 0..self.listings.len(),
        }
    }

    /// The number of an instrument whose book holds something to lose.
    #[inline]
    fn with_book(&self, at: usize) -> Option<InstrumentNo> {
        let holds = |state: &BookState| matches!(state, BookState::Live | BookState::Stale { .. });
        self.listings[at].no.filter(|no| self.shelf.slot(*no).is_some_and(|slot| holds(&slot.state)))
    }

    /// A book is lost. `false` if there was none.
    #[cold]
    pub(super) fn lose(
        &mut self,
        at: usize,
        reason: GapReason,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> bool {
        let Some(no) = self.with_book(at) else { return false };
        self.shelf.lose(no, reason, origin, out);
        true
    }

    /// A book was asked for; with every try the wait for it doubles.
    pub(super) fn await_book(&mut self, at: usize, resync_ns: i64) {
        let listing = &mut self.listings[at];
        let wait = resync_ns.max(1).saturating_mul(1 << listing.tries.min(10)).min(RESYNC_CAP_NS);
        listing.tries += 1;
        listing.resync_at = self.now.plus(wait);
        self.due = self.due.min(listing.resync_at);
    }

    /// Whether a book is to be asked for again.
    pub(super) fn is_late(&self, at: usize) -> bool {
        self.listings[at].resync_at <= self.now
    }

    /// Whether a book was asked for often enough: another connection may bring it.
    pub(super) fn is_hopeless(&self) -> bool {
        self.listings.iter().any(|listing| listing.resync_at <= self.now && listing.tries >= MAX_TRIES)
    }

    /// When the next book is to be asked for again.
    pub(super) fn next_resync(&self) -> Timestamp {
        self.listings.iter().map(|listing| listing.resync_at).min().unwrap_or(Timestamp::MAX)
    }

    /// A snapshot becomes the book, which is no longer awaited; it is for the caller to say when it may be trusted.
    pub(super) fn load(
        &mut self,
        at: usize,
        no: InstrumentNo,
        changes: &[Change],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        self.shelf.clear(no, origin, out);
        for change in changes {
            self.shelf.load(no, change.side, change.price, change.qty, &change.origin(origin), out);
        }
        self.listings[at].resync_at = Timestamp::MAX;
        self.link.data(self.now);
        self.shelf.loaded(no, origin, out);
    }

    /// The changes go into the book; `None`, counted, if there is none.
    #[inline]
    pub(super) fn update(
        &mut self,
        at: usize,
        changes: &[Change],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Option<InstrumentNo> {
        let Some(no) = self.with_book(at) else {
            self.shelf.counts.stale_dropped += 1;
            return None;
        };
        for change in changes {
            self.shelf.set(no, change.side, change.price, change.qty, &change.origin(origin), out);
        }
        self.link.data(self.now);
        Some(no)
    }

    /// Whether the best prices cross, which is counted.
    #[inline]
    pub(super) fn crossed(&mut self, no: InstrumentNo) -> bool {
        let crossed = self.shelf.slot(no).is_some_and(|slot| slot.book.crossed());
        self.shelf.counts.crossed += u64::from(crossed);
        crossed
    }
}
