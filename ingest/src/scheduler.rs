//! The question schedule: at a fixed time of each market it asks each topic's question, or counts why not; it never
//! backdates and never looks ahead.
//!
//! What is due is asked before the record that carries the clock past it is read, so a question sees nothing that was
//! stamped after it opened.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use schemas::time::NANOS_PER_SEC;
use schemas::{
    Digest, IndexPrice, IndexTick, Intake, Machine, Market, MarketEvent, MarketId, Ppm, Question, Quote,
    Record, Snapshot as _, Timestamp, TopicId, TopicRules,
};

use crate::fact::{FactInput, time_of};
use crate::reference::{self, Ticks};

/// Settings of a [`Scheduler`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SchedulerConfig {
    /// The index pair, e.g. `btc/usd`.
    #[n(0)]
    pub symbol: String,
    /// A question that is due but seen this much later is not asked, ns.
    #[n(1)]
    pub late_ns: i64,
    /// A quote older than this when a question opens gives no mid price, ns.
    #[n(2)]
    pub quote_age_ns: i64,
    /// Index values older than this, by the feed's own time, are forgotten, ns.
    #[n(3)]
    pub history_ns: i64,
    /// How many index values are kept at most.
    #[n(4)]
    pub max_ticks: u32,
    /// How many markets are kept at most; further ones are counted and ignored.
    #[n(5)]
    pub max_markets: u32,
    /// How many topics are kept at most; further ones are counted and ignored.
    #[n(6)]
    pub max_topics: u32,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            symbol: "btc/usd".to_owned(),
            late_ns: NANOS_PER_SEC,
            quote_age_ns: 60 * NANOS_PER_SEC,
            history_ns: 3_900 * NANOS_PER_SEC,
            max_ticks: 8_192,
            max_markets: 64,
            max_topics: 64,
        }
    }
}

/// Why a question was not asked, or a record not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum SkipReason {
    /// The strike was not known when the question was due.
    #[n(0)]
    NoStrike,
    /// No index value at or before the opening.
    #[n(1)]
    NoInput,
    /// The newest index value is older than the topic allows.
    #[n(2)]
    StaleInput,
    /// Less than two minutes of index values: no volatility, no reference.
    #[n(3)]
    ShortHistory,
    /// The clock passed the opening unseen, or the market was listed after it.
    #[n(4)]
    Late,
    /// The topic's horizon lies at or after the close.
    #[n(5)]
    NoTimeLeft,
    /// More markets than are kept.
    #[n(6)]
    MarketLimit,
    /// More topics than are kept.
    #[n(7)]
    TopicLimit,
}

impl SkipReason {
    /// Every reason, for metrics.
    pub const ALL: [Self; 8] = [
        Self::NoStrike,
        Self::NoInput,
        Self::StaleInput,
        Self::ShortHistory,
        Self::Late,
        Self::NoTimeLeft,
        Self::MarketLimit,
        Self::TopicLimit,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoStrike => "no_strike",
            Self::NoInput => "no_input",
            Self::StaleInput => "stale_input",
            Self::ShortHistory => "short_history",
            Self::Late => "late",
            Self::NoTimeLeft => "no_time_left",
            Self::MarketLimit => "market_limit",
            Self::TopicLimit => "topic_limit",
        }
    }
}

/// A market and its newest quote.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Listing {
    #[n(0)]
    market: Market,
    #[n(1)]
    quote: Option<Quote>,
    #[n(2)]
    quoted_at: Timestamp,
}

/// One question that is still to be asked, in the order of asking.
type Due = (Timestamp, MarketId, TopicId);

/// Facts and topics in, questions out.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Scheduler {
    #[n(0)]
    config: SchedulerConfig,
    #[n(1)]
    now: Timestamp,
    #[n(2)]
    topics: BTreeMap<TopicId, TopicRules>,
    #[n(3)]
    listings: BTreeMap<MarketId, Listing>,
    #[n(4)]
    due: BTreeSet<Due>,
    #[n(5)]
    ticks: Ticks,
    #[n(6)]
    skips: BTreeMap<SkipReason, u64>,
    #[n(7)]
    asked: u64,
}

