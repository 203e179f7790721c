//! The Data API's answers: executed trades and the states of resolutions; it never names a payout that was not told.
//!
//! UMA's prices: 0 = No (p1), 1 = Yes (p2), 0.5 = unknown (p3), 69 = not set. Payouts are millionths of a dollar per
//! outcome. Sources: venues.md and the public client polymarket-client 0.14.0 (read for the forms).

use schemas::{BookSide, LifecycleRow, Phase, Ppm, Timestamp, TradeRow, id};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{RestError, RestResult, condition_id, epoch, from_json, number, optional};
use crate::truth::terms::uma_payout;
use schemas::fixed::MILLION;

/// UMA's mark for a price that is not set.
const UNSET: i64 = 69 * MILLION;

/// One execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataTrade {
    /// Token id.
    pub asset: String,
    /// Condition id.
    pub market: String,
    /// When, to the second.
    pub at: Timestamp,
    /// The row; its id hashes token, side, price, size, second, transaction and wallet.
    pub row: TradeRow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTrade<'a> {
    asset: String,
    condition_id: String,
    side: String,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    size: &'a RawValue,
    #[serde(borrow)]
    timestamp: &'a RawValue,
    transaction_hash: String,
    proxy_wallet: Option<String>,
}

/// The answer to `GET /trades`.
pub fn trades(bytes: &[u8]) -> RestResult<Vec<DataTrade>> {
    let list: Vec<WireTrade<'_>> = from_json(bytes)?;
    list.iter().map(trade).collect()
}

fn trade(wire: &WireTrade<'_>) -> RestResult<DataTrade> {
    let taker = match wire.side.as_str() {
        "BUY" => BookSide::Bid,
        "SELL" => BookSide::Ask,
        other => return Err(RestError::field("side", other)),
    };
    let price = number(wire.price, "price", 6)?;
    let qty = number(wire.size, "size", 6)?;
    if !(1..=MILLION).contains(&price) || qty <= 0 {
        return Err(RestError::field("price or size", wire.price.get()));
    }
    super::tokens(std::slice::from_ref(&wire.asset))?;
    let at = epoch(wire.timestamp, "timestamp")?;
    let parts: [&[u8]; 7] = [
        wire.asset.as_bytes(),
        &[u8::from(taker == BookSide::Ask)],
        &price.to_be_bytes(),
        &qty.to_be_bytes(),
        &at.secs().to_be_bytes(),
        wire.transaction_hash.as_bytes(),
        wire.proxy_wallet.as_deref().unwrap_or_default().as_bytes(),
    ];
    let whole = id::derive("oraculo/polymarket/data-trade/1", &parts);
    let id = whole.first_chunk::<16>().copied().unwrap_or_default();
    Ok(DataTrade {
        asset: wire.asset.clone(),
        market: condition_id(&wire.condition_id)?,
        at,
        row: TradeRow { id, price, qty, taker: Some(taker), block: false },
    })
}

/// A state of UMA's oracle or of what stands in for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UmaState {
    /// The question exists.
    Initialized,
    /// It was put to the oracle.
    Posed,
    /// An answer was proposed.
    Proposed,
    /// The first proposal was challenged; the question is put again.
    Challenged,
    /// An answer was proposed again.
    Reproposed,
    /// The proposal is disputed and goes to a vote.
    Disputed,
    /// The question is open.
    Active,
    /// The venue arbitrates.
    Arbitration,
    /// Paid.
    Resolved,
}

impl UmaState {
    fn read(text: &str) -> RestResult<Self> {
        Ok(match text {
            "initialized" => Self::Initialized,
            "posed" => Self::Posed,
            "proposed" => Self::Proposed,
            "challenged" => Self::Challenged,
            "reproposed" => Self::Reproposed,
            "disputed" => Self::Disputed,
            "active" => Self::Active,
            "arbitration" => Self::Arbitration,
            "resolved" => Self::Resolved,
            other => return Err(RestError::field("status", other)),
        })
    }

    /// The phase of the market; before a proposal the oracle says nothing about it.
    pub const fn phase(self) -> Phase {
        match self {
            Self::Initialized | Self::Posed | Self::Active => Phase::Changed,
            Self::Proposed | Self::Reproposed => Phase::Determined,
            Self::Challenged | Self::Disputed | Self::Arbitration => Phase::Disputed,
            Self::Resolved => Phase::Final,
        }
    }
}

