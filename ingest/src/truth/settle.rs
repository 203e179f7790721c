//! Settlement as a pure function: a rule, a market's terms and index values in; an outcome with its evidence, or the
//! reason why nothing is proved, out. It never asks the venue who won.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::time::NANOS_PER_SEC;
use schemas::{IndexPrice, IndexRow, Ppm, Timestamp};

use super::evidence::{Evidence, EvidenceValue};
use super::rules::{RuleRef, SettlementBasis, SettlementRule, window_seconds};
use super::terms::{MarketTerms, Strike};

/// Kalshi's indices have 8 decimals: 1e-8 in units of 1e-18.
const EIGHT_DECIMALS: i128 = 10_000_000_000;
/// Kalshi's markets end on whole minutes.
const MINUTE: i64 = 60 * NANOS_PER_SEC;

/// Why an outcome cannot be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Unproved {
    /// No strike was told.
    #[n(0)]
    NoStrike,
    /// No value carries exactly the closing second.
    #[n(1)]
    NoClosingValue,
    /// Neither the venue's average nor every second of the window is known.
    #[n(2)]
    WindowIncomplete {
        /// Seconds without a value.
        #[n(0)]
        missing: u32,
    },
    /// No version of a rule is known for such a market and end.
    #[n(3)]
    NoRule,
    /// Different values were told for one second, and the outcome hangs on which is right.
    #[n(4)]
    ConflictingValues,
    /// The venue's average and our complete one mean different outcomes.
    #[n(5)]
    ConflictingEvidence,
    /// The venue made the market final and named no payout.
    #[n(6)]
    NoPayout,
    /// The computed rule has no index to read.
    #[n(7)]
    NoIndex,
}

impl Unproved {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoStrike => "no_strike",
            Self::NoClosingValue => "no_closing_value",
            Self::WindowIncomplete { .. } => "window_incomplete",
            Self::NoRule => "no_rule",
            Self::ConflictingValues => "conflicting_values",
            Self::ConflictingEvidence => "conflicting_evidence",
            Self::NoPayout => "no_payout",
            Self::NoIndex => "no_index",
        }
    }
}

/// How the second source compares with the one that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Check {
    /// The rule has one source only, or the venue's average did not come and ours decided.
    #[n(0)]
    None,
    /// Our mean equals the venue's average.
    #[n(1)]
    Agrees,
    /// Our mean differs, the outcome does not.
    #[n(2)]
    Differs {
        /// The venue's average.
        #[n(0)]
        theirs: IndexPrice,
        /// Our mean.
        #[n(1)]
        ours: IndexPrice,
    },
    /// The venue's average decided; ours lacks seconds.
    #[n(3)]
    Incomplete {
        /// Seconds without a value.
        #[n(0)]
        missing: u32,
    },
}

/// What was told for one instant: the first value, and the range of all that were told after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    /// What was told first; it is what counts.
    #[n(0)]
    pub first: IndexPrice,
    /// The smallest.
    #[n(1)]
    pub low: IndexPrice,
    /// The largest.
    #[n(2)]
    pub high: IndexPrice,
}

impl Seen {
    /// One value.
    pub const fn once(value: IndexPrice) -> Self {
        Self { first: value, low: value, high: value }
    }

    fn again(&mut self, value: IndexPrice) -> bool {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        value != self.first
    }

    fn means_one(self, strike: &Strike) -> bool {
        let yes = strike.holds(self.first);
        strike.holds(self.low) == yes && strike.holds(self.high) == yes
    }
}

/// The values of one index by their own time, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct IndexValues {
    /// Instantaneous values on whole seconds.
    #[n(0)]
    instants: BTreeMap<Timestamp, Seen>,
    /// Averages by the end of their window and its length.
    #[n(1)]
    averages: BTreeMap<(Timestamp, u32), Seen>,
    /// Averages that the venue marks as settling, by the minute they settle and their length.
    #[n(2)]
    settling: BTreeMap<(Timestamp, u32), Seen>,
}

