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
    Digest, GapReason, InstrumentKind, InstrumentNo, Machine, Raw, Record, TapeBody, Timestamp, Venue,
};

use super::spot::{Blame, Change, Event, Session};
use crate::deed::{Deed, SOCKET_MAIN, VenueOutput};
use crate::link::LinkConfig;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;
use wire::{Head, Trade};

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

/// What is known of one product beside its listing.
#[derive(Clone, Debug, Default)]
struct Product {
    /// Decimals of price and quantity from the venue's increments.
    increments: Option<(u8, u8)>,
    /// Pro: the venue's time of the newest change in the book.
    book_at: Option<Timestamp>,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Coinbase {
    config: CoinbaseConfig,
    session: Session,
    /// By the places of the listings.
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
}

impl Coinbase {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: CoinbaseConfig) -> Self {
        let session = Session::new(&config.link, &config.products);
        Self {
            products: vec![Product::default(); session.listings.len()],
            session,
            changes: Vec::new(),
            trades: Vec::new(),
            blame: Blame::Everything,
            legacy: false,
            sequence: None,
            heartbeat: None,
            books_at: Timestamp::MAX,
            config,
        }
    }

    /// The place of a product; `None` if it is not followed.
    #[inline]
    fn product(&mut self, native: &[u8]) -> Option<usize> {
        let at = self.session.find(native)?;
        if at == self.products.len() {
            self.products.push(Product::default());
        }
        Some(at)
    }

    /// The instrument of a product whose decimals are known.
    #[inline]
    fn introduce(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> Option<InstrumentNo> {
        self.session.introduce(at, (Venue::Coinbase, InstrumentKind::Spot), origin, out)
    }

    fn on_frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.blame = Blame::Everything;
        let read = Head::read(bytes).and_then(|head| match (head.channel, head.kind) {
            (Some(channel), _) => self.on_channel(channel, &head, origin, out),
            (None, Some(kind)) => self.on_pro(kind, &head, origin, out),
            (None, None) => wire::must(None, "a frame that does not say what it is"),
        });
        if read.is_err() {
            for at in self.session.quarantine(self.blame) {
                self.lose(at, GapReason::Unreadable, origin, out);
            }
        }
    }

    /// An error of the venue: it may mean that nothing is subscribed, so another connection tries again.
    fn on_error(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.session.shelf.counts.venue_errors += 1;
        self.give_up(GapReason::ChannelError, origin, out);
    }

    /// A book is lost and asked for again.
    #[cold]
    fn lose(&mut self, at: usize, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.session.lose(at, reason, origin, out) {
            self.resync(at, out);
        }
    }

    /// Forgets what hung on the connection.
    fn forget(&mut self) {
        for product in &mut self.products {
            product.book_at = None;
        }
        (self.sequence, self.heartbeat, self.books_at) = (None, None, Timestamp::MAX);
    }

    /// Subscribes one book anew, and again with growing waits until it comes.
    fn resync(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        if !self.session.link.is_open() {
            return;
        }
        let name = std::slice::from_ref(&self.session.listings[at].native);
        for kind in ["unsubscribe", "subscribe"] {
            let text =
                if self.legacy { pro::book_text(kind, name) } else { advanced::text(kind, "level2", name) };
            out.push(VenueOutput::Deed(Deed::Send { conn: self.session.link.conn(), text }));
        }
        self.session.await_book(at, self.config.resync_ns);
    }

    /// The venue closes a connection that subscribes nothing within five seconds: two channels are asked for at once,
    /// the books as soon as their increments are known.
    fn on_open(&mut self, out: &mut Vec<VenueOutput>) {
        (self.sequence, self.heartbeat) = (None, None);
        if self.session.captures {
            return;
        }
        let conn = self.session.link.conn();
        for channel in ["heartbeats", "status"] {
            let text = advanced::text("subscribe", channel, &self.config.products);
            out.push(VenueOutput::Deed(Deed::Send { conn, text }));
        }
        self.books_at = self.session.now.plus(self.config.status_ns.max(1));
        self.session.remind(self.books_at);
    }

