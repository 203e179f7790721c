//! What a twin does wrong on purpose, as plain data; never random: a test names the tick or the request.

use std::collections::{BTreeMap, BTreeSet};

use schemas::Timestamp;

/// How one REST request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestFault {
    /// This status with a small JSON body, e.g. 500 or 429.
    Status(u16),
    /// No answer until the client gives up (or the twin stops, or a minute of wall time has passed).
    Hang,
    /// Status 200 with a body that is no JSON.
    Garbage,
}

/// A period in which connections opened before it answer PING but deliver no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zombie {
    /// Start, virtual time.
    pub from: Timestamp,
    /// End (exclusive), virtual time.
    pub until: Timestamp,
}

/// The faults of a twin; the default has none. Ticks are counted from 0 as the day holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// At these ticks every connection is cut instead; the tick is only in the history of who comes back.
    pub drop_at: BTreeSet<usize>,
    /// These ticks are sent twice.
    pub duplicate: BTreeSet<usize>,
    /// Just before these ticks a frame that is no JSON is sent.
    pub malformed_before: BTreeSet<usize>,
    /// Periods without data on open connections.
    pub zombies: Vec<Zombie>,
    /// REST requests that go wrong, by their number from 0 in order of arrival.
    pub rest: BTreeMap<u64, RestFault>,
}

impl Faults {
    /// Whether a connection opened at `opened` is a zombie at `now`.
    pub fn zombie(&self, opened: Timestamp, now: Timestamp) -> bool {
        self.zombies.iter().any(|z| opened < z.from && (z.from..z.until).contains(&now))
    }
}
