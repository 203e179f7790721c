//! The index connection: connect, subscribe, ping, give up on silence, reconnect with jitter; never two at a time.

use minicbor::{Decode, Encode};
use schemas::{FeedState, Timestamp};

use super::{Feed, FeedOutput, state};
use crate::deed::{Deed, SOCKET_MAIN};
use crate::error::quoted;
use crate::venue::polymarket::rtds;

/// Where the connection stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Link {
    /// No connection; the next one is due at `until`.
    #[n(0)]
    Waiting {
        #[n(0)]
        until: Timestamp,
    },
    /// Asked for at `since`.
    #[n(1)]
    Connecting {
        #[n(0)]
        since: Timestamp,
    },
    /// Open; `data_at` is when the last new value came, or when it opened.
    #[n(2)]
    Open {
        #[n(0)]
        data_at: Timestamp,
        #[n(1)]
        ping_at: Timestamp,
    },
}

/// What was last said about the feed's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Health {
    #[n(0)]
    Fresh,
    #[n(1)]
    Live,
    #[n(2)]
    Stale,
    #[n(3)]
    Down,
}

impl Feed {
    pub(super) fn on_connected(&mut self, conn: u32, out: &mut Vec<FeedOutput>) {
        if conn != self.conn || !matches!(self.link, Link::Connecting { .. }) {
            self.counts.stray += 1;
            return;
        }
        let ping_at = self.now.plus(self.config.ping_ns.max(1));
        self.link = Link::Open { data_at: self.now, ping_at };
        self.send(rtds::subscribe(&self.config.symbol), out);
    }

    pub(super) fn on_closed(&mut self, conn: u32, reason: &str, out: &mut Vec<FeedOutput>) {
        let ours = conn == self.conn;
        match self.link {
            Link::Connecting { .. } | Link::Open { .. } if ours => self.fail(Health::Down, reason, out),
            // The end of a connection that was given up before.
            _ if ours => {}
            _ => self.counts.stray += 1,
        }
    }

    /// A new value came: the link is good.
    pub(super) fn data_arrived(&mut self, out: &mut Vec<FeedOutput>) {
        self.attempt = 0;
        if let Link::Open { data_at, .. } = &mut self.link {
            *data_at = self.now;
        }
        if self.health != Health::Live {
            self.health = Health::Live;
            out.push(state(FeedState::Live));
        }
    }

    pub(super) fn run_link(&mut self, out: &mut Vec<FeedOutput>) {
        if self.now < self.link_wake_at() {
            return;
        }
        match self.link {
            Link::Waiting { .. } => {
                self.conn = self.conn.wrapping_add(1);
                self.link = Link::Connecting { since: self.now };
                out.push(FeedOutput::Deed(Deed::Connect { conn: self.conn, socket: SOCKET_MAIN }));
            }
            Link::Connecting { .. } => {
                out.push(FeedOutput::Deed(Deed::Close { conn: self.conn }));
                self.fail(Health::Down, "connect timeout", out);
            }
            Link::Open { data_at, .. } if self.now >= self.idle_at(data_at) => {
                out.push(FeedOutput::Deed(Deed::Close { conn: self.conn }));
                self.fail(Health::Stale, "idle", out);
            }
            Link::Open { data_at, .. } => {
                self.link = Link::Open { data_at, ping_at: self.now.plus(self.config.ping_ns.max(1)) };
                self.send(rtds::PING.to_owned(), out);
            }
        }
    }

    /// When the link needs the clock; always after `now` once [`Feed::run_link`] ran.
    pub(super) fn link_wake_at(&self) -> Timestamp {
        match self.link {
            Link::Waiting { until } => until,
            Link::Connecting { since } => since.plus(self.config.connect_timeout_ns.max(1)),
            Link::Open { data_at, ping_at } => self.idle_at(data_at).min(ping_at),
        }
    }

    fn idle_at(&self, data_at: Timestamp) -> Timestamp {
        data_at.plus(self.config.idle_timeout_ns.max(1))
    }

    fn send(&self, text: String, out: &mut Vec<FeedOutput>) {
        out.push(FeedOutput::Deed(Deed::Send { conn: self.conn, text }));
    }

    /// The connection is lost: say so once, and wait before the next one.
    fn fail(&mut self, health: Health, reason: &str, out: &mut Vec<FeedOutput>) {
        self.counts.disconnects += 1;
        let said = match health {
            Health::Stale => FeedState::Stale { since: self.last_tick.unwrap_or(self.now) },
            _ => FeedState::Down { reason: quoted(reason) },
        };
        if self.health != health {
            self.health = health;
            out.push(state(said));
        }
        let c = &self.config;
        let delay = self.jitter.draw(&c.seed, c.backoff_base_ns, c.backoff_cap_ns, self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        self.link = Link::Waiting { until: self.now.plus(delay) };
    }
}
