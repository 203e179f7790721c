//! What a lifecycle row's `detail` says, by the venues' own field names; it never fills in what is absent.
//!
//! A venue's machine copies the fields of a market that changed, or all of them, into `detail` under the names the venue
//! uses (Kalshi's market, event and series objects and lifecycle messages; Polymarket's Gamma and socket objects). Old
//! and new names are both read: historical Kalshi objects drop the `_dollars` suffix. Other fields are skipped;
//! `takerBaseFee` and `makerBaseFee` are skipped on purpose (legacy numbers that charge nobody).

use minicbor::{Decode, Encode};
use schemas::{IndexPrice, Ppm, Venue};

use super::fees::{FeeChange, KalshiFeeType, PolymarketSchedule};
use super::grid::{PriceRange, PriceRanges};
use super::terms::Strike;
use crate::decimal;
use crate::scan::{Scan, ScanError};

/// A field that may be absent (`None`), null (`Some(None)`) or told.
pub type Told<T> = Option<Option<T>>;

/// The fields that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// `series_ticker`.
    pub series: Option<String>,
    /// `event_ticker`.
    pub event: Option<String>,
    /// `category`.
    pub category: Option<String>,
    /// `slug`.
    pub slug: Option<String>,
    /// `strike_type`.
    pub strike_type: Option<String>,
    /// `floor_strike`, or Polymarket's `priceToBeat`.
    pub floor: Option<IndexPrice>,
    /// `cap_strike`.
    pub cap: Option<IndexPrice>,
    /// `price_ranges`, else a known `price_level_structure`, else one tick size.
    pub prices: Option<PriceRanges>,
    /// BLAKE3 of the rules text, or `rules_hash` as told.
    pub rules_hash: Option<[u8; 32]>,
    /// Fees of the market itself (Polymarket).
    pub fees: Option<FeeChange>,
    /// Fees of the series it names (Kalshi `fee_type`, `fee_multiplier`).
    pub series_fees: Option<FeeChange>,
    /// Override of the event it names (Kalshi `event_fee_update`); parts that are null are cleared.
    pub event_fees: Option<FeeChange>,
    /// `result`; the empty text counts as absent.
    pub result: Option<String>,
    /// `settlement_value_dollars`.
    pub settlement_value: Option<Ppm>,
    /// `listed`: whether the venue's listing still has the market.
    pub listed: Option<bool>,
    /// The first of `outcomes`: the one that a payout is of.
    pub first_outcome: Option<String>,
}

/// The parts of a Kalshi strike as they were told last. Messages tell them one by one: `strike_type` when a market is
/// created, `floor_strike` when it opens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct StrikeParts {
    #[n(0)]
    kind: Option<String>,
    #[n(1)]
    floor: Option<IndexPrice>,
    #[n(2)]
    cap: Option<IndexPrice>,
}

impl StrikeParts {
    /// Takes the parts a detail tells; the detail then has all that were ever told.
    pub fn complete(&mut self, detail: &mut Detail) {
        fn join<T: Clone>(kept: &mut Option<T>, told: &mut Option<T>) {
            match told {
                Some(_) => kept.clone_from(told),
                None => told.clone_from(kept),
            }
        }
        join(&mut self.kind, &mut detail.strike_type);
        join(&mut self.floor, &mut detail.floor);
        join(&mut self.cap, &mut detail.cap);
    }
}

/// The hash a rules text is known by: of Kalshi's `rules_primary` and `rules_secondary`, or of Polymarket's
/// `description` in third place; an absent text counts as empty.
pub fn rules_hash(texts: [Option<&str>; 3]) -> [u8; 32] {
    schemas::id::derive("oraculo/rules-text/1", &texts.map(|text| text.unwrap_or_default().as_bytes()))
}

/// What has to be put together once all fields are read.
#[derive(Default)]
struct Parts<'a> {
    structure: Option<&'a [u8]>,
    tick: Option<i64>,
    ranges: Option<PriceRanges>,
    rules: [Option<String>; 3],
    schedule: Told<PolymarketSchedule>,
    fees_enabled: Option<bool>,
    fee_type: Told<KalshiFeeType>,
    multiplier: Told<u32>,
    fee_type_override: Told<KalshiFeeType>,
    multiplier_override: Told<u32>,
}

impl Detail {
    /// Reads a detail; the empty text says nothing. A known field of a wrong form is an error, never a default.
    pub fn parse(text: &str) -> Result<Self, ScanError> {
        let mut out = Self::default();
        if text.is_empty() {
            return Ok(out);
        }
        let mut parts = Parts::default();
        let mut scan = Scan::new(text.as_bytes());
        out.fields(&mut parts, &mut scan, true)?;
        scan.end()?;
        out.compose(parts);
        Ok(out)
    }

