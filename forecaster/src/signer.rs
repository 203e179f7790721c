//! A miner's key: it seals, opens and signs forecasts; it never shows its secret and keeps no state. Beside it, the
//! checks of what other keys sealed and opened.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use schemas::prediction::commit_hash;
use schemas::{BundleId, CommitHash, Commitment, Forecast, MinerId, QuestionId, Reveal};

use crate::bundle::Seal;

/// Context of the key that nonces are derived with (BLAKE3 `derive_key`); a different key for a different purpose.
const NONCE_CONTEXT: &str = "oraculo 2026-01-01 miner commitment nonce v1";

/// An Ed25519 key (RFC 8032) of one miner.
pub struct MinerKey {
    signing: SigningKey,
    nonce_key: [u8; 32],
}

impl MinerKey {
    /// The key of a 32-byte seed. The seed is the secret: draw it from the operating system.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { signing: SigningKey::from_bytes(&seed), nonce_key: blake3::derive_key(NONCE_CONTEXT, &seed) }
    }

    /// The public key, by which the network knows the miner.
    pub fn id(&self) -> MinerId {
        MinerId(self.signing.verifying_key().to_bytes())
    }

    /// The salt of this question's commitment: BLAKE3 keyed with a key derived from the secret, over network and
    /// question.
    ///
    /// Nobody without the secret can tell it from a random number, and a nonce that was revealed says nothing about
    /// the next one. Because it follows from the key, a miner that crashed between commitment and reveal opens its
    /// seal again without having stored anything. It is the same for every forecast of one question: a miner must
    /// commit to a question once, which the validator enforces (`duplicate`).
    pub fn nonce(&self, network: &[u8; 32], question: &QuestionId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonce_key);
        hasher.update(network);
        hasher.update(&question.0);
        *hasher.finalize().as_bytes()
    }

    /// Step one: the sealed and signed forecast.
    pub fn commit(
        &self,
        network: &[u8; 32],
        bundle: BundleId,
        question: QuestionId,
        forecast: &Forecast,
    ) -> Commitment {
        let miner = self.id();
        let nonce = self.nonce(network, &question);
        let hash = commit_hash(network, &question, &miner, &bundle, &nonce, forecast);
        let signature = self.sign(&Commitment::signing_bytes(&question, &miner, &hash));
        Commitment { miner, question, hash, signature }
    }

    /// Step two: the opening of the commitment that [`MinerKey::commit`] makes from the same arguments.
    pub fn reveal(
        &self,
        network: &[u8; 32],
        bundle: BundleId,
        question: QuestionId,
        forecast: &Forecast,
    ) -> Reveal {
        let miner = self.id();
        let nonce = self.nonce(network, &question);
        let hash = commit_hash(network, &question, &miner, &bundle, &nonce, forecast);
        let signature = self.sign(&Reveal::signing_bytes(&hash));
        Reveal { miner, question, bundle, nonce, forecast: forecast.clone(), signature }
    }

    /// Vouches for a bundle.
    pub fn seal(&self, bundle: &BundleId) -> Seal {
        Seal { pubkey: self.id().0, signature: self.sign(&Seal::signing_bytes(bundle)) }
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

/// Whether the miner named in a commitment signed it (strict verification, as the validator does it).
pub fn is_signed(c: &Commitment) -> bool {
    verifies(&c.miner, &Commitment::signing_bytes(&c.question, &c.miner, &c.hash), &c.signature)
}

/// Whether a reveal opens this seal on this network and the miner it names signed it (strict verification).
pub fn opens(r: &Reveal, network: &[u8; 32], seal: &CommitHash) -> bool {
    r.commit_hash(network) == *seal && verifies(&r.miner, &Reveal::signing_bytes(seal), &r.signature)
}

fn verifies(miner: &MinerId, message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(&miner.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

impl fmt::Debug for MinerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MinerKey({})", self.id().short())
    }
}
