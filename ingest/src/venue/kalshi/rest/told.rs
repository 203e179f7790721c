//! A market's object as what it tells of the market's life, in the form that WebSocket messages have too; it says nothing
//! that the object does not.

use super::RestError;
use super::market::{Event, Market};
use crate::decimal;
use crate::truth::canon::{Fields, quoted};
use crate::truth::detail::rules_hash;
use crate::venue::kalshi::life::{PriceRange, Told};

impl Market {
    /// What it tells of the market's life: phase, payout, close, and the terms as `detail`.
    pub fn told(&self) -> Result<Told<'_>, RestError> {
        self.told_with(self.terms())
    }

    /// The same for a market read within its event, which knows its series and its own fees.
    pub fn told_within(&self, event: &Event) -> Result<Told<'_>, RestError> {
        if event.event_ticker != self.event_ticker {
            return Err(RestError::shape("a market of another event"));
        }
        let mut fields = self.terms();
        fields.text("series_ticker", Some(&event.series_ticker));
        // One override says that the other is the series' own.
        if event.fee_type_override.is_some() || event.fee_multiplier_override.is_some() {
            let kind = event.fee_type_override.as_deref().map_or_else(|| "null".to_owned(), quoted);
            let multiplier = event.fee_multiplier_override.map(|factor| decimal::print(factor.0.into(), 6));
            fields.json("fee_type_override", kind);
            fields.json("fee_multiplier_override", multiplier.unwrap_or_else(|| "null".to_owned()));
        }
        self.told_with(fields)
    }

    fn told_with(&self, fields: Fields) -> Result<Told<'_>, RestError> {
        Ok(Told {
            ticker: &self.ticker,
            said: self.status.name(),
            phase: self.status.phase(),
            payout: self.payout()?,
            closes_at: Some(self.close_time.0),
            detail: fields.finish().into(),
            whole: true,
        })
    }

    /// The terms by the venue's own names, the rules by the hash of their texts. What moves with every trade is no term.
    fn terms(&self) -> Fields {
        let mut fields = Fields::default();
        fields.text("event_ticker", Some(&self.event_ticker));
        fields.text("market_type", Some(self.market_type.name()));
        fields.text("result", Some(&self.result));
        let value = self.settlement_value.map(|value| decimal::print(value.0, 6));
        fields.text("settlement_value_dollars", value.as_deref());
        fields.text("expiration_value", self.expiration_value.as_deref());
        fields.plain("settlement_timer_seconds", Some(self.settlement_timer_seconds));
        fields.text("settlement_bounds_type", self.settlement_bounds_type.as_deref());
        fields.text("strike_type", self.strike_type.map(super::StrikeType::name));
        fields.plain("floor_strike", self.floor_strike.as_ref().map(|strike| &strike.0));
        fields.plain("cap_strike", self.cap_strike.as_ref().map(|strike| &strike.0));
        fields.text("functional_strike", self.functional_strike.as_deref());
        fields.plain("custom_strike", self.custom_strike.as_ref());
        fields.text("price_level_structure", Some(&self.price_level_structure));
        fields.json("price_ranges", ranges(&self.price_ranges));
        let rules = rules_hash([Some(&self.rules_primary), Some(&self.rules_secondary), None]);
        fields.text("rules_hash", Some(&schemas::CommitHash(rules).to_string()));
        fields.plain("can_close_early", Some(self.can_close_early));
        fields.text("early_close_condition", self.early_close_condition.as_deref());
        fields.plain("is_provisional", self.is_provisional);
        fields.plain("exchange_index", self.exchange_index);
        fields.text("mve_collection_ticker", self.mve_collection_ticker.as_deref());
        fields
    }
}

fn ranges(ranges: &[PriceRange]) -> String {
    let range = |r: &PriceRange| {
        let [end, start, step] = [r.end, r.start, r.step].map(|price| quoted(&decimal::print(price, 6)));
        format!(r#"{{"end":{end},"start":{start},"step":{step}}}"#)
    };
    format!("[{}]", ranges.iter().map(range).collect::<Vec<_>>().join(","))
}
