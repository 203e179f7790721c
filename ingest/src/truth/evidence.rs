//! What a settlement was computed from, in one canonical form with one hash; it holds facts and no judgement.

use minicbor::{Decode, Encode};
use schemas::id::{EvidenceHash, derive};
use schemas::{IndexPrice, MarketId, Ppm, Timestamp};

use super::rules::RuleRef;
use super::terms::Strike;

/// One index value that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct EvidenceValue {
    /// Its own time; for an average the end of its window.
    #[n(0)]
    pub at: Timestamp,
    /// 0, or the length in seconds of the window it is the average of.
    #[n(1)]
    pub window_s: u32,
    /// The value.
    #[n(2)]
    pub value: IndexPrice,
}

/// A venue's word that was used.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Said {
    /// The venue's own word.
    #[n(0)]
    pub word: String,
    /// What it says one yes contract pays.
    #[n(1)]
    pub payout: Option<Ppm>,
    /// The venue's time of it, where told.
    #[n(2)]
    pub venue_at: Option<Timestamp>,
}

/// Everything a settlement follows from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Evidence {
    /// The rule.
    #[n(0)]
    pub rule: RuleRef,
    /// The market.
    #[n(1)]
    pub market: MarketId,
    /// Its end, where the rule needs one.
    #[n(2)]
    pub closes_at: Option<Timestamp>,
    /// What the value was held against.
    #[n(3)]
    pub strike: Option<Strike>,
    /// Every value used, primary evidence first, then the window in the order of time.
    #[n(4)]
    pub values: Vec<EvidenceValue>,
    /// The venue's word, where that is the basis.
    #[n(5)]
    pub said: Option<Said>,
}

impl Evidence {
    /// BLAKE3 over the rule's name and version, the market, the terms and every value used, each with its length.
    pub fn hash(&self) -> EvidenceHash {
        let mut values = Vec::with_capacity(self.values.len() * 28);
        for value in &self.values {
            values.extend(value.at.0.to_be_bytes());
            values.extend(value.window_s.to_be_bytes());
            values.extend(value.value.0.to_be_bytes());
        }
        let market = self.market.to_string();
        let parts: [&[u8]; 7] = [
            self.rule.id.code().as_bytes(),
            &self.rule.version.to_be_bytes(),
            market.as_bytes(),
            &schemas::encode(&self.closes_at),
            &schemas::encode(&self.strike),
            &values,
            &schemas::encode(&self.said),
        ];
        EvidenceHash(derive("oraculo/settlement-evidence/1", &parts))
    }
}
