//! What the twin said and counted, for a test to compare with; never forgets a trade.

use crate::venues::polymarket::Trade;

/// A trade or a lifecycle message that the twin produced, whether or not a fault kept it from a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEntry {
    /// A `last_trade_price`.
    Trade {
        /// Its number among the data messages.
        number: u64,
        /// What was traded.
        trade: Trade,
    },
    /// A `tick_size_change` of both tokens.
    TickSize {
        /// The market's number.
        market: usize,
        /// Old grid, 1e-6.
        old: i64,
        /// New grid, 1e-6.
        new: i64,
        /// Venue time, Unix milliseconds.
        at_ms: i64,
    },
    /// A `new_market`.
    Listed {
        /// The market's number.
        market: usize,
        /// Venue time, Unix milliseconds.
        at_ms: i64,
    },
    /// A `market_resolved`.
    Resolved {
        /// The market's number.
        market: usize,
        /// What YES pays, 1e-6.
        yes: i64,
        /// Venue time, Unix milliseconds.
        at_ms: i64,
    },
}

/// What a Polymarket twin counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolymarketStats {
    /// Numbered data messages produced.
    pub messages: u64,
    /// Numbered data messages handed to connections, duplicates not counted.
    pub deliveries: u64,
    /// Books sent on subscribe or after a grid change.
    pub books: u64,
    /// `price_change` frames said again after a subscribe.
    pub replayed: u64,
    /// Messages written with a flaw.
    pub corrupted: u64,
    /// Connections cut on purpose.
    pub cuts: u64,
    /// Connections ended because their queue was full.
    pub overflows: u64,
    /// Connections opened.
    pub connections: u64,
    /// REST requests received.
    pub requests: u64,
    /// Ticks of the real-time data sockets.
    pub ticks: u64,
}
