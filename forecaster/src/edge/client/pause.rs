//! Pauses between attempts: exponential with full jitter; they never decide whether to try again.

use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;

/// The first bound.
const BASE_MS: u64 = 25;
/// The last bound.
const CAP_MS: u64 = 1_000;

/// Grows from attempt to attempt.
#[derive(Debug, Default)]
pub(super) struct Pause(u32);

impl Pause {
    /// How long to wait before the next attempt: anything up to a bound that doubles, so that many miners that lost the
    /// same node do not come back together.
    pub(super) fn next(&mut self) -> Duration {
        let bound = (BASE_MS << self.0.min(16)).min(CAP_MS);
        self.0 = self.0.saturating_add(1);
        // Without randomness everybody waits for the bound, which is slower and no less right.
        let drawn = SysRng.try_next_u64().map_or(bound, |n| n % (bound + 1));
        Duration::from_millis(drawn)
    }

    /// Something went well.
    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}
