//! An archive of raw frames as records of a dataset: the tape is derived again, its markets are read from their
//! lifecycles. Never uses what a record says about a later time, except to score.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use forecaster::features::market::tape::index_symbol;
use schemas::tape::{InstrumentKind, LifecycleRow, TapeBody, TapeRow};
use schemas::time::NANOS_PER_SEC;
use schemas::{IndexPrice, IndexTick, Market, MarketEvent, MarketId, Ppm, Timestamp, Venue};
use serde::Deserialize;

use super::coded;
use super::source::{Asked, Fact, Segment};
use crate::cmd::archive::replay;

/// Most records of an archive that are held at once.
const MAX_FACTS: usize = 20_000_000;
/// When a strike is known if no value carries the start, after the start, ns.
const STRIKE_AFTER_NS: i64 = 2 * NANOS_PER_SEC;

/// What a lifecycle's detail may say; the venue's channels use different names.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    slug: Option<String>,
    strike_atoms: Option<String>,
    #[serde(rename = "priceToBeat")]
    price_to_beat: Option<String>,
    tokens: Vec<String>,
    #[serde(rename = "clobTokenIds")]
    clob_token_ids: Vec<Option<String>>,
    outcomes: Vec<String>,
}

/// A market as it was told so far.
struct Told {
    slug: String,
    up_token: String,
    up_first: bool,
    starts_at: Timestamp,
    closes_at: Timestamp,
    strike: Option<IndexPrice>,
    payout: Option<Ppm>,
}

/// Collects the rows of one index pair and its markets.
pub(super) struct Collector {
    symbol: String,
    facts: Vec<(Timestamp, Fact)>,
    /// The tape's instruments that are this pair's index.
    indices: BTreeMap<u32, bool>,
    /// Values by the index's own time, and when each was known.
    values: BTreeMap<Timestamp, (IndexPrice, Timestamp)>,
    markets: BTreeMap<String, Told>,
}

/// The records of an archive about this index pair.
pub(super) fn read(dir: &Path, symbol: &str) -> Result<Segment> {
    let mut collector = Collector::new(symbol);
    replay(dir, &mut |row| {
        match row {
            Some((row, _)) => collector.row(row),
            None => collector.session(),
        }
        if collector.facts.len() > MAX_FACTS {
            return Err(coded(
                "too_many_records",
                format!("more than {MAX_FACTS} rows; export a shorter archive"),
            ));
        }
        Ok(())
    })?;
    Ok(collector.finish())
}

impl Collector {
    /// Nothing yet.
    pub(super) fn new(symbol: &str) -> Self {
        Self {
            symbol: symbol.to_owned(),
            facts: Vec::new(),
            indices: BTreeMap::new(),
            values: BTreeMap::new(),
            markets: BTreeMap::new(),
        }
    }

    /// Another machine begins: instruments are numbered anew.
    pub(super) fn session(&mut self) {
        self.indices.clear();
        let at = self.facts.last().map_or(Timestamp::ZERO, |(at, _)| *at);
        self.facts.push((at, Fact::Session));
    }

    /// Takes a row of the tape.
    pub(super) fn row(&mut self, row: &TapeRow) {
        let known_at = row.times.recv_at;
        match &row.body {
            TapeBody::Instrument(instrument) if instrument.kind == InstrumentKind::Index => {
                let ours = index_symbol(&instrument.native).is_some_and(|symbol| symbol == self.symbol);
                self.indices.insert(row.instrument.0, ours);
            }
            TapeBody::Index(index) => {
                let ours = self.indices.get(&row.instrument.0).is_some_and(|ours| *ours);
                if !ours || index.window_s != 0 || index.carried_forward {
                    return;
                }
                let feed_at = row.times.venue_at.unwrap_or(known_at);
                self.values.entry(feed_at).or_insert((index.value, known_at));
                let tick = IndexTick {
                    symbol: self.symbol.clone(),
                    feed_at,
                    value: index.value,
                    server_at: row.times.publish_at,
                };
                self.facts.push((known_at, Fact::Event(MarketEvent::Tick(tick))));
            }
            TapeBody::Lifecycle(life) => self.lifecycle(known_at, life),
            TapeBody::Trade(_) | TapeBody::Candle(_) | TapeBody::TickSize { .. } => {}
            _ => self.facts.push((known_at, Fact::Row(Box::new(row.clone())))),
        }
    }

