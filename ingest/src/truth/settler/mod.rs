//! The settler: folds rows of any venue into settlements by rule, with bounded memory; it takes a venue's word only
//! where the rule is the venue's word.

mod case;
mod record;

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::time::NANOS_PER_SEC;
use schemas::{
    Digest, IndexRow, InstrumentKind, InstrumentNo, LifecycleRow, Machine, MarketId, Phase, Record,
    Snapshot as _, TapeBody, TapeRow, Timestamp, Venue,
};

pub use record::{SettlementRecord, SettlementState, Standing};

use super::detail::Detail;
use super::rules::Family;
use super::settle::IndexValues;
use super::terms::{IndexKey, MarketTerms, is_of_a_market};
use case::Case;

/// Settings of a [`Settler`]. All bounds are hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SettlerConfig {
    /// How long after the close missing evidence is waited for, ns.
    #[n(0)]
    pub grace_ns: i64,
    /// How long after its last news a settled market is remembered, ns. Later restatements of it are not recognised.
    #[n(1)]
    pub remember_ns: i64,
    /// An index value further ahead of the record's time than this is not taken, ns.
    #[n(2)]
    pub max_ahead_ns: i64,
    /// How many markets are kept; the one without news for longest is dropped first.
    #[n(3)]
    pub max_markets: u32,
    /// How many values of each kind are kept per index, the newest.
    #[n(4)]
    pub max_values: u32,
    /// How many indices are kept; values of others are not taken.
    #[n(5)]
    pub max_indices: u32,
}

impl Default for SettlerConfig {
    fn default() -> Self {
        Self {
            grace_ns: 90 * NANOS_PER_SEC,
            remember_ns: 86_400 * NANOS_PER_SEC,
            max_ahead_ns: 10 * NANOS_PER_SEC,
            max_markets: 65_536,
            max_values: 1_024,
            max_indices: 64,
        }
    }
}

/// Which tape a row is of: instrument numbers mean something only within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Source {
    /// Number of the tape.
    #[n(0)]
    pub tape: u16,
    /// The venue whose machine writes it.
    #[n(1)]
    pub venue: Venue,
}

/// What the settler reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettlerInput {
    /// The terms of a market, told by whoever discovered it.
    Terms(Box<MarketTerms>),
    /// A row of a tape.
    Row(Source, Box<TapeRow>),
    /// The clock reached this instant.
    TimeAdvanced(Timestamp),
}

/// What the settler saw. Every row it could not use is in one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct SettlerCounts {
    /// Records said.
    #[n(0)]
    pub records: u64,
    /// Markets dropped unsettled because `max_markets` was reached.
    #[n(1)]
    pub dropped: u64,
    /// Values that differ from one told before for the same instant; the first counts.
    #[n(2)]
    pub restated_values: u64,
    /// Values without the venue's time, or further ahead than allowed.
    #[n(3)]
    pub unusable_values: u64,
    /// Values of indices that were never introduced or are too many.
    #[n(4)]
    pub unknown_indices: u64,
    /// Lifecycle details that could not be read; phase and payout were taken all the same.
    #[n(5)]
    pub unreadable_details: u64,
    /// Terms that differ from what was told before; the first count.
    #[n(6)]
    pub restated_terms: u64,
    /// Payouts above 1; not taken.
    #[n(7)]
    pub bad_payouts: u64,
    /// Mismatches said.
    #[n(8)]
    pub mismatches: u64,
}

/// Folds rows into settlements.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Settler {
    #[n(0)]
    config: SettlerConfig,
    #[n(1)]
    now: Timestamp,
    #[n(2)]
    indices: BTreeMap<(Source, InstrumentNo), IndexKey>,
    #[n(3)]
    values: BTreeMap<IndexKey, IndexValues>,
    #[n(4)]
    cases: BTreeMap<MarketId, Case>,
    #[n(5)]
    counts: SettlerCounts,
    /// No case has its deadline before this.
    #[n(6)]
    next_due: Timestamp,
    /// When markets are forgotten next.
    #[n(7)]
    next_sweep: Timestamp,
}