impl IndexValues {
    /// Takes a value with the venue's time of it, keeping at most `limit` of each kind (the newest). Returns whether a
    /// value told before for the same instant was another one.
    ///
    /// Carried-forward values and instantaneous values off the whole second are not evidence and are left out. A
    /// settling average counts once it is told at or after the minute it settles; before, it is partial.
    pub fn note(&mut self, row: &IndexRow, venue_at: Timestamp, limit: usize) -> bool {
        if row.carried_forward {
            return false;
        }
        if row.window_s == 0 {
            return venue_at.0 % NANOS_PER_SEC == 0 && keep(&mut self.instants, venue_at, row.value, limit);
        }
        if row.settling {
            let minute = row.window_end.unwrap_or(venue_at).0.div_euclid(MINUTE) * MINUTE;
            let told = venue_at.0 >= minute && venue_at.0 - minute < NANOS_PER_SEC;
            return told && keep(&mut self.settling, (Timestamp(minute), row.window_s), row.value, limit);
        }
        let end = row.window_end.unwrap_or(venue_at);
        keep(&mut self.averages, (end, row.window_s), row.value, limit)
    }

    /// The value at an instant.
    pub fn at(&self, instant: Timestamp) -> Option<Seen> {
        self.instants.get(&instant).copied()
    }

    /// The venue's own average over the window of this length that ends here.
    fn venue_average(&self, basis: SettlementBasis, closes_at: Timestamp) -> Option<Seen> {
        let (average, settling) = match basis {
            SettlementBasis::ChainlinkTwap { window_s } => {
                (self.averages.get(&(closes_at, window_s)), window_s)
            }
            SettlementBasis::KalshiAverage { window_s } => (None, window_s),
            _ => return None,
        };
        average.or_else(|| self.settling.get(&(closes_at, settling))).copied()
    }

    /// The values of a window's whole seconds, and how many seconds have none.
    fn window(&self, closes_at: Timestamp, window_s: u32) -> (Vec<(Timestamp, Seen)>, u32) {
        let values: Vec<_> =
            window_seconds(closes_at, window_s).filter_map(|t| Some((t, self.at(t)?))).collect();
        let missing = window_s - values.len() as u32;
        (values, missing)
    }
}

fn keep<K: Ord>(map: &mut BTreeMap<K, Seen>, key: K, value: IndexPrice, limit: usize) -> bool {
    let changed = match map.entry(key) {
        std::collections::btree_map::Entry::Occupied(mut seen) => seen.get_mut().again(value),
        std::collections::btree_map::Entry::Vacant(place) => {
            place.insert(Seen::once(value));
            false
        }
    };
    while map.len() > limit.max(1) {
        map.pop_first();
    }
    changed
}

/// The mean of values as a rule rounds it: Kalshi's half up at 1e-8, Chainlink's down at 1e-18.
pub fn mean(values: impl ExactSizeIterator<Item = IndexPrice>, basis: SettlementBasis) -> Option<IndexPrice> {
    let count = i128::try_from(values.len()).ok().filter(|n| *n > 0)?;
    let sum = values.into_iter().try_fold(0_i128, |sum, value| sum.checked_add(value.0))?;
    Some(IndexPrice(match basis {
        SettlementBasis::KalshiAverage { .. } => {
            let unit = count * EIGHT_DECIMALS;
            (2 * sum + unit).div_euclid(2 * unit) * EIGHT_DECIMALS
        }
        _ => sum.div_euclid(count),
    }))
}

/// An outcome with what it follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What one yes contract pays.
    pub payout: Ppm,
    /// The value that decided.
    pub value: IndexPrice,
    /// What it follows from.
    pub evidence: Evidence,
    /// What the second source says.
    pub check: Check,
}

/// What a rule says about a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Proved.
    Proved(Box<Proof>),
    /// Not proved by what is known.
    Unproved(Unproved),
}

struct Case<'a> {
    rule: RuleRef,
    basis: SettlementBasis,
    terms: &'a MarketTerms,
    closes_at: Timestamp,
    strike: Strike,
}

