//! Coinbase spot market data, read-only; this module never sends an order.
//!
//! Speaks Advanced Trade and reads the Coinbase Pro frames of old captures. Advanced Trade numbers the frames of a
//! connection across all channels, so a hole loses every book of the connection. Pro numbers nothing in its book
//! channel: its books are checked to be uncrossed and against the best prices of its ticker.

mod advanced;
mod advanced_rows;
mod pro;
mod wire;

use schemas::time::NANOS_PER_SEC;
use schemas::{
    BookState, Digest, GapReason, Instrument, InstrumentKind, InstrumentNo, Machine, Raw, Record, TapeBody,
    Times, Timestamp, Venue,
};

use crate::deed::{Deed, SOCKET_MAIN, VenueOutput};
use crate::link::{GaveUp, Link, LinkConfig};
use crate::names::Names;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;
use wire::{Change, Head, Trade};

/// Unanswered subscriptions of one book after which the connection is given up.
const MAX_TRIES: u32 = 4;
/// Longest wait between two subscriptions of one book.
const RESYNC_CAP_NS: i64 = 60 * NANOS_PER_SEC;

/// Settings of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinbaseConfig {
    /// Products to follow, e.g. `BTC-USD`. Empty: every product that is heard, nothing is subscribed.
    pub products: Vec<String>,
    /// Whether five-minute candles are subscribed.
    pub candles: bool,
    /// How long the books are held back for the `status` channel, which tells the increments, nanoseconds.
    pub status_ns: i64,
    /// Longest wait for a book, nanoseconds.
    pub resync_ns: i64,
    /// The connection; the heartbeats channel keeps it alive.
    pub link: LinkConfig,
}

impl CoinbaseConfig {
    /// Follows these products.
    pub fn new(products: Vec<String>) -> Self {
        Self { products, ..Self::capture() }
    }

    /// Takes whatever a capture holds and subscribes nothing.
    pub fn capture() -> Self {
        Self {
            products: Vec::new(),
            candles: true,
            status_ns: 3 * NANOS_PER_SEC,
            resync_ns: 10 * NANOS_PER_SEC,
            link: LinkConfig { socket: SOCKET_MAIN, ..LinkConfig::default() },
        }
    }
}

/// What is known of one product.
#[derive(Clone, Debug)]
struct Product {
    native: String,
    no: Option<InstrumentNo>,
    /// Of price and quantity, once its instrument is introduced.
    decimals: Option<(u8, u8)>,
    /// The same from the venue's increments.
    increments: Option<(u8, u8)>,
    last_trade: i64,
    /// Pro: the venue's time of the newest change in the book.
    book_at: Option<Timestamp>,
    /// When an awaited book is asked for again; `MAX` if none is awaited.
    resync_at: Timestamp,
    tries: u32,
}

/// Which books an unreadable frame may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    Everything,
    Product(usize),
    Nothing,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Coinbase {
    config: CoinbaseConfig,
    shelf: Shelf,
    link: Link,
    next_conn: u32,
    now: Timestamp,
    names: Names,
    products: Vec<Product>,
    /// The levels of the frame at hand.
    changes: Vec<Change>,
    /// The trades of the frame at hand.
    trades: Vec<Trade>,
    blame: Blame,
    /// The frames are of Coinbase Pro.
    legacy: bool,
    /// Number of the connection's newest frame.
    sequence: Option<i64>,
    heartbeat: Option<i64>,
    /// When the books are subscribed whether or not the increments are known; `MAX` if that is done.
    books_at: Timestamp,
    /// The earliest of all timers but the link's.
    due: Timestamp,
}

