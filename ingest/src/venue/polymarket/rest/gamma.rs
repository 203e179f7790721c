//! Gamma's markets and events of every kind: outcomes, tokens, fees, grids, groups and endings; it never reads the
//! legacy fee fields and never infers a winner from prices that are merely near 1.
//!
//! `outcomes`, `outcomePrices` and `clobTokenIds` are JSON strings inside JSON, aligned by index in whatever order the
//! venue chose. `takerBaseFee` and `makerBaseFee` are ignored: only `feeSchedule` says what a taker pays. Sources: the
//! recorded objects in `shared/data/polymarket`, docs.polymarket.com (Gamma markets API).

use schemas::fixed::MILLION;
use schemas::{IndexPrice, LifecycleRow, Phase, Ppm, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    RestError, RestResult, condition_id, from_json, inner_list, number, optional, optional_instant, tokens,
};
use crate::decimal;
use crate::truth::canon::{Fields, quoted};
use crate::truth::detail::rules_hash;

/// Most condition ids of one query.
pub const MAX_CONDITION_IDS: usize = 100;

/// What takers pay, as the market says it; all numbers in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeSchedule {
    /// Rate.
    pub rate: i64,
    /// Exponent of `p * (1 - p)`.
    pub exponent: i64,
    /// Whether makers pay nothing.
    pub taker_only: bool,
    /// Share of the fee that makers get.
    pub rebate: i64,
}

impl FeeSchedule {
    /// By the venue's own names, numbers as exact decimals.
    fn json(&self) -> String {
        let mut fields = Fields::default();
        for (key, value) in [("rate", self.rate), ("exponent", self.exponent), ("rebateRate", self.rebate)] {
            fields.text(key, Some(&decimal::print(value, 6)));
        }
        fields.plain("takerOnly", Some(self.taker_only));
        fields.finish()
    }

    /// The taker's fee in 1e-5 dollars: `shares * rate * (p * (1 - p))^exponent`, rounded to 5 decimals; less
    /// than the last of them is nothing.
    ///
    /// `qty` in 1e-6 shares, `price` in 1e-6 dollars. `None` for an exponent that is no whole number from 0 to 3, or
    /// where it does not fit. Source: venues.md, section 2 (fees).
    pub fn taker_fee(&self, qty: i64, price: i64) -> Option<i64> {
        let million = i128::from(MILLION);
        if self.exponent % MILLION != 0 || !(0..=3).contains(&(self.exponent / MILLION)) {
            return None;
        }
        let odds = i128::from(price) * i128::from(MILLION.checked_sub(price)?);
        // qty * rate is in 1e-12 dollars; each factor of the odds is in 1e-12.
        let mut dollars = i128::from(qty).checked_mul(i128::from(self.rate))?;
        for _ in 0..self.exponent / MILLION {
            dollars = dollars.checked_mul(odds)? / (million * million);
        }
        let unit = 10_i128.pow(7);
        if dollars < unit {
            return Some(0);
        }
        i64::try_from((dollars + unit / 2).div_euclid(unit)).ok()
    }
}

/// One outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Its token; `None` while the venue has not made it.
    pub token: Option<String>,
    /// Its price as the venue prints it; may have more decimals than fit.
    pub price: Option<String>,
}

/// The group of mutually exclusive markets a market belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegRisk {
    /// The group's id; the venue leaves it out of some answers.
    pub group: Option<String>,
    /// Whether the group has placeholder outcomes; told by events only.
    pub augmented: Option<bool>,
}

