//! The lifecycle table: what held of every market when, by what was known when; rows are added and nothing is removed,
//! not even a market that its venue no longer lists.
//!
//! Valid time is a row's `venue_at`; where the venue says none it is the receive time, and the version says so
//! ([`Version::told`]). Known time is `recv_at`. [`LifecycleTable::as_of`] answers with both.

use std::collections::{BTreeMap, btree_map::Entry};

use minicbor::{Decode, Encode};
use schemas::{
    Digest, InstrumentNo, LifecycleRow, MarketId, Phase, Ppm, Snapshot as _, TapeBody, TapeRow, Times,
    Timestamp, Venue,
};

use super::bitemporal::{History, Version};
use super::detail::{Detail, StrikeParts};
use super::fees::{FeeBook, FeeChange, FeeError, FeePath, FeeScope, FeeTerms};
use super::grid::PriceRanges;
use super::settler::Source;
use super::terms::{Strike, is_of_a_market};

/// A phase in our words and the venue's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stage {
    /// Ours.
    #[n(0)]
    pub phase: Phase,
    /// The venue's.
    #[n(1)]
    pub said: String,
}

/// Everything that was told about one market.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MarketHistory {
    /// Its phases; [`Phase::Changed`] is none.
    #[n(0)]
    pub stages: History<Stage>,
    /// What one yes contract pays: named, amended, restated.
    #[n(1)]
    pub payouts: History<Ppm>,
    /// When trading ends.
    #[n(2)]
    pub closes: History<Timestamp>,
    /// Its price grid.
    #[n(3)]
    pub prices: History<PriceRanges>,
    /// Hash of its rules text.
    #[n(4)]
    pub rules: History<[u8; 32]>,
    /// Its strike.
    #[n(5)]
    pub strikes: History<Strike>,
    /// Whether the venue's listing has it.
    #[n(6)]
    pub listings: History<bool>,
    /// Its series.
    #[n(7)]
    pub series: History<String>,
    /// Its event.
    #[n(8)]
    pub event: History<String>,
    /// Its category.
    #[n(9)]
    pub category: History<String>,
    /// When we first knew of it.
    #[n(10)]
    pub first_known: Timestamp,
    /// The parts of its strike that were told, in the order of the rows.
    #[n(11)]
    parts: StrikeParts,
}

/// What held of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketView<'a> {
    /// Its phase.
    pub stage: Option<&'a Version<Stage>>,
    /// What one yes contract pays.
    pub payout: Option<&'a Version<Ppm>>,
    /// When trading ends.
    pub closes_at: Option<&'a Version<Timestamp>>,
    /// Its price grid.
    pub prices: Option<&'a Version<PriceRanges>>,
    /// Hash of its rules text.
    pub rules: Option<&'a Version<[u8; 32]>>,
    /// Its strike.
    pub strike: Option<&'a Version<Strike>>,
    /// Whether the venue lists it; `None` if no listing was ever told.
    pub listed: Option<&'a Version<bool>>,
}

/// When a change holds from and is known from.
#[derive(Clone, Copy)]
struct When {
    times: Times,
    raw_seq: u64,
}

impl When {
    fn version<T>(self, value: T) -> Version<T> {
        Version {
            valid_from: self.times.venue_at.unwrap_or(self.times.recv_at),
            told: self.times.venue_at.is_some(),
            known_at: self.times.recv_at,
            raw_seq: self.raw_seq,
            value,
        }
    }

    fn note<T: PartialEq>(self, history: &mut History<T>, value: Option<T>) {
        if let Some(value) = value {
            history.note(self.version(value));
        }
    }
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LifecycleTable {
    #[n(0)]
    markets: BTreeMap<MarketId, MarketHistory>,
    #[n(1)]
    fees: FeeBook,
    /// Which market an instrument is of.
    #[n(2)]
    instruments: BTreeMap<(Source, InstrumentNo), MarketId>,
    #[n(3)]
    unreadable: u64,
}

impl LifecycleTable {
    /// A table that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows whose detail could not be read; their phase, payout and close were taken.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Takes one row of a tape: instruments, lifecycle rows and tick sizes; others say nothing here.
    pub fn fold(&mut self, source: Source, row: &TapeRow) {
        let when = When { times: row.times, raw_seq: row.raw_seq };
        match &row.body {
            TapeBody::Instrument(instrument) => {
                let native =
                    if instrument.market.is_empty() { &instrument.native } else { &instrument.market };
                let id = MarketId { venue: instrument.venue, native: native.clone() };
                self.instruments.insert((source, row.instrument), id);
            }
            // One step is a whole grid at Polymarket; at Kalshi it is the finest of several ranges, which the market's
            // own rows carry.
            TapeBody::TickSize { new, .. } if source.venue == Venue::Polymarket => {
                if let Some(id) = self.instruments.get(&(source, row.instrument)).cloned() {
                    let market = self.market(&id, when);
                    when.note(&mut market.prices, PriceRanges::uniform(*new).ok());
                }
            }
            TapeBody::Lifecycle(life) => self.lifecycle(source, life, when),
            _ => {}
        }
    }