    /// What the deciding value is held against, as this venue tells it.
    ///
    /// Polymarket names no type: its Up/Down markets have a price to beat, and a tie is Up. Where the first outcome is
    /// Down, its token pays below that price.
    pub fn strike(&self, venue: Venue) -> Option<Strike> {
        if venue == Venue::Polymarket {
            let down = self.first_outcome.as_deref() == Some("Down");
            return self.floor.map(if down { Strike::Below } else { Strike::AtLeast });
        }
        self.strike_type.as_deref().and_then(|kind| Strike::kalshi(kind, self.floor, self.cap))
    }

    /// An object's members. Kalshi's lifecycle messages keep most of a market one level down.
    fn fields<'a>(
        &mut self,
        parts: &mut Parts<'a>,
        scan: &mut Scan<'a>,
        outer: bool,
    ) -> Result<(), ScanError> {
        scan.object()?;
        while let Some(key) = scan.key()? {
            if outer && key == b"additional_metadata" {
                if !scan.null()? {
                    self.fields(parts, scan, false)?;
                }
            } else {
                self.field(parts, key, scan)?;
            }
        }
        Ok(())
    }

    fn field<'a>(&mut self, parts: &mut Parts<'a>, key: &[u8], scan: &mut Scan<'a>) -> Result<(), ScanError> {
        match key {
            b"series_ticker" => self.series = text(scan)?,
            b"event_ticker" => self.event = text(scan)?,
            b"category" => self.category = text(scan)?,
            b"slug" => self.slug = text(scan)?,
            b"strike_type" => self.strike_type = text(scan)?,
            b"result" => self.result = text(scan)?.filter(|t| !t.is_empty()),
            b"floor_strike" | b"priceToBeat" | b"price_to_beat" => self.floor = index_value(scan)?,
            b"cap_strike" => self.cap = index_value(scan)?,
            b"settlement_value_dollars" | b"settlement_value" => self.settlement_value = dollars_ppm(scan)?,
            b"listed" => self.listed = Some(scan.boolean()?),
            b"outcomes" => self.first_outcome = first(scan)?,
            b"rules_hash" => self.rules_hash = hash(scan)?,
            _ => return parts.field(key, scan),
        }
        Ok(())
    }

    fn compose(&mut self, parts: Parts<'_>) {
        let named = || parts.structure.and_then(PriceRanges::named);
        self.prices =
            parts.ranges.or_else(named).or_else(|| parts.tick.and_then(|t| PriceRanges::uniform(t).ok()));
        if self.rules_hash.is_none() && parts.rules.iter().any(Option::is_some) {
            self.rules_hash = Some(rules_hash(parts.rules.each_ref().map(Option::as_deref)));
        }
        self.fees = match (parts.schedule, parts.fees_enabled) {
            (_, Some(false)) => Some(FeeChange::Polymarket(Some(PolymarketSchedule::FREE))),
            (Some(schedule), _) => Some(FeeChange::Polymarket(schedule)),
            (None, _) => None,
        };
        self.series_fees = kalshi(parts.fee_type, parts.multiplier);
        self.event_fees = kalshi(parts.fee_type_override, parts.multiplier_override);
    }
}

fn kalshi(fee_type: Told<KalshiFeeType>, multiplier: Told<u32>) -> Option<FeeChange> {
    (fee_type.is_some() || multiplier.is_some())
        .then(|| FeeChange::Kalshi { fee_type: fee_type.flatten(), multiplier: multiplier.flatten() })
}

impl<'a> Parts<'a> {
    fn field(&mut self, key: &[u8], scan: &mut Scan<'a>) -> Result<(), ScanError> {
        match key {
            b"price_ranges" => self.ranges = ranges(scan)?,
            b"price_level_structure" => self.structure = nullable(scan, Scan::plain)?,
            b"orderPriceMinTickSize" | b"order_price_min_tick_size" | b"tick_size" | b"new_tick_size" => {
                self.tick = number(scan, 6)?;
            }
            b"rules_primary" => self.rules[0] = text(scan)?,
            b"rules_secondary" => self.rules[1] = text(scan)?,
            b"description" => self.rules[2] = text(scan)?,
            b"feeSchedule" | b"fee_schedule" => self.schedule = Some(schedule(scan)?),
            b"feesEnabled" | b"fees_enabled" => self.fees_enabled = nullable(scan, Scan::boolean)?,
            b"fee_type" => self.fee_type = Some(fee_type(scan)?),
            b"fee_type_override" => self.fee_type_override = Some(fee_type(scan)?),
            b"fee_multiplier" => self.multiplier = Some(ppm(scan)?),
            b"fee_multiplier_override" => self.multiplier_override = Some(ppm(scan)?),
            _ => scan.skip()?,
        }
        Ok(())
    }
}