/// A market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GammaMarket {
    /// Condition id.
    pub condition_id: String,
    /// UMA's question id.
    pub question_id: Option<String>,
    /// Slug.
    pub slug: String,
    /// The question.
    pub question: String,
    /// Outcomes in the venue's order.
    pub outcomes: Vec<Outcome>,
    /// `active`.
    pub active: bool,
    /// `closed`.
    pub closed: bool,
    /// `archived`.
    pub archived: bool,
    /// `acceptingOrders`.
    pub accepting_orders: Option<bool>,
    /// `normal`, `scalar`, ..; legacy markets only.
    pub market_type: Option<String>,
    /// Price grid, 1e-6 dollars.
    pub tick: Option<i64>,
    /// Smallest order, 1e-6 shares.
    pub min_size: Option<i64>,
    /// Its group, where it belongs to one.
    pub neg_risk: Option<NegRisk>,
    /// What takers pay, where the market says it.
    pub fees: Option<FeeSchedule>,
    /// `feesEnabled`.
    pub fees_enabled: Option<bool>,
    /// `priceToBeat` of an Up/Down market, told by its event once it has started.
    pub price_to_beat: Option<IndexPrice>,
    /// `category`; legacy markets only.
    pub category: Option<String>,
    /// Hash of `description`, the text of its rules.
    pub rules_hash: Option<[u8; 32]>,
    /// `umaResolutionStatus`.
    pub uma_status: Option<String>,
    /// `umaResolutionStatuses`.
    pub uma_history: Vec<String>,
    /// `eventStartTime`.
    pub starts_at: Option<Timestamp>,
    /// `endDate`.
    pub ends_at: Option<Timestamp>,
    /// `closedTime`.
    pub closed_at: Option<Timestamp>,
    /// `resolutionSource`.
    pub resolution_source: Option<String>,
}

/// An event and its markets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GammaEvent {
    /// Gamma's id.
    pub id: String,
    /// Slug.
    pub slug: String,
    /// Title.
    pub title: String,
    /// `closed`.
    pub closed: bool,
    /// The group of its markets, where they exclude each other.
    pub neg_risk: Option<NegRisk>,
    /// Its markets; the ones that could not be read, with why.
    pub markets: Vec<RestResult<GammaMarket>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMarket<'a> {
    condition_id: String,
    #[serde(rename = "questionID")]
    question_id: Option<String>,
    slug: String,
    question: String,
    outcomes: String,
    outcome_prices: Option<String>,
    clob_token_ids: Option<String>,
    active: bool,
    closed: bool,
    archived: Option<bool>,
    accepting_orders: Option<bool>,
    market_type: Option<String>,
    #[serde(borrow)]
    order_price_min_tick_size: Option<&'a RawValue>,
    #[serde(borrow)]
    order_min_size: Option<&'a RawValue>,
    neg_risk: Option<bool>,
    #[serde(rename = "negRiskMarketID")]
    neg_risk_market_id: Option<String>,
    #[serde(borrow)]
    fee_schedule: Option<WireFee<'a>>,
    fees_enabled: Option<bool>,
    category: Option<String>,
    description: Option<String>,
    #[serde(borrow)]
    events: Option<Vec<WireParent<'a>>>,
    uma_resolution_status: Option<String>,
    uma_resolution_statuses: Option<String>,
    event_start_time: Option<String>,
    end_date: Option<String>,
    closed_time: Option<String>,
    resolution_source: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFee<'a> {
    #[serde(borrow)]
    rate: &'a RawValue,
    #[serde(borrow)]
    exponent: &'a RawValue,
    taker_only: bool,
    #[serde(borrow)]
    rebate_rate: &'a RawValue,
}

/// The event as its market repeats it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireParent<'a> {
    slug: Option<String>,
    #[serde(borrow)]
    event_metadata: Option<WireMetadata<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata<'a> {
    #[serde(borrow)]
    price_to_beat: Option<&'a RawValue>,
}