    fn market(&mut self, id: &MarketId, when: When) -> &mut MarketHistory {
        let known = when.times.recv_at;
        match self.markets.entry(id.clone()) {
            Entry::Vacant(place) => {
                place.insert(MarketHistory { first_known: known, ..MarketHistory::default() })
            }
            Entry::Occupied(held) => {
                let held = held.into_mut();
                held.first_known = held.first_known.min(known);
                held
            }
        }
    }

    fn lifecycle(&mut self, source: Source, row: &LifecycleRow, when: When) {
        let id = MarketId { venue: source.venue, native: row.market.clone() };
        let detail = Detail::parse(&row.detail);
        self.unreadable += u64::from(detail.is_err());
        let mut detail = detail.unwrap_or_default();
        let event = detail.event.clone();
        self.fees(&id, &detail, when);
        if !is_of_a_market(row) {
            return;
        }
        let market = self.market(&id, when);
        let stage = (row.phase != Phase::Changed).then(|| Stage { phase: row.phase, said: row.said.clone() });
        when.note(&mut market.stages, stage);
        when.note(&mut market.payouts, row.payout.filter(|p| p.is_valid()));
        when.note(&mut market.closes, row.closes_at);
        let told = detail.strike_type.is_some() || detail.floor.is_some() || detail.cap.is_some();
        if id.venue == Venue::Kalshi {
            market.parts.complete(&mut detail);
        }
        when.note(&mut market.strikes, detail.strike(id.venue).filter(|_| told));
        when.note(&mut market.prices, detail.prices);
        when.note(&mut market.rules, detail.rules_hash);
        when.note(&mut market.listings, detail.listed);
        when.note(&mut market.series, detail.series);
        when.note(&mut market.event, event);
        when.note(&mut market.category, detail.category);
    }

    fn fees(&mut self, id: &MarketId, detail: &Detail, when: When) {
        let mut note = |scope: Option<FeeScope>, change: Option<FeeChange>| {
            if let (Some(scope), Some(change)) = (scope, change) {
                self.fees.note(scope, when.version(change));
            }
        };
        let series = detail.series.clone().map(|name| FeeScope::Series(id.venue, name));
        let event = detail.event.clone().map(|name| FeeScope::Event(id.venue, name));
        note(series, detail.series_fees);
        note(event, detail.event_fees);
        note(Some(FeeScope::Market(id.venue, id.native.clone())), detail.fees);
    }

    /// Says that a venue's listing, read at `times`, has or no longer has a market. A market that is gone stays here.
    pub fn note_listed(&mut self, id: &MarketId, listed: bool, times: Times, raw_seq: u64) {
        let when = When { times, raw_seq };
        when.note(&mut self.market(id, when).listings, Some(listed));
    }

    /// What held of a market at `valid` by what was known at `known`; `None` if it was not known then.
    pub fn as_of(&self, id: &MarketId, valid: Timestamp, known: Timestamp) -> Option<MarketView<'_>> {
        let market = self.markets.get(id).filter(|market| market.first_known <= known)?;
        Some(MarketView {
            stage: market.stages.as_of(valid, known),
            payout: market.payouts.as_of(valid, known),
            closes_at: market.closes.as_of(valid, known),
            prices: market.prices.as_of(valid, known),
            rules: market.rules.as_of(valid, known),
            strike: market.strikes.as_of(valid, known),
            listed: market.listings.as_of(valid, known),
        })
    }

    /// What we knew of a market at an instant about that instant.
    pub fn knew_at(&self, id: &MarketId, at: Timestamp) -> Option<MarketView<'_>> {
        self.as_of(id, at, at)
    }

    /// Every market known by `known`, listed or not.
    pub fn universe(&self, known: Timestamp) -> impl Iterator<Item = &MarketId> {
        self.markets.iter().filter(move |(_, market)| market.first_known <= known).map(|(id, _)| id)
    }

    /// Everything that was ever told about a market.
    pub fn history(&self, id: &MarketId) -> Option<&MarketHistory> {
        self.markets.get(id)
    }

    /// The fee terms that held for a market at `valid` by what was known at `known`.
    pub fn fee_terms(&self, id: &MarketId, valid: Timestamp, known: Timestamp) -> Result<FeeTerms, FeeError> {
        let market = self.markets.get(id);
        // What a market belongs to has no beginning: the newest word of what was known counts.
        let name = |part: fn(&MarketHistory) -> &History<String>| {
            market.and_then(|m| part(m).as_of(Timestamp::MAX, known)).map(|v| v.value.as_str())
        };
        let path = FeePath {
            venue: id.venue,
            category: name(|m| &m.category),
            series: name(|m| &m.series),
            event: name(|m| &m.event),
            market: Some(&id.native),
        };
        self.fees.held(path, valid, known)
    }

    /// The fee schedules, e.g. to note those of a series that no market row carries.
    pub fn fee_book(&mut self) -> &mut FeeBook {
        &mut self.fees
    }

    /// Equal rows in equal order, equal digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