    /// Subscribes the books and what belongs to them.
    fn subscribe(&mut self, out: &mut Vec<VenueOutput>) {
        self.books_at = Timestamp::MAX;
        let candles = self.config.candles.then_some("candles");
        for channel in ["level2", "market_trades", "ticker"].into_iter().chain(candles) {
            let text = advanced::text("subscribe", channel, &self.config.products);
            out.push(VenueOutput::Deed(Deed::Send { conn: self.session.link.conn(), text }));
        }
        for at in 0..self.products.len() {
            self.session.await_book(at, self.config.resync_ns);
        }
    }

    /// Gives the connection up; the link opens another.
    #[cold]
    fn give_up(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.session.give_up(reason, origin, out);
        self.forget();
    }

    #[cold]
    fn run_timers(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.session.is_hopeless() {
            self.give_up(GapReason::Disconnected, origin, out);
            return;
        }
        if self.books_at <= self.session.now {
            self.subscribe(out);
        }
        for at in 0..self.products.len() {
            if self.session.is_late(at) {
                self.resync(at, out);
            }
        }
        self.session.due = self.session.next_resync().min(self.books_at);
    }

    /// A snapshot in `changes` becomes the book.
    fn load(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.introduce(at, origin, out) else { return };
        self.session.load(at, no, &self.changes, origin, out);
        self.session.listings[at].tries = 0;
        self.products[at].book_at = None;
        self.uncrossed(at, no, origin, out);
    }

    /// The changes in `changes` go into the book. Says whether there is one.
    #[inline]
    fn update(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> bool {
        let Some(no) = self.session.update(at, &self.changes, origin, out) else { return false };
        self.session.shelf.heard(no, origin, out);
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
        let crossed = self.session.crossed(no);
        if crossed {
            self.lose(at, GapReason::Crossed, origin, out);
        }
        !crossed
    }

    /// The trades in `trades`, oldest first, each once.
    fn say_trades(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.trades.sort_unstable_by_key(|trade| trade.id);
        for at in 0..self.trades.len() {
            let trade = self.trades[at];
            if trade.id <= self.session.listings[trade.product].last_trade {
                self.session.shelf.counts.duplicates += 1;
                continue;
            }
            let Some(no) = self.introduce(trade.product, origin, out) else { continue };
            self.session.listings[trade.product].last_trade = trade.id;
            let mut origin = *origin;
            origin.times.venue_at = Some(trade.at);
            self.session.shelf.counts.fills += 1;
            self.session.shelf.push(no, TapeBody::Trade(trade.row()), &origin, out);
        }
        self.session.link.data(self.session.now);
    }
}

impl Machine for Coinbase {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let (origin, event) = self.session.hear(record, out);
        match event {
            Event::Frame(bytes) => self.on_frame(bytes, &origin, out),
            Event::Opened => self.on_open(out),
            Event::Lost => self.forget(),
            Event::Reply(_) => self.session.shelf.counts.stray += 1,
            Event::Nothing => {}
        }
        if self.session.run(&origin, out) {
            self.forget();
        }
        if self.session.is_due() {
            self.run_timers(&origin, out);
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.session.wake_at())
    }

    fn digest(&self) -> Digest {
        let listings = self.session.listings.iter().zip(&self.products);
        let products: Vec<_> = listings
            .map(|(l, p)| (l.native.as_str(), l.last_trade, p.book_at, l.resync_at, l.tries))
            .collect();
        let numbers = (self.sequence, self.heartbeat, self.session.next_conn, self.legacy);
        let own = schemas::encode(&(
            products,
            numbers,
            self.session.now,
            self.session.link.wake_at(),
            self.session.due,
        ));
        Digest::combine(&[self.session.shelf.digest(), Digest::of(&own)])
    }
}

impl VenueMachine for Coinbase {
    fn venue(&self) -> Venue {
        Venue::Coinbase
    }

    fn shelf(&self) -> &Shelf {
        &self.session.shelf
    }
}