    fn lifecycle(&mut self, known_at: Timestamp, life: &LifecycleRow) {
        let detail: Detail = serde_json::from_str(&life.detail).unwrap_or_default();
        if let Some(known) = self.markets.get_mut(&life.market) {
            known.payout = life.payout.or(known.payout);
            known.strike = known.strike.or_else(|| detail.strike());
            return;
        }
        let Some((symbol, interval_s, start_s)) = detail.slug.as_deref().and_then(up_down) else { return };
        if symbol != self.symbol {
            return;
        }
        let starts_at = Timestamp::from_secs(start_s);
        let told = Told {
            slug: detail.slug.clone().unwrap_or_default(),
            up_token: detail.up_token(),
            up_first: detail.outcomes.first().is_none_or(|first| first == "Up"),
            starts_at,
            closes_at: starts_at.plus(interval_s * NANOS_PER_SEC),
            strike: detail.strike(),
            payout: life.payout,
        };
        let listed = Market {
            id: MarketId { venue: Venue::Polymarket, native: life.market.clone() },
            slug: told.slug.clone(),
            title: String::new(),
            symbol,
            starts_at,
            closes_at: told.closes_at,
            strike: None,
            token_ids: vec![told.up_token.clone()],
            fee_rate: None,
        };
        self.facts.push((known_at, Fact::Event(MarketEvent::Listed(listed))));
        self.markets.insert(life.market.clone(), told);
    }

    /// All that was collected, in the order it was known.
    pub(super) fn finish(mut self) -> Segment {
        self.facts.sort_by_key(|(known_at, _)| *known_at);
        let mut markets: Vec<Asked> = self.markets.iter().map(|(id, told)| self.asked(id, told)).collect();
        markets.sort_by_key(|m| m.starts_at);
        Segment { symbol: self.symbol, facts: self.facts, markets }
    }

    /// The strike is the venue's, or the index at the start; the outcome is the venue's, or the index at the end.
    fn asked(&self, id: &str, told: &Told) -> Asked {
        let opening = self.values.get(&told.starts_at);
        let strike = told.strike.or_else(|| opening.map(|(value, _)| *value));
        let closing = self.values.get(&told.closes_at).map(|(value, _)| *value);
        let paid = match told.payout {
            Some(Ppm::ONE) => Some(told.up_first),
            Some(Ppm(0)) => Some(!told.up_first),
            _ => None,
        };
        Asked {
            name: told.slug.clone(),
            id: MarketId { venue: Venue::Polymarket, native: id.to_owned() },
            starts_at: told.starts_at,
            closes_at: told.closes_at,
            strike,
            strike_known_at: opening.map_or(told.starts_at.plus(STRIKE_AFTER_NS), |(_, known_at)| *known_at),
            up: paid.or_else(|| Some(closing? >= strike?)),
        }
    }
}

impl Detail {
    fn strike(&self) -> Option<IndexPrice> {
        let atoms = self.strike_atoms.as_deref().and_then(IndexPrice::from_atoms);
        atoms.or_else(|| self.price_to_beat.as_deref().and_then(IndexPrice::from_decimal))
    }

    /// The token of Up, empty if it is not told.
    fn up_token(&self) -> String {
        let up = self.outcomes.iter().position(|name| name == "Up").unwrap_or(0);
        let listed = self.clob_token_ids.get(up).cloned().flatten();
        listed.or_else(|| self.tokens.get(up).cloned()).unwrap_or_default()
    }
}

/// Pair, length and start (seconds) of a slug like `btc-updown-5m-1780876800`.
fn up_down(slug: &str) -> Option<(String, i64, i64)> {
    let (asset, rest) = slug.split_once("-updown-")?;
    let (length, start) = rest.split_once('-')?;
    let (number, unit_s) = match length.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (length.strip_suffix('h')?, 3_600),
    };
    let length_s = number.parse::<i64>().ok().filter(|n| (1..=1_440).contains(n))? * unit_s;
    Some((format!("{asset}/usd"), length_s, start.parse().ok()?))
}
