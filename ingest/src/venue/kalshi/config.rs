//! What a Kalshi machine follows and how patient it is; plain data, never read from the environment.

use schemas::time::NANOS_PER_SEC;

use crate::link::LinkConfig;

/// Settings of [`super::Kalshi`]; lengths of time in nanoseconds.
#[allow(clippy::struct_excessive_bools, reason = "independent switches of a configuration, one per channel")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KalshiConfig {
    /// Markets followed from the start.
    pub tickers: Vec<String>,
    /// Follow their books.
    pub book: bool,
    /// Follow their best prices.
    pub ticker: bool,
    /// Follow their trades.
    pub trade: bool,
    /// Best prices and trades of all markets, not only of `tickers`.
    pub all_markets: bool,
    /// Follow the lives of all markets.
    pub lifecycle: bool,
    /// Follow the lives of combinations too.
    pub multivariate: bool,
    /// Indices followed, e.g. `BRTI`; `all` = every one.
    pub index_ids: Vec<String>,
    /// Follow them five times a second instead of once.
    pub index_5hz: bool,
    /// Most markets of one subscription; halved where the venue refuses (error 26).
    pub max_markets: usize,
    /// The connection.
    pub link: LinkConfig,
    /// A recording is read: every ticker is taken, nothing is asked, nothing waits.
    pub capture: bool,
    /// How long a snapshot may take.
    pub resync_ns: i64,
    /// How often a snapshot is asked for before the subscription is opened anew.
    pub snapshot_tries: u32,
    /// How long an answer to a command may take.
    pub command_ns: i64,
    /// Whether there is a REST host: pauses are polled, vanished markets looked up.
    pub rest: bool,
    /// How often the exchange's status is asked for.
    pub status_every_ns: i64,
    /// Read tokens per second and at most (Basic: 200).
    pub read_tokens: u32,
}

impl Default for KalshiConfig {
    fn default() -> Self {
        Self {
            tickers: Vec::new(),
            book: true,
            ticker: false,
            trade: true,
            all_markets: false,
            lifecycle: true,
            multivariate: false,
            index_ids: Vec::new(),
            index_5hz: false,
            max_markets: 200,
            link: LinkConfig::default(),
            capture: false,
            resync_ns: NANOS_PER_SEC,
            snapshot_tries: 2,
            command_ns: 5 * NANOS_PER_SEC,
            rest: false,
            status_every_ns: 30 * NANOS_PER_SEC,
            read_tokens: 200,
        }
    }
}

impl KalshiConfig {
    /// For recordings: takes what it sees, asks for nothing.
    pub fn capture() -> Self {
        let link = LinkConfig { idle_ns: i64::MAX, connect_timeout_ns: i64::MAX, ..LinkConfig::default() };
        Self { capture: true, link, ..Self::default() }
    }

    /// The books of these markets and their trades, nothing else.
    pub fn books(tickers: &[&str]) -> Self {
        Self { tickers: tickers.iter().map(|&t| t.to_owned()).collect(), lifecycle: false, ..Self::default() }
    }
}
