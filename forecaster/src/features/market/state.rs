//! The state of `market-1`: one series an index pair, quotes and a book a market; bounded, and blind to the future.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::time::NANOS_PER_SEC;
use schemas::{IndexPrice, Market, MarketEvent, MarketId, Quote, Timestamp};

use super::book::{self, Book};
use super::quotes::{self, Quotes};
use super::series::{Grid, Series};
use super::spot::VENUES;
use super::tape::Roles;
use super::{BOOK, Basis, CALENDAR, Frame, PATH, QUOTES, RETURNS, SPOT, STRIKE, VOLATILITY, Why};
use super::{calendar, path, returns, spot, strike, volatility};
use crate::features::NoRow;
use crate::features::stream::{Drops, Gate, Query};
use crate::history::Offered;

/// How long after its end a market is kept, ns.
const KEEP_NS: i64 = 300 * NANOS_PER_SEC;

/// Bounds of a [`MarketState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Bounds {
    /// Most values kept of an index pair.
    #[n(0)]
    pub max_ticks: u32,
    /// Most index pairs.
    #[n(1)]
    pub max_symbols: u32,
    /// Most markets.
    #[n(2)]
    pub max_markets: u32,
    /// Most instruments of a tape.
    #[n(3)]
    pub max_instruments: u32,
}

impl Bounds {
    /// One index pair with this many values, 256 markets, 4,096 instruments: what one miner needs.
    pub const fn one_pair(max_ticks: u32) -> Self {
        Self { max_ticks, max_symbols: 8, max_markets: 256, max_instruments: 4_096 }
    }
}

/// What was dropped, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counts {
    /// Quotes and levels of markets that are not listed.
    #[n(0)]
    pub unlisted: u64,
    /// Markets beyond the bound.
    #[n(1)]
    pub markets: u64,
    /// Values of index pairs beyond the bound.
    #[n(2)]
    pub symbols: u64,
    /// Book levels deeper than are kept.
    #[n(3)]
    pub levels: u64,
    /// Instruments of a tape beyond the bound.
    #[n(4)]
    pub instruments: u64,
}

/// An index pair: its values, and the books of the venues that trade it.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Pair {
    #[n(0)]
    symbol: String,
    #[n(1)]
    series: Series,
    #[n(2)]
    pub(super) books: Vec<Option<Book>>,
    #[cbor(skip)]
    cache: Cache,
}

/// The part of a row that all markets of an index pair share, as of one instant. Follows from the records, so it is no
/// state: not encoded, and equal to every other.
#[derive(Default)]
struct Cache(Option<Box<Shared>>);

struct Shared {
    /// What it is as of and the age bound it was computed with; `None` before the first and after a record that counts.
    of: Option<(Timestamp, i64)>,
    grid: Grid,
    frame: Frame,
    basis: Basis,
}

impl Clone for Cache {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl PartialEq for Cache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

impl Pair {
    fn new(symbol: &str, max_ticks: u32) -> Self {
        Self {
            symbol: symbol.to_owned(),
            series: Series::new(max_ticks),
            books: vec![None; VENUES.len()],
            cache: Cache::default(),
        }
    }

    /// Takes a value; says whether it was dropped.
    pub(super) fn tick(&mut self, known_at: Timestamp, at: Timestamp, value: IndexPrice) -> Drops {
        let mut drops = Drops::default();
        match self.series.offer(known_at, at, value) {
            Offered::Kept | Offered::Replaced => {}
            Offered::OutOfOrder => drops.out_of_order += 1,
            Offered::NotPositive => drops.not_positive += 1,
            Offered::Evicted => drops.evicted += 1,
        }
        self.touch(known_at);
        drops
    }

    /// A record known at this time arrived: what was computed as of then or later is no longer true.
    pub(super) fn touch(&mut self, known_at: Timestamp) {
        if let Some(shared) = &mut self.cache.0 {
            shared.of = shared.of.filter(|(at, _)| *at < known_at);
        }
    }

    fn shared(&mut self, at: Timestamp, max_age_ns: i64) -> &Shared {
        let shared = self.cache.0.get_or_insert_with(|| {
            let basis = Basis::new(Why::Missing);
            Box::new(Shared { of: None, grid: Grid::default(), frame: Frame::new(), basis })
        });
        if shared.of != Some((at, max_age_ns)) {
            shared.of = Some((at, max_age_ns));
            shared.frame = Frame::new();
            compute(&self.series, &self.books, at, max_age_ns, shared);
        }
        shared
    }
}

/// The families that hang on the index pair alone.
fn compute(series: &Series, books: &[Option<Book>], at: Timestamp, max_age_ns: i64, shared: &mut Shared) {
    let Shared { grid, frame, basis, .. } = shared;
    let view = series.view(at);
    grid.fill(view);
    match grid.fresh(max_age_ns) {
        Ok(()) => {
            basis.ln = view.newest().map(|(ln, _)| ln).ok_or(Why::Missing);
            returns::put(grid, frame, RETURNS);
            volatility::put(grid, frame, VOLATILITY, basis);
            path::put(grid, frame, PATH);
        }
        Err(why) => {
            *basis = Basis::new(why);
            let families =
                [(RETURNS, returns::SPECS.len()), (VOLATILITY, volatility::SPECS.len()), (PATH, path::LEN)];
            for (from, len) in families {
                (from..from + len).for_each(|i| frame.put(i, Err(why)));
            }
        }
    }
    spot::put(books, at, basis, frame, SPOT);
    calendar::put(at, frame, CALENDAR);
}

/// A market: its quotes and its book.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Listing {
    #[n(0)]
    closes_at: Timestamp,
    /// The token whose book is the market's; empty if it is not known.
    #[n(1)]
    pub(super) up_token: String,
    #[n(2)]
    pub(super) quotes: Quotes,
    #[n(3)]
    pub(super) book: Option<Book>,
}

