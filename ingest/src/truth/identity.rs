//! The same event at several venues: whose contracts may be compared, and what differs where they may not; a mapping
//! never hides that two venues settle on different things.

use minicbor::{Decode, Encode};
use schemas::{MarketId, Ppm, Timestamp, Venue};

use super::rules::{RuleRef, SettlementBasis, rule_for};
use super::terms::{IndexKey, MarketTerms, Strike};

/// A market by all the names its venue has for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum NativeIds {
    /// Kalshi.
    #[n(0)]
    Kalshi {
        /// Series ticker.
        #[n(0)]
        series: String,
        /// Event ticker.
        #[n(1)]
        event: String,
        /// Market ticker.
        #[n(2)]
        market: String,
        /// Shard.
        #[n(3)]
        exchange_index: u32,
    },
    /// Polymarket.
    #[n(1)]
    Polymarket {
        /// Gamma market id.
        #[n(0)]
        gamma_id: String,
        /// Condition id.
        #[n(1)]
        condition_id: String,
        /// Token of the first outcome; a decimal string of up to 78 digits.
        #[n(2)]
        token_yes: String,
        /// Token of the second outcome.
        #[n(3)]
        token_no: String,
        /// UMA question id.
        #[n(4)]
        question_id: Option<String>,
        /// Group of mutually exclusive markets.
        #[n(5)]
        neg_risk_market_id: Option<String>,
    },
}

impl NativeIds {
    /// The market as the rest of the system names it: Kalshi ticker, Polymarket condition id.
    pub fn market(&self) -> MarketId {
        match self {
            Self::Kalshi { market, .. } => MarketId { venue: Venue::Kalshi, native: market.clone() },
            Self::Polymarket { condition_id, .. } => {
                MarketId { venue: Venue::Polymarket, native: condition_id.clone() }
            }
        }
    }
}

/// What a leg settles on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct LegBasis {
    /// How.
    #[n(0)]
    pub basis: SettlementBasis,
    /// On which index; `None` where the venue's word decides.
    #[n(1)]
    pub index: Option<IndexKey>,
}

/// One venue's contract on the event.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Leg {
    /// Its names.
    #[n(0)]
    pub ids: NativeIds,
    /// Its yes is the event's no.
    #[n(1)]
    pub flip: bool,
    /// What it settles on; `None` where no rule is known for it.
    #[n(2)]
    pub settles_on: Option<LegBasis>,
    /// The rule and its version.
    #[n(3)]
    pub rules_version: Option<RuleRef>,
    /// When it ends.
    #[n(4)]
    pub closes_at: Option<Timestamp>,
    /// What its value is held against.
    #[n(5)]
    pub strike: Option<Strike>,
    /// Hash of its rules text, where known.
    #[n(6)]
    pub rules_hash: Option<[u8; 32]>,
}

impl Leg {
    /// A leg of these terms.
    pub fn new(ids: NativeIds, flip: bool, terms: &MarketTerms, rules_hash: Option<[u8; 32]>) -> Self {
        let rule = rule_for(terms.family, terms.closes_at.unwrap_or_default());
        // A computed market without an end may fall under any version.
        let rule = rule.filter(|r| terms.closes_at.is_some() || !r.basis.is_computed());
        Self {
            ids,
            flip,
            settles_on: rule.map(|r| LegBasis { basis: r.basis, index: terms.index.clone() }),
            rules_version: rule.map(super::rules::SettlementRule::reference),
            closes_at: terms.closes_at,
            strike: terms.strike,
            rules_hash,
        }
    }
}

/// How a mapping was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum MappingMethod {
    /// The venues' own names say asset, interval and end.
    #[n(0)]
    Structured,
    /// A person decided.
    #[n(1)]
    Manual,
    /// Texts were compared.
    #[n(2)]
    Text,
}

/// One event and its contracts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Mapping {
    /// The event in our words, e.g. `btc-usd.up-15m.1795376700`.
    #[n(0)]
    pub canonical: String,
    /// Its contracts.
    #[n(1)]
    pub legs: Vec<Leg>,
    /// How it was found.
    #[n(2)]
    pub method: MappingMethod,
    /// How sure it is that the legs are about one event; says nothing of their basis.
    #[n(3)]
    pub confidence: Ppm,
}

/// Whether two contracts are on one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparable {
    /// Same basis, end and strike: one pays what the other pays (mind `flip`).
    Same,
    /// They settle on different things; `None` where no rule is known.
    DifferentBasis {
        /// Of the first.
        a: Option<LegBasis>,
        /// Of the second.
        b: Option<LegBasis>,
    },
    /// They end at different times, or an end is not known.
    DifferentTime {
        /// Of the first.
        a: Option<Timestamp>,
        /// Of the second.
        b: Option<Timestamp>,
    },
    /// They are held against different strikes, or a strike is not known.
    DifferentStrike {
        /// Of the first.
        a: Option<Strike>,
        /// Of the second.
        b: Option<Strike>,
    },
}

/// Whether two legs are on one outcome; the first difference of basis, end and strike is told.
///
/// Contracts that are settled by their venues' words are the same only at one venue under one rules text: two venues are
/// two judges.
pub fn comparable(a: &Leg, b: &Leg) -> Comparable {
    let reported = |leg: &Leg| leg.settles_on.as_ref().is_some_and(|on| !on.basis.is_computed());
    let judges =
        reported(a) && (a.ids.market().venue != b.ids.market().venue || a.rules_hash != b.rules_hash);
    if a.settles_on.is_none() || a.settles_on != b.settles_on || judges {
        return Comparable::DifferentBasis { a: a.settles_on.clone(), b: b.settles_on.clone() };
    }
    if a.closes_at.is_none() || a.closes_at != b.closes_at {
        return Comparable::DifferentTime { a: a.closes_at, b: b.closes_at };
    }
    // The venue's word needs no number.
    if (a.strike.is_none() && !reported(a)) || a.strike != b.strike {
        return Comparable::DifferentStrike { a: a.strike, b: b.strike };
    }
    Comparable::Same
}

impl Mapping {
    /// Every pair of legs with what [`comparable`] says, by their positions.
    pub fn pairs(&self) -> Vec<(usize, usize, Comparable)> {
        let mut out = Vec::new();
        for (i, a) in self.legs.iter().enumerate() {
            for (j, b) in self.legs.iter().enumerate().skip(i + 1) {
                out.push((i, j, comparable(a, b)));
            }
        }
        out
    }
}
