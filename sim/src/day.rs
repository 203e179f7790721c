//! A day of Up/Down markets and the index that settles them, one form for recorded and made-up days; never decides
//! what may be seen when (that is [`crate::gamma`] and the player).

use std::collections::BTreeMap;

use schemas::{IndexPrice, Timestamp};

use crate::quote::QuoteModel;

/// Seconds after the last market's end that a day still lasts, so that every market resolves.
const TAIL_S: i64 = 120;
/// How long before its start a market is listed if its own object does not say, seconds.
pub(crate) const LISTED_BEFORE_S: i64 = 86_400;

/// One value of the index as the relay delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The feed's own time, ms.
    pub feed_ms: i64,
    /// When the relay's server sent it, ms.
    pub server_ms: i64,
    /// When it was received, ms: the virtual time at which a twin sends it.
    pub recv_ms: i64,
    /// The value as the venue prints it: the shortest decimal of the nearest f64.
    pub value: Box<str>,
    /// The value exactly.
    pub full: IndexPrice,
}

/// One market of the day.
#[derive(Clone, Debug)]
pub struct DayMarket {
    /// `<slug_prefix>-<start second>`.
    pub slug: String,
    /// 0x and 64 hex digits.
    pub condition_id: String,
    /// Token ids of [Up, Down].
    pub token_ids: [String; 2],
    /// Start of the interval.
    pub starts_at: Timestamp,
    /// End of the interval.
    pub ends_at: Timestamp,
    /// From here on Gamma knows it.
    pub listed_at: Timestamp,
    /// The price to beat, if the venue ever published one,
    pub strike: Option<IndexPrice>,
    /// and when it became known (never before the start).
    pub strike_known_at: Timestamp,
    /// How the venue resolved it: Up or not; `None` for anything but a clear winner.
    pub official: Option<bool>,
    /// When the venue's resolution became visible.
    pub resolved_at: Timestamp,
    /// The final Gamma market object, verbatim JSON. It knows the future: serve only through [`crate::gamma`].
    pub final_json: Box<str>,
}

/// A day: markets in order of their start, ticks in order of their receive time.
#[derive(Clone, Debug)]
pub struct Day {
    /// The index pair, e.g. `btc/usd`.
    pub symbol: String,
    /// Slugs are `<slug_prefix>-<start second>`, e.g. prefix `btc-updown-5m`.
    pub slug_prefix: String,
    /// Length of every market, seconds.
    pub interval_s: u32,
    /// The markets, by start.
    pub markets: Vec<DayMarket>,
    ticks: Vec<Tick>,
    quotes: Option<QuoteModel>,
    by_slug: BTreeMap<String, usize>,
    by_condition: BTreeMap<String, usize>,
}

/// What a day is put together from.
#[derive(Debug)]
pub(crate) struct DayParts {
    pub(crate) symbol: String,
    pub(crate) slug_prefix: String,
    pub(crate) interval_s: u32,
    pub(crate) markets: Vec<DayMarket>,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) quotes: Option<QuoteModel>,
}

impl Day {
    pub(crate) fn assemble(mut parts: DayParts) -> Self {
        parts.markets.sort_by_key(|m| m.starts_at);
        // Stable: equal receive times keep the order of the source.
        parts.ticks.sort_by_key(|t| t.recv_ms);
        let index = |key: fn(&DayMarket) -> &str| {
            parts.markets.iter().enumerate().map(|(i, m)| (key(m).to_owned(), i)).collect()
        };
        Self {
            by_slug: index(|m| &m.slug),
            by_condition: index(|m| &m.condition_id),
            symbol: parts.symbol,
            slug_prefix: parts.slug_prefix,
            interval_s: parts.interval_s,
            markets: parts.markets,
            ticks: parts.ticks,
            quotes: parts.quotes,
        }
    }

    /// All ticks, by receive time. The feed's own times may go back now and then, as they did in reality.
    pub fn ticks(&self) -> &[Tick] {
        &self.ticks
    }

    /// The earlier of the first tick's receive time and the first market's start.
    pub fn begins_at(&self) -> Timestamp {
        let tick = self.ticks.first().map(|t| Timestamp::from_millis(t.recv_ms));
        let market = self.markets.first().map(|m| m.starts_at);
        tick.into_iter().chain(market).min().unwrap_or(Timestamp::ZERO)
    }

    /// Two minutes after the last market's end (or the last tick, if that is later), when all is resolved.
    pub fn ends_at(&self) -> Timestamp {
        let tick = self.ticks.last().map(|t| Timestamp::from_millis(t.recv_ms));
        let market =
            self.markets.iter().map(|m| m.resolved_at.max(m.ends_at.plus(TAIL_S * 1_000_000_000))).max();
        tick.into_iter().chain(market).max().unwrap_or(Timestamp::ZERO)
    }

    /// The venue's own resolutions: condition id, and whether Up won (`None`: no clear winner).
    pub fn official(&self) -> impl Iterator<Item = (&str, Option<bool>)> {
        self.markets.iter().map(|m| (m.condition_id.as_str(), m.official))
    }

    /// The market with this slug.
    pub fn by_slug(&self, slug: &str) -> Option<&DayMarket> {
        self.by_slug.get(slug).and_then(|&i| self.markets.get(i))
    }

    /// The market with this condition id.
    pub fn by_condition(&self, condition_id: &str) -> Option<&DayMarket> {
        self.by_condition.get(condition_id).and_then(|&i| self.markets.get(i))
    }

    /// How many ticks had been received at `now`.
    pub fn received_by(&self, now: Timestamp) -> usize {
        self.ticks.partition_point(|t| Timestamp::from_millis(t.recv_ms) <= now)
    }

    /// The quote model of a made-up day; a recorded day without quotes has none.
    pub fn quotes(&self) -> Option<&QuoteModel> {
        self.quotes.as_ref()
    }
}