impl Scheduler {
    /// A schedule without topics and markets.
    pub fn new(config: SchedulerConfig) -> Self {
        Self {
            config,
            now: Timestamp::ZERO,
            topics: BTreeMap::new(),
            listings: BTreeMap::new(),
            due: BTreeSet::new(),
            ticks: Ticks::new(),
            skips: BTreeMap::new(),
            asked: 0,
        }
    }

    /// How many questions were not asked, or records not kept, by reason.
    pub fn skips(&self) -> &BTreeMap<SkipReason, u64> {
        &self.skips
    }

    /// How many questions were asked.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    fn skip(&mut self, reason: SkipReason) {
        *self.skips.entry(reason).or_default() += 1;
    }

    /// Asks everything that is due, then forgets the markets that have closed.
    fn run(&mut self, out: &mut Vec<Question>) {
        while self.due.first().is_some_and(|(opens_at, ..)| *opens_at <= self.now) {
            let Some((opens_at, market, topic)) = self.due.pop_first() else { return };
            match self.ask(opens_at, &market, &topic) {
                Ok(question) => {
                    self.asked += 1;
                    out.push(question);
                }
                Err(reason) => self.skip(reason),
            }
        }
        let now = self.now;
        self.listings.retain(|_, listing| listing.market.closes_at > now);
    }

    fn ask(&self, opens_at: Timestamp, market: &MarketId, topic: &TopicId) -> Result<Question, SkipReason> {
        let late = self.now.since(opens_at) > self.config.late_ns;
        let (Some(listing), Some(rules), false) = (self.listings.get(market), self.topics.get(topic), late)
        else {
            return Err(SkipReason::Late);
        };
        let market = &listing.market;
        let strike = market.strike.ok_or(SkipReason::NoStrike)?;
        let (watermark, spot) = reference::value_at(&self.ticks, opens_at).ok_or(SkipReason::NoInput)?;
        if opens_at.since(watermark) >= rules.max_input_age_ns {
            return Err(SkipReason::StaleInput);
        }
        let commit_closes_at = opens_at.plus(rules.commit_window_ns);
        Ok(Question {
            id: Question::derive_id(&rules.id, rules.version, &market.id, opens_at),
            topic: rules.id.clone(),
            rules_version: rules.version,
            rules_hash: rules.hash(),
            market: market.id.clone(),
            symbol: market.symbol.clone(),
            strike,
            market_starts_at: market.starts_at,
            opens_at,
            commit_closes_at,
            reveal_closes_at: commit_closes_at.plus(rules.reveal_window_ns),
            resolves_at: market.closes_at,
            reference: self.reference(spot, strike, opens_at, market.closes_at)?,
            reference_source: reference::SOURCE.to_owned(),
            input_watermark: watermark,
            market_mid: self.mid(listing, opens_at),
        })
    }

    fn reference(
        &self,
        spot: IndexPrice,
        strike: IndexPrice,
        opens_at: Timestamp,
        closes_at: Timestamp,
    ) -> Result<Ppm, SkipReason> {
        let sigma = reference::sigma(&self.ticks, opens_at).ok_or(SkipReason::ShortHistory)?;
        let tau_s = closes_at.since(opens_at) as f64 / NANOS_PER_SEC as f64;
        reference::probability_up(spot, strike, sigma, tau_s).ok_or(SkipReason::NoTimeLeft)
    }

    /// The middle of a two-sided quote that is fresh enough.
    fn mid(&self, listing: &Listing, opens_at: Timestamp) -> Option<Ppm> {
        let quote = listing.quote.as_ref()?;
        let (bid, ask) = (quote.bid?, quote.ask?);
        let fresh = opens_at.since(listing.quoted_at) <= self.config.quote_age_ns;
        let mid = u32::try_from(i64::midpoint(bid.0, ask.0)).ok().map(Ppm)?;
        (fresh && mid.is_valid()).then_some(mid)
    }

    /// When a topic asks about a market, if it covers it.
    fn opens_at(rules: &TopicRules, market: &Market) -> Option<Timestamp> {
        let interval_ns = i64::from(rules.interval_s) * NANOS_PER_SEC;
        let covers = rules.symbol == market.symbol && market.closes_at.since(market.starts_at) == interval_ns;
        covers.then(|| market.starts_at.plus(i64::from(rules.horizon_s) * NANOS_PER_SEC))
    }

    fn on_listed(&mut self, market: &Market) {
        if market.symbol != self.config.symbol || market.closes_at <= self.now {
            return;
        }
        if let Some(known) = self.listings.get_mut(&market.id) {
            known.market.strike = known.market.strike.or(market.strike);
            return;
        }
        if self.listings.len() >= self.config.max_markets as usize {
            return self.skip(SkipReason::MarketLimit);
        }
        let listing = Listing { market: market.clone(), quote: None, quoted_at: Timestamp::ZERO };
        self.listings.insert(market.id.clone(), listing);
        let topics: Vec<TopicRules> = self.topics.values().cloned().collect();
        for rules in &topics {
            self.plan(rules, market, true);
        }
    }

    fn plan(&mut self, rules: &TopicRules, market: &Market, count_late: bool) {
        match Self::opens_at(rules, market) {
            Some(opens_at) if opens_at >= market.closes_at => self.skip(SkipReason::NoTimeLeft),
            Some(opens_at) if opens_at > self.now => {
                self.due.insert((opens_at, market.id.clone(), rules.id.clone()));
            }
            Some(_) if count_late => self.skip(SkipReason::Late),
            _ => {}
        }
    }

    fn on_topic(&mut self, rules: &TopicRules) {
        if rules.symbol != self.config.symbol {
            return;
        }
        let known = self.topics.get(&rules.id);
        if known.is_some_and(|old| old.version >= rules.version) {
            return;
        }
        if known.is_none() && self.topics.len() >= self.config.max_topics as usize {
            return self.skip(SkipReason::TopicLimit);
        }
        self.topics.insert(rules.id.clone(), rules.clone());
        self.due.retain(|(.., topic)| *topic != rules.id);
        let markets: Vec<Market> = self.listings.values().map(|l| l.market.clone()).collect();
        for market in &markets {
            self.plan(rules, market, false);
        }
    }

    fn on_tick(&mut self, tick: &IndexTick) {
        if tick.symbol != self.config.symbol {
            return;
        }
        self.ticks.insert(tick.feed_at, tick.value);
        let newest = self.ticks.last_key_value().map_or(tick.feed_at, |(newest, _)| *newest);
        let oldest = newest.plus(-self.config.history_ns);
        let full = |ticks: &Ticks| ticks.len() > self.config.max_ticks.max(1) as usize;
        while full(&self.ticks) || self.ticks.first_key_value().is_some_and(|(t, _)| *t < oldest) {
            self.ticks.pop_first();
        }
    }

    fn on_quote(&mut self, quote: &Quote) {
        if let Some(listing) = self.listings.get_mut(&quote.market) {
            listing.quote = Some(quote.clone());
            listing.quoted_at = self.now;
        }
    }
}

impl Machine for Scheduler {
    type Input = FactInput;
    type Output = Question;

    fn apply(&mut self, record: &Record<FactInput>, out: &mut Vec<Question>) {
        self.now = self.now.max(time_of(record));
        self.run(out);
        match &record.body {
            FactInput::Market(MarketEvent::Listed(market)) => self.on_listed(market),
            FactInput::Market(MarketEvent::Tick(tick)) => self.on_tick(tick),
            FactInput::Market(MarketEvent::Quote(quote)) => self.on_quote(quote),
            FactInput::Intake(Intake::Topic(rules)) => self.on_topic(rules),
            FactInput::Market(_) | FactInput::Intake(_) => {}
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.due.first().map(|(opens_at, ..)| *opens_at)
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