/// A value or null.
fn nullable<'a, T>(
    scan: &mut Scan<'a>,
    read: impl FnOnce(&mut Scan<'a>) -> Result<T, ScanError>,
) -> Result<Option<T>, ScanError> {
    if scan.null()? { Ok(None) } else { read(scan).map(Some) }
}

fn text(scan: &mut Scan<'_>) -> Result<Option<String>, ScanError> {
    nullable(scan, |scan| scan.text().map(std::borrow::Cow::into_owned))
}

/// The first text of a list, which may be written as JSON within a string.
fn first(scan: &mut Scan<'_>) -> Result<Option<String>, ScanError> {
    if !scan.starts(b'"') {
        return first_of(scan);
    }
    let list = scan.text()?;
    first_of(&mut Scan::new(list.as_bytes())).map_err(|_| scan.error("a list of outcomes was expected"))
}

fn first_of(scan: &mut Scan<'_>) -> Result<Option<String>, ScanError> {
    if scan.null()? {
        return Ok(None);
    }
    let mut found = None;
    scan.array()?;
    while scan.item()? {
        let name = scan.text()?;
        found.get_or_insert_with(|| name.into_owned());
    }
    Ok(found)
}

/// The digits of a number, written as a number or as a string; the empty string counts as null, as Kalshi writes it.
fn digits<'a>(scan: &mut Scan<'a>) -> Result<Option<&'a [u8]>, ScanError> {
    let read = |scan: &mut Scan<'a>| if scan.starts(b'"') { scan.plain() } else { scan.number() };
    Ok(nullable(scan, read)?.filter(|digits| !digits.is_empty()))
}

fn number(scan: &mut Scan<'_>, decimals: u8) -> Result<Option<i64>, ScanError> {
    let Some(digits) = digits(scan)? else { return Ok(None) };
    decimal::parse(digits, decimals).map(Some).ok_or_else(|| scan.error("a decimal was expected"))
}

fn ppm(scan: &mut Scan<'_>) -> Result<Option<u32>, ScanError> {
    let value = number(scan, 6)?;
    value.map(u32::try_from).transpose().map_err(|_| scan.error("a rate that is negative or too large"))
}

fn dollars_ppm(scan: &mut Scan<'_>) -> Result<Option<Ppm>, ScanError> {
    let value = ppm(scan)?.map(Ppm);
    if value.is_some_and(|v| !v.is_valid()) { Err(scan.error("a payout above 1")) } else { Ok(value) }
}

fn index_value(scan: &mut Scan<'_>) -> Result<Option<IndexPrice>, ScanError> {
    let Some(digits) = digits(scan)? else { return Ok(None) };
    let value = std::str::from_utf8(digits).ok().and_then(|text| match text.strip_prefix('-') {
        Some(text) => IndexPrice::from_decimal(text).map(|v| IndexPrice(-v.0)),
        None => IndexPrice::from_decimal(text),
    });
    value.map(Some).ok_or_else(|| scan.error("an index value was expected"))
}

fn hash(scan: &mut Scan<'_>) -> Result<Option<[u8; 32]>, ScanError> {
    let Some(text) = text(scan)? else { return Ok(None) };
    let id = text.parse::<schemas::CommitHash>();
    id.map(|id| Some(id.0)).map_err(|_| scan.error("64 lower-case hex digits were expected"))
}

fn fee_type(scan: &mut Scan<'_>) -> Result<Option<KalshiFeeType>, ScanError> {
    let Some(word) = nullable(scan, Scan::plain)?.filter(|w| !w.is_empty()) else { return Ok(None) };
    KalshiFeeType::parse(word).map(Some).ok_or_else(|| scan.error("an unknown fee type"))
}

fn ranges(scan: &mut Scan<'_>) -> Result<Option<PriceRanges>, ScanError> {
    if scan.null()? {
        return Ok(None);
    }
    let mut out = Vec::new();
    scan.array()?;
    while scan.item()? {
        let (mut start, mut end, mut step) = (None, None, None);
        scan.object()?;
        while let Some(key) = scan.key()? {
            match key {
                b"start" => start = number(scan, 6)?,
                b"end" => end = number(scan, 6)?,
                b"step" => step = number(scan, 6)?,
                _ => scan.skip()?,
            }
        }
        let (Some(start), Some(end), Some(step)) = (start, end, step) else {
            return Err(scan.error("a price range without start, end or step"));
        };
        out.push(PriceRange { start, end, step });
    }
    PriceRanges::new(out).map(Some).map_err(|_| scan.error("price ranges that do not fit together"))
}

