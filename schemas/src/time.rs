//! Points in time as integers; this module never reads a clock.

use minicbor::{Decode, Encode};

/// Nanoseconds in a second.
pub const NANOS_PER_SEC: i64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const NANOS_PER_MILLI: i64 = 1_000_000;

/// Nanoseconds since the Unix epoch, UTC, without leap seconds. Stamped once, at an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Timestamp(#[n(0)] pub i64);

impl Timestamp {
    /// The start of the Unix epoch.
    pub const ZERO: Self = Self(0);
    /// Later than anything that is ever stamped.
    pub const MAX: Self = Self(i64::MAX);

    /// From whole seconds since the Unix epoch; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC))
    }

    /// From milliseconds since the Unix epoch; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SEC)
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(NANOS_PER_MILLI)
    }

    /// This instant moved by `nanos` (may be negative); saturates.
    #[must_use]
    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this instant; saturates.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_down_before_the_epoch_too() {
        assert_eq!(Timestamp(-1).secs(), -1);
        assert_eq!(Timestamp(-1).millis(), -1);
        assert_eq!(Timestamp::from_secs(7).plus(1).secs(), 7);
        assert_eq!(Timestamp::from_secs(i64::MAX), Timestamp::MAX);
    }
}
