//! A miner's JSON into the house's words; it checks form only, the validator judges.

use schemas::public;
use schemas::{Commitment, Forecast, Ppm, Reveal};

use crate::error::ApiError;

/// A commitment from its JSON.
pub(crate) fn commitment(json: &public::Commitment) -> Result<Commitment, ApiError> {
    Ok(Commitment {
        miner: schemas::MinerId(bytes("miner", &json.miner)?),
        question: schemas::QuestionId(bytes("question", &json.question)?),
        hash: schemas::CommitHash(bytes("hash", &json.hash)?),
        signature: bytes("signature", &json.signature)?,
    })
}

/// A reveal from its JSON.
pub(crate) fn reveal(json: &public::Reveal) -> Result<Reveal, ApiError> {
    Ok(Reveal {
        miner: schemas::MinerId(bytes("miner", &json.miner)?),
        question: schemas::QuestionId(bytes("question", &json.question)?),
        bundle: schemas::BundleId(bytes("bundle", &json.bundle)?),
        nonce: bytes("nonce", &json.nonce)?,
        forecast: match &json.forecast {
            public::Forecast::Probability { p_ppm } => Forecast::Probability(Ppm(*p_ppm)),
            public::Forecast::Quantiles { values } => Forecast::Quantiles(values.clone()),
        },
        signature: bytes("signature", &json.signature)?,
    })
}

/// Exactly `N` bytes from lower-case hex.
pub(crate) fn bytes<const N: usize>(field: &str, text: &str) -> Result<[u8; N], ApiError> {
    let wrong = || ApiError::ValidationFailed(format!("{field} is not {} lower-case hex digits", 2 * N));
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(wrong());
    }
    let mut out = [0; N];
    hex::decode_to_slice(text, &mut out).map_err(|_| wrong())?;
    Ok(out)
}