impl Case<'_> {
    fn proved(&self, decider: Seen, values: Vec<EvidenceValue>, check: Check) -> Finding {
        if !decider.means_one(&self.strike) {
            return Finding::Unproved(Unproved::ConflictingValues);
        }
        let evidence = Evidence {
            rule: self.rule,
            market: self.terms.id.clone(),
            closes_at: Some(self.closes_at),
            strike: Some(self.strike),
            values,
            said: None,
        };
        let payout = self.strike.payout(decider.first);
        Finding::Proved(Box::new(Proof { payout, value: decider.first, evidence, check }))
    }

    fn last(&self, values: &IndexValues) -> Finding {
        let Some(closing) = values.at(self.closes_at) else {
            return Finding::Unproved(Unproved::NoClosingValue);
        };
        let value = EvidenceValue { at: self.closes_at, window_s: 0, value: closing.first };
        self.proved(closing, vec![value], Check::None)
    }

    /// Our mean over a complete window.
    fn own(&self, window: &[(Timestamp, Seen)]) -> Option<Seen> {
        let part = |pick: fn(&Seen) -> IndexPrice| mean(window.iter().map(|(_, s)| pick(s)), self.basis);
        Some(Seen { first: part(|s| s.first)?, low: part(|s| s.low)?, high: part(|s| s.high)? })
    }

    fn average(&self, window_s: u32, values: &IndexValues) -> Finding {
        let theirs = values.venue_average(self.basis, self.closes_at);
        let (window, missing) = values.window(self.closes_at, window_s);
        let ours = if missing == 0 { self.own(&window) } else { None };
        let instants =
            window.iter().map(|(at, seen)| EvidenceValue { at: *at, window_s: 0, value: seen.first });
        let primary = theirs.map(|seen| EvidenceValue { at: self.closes_at, window_s, value: seen.first });
        match (theirs, ours) {
            (None, None) => Finding::Unproved(Unproved::WindowIncomplete { missing }),
            (Some(theirs), None) => {
                self.proved(theirs, primary.into_iter().collect(), Check::Incomplete { missing })
            }
            (None, Some(ours)) => self.proved(ours, instants.collect(), Check::None),
            (Some(theirs), Some(ours)) => {
                if self.strike.holds(theirs.first) != self.strike.holds(ours.first) {
                    return Finding::Unproved(Unproved::ConflictingEvidence);
                }
                let check = if theirs.first == ours.first {
                    Check::Agrees
                } else {
                    Check::Differs { theirs: theirs.first, ours: ours.first }
                };
                self.proved(theirs, primary.into_iter().chain(instants).collect(), check)
            }
        }
    }
}

/// What a computed rule says about a market by these values. Only for rules with
/// [`SettlementBasis::is_computed`]; a market without an end is not judged ([`Unproved::NoRule`]).
pub fn judge(rule: &SettlementRule, terms: &MarketTerms, values: &IndexValues) -> Finding {
    let Some(closes_at) = terms.closes_at else { return Finding::Unproved(Unproved::NoRule) };
    let Some(strike) = terms.strike else { return Finding::Unproved(Unproved::NoStrike) };
    let case = Case { rule: rule.reference(), basis: rule.basis, terms, closes_at, strike };
    match rule.basis {
        SettlementBasis::ChainlinkLast => case.last(values),
        SettlementBasis::ChainlinkTwap { window_s } | SettlementBasis::KalshiAverage { window_s } => {
            case.average(window_s, values)
        }
        SettlementBasis::VenueReported => Finding::Unproved(Unproved::NoRule),
    }
}

impl Finding {
    /// Whether nothing that may still come can add to it: proved, and by every source the rule has.
    pub fn is_complete(&self, basis: SettlementBasis) -> bool {
        match self {
            Self::Proved(proof) => match basis {
                SettlementBasis::ChainlinkLast => true,
                _ => matches!(proof.check, Check::Agrees | Check::Differs { .. }),
            },
            Self::Unproved(reason) => matches!(reason, Unproved::ConflictingEvidence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_rounded_as_the_rule_says() {
        let dollars = |text: &str| IndexPrice::from_decimal(text).unwrap();
        let values = || [dollars("1"), dollars("1"), dollars("2")].into_iter();
        let chainlink = SettlementBasis::ChainlinkTwap { window_s: 3 };
        let kalshi = SettlementBasis::KalshiAverage { window_s: 3 };
        assert_eq!(mean(values(), chainlink), Some(dollars("1.333333333333333333")));
        assert_eq!(mean(values(), kalshi), Some(dollars("1.33333333")));
        let tie = [dollars("0.00000001"), dollars("0.00000002")].into_iter();
        assert_eq!(mean(tie, kalshi), Some(dollars("0.00000002")));
        assert_eq!(mean(std::iter::empty(), kalshi), None);
    }
}
