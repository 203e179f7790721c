//! The markets of the made-up Kalshi and how they change: seeded, one message at a time. Never reads a clock.

use std::collections::{BTreeMap, VecDeque};

use super::grid::Structure;
use super::market::{Book, Market, MarketSpec, Side, Status};
use super::units::{DOLLAR, mix, uuid};
use crate::world::dice::Dice;

/// Levels of a side at which the generator only takes away.
const DEEPEST: usize = 24;

/// A trade that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueTrade {
    /// The venue's id.
    pub id: String,
    /// The market.
    pub ticker: String,
    /// Price of yes, 1e-6 dollars.
    pub yes_price: i64,
    /// Quantity, 1e-2 contracts.
    pub count: i64,
    /// What the taker is positioned for.
    pub taker: Side,
    /// When, microseconds since 1970.
    pub at_us: i64,
}

/// Something that happens to a market or an event and is told on `market_lifecycle_v2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// A new market, with an empty or a filled book.
    Created(MarketSpec),
    /// Trading goes on.
    Activated(String),
    /// Trading pauses.
    Deactivated(String),
    /// The close moves to a Unix second.
    CloseDate(String, i64),
    /// A result: `yes`, `no` or `scalar`, and what yes pays in 1e-6 dollars.
    Determined(String, &'static str, i64),
    /// The result is final.
    Settled(String),
    /// Another price grid; the same one again is told too.
    Structure(String, Structure),
    /// Another `floor_strike` in whole dollars.
    Strike(String, i64),
    /// A new event of a series.
    EventCreated {
        /// Its ticker.
        event: String,
        /// The series.
        series: String,
    },
    /// An event's fees override those of its series; `None` clears the override.
    EventFee {
        /// The event's ticker.
        event: String,
        /// `fee_type` and `fee_multiplier`.
        fee: Option<(&'static str, i64)>,
    },
}

/// One numbered data message before it has a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A level changed.
    Level {
        /// The market's place.
        market: usize,
        /// The side.
        side: Side,
        /// 1e-6 dollars.
        price: i64,
        /// 1e-2 contracts.
        delta: i64,
    },
    /// A trade happened; the level that it hit changes with the next message.
    Trade {
        /// The market's place.
        market: usize,
        /// The trade.
        trade: TrueTrade,
    },
}

impl Change {
    /// The place of the market concerned.
    pub const fn market(&self) -> usize {
        match self {
            Self::Level { market, .. } | Self::Trade { market, .. } => *market,
        }
    }
}

/// All markets and what happened.
#[derive(Debug)]
pub struct World {
    /// The markets in the order they were created.
    pub markets: Vec<Market>,
    places: BTreeMap<String, usize>,
    active: Vec<usize>,
    dice: Dice,
    seed: u64,
    pending: VecDeque<Change>,
    /// All trades so far.
    pub trades: Vec<TrueTrade>,
}

impl World {
    /// The markets with their first books.
    pub fn new(seed: u64, specs: Vec<MarketSpec>, now_us: i64) -> Self {
        let mut world = Self {
            markets: Vec::new(),
            places: BTreeMap::new(),
            active: Vec::new(),
            dice: Dice::new(seed, 0x6B61),
            seed,
            pending: VecDeque::new(),
            trades: Vec::new(),
        };
        for spec in specs {
            world.add(spec, now_us);
        }
        world
    }

    /// Adds a market; a ticker that is there already stays as it is.
    pub fn add(&mut self, spec: MarketSpec, now_us: i64) {
        if self.places.contains_key(&spec.ticker) {
            return;
        }
        let place = self.markets.len();
        self.places.insert(spec.ticker.clone(), place);
        let mut market = Market::new(spec);
        fill(&mut market, &mut self.dice);
        market.mark(now_us, None);
        self.markets.push(market);
        self.active.push(place);
    }

    /// The place of a ticker.
    pub fn place(&self, ticker: &str) -> Option<usize> {
        self.places.get(ticker).copied()
    }

    /// The market of a ticker.
    pub fn market(&self, ticker: &str) -> Option<&Market> {
        self.place(ticker).map(|at| &self.markets[at])
    }

    /// Moves a market through its life.
    pub fn set_status(&mut self, place: usize, status: Status) {
        self.markets[place].status = status;
        self.active.retain(|at| *at != place);
        if status == Status::Active {
            self.active.push(place);
        } else {
            self.pending.retain(|change| change.market() != place);
        }
    }

