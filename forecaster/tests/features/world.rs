//! Records to test with: a seeded walk of an index, a market, its quotes. Never random.

use forecaster::features::market::{self, Bounds, MarketState};
use forecaster::features::{Gate, Needs, Query};
use schemas::{IndexPrice, IndexTick, Market, MarketEvent, MarketId, Price, Quote, Timestamp, Venue};

pub(crate) const SYMBOL: &str = "btc/usd";
/// 2026-06-08 13:37:00 UTC, a Monday.
pub(crate) const NOW_S: i64 = 1_780_925_820;
pub(crate) const MILLI: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;

pub(crate) fn secs(s: i64) -> Timestamp {
    Timestamp::from_secs(s)
}

pub(crate) fn price(dollars: f64) -> IndexPrice {
    IndexPrice((dollars * 1e6).round() as i128 * 1_000_000_000_000)
}

pub(crate) fn id() -> MarketId {
    MarketId { venue: Venue::Polymarket, native: "0xaa".to_owned() }
}

/// SplitMix64: enough for a walk.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In -1 ..= 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

pub(crate) type Fact = (Timestamp, MarketEvent);

pub(crate) fn tick(known_at: Timestamp, at: Timestamp, dollars: f64) -> Fact {
    let value = price(dollars);
    let tick = IndexTick { symbol: SYMBOL.to_owned(), feed_at: at, value, server_at: None };
    (known_at, MarketEvent::Tick(tick))
}

pub(crate) fn quote(known_at: Timestamp, bid: i64, ask: i64) -> Fact {
    let quote = Quote { market: id(), bid: Some(Price(bid)), ask: Some(Price(ask)) };
    (known_at, MarketEvent::Quote(quote))
}

pub(crate) fn listed() -> MarketEvent {
    MarketEvent::Listed(Market {
        id: id(),
        slug: "btc-updown-5m".to_owned(),
        title: String::new(),
        symbol: SYMBOL.to_owned(),
        starts_at: secs(NOW_S - 120),
        closes_at: secs(NOW_S + 180),
        strike: None,
        token_ids: vec!["up".to_owned(), "down".to_owned()],
        fee_rate: None,
    })
}

/// A walk of `seconds` that ends at `NOW_S`, one tick a second known 700 ms later, with a quote every ten seconds, in the
/// order of what was known.
pub(crate) fn walk(seed: u64, seconds: i64) -> Vec<Fact> {
    let mut dice = Dice(seed);
    let mut facts = vec![(secs(NOW_S - seconds), listed())];
    let mut dollars = 63_000.0;
    for s in NOW_S - seconds..=NOW_S {
        dollars *= 1.0 + 1e-4 * dice.unit();
        facts.push(tick(secs(s).plus(700 * MILLI), secs(s), dollars));
        if s % 10 == 3 {
            let bid = 400_000 + (dice.unit() * 1e5) as i64;
            facts.push(quote(secs(s).plus(300 * MILLI), bid, bid + 20_000));
        }
    }
    facts.sort_by_key(|(known_at, _)| *known_at);
    facts
}

pub(crate) fn state(facts: &[Fact]) -> MarketState {
    let mut state = MarketState::new(Bounds::one_pair(16_384));
    for (known_at, event) in facts {
        state.apply(*known_at, event);
    }
    state
}

pub(crate) fn gate(needs: Needs) -> Gate {
    Gate { needs, min_history_ns: 0, max_input_age_ns: 30 * SECOND }
}

/// A gate for these features of `market-1`.
pub(crate) fn needing(names: &[&str]) -> Gate {
    gate(Needs::named(&market::SET, names.iter().copied()).unwrap())
}

/// Everything may be missing.
pub(crate) fn lenient() -> Gate {
    gate(Needs::NONE)
}

pub(crate) fn query(market: &MarketId) -> Query<'_> {
    Query {
        market,
        symbol: SYMBOL,
        strike: price(62_950.0),
        starts_at: secs(NOW_S - 120),
        resolves_at: secs(NOW_S + 180),
    }
}

pub(crate) fn row(
    state: &mut MarketState,
    at: Timestamp,
    gate: &Gate,
) -> Result<Vec<f32>, forecaster::features::NoRow> {
    let mut out = vec![f32::NAN; market::WIDTH];
    state.row(&query(&id()), at, gate, &mut out).map(|()| out)
}
