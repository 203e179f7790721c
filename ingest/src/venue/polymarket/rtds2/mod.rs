//! RTDS v2: authenticated price streams with sequence numbers; what the relay dropped becomes a gap, never a silence.
//!
//! Sources: venues.md and the public client polymarket-client 0.14.0 (read for the protocol). Each channel of a
//! connection counts `seq`; a number that is skipped, or `dropped` above 0, opens a gap on every stream of that channel
//! and connection, which the next value of each closes. After drops a connection carries half as many streams.

mod session;
mod wire;

use std::fmt;

use schemas::time::{NANOS_PER_MILLI, NANOS_PER_SEC};
use schemas::{Digest, GapReason, Machine, Raw, Record, Timestamp, Venue};

use super::index::{Board, Exactness, Said};
use super::market_wire::WireError;
use crate::deed::{SOCKET_RTDS2, VenueOutput};
use crate::link::LinkConfig;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;
use session::Session;
use wire::{Data, Frame};

/// Most streams of a connection.
pub const MAX_KEYS: usize = 64;
/// Longest frame that is sent, bytes.
pub const MAX_FRAME: usize = 60_000;

/// The CLOB API key that the relay asks for; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The key's id.
    pub api_key: String,
    /// Its secret.
    pub secret: String,
    /// Its passphrase.
    pub passphrase: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `price.crypto`, `price.crypto.twap`, `price.equity` or `price.equity.twap`.
    pub channel: String,
    /// E.g. `btcusd`.
    pub symbol: String,
    /// Length of the average, seconds, for the twap channels.
    pub window_s: Option<u32>,
}

/// Settings of [`RtdsV2`]; lengths of time in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtdsV2Config {
    /// The streams.
    pub keys: Vec<Key>,
    /// Without them the relay answers nothing.
    pub credentials: Option<Credentials>,
    /// Each connection; its own `ping` is not used, pings are operations here.
    pub link: LinkConfig,
    /// Streams per connection, at most [`MAX_KEYS`].
    pub keys_per_conn: usize,
    /// Least time between two operations of a connection.
    pub op_spacing_ns: i64,
    /// Time between pings.
    pub ping_ns: i64,
    /// Longest wait for the answer to an operation.
    pub ack_timeout_ns: i64,
    /// Longest wait before the next connection when the relay says that it is overloaded.
    pub overload_ns: i64,
    /// Reads a recording: says every stream it shows and depends on no clock.
    pub capture: bool,
}

impl RtdsV2Config {
    /// For these streams, live.
    pub fn new(keys: impl IntoIterator<Item = Key>, credentials: Credentials) -> Self {
        let link = LinkConfig {
            socket: SOCKET_RTDS2,
            idle_ns: 90 * NANOS_PER_SEC,
            backoff_cap_ns: 10 * NANOS_PER_SEC,
            ..LinkConfig::default()
        };
        Self {
            keys: keys.into_iter().collect(),
            credentials: Some(credentials),
            link,
            keys_per_conn: MAX_KEYS,
            op_spacing_ns: 110 * NANOS_PER_MILLI,
            ping_ns: 30 * NANOS_PER_SEC,
            ack_timeout_ns: 10 * NANOS_PER_SEC,
            overload_ns: 10 * NANOS_PER_SEC,
            capture: false,
        }
    }

    /// For recordings.
    pub fn capture() -> Self {
        let none = Credentials { api_key: String::new(), secret: String::new(), passphrase: String::new() };
        let link = LinkConfig { socket: SOCKET_RTDS2, ..super::PolymarketConfig::capture().link };
        Self { link, credentials: None, capture: true, ..Self::new([], none) }
    }
}

/// RTDS v2.
#[derive(Clone, Debug)]
pub struct RtdsV2 {
    config: RtdsV2Config,
    board: Board,
    sessions: Vec<Session>,
    next_conn: u32,
    now: Timestamp,
    /// Channels by their numbers, in the order of their first use.
    channels: Vec<String>,
}

/// Group of a channel on a connection.
fn group(session: usize, channel: usize) -> u64 {
    (session as u64) << 32 | channel as u64
}

