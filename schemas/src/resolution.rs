//! The fact which outcome came true, as validators report and sign it.

use minicbor::{Decode, Encode};

use crate::fixed::IndexPrice;
use crate::id::{EvidenceHash, ValidatorId, derive};
use crate::market::MarketId;
use crate::time::Timestamp;

/// Why a market cannot be proved; its questions are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum VoidReason {
    /// The venue never published a strike.
    #[n(0)]
    NoStrike,
    /// No index value carries exactly the closing second.
    #[n(1)]
    NoClosingTick,
    /// The market ends under a rule that reports cannot state (Polymarket Up/Down since 2026-08-07: an average).
    #[n(2)]
    NoRule,
}

impl VoidReason {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoStrike => "no_strike",
            Self::NoClosingTick => "no_closing_tick",
            Self::NoRule => "no_rule",
        }
    }
}

/// How a market ended by the question's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Determination {
    /// Up iff the last index value at or before the close is at or above the strike; a tie is Up.
    #[n(0)]
    Determined {
        /// The outcome.
        #[n(0)]
        up: bool,
        /// The closing value.
        #[n(1)]
        closing: IndexPrice,
    },
    /// Not provable.
    #[n(1)]
    Void(#[n(0)] VoidReason),
}

/// One validator's signed word on one market.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResolutionReport {
    /// Who reports.
    #[n(0)]
    pub validator: ValidatorId,
    /// The market.
    #[n(1)]
    pub market: MarketId,
    /// The end of the market.
    #[n(2)]
    pub closes_at: Timestamp,
    /// What the validator computed.
    #[n(3)]
    pub determination: Determination,
    /// Hash of what it was computed from: strike and closing tick.
    #[n(4)]
    pub evidence: EvidenceHash,
    /// Ed25519 over [`ResolutionReport::signing_bytes`]; 64 bytes.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

impl ResolutionReport {
    /// What the signature covers.
    pub fn signing_bytes(
        market: &MarketId,
        closes_at: Timestamp,
        determination: &Determination,
        evidence: &EvidenceHash,
    ) -> Vec<u8> {
        let mut out = b"oraculo/resolution-sig/v1\0".to_vec();
        out.extend(derive(
            "oraculo/resolution/1",
            &[
                market.to_string().as_bytes(),
                &closes_at.0.to_be_bytes(),
                &crate::encode(determination),
                &evidence.0,
            ],
        ));
        out
    }

    /// The evidence hash of a strike and a closing value.
    pub fn evidence(
        strike: Option<IndexPrice>,
        closing: Option<IndexPrice>,
        closes_at: Timestamp,
    ) -> EvidenceHash {
        let part = |v: Option<IndexPrice>| v.map(|v| v.0.to_be_bytes().to_vec()).unwrap_or_default();
        EvidenceHash(derive(
            "oraculo/evidence/1",
            &[&part(strike), &part(closing), &closes_at.0.to_be_bytes()],
        ))
    }
}