fn schedule(scan: &mut Scan<'_>) -> Result<Option<PolymarketSchedule>, ScanError> {
    if scan.null()? {
        return Ok(None);
    }
    let (mut rate, mut exponent, mut taker_only, mut rebate) = (None, None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"rate" => rate = ppm(scan)?,
            b"exponent" => exponent = number(scan, 0)?,
            b"takerOnly" | b"taker_only" => taker_only = nullable(scan, Scan::boolean)?,
            b"rebateRate" | b"rebate_rate" => rebate = ppm(scan)?,
            _ => scan.skip()?,
        }
    }
    let exponent = exponent.and_then(|e| u8::try_from(e).ok());
    let (Some(rate), Some(exponent), Some(taker_only)) = (rate, exponent, taker_only) else {
        return Err(scan.error("a fee schedule without rate, exponent or takerOnly"));
    };
    Ok(Some(PolymarketSchedule { rate, exponent, taker_only, rebate, tokens_on_buys: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_base_fees_say_nothing_and_half_a_schedule_is_an_error() {
        let legacy =
            Detail::parse(r#"{"takerBaseFee":1000,"makerBaseFee":1000,"feesEnabled":true}"#).unwrap();
        assert_eq!(legacy, Detail::default());
        let said = Detail::parse(
            r#"{"takerBaseFee":1000,"feeSchedule":{"rate":0.07,"exponent":1,"takerOnly":true,"rebateRate":0.2}}"#,
        );
        let Some(FeeChange::Polymarket(Some(schedule))) = said.unwrap().fees else { panic!("no schedule") };
        assert_eq!((schedule.rate, schedule.exponent, schedule.rebate), (70_000, 1, Some(200_000)));
        for broken in [
            r#"{"feeSchedule":{"exponent":1,"takerOnly":true}}"#,
            r#"{"feeSchedule":{"rate":null,"exponent":1,"takerOnly":true}}"#,
            r#"{"feeSchedule":{"rate":0.07,"exponent":1.5,"takerOnly":true}}"#,
            r#"{"fee_type":"cubic"}"#,
            r#"{"settlement_value_dollars":"1.01"}"#,
            r#"{"price_ranges":[{"start":"0","end":"1"}]}"#,
            r#"{"floor_strike":"1e5"}"#,
            "[]",
        ] {
            assert!(Detail::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_null_override_is_told_and_an_absent_one_is_not() {
        let null = Detail::parse(r#"{"fee_type_override":null,"fee_multiplier_override":null}"#).unwrap();
        assert_eq!(null.event_fees, Some(FeeChange::Kalshi { fee_type: None, multiplier: None }));
        let half = Detail::parse(r#"{"fee_multiplier_override":0.5}"#).unwrap();
        assert_eq!(half.event_fees, Some(FeeChange::Kalshi { fee_type: None, multiplier: Some(500_000) }));
        assert_eq!(Detail::parse("{}").unwrap().event_fees, None);
    }

    #[test]
    fn kalshis_metadata_is_read_one_level_down() {
        let said = r#"{"event_type":"created","additional_metadata":{"event_ticker":"E","strike_type":"greater_or_equal","floor_strike":65000.01,"rules_primary":"a"},"price_level_structure":"linear_cent"}"#;
        let detail = Detail::parse(said).unwrap();
        assert_eq!(detail.event.as_deref(), Some("E"));
        assert_eq!(detail.floor, IndexPrice::from_decimal("65000.01"));
        assert!(detail.rules_hash.is_some() && detail.prices == Some(PriceRanges::linear_cent()));
        assert_eq!(Detail::parse(r#"{"additional_metadata":null}"#).unwrap(), Detail::default());
    }

    #[test]
    fn the_rules_text_is_known_by_its_hash() {
        let hash = |text: &str| Detail::parse(text).unwrap().rules_hash.unwrap();
        let one = hash(r#"{"rules_primary":"a","rules_secondary":"b"}"#);
        assert_ne!(one, hash(r#"{"rules_primary":"ab","rules_secondary":""}"#));
        assert_eq!(one, hash(r#"{"rules_secondary":"b","rules_primary":"a"}"#));
    }
}