impl RtdsV2 {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: RtdsV2Config) -> Self {
        let mut all = Self {
            board: Board::default(),
            sessions: Vec::new(),
            next_conn: 0,
            now: Timestamp::ZERO,
            channels: Vec::new(),
            config,
        };
        let mut keys = all.config.keys.clone();
        keys.dedup();
        let size = all.config.keys_per_conn.clamp(1, MAX_KEYS);
        if all.config.capture {
            all.open(Vec::new());
        }
        for part in keys.chunks(size) {
            all.open(part.to_vec());
        }
        all
    }

    /// How many streams each connection carries.
    pub fn session_sizes(&self) -> Vec<usize> {
        self.sessions.iter().map(|session| session.keys.len()).collect()
    }

    /// Whether the relay refused us for good (close codes 4001, 4008; a refused key).
    pub fn refused(&self) -> bool {
        self.sessions.iter().any(|session| session.refused)
    }

    fn open(&mut self, keys: Vec<Key>) {
        let at = self.sessions.len();
        self.sessions.push(Session::new(&self.config, at, keys));
    }

    fn on_frame(&mut self, at: usize, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.board.shelf.counts.frames += 1;
        self.sessions[at].link.heard(self.now);
        if bytes.trim_ascii().is_empty() {
            return;
        }
        let read = wire::read(bytes).and_then(|frame| match frame {
            Frame::Control(reply) => {
                let errors = u64::from(reply.op == "error");
                self.board.shelf.counts.venue_errors += errors;
                self.sessions[at].on_reply(&reply, self.now, out);
                Ok(())
            }
            Frame::Data(data) => self.on_data(at, &data, origin, out),
            Frame::Foreign => {
                self.board.shelf.counts.foreign += 1;
                Ok(())
            }
        });
        if read.is_err() {
            // Its sequence number is not known either; the next one shows the gap.
            self.board.shelf.counts.quarantined += 1;
        }
    }

    fn channel(&mut self, name: &str) -> usize {
        self.channels.iter().position(|known| known == name).unwrap_or_else(|| {
            self.channels.push(name.to_owned());
            self.channels.len() - 1
        })
    }

    fn on_data(
        &mut self,
        at: usize,
        data: &Data<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), WireError> {
        let symbol = data.payload.symbol()?.to_lowercase();
        let window_s = data.window_s()?;
        let points = if data.snapshot {
            data.payload.points(Exactness::Decimal)?
        } else {
            vec![data.payload.point(Exactness::Decimal)?]
        };
        let mut origin = *origin;
        origin.venue_seq = data.seq;
        let channel = self.channel(data.channel);
        let mine = group(at, channel);
        match self.sessions[at].count(channel, data.seq) {
            session::Order::Next => {}
            session::Order::Seen => {
                self.board.shelf.counts.duplicates += 1;
                return Ok(());
            }
            session::Order::Skipped => {
                self.board.lose(|group| group == mine, GapReason::SequenceSkipped, &origin, out);
            }
        }
        if data.dropped > 0 {
            self.board.lose(|group| group == mine, GapReason::Overflow, &origin, out);
            self.halve(at);
        }
        self.sessions[at].link.data(self.now);
        for point in points {
            let said = Said {
                stream: data.channel,
                symbol: &symbol,
                point,
                window_s,
                carried: data.payload.carried,
                published: (!data.snapshot).then(|| Timestamp::from_millis(data.ms)),
                history: data.snapshot,
            };
            self.board.say(&said, mine, &origin, out);
        }
        Ok(())
    }

    /// The relay drops what it cannot send: half of the streams move to another connection.
    fn halve(&mut self, at: usize) {
        if let Some(moved) = self.sessions[at].halve(&self.config, self.now) {
            self.open(moved);
        }
    }

    fn disconnected(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.board.shelf.counts.disconnects += 1;
        self.board.lose(|group| group >> 32 == at as u64, GapReason::Disconnected, origin, out);
        self.sessions[at].reset();
    }
}

impl Machine for RtdsV2 {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let at = match &record.body {
            Raw::TimeAdvanced { to } => record.at.max(*to),
            _ => record.at,
        };
        self.now = self.now.max(at);
        let now = self.now;
        let mut origin = Origin { raw_seq: record.seq, ..Origin::default() };
        origin.times.recv_at = at;
        match &record.body {
            Raw::Frame { conn, bytes } => match self.sessions.iter().position(|s| s.link.owns(*conn)) {
                Some(at) => self.on_frame(at, bytes, &origin, out),
                None => self.board.shelf.counts.stray += 1,
            },
            Raw::Connected { conn } => {
                if !self.sessions.iter_mut().any(|session| session.opened(*conn, &self.config, now)) {
                    self.board.shelf.counts.stray += 1;
                }
            }
            Raw::Closed { conn, reason } => {
                match self.sessions.iter_mut().position(|s| s.closed(*conn, reason, &self.config, now)) {
                    Some(at) => self.disconnected(at, &origin, out),
                    None => self.board.shelf.counts.stray += 1,
                }
            }
            Raw::Rest(_) => self.board.shelf.counts.stray += 1,
            Raw::TimeAdvanced { .. } => {}
        }
        for at in 0..self.sessions.len() {
            if self.sessions[at].run(&self.config, now, &mut self.next_conn, out) {
                self.disconnected(at, &origin, out);
            }
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let next = self.sessions.iter().map(|session| session.wake_at(&self.config)).min();
        next.filter(|at| *at < Timestamp::MAX)
    }

    fn digest(&self) -> Digest {
        self.board.digest()
    }
}

impl VenueMachine for RtdsV2 {
    fn venue(&self) -> Venue {
        Venue::Polymarket
    }

    fn shelf(&self) -> &Shelf {
        &self.board.shelf
    }
}
