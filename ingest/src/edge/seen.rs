//! One thing a socket brought, stamped where it was read; nothing here is ever stamped twice.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use schemas::{Raw, Timestamp};

/// A raw thing and the two clocks of the moment it was read off its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The wall clock, UTC; may step when the machine's clock is corrected.
    pub wall: Timestamp,
    /// Nanoseconds since this process first stamped anything; never goes back. For lengths of time within one run.
    pub mono_ns: u64,
    /// What was seen.
    pub raw: Raw,
}

/// The zero of [`Seen::mono_ns`].
static START: OnceLock<Instant> = OnceLock::new();

impl Seen {
    /// Stamps with the clocks of now.
    pub fn now(raw: Raw) -> Self {
        let (wall, mono_ns) = clocks();
        Self { wall, mono_ns, raw }
    }
}

/// Both clocks: UTC, and nanoseconds since this process first asked.
pub fn clocks() -> (Timestamp, u64) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let wall = Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    let mono = START.get_or_init(Instant::now).elapsed().as_nanos();
    (wall, u64::try_from(mono).unwrap_or(u64::MAX))
}
