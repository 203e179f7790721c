//! The process's clock: the wall, or a simulated day that only moves when everything has settled.
#![allow(clippy::disallowed_methods, reason = "node is where clocks are read")]

use std::time::SystemTime;

use schemas::Timestamp;
use sim::Pace;

/// Where time comes from.
#[derive(Clone)]
pub enum Clock {
    /// The machine's own clock.
    Wall,
    /// A simulated day's clock, stepped by its twin.
    Stepped(Pace),
}

/// The wall clock, UTC.
pub fn wall_now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

impl Clock {
    /// Now.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Wall => wall_now(),
            Self::Stepped(pace) => pace.now(),
        }
    }

    /// Whether somebody else moves time.
    pub fn is_stepped(&self) -> bool {
        matches!(self, Self::Stepped(_))
    }

    /// Something is in flight that time must wait for.
    pub fn enter(&self) {
        if let Self::Stepped(pace) = self {
            pace.enter();
        }
    }

    /// `count` things in flight have settled.
    pub fn leave(&self, count: u32) {
        if let Self::Stepped(pace) = self {
            (0..count).for_each(|_| pace.leave());
        }
    }

    /// How many things are in flight.
    pub fn in_flight(&self) -> u64 {
        match self {
            Self::Wall => 0,
            Self::Stepped(pace) => pace.busy(),
        }
    }

    /// Simulated time reached a wake at `at`.
    pub fn reach(&self, at: Timestamp) {
        if let Self::Stepped(pace) = self {
            pace.reach(at);
        }
    }
}

/// A monotonic instant, for how long things took on the wall.
pub fn instant() -> std::time::Instant {
    std::time::Instant::now()
}