impl WireMetadata<'_> {
    /// From the number's own digits.
    fn price(&self) -> RestResult<Option<IndexPrice>> {
        let Some(raw) = self.price_to_beat else { return Ok(None) };
        let price = IndexPrice::from_decimal(raw.get().trim_matches('"')).filter(|price| price.0 > 0);
        price.map(Some).ok_or_else(|| RestError::field("priceToBeat", raw.get()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent<'a> {
    id: String,
    slug: String,
    title: String,
    closed: bool,
    neg_risk: Option<bool>,
    #[serde(rename = "negRiskMarketID")]
    neg_risk_market_id: Option<String>,
    neg_risk_augmented: Option<bool>,
    #[serde(borrow)]
    event_metadata: Option<WireMetadata<'a>>,
    #[serde(borrow)]
    markets: Vec<&'a RawValue>,
}

/// One market object.
pub fn market(bytes: &[u8]) -> RestResult<GammaMarket> {
    let wire: WireMarket<'_> = from_json(bytes)?;
    let names = inner_list(&wire.outcomes, "outcomes")?;
    let list = |text: Option<&str>, field| match text.filter(|text| !text.is_empty()) {
        Some(text) => inner_list(text, field),
        None => Ok(Vec::new()),
    };
    let ids = list(wire.clob_token_ids.as_deref(), "clobTokenIds")?;
    let prices = list(wire.outcome_prices.as_deref(), "outcomePrices")?;
    tokens(&ids)?;
    // A new market has no tokens and no prices for a while; anything between is nonsense.
    for (list, field) in [(&ids, "clobTokenIds"), (&prices, "outcomePrices")] {
        if !list.is_empty() && list.len() != names.len() {
            return Err(RestError::Misaligned { field, want: names.len(), got: list.len() });
        }
    }
    let outcome = |(at, name): (usize, String)| Outcome {
        name,
        token: ids.get(at).cloned(),
        price: prices.get(at).cloned(),
    };
    let group = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
    Ok(GammaMarket {
        condition_id: condition_id(&wire.condition_id)?,
        question_id: group(&wire.question_id),
        outcomes: names.into_iter().enumerate().map(outcome).collect(),
        tick: optional(wire.order_price_min_tick_size, "orderPriceMinTickSize", 6)?,
        min_size: optional(wire.order_min_size, "orderMinSize", 6)?,
        neg_risk: (wire.neg_risk == Some(true))
            .then(|| NegRisk { group: group(&wire.neg_risk_market_id), augmented: None }),
        fees: wire.fee_schedule.as_ref().map(fees).transpose()?,
        fees_enabled: wire.fees_enabled,
        price_to_beat: price_to_beat(&wire)?,
        category: group(&wire.category),
        rules_hash: wire.description.as_deref().map(|text| rules_hash([None, None, Some(text)])),
        uma_history: list(wire.uma_resolution_statuses.as_deref(), "umaResolutionStatuses")?,
        starts_at: optional_instant(wire.event_start_time.as_deref(), "eventStartTime")?,
        ends_at: optional_instant(wire.end_date.as_deref(), "endDate")?,
        closed_at: optional_instant(wire.closed_time.as_deref(), "closedTime")?,
        slug: wire.slug,
        question: wire.question,
        active: wire.active,
        closed: wire.closed,
        archived: wire.archived == Some(true),
        accepting_orders: wire.accepting_orders,
        market_type: wire.market_type,
        uma_status: wire.uma_resolution_status.filter(|status| !status.is_empty()),
        resolution_source: wire.resolution_source.filter(|source| !source.is_empty()),
    })
}

/// What an event's market has to beat; it is told of the market that bears the event's own slug.
fn price_to_beat(wire: &WireMarket<'_>) -> RestResult<Option<IndexPrice>> {
    let own = |event: &&WireParent<'_>| event.slug.as_deref() == Some(wire.slug.as_str());
    let metadata = wire.events.iter().flatten().find(own).and_then(|event| event.event_metadata.as_ref());
    metadata.map_or(Ok(None), WireMetadata::price)
}

fn fees(wire: &WireFee<'_>) -> RestResult<FeeSchedule> {
    Ok(FeeSchedule {
        rate: number(wire.rate, "feeSchedule.rate", 6)?,
        exponent: number(wire.exponent, "feeSchedule.exponent", 6)?,
        taker_only: wire.taker_only,
        rebate: number(wire.rebate_rate, "feeSchedule.rebateRate", 6)?,
    })
}

/// The answer to `GET /markets`: each market or why it cannot be read.
pub fn markets(bytes: &[u8]) -> RestResult<Vec<RestResult<GammaMarket>>> {
    let list: Vec<&RawValue> = from_json(bytes)?;
    Ok(list.into_iter().map(|raw| market(raw.get().as_bytes())).collect())
}

/// The answer to `GET /events`.
pub fn events(bytes: &[u8]) -> RestResult<Vec<GammaEvent>> {
    let list: Vec<WireEvent<'_>> = from_json(bytes)?;
    Ok(list.into_iter().map(event).collect())
}

/// The answer to `GET /public-search`: its events.
pub fn search(bytes: &[u8]) -> RestResult<Vec<GammaEvent>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        events: Vec<WireEvent<'a>>,
    }
    let answer: Answer<'_> = from_json(bytes)?;
    Ok(answer.events.into_iter().map(event).collect())
}