/// Records in, rows of `market-1` out.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct MarketState {
    #[n(0)]
    bounds: Bounds,
    #[n(1)]
    pub(super) pairs: Vec<Pair>,
    #[n(2)]
    pub(super) markets: BTreeMap<MarketId, Listing>,
    #[n(3)]
    pub(super) roles: Roles,
    #[n(4)]
    pub(super) counts: Counts,
}

impl MarketState {
    /// A state that has seen nothing.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            pairs: Vec::new(),
            markets: BTreeMap::new(),
            roles: Roles::new(bounds.max_instruments),
            counts: Counts::default(),
        }
    }

    /// What was dropped so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Values kept of an index pair.
    pub fn ticks(&self, symbol: &str) -> usize {
        self.pairs.iter().find(|p| p.symbol == symbol).map_or(0, |p| p.series.len())
    }

    /// Takes a record that everybody knew at `known_at`; says which ticks were dropped for it.
    pub fn apply(&mut self, known_at: Timestamp, event: &MarketEvent) -> Drops {
        match event {
            MarketEvent::Tick(tick) => return self.tick(known_at, &tick.symbol, tick.feed_at, tick.value),
            MarketEvent::Listed(market) => self.list(known_at, market),
            MarketEvent::Quote(quote) => self.quote(known_at, quote),
            MarketEvent::Resolved(_) | MarketEvent::Feed(_) => {}
        }
        Drops::default()
    }

    fn tick(&mut self, known_at: Timestamp, symbol: &str, at: Timestamp, value: IndexPrice) -> Drops {
        let place = self.place(symbol);
        match place.and_then(|place| self.pairs.get_mut(place)) {
            Some(pair) => pair.tick(known_at, at, value),
            None => Drops::default(),
        }
    }

    /// Place of the pair of this symbol, made if there is room; pairs are never forgotten.
    pub(super) fn place(&mut self, symbol: &str) -> Option<usize> {
        if let Some(known) = self.pairs.iter().position(|p| p.symbol == symbol) {
            return Some(known);
        }
        if self.pairs.len() >= self.bounds.max_symbols as usize {
            self.counts.symbols += 1;
            return None;
        }
        self.pairs.push(Pair::new(symbol, self.bounds.max_ticks));
        Some(self.pairs.len() - 1)
    }

    fn list(&mut self, known_at: Timestamp, market: &Market) {
        if !self.markets.contains_key(&market.id) && self.markets.len() >= self.bounds.max_markets as usize {
            self.markets.retain(|_, listing| known_at.since(listing.closes_at) <= KEEP_NS);
        }
        self.admit(&market.id, Some(market.closes_at), market.token_ids.first().map_or("", String::as_str));
    }

    /// Begins to keep a market if there is room.
    pub(super) fn admit(&mut self, id: &MarketId, closes_at: Option<Timestamp>, up_token: &str) {
        if let Some(known) = self.markets.get_mut(id) {
            known.closes_at = closes_at.unwrap_or(known.closes_at);
            if !up_token.is_empty() && known.up_token != up_token {
                up_token.clone_into(&mut known.up_token);
            }
            return;
        }
        if self.markets.len() >= self.bounds.max_markets as usize {
            self.counts.markets += 1;
            return;
        }
        let closes_at = closes_at.unwrap_or(Timestamp::MAX);
        let listing =
            Listing { closes_at, up_token: up_token.to_owned(), quotes: Quotes::default(), book: None };
        self.markets.insert(id.clone(), listing);
    }

    fn quote(&mut self, known_at: Timestamp, quote: &Quote) {
        match self.markets.get_mut(&quote.market) {
            Some(listing) => listing.quotes.offer(known_at, quote.bid, quote.ask),
            None => self.counts.unlisted += 1,
        }
    }

    /// Writes the whole row as of `at` into `out`, or says why there is none. What the gate does not ask for and is not
    /// there is 0. `out` is as long as the set is wide.
    pub fn row(
        &mut self,
        query: &Query<'_>,
        at: Timestamp,
        gate: &Gate,
        out: &mut [f32],
    ) -> Result<(), NoRow> {
        let Self { pairs, markets, .. } = self;
        let shared = pairs.iter_mut().find(|p| p.symbol == query.symbol);
        let (mut frame, basis) = match shared.map(|pair| pair.shared(at, gate.max_input_age_ns)) {
            Some(shared) => (shared.frame.clone(), shared.basis),
            None => without_index(at),
        };
        let p = strike::put(query, at, &basis, &mut frame, STRIKE);
        let listing = markets.get(query.market);
        match listing {
            Some(listing) => listing.quotes.put(at, p, &mut frame, QUOTES),
            None => (0..quotes::SPECS.len()).for_each(|i| frame.put(QUOTES + i, Err(Why::Missing))),
        }
        match listing.and_then(|l| l.book.as_ref()) {
            Some(book) => book.put(at, &mut frame, BOOK),
            None => (0..book::SPECS.len()).for_each(|i| frame.put(BOOK + i, Err(Why::Missing))),
        }
        out.copy_from_slice(&frame.values);
        frame.refused(gate.needs).map_or(Ok(()), Err)
    }
}

/// What there is without any value of the index: the calendar.
fn without_index(at: Timestamp) -> (Frame, Basis) {
    let basis = Basis::new(Why::Missing);
    let mut frame = Frame::new();
    for (from, len) in [(RETURNS, STRIKE), (SPOT, spot::SPECS.len()), (PATH, path::LEN)] {
        (from..from + len).for_each(|i| frame.put(i, Err(Why::Missing)));
    }
    calendar::put(at, &mut frame, CALENDAR);
    (frame, basis)
}
