//! The feed's settings as plain data; nothing here reads a file or the environment.

use minicbor::{Decode, Encode};
use schemas::time::{NANOS_PER_MILLI, NANOS_PER_SEC};

/// Settings of one [`crate::Feed`]. All lengths of time are nanoseconds of record time; all bounds are hard.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FeedConfig {
    /// The index pair, e.g. `btc/usd`.
    #[n(0)]
    pub symbol: String,
    /// Slugs are `<slug_prefix>-<start in seconds>`.
    #[n(1)]
    pub slug_prefix: String,
    /// Length of a market, seconds; starts are multiples of it. 0 counts as 1.
    #[n(2)]
    pub interval_s: u32,
    /// Seed of the reconnect jitter.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub seed: [u8; 32],
    /// Time between pings.
    #[n(4)]
    pub ping_ns: i64,
    /// Longest time without a new index value before the connection is given up.
    #[n(5)]
    pub idle_timeout_ns: i64,
    /// Longest time for a connection to open.
    #[n(6)]
    pub connect_timeout_ns: i64,
    /// First reconnect delay is drawn from 0 to here; doubles with every failure.
    #[n(7)]
    pub backoff_base_ns: i64,
    /// Longest reconnect delay.
    #[n(8)]
    pub backoff_cap_ns: i64,
    /// A jump of the index's own time by more than this is reported as a gap.
    #[n(9)]
    pub gap_ns: i64,
    /// An index value further ahead of the record's time than this is quarantined.
    #[n(10)]
    pub max_ahead_ns: i64,
    /// How long before its start a market is first asked for.
    #[n(11)]
    pub lead_ns: i64,
    /// At start-up, a market that ended at most this long ago is still fetched.
    #[n(12)]
    pub lookback_ns: i64,
    /// Time between polls of an open market.
    #[n(13)]
    pub poll_ns: i64,
    /// Time between polls from the start of a market until its strike is known,
    #[n(14)]
    pub strike_poll_ns: i64,
    /// at most this often; then `poll_ns` holds.
    #[n(15)]
    pub strike_polls: u32,
    /// Time between polls of a closed market until it is resolved.
    #[n(16)]
    pub resolve_poll_ns: i64,
    /// How long after its end a market is polled before it is given up.
    #[n(17)]
    pub give_up_ns: i64,
    /// An unchanged two-sided quote is repeated when the last one is this old, so that its age means something.
    #[n(18)]
    pub quote_repeat_ns: i64,
    /// A request without an answer counts as failed after this.
    #[n(19)]
    pub request_timeout_ns: i64,
    /// How many markets are followed at a time; the oldest is given up first.
    #[n(20)]
    pub max_open_markets: u32,
    /// Largest WebSocket frame that is decoded, bytes.
    #[n(21)]
    pub max_frame_bytes: u32,
    /// Largest REST body that is decoded, bytes.
    #[n(22)]
    pub max_body_bytes: u32,
}

impl Default for FeedConfig {
    /// Polymarket's five-minute Bitcoin markets.
    fn default() -> Self {
        Self {
            symbol: "btc/usd".to_owned(),
            slug_prefix: "btc-updown-5m".to_owned(),
            interval_s: 300,
            seed: [0; 32],
            ping_ns: 5 * NANOS_PER_SEC,
            idle_timeout_ns: 20 * NANOS_PER_SEC,
            connect_timeout_ns: 15 * NANOS_PER_SEC,
            backoff_base_ns: 500 * NANOS_PER_MILLI,
            backoff_cap_ns: 30 * NANOS_PER_SEC,
            gap_ns: 5 * NANOS_PER_SEC,
            max_ahead_ns: 120 * NANOS_PER_SEC,
            lead_ns: 60 * NANOS_PER_SEC,
            lookback_ns: 5 * NANOS_PER_SEC,
            poll_ns: 30 * NANOS_PER_SEC,
            strike_poll_ns: 5 * NANOS_PER_SEC,
            strike_polls: 12,
            resolve_poll_ns: 10 * NANOS_PER_SEC,
            give_up_ns: 1_800 * NANOS_PER_SEC,
            quote_repeat_ns: 30 * NANOS_PER_SEC,
            request_timeout_ns: 30 * NANOS_PER_SEC,
            max_open_markets: 16,
            max_frame_bytes: 1 << 20,
            max_body_bytes: 1 << 20,
        }
    }
}

impl FeedConfig {
    /// Length of a market, ns; never 0.
    pub fn interval_ns(&self) -> i64 {
        i64::from(self.interval_s.max(1)) * NANOS_PER_SEC
    }
}