fn event(wire: WireEvent<'_>) -> GammaEvent {
    let neg_risk = (wire.neg_risk == Some(true)).then(|| NegRisk {
        group: wire.neg_risk_market_id.filter(|id| !id.is_empty()),
        augmented: wire.neg_risk_augmented,
    });
    let of_event = |raw: &&RawValue| {
        let mut market = market(raw.get().as_bytes())?;
        if let (Some(own), Some(all)) = (&mut market.neg_risk, &neg_risk) {
            own.augmented = all.augmented;
            own.group = own.group.take().or_else(|| all.group.clone());
        }
        if market.slug == wire.slug
            && let Some(metadata) = &wire.event_metadata
        {
            market.price_to_beat = metadata.price()?.or(market.price_to_beat);
        }
        Ok(market)
    };
    let markets = wire.markets.iter().map(of_event).collect();
    GammaEvent { id: wire.id, slug: wire.slug, title: wire.title, closed: wire.closed, neg_risk, markets }
}

impl GammaMarket {
    /// What one token of the first outcome pays, once that is certain.
    ///
    /// Strict: closed, not in dispute, two tokens, and prices exactly (1, 0), (0, 1) or (0.5, 0.5). `None` while it is
    /// not certain, as for the (0, 0) of old markets; an error for markets that are not binary.
    pub fn payout(&self) -> RestResult<Option<Ppm>> {
        let scalar = self.market_type.as_deref().is_some_and(|kind| kind == "scalar");
        let [first, second] = self.outcomes.as_slice() else {
            return Err(RestError::NotBinary(format!("{} outcomes", self.outcomes.len())));
        };
        if scalar {
            return Err(RestError::NotBinary("scalar".to_owned()));
        }
        let settled = self.uma_status.as_deref().is_none_or(|status| status == "resolved");
        if !self.closed || !settled || first.token.is_none() || second.token.is_none() {
            return Ok(None);
        }
        let exact = |outcome: &Outcome| decimal::parse(outcome.price.as_deref()?.as_bytes(), 6);
        Ok(match (exact(first), exact(second)) {
            (Some(MILLION), Some(0)) => Some(Ppm::ONE),
            (Some(0), Some(MILLION)) => Some(Ppm(0)),
            (Some(a), Some(b)) if a == b && a == MILLION / 2 => Some(Ppm::HALF),
            _ => None,
        })
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        let certain = matches!(self.payout(), Ok(Some(_)));
        match self.uma_status.as_deref() {
            _ if certain => Phase::Final,
            Some("disputed" | "challenged") => Phase::Disputed,
            Some("proposed" | "reproposed") => Phase::Determined,
            _ if self.closed || self.archived => Phase::Closed,
            _ if !self.active => Phase::Created,
            _ if self.accepting_orders == Some(false) => Phase::Paused,
            _ => Phase::Active,
        }
    }

    /// What is known of it as a row's content.
    pub fn lifecycle(&self) -> LifecycleRow {
        LifecycleRow {
            market: self.condition_id.clone(),
            phase: self.phase(),
            said: self.uma_status.clone().unwrap_or_default(),
            payout: self.payout().ok().flatten(),
            closes_at: self.ends_at,
            detail: self.terms().finish(),
        }
    }

