//! The feed as a machine: raw records in, facts and deeds out; it never opens a socket and never reads a clock.
//!
//! `link` keeps the index connection alive, `slots` follows the markets of each interval over REST. After a restart
//! from a snapshot the old sockets are gone: append [`Raw::Closed`] for [`Feed::conn`] and the feed reconnects.

mod config;

mod link;
mod slots;

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{
    Digest, FeedState, IndexTick, Machine, MarketEvent, Raw, Record, RestReply, Snapshot as _, Timestamp,
};

use crate::deed::Deed;
use crate::jitter::Jitter;
pub use config::FeedConfig;
use link::{Health, Link};
use slots::Slot;

use crate::error::IngestError;
use crate::venue::polymarket::rtds::{self, RtdsFrame, RtdsTick};

/// What the feed says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedOutput {
    /// A fact, to be appended to the market stream.
    Market(MarketEvent),
    /// Something an edge must do, on socket 0 (the index) and host 0 (Gamma).
    Deed(Deed),
}

/// What the feed dropped or saw, counted since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct FeedCounts {
    /// Index values passed on.
    #[n(0)]
    pub ticks: u64,
    /// Index values dropped because their time is not after the last one's.
    #[n(1)]
    pub duplicates: u64,
    /// Answers to pings.
    #[n(2)]
    pub pongs: u64,
    /// Legal frames of no concern: other topics, other symbols, empty ones.
    #[n(3)]
    pub foreign: u64,
    /// Records of a connection or request that is no longer ours.
    #[n(4)]
    pub stray: u64,
    /// Frames and answers that could not be used.
    #[n(5)]
    pub quarantined: u64,
    /// Connections that failed or ended.
    #[n(6)]
    pub disconnects: u64,
    /// Requests without a usable answer: no answer, 429, 5xx.
    #[n(7)]
    pub failed_requests: u64,
    /// Answers that said that a market is not listed yet.
    #[n(8)]
    pub not_listed: u64,
    /// Intervals that passed while the feed was not running.
    #[n(9)]
    pub missed_intervals: u64,
}

/// One venue feed: the settlement index over WebSocket and the Up/Down markets of one series over REST.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Feed {
    #[n(0)]
    config: FeedConfig,
    #[n(1)]
    now: Timestamp,
    #[n(2)]
    conn: u32,
    #[n(3)]
    link: Link,
    #[n(4)]
    attempt: u32,
    #[n(5)]
    health: Health,
    #[n(6)]
    last_tick: Option<Timestamp>,
    #[n(7)]
    jitter: Jitter,
    #[n(8)]
    slots: BTreeMap<Timestamp, Slot>,
    #[n(9)]
    next_slot: Option<Timestamp>,
    #[n(10)]
    next_request: u32,
    #[n(11)]
    counts: FeedCounts,
}

impl Feed {
    /// A feed that has seen nothing; the first record makes it connect.
    pub fn new(config: FeedConfig) -> Self {
        Self {
            config,
            now: Timestamp::ZERO,
            conn: 0,
            link: Link::Waiting { until: Timestamp::ZERO },
            attempt: 0,
            health: Health::Fresh,
            last_tick: None,
            jitter: Jitter::default(),
            slots: BTreeMap::new(),
            next_slot: None,
            next_request: 0,
            counts: FeedCounts::default(),
        }
    }

    /// What was dropped or seen so far.
    pub fn counts(&self) -> &FeedCounts {
        &self.counts
    }

    /// Number of the newest connection; 0 before the first.
    pub fn conn(&self) -> u32 {
        self.conn
    }

    /// How many markets are followed now; at most `max_open_markets`.
    pub fn open_markets(&self) -> usize {
        self.slots.len()
    }

    fn on_frame(&mut self, conn: u32, bytes: &[u8], out: &mut Vec<FeedOutput>) {
        if conn != self.conn || !matches!(self.link, Link::Open { .. }) {
            self.counts.stray += 1;
            return;
        }
        match rtds::decode(bytes, &self.config.symbol, self.config.max_frame_bytes as usize) {
            Ok(RtdsFrame::Update(tick)) => self.on_tick(tick, out),
            Ok(RtdsFrame::History(ticks)) => {
                for tick in ticks {
                    self.on_tick(tick, out);
                }
            }
            Ok(RtdsFrame::Pong) => self.counts.pongs += 1,
            Ok(RtdsFrame::Foreign) => self.counts.foreign += 1,
            Err(error) => self.quarantine(&error, out),
        }
    }

    fn on_tick(&mut self, tick: RtdsTick, out: &mut Vec<FeedOutput>) {
        let ahead = tick.feed_at.since(self.now);
        if ahead > self.config.max_ahead_ns {
            let (feed_ms, ahead_ms) = (tick.feed_at.millis(), ahead / schemas::time::NANOS_PER_MILLI);
            self.quarantine(&IngestError::FromFuture { feed_ms, ahead_ms }, out);
            return;
        }
        if let Some(last) = self.last_tick {
            if tick.feed_at <= last {
                self.counts.duplicates += 1;
                return;
            }
            if tick.feed_at.since(last) > self.config.gap_ns {
                let second = schemas::time::NANOS_PER_SEC;
                let (from, to) = (last.plus(second), tick.feed_at.plus(-second));
                out.push(state(FeedState::Gap { from, to }));
            }
        }
        self.last_tick = Some(tick.feed_at);
        self.counts.ticks += 1;
        self.data_arrived(out);
        out.push(FeedOutput::Market(MarketEvent::Tick(IndexTick {
            symbol: self.config.symbol.clone(),
            feed_at: tick.feed_at,
            value: tick.value,
            server_at: tick.server_at,
        })));
    }

    fn quarantine(&mut self, error: &IngestError, out: &mut Vec<FeedOutput>) {
        self.counts.quarantined += 1;
        out.push(state(FeedState::Quarantined { code: error.code().to_owned(), detail: error.to_string() }));
    }
}

/// A change of the feed's own state as an output.
fn state(state: FeedState) -> FeedOutput {
    FeedOutput::Market(MarketEvent::Feed(state))
}

impl Machine for Feed {
    type Input = Raw;
    type Output = FeedOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<FeedOutput>) {
        let at = match &record.body {
            Raw::TimeAdvanced { to } => record.at.max(*to),
            _ => record.at,
        };
        self.now = self.now.max(at);
        match &record.body {
            Raw::Connected { conn } => self.on_connected(*conn, out),
            Raw::Frame { conn, bytes } => self.on_frame(*conn, bytes, out),
            Raw::Closed { conn, reason } => self.on_closed(*conn, reason, out),
            Raw::Rest(RestReply { request, status, bytes }) => self.on_reply(*request, *status, bytes, out),
            Raw::TimeAdvanced { .. } => {}
        }
        self.run_link(out);
        self.run_slots(out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.slots_wake_at().into_iter().chain([self.link_wake_at()]).min()
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
