//! Binance market data, spot and USD-margined futures, read-only; this module never sends an order.
//!
//! A book is the REST snapshot plus the depth events that follow it without a hole: events wait until the snapshot has
//! come, those it already holds are dropped, and each one must begin where the one before it ended. A hole loses the
//! book and asks for another snapshot.

mod book;
mod rows;
mod wire;

use std::collections::VecDeque;

use schemas::time::NANOS_PER_SEC;
use schemas::{Digest, GapReason, InstrumentKind, InstrumentNo, Machine, Raw, Record, Timestamp, Venue};

use super::spot::{Event, Session};
use crate::deed::{Deed, HOST_MAIN, SOCKET_MAIN, VenueOutput};
use crate::link::LinkConfig;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;
use wire::{Change, Fields};

/// Streams named in one request.
const STREAMS_PER_REQUEST: usize = 200;
/// Pause between two requests over the socket: five a second are allowed.
const REQUEST_PAUSE_NS: i64 = NANOS_PER_SEC / 4;
/// Longest wait between two snapshot requests of one symbol; also the wait after a refusal for their number.
const RETRY_CAP_NS: i64 = 60 * NANOS_PER_SEC;

/// Which of the two venues speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Spot: depth events carry `U` and `u`.
    Spot,
    /// USD-margined futures: also `pu`, the `u` of the event before.
    Futures,
}

/// Settings of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinanceConfig {
    /// Which venue; `None` to learn it from the first frame that shows it.
    pub dialect: Option<Dialect>,
    /// Symbols to follow, e.g. `BTCUSDT`. Empty: every symbol that is heard, nothing is subscribed.
    pub symbols: Vec<String>,
    /// Levels a side of a snapshot.
    pub depth: u32,
    /// Depth events of one symbol kept while its snapshot is awaited; the oldest is dropped first.
    pub max_buffered: usize,
    /// Snapshot requests in flight at once.
    pub max_fetches: usize,
    /// First wait after a failed snapshot request, nanoseconds; doubles.
    pub retry_ns: i64,
    /// Longest wait for an answer before the request is made again, nanoseconds.
    pub answer_ns: i64,
    /// How long a followed symbol may stay without an event before its snapshot is asked for all the same, nanoseconds.
    pub quiet_ns: i64,
    /// Age at which a connection is replaced, nanoseconds: the venue ends it after 24 h.
    pub max_age_ns: i64,
    /// The connection; the server pings.
    pub link: LinkConfig,
}

impl BinanceConfig {
    /// Follows these symbols.
    pub fn new(dialect: Dialect, symbols: Vec<String>) -> Self {
        Self { dialect: Some(dialect), symbols, ..Self::capture() }
    }

    /// Takes whatever a capture holds and subscribes nothing.
    pub fn capture() -> Self {
        Self {
            dialect: None,
            symbols: Vec::new(),
            depth: 1000,
            max_buffered: 2_000,
            max_fetches: 8,
            retry_ns: NANOS_PER_SEC,
            answer_ns: 60 * NANOS_PER_SEC,
            quiet_ns: 3 * NANOS_PER_SEC,
            max_age_ns: (23 * 60 + 50) * 60 * NANOS_PER_SEC,
            link: LinkConfig { socket: SOCKET_MAIN, ..LinkConfig::default() },
        }
    }
}

/// Where a symbol's book stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sync {
    /// Nothing was heard on this connection.
    #[default]
    Idle,
    /// A snapshot is to be asked for.
    Wanted { at: Timestamp },
    /// A snapshot was asked for.
    Fetching { request: u32, until: Timestamp },
    /// The snapshot is in the book; no event later than it has come yet.
    Loaded,
    /// The book follows the events.
    Chained,
}

