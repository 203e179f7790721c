//! Where datasets come from: recorded days, simulated days, candles; each as records in the order they were known.
//! Never computes a feature.

use std::path::Path;

use anyhow::{Context as _, Result};
use forecaster::features::Source as Origin;
use schemas::time::NANOS_PER_SEC;
use schemas::{
    IndexPrice, IndexTick, Market, MarketEvent, MarketId, Price, Quote, TapeRow, Timestamp, Venue,
};
use sim::{Day, DayMarket, WorldConfig};

use super::{archive, candles, coded};

/// Where simulated days begin, 2026-06-08: the same as the demo's.
const WORLD_START_S: i64 = 1_780_876_800;
/// Index values before a simulated day's first market, seconds: every window is full.
const HISTORY_S: u32 = 3_900;
/// Length of a day.
const DAY_S: i64 = 86_400;
/// A cent in millionths of a dollar.
const CENT: i64 = 10_000;

/// A market that questions are asked about.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Name for people.
    pub(super) name: String,
    /// Id.
    pub(super) id: MarketId,
    /// Start,
    pub(super) starts_at: Timestamp,
    /// and end.
    pub(super) closes_at: Timestamp,
    /// The strike, if it ever became known,
    pub(super) strike: Option<IndexPrice>,
    /// and when.
    pub(super) strike_known_at: Timestamp,
    /// Whether Up won, if that is known.
    pub(super) up: Option<bool>,
}

/// One record.
#[derive(Debug)]
pub(super) enum Fact {
    /// A decoded fact.
    Event(MarketEvent),
    /// A row of a tape.
    Row(Box<TapeRow>),
    /// Another tape begins.
    Session,
}

/// A stretch of records with its markets; features never look over its edges.
#[derive(Debug)]
pub(super) struct Segment {
    /// The index pair.
    pub(super) symbol: String,
    /// When each record was known, ascending.
    pub(super) facts: Vec<(Timestamp, Fact)>,
    /// The markets by start.
    pub(super) markets: Vec<Asked>,
}

/// Where the rows come from.
pub(super) enum Source {
    /// One recorded day.
    Recorded(Box<Day>),
    /// Simulated days: first seed and how many.
    Simulated(u64, u32),
    /// Minute candles: the segments and the file's name.
    Candles(Vec<Segment>, String),
    /// An archive.
    Archive(Option<Segment>),
}

impl Source {
    /// A recorded day as `oraculo demo --data` reads it.
    pub(super) fn recorded(dir: &Path) -> Result<Self> {
        let day =
            Day::recorded(dir).with_context(|| format!("reading the recorded day in {}", dir.display()))?;
        Ok(Self::Recorded(Box::new(day)))
    }

    /// Candles of a file or of the one fitting file of a folder; a market begins every `every_s` seconds.
    pub(super) fn candles(path: &Path, interval_s: u32, every_s: u32) -> Result<Self> {
        let (segments, name) = candles::read(path, interval_s, every_s)?;
        Ok(Self::Candles(segments, name))
    }

    /// What an archive holds about an index pair.
    pub(super) fn archive(dir: &Path, symbol: &str) -> Result<Self> {
        archive::read(dir, symbol).map(|segment| Self::Archive(Some(segment)))
    }

    /// For the sidecar and people; the same on every machine.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Recorded(day) => {
                format!(
                    "recorded {} of {}",
                    day.slug_prefix,
                    day.markets.first().map_or_else(String::new, |m| date(m.starts_at))
                )
            }
            Self::Simulated(seed, days) => format!("simulated, seed {seed}, {days} days"),
            Self::Candles(_, name) => format!("candles {name}"),
            Self::Archive(_) => "archive".to_owned(),
        }
    }

    /// How many segments there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Recorded(_) | Self::Archive(_) => 1,
            Self::Simulated(_, days) => *days as usize,
            Self::Candles(segments, _) => segments.len(),
        }
    }

    /// What kinds of features it can give.
    pub(super) fn origins(&self) -> &'static [Origin] {
        match self {
            Self::Recorded(_) => &[Origin::Clock, Origin::Index, Origin::FineIndex],
            Self::Simulated(..) => &[Origin::Clock, Origin::Index, Origin::FineIndex, Origin::Quotes],
            Self::Candles(..) => &[Origin::Clock, Origin::Index],
            Self::Archive(_) => {
                &[Origin::Clock, Origin::Index, Origin::FineIndex, Origin::Quotes, Origin::Book]
            }
        }
    }

    /// The next segment; each is taken once.
    pub(super) fn take(&mut self, index: usize) -> Result<Segment> {
        match self {
            Self::Recorded(day) => Ok(of_day(day)),
            Self::Simulated(seed, _) => Ok(of_day(&simulated(*seed, index))),
            Self::Archive(segment) => segment.take().ok_or_else(|| coded("no_segment", "no such segment")),
            Self::Candles(segments, _) => {
                let empty = Segment { symbol: String::new(), facts: Vec::new(), markets: Vec::new() };
                let slot = segments.get_mut(index).ok_or_else(|| coded("no_segment", "no such segment"))?;
                Ok(std::mem::replace(slot, empty))
            }
        }
    }
}

