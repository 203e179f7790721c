//! What the settler says: numbered records per market, each naming the one it replaces; none is ever changed.

use minicbor::{Decode, Encode};
use schemas::id::EvidenceHash;
use schemas::{MarketId, Ppm, Timestamp};

use crate::truth::rules::RuleRef;
use crate::truth::settle::{Check, Unproved};

/// Whether an outcome can still change by its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Standing {
    /// Named, not paid: score nothing on it.
    #[n(0)]
    Provisional,
    /// Computed from complete evidence, or made final by the venue.
    #[n(1)]
    Final,
}

/// How a market stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum SettlementState {
    /// It has an outcome.
    #[n(0)]
    Settled {
        /// What one yes (or first outcome) contract pays; fractions are legal.
        #[n(0)]
        payout: Ppm,
        /// Hash of what it follows from.
        #[n(1)]
        evidence: EvidenceHash,
        /// Whether it can still change.
        #[n(2)]
        standing: Standing,
        /// What the second source says.
        #[n(3)]
        check: Check,
    },
    /// The venue called the market off: nobody wins.
    #[n(1)]
    Void {
        /// Hash of the venue's word.
        #[n(0)]
        evidence: EvidenceHash,
    },
    /// The venue restated the outcome.
    #[n(2)]
    Amended {
        /// Before.
        #[n(0)]
        from: Ppm,
        /// Now.
        #[n(1)]
        to: Ppm,
        /// Hash of the venue's word.
        #[n(2)]
        evidence: EvidenceHash,
        /// Whether it can still change.
        #[n(3)]
        standing: Standing,
    },
    /// The named outcome is challenged.
    #[n(3)]
    Disputed {
        /// The outcome in question, where one was named.
        #[n(0)]
        payout: Option<Ppm>,
    },
    /// It cannot be proved, whatever the venue says.
    #[n(4)]
    Unprovable {
        /// Why.
        #[n(0)]
        reason: Unproved,
    },
    /// The venue says another outcome than the rule computes. The computed one stands; both are shown.
    #[n(5)]
    Mismatch {
        /// By the rule.
        #[n(0)]
        computed: Ppm,
        /// By the venue.
        #[n(1)]
        reported: Ppm,
        /// How firm the venue's word is.
        #[n(2)]
        standing: Standing,
        /// Hash of the evidence of the computed outcome.
        #[n(3)]
        evidence: EvidenceHash,
    },
}

impl SettlementState {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Settled { .. } => "settled",
            Self::Void { .. } => "void",
            Self::Amended { .. } => "amended",
            Self::Disputed { .. } => "disputed",
            Self::Unprovable { .. } => "unprovable",
            Self::Mismatch { .. } => "mismatch",
        }
    }

    /// The payout that may be scored: final, undisputed, and not contradicted by the venue.
    pub const fn scorable(&self) -> Option<Ppm> {
        match *self {
            Self::Settled { payout, standing: Standing::Final, .. }
            | Self::Amended { to: payout, standing: Standing::Final, .. } => Some(payout),
            _ => None,
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SettlementRecord {
    /// The market.
    #[n(0)]
    pub market: MarketId,
    /// Its end, where told.
    #[n(1)]
    pub closes_at: Option<Timestamp>,
    /// The rule that was applied; `None` where none is known.
    #[n(2)]
    pub rule: Option<RuleRef>,
    /// Number of this record of the market, from 1.
    #[n(3)]
    pub no: u32,
    /// The record it replaces.
    #[n(4)]
    pub replaces: Option<u32>,
    /// Time of the record it follows from.
    #[n(5)]
    pub said_at: Timestamp,
    /// How the market stands now.
    #[n(6)]
    pub state: SettlementState,
}
