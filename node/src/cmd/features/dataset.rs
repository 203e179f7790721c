//! Rows of a dataset: segments played through the feature code that serves live rows. Opens no file.

use std::collections::BTreeMap;

use forecaster::features::{FeatureSet, Gate, Query, Stream};
use ingest::reference::{self, Ticks};
use schemas::time::NANOS_PER_SEC;
use schemas::{MarketEvent, MarketId, Quote, Timestamp};

use super::source::{Asked, Fact, Segment};

/// The reference looks back less than this, ns; older values are forgotten.
const REFERENCE_KEEP_NS: i64 = 1_800 * NANOS_PER_SEC;
/// A quote older than this gives no mid, ns: as for a network's questions.
const QUOTE_AGE_NS: i64 = 60 * NANOS_PER_SEC;
/// Most ticks kept: two hours at ten a second.
const MAX_TICKS: u32 = 72_000;

/// What is asked of every market.
pub(super) struct Plan {
    /// The set.
    pub(super) set: &'static FeatureSet,
    /// What must hold for a row.
    pub(super) gate: Gate,
    /// The columns that are written, in order.
    pub(super) columns: Vec<usize>,
    /// When questions open, seconds after the start, ascending.
    pub(super) horizons_s: Vec<u32>,
}

/// What is known of a row beside its features.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The market's name.
    pub(super) market: String,
    /// Its start, seconds.
    pub(super) start_s: i64,
    /// Its end, seconds.
    pub(super) close_s: i64,
    /// What the row is as of, seconds.
    pub(super) asof_s: i64,
    /// Seconds from the start to there.
    pub(super) horizon_s: u32,
    /// The strike.
    pub(super) strike: schemas::IndexPrice,
    /// The reference forecast.
    pub(super) reference: f64,
    /// Whether Up won.
    pub(super) up: bool,
    /// The market's mid, if it was quoted in the last minute.
    pub(super) mid: Option<f64>,
}

/// What a question needs besides its features.
struct Known {
    reference: f64,
    up: bool,
    mid: Option<f64>,
}

/// The rows of a dataset.
#[derive(Default)]
pub(super) struct Dataset {
    /// What is known of each row.
    pub(super) rows: Vec<Row>,
    /// Their features, flat.
    pub(super) x: Vec<f32>,
    /// Rows that are not there, by reason and feature.
    pub(super) skipped: BTreeMap<String, u64>,
}

impl Dataset {
    /// Plays a segment.
    pub(super) fn play(&mut self, segment: &Segment, plan: &Plan) {
        let mut player = Player {
            stream: Stream::new(plan.set, MAX_TICKS),
            ticks: Ticks::new(),
            quotes: BTreeMap::new(),
            whole: vec![0.0; plan.set.width()],
        };
        let mut facts = segment.facts.iter().peekable();
        for (at, market, horizon_s) in questions(segment, plan) {
            // As live: a question is asked before the record that carries the clock to it is read.
            while let Some((known_at, fact)) = facts.next_if(|(known_at, _)| *known_at < at) {
                match fact {
                    Fact::Event(event) => player.read(*known_at, event),
                    Fact::Row(row) => player.stream.apply_tape(row),
                    Fact::Session => player.stream.begin_tape(),
                }
            }
            match player.ask(&segment.symbol, market, at, plan) {
                Ok(known) => self.push(market, at, horizon_s, &known, &player.whole, plan),
                Err(why) => *self.skipped.entry(why).or_default() += 1,
            }
        }
    }

    fn push(
        &mut self,
        market: &Asked,
        at: Timestamp,
        horizon_s: u32,
        known: &Known,
        whole: &[f32],
        plan: &Plan,
    ) {
        self.x.extend(plan.columns.iter().map(|c| whole[*c]));
        self.rows.push(Row {
            market: market.name.clone(),
            start_s: market.starts_at.secs(),
            close_s: market.closes_at.secs(),
            asof_s: at.secs(),
            horizon_s,
            strike: market.strike.unwrap_or_default(),
            reference: known.reference,
            up: known.up,
            mid: known.mid,
        });
    }
}

/// Every question of a segment in the order of opening.
fn questions<'a>(segment: &'a Segment, plan: &Plan) -> Vec<(Timestamp, &'a Asked, u32)> {
    let open = |market: &'a Asked, horizon_s: u32| {
        let at = market.starts_at.plus(i64::from(horizon_s) * NANOS_PER_SEC);
        (at < market.closes_at).then_some((at, market, horizon_s))
    };
    let of = |market: &'a Asked| plan.horizons_s.iter().filter_map(move |h| open(market, *h));
    let mut out: Vec<_> = segment.markets.iter().flat_map(of).collect();
    out.sort_by_key(|(at, market, _)| (*at, market.starts_at));
    out
}

/// The state of a segment that is being played.
struct Player {
    stream: Stream,
    ticks: Ticks,
    quotes: BTreeMap<MarketId, (Timestamp, f64)>,
    whole: Vec<f32>,
}

impl Player {
    fn read(&mut self, known_at: Timestamp, event: &MarketEvent) {
        self.stream.apply(known_at, event);
        if let MarketEvent::Quote(Quote { market, bid: Some(bid), ask: Some(ask) }) = event {
            let mid = (bid.0 + ask.0) as f64 / 2e6;
            self.quotes.retain(|_, (at, _)| known_at.since(*at) <= QUOTE_AGE_NS);
            self.quotes.insert(market.clone(), (known_at, mid));
        }
        let MarketEvent::Tick(tick) = event else { return };
        self.ticks.insert(tick.feed_at, tick.value);
        let oldest = tick.feed_at.plus(-REFERENCE_KEEP_NS);
        while self.ticks.first_key_value().is_some_and(|(at, _)| *at < oldest) {
            self.ticks.pop_first();
        }
    }

    /// Reference and outcome; the row is in `whole`. `Err` says why there is none.
    fn ask(&mut self, symbol: &str, market: &Asked, at: Timestamp, plan: &Plan) -> Result<Known, String> {
        let strike = market.strike.filter(|_| market.strike_known_at < at);
        let strike = strike.ok_or("no_strike")?;
        let up = market.up.ok_or("no_outcome")?;
        let (newest, spot) = reference::value_at(&self.ticks, at).ok_or("no_input")?;
        if at.since(newest) >= plan.gate.max_input_age_ns {
            return Err("stale_input".to_owned());
        }
        let sigma = reference::sigma(&self.ticks, at).ok_or("short_history")?;
        let tau_s = market.closes_at.since(at) as f64 / NANOS_PER_SEC as f64;
        let reference = reference::probability_up(spot, strike, sigma, tau_s).ok_or("no_time_left")?;
        let query = Query {
            market: &market.id,
            symbol,
            strike,
            starts_at: market.starts_at,
            resolves_at: market.closes_at,
        };
        self.stream.row(&query, at, &plan.gate, &mut self.whole).map_err(|no| {
            match no.feature(plan.set) {
                Some(feature) => format!("{} {feature}", no.code()),
                None => no.code().to_owned(),
            }
        })?;
        let fresh = |(quoted_at, _): &&(Timestamp, f64)| at.since(*quoted_at) <= QUOTE_AGE_NS;
        let mid = self.quotes.get(&market.id).filter(fresh).map(|(_, mid)| *mid);
        Ok(Known { reference: reference.as_f64(), up, mid })
    }
}
