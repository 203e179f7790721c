//! Gamma's answer to `GET /events?slug=…` as a market, its top of book and its resolution; it never guesses a winner.
//!
//! Sources: the recorded Gamma objects in `shared/data/polymarket`; the strike is `eventMetadata.priceToBeat` of the
//! event (github.com/Polymarket/py-sdk issue 106, 2026-06-16), a JSON number that Gamma fills in some seconds after
//! the start. `eventMetadata.finalPrice` is the venue's own closing value; it is not read, because the outcome is
//! computed from the index. `outcomes`, `outcomePrices` and `clobTokenIds` are JSON strings inside JSON, aligned by
//! index and in either order; `bestBid` and `bestAsk` belong to the first outcome (its price is their mid).

use schemas::fixed::MILLION;
use schemas::{IndexPrice, Market, MarketId, Ppm, Price, Timestamp, Venue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{IngestError, quoted};

/// Atoms of [`IndexPrice`] in a millionth.
const ATOMS_PER_MICRO: i128 = IndexPrice::ONE / MILLION as i128;
/// Bids up to here together with asks from [`PLACEHOLDER_ASK`] are the venue's empty book, 1e-6 dollars.
const PLACEHOLDER_BID: i64 = 10_000;
/// See [`PLACEHOLDER_BID`].
const PLACEHOLDER_ASK: i64 = 990_000;

/// What was asked for; the answer must agree with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The event's slug, `<prefix>-<start in seconds>`.
    pub slug: &'a str,
    /// The index pair, e.g. `btc/usd`.
    pub symbol: &'a str,
    /// Start of the interval.
    pub starts_at: Timestamp,
    /// End of the interval.
    pub closes_at: Timestamp,
}

/// One event with its one Up/Down market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GammaEvent {
    /// The market; token ids in the order Up, Down.
    pub market: Market,
    /// Top of book of the Up token: `None` where the venue takes no orders, an error where it makes no sense.
    pub top: Result<Option<Top>, IngestError>,
    /// What one Up token paid, once the venue has closed the market with exact prices.
    pub up_paid: Option<Ppm>,
}

/// Best bid and ask; a placeholder book has neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Best bid of the Up token.
    pub bid: Option<Price>,
    /// Best ask of the Up token.
    pub ask: Option<Price>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent<'a> {
    slug: String,
    #[serde(borrow)]
    event_metadata: Option<WireMetadata<'a>>,
    #[serde(borrow)]
    markets: Vec<WireMarket<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata<'a> {
    #[serde(borrow)]
    price_to_beat: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMarket<'a> {
    condition_id: String,
    slug: String,
    question: String,
    outcomes: String,
    outcome_prices: Option<String>,
    clob_token_ids: String,
    closed: bool,
    accepting_orders: Option<bool>,
    end_date: String,
    event_start_time: Option<String>,
    #[serde(borrow)]
    best_bid: Option<&'a RawValue>,
    #[serde(borrow)]
    best_ask: Option<&'a RawValue>,
    #[serde(borrow)]
    fee_schedule: Option<WireFee<'a>>,
    uma_resolution_status: Option<String>,
    resolution_source: Option<String>,
}

#[derive(Deserialize)]
struct WireFee<'a> {
    #[serde(borrow)]
    rate: Option<&'a RawValue>,
}

/// The request path of an event.
pub fn path(slug: &str) -> String {
    format!("/events?slug={slug}")
}

/// Decodes an answer; `None` means that the event is not listed yet.
pub fn decode(bytes: &[u8], want: &Expected<'_>) -> Result<Option<GammaEvent>, IngestError> {
    let events: Vec<WireEvent<'_>> = serde_json::from_slice(bytes).map_err(|e| IngestError::json(&e))?;
    let Some(first) = events.first() else {
        return Ok(None);
    };
    let event = events
        .iter()
        .find(|event| event.slug == want.slug)
        .ok_or_else(|| IngestError::WrongEvent { want: want.slug.to_owned(), got: quoted(&first.slug) })?;
    let wire = event.markets.iter().find(|market| market.slug == want.slug).ok_or_else(|| {
        IngestError::MarketMissing { slug: want.slug.to_owned(), markets: event.markets.len() }
    })?;
    let up = up_index(&wire.outcomes)?;
    check_interval(wire, want)?;
    check_basis(wire, want.symbol)?;
    Ok(Some(GammaEvent {
        market: Market {
            id: MarketId { venue: Venue::Polymarket, native: condition_id(&wire.condition_id)? },
            slug: want.slug.to_owned(),
            title: wire.question.clone(),
            symbol: want.symbol.to_owned(),
            starts_at: want.starts_at,
            closes_at: want.closes_at,
            strike: strike(event.event_metadata.as_ref())?,
            token_ids: tokens(&wire.clob_token_ids, up)?,
            fee_rate: fee(wire.fee_schedule.as_ref())?,
        },
        top: top(wire, up),
        up_paid: up_paid(wire, up)?,
    }))
}

fn condition_id(text: &str) -> Result<String, IngestError> {
    let hex =
        text.strip_prefix("0x").filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hex.map(|_| text.to_owned()).ok_or_else(|| IngestError::BadConditionId(quoted(text)))
}

/// A JSON string inside JSON that must hold two strings.
fn pair(text: &str) -> Option<[String; 2]> {
    serde_json::from_str::<Vec<String>>(text).ok()?.try_into().ok()
}

/// The index of Up among exactly the outcomes Up and Down.
fn up_index(outcomes: &str) -> Result<usize, IngestError> {
    match pair(outcomes) {
        Some([a, b]) if a == "Up" && b == "Down" => Ok(0),
        Some([a, b]) if a == "Down" && b == "Up" => Ok(1),
        _ => Err(IngestError::BadOutcomes(quoted(outcomes))),
    }
}