impl Settler {
    /// A settler that has seen nothing.
    pub fn new(config: SettlerConfig) -> Self {
        Self {
            config,
            now: Timestamp::ZERO,
            indices: BTreeMap::new(),
            values: BTreeMap::new(),
            cases: BTreeMap::new(),
            counts: SettlerCounts::default(),
            next_due: Timestamp::MAX,
            next_sweep: Timestamp::ZERO,
        }
    }

    /// What was seen.
    pub fn counts(&self) -> SettlerCounts {
        self.counts
    }

    /// How a market stands, if anything was said about it and it is still remembered.
    pub fn state(&self, market: &MarketId) -> Option<&SettlementState> {
        self.cases.get(market)?.last.as_ref()
    }

    fn deadline(config: &SettlerConfig, case: &Case) -> Option<Timestamp> {
        if !case.waits() {
            return None;
        }
        case.terms.as_ref()?.closes_at.map(|at| at.plus(config.grace_ns.max(1)))
    }

    /// Decides what has waited long enough and forgets what is old.
    fn run(&mut self, out: &mut Vec<SettlementRecord>) {
        if self.now >= self.next_sweep {
            let remember = self.config.remember_ns.max(self.config.grace_ns).max(1);
            let forget = self.now.plus(-remember);
            self.cases.retain(|_, case| !case.is_over() || case.touched > forget);
            self.next_sweep = self.now.plus(remember / 8 + 1);
        }
        if self.now < self.next_due {
            return;
        }
        let deadline = |case: &Case| Self::deadline(&self.config, case);
        let due: Vec<MarketId> = self
            .cases
            .iter()
            .filter(|(_, case)| deadline(case).is_some_and(|at| at <= self.now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.decide(&id, out);
        }
        let next = self.cases.values().filter_map(|case| Self::deadline(&self.config, case)).min();
        self.next_due = next.unwrap_or(Timestamp::MAX);
    }

    fn decide(&mut self, id: &MarketId, out: &mut Vec<SettlementRecord>) {
        let Some(case) = self.cases.get_mut(id) else { return };
        let over = Self::deadline(&self.config, case).is_some_and(|at| at <= self.now);
        let index = case.terms.as_ref().and_then(|terms| terms.index.as_ref());
        let values = index.and_then(|key| self.values.get(key));
        case.compute(values, over);
        self.flush(id, out);
    }

    /// Moves what a case has to say into the output.
    fn flush(&mut self, id: &MarketId, out: &mut Vec<SettlementRecord>) {
        let Some(case) = self.cases.get_mut(id) else { return };
        let before = out.len();
        case.flush(id, self.now, out);
        self.counts.records += (out.len() - before) as u64;
        let mismatch = |r: &&SettlementRecord| matches!(r.state, SettlementState::Mismatch { .. });
        self.counts.mismatches += out[before..].iter().filter(mismatch).count() as u64;
    }

    fn on_terms(&mut self, terms: MarketTerms, out: &mut Vec<SettlementRecord>) {
        let id = terms.id.clone();
        let case = self.cases.entry(id.clone()).or_insert_with(|| Case::new(self.now));
        case.touched = self.now;
        self.counts.restated_terms += u64::from(case.learn(terms));
        self.decide(&id, out);
        let deadline = self.cases.get(&id).and_then(|case| Self::deadline(&self.config, case));
        self.next_due = self.next_due.min(deadline.unwrap_or(Timestamp::MAX));
        self.bound();
    }

    fn bound(&mut self) {
        while self.cases.len() > self.config.max_markets.max(1) as usize {
            let oldest = self.cases.iter().min_by_key(|(id, case)| (case.touched, (*id).clone()));
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { return };
            let case = self.cases.remove(&id);
            self.counts.dropped += u64::from(case.is_some_and(|case| !case.is_over()));
        }
    }

    fn on_lifecycle(
        &mut self,
        source: Source,
        row: &LifecycleRow,
        venue_at: Option<Timestamp>,
        out: &mut Vec<SettlementRecord>,
    ) {
        if !is_of_a_market(row) {
            return;
        }
        let id = MarketId { venue: source.venue, native: row.market.clone() };
        let detail = Detail::parse(&row.detail);
        self.counts.unreadable_details += u64::from(detail.is_err());
        let mut detail = detail.unwrap_or_default();
        let mut parts = self.cases.get(&id).map(|case| case.parts.clone()).unwrap_or_default();
        if id.venue == Venue::Kalshi {
            parts.complete(&mut detail);
        }
        let outcome =
            matches!(row.phase, Phase::Determined | Phase::Disputed | Phase::Amended | Phase::Final);
        match MarketTerms::from_detail(id.clone(), row.closes_at, &detail) {
            // The ticker says the family again with every row: nothing to remember until an outcome is named.
            Some(terms) if terms.family == Family::Reported && id.venue == Venue::Kalshi && !outcome => {
                return;
            }
            Some(terms) => self.on_terms(terms, out),
            None => {
                let case = self.cases.entry(id.clone()).or_insert_with(|| Case::new(self.now));
                case.touched = self.now;
                self.bound();
            }
        }
        let bad = row.payout.is_some_and(|p| !p.is_valid());
        self.counts.bad_payouts += u64::from(bad);
        if let Some(case) = self.cases.get_mut(&id) {
            case.parts = parts;
            if bad {
                return;
            }
            case.hear(row, venue_at);
        }
        self.flush(&id, out);
    }

    fn on_index(
        &mut self,
        source: Source,
        no: InstrumentNo,
        row: &IndexRow,
        venue_at: Option<Timestamp>,
        out: &mut Vec<SettlementRecord>,
    ) {
        let Some(key) = self.indices.get(&(source, no)) else {
            self.counts.unknown_indices += 1;
            return;
        };
        let ahead = self.now.plus(self.config.max_ahead_ns);
        let Some(venue_at) = venue_at.filter(|at| *at <= ahead) else {
            self.counts.unusable_values += 1;
            return;
        };
        let values = self.values.entry(key.clone()).or_default();
        let restated = values.note(row, venue_at, self.config.max_values as usize);
        self.counts.restated_values += u64::from(restated);
        let wanted: Vec<MarketId> = self
            .cases
            .iter()
            .filter(|(_, case)| case.reads(key, venue_at, self.now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in wanted {
            self.decide(&id, out);
        }
    }

    fn on_row(&mut self, source: Source, row: &TapeRow, out: &mut Vec<SettlementRecord>) {
        match &row.body {
            TapeBody::Instrument(instrument)
                if instrument.kind == InstrumentKind::Index
                    && self.indices.len() < self.config.max_indices as usize =>
            {
                let key = IndexKey::new(instrument.venue, &instrument.native);
                self.indices.insert((source, row.instrument), key);
            }
            TapeBody::Index(index) => self.on_index(source, row.instrument, index, row.times.venue_at, out),
            TapeBody::Lifecycle(life) => self.on_lifecycle(source, life, row.times.venue_at, out),
            _ => {}
        }
    }
}

impl Machine for Settler {
    type Input = SettlerInput;
    type Output = SettlementRecord;

    fn apply(&mut self, record: &Record<SettlerInput>, out: &mut Vec<SettlementRecord>) {
        let reached = match &record.body {
            SettlerInput::TimeAdvanced(to) => record.at.max(*to),
            _ => record.at,
        };
        self.now = self.now.max(reached);
        self.run(out);
        match &record.body {
            SettlerInput::Terms(terms) => self.on_terms((**terms).clone(), out),
            SettlerInput::Row(source, row) => self.on_row(*source, row, out),
            SettlerInput::TimeAdvanced(_) => {}
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        (self.next_due < Timestamp::MAX).then_some(self.next_due)
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
