//! Paying for a delivery: one submission to the desk, one verdict; nothing is delivered without it.

use std::time::Duration;

use schemas::{AccountId, Intake, Micros, Usage, Verdict, unit_id};

use super::ApiState;
use crate::desk::Receipt;
use crate::error::ApiError;
use crate::view::Held;

/// Makes sure a signal is paid for by this account and says what that cost now.
///
/// A unit that the view knows to be paid costs nothing and asks nobody. Otherwise the validator decides, and it
/// charges a unit once however often it is asked.
pub(super) async fn pay(state: &ApiState, account: &AccountId, held: &Held) -> Result<Micros, ApiError> {
    let signal = &held.signal;
    let entitlement = state.read().entitlement(account, &signal.topic, signal.slot, state.now());
    let entitlement = entitlement.ok_or(ApiError::NotEntitled)?;
    if entitlement.paid {
        return Ok(Micros(0));
    }
    let unit = unit_id(&entitlement.subscription, &signal.topic, signal.slot);
    let usage = Usage {
        subscription: entitlement.subscription,
        topic: signal.topic.clone(),
        slot: signal.slot,
        signal: signal.id,
    };
    let receipt = submit(state, Intake::Usage(usage)).await?;
    let verdict = receipt.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Charged(charge) if charge.unit == unit => Some(Ok(charge.charged)),
        Verdict::ChargeRefused { unit: refused, code, .. } if *refused == unit => Some(Err(*code)),
        _ => None,
    });
    verdict.ok_or(ApiError::NoVerdict)?.map_err(ApiError::Refused)
}

/// Hands one record to the desk and waits for its verdicts, but not for ever.
pub(super) async fn submit(state: &ApiState, intake: Intake) -> Result<Receipt, ApiError> {
    let limit = Duration::from_millis(state.limits.desk_timeout_ms);
    match tokio::time::timeout(limit, state.desk.submit(intake)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ApiError::NoVerdict),
    }
}
