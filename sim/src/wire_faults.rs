//! What a venue's twin does wrong on purpose on its data sockets, as plain data; never random: a test names the message.

use std::collections::BTreeSet;

/// The faults of a venue twin; the default has none.
///
/// Numbers count the data messages (book changes, trades) of a twin from 0, over all its connections in the order they
/// are produced; each connection that would get that message is hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireFaults {
    /// These are not sent, although the venue's counters go on.
    pub drop: BTreeSet<u64>,
    /// These are sent twice.
    pub duplicate: BTreeSet<u64>,
    /// These are sent after their successor.
    pub reorder: BTreeSet<u64>,
    /// Instead of these the connection is cut without a goodbye.
    pub cut: BTreeSet<u64>,
    /// Before these a frame that is no JSON is sent.
    pub garbage: BTreeSet<u64>,
    /// Before these the venue says that we read too slowly (Kalshi error 25; RTDS v2 `dropped`) and drops the message.
    pub overflow: BTreeSet<u64>,
    /// Before these the sequence goes back to 1 (Kalshi) or the update id jumps back (spot).
    pub rewind: BTreeSet<u64>,
    /// From these on the connection answers pings and carries no data, until it is opened anew.
    pub zombie: BTreeSet<u64>,
    /// These carry a checksum, hash or best price that does not fit.
    pub corrupt: BTreeSet<u64>,
    /// Before these the price grid changes.
    pub tick_change: BTreeSet<u64>,
}
