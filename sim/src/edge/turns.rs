//! The turns of a player that lets so many messages happen each second of wall time; it decides no message.
#![allow(clippy::disallowed_methods, reason = "edge: reads the clock")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Interval, MissedTickBehavior};

/// Time between two turns.
const TURN: Duration = Duration::from_millis(2);

/// The machine's clock, microseconds since 1970.
pub(super) fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Looks every millisecond whether something is so, for so long; `false` if it never was.
pub(super) async fn until(patience: Duration, ready: impl Fn() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + patience;
    while !ready() {
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}

/// A player's turns.
pub(super) struct Turns {
    beat: Interval,
    last_us: i64,
    /// Millionths of a message.
    owed: u64,
}

impl Turns {
    /// Turns from now on.
    pub(super) fn new() -> Self {
        let mut beat = tokio::time::interval(TURN);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { beat, last_us: wall_us(), owed: 0 }
    }

    /// Waits for the next turn: how many messages it has at this many a second, and when it is. At most a second is
    /// made up for.
    pub(super) async fn next(&mut self, rate: &AtomicU64) -> (u64, i64) {
        self.beat.tick().await;
        let (now_us, rate) = (wall_us(), rate.load(Ordering::SeqCst));
        let passed = (now_us - self.last_us).clamp(0, 1_000_000) as u64;
        self.owed = if rate == 0 { 0 } else { self.owed + rate * passed };
        self.last_us = now_us;
        let count = self.owed / 1_000_000;
        self.owed %= 1_000_000;
        (count, now_us)
    }
}
