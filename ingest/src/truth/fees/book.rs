//! Which fee terms held where and when, by what was known when; it never falls back to a rate that nobody told.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{Digest, Snapshot as _, Timestamp, Venue};

use super::{
    FeeError, KalshiFeeType, PolymarketFee, PolymarketSchedule, Role, kalshi_fill_fee, polymarket_fee,
};
use crate::truth::bitemporal::{History, Version};

/// What a fee schedule is about; the narrower wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum FeeScope {
    /// Everything at a venue.
    #[n(0)]
    Venue(#[n(0)] Venue),
    /// A category, e.g. Polymarket `crypto`.
    #[n(1)]
    Category(#[n(0)] Venue, #[n(1)] String),
    /// A Kalshi series.
    #[n(2)]
    Series(#[n(0)] Venue, #[n(1)] String),
    /// An event.
    #[n(3)]
    Event(#[n(0)] Venue, #[n(1)] String),
    /// One market.
    #[n(4)]
    Market(#[n(0)] Venue, #[n(1)] String),
}

/// Where a market stands among the scopes; parts that are not known are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePath<'a> {
    /// Venue.
    pub venue: Venue,
    /// Category.
    pub category: Option<&'a str>,
    /// Series.
    pub series: Option<&'a str>,
    /// Event.
    pub event: Option<&'a str>,
    /// Market.
    pub market: Option<&'a str>,
}

impl FeePath<'_> {
    /// The scopes from the narrowest to the widest.
    fn scopes(&self) -> impl Iterator<Item = FeeScope> {
        let venue = self.venue;
        let own = |part: Option<&str>| part.map(str::to_owned);
        [
            own(self.market).map(|name| FeeScope::Market(venue, name)),
            own(self.event).map(|name| FeeScope::Event(venue, name)),
            own(self.series).map(|name| FeeScope::Series(venue, name)),
            own(self.category).map(|name| FeeScope::Category(venue, name)),
            Some(FeeScope::Venue(venue)),
        ]
        .into_iter()
        .flatten()
    }
}

/// What a venue said about the fees of a scope. `None` inside: it says nothing here any more, the wider scope holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FeeChange {
    /// Kalshi: a series' terms, or an event's override with either part null.
    #[n(0)]
    Kalshi {
        /// `fee_type` or `fee_type_override`.
        #[n(0)]
        fee_type: Option<KalshiFeeType>,
        /// `fee_multiplier` or `fee_multiplier_override`, in 1e-6.
        #[n(1)]
        multiplier: Option<u32>,
    },
    /// Polymarket: a market's `feeSchedule`, or a category's.
    #[n(1)]
    Polymarket(#[n(0)] Option<PolymarketSchedule>),
}

/// Kalshi's terms with all overrides resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KalshiTerms {
    /// Kind.
    #[n(0)]
    pub fee_type: KalshiFeeType,
    /// Multiplier in 1e-6.
    #[n(1)]
    pub multiplier: u32,
}

/// The terms that hold for a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FeeTerms {
    /// Kalshi.
    #[n(0)]
    Kalshi(#[n(0)] KalshiTerms),
    /// Polymarket.
    #[n(1)]
    Polymarket(#[n(0)] PolymarketSchedule),
}

impl FeeTerms {
    /// The fee of one execution in 1e-5 of its unit: [`kalshi_fill_fee`] (before balance rounding) or [`polymarket_fee`].
    ///
    /// `qty` in the venue's own unit (Kalshi 1e-2 contracts, Polymarket 1e-6 shares), `price` in 1e-6 dollars.
    pub fn fee(&self, role: Role, buys: bool, qty: i64, price: i64) -> Result<PolymarketFee, FeeError> {
        match self {
            Self::Kalshi(terms) => {
                let fee = kalshi_fill_fee(terms.fee_type, terms.multiplier, role, qty, price)?;
                Ok(PolymarketFee { amount: fee.saturating_mul(10), unit: super::FeeUnit::Usdc })
            }
            Self::Polymarket(schedule) => polymarket_fee(schedule, role, buys, qty, price),
        }
    }
}

/// All fee schedules that were ever told, with both times. Nothing is overwritten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct FeeBook {
    #[n(0)]
    scopes: BTreeMap<FeeScope, History<FeeChange>>,
}

impl FeeBook {
    /// A book that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was told; returns whether it was news.
    pub fn note(&mut self, scope: FeeScope, version: Version<FeeChange>) -> bool {
        self.scopes.entry(scope).or_default().note(version)
    }

    /// Everything told about a scope, in the order it was told.
    pub fn history(&self, scope: &FeeScope) -> &[Version<FeeChange>] {
        self.scopes.get(scope).map_or(&[], History::versions)
    }

    /// The terms that held at `valid` by what was known at `known`.
    ///
    /// Narrower scopes win; a part that a scope cleared or never told comes from the next wider one. Kalshi's two parts
    /// are looked up one by one, as an event may override either alone.
    pub fn held(&self, path: FeePath<'_>, valid: Timestamp, known: Timestamp) -> Result<FeeTerms, FeeError> {
        let (mut kind, mut factor) = (None, None);
        for scope in path.scopes() {
            let Some(held) = self.scopes.get(&scope).and_then(|h| h.as_of(valid, known)) else { continue };
            match held.value {
                FeeChange::Polymarket(Some(schedule)) => return Ok(FeeTerms::Polymarket(schedule)),
                FeeChange::Polymarket(None) => {}
                FeeChange::Kalshi { fee_type, multiplier } => {
                    kind = kind.or(fee_type);
                    factor = factor.or(multiplier);
                }
            }
            if let (Some(fee_type), Some(multiplier)) = (kind, factor) {
                return Ok(FeeTerms::Kalshi(KalshiTerms { fee_type, multiplier }));
            }
        }
        Err(FeeError::ScheduleUnknown)
    }

    /// Equal history, equal digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