/// What is known of one symbol beside its listing.
#[derive(Clone, Debug, Default)]
struct Symbol {
    sync: Sync,
    /// Number of the newest change in the book.
    last: i64,
    /// When the venue sent it.
    sent: Timestamp,
    /// Whole frames that wait for the snapshot.
    buffer: VecDeque<Box<[u8]>>,
    /// Whether trades come aggregated; the other kind tells the same ones again.
    aggregated: Option<bool>,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Binance {
    config: BinanceConfig,
    session: Session,
    next_request: u32,
    dialect: Option<Dialect>,
    /// By the places of the listings.
    symbols: Vec<Symbol>,
    /// The levels of the frame at hand.
    changes: Vec<Change>,
    /// Requests that wait for their turn, the last one first, and when it comes.
    outbox: Vec<String>,
    send_at: Timestamp,
    /// When the connection has reached its age.
    expires_at: Timestamp,
}

impl Binance {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: BinanceConfig) -> Self {
        let session = Session::new(&config.link, &config.symbols);
        Self {
            next_request: 0,
            dialect: config.dialect,
            symbols: vec![Symbol::default(); session.listings.len()],
            session,
            changes: Vec::new(),
            outbox: Vec::new(),
            send_at: Timestamp::MAX,
            expires_at: Timestamp::MAX,
            config,
        }
    }

    /// The place of a symbol; `None` if it is not followed.
    #[inline]
    fn symbol(&mut self, native: &[u8]) -> Option<usize> {
        let at = self.session.find(native)?;
        if at == self.symbols.len() {
            self.symbols.push(Symbol::default());
        }
        Some(at)
    }

    /// The instrument of a symbol whose decimals are known.
    #[inline]
    fn introduce(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> Option<InstrumentNo> {
        let venue = self.venue();
        let kind = if venue == Venue::Binance { InstrumentKind::Spot } else { InstrumentKind::Perpetual };
        self.session.introduce(at, (venue, kind), origin, out)
    }

    fn on_frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        let mut fields = Fields::default();
        let read = fields.read(bytes).and_then(|()| self.on_fields(&fields, bytes, origin, out));
        if read.is_err() {
            self.quarantine(&fields, origin, out);
        }
    }

    /// Counts the frame, and loses the books that it may have been about.
    #[cold]
    fn quarantine(&mut self, fields: &Fields<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.session.shelf.counts.quarantined += 1;
        if !fields.may_be_depth() {
            return;
        }
        let of_stream = fields.stream.and_then(|stream| stream.split(|byte| *byte == b'@').next());
        let native = fields.symbol.or(of_stream);
        let at = native.and_then(|native| {
            self.session.listings.iter().position(|l| l.native.as_bytes().eq_ignore_ascii_case(native))
        });
        let places = match (at, native) {
            (Some(at), _) => at..at + 1,
            (None, Some(_)) => 0..0,
            (None, None) => 0..self.symbols.len(),
        };
        for at in places {
            self.lose(at, GapReason::Unreadable, origin, out);
        }
    }

    /// A book is lost and its snapshot asked for again.
    #[cold]
    fn lose(&mut self, at: usize, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if matches!(self.symbols[at].sync, Sync::Loaded | Sync::Chained) {
            if let Some(no) = self.session.listings[at].no {
                self.session.shelf.lose(no, reason, origin, out);
            }
            self.want(at, self.session.now);
        }
    }

    /// Forgets what hung on the connection.
    fn forget(&mut self) {
        for symbol in &mut self.symbols {
            symbol.sync = Sync::Idle;
            symbol.buffer.clear();
        }
        self.outbox.clear();
        (self.send_at, self.expires_at) = (Timestamp::MAX, Timestamp::MAX);
    }

    fn want(&mut self, at: usize, when: Timestamp) {
        self.symbols[at].sync = Sync::Wanted { at: when };
        self.session.remind(when);
    }

    fn on_open(&mut self, out: &mut Vec<VenueOutput>) {
        self.expires_at = self.session.now.plus(self.config.max_age_ns.max(1));
        self.session.remind(self.expires_at);
        let trades = if self.dialect == Some(Dialect::Futures) { "aggTrade" } else { "trade" };
        let names = self.config.symbols.iter().map(|native| native.to_ascii_lowercase());
        let kinds = ["depth@100ms", trades, "bookTicker", "kline_1m"];
        let streams: Vec<String> =
            names.flat_map(|name| kinds.map(|kind| format!("{name}@{kind}"))).collect();
        let requests = streams.chunks(STREAMS_PER_REQUEST).enumerate().map(|(at, streams)| {
            serde_json::json!({"method": "SUBSCRIBE", "params": streams, "id": at + 1}).to_string()
        });
        self.outbox = requests.collect();
        self.outbox.reverse();
        self.send_next(out);
        if !self.session.captures {
            for at in 0..self.symbols.len() {
                self.want(at, self.session.now.plus(self.config.quiet_ns.max(1)));
            }
        }
    }

