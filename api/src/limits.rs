//! The bounds of everything a stranger can fill; nothing here enforces them.

use crate::bucket::Rate;

/// The bounds of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Requests per address (IPv6: per /64).
    pub per_address: Rate,
    /// Requests per key.
    pub per_key: Rate,
    /// Addresses and keys whose rate is remembered, each.
    pub tracked: usize,
    /// Largest request body, bytes.
    pub body_bytes: usize,
    /// The longest a body may take to arrive, milliseconds.
    pub body_timeout_ms: u64,
    /// Deepest JSON.
    pub json_depth: u32,
    /// Signals per page when the caller says nothing.
    pub page_default: u32,
    /// Most signals per page.
    pub page_max: u32,
    /// Signals and outcomes on the dashboard, each.
    pub dashboard_rows: usize,
    /// The longest a submission may take, milliseconds.
    pub desk_timeout_ms: u64,
    /// WebSocket connections.
    pub socket: SocketBounds,
}

/// The bounds of WebSocket connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketBounds {
    /// Connections at once.
    pub connections: usize,
    /// Connections of one key at once.
    pub connections_per_key: usize,
    /// Largest message in, bytes.
    pub message_bytes: usize,
    /// Topics of one connection.
    pub topics: usize,
    /// Commands of one connection.
    pub commands: Rate,
    /// Messages that may wait for a slow reader.
    pub queue: usize,
    /// A reader that takes nothing for this long while its queue is full is closed, milliseconds.
    pub stall_ms: u64,
    /// A ping is sent this often, milliseconds.
    pub ping_ms: u64,
    /// A connection that says nothing, not even pong, for this long is closed, milliseconds.
    pub idle_ms: u64,
    /// The longest a close may take, milliseconds.
    pub close_ms: u64,
    /// How long connections get to leave when the service closes, milliseconds.
    pub drain_ms: u64,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            per_address: Rate { burst: 400, per_second: 200 },
            per_key: Rate { burst: 200, per_second: 100 },
            tracked: 65_536,
            body_bytes: 16 * 1024,
            body_timeout_ms: 10_000,
            json_depth: 8,
            page_default: 100,
            page_max: 1000,
            dashboard_rows: 24,
            desk_timeout_ms: 10_000,
            socket: SocketBounds::default(),
        }
    }
}

impl Default for SocketBounds {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_key: 64,
            message_bytes: 64 * 1024,
            topics: 256,
            commands: Rate { burst: 40, per_second: 20 },
            queue: 256,
            stall_ms: 5_000,
            ping_ms: 20_000,
            idle_ms: 60_000,
            close_ms: 1_000,
            drain_ms: 5_000,
        }
    }
}
