//! A miner's signed forecast in its two steps, commitment and reveal; sealed so that nobody can copy it.

use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::forecast::Forecast;
use crate::id::{BundleId, CommitHash, MinerId, QuestionId};

/// Domain of the commitment hash.
const COMMIT_DOMAIN: &[u8] = b"oraculo/commit/v1\0";
/// Domain of the signature over a commitment.
const COMMITMENT_SIG_DOMAIN: &[u8] = b"oraculo/commitment-sig/v1\0";
/// Domain of the signature over a reveal.
const REVEAL_SIG_DOMAIN: &[u8] = b"oraculo/reveal-sig/v1\0";

/// Step one: the seal. Admitted while the commit window is open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Commitment {
    /// Who.
    #[n(0)]
    pub miner: MinerId,
    /// For which question.
    #[n(1)]
    pub question: QuestionId,
    /// [`commit_hash`] of what will be revealed.
    #[n(2)]
    pub hash: CommitHash,
    /// Ed25519 over [`Commitment::signing_bytes`]; 64 bytes.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

impl Commitment {
    /// What the signature covers: domain, question, miner, hash; fixed layout.
    pub fn signing_bytes(question: &QuestionId, miner: &MinerId, hash: &CommitHash) -> Vec<u8> {
        [COMMITMENT_SIG_DOMAIN, &question.0, &miner.0, &hash.0].concat()
    }
}

/// Step two: the opening. Admitted while the reveal window is open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reveal {
    /// Who.
    #[n(0)]
    pub miner: MinerId,
    /// For which question.
    #[n(1)]
    pub question: QuestionId,
    /// The model bundle that made it.
    #[n(2)]
    pub bundle: BundleId,
    /// The salt, 32 bytes; without it a million probabilities are tried in a third of a second.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// The forecast.
    #[n(4)]
    pub forecast: Forecast,
    /// Ed25519 over [`Reveal::signing_bytes`]; 64 bytes.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

impl Reveal {
    /// The hash its commitment must have had.
    pub fn commit_hash(&self, network: &[u8; 32]) -> CommitHash {
        commit_hash(network, &self.question, &self.miner, &self.bundle, &self.nonce, &self.forecast)
    }

    /// What the signature covers: domain and the commitment hash, which binds everything else.
    pub fn signing_bytes(hash: &CommitHash) -> Vec<u8> {
        [REVEAL_SIG_DOMAIN, &hash.0].concat()
    }
}

/// SHA-256(domain ‖ network ‖ question ‖ miner ‖ bundle ‖ nonce ‖ length u32 big-endian ‖ payload).
///
/// The miner's key is inside, so another miner's commitment cannot be submitted as one's own.
pub fn commit_hash(
    network: &[u8; 32],
    question: &QuestionId,
    miner: &MinerId,
    bundle: &BundleId,
    nonce: &[u8; 32],
    forecast: &Forecast,
) -> CommitHash {
    let payload = forecast.payload();
    let mut hasher = Sha256::new();
    hasher.update(COMMIT_DOMAIN);
    for part in [network, &question.0, &miner.0, &bundle.0, nonce] {
        hasher.update(part);
    }
    hasher.update((payload.len() as u32).to_be_bytes());
    hasher.update(&payload);
    CommitHash(hasher.finalize().into())
}
