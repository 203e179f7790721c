//! Keys of the validators hosted here and the two things they sign. Never decides what to sign.

use ed25519_dalek::{Signer as _, SigningKey};
use ingest::ReportDraft;
use schemas::{EpochVote, ResolutionReport, ValidatorId};

/// A validator's signing key.
pub struct ValidatorKey {
    key: SigningKey,
}

impl ValidatorKey {
    /// The key of this 32-byte secret.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(&seed) }
    }

    /// Its public key.
    pub fn id(&self) -> ValidatorId {
        ValidatorId(self.key.verifying_key().to_bytes())
    }

    /// A signed resolution report.
    pub fn report(&self, draft: ReportDraft) -> ResolutionReport {
        let ReportDraft { market, closes_at, determination, evidence } = draft;
        let bytes = ResolutionReport::signing_bytes(&market, closes_at, &determination, &evidence);
        let signature = self.key.sign(&bytes).to_bytes();
        ResolutionReport { validator: self.id(), market, closes_at, determination, evidence, signature }
    }

    /// A signed epoch root.
    pub fn vote(&self, epoch: u64, root: [u8; 32]) -> EpochVote {
        let signature = self.key.sign(&EpochVote::signing_bytes(epoch, &root)).to_bytes();
        EpochVote { validator: self.id(), epoch, root, signature }
    }
}