fn date(at: Timestamp) -> String {
    let day = jiff::Timestamp::from_second(at.secs()).map(|t| t.strftime("%Y-%m-%d").to_string());
    day.unwrap_or_default()
}

/// The `index`-th simulated day has the seed `seed + index` and follows the day before it.
fn simulated(seed: u64, index: usize) -> Day {
    Day::simulated(WorldConfig {
        seed: seed.wrapping_add(index as u64),
        start: Timestamp::from_secs(WORLD_START_S + index as i64 * DAY_S),
        length_s: DAY_S as u64,
        history_s: HISTORY_S,
        ..WorldConfig::default()
    })
}

fn of_day(day: &Day) -> Segment {
    let ticks = day.ticks().iter().map(|t| {
        let (feed_at, value) = (Timestamp::from_millis(t.feed_ms), t.full);
        let server_at = Some(Timestamp::from_millis(t.server_ms));
        let tick = IndexTick { symbol: day.symbol.clone(), feed_at, value, server_at };
        (Timestamp::from_millis(t.recv_ms), Fact::Event(MarketEvent::Tick(tick)))
    });
    let mut facts: Vec<(Timestamp, Fact)> = ticks.collect();
    if day.quotes().is_some() {
        facts.extend(day.markets.iter().flat_map(|market| quotes(day, market)));
        // Stable: what is known at the same time stays in the order above.
        facts.sort_by_key(|(known_at, _)| *known_at);
    }
    Segment { facts, markets: day.markets.iter().map(of_market).collect(), symbol: day.symbol.clone() }
}

/// The market's listing and its quotes, when a node's feed polls them.
fn quotes<'a>(day: &'a Day, market: &'a DayMarket) -> impl Iterator<Item = (Timestamp, Fact)> + 'a {
    let id = MarketId { venue: Venue::Polymarket, native: market.condition_id.clone() };
    let listed = MarketEvent::Listed(Market {
        id: id.clone(),
        slug: market.slug.clone(),
        title: String::new(),
        symbol: day.symbol.clone(),
        starts_at: market.starts_at,
        closes_at: market.ends_at,
        strike: None,
        token_ids: market.token_ids.to_vec(),
        fee_rate: None,
    });
    let last_s = market.ends_at.since(market.starts_at) / NANOS_PER_SEC;
    let polls = [-60, -30, 0].into_iter().chain((5..last_s).step_by(30));
    let quoted = polls.filter_map(move |s| {
        let at = market.starts_at.plus(s * NANOS_PER_SEC);
        let quote = day.quotes()?.at(day, market, at)?;
        let cents = |c: u8| Some(Price(i64::from(c) * CENT));
        let quote = Quote { market: id.clone(), bid: cents(quote.bid), ask: cents(quote.ask) };
        Some((at, Fact::Event(MarketEvent::Quote(quote))))
    });
    let lead = market.starts_at.plus(-60 * NANOS_PER_SEC);
    std::iter::once((lead, Fact::Event(listed))).chain(quoted)
}

fn of_market(market: &DayMarket) -> Asked {
    Asked {
        name: market.slug.clone(),
        id: MarketId { venue: Venue::Polymarket, native: market.condition_id.clone() },
        starts_at: market.starts_at,
        closes_at: market.ends_at,
        strike: market.strike,
        strike_known_at: market.strike_known_at,
        up: market.official,
    }
}
