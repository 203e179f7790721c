//! `signature.json`: who vouches for a bundle, an Ed25519 signature over its id; it never holds a secret.
//!
//! The id covers manifest and model, so the signature does; golden pairs and the read-me are not signed.

use ed25519_dalek::{Signature, VerifyingKey};
use schemas::BundleId;
use serde::{Deserialize, Serialize};

use crate::error::{Check, ForecasterError};

/// What is signed before the id, so that no other signature of this key means a bundle.
const CONTEXT: &[u8] = b"oraculo/bundle-signature/1";
/// Only form of the file.
const SCHEMA: u32 = 1;
/// Only algorithm.
const ALGORITHM: &str = "ed25519";

/// A signature of a bundle, detached from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The signer's Ed25519 key.
    pub pubkey: [u8; 32],
    /// The signature over [`Seal::signing_bytes`].
    pub signature: [u8; 64],
}

/// The file as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    algorithm: String,
    bundle: String,
    pubkey: String,
    signature: String,
}

impl Seal {
    /// What the signer signs: a context and the bundle's id.
    pub fn signing_bytes(bundle: &BundleId) -> Vec<u8> {
        [CONTEXT, &bundle.0].concat()
    }

    /// The text of `signature.json`.
    pub fn to_json(&self, bundle: &BundleId) -> String {
        let file = File {
            schema: SCHEMA,
            algorithm: ALGORITHM.to_owned(),
            bundle: hex::encode(bundle.0),
            pubkey: hex::encode(self.pubkey),
            signature: hex::encode(self.signature),
        };
        let text = serde_json::to_string_pretty(&file).expect("five plain fields have a JSON form");
        text + "\n"
    }

    /// Reads `signature.json` and verifies it, strictly, over this bundle.
    pub fn verify(text: &str, bundle: &BundleId) -> Result<Self, ForecasterError> {
        let fault = |detail: String| ForecasterError::check(Check::Signature, detail);
        let file: File = serde_json::from_str(text).map_err(|e| fault(format!("signature.json: {e}")))?;
        if file.schema != SCHEMA || file.algorithm != ALGORITHM {
            return Err(fault(format!("signature.json is not schema {SCHEMA}, {ALGORITHM}")));
        }
        if file.bundle != hex::encode(bundle.0) {
            return Err(fault(format!(
                "signature.json is of bundle {}, this is {bundle}; sign it again",
                file.bundle
            )));
        }
        let mut seal = Self { pubkey: [0; 32], signature: [0; 64] };
        hex::decode_to_slice(&file.pubkey, &mut seal.pubkey)
            .and_then(|()| hex::decode_to_slice(&file.signature, &mut seal.signature))
            .map_err(|e| fault(format!("signature.json: {e}")))?;
        let signature = Signature::from_bytes(&seal.signature);
        let valid = VerifyingKey::from_bytes(&seal.pubkey)
            .is_ok_and(|key| key.verify_strict(&Self::signing_bytes(bundle), &signature).is_ok());
        if valid { Ok(seal) } else { Err(fault("the signature is not of this key and bundle".to_owned())) }
    }
}
