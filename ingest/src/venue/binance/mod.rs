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
use schemas::{
    Digest, GapReason, Instrument, InstrumentKind, InstrumentNo, Machine, Raw, Record, RestReply, Times,
    Timestamp, Venue,
};

use crate::deed::{Deed, HOST_MAIN, SOCKET_MAIN, VenueOutput};
use crate::link::{GaveUp, Link, LinkConfig};
use crate::names::Names;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;
use wire::{Change, Decimals, Fields};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// Nothing was heard on this connection.
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

/// What is known of one symbol.
#[derive(Clone, Debug)]
struct Symbol {
    native: String,
    no: Option<InstrumentNo>,
    decimals: Decimals,
    sync: Sync,
    /// Number of the newest change in the book.
    last: i64,
    /// When the venue sent it.
    sent: Timestamp,
    /// Whole frames that wait for the snapshot.
    buffer: VecDeque<Box<[u8]>>,
    tries: u32,
    last_trade: i64,
    /// Whether trades come aggregated; the other kind tells the same ones again.
    aggregated: Option<bool>,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Binance {
    config: BinanceConfig,
    shelf: Shelf,
    link: Link,
    next_conn: u32,
    next_request: u32,
    now: Timestamp,
    dialect: Option<Dialect>,
    names: Names,
    symbols: Vec<Symbol>,
    /// The levels of the frame at hand.
    changes: Vec<Change>,
    /// Requests that wait for their turn, the last one first, and when it comes.
    outbox: Vec<String>,
    send_at: Timestamp,
    /// When the connection has reached its age.
    expires_at: Timestamp,
    /// The earliest of all timers but the link's.
    due: Timestamp,
}

impl Binance {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: BinanceConfig) -> Self {
        let mut machine = Self {
            shelf: Shelf::default(),
            link: Link::new(config.link.clone()),
            next_conn: 0,
            next_request: 0,
            now: Timestamp::ZERO,
            dialect: config.dialect,
            names: Names::default(),
            symbols: Vec::new(),
            changes: Vec::new(),
            outbox: Vec::new(),
            send_at: Timestamp::MAX,
            expires_at: Timestamp::MAX,
            due: Timestamp::MAX,
            config,
        };
        for native in machine.config.symbols.clone() {
            machine.add(native.as_bytes());
        }
        machine
    }

    fn captures(&self) -> bool {
        self.config.symbols.is_empty()
    }

    fn add(&mut self, native: &[u8]) -> usize {
        let (no, new) = self.names.intern(native);
        if new {
            self.symbols.push(Symbol {
                native: String::from_utf8_lossy(native).into_owned(),
                no: None,
                decimals: None,
                sync: Sync::Idle,
                last: 0,
                sent: Timestamp::ZERO,
                buffer: VecDeque::new(),
                tries: 0,
                last_trade: 0,
                aggregated: None,
            });
        }
        no.0 as usize
    }

    /// The place of a symbol; `None` if it is not followed.
    #[inline]
    fn symbol(&mut self, native: &[u8]) -> Option<usize> {
        match self.names.find(native) {
            Some(no) => Some(no.0 as usize),
            None if self.captures() => Some(self.add(native)),
            None => None,
        }
    }

    /// The instrument of a symbol whose decimals are known.
    #[inline]
    fn introduce(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> Option<InstrumentNo> {
        let venue = self.venue();
        let symbol = &mut self.symbols[at];
        if symbol.no.is_none() {
            let (price_decimals, qty_decimals) = symbol.decimals?;
            let native = &symbol.native;
            let spot = venue == Venue::Binance;
            symbol.no = Some(self.shelf.intern(native.as_bytes(), origin, out, || Instrument {
                venue,
                native: native.clone(),
                market: native.clone(),
                kind: if spot { InstrumentKind::Spot } else { InstrumentKind::Perpetual },
                price_decimals,
                qty_decimals,
            }));
        }
        symbol.no
    }

    fn on_frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.frames += 1;
        self.link.heard(self.now);
        let mut fields = Fields::default();
        let read = fields.read(bytes).and_then(|()| self.on_fields(&fields, bytes, origin, out));
        if read.is_err() {
            self.quarantine(&fields, origin, out);
        }
    }