impl Coinbase {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: CoinbaseConfig) -> Self {
        let mut machine = Self {
            shelf: Shelf::default(),
            link: Link::new(config.link.clone()),
            next_conn: 0,
            now: Timestamp::ZERO,
            names: Names::default(),
            products: Vec::new(),
            changes: Vec::new(),
            trades: Vec::new(),
            blame: Blame::Everything,
            legacy: false,
            sequence: None,
            heartbeat: None,
            books_at: Timestamp::MAX,
            due: Timestamp::MAX,
            config,
        };
        for native in machine.config.products.clone() {
            machine.add(native.as_bytes());
        }
        machine
    }

    fn captures(&self) -> bool {
        self.config.products.is_empty()
    }

    fn add(&mut self, native: &[u8]) -> usize {
        let (no, new) = self.names.intern(native);
        if new {
            self.products.push(Product {
                native: String::from_utf8_lossy(native).into_owned(),
                no: None,
                decimals: None,
                increments: None,
                last_trade: 0,
                book_at: None,
                resync_at: Timestamp::MAX,
                tries: 0,
            });
        }
        no.0 as usize
    }

    /// The place of a product; `None` if it is not followed.
    #[inline]
    fn product(&mut self, native: &[u8]) -> Option<usize> {
        match self.names.find(native) {
            Some(no) => Some(no.0 as usize),
            None if self.captures() => Some(self.add(native)),
            None => None,
        }
    }

    /// The instrument of a product whose decimals are known.
    #[inline]
    fn introduce(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> Option<InstrumentNo> {
        let product = &mut self.products[at];
        if product.no.is_none() {
            let (price_decimals, qty_decimals) = product.decimals?;
            let native = &product.native;
            product.no = Some(self.shelf.intern(native.as_bytes(), origin, out, || Instrument {
                venue: Venue::Coinbase,
                native: native.clone(),
                market: native.clone(),
                kind: InstrumentKind::Spot,
                price_decimals,
                qty_decimals,
            }));
        }
        product.no
    }

    fn on_frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.frames += 1;
        self.link.heard(self.now);
        self.blame = Blame::Everything;
        let read = Head::read(bytes).and_then(|head| match (head.channel, head.kind) {
            (Some(channel), _) => self.on_channel(channel, &head, origin, out),
            (None, Some(kind)) => self.on_pro(kind, &head, origin, out),
            (None, None) => wire::must(None, "a frame that does not say what it is"),
        });
        if read.is_err() {
            self.quarantine(origin, out);
        }
    }

    #[cold]
    fn quarantine(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.quarantined += 1;
        match self.blame {
            Blame::Nothing => {}
            Blame::Product(at) => self.lose(at, GapReason::Unreadable, origin, out),
            Blame::Everything => {
                for at in 0..self.products.len() {
                    self.lose(at, GapReason::Unreadable, origin, out);
                }
            }
        }
    }

    /// An error of the venue: it may mean that nothing is subscribed, so another connection tries again.
    fn on_error(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.venue_errors += 1;
        self.give_up(GapReason::ChannelError, origin, out);
    }

    /// A book is lost and asked for again.
    #[cold]
    fn lose(&mut self, at: usize, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.products[at].no else { return };
        if self.shelf.slot(no).is_some_and(|slot| has_book(&slot.state)) {
            self.shelf.lose(no, reason, origin, out);
            self.resync(at, out);
        }
    }

    /// Everything that hung on the connection is lost.
    fn lose_all(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        for product in &mut self.products {
            product.resync_at = Timestamp::MAX;
            product.tries = 0;
            product.book_at = None;
            if let Some(no) = product.no {
                self.shelf.lose(no, reason, origin, out);
            }
        }
        (self.sequence, self.heartbeat) = (None, None);
        (self.books_at, self.due) = (Timestamp::MAX, Timestamp::MAX);
    }

    /// Subscribes one book anew, and again with growing waits until it comes.
    fn resync(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        if !self.link.is_open() {
            return;
        }
        let name = std::slice::from_ref(&self.products[at].native);
        for kind in ["unsubscribe", "subscribe"] {
            let text =
                if self.legacy { pro::book_text(kind, name) } else { advanced::text(kind, "level2", name) };
            out.push(VenueOutput::Deed(Deed::Send { conn: self.link.conn(), text }));
        }
        self.await_book(at);
    }

    fn await_book(&mut self, at: usize) {
        let product = &mut self.products[at];
        let wait = self.config.resync_ns.max(1).saturating_mul(1 << product.tries.min(10)).min(RESYNC_CAP_NS);
        product.tries += 1;
        product.resync_at = self.now.plus(wait);
        self.due = self.due.min(product.resync_at);
    }

    /// The venue closes a connection that subscribes nothing within five seconds: two channels are asked for at once,
    /// the books as soon as their increments are known.
    fn on_open(&mut self, out: &mut Vec<VenueOutput>) {
        (self.sequence, self.heartbeat) = (None, None);
        if self.captures() {
            return;
        }
        let conn = self.link.conn();
        for channel in ["heartbeats", "status"] {
            let text = advanced::text("subscribe", channel, &self.config.products);
            out.push(VenueOutput::Deed(Deed::Send { conn, text }));
        }
        self.books_at = self.now.plus(self.config.status_ns.max(1));
        self.due = self.due.min(self.books_at);
    }

    /// Subscribes the books and what belongs to them.
    fn subscribe(&mut self, out: &mut Vec<VenueOutput>) {
        self.books_at = Timestamp::MAX;
        let candles = self.config.candles.then_some("candles");
        for channel in ["level2", "market_trades", "ticker"].into_iter().chain(candles) {
            let text = advanced::text("subscribe", channel, &self.config.products);
            out.push(VenueOutput::Deed(Deed::Send { conn: self.link.conn(), text }));
        }
        for at in 0..self.products.len() {
            self.await_book(at);
        }
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
                for product in &self.products {
                    if let Some(no) = product.no {
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
        let late = |product: &Product| product.resync_at <= self.now && product.tries >= MAX_TRIES;
        if self.products.iter().any(late) {
            self.give_up(GapReason::Disconnected, origin, out);
            return;
        }
        if self.books_at <= self.now {
            self.subscribe(out);
        }
        for at in 0..self.products.len() {
            if self.products[at].resync_at <= self.now {
                self.resync(at, out);
            }
        }
        let timers = self.products.iter().map(|product| product.resync_at);
        self.due = timers.chain([self.books_at]).min().unwrap_or(Timestamp::MAX);
    }

    /// A snapshot in `changes` becomes the book.
    fn load(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.introduce(at, origin, out) else { return };
        self.shelf.clear(no, origin, out);
        for change in &self.changes {
            self.shelf.load(no, change.side, change.price, change.qty, &change.origin(origin), out);
        }
        let product = &mut self.products[at];
        (product.resync_at, product.tries, product.book_at) = (Timestamp::MAX, 0, None);
        self.link.data(self.now);
        self.shelf.loaded(no, origin, out);
        self.uncrossed(at, no, origin, out);
    }

    /// The changes in `changes` go into the book. Says whether there is one.
    #[inline]
    fn update(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> bool {
        let live =
            self.products[at].no.filter(|no| self.shelf.slot(*no).is_some_and(|slot| has_book(&slot.state)));
        let Some(no) = live else {
            self.shelf.counts.stale_dropped += 1;
            return false;
        };
        for change in &self.changes {
            self.shelf.set(no, change.side, change.price, change.qty, &change.origin(origin), out);
        }
        self.link.data(self.now);
        self.shelf.heard(no, origin, out);
        self.uncrossed(at, no, origin, out)
    }

    #[inline]
    fn uncrossed(
        &mut self,
        at: usize,
        no: InstrumentNo,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> bool {
        let crossed = self.shelf.slot(no).is_some_and(|slot| slot.book.crossed());
        if crossed {
            self.shelf.counts.crossed += 1;
            self.lose(at, GapReason::Crossed, origin, out);
        }
        !crossed
    }

    /// The trades in `trades`, oldest first, each once.
    fn say_trades(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.trades.sort_unstable_by_key(|trade| trade.id);
        for at in 0..self.trades.len() {
            let trade = self.trades[at];
            if trade.id <= self.products[trade.product].last_trade {
                self.shelf.counts.duplicates += 1;
                continue;
            }
            let Some(no) = self.introduce(trade.product, origin, out) else { continue };
            self.products[trade.product].last_trade = trade.id;
            let mut origin = *origin;
            origin.times.venue_at = Some(trade.at);
            self.shelf.counts.fills += 1;
            self.shelf.push(no, TapeBody::Trade(trade.row()), &origin, out);
        }
        self.link.data(self.now);
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

impl Machine for Coinbase {
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
        let products: Vec<_> = self
            .products
            .iter()
            .map(|p| (p.native.as_str(), p.last_trade, p.book_at, p.resync_at, p.tries))
            .collect();
        let numbers = (self.sequence, self.heartbeat, self.next_conn, self.legacy);
        let own = schemas::encode(&(products, numbers, self.now, self.link.wake_at(), self.due));
        Digest::combine(&[self.shelf.digest(), Digest::of(&own)])
    }
}

impl VenueMachine for Coinbase {
    fn venue(&self) -> Venue {
        Venue::Coinbase
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
