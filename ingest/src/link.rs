//! One WebSocket's life as a machine part: connect, ping, give up on silence, reconnect with full jitter; it never
//! opens a socket itself.

use minicbor::{Decode, Encode};
use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

use crate::deed::{Deed, VenueOutput};
use crate::jitter::Jitter;

/// Settings of a [`Link`]; lengths of time in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Which socket of the venue.
    pub socket: u8,
    /// What the client must send and how often, e.g. `PING` every 10 s; `None` where the server pings.
    pub ping: Option<(String, i64)>,
    /// Longest silence before the connection is given up.
    pub idle_ns: i64,
    /// Longest time without data although the socket answers pings (a zombie); 0 = not watched.
    pub zombie_ns: i64,
    /// Longest time for a connection to open.
    pub connect_timeout_ns: i64,
    /// First reconnect delay is drawn from 0 to here; doubles with every failure.
    pub backoff_base_ns: i64,
    /// Longest reconnect delay.
    pub backoff_cap_ns: i64,
    /// Seed of the jitter; differs per process, so that a thousand clients do not return together.
    pub seed: [u8; 32],
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            socket: 0,
            ping: None,
            idle_ns: 30 * NANOS_PER_SEC,
            zombie_ns: 0,
            connect_timeout_ns: 10 * NANOS_PER_SEC,
            backoff_base_ns: NANOS_PER_SEC / 2,
            backoff_cap_ns: 30 * NANOS_PER_SEC,
            seed: [0; 32],
        }
    }
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
enum State {
    #[n(0)]
    Waiting {
        #[n(0)]
        until: Timestamp,
    },
    #[n(1)]
    Connecting {
        #[n(0)]
        since: Timestamp,
    },
    #[n(2)]
    Open {
        #[n(0)]
        heard_at: Timestamp,
        #[n(1)]
        data_at: Timestamp,
        #[n(2)]
        ping_at: Timestamp,
    },
}

/// Why a link gave its connection up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// It did not open in time.
    ConnectTimeout,
    /// Nothing at all was heard.
    Idle,
    /// Pings are answered, data does not come.
    Zombie,
}

/// One connection and its successors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    config: LinkConfig,
    conn: u32,
    state: State,
    failures: u32,
    jitter: Jitter,
}

impl Link {
    /// A link that connects at the first [`Link::run`].
    pub fn new(config: LinkConfig) -> Self {
        Self {
            config,
            conn: 0,
            state: State::Waiting { until: Timestamp::ZERO },
            failures: 0,
            jitter: Jitter::default(),
        }
    }

    /// Number of the newest connection; 0 before the first.
    #[inline]
    pub fn conn(&self) -> u32 {
        self.conn
    }

    /// Whether frames of this connection are ours.
    #[inline]
    pub fn owns(&self, conn: u32) -> bool {
        conn == self.conn && matches!(self.state, State::Open { .. })
    }

    /// Whether the connection is open.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// The socket opened; `false` if it is not the one awaited. The caller subscribes now.
    pub fn opened(&mut self, conn: u32, now: Timestamp) -> bool {
        let ours = conn == self.conn && matches!(self.state, State::Connecting { .. });
        if ours {
            let ping_at =
                self.config.ping.as_ref().map_or(Timestamp::MAX, |(_, every)| now.plus((*every).max(1)));
            self.state = State::Open { heard_at: now, data_at: now, ping_at };
        }
        ours
    }

    /// The socket ended; `true` if it was in use, so that what hung on it is lost.
    pub fn closed(&mut self, conn: u32, now: Timestamp) -> bool {
        let ours = conn == self.conn && matches!(self.state, State::Connecting { .. } | State::Open { .. });
        if ours {
            self.back_off(now);
        }
        ours
    }

    /// Something came over the socket.
    #[inline]
    pub fn heard(&mut self, now: Timestamp) {
        if let State::Open { heard_at, .. } = &mut self.state {
            *heard_at = now;
        }
    }

    /// Something useful came: the next failure starts from the shortest delay again.
    #[inline]
    pub fn data(&mut self, now: Timestamp) {
        if let State::Open { heard_at, data_at, .. } = &mut self.state {
            *heard_at = now;
            *data_at = now;
            self.failures = 0;
        }
    }

    /// Gives the connection up on the caller's judgement (a terminal error, a lost subscription) and reconnects later.
    pub fn give_up(&mut self, now: Timestamp, out: &mut Vec<VenueOutput>) {
        if matches!(self.state, State::Connecting { .. } | State::Open { .. }) {
            out.push(VenueOutput::Deed(Deed::Close { conn: self.conn }));
            self.back_off(now);
        }
    }

    /// Does what is due. `next_conn` hands out connection numbers. Says whether the connection was given up.
    pub fn run(&mut self, now: Timestamp, next_conn: &mut u32, out: &mut Vec<VenueOutput>) -> Option<GaveUp> {
        if now < self.wake_at() {
            return None;
        }
        match self.state {
            State::Waiting { .. } => {
                *next_conn += 1;
                self.conn = *next_conn;
                self.state = State::Connecting { since: now };
                out.push(VenueOutput::Deed(Deed::Connect { conn: self.conn, socket: self.config.socket }));
                None
            }
            State::Connecting { .. } => {
                self.give_up(now, out);
                Some(GaveUp::ConnectTimeout)
            }
            State::Open { heard_at, data_at, ping_at } => {
                let idle = now >= heard_at.plus(self.config.idle_ns.max(1));
                let zombie = self.config.zombie_ns > 0 && now >= data_at.plus(self.config.zombie_ns);
                if idle || zombie {
                    self.give_up(now, out);
                    return Some(if idle { GaveUp::Idle } else { GaveUp::Zombie });
                }
                if let Some((text, every)) = self.config.ping.as_ref().filter(|_| now >= ping_at) {
                    out.push(VenueOutput::Deed(Deed::Send { conn: self.conn, text: text.clone() }));
                    self.state = State::Open { heard_at, data_at, ping_at: now.plus((*every).max(1)) };
                }
                None
            }
        }
    }

    /// When the link needs the clock; after [`Link::run`] always later than `now`.
    #[inline]
    pub fn wake_at(&self) -> Timestamp {
        match self.state {
            State::Waiting { until } => until,
            State::Connecting { since } => since.plus(self.config.connect_timeout_ns.max(1)),
            State::Open { heard_at, data_at, ping_at } => {
                let idle = heard_at.plus(self.config.idle_ns.max(1)).min(ping_at);
                if self.config.zombie_ns > 0 { idle.min(data_at.plus(self.config.zombie_ns)) } else { idle }
            }
        }
    }

    fn back_off(&mut self, now: Timestamp) {
        let c = &self.config;
        let delay = self.jitter.draw(&c.seed, c.backoff_base_ns, c.backoff_cap_ns, self.failures);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting { until: now.plus(delay) };
    }
}