/// Two different decimal token ids in the order Up, Down.
fn tokens(text: &str, up: usize) -> Result<Vec<String>, IngestError> {
    let refuse = || IngestError::BadTokens(quoted(text));
    let pair = pair(text).ok_or_else(refuse)?;
    let decimal = |t: &String| (1..=78).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
    if !pair.iter().all(decimal) || pair[0] == pair[1] {
        return Err(refuse());
    }
    let [a, b] = pair;
    Ok(if up == 0 { vec![a, b] } else { vec![b, a] })
}

fn check_interval(wire: &WireMarket<'_>, want: &Expected<'_>) -> Result<(), IngestError> {
    let check = |field: &'static str, text: &str, want: Timestamp| {
        let got = super::rfc3339_secs(text).ok_or_else(|| IngestError::time(field, text))?;
        let want = want.secs();
        if got == want { Ok(()) } else { Err(IngestError::IntervalMismatch { field, want, got }) }
    };
    check("endDate", &wire.end_date, want.closes_at)?;
    wire.event_start_time.as_deref().map_or(Ok(()), |text| check("eventStartTime", text, want.starts_at))
}

/// The resolution source, where the venue names one, must be the stream of this symbol (`…/btc-usd`).
fn check_basis(wire: &WireMarket<'_>, symbol: &str) -> Result<(), IngestError> {
    let want = format!("/{}", symbol.replace('/', "-"));
    match wire.resolution_source.as_deref() {
        Some(got) if !got.is_empty() && !got.ends_with(&want) => {
            Err(IngestError::WrongBasis { want, got: quoted(got) })
        }
        _ => Ok(()),
    }
}

fn strike(metadata: Option<&WireMetadata<'_>>) -> Result<Option<IndexPrice>, IngestError> {
    let Some(raw) = metadata.and_then(|m| m.price_to_beat) else {
        return Ok(None);
    };
    let price = IndexPrice::from_decimal(raw.get()).filter(|price| price.0 > 0);
    price.map(Some).ok_or_else(|| IngestError::number("priceToBeat", raw.get()))
}

/// `feeSchedule.rate`; the legacy `takerBaseFee` is ignored on purpose.
fn fee(schedule: Option<&WireFee<'_>>) -> Result<Option<Ppm>, IngestError> {
    let Some(raw) = schedule.and_then(|s| s.rate) else {
        return Ok(None);
    };
    micros(raw.get())
        .and_then(|rate| u32::try_from(rate).ok())
        .map(|rate| Some(Ppm(rate)))
        .ok_or_else(|| IngestError::number("feeSchedule.rate", raw.get()))
}

/// A decimal from 0 to 1 in millionths, rounded to the nearest one.
fn micros(text: &str) -> Option<i64> {
    let atoms = IndexPrice::from_decimal(text)?.0;
    (0..=IndexPrice::ONE).contains(&atoms).then(|| ((atoms + ATOMS_PER_MICRO / 2) / ATOMS_PER_MICRO) as i64)
}

/// Best bid and ask of Up; the second outcome's quote is the complement of the first one's.
fn top(wire: &WireMarket<'_>, up: usize) -> Result<Option<Top>, IngestError> {
    if wire.closed || wire.accepting_orders != Some(true) {
        return Ok(None);
    }
    let side = |field: &'static str, raw: Option<&RawValue>| {
        let Some(raw) = raw else { return Ok(None) };
        micros(raw.get()).map(Some).ok_or_else(|| IngestError::number(field, raw.get()))
    };
    // 0 is no bid and 1 is no ask: nobody is there.
    let bid = side("bestBid", wire.best_bid)?.filter(|&bid| bid > 0);
    let ask = side("bestAsk", wire.best_ask)?.filter(|&ask| ask < MILLION);
    match (bid, ask) {
        (Some(bid), Some(ask)) if bid >= ask => return Err(IngestError::CrossedQuote { bid, ask }),
        (Some(bid), Some(ask)) if bid <= PLACEHOLDER_BID && ask >= PLACEHOLDER_ASK => {
            return Ok(Some(Top::default()));
        }
        _ => {}
    }
    let (bid, ask) = if up == 0 { (bid, ask) } else { (ask.map(|a| MILLION - a), bid.map(|b| MILLION - b)) };
    Ok(Some(Top { bid: bid.map(Price), ask: ask.map(Price) }))
}

/// Strict: closed, not in dispute, and the two prices exactly (1, 0), (0, 1) or (0.5, 0.5); else not resolved.
fn up_paid(wire: &WireMarket<'_>, up: usize) -> Result<Option<Ppm>, IngestError> {
    let Some(text) = wire.outcome_prices.as_deref() else {
        return Ok(None);
    };
    let refuse = || IngestError::BadOutcomePrices(quoted(text));
    let prices = pair(text).ok_or_else(refuse)?;
    let settled = wire.uma_resolution_status.as_deref().is_none_or(|s| s.is_empty() || s == "resolved");
    if !wire.closed || !settled {
        return Ok(None);
    }
    let exact = |i: usize| IndexPrice::from_decimal(&prices[i]).map(|p| p.0);
    Ok(match (exact(up), exact(1 - up)) {
        (Some(IndexPrice::ONE), Some(0)) => Some(Ppm::ONE),
        (Some(0), Some(IndexPrice::ONE)) => Some(Ppm(0)),
        (Some(a), Some(b)) if a == b && a == IndexPrice::ONE / 2 => Some(Ppm::HALF),
        _ => None,
    })
}