    fn send_next(&mut self, out: &mut Vec<VenueOutput>) {
        if let Some(text) = self.outbox.pop() {
            out.push(VenueOutput::Deed(Deed::Send { conn: self.session.link.conn(), text }));
        }
        self.send_at =
            if self.outbox.is_empty() { Timestamp::MAX } else { self.session.now.plus(REQUEST_PAUSE_NS) };
        self.session.remind(self.send_at);
    }

    /// Gives the connection up; the link opens another.
    #[cold]
    fn give_up(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.session.give_up(reason, origin, out);
        self.forget();
    }

    #[cold]
    fn run_timers(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.session.now >= self.expires_at {
            self.give_up(GapReason::Disconnected, origin, out);
            return;
        }
        if self.session.now >= self.send_at {
            self.send_next(out);
        }
        let mut fetching = 0;
        for symbol in &mut self.symbols {
            match symbol.sync {
                Sync::Fetching { until, .. } if until <= self.session.now => {
                    self.session.shelf.counts.failed_requests += 1;
                    symbol.sync = Sync::Wanted { at: self.session.now };
                }
                Sync::Fetching { .. } => fetching += 1,
                _ => {}
            }
        }
        let mut due = self.expires_at.min(self.send_at);
        for at in 0..self.symbols.len() {
            match self.symbols[at].sync {
                Sync::Wanted { at: when }
                    if when <= self.session.now && fetching < self.config.max_fetches.max(1) =>
                {
                    fetching += 1;
                    due = due.min(self.fetch(at, out));
                }
                // The next answer makes room.
                Sync::Wanted { at: when } if when > self.session.now => due = due.min(when),
                Sync::Fetching { until, .. } => due = due.min(until),
                _ => {}
            }
        }
        self.session.due = due;
    }

    /// Asks for a symbol's snapshot; says until when the answer is awaited.
    fn fetch(&mut self, at: usize, out: &mut Vec<VenueOutput>) -> Timestamp {
        self.next_request += 1;
        let until = self.session.now.plus(self.config.answer_ns.max(1));
        self.symbols[at].sync = Sync::Fetching { request: self.next_request, until };
        let api = if self.dialect == Some(Dialect::Futures) { "/fapi/v1" } else { "/api/v3" };
        let native = &self.session.listings[at].native;
        let path = format!("{api}/depth?symbol={native}&limit={}", self.config.depth);
        let request = self.next_request;
        out.push(VenueOutput::Deed(Deed::Fetch { request, host: HOST_MAIN, path, body: None }));
        until
    }
}

impl Machine for Binance {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let (origin, event) = self.session.hear(record, out);
        match event {
            Event::Frame(bytes) => self.on_frame(bytes, &origin, out),
            Event::Opened => self.on_open(out),
            Event::Lost => self.forget(),
            Event::Reply(reply) => self.on_reply(reply, &origin, out),
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
        let mut own = Vec::new();
        for (listing, symbol) in self.session.listings.iter().zip(&self.symbols) {
            let (state, at) = match symbol.sync {
                Sync::Idle => (0, Timestamp::ZERO),
                Sync::Wanted { at } => (1, at),
                Sync::Fetching { until, .. } => (2, until),
                Sync::Loaded => (3, Timestamp::ZERO),
                Sync::Chained => (4, Timestamp::ZERO),
            };
            let numbers = (state, at, symbol.last, listing.last_trade, listing.tries);
            own.extend(schemas::encode(&(listing.native.as_str(), numbers)));
            for frame in &symbol.buffer {
                own.extend(&Digest::of(frame).0);
            }
        }
        let timers = (self.session.link.wake_at(), self.session.due, self.expires_at, self.send_at);
        own.extend(schemas::encode(&(self.session.now, self.session.next_conn, self.next_request, timers)));
        Digest::combine(&[self.session.shelf.digest(), Digest::of(&own)])
    }
}

impl VenueMachine for Binance {
    /// Spot until a capture shows otherwise.
    fn venue(&self) -> Venue {
        if self.dialect == Some(Dialect::Futures) { Venue::BinanceFutures } else { Venue::Binance }
    }

    fn shelf(&self) -> &Shelf {
        &self.session.shelf
    }
}
