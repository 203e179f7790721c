//! The resolver: computes how a market ended by the question's rule, or says that it cannot be proved; it never asks
//! the venue who won.
//!
//! Up iff the last index value at or before the close is at or above the strike; a tie is Up. It is provable iff the
//! strike is known and a value carries exactly the closing second. Markets that end under another version of the rule
//! ([`rules::rule_for`]) are never decided by this one: they are reported as unprovable.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::id::EvidenceHash;
use schemas::time::NANOS_PER_SEC;
use schemas::{
    Determination, Digest, IndexPrice, IndexTick, Machine, Market, MarketEvent, MarketId, Record,
    ResolutionReport, Snapshot as _, Timestamp, VoidReason,
};

use crate::fact::{FactInput, time_of};
use crate::reference::Ticks;
use crate::truth::rules;

/// Settings of a [`Resolver`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResolverConfig {
    /// The index pair, e.g. `btc/usd`.
    #[n(0)]
    pub symbol: String,
    /// How long after the close a missing strike or closing value is waited for, ns. The relay is late at times: on
    /// the recorded day by up to 63 s, and by 24 s for one closing value.
    #[n(1)]
    pub grace_ns: i64,
    /// How long after the close a decided market is remembered, so that it is reported once, ns.
    #[n(2)]
    pub remember_ns: i64,
    /// How many markets are kept; the one that closes first is dropped first.
    #[n(3)]
    pub max_markets: u32,
    /// How many of the newest index values are kept for markets that are listed late.
    #[n(4)]
    pub max_ticks: u32,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            symbol: "btc/usd".to_owned(),
            grace_ns: 90 * NANOS_PER_SEC,
            remember_ns: 7_200 * NANOS_PER_SEC,
            max_markets: 256,
            max_ticks: 1_024,
        }
    }
}

/// What a validator signs and reports.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReportDraft {
    /// The market.
    #[n(0)]
    pub market: MarketId,
    /// Its end.
    #[n(1)]
    pub closes_at: Timestamp,
    /// How it ended.
    #[n(2)]
    pub determination: Determination,
    /// [`ResolutionReport::evidence`] of strike and closing value.
    #[n(3)]
    pub evidence: EvidenceHash,
}

/// A market as far as the resolver needs it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Case {
    #[n(0)]
    closes_at: Timestamp,
    #[n(1)]
    strike: Option<IndexPrice>,
    #[n(2)]
    closing: Option<IndexPrice>,
    #[n(3)]
    reported: bool,
}

/// One validator's resolver: facts in, one draft per market out.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Resolver {
    #[n(0)]
    config: ResolverConfig,
    #[n(1)]
    now: Timestamp,
    #[n(2)]
    cases: BTreeMap<MarketId, Case>,
    #[n(3)]
    ticks: Ticks,
    #[n(4)]
    dropped: u64,
}

impl Resolver {
    /// A resolver that has seen nothing.
    pub fn new(config: ResolverConfig) -> Self {
        Self { config, now: Timestamp::ZERO, cases: BTreeMap::new(), ticks: Ticks::new(), dropped: 0 }
    }

    /// Markets dropped undecided because `max_markets` was reached.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn deadline(&self, case: &Case) -> Timestamp {
        case.closes_at.plus(self.config.grace_ns.max(1))
    }

    /// Reports every market whose time of grace is over.
    fn run(&mut self, out: &mut Vec<ReportDraft>) {
        let due: Vec<MarketId> = self
            .cases
            .iter()
            .filter(|(_, case)| !case.reported && self.now >= self.deadline(case))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.decide(&id, out);
        }
        let forget = self.now.plus(-self.config.remember_ns.max(self.config.grace_ns));
        self.cases.retain(|_, case| !case.reported || case.closes_at > forget);
    }

    /// Reports a market if it is proved, or if it can no longer be.
    fn decide(&mut self, id: &MarketId, out: &mut Vec<ReportDraft>) {
        let Some(case) = self.cases.get(id) else { return };
        let instantaneous = rules::is_instantaneous(case.closes_at);
        let determination = match (case.strike, case.closing) {
            (Some(strike), Some(closing)) if instantaneous => {
                Determination::Determined { up: closing >= strike, closing }
            }
            _ if self.now < self.deadline(case) => return,
            _ if !instantaneous => Determination::Void(VoidReason::NoRule),
            (None, _) => Determination::Void(VoidReason::NoStrike),
            (Some(_), _) => Determination::Void(VoidReason::NoClosingTick),
        };
        let evidence = ResolutionReport::evidence(case.strike, case.closing, case.closes_at);
        out.push(ReportDraft { market: id.clone(), closes_at: case.closes_at, determination, evidence });
        if let Some(case) = self.cases.get_mut(id) {
            case.reported = true;
        }
    }

    fn on_listed(&mut self, market: &Market, out: &mut Vec<ReportDraft>) {
        if market.symbol != self.config.symbol {
            return;
        }
        let closing = self.ticks.get(&market.closes_at).copied();
        let case = self.cases.entry(market.id.clone()).or_insert(Case {
            closes_at: market.closes_at,
            strike: None,
            closing,
            reported: false,
        });
        if case.reported {
            return;
        }
        case.strike = case.strike.or(market.strike);
        self.decide(&market.id, out);
        self.bound();
    }

    fn bound(&mut self) {
        while self.cases.len() > self.config.max_markets.max(1) as usize {
            let oldest = self.cases.iter().min_by_key(|(id, case)| (case.closes_at, (*id).clone()));
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { return };
            if self.cases.remove(&id).is_some_and(|case| !case.reported) {
                self.dropped += 1;
            }
        }
    }

    fn on_tick(&mut self, tick: &IndexTick, out: &mut Vec<ReportDraft>) {
        if tick.symbol != self.config.symbol {
            return;
        }
        self.ticks.entry(tick.feed_at).or_insert(tick.value);
        while self.ticks.len() > self.config.max_ticks.max(1) as usize {
            self.ticks.pop_first();
        }
        let closing =
            |case: &Case| !case.reported && case.closing.is_none() && case.closes_at == tick.feed_at;
        let closed: Vec<MarketId> =
            self.cases.iter().filter(|(_, case)| closing(case)).map(|(id, _)| id.clone()).collect();
        for id in closed {
            if let Some(case) = self.cases.get_mut(&id) {
                case.closing = Some(tick.value);
            }
            self.decide(&id, out);
        }
    }
}

impl Machine for Resolver {
    type Input = FactInput;
    type Output = ReportDraft;

    fn apply(&mut self, record: &Record<FactInput>, out: &mut Vec<ReportDraft>) {
        self.now = self.now.max(time_of(record));
        self.run(out);
        match &record.body {
            FactInput::Market(MarketEvent::Listed(market)) => self.on_listed(market, out),
            FactInput::Market(MarketEvent::Tick(tick)) => self.on_tick(tick, out),
            _ => {}
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.cases.values().filter(|case| !case.reported).map(|case| self.deadline(case)).min()
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