    /// Counts the frame, and loses the books that it may have been about.
    #[cold]
    fn quarantine(&mut self, fields: &Fields<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.quarantined += 1;
        if !fields.may_be_depth() {
            return;
        }
        let of_stream = fields.stream.and_then(|stream| stream.split(|byte| *byte == b'@').next());
        let native = fields.symbol.or(of_stream);
        let at = native.and_then(|native| {
            self.symbols.iter().position(|s| s.native.as_bytes().eq_ignore_ascii_case(native))
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
            if let Some(no) = self.symbols[at].no {
                self.shelf.lose(no, reason, origin, out);
            }
            self.want(at, self.now);
        }
    }

    /// Everything that hung on the connection is lost.
    fn lose_all(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        for symbol in &mut self.symbols {
            symbol.sync = Sync::Idle;
            symbol.buffer.clear();
            symbol.tries = 0;
            if let Some(no) = symbol.no {
                self.shelf.lose(no, reason, origin, out);
            }
        }
        self.outbox.clear();
        (self.send_at, self.expires_at, self.due) = (Timestamp::MAX, Timestamp::MAX, Timestamp::MAX);
    }

    fn want(&mut self, at: usize, when: Timestamp) {
        self.symbols[at].sync = Sync::Wanted { at: when };
        self.due = self.due.min(when);
    }

    fn on_open(&mut self, out: &mut Vec<VenueOutput>) {
        self.expires_at = self.now.plus(self.config.max_age_ns.max(1));
        self.due = self.due.min(self.expires_at);
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
        if !self.captures() {
            for at in 0..self.symbols.len() {
                self.want(at, self.now.plus(self.config.quiet_ns.max(1)));
            }
        }
    }

    fn send_next(&mut self, out: &mut Vec<VenueOutput>) {
        if let Some(text) = self.outbox.pop() {
            out.push(VenueOutput::Deed(Deed::Send { conn: self.link.conn(), text }));
        }
        self.send_at = if self.outbox.is_empty() { Timestamp::MAX } else { self.now.plus(REQUEST_PAUSE_NS) };
        self.due = self.due.min(self.send_at);
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
                for symbol in &self.symbols {
                    if let Some(no) = symbol.no {
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
        if self.now >= self.expires_at {
            self.give_up(GapReason::Disconnected, origin, out);
            return;
        }
        if self.now >= self.send_at {
            self.send_next(out);
        }
        let mut fetching = 0;
        for symbol in &mut self.symbols {
            match symbol.sync {
                Sync::Fetching { until, .. } if until <= self.now => {
                    self.shelf.counts.failed_requests += 1;
                    symbol.sync = Sync::Wanted { at: self.now };
                }
                Sync::Fetching { .. } => fetching += 1,
                _ => {}
            }
        }
        let mut due = self.expires_at.min(self.send_at);
        for at in 0..self.symbols.len() {
            match self.symbols[at].sync {
                Sync::Wanted { at: when }
                    if when <= self.now && fetching < self.config.max_fetches.max(1) =>
                {
                    fetching += 1;
                    due = due.min(self.fetch(at, out));
                }
                // The next answer makes room.
                Sync::Wanted { at: when } if when > self.now => due = due.min(when),
                Sync::Fetching { until, .. } => due = due.min(until),
                _ => {}
            }
        }
        self.due = due;
    }

    /// Asks for a symbol's snapshot; says until when the answer is awaited.
    fn fetch(&mut self, at: usize, out: &mut Vec<VenueOutput>) -> Timestamp {
        self.next_request += 1;
        let until = self.now.plus(self.config.answer_ns.max(1));
        let symbol = &mut self.symbols[at];
        symbol.sync = Sync::Fetching { request: self.next_request, until };
        let api = if self.dialect == Some(Dialect::Futures) { "/fapi/v1" } else { "/api/v3" };
        let path = format!("{api}/depth?symbol={}&limit={}", symbol.native, self.config.depth);
        let request = self.next_request;
        out.push(VenueOutput::Deed(Deed::Fetch { request, host: HOST_MAIN, path, body: None }));
        until
    }
}

impl Machine for Binance {
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
            Raw::Rest(RestReply { request, status, bytes }) => {
                self.on_reply(*request, *status, bytes, &origin, out);
            }
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
        let mut own = Vec::new();
        for symbol in &self.symbols {
            let (state, at) = match symbol.sync {
                Sync::Idle => (0, Timestamp::ZERO),
                Sync::Wanted { at } => (1, at),
                Sync::Fetching { until, .. } => (2, until),
                Sync::Loaded => (3, Timestamp::ZERO),
                Sync::Chained => (4, Timestamp::ZERO),
            };
            let numbers = (state, at, symbol.last, symbol.last_trade, symbol.tries);
            own.extend(schemas::encode(&(symbol.native.as_str(), numbers)));
            for frame in &symbol.buffer {
                own.extend(&Digest::of(frame).0);
            }
        }
        let timers = (self.link.wake_at(), self.due, self.expires_at, self.send_at);
        own.extend(schemas::encode(&(self.now, self.next_conn, self.next_request, timers)));
        Digest::combine(&[self.shelf.digest(), Digest::of(&own)])
    }
}

impl VenueMachine for Binance {
    /// Spot until a capture shows otherwise.
    fn venue(&self) -> Venue {
        if self.dialect == Some(Dialect::Futures) { Venue::BinanceFutures } else { Venue::Binance }
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