/// A resolution as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Condition id.
    pub market: String,
    /// State.
    pub state: UmaState,
    /// When the state was entered.
    pub updated_at: Timestamp,
    /// `UMA_OO`, `CHAINLINK` or `EOA`.
    pub reporter: Option<String>,
    /// Whether it was ever disputed.
    pub was_disputed: bool,
    /// The proposal, 1e-6; `None` if there is none.
    pub proposed: Option<i64>,
    /// What the first outcome pays; only once it is resolved with payouts that name one (legacy markets are resolved
    /// with (0, 0), which names none).
    pub payout: Option<Ppm>,
    /// The row's content.
    pub row: LifecycleRow,
}

#[derive(Deserialize)]
struct WireResolution<'a> {
    condition_id: String,
    status: String,
    was_disputed: bool,
    #[serde(borrow)]
    proposed_price: Option<&'a RawValue>,
    #[serde(borrow)]
    reproposed_price: Option<&'a RawValue>,
    #[serde(borrow)]
    last_update_timestamp: &'a RawValue,
    #[serde(borrow)]
    expected_settlement_time: Option<&'a RawValue>,
    settlement_time_basis: Option<String>,
    #[serde(borrow)]
    payouts: Option<Vec<&'a RawValue>>,
    reporter: Option<String>,
    was_arbitrated: Option<bool>,
}

/// One resolution.
pub fn resolution(bytes: &[u8]) -> RestResult<Resolution> {
    let wire: WireResolution<'_> = from_json(bytes)?;
    let state = UmaState::read(&wire.status)?;
    let set = |raw, field| Ok(optional(raw, field, 6)?.filter(|price| *price != UNSET));
    let proposed = match set(wire.reproposed_price, "reproposed_price")? {
        Some(price) => Some(price),
        None => set(wire.proposed_price, "proposed_price")?,
    };
    let payout = payout(&wire, state)?;
    // Resolved without an outcome is not resolved: trading has ended, no more is certain.
    let unresolved = state == UmaState::Resolved && payout.is_none();
    let phase = if unresolved { Phase::Closed } else { state.phase() };
    let named = match phase {
        Phase::Final => payout,
        Phase::Determined => proposed.and_then(half_or_whole),
        _ => None,
    };
    let market = condition_id(&wire.condition_id)?;
    let detail = serde_json::json!({
        "expected_settlement": wire.expected_settlement_time.map(|raw| raw.get().trim_matches('"')),
        "proposed": proposed.map(|price| crate::decimal::print(price, 6)),
        "reporter": wire.reporter,
        "settlement_basis": wire.settlement_time_basis,
        "was_arbitrated": wire.was_arbitrated,
        "was_disputed": wire.was_disputed,
    });
    let row = LifecycleRow {
        market: market.clone(),
        phase,
        said: wire.status.clone(),
        payout: named,
        closes_at: None,
        detail: detail.to_string(),
    };
    let updated_at = epoch(wire.last_update_timestamp, "last_update_timestamp")?;
    let (reporter, was_disputed) = (wire.reporter, wire.was_disputed);
    Ok(Resolution { market, state, updated_at, reporter, was_disputed, proposed, payout, row })
}

/// The answer to `GET /resolutions`: each one or why it cannot be read.
pub fn resolutions(bytes: &[u8]) -> RestResult<Vec<RestResult<Resolution>>> {
    let list: Vec<&RawValue> = from_json(bytes)?;
    Ok(list.into_iter().map(|raw| resolution(raw.get().as_bytes())).collect())
}

/// A proposal of 0, 0.5 or 1 names what the first outcome would pay.
fn half_or_whole(price: i64) -> Option<Ppm> {
    match price {
        0 => Some(Ppm(0)),
        MILLION => Some(Ppm::ONE),
        price if price == MILLION / 2 => Some(Ppm::HALF),
        _ => None,
    }
}

/// What the first outcome pays by both payouts, which a resolved market must tell; `None` for the (0, 0) of legacy
/// markets. Any other pair is an error.
fn payout(wire: &WireResolution<'_>, state: UmaState) -> RestResult<Option<Ppm>> {
    let resolved = state == UmaState::Resolved;
    let Some(list) = &wire.payouts else {
        return if resolved { Err(RestError::missing("payouts")) } else { Ok(None) };
    };
    let [first, second] = list.as_slice() else {
        return Err(RestError::Misaligned { field: "payouts", want: 2, got: list.len() });
    };
    let (first, second) = (number(first, "payouts", 0)?, number(second, "payouts", 0)?);
    if !resolved || (first, second) == (0, 0) {
        return Ok(None);
    }
    let ppm = |value: i64| u32::try_from(value).ok().map(Ppm);
    let named = ppm(first).zip(ppm(second)).and_then(|(first, second)| uma_payout([first, second]));
    named.map(Some).ok_or_else(|| RestError::field("payouts", &format!("{first} and {second}")))
}
