//! Settlement rules by version: which one holds follows from the market's family and its end; a version never changes
//! its meaning, a new rule is a new version.
//!
//! Source: ../shared/docs/venues.md sections 0.4, 1.2 and 1.3; the change of 2026-08-07 as the venue announced it.

use minicbor::{Decode, Encode};
use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

/// Since this end (2026-08-07 00:00 UTC) Polymarket's Up/Down markets settle on a time-weighted average.
pub const TWAP_SINCE: Timestamp = Timestamp::from_secs(1_786_060_800);

/// What decides a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum SettlementBasis {
    /// The last Chainlink value at or before the close; provable iff a value carries exactly the closing second.
    #[n(0)]
    ChainlinkLast,
    /// The mean of Chainlink's values with times in (close - window, close].
    ///
    /// Evidence is the venue's own average over that window, where it streams one. Our own mean proves it too, iff every
    /// whole second of the window (close - window + 1 s, ..., close) has a value; it is rounded down at 1e-18.
    #[n(1)]
    ChainlinkTwap {
        /// Length of the window, seconds.
        #[n(0)]
        window_s: u32,
    },
    /// The mean of a CF Benchmarks index over (close - window, close].
    ///
    /// Evidence is the average that the venue marks as settling, told at or after the close. Our own mean proves it too,
    /// iff every whole second of the window has a value; it is rounded half up at 1e-8, the venue's own precision.
    #[n(2)]
    KalshiAverage {
        /// Length of the window, seconds.
        #[n(0)]
        window_s: u32,
    },
    /// What the venue says: Kalshi's result and settlement value, UMA's payouts.
    #[n(3)]
    VenueReported,
}

impl SettlementBasis {
    /// Whether the outcome is computed from index values.
    pub const fn is_computed(self) -> bool {
        !matches!(self, Self::VenueReported)
    }
}

/// The stable name of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum RuleId {
    /// Polymarket's 5-minute Up/Down markets.
    #[n(0)]
    PolymarketUpDown5m,
    /// Polymarket's 15-minute Up/Down markets.
    #[n(1)]
    PolymarketUpDown15m,
    /// Kalshi's 15-minute crypto markets.
    #[n(2)]
    KalshiCrypto15m,
    /// Markets that are settled by the venue's word.
    #[n(3)]
    VenueReported,
}

impl RuleId {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::PolymarketUpDown5m => "polymarket-updown-5m",
            Self::PolymarketUpDown15m => "polymarket-updown-15m",
            Self::KalshiCrypto15m => "kalshi-crypto-15m",
            Self::VenueReported => "venue-reported",
        }
    }
}

/// A rule by name and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RuleRef {
    /// The rule.
    #[n(0)]
    pub id: RuleId,
    /// Its version, from 1.
    #[n(1)]
    pub version: u16,
}

/// One version of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementRule {
    /// Its name.
    pub id: RuleId,
    /// Its version, from 1.
    pub version: u16,
    /// What decides.
    pub basis: SettlementBasis,
    /// Holds for markets that end at or after this instant,
    pub valid_from: Timestamp,
    /// and before this one.
    pub valid_to: Timestamp,
}

impl SettlementRule {
    /// Name and version.
    pub const fn reference(&self) -> RuleRef {
        RuleRef { id: self.id, version: self.version }
    }
}

const fn rule(
    id: RuleId,
    version: u16,
    basis: SettlementBasis,
    valid_from: Timestamp,
    valid_to: Timestamp,
) -> SettlementRule {
    SettlementRule { id, version, basis, valid_from, valid_to }
}

/// Every version of every rule. Append; never edit a line.
pub const RULES: [SettlementRule; 6] = [
    rule(RuleId::PolymarketUpDown5m, 1, SettlementBasis::ChainlinkLast, Timestamp::ZERO, TWAP_SINCE),
    rule(RuleId::PolymarketUpDown15m, 1, SettlementBasis::ChainlinkLast, Timestamp::ZERO, TWAP_SINCE),
    rule(
        RuleId::PolymarketUpDown5m,
        2,
        SettlementBasis::ChainlinkTwap { window_s: 30 },
        TWAP_SINCE,
        Timestamp::MAX,
    ),
    rule(
        RuleId::PolymarketUpDown15m,
        2,
        SettlementBasis::ChainlinkTwap { window_s: 60 },
        TWAP_SINCE,
        Timestamp::MAX,
    ),
    rule(
        RuleId::KalshiCrypto15m,
        1,
        SettlementBasis::KalshiAverage { window_s: 60 },
        Timestamp::ZERO,
        Timestamp::MAX,
    ),
    rule(RuleId::VenueReported, 1, SettlementBasis::VenueReported, Timestamp::ZERO, Timestamp::MAX),
];

/// What kind of market it is, as far as its settlement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Family {
    /// Polymarket Up/Down of this length in seconds.
    #[n(0)]
    UpDown {
        /// Length, seconds.
        #[n(0)]
        interval_s: u32,
    },
    /// Kalshi 15-minute crypto.
    #[n(1)]
    KalshiCrypto15m,
    /// Everything that is settled by the venue's word.
    #[n(2)]
    Reported,
}

/// The rule for a market of this family and end; `None` where no version is known, which proves nothing.
pub fn rule_for(family: Family, closes_at: Timestamp) -> Option<&'static SettlementRule> {
    let id = match family {
        Family::UpDown { interval_s: 300 } => RuleId::PolymarketUpDown5m,
        Family::UpDown { interval_s: 900 } => RuleId::PolymarketUpDown15m,
        Family::UpDown { .. } => return None,
        Family::KalshiCrypto15m => RuleId::KalshiCrypto15m,
        Family::Reported => RuleId::VenueReported,
    };
    RULES.iter().find(|rule| rule.id == id && rule.valid_from <= closes_at && closes_at < rule.valid_to)
}

/// Whether Polymarket's Up/Down markets of this end settle on one instantaneous value: the only rule that the network's
/// reports can state.
pub fn is_instantaneous(closes_at: Timestamp) -> bool {
    rule_for(Family::UpDown { interval_s: 300 }, closes_at)
        .is_some_and(|rule| rule.basis == SettlementBasis::ChainlinkLast)
}

/// The whole seconds of the window (close - `window_s`, close], oldest first.
pub fn window_seconds(closes_at: Timestamp, window_s: u32) -> impl Iterator<Item = Timestamp> {
    (0..i64::from(window_s)).rev().map(move |back| closes_at.plus(-back * NANOS_PER_SEC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_rule_neither_overlap_nor_leave_holes() {
        for rule in &RULES {
            assert!(rule.valid_from < rule.valid_to);
            let next: Vec<_> =
                RULES.iter().filter(|r| r.id == rule.id && r.version == rule.version + 1).collect();
            match next[..] {
                [] => assert_eq!(rule.valid_to, Timestamp::MAX),
                [next] => assert_eq!(rule.valid_to, next.valid_from),
                _ => panic!("a version exists once"),
            }
        }
    }

    #[test]
    fn a_window_ends_with_the_close() {
        let seconds: Vec<i64> = window_seconds(Timestamp::from_secs(100), 3).map(Timestamp::secs).collect();
        assert_eq!(seconds, [98, 99, 100]);
    }
}
