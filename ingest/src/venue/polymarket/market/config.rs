//! Settings of the market channel's machine; nothing here is read from an environment.

use schemas::time::{NANOS_PER_MILLI, NANOS_PER_SEC};

use crate::deed::SOCKET_MAIN;
use crate::link::LinkConfig;

/// Most tokens a connection carries: above 500 the venue sends no snapshots (undocumented), so far below.
pub(super) const MAX_SHARD: usize = 200;

/// Settings of [`super::Polymarket`]; lengths of time in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolymarketConfig {
    /// Token ids subscribed to from the start.
    pub assets: Vec<String>,
    /// Ask for best_bid_ask, new_market and market_resolved.
    pub custom_feature_enabled: bool,
    /// Tokens per connection; never more than 200.
    pub shard: usize,
    /// Settings of each connection; its `zombie_ns` ends one that answers pings and brings no data.
    pub link: LinkConfig,
    /// Without data for this long the books of a connection are stale; 0 = not watched.
    pub stale_ns: i64,
    /// A book that has not come this long after its first subscription is asked for again.
    pub first_book_ns: i64,
    /// A book that was asked for and has not come is asked for again after this; doubles up to 32 times. If nothing at
    /// all has come over its connection meanwhile, that is given up instead.
    pub resync_ns: i64,
    /// Least time between two requests for the same book.
    pub resync_spacing_ns: i64,
    /// How long the book that follows a tick change is awaited before it is asked for.
    pub tick_wait_ns: i64,
    /// Time between two REST audits; 0 = none.
    pub audit_period_ns: i64,
    /// Books per audit.
    pub audit_batch: usize,
    /// How long a REST book may be ahead of ours before ours is wrong.
    pub audit_grace_ns: i64,
    /// Longest wait for a REST answer.
    pub request_timeout_ns: i64,
    /// Whether a snapshot whose hash does not fit is refused; else it is only counted.
    pub verify_hash: bool,
    /// Reads a recording: follows every token it shows, asks for nothing, and depends on no clock.
    pub capture: bool,
    /// Longest frame that is read, bytes.
    pub max_frame_bytes: usize,
    /// How many executions are remembered to know a repeat.
    pub trade_window: usize,
}

impl Default for PolymarketConfig {
    fn default() -> Self {
        let link = LinkConfig {
            socket: SOCKET_MAIN,
            ping: Some(("PING".to_owned(), 10 * NANOS_PER_SEC)),
            zombie_ns: 120 * NANOS_PER_SEC,
            ..LinkConfig::default()
        };
        Self {
            assets: Vec::new(),
            custom_feature_enabled: true,
            shard: MAX_SHARD,
            link,
            stale_ns: 60 * NANOS_PER_SEC,
            first_book_ns: 5 * NANOS_PER_SEC,
            resync_ns: NANOS_PER_SEC,
            resync_spacing_ns: 200 * NANOS_PER_MILLI,
            tick_wait_ns: NANOS_PER_SEC,
            audit_period_ns: 10 * NANOS_PER_SEC,
            audit_batch: 50,
            audit_grace_ns: 2 * NANOS_PER_SEC,
            request_timeout_ns: 10 * NANOS_PER_SEC,
            verify_hash: false,
            capture: false,
            max_frame_bytes: 8 << 20,
            trade_window: 4_096,
        }
    }
}

impl PolymarketConfig {
    /// For these tokens, live.
    pub fn new(assets: impl IntoIterator<Item = String>) -> Self {
        Self { assets: assets.into_iter().collect(), ..Self::default() }
    }

    /// For recordings: every token they show, no clock.
    pub fn capture() -> Self {
        let never = LinkConfig {
            socket: SOCKET_MAIN,
            idle_ns: i64::MAX,
            connect_timeout_ns: i64::MAX,
            // Where a recording shows a lost connection the next one opens at once.
            backoff_base_ns: 0,
            backoff_cap_ns: 0,
            ..LinkConfig::default()
        };
        Self { link: never, stale_ns: 0, audit_period_ns: 0, capture: true, ..Self::default() }
    }

    /// Tokens per connection.
    pub(super) fn shard_size(&self) -> usize {
        self.shard.clamp(1, MAX_SHARD)
    }
}
