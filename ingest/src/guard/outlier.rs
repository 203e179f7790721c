//! One price from several sources: says which one stands apart and whether it only lost or gained zeros; it never picks
//! or mends a value.
//!
//! The rule, in integers: of the newest value of every source that is not older than `max_age_ns`, the one judged
//! included, take the median (of an even number the mean of the middle two, rounded down). A value is apart if it
//! differs from it by more than `tolerance_ppm` millionths of it. A value that is apart is a decimal shift by `power` if
//! `value * 10^power` is not apart; the smallest shift counts. With fewer than three fresh sources there is no verdict:
//! of two that disagree nobody knows which is wrong. Of four in two camps both camps are apart.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::time::NANOS_PER_SEC;
use schemas::{Digest, IndexPrice, Snapshot as _, Timestamp};

/// Fewest fresh sources that a verdict needs.
const MIN_SOURCES: usize = 3;
/// Largest shift that is recognised, in powers of ten.
const MAX_POWER: i8 = 12;

/// Settings of an [`OutlierGuard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OutlierConfig {
    /// A source is fresh this long after its value, ns.
    #[n(0)]
    pub max_age_ns: i64,
    /// Largest distance from the median that is normal, in millionths of the median.
    #[n(1)]
    pub tolerance_ppm: u32,
    /// How many sources are kept; values of others get no verdict.
    #[n(2)]
    pub max_sources: u32,
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self { max_age_ns: 10 * NANOS_PER_SEC, tolerance_ppm: 5_000, max_sources: 32 }
    }
}

/// What is said of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum OutlierVerdict {
    /// Too few fresh sources to say anything.
    #[n(0)]
    NoVerdict {
        /// How many there are.
        #[n(0)]
        fresh: u32,
    },
    /// Near the median.
    #[n(1)]
    Agrees {
        /// The median.
        #[n(0)]
        median: IndexPrice,
    },
    /// Apart, and no shift of the decimal point explains it.
    #[n(2)]
    Outlier {
        /// The median.
        #[n(0)]
        median: IndexPrice,
    },
    /// The value times 10^`power` is near the median.
    #[n(3)]
    DecimalShift {
        /// The median.
        #[n(0)]
        median: IndexPrice,
        /// How many places the point is off; positive if the value is too small.
        #[n(1)]
        power: i8,
    },
}

impl OutlierVerdict {
    /// Whether the value is flagged.
    pub const fn is_flag(&self) -> bool {
        matches!(self, Self::Outlier { .. } | Self::DecimalShift { .. })
    }
}

/// The newest value of every source of one price.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OutlierGuard {
    #[n(0)]
    config: OutlierConfig,
    #[n(1)]
    newest: BTreeMap<u32, (Timestamp, IndexPrice)>,
    #[n(2)]
    flags: u64,
}

impl OutlierGuard {
    /// A guard that has seen nothing.
    pub fn new(config: OutlierConfig) -> Self {
        Self { config, newest: BTreeMap::new(), flags: 0 }
    }

    /// How many values were flagged.
    pub fn flags(&self) -> u64 {
        self.flags
    }

    /// Takes a source's value at its receive time and judges it. A value older than the source's newest is judged
    /// against the others and not kept.
    pub fn note(&mut self, source: u32, value: IndexPrice, at: Timestamp) -> OutlierVerdict {
        let room = self.newest.len() < self.config.max_sources as usize || self.newest.contains_key(&source);
        if room && self.newest.get(&source).is_none_or(|(held, _)| *held <= at) {
            self.newest.insert(source, (at, value));
        }
        let verdict = self.judge(source, value, at);
        self.flags += u64::from(verdict.is_flag());
        verdict
    }

    /// What is said of a source's value at an instant; changes nothing.
    pub fn judge(&self, source: u32, value: IndexPrice, at: Timestamp) -> OutlierVerdict {
        let oldest = at.plus(-self.config.max_age_ns);
        let fresh = |(no, (told, held)): (&u32, &(Timestamp, IndexPrice))| {
            (*no != source && *told >= oldest).then_some(held.0)
        };
        let mut values: Vec<i128> = self.newest.iter().filter_map(fresh).collect();
        values.push(value.0);
        if values.len() < MIN_SOURCES {
            return OutlierVerdict::NoVerdict { fresh: values.len() as u32 };
        }
        values.sort_unstable();
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        // The mean of the two without an overflow: floor(low/2) + floor(high/2) + the carry of both halves.
        let middle = (low >> 1) + (high >> 1) + (low & high & 1);
        let median = IndexPrice(middle);
        if self.near(value.0, middle) {
            return OutlierVerdict::Agrees { median };
        }
        match self.shift(value.0, middle) {
            Some(power) => OutlierVerdict::DecimalShift { median, power },
            None => OutlierVerdict::Outlier { median },
        }
    }

    fn near(&self, value: i128, median: i128) -> bool {
        let distance = value.abs_diff(median);
        let allowed = u128::from(self.config.tolerance_ppm);
        // Saturation can only make both sides of an absurd comparison equal; real values stay far below.
        distance.saturating_mul(1_000_000) <= median.unsigned_abs().saturating_mul(allowed)
    }

    fn shift(&self, value: i128, median: i128) -> Option<i8> {
        if value == 0 || median == 0 {
            return None;
        }
        let shifted = |power: i8| {
            let factor = 10_i128.pow(u32::from(power.unsigned_abs()));
            if power > 0 { value.checked_mul(factor) } else { Some(value / factor) }
        };
        (1..=MAX_POWER)
            .flat_map(|power| [power, -power])
            .find(|power| shifted(*power).is_some_and(|value| self.near(value, median)))
    }

    /// Equal values in equal order, equal digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