    /// The terms by the venue's own names, the rules by the hash of their text; numbers as exact decimals.
    fn terms(&self) -> Fields {
        let print = |value: i64| decimal::print(value, 6);
        let list = |texts: Vec<String>| format!("[{}]", texts.join(","));
        let null = || "null".to_owned();
        let mut fields = Fields::default();
        fields.text("slug", Some(&self.slug));
        fields.text("category", self.category.as_deref());
        fields.text("questionID", self.question_id.as_deref());
        fields.text("marketType", self.market_type.as_deref());
        fields.text("resolutionSource", self.resolution_source.as_deref());
        fields.text("priceToBeat", self.price_to_beat.map(|price| price.to_string()).as_deref());
        fields.json("outcomes", list(self.outcomes.iter().map(|o| quoted(&o.name)).collect()));
        let token = |o: &Outcome| o.token.as_deref().map_or_else(null, quoted);
        fields.json("clobTokenIds", list(self.outcomes.iter().map(token).collect()));
        fields.plain("feesEnabled", self.fees_enabled);
        if let Some(fees) = &self.fees {
            fields.json("feeSchedule", fees.json());
        }
        fields.text("orderPriceMinTickSize", self.tick.map(print).as_deref());
        fields.text("orderMinSize", self.min_size.map(print).as_deref());
        fields.plain("negRisk", self.neg_risk.as_ref().map(|_| true));
        let group = self.neg_risk.as_ref();
        fields.text("negRiskMarketID", group.and_then(|group| group.group.as_deref()));
        fields.plain("negRiskAugmented", group.and_then(|group| group.augmented));
        fields
            .text("rules_hash", self.rules_hash.map(|hash| schemas::CommitHash(hash).to_string()).as_deref());
        fields.json("umaResolutionStatuses", list(self.uma_history.iter().map(|s| quoted(s)).collect()));
        fields
    }

    /// The row that says what changed since an earlier reading, if anything did: another phase, fee, grid, payout or
    /// end. Where the phase is the same the row's phase is [`Phase::Changed`].
    pub fn since(&self, earlier: &Self) -> Option<LifecycleRow> {
        let (before, mut now) = (earlier.lifecycle(), self.lifecycle());
        if before == now {
            return None;
        }
        if before.phase == now.phase {
            now.phase = Phase::Changed;
        }
        Some(now)
    }
}

/// Query paths for condition ids, at most [`MAX_CONDITION_IDS`] each.
pub fn condition_paths(conditions: &[String]) -> Vec<String> {
    let path = |part: &[String]| {
        let ids: Vec<String> = part.iter().map(|id| format!("condition_ids={id}")).collect();
        format!("/markets?limit={}&{}", part.len(), ids.join("&"))
    };
    conditions.chunks(MAX_CONDITION_IDS).map(path).collect()
}

/// Where a walk over a long list stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// By offset; ends with a page that is not full.
    Offset {
        /// Entries read so far.
        offset: usize,
        /// Entries per page.
        limit: usize,
    },
    /// By cursor (`/markets/keyset`, `/events/keyset`); ends with a page that names no next one.
    Keyset {
        /// What the page before named.
        cursor: Option<String>,
        /// Entries per page.
        limit: usize,
    },
    /// Done.
    End,
}

impl Paging {
    /// The next page of `path`, which has a `?` already; `None` at the end.
    pub fn path(&self, path: &str) -> Option<String> {
        match self {
            Self::Offset { offset, limit } => Some(format!("{path}&limit={limit}&offset={offset}")),
            Self::Keyset { cursor: None, limit } => Some(format!("{path}&limit={limit}")),
            Self::Keyset { cursor: Some(cursor), limit } => {
                Some(format!("{path}&limit={limit}&after_cursor={cursor}"))
            }
            Self::End => None,
        }
    }

    /// The place after a page of `got` entries that named `next` as its next cursor.
    #[must_use]
    pub fn after(&self, got: usize, next: Option<&str>) -> Self {
        match self {
            Self::Offset { offset, limit } if got >= *limit && got > 0 => {
                Self::Offset { offset: offset + got, limit: *limit }
            }
            Self::Keyset { cursor, limit } => match next.filter(|next| !next.is_empty()) {
                // A cursor that leads to itself would never end.
                Some(next) if cursor.as_deref() != Some(next) => {
                    Self::Keyset { cursor: Some(next.to_owned()), limit: *limit }
                }
                _ => Self::End,
            },
            _ => Self::End,
        }
    }
}
