//! Polymarket: the market channel, the RTDS index streams and the REST objects; this module never sends an order.

pub mod gamma;
pub mod history;
mod index;
pub mod market;
pub mod market_wire;
pub mod rest;
pub mod rtds;
pub mod rtds1_tape;
pub mod rtds2;

use schemas::Timestamp;

pub use history::History;
pub use market::{Polymarket, PolymarketConfig};
pub use rtds1_tape::{RtdsV1, RtdsV1Config};
pub use rtds2::{RtdsV2, RtdsV2Config};

/// Seconds since the Unix epoch of `2026-06-08T00:05:00Z`; a fraction of a second is allowed and dropped.
///
/// `None` for whatever [`crate::rfc3339::parse`] does not read, and for every zone but `Z`.
pub fn rfc3339_secs(text: &str) -> Option<i64> {
    crate::rfc3339::parse(text.as_bytes()).filter(|_| text.ends_with('Z')).map(Timestamp::secs)
}