    /// The next message, already true when this returns; `None` if no market trades.
    pub fn next(&mut self, now_us: i64) -> Option<Change> {
        let change = self.pending.pop_front().or_else(|| self.draw(now_us))?;
        match &change {
            Change::Level { market, side, price, delta } => {
                let market = &mut self.markets[*market];
                let applied = market.book.apply(*side, *price, *delta);
                debug_assert!(applied, "the generator never crosses a book or takes more than there is");
                market.mark(now_us, None);
            }
            Change::Trade { market, trade } => {
                let market = &mut self.markets[*market];
                (market.last_price, market.last_size) = (Some(trade.yes_price), trade.count);
                market.volume += trade.count;
                market.open_interest += trade.count;
                market.notional += i128::from(trade.yes_price) * i128::from(trade.count);
                market.mark(now_us, Some((trade.yes_price, trade.count)));
                self.trades.push(trade.clone());
            }
        }
        Some(change)
    }

    fn draw(&mut self, now_us: i64) -> Option<Change> {
        let last = self.active.len().checked_sub(1)?;
        let place = self.active[self.dice.between(0, last as i64) as usize];
        let kind = self.dice.between(0, 99);
        if kind < 15
            && let Some(change) = self.trade(place, now_us)
        {
            return Some(change);
        }
        let side = if self.dice.between(0, 1) == 0 { Side::Yes } else { Side::No };
        Some(self.level(place, side))
    }

    /// A trade with the best level of one side; its level change is pending.
    fn trade(&mut self, place: usize, now_us: i64) -> Option<Change> {
        let market = &self.markets[place];
        let first = if self.dice.between(0, 1) == 0 { Side::Yes } else { Side::No };
        let hit = if market.book.best(first).is_some() { first } else { first.other() };
        let (price, qty) = market.book.best(hit)?;
        let count = self.dice.between(1, qty);
        let number = self.trades.len() as u64;
        let trade = TrueTrade {
            id: uuid(mix(self.seed ^ 0x7472_6164), mix(number)),
            ticker: market.spec.ticker.clone(),
            yes_price: if hit == Side::Yes { price } else { DOLLAR - price },
            count,
            taker: hit.other(),
            at_us: now_us,
        };
        self.pending.push_back(Change::Level { market: place, side: hit, price, delta: -count });
        Some(Change::Trade { market: place, trade })
    }

    /// A level that grows, shrinks, appears or vanishes.
    fn level(&mut self, place: usize, side: Side) -> Change {
        let market = &self.markets[place];
        let levels = market.book.side(side).len();
        let shrink = levels > 2 && (levels >= DEEPEST || self.dice.between(0, 99) < 45);
        if !shrink && let Some((price, delta)) = grow(market, side, &mut self.dice) {
            return Change::Level { market: place, side, price, delta };
        }
        // Growing fails only beside a level of the other side, so one of the two has a level to take from.
        let side = if levels > 0 { side } else { side.other() };
        let levels = market.book.side(side);
        let at = self.dice.between(0, levels.len().max(1) as i64 - 1) as usize;
        let (price, qty) = levels.iter().nth(at).map_or((10_000, 0), |(p, q)| (*p, *q));
        let cut = if self.dice.between(0, 9) < 4 { qty } else { self.dice.between(1, qty.max(1)) };
        Change::Level { market: place, side, price, delta: -cut }
    }
}

/// Where and how much a side can grow without crossing, if it can.
fn grow(market: &Market, side: Side, dice: &mut Dice) -> Option<(i64, i64)> {
    let opposite = market.book.best(side.other()).map_or(0, |(p, _)| p);
    let mid = market.spec.mid.unwrap_or(DOLLAR / 2);
    let start = if side == Side::Yes { mid } else { DOLLAR - mid };
    let centre = market.book.best(side).map_or(start, |(p, _)| p);
    let delta = dice.between(1, 100_000);
    for _ in 0..8 {
        let price = centre - dice.between(-2, 8) * market.structure.step_at(centre);
        let price = price - price.rem_euclid(market.structure.step_at(price.clamp(1, DOLLAR - 1)));
        if market.structure.allows(price) && price + opposite < DOLLAR {
            return Some((price, delta));
        }
    }
    let lowest = market.structure.step_at(0);
    (lowest + opposite < DOLLAR).then_some((lowest, delta))
}

/// The first levels of a market, ten a side at most.
fn fill(market: &mut Market, dice: &mut Dice) {
    let Some(mid) = market.spec.mid else { return };
    let mut book = Book::default();
    for side in [Side::Yes, Side::No] {
        if market.spec.missing == Some(side) {
            continue;
        }
        let mut price = if side == Side::Yes { mid } else { DOLLAR - mid };
        for _ in 0..10 {
            price -= market.structure.step_at(price - 1);
            if market.structure.allows(price) {
                book.apply(side, price, dice.between(100, 2_000_000));
            }
        }
    }
    market.book = book;
}
