//! A registration's JSON into the record the validator judges; it checks form only and never a signature.

use schemas::{AccountId, Micros, MinerId, MinerJoined, public};

use crate::error::ApiError;
use crate::submit::bytes;

/// A registration, paid for by `account`.
pub(crate) fn registration(
    json: &public::Registration,
    account: &AccountId,
) -> Result<MinerJoined, ApiError> {
    let stake = &json.stake_micros;
    let digits = (1..=19).contains(&stake.len()) && stake.bytes().all(|b| b.is_ascii_digit());
    let stake = stake.parse().ok().filter(|_| digits).ok_or_else(|| {
        ApiError::ValidationFailed("stake_micros is not a whole number of micro-units as a string".to_owned())
    })?;
    Ok(MinerJoined {
        miner: MinerId(bytes("miner", &json.miner)?),
        name: json.name.clone(),
        kind: json.kind.clone(),
        stake: Micros(stake),
        host: None,
        signature: Some(bytes("signature", &json.signature)?),
        account: Some(account.clone()),
    })
}
