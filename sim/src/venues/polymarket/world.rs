//! The seeded markets and what happens to them, one message at a time; never crosses a book, never leaves the grid.

use std::collections::VecDeque;

use super::book::{Outcome, Side, TrueBook};
use super::decimal::ONE;
use super::ids;
use crate::world::dice::Dice;

/// The coarse grid every market starts on.
pub const CENT: i64 = 10_000;
/// The grid near 0 and 1.
pub const TENTH: i64 = 1_000;
/// Outside 0.04 to 0.96 the venue refines the grid.
const EDGE: i64 = 40_000;
/// Markets of one neg-risk event.
const GROUP: usize = 4;

/// How often what happens, in thousandths of the planned happenings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Trades: one to three fills of one transaction, then the change of the book.
    pub trades: u16,
    /// Changes of several levels in one message.
    pub multi: u16,
    /// Changes of the best price.
    pub moves: u16,
    /// Whether a trade is followed by a `book` of both tokens.
    pub books_after_trades: bool,
    /// Whether a best price outside 0.04 to 0.96 refines the grid.
    pub natural_ticks: bool,
}

impl Default for Mix {
    fn default() -> Self {
        Self { trades: 60, multi: 60, moves: 200, books_after_trades: true, natural_ticks: true }
    }
}

impl Mix {
    /// Book changes only, on a grid that stays: each message is a `price_change`.
    pub const fn changes_only() -> Self {
        Self { trades: 0, multi: 60, moves: 200, books_after_trades: false, natural_ticks: false }
    }
}

/// What a world is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldSpec {
    /// The seed of everything.
    pub seed: u64,
    /// Binary markets; each has two assets.
    pub markets: usize,
    /// Levels a side at the start.
    pub levels: usize,
    /// What happens how often.
    pub mix: Mix,
    /// Venue time of the first message, Unix milliseconds.
    pub starts_at_ms: i64,
}

/// How a market stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It trades.
    Open,
    /// It has paid; the weights of YES and NO in 1e-6 (a split is 500,000 each).
    Resolved {
        /// What YES pays.
        yes: i64,
    },
}

/// What names a market on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketIds {
    /// `0x` and 64 hex digits.
    pub condition: String,
    /// YES and NO.
    pub tokens: [String; 2],
    /// The market's slug.
    pub slug: String,
}

/// A binary market.
#[derive(Clone, Debug)]
pub struct Market {
    /// Its names.
    pub ids: MarketIds,
    /// Its number in the world.
    pub number: usize,
    /// The two outcomes' labels.
    pub outcomes: [&'static str; 2],
    /// The neg-risk group it belongs to, if any.
    pub neg_risk: Option<String>,
    /// The true book.
    pub book: TrueBook,
    /// Whether it still trades.
    pub standing: Standing,
    /// CLOB requests about it that are still answered with 404.
    pub unlisted: u32,
    /// When it was listed, Unix milliseconds.
    pub listed_ms: i64,
}

impl Market {
    /// Whether the order book exists on the CLOB by now.
    pub const fn is_listed(&self) -> bool {
        self.unlisted == 0
    }
}

/// A fill as the market channel prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// The market's number.
    pub market: usize,
    /// The token the taker traded.
    pub outcome: Outcome,
    /// The taker's side.
    pub side: Side,
    /// Price of that token, 1e-6.
    pub price: i64,
    /// Shares, 1e-6.
    pub size: i64,
    /// Shared by all fills of one transaction.
    pub transaction: String,
    /// Venue time, Unix milliseconds.
    pub at_ms: i64,
}

/// A level that has a new absolute size, in YES terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Side of the YES book.
    pub side: Side,
    /// YES price.
    pub price: i64,
    /// New size; zero removes the level.
    pub size: i64,
}

/// What one message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Levels changed; both tokens see it.
    Changes(Vec<Change>),
    /// A fill.
    Trade(Trade),
    /// A full book of one token.
    Book(Outcome),
}

/// One data message before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The market's number.
    pub market: usize,
    /// Venue time, Unix milliseconds.
    pub at_ms: i64,
    /// What it says.
    pub said: Said,
}

/// A message that is due but not made yet; its prices are looked up only then, so a grid may change before it.
#[derive(Clone, Debug)]
enum Op {
    Set { levels: u8, moves: bool },
    Print { trade: Trade },
    Take { side: Side, size: i64 },
    Book { outcome: Outcome },
}

/// The markets, their clock and what is due next.
#[derive(Debug)]
pub struct World {
    spec: WorldSpec,
    markets: Vec<Market>,
    dice: Dice,
    now_ms: i64,
    transactions: u64,
    due: VecDeque<(usize, Op)>,
}

impl World {
    /// Makes the markets of a spec.
    pub fn new(spec: WorldSpec) -> Self {
        let mut world = Self {
            markets: Vec::with_capacity(spec.markets),
            dice: Dice::new(spec.seed, 7_001),
            now_ms: spec.starts_at_ms,
            transactions: 0,
            due: VecDeque::new(),
            spec,
        };
        for _ in 0..world.spec.markets {
            world.found(0);
        }
        world
    }

    /// Founds one more market; the CLOB will deny it `unlisted` times. Returns its number.
    pub fn found(&mut self, unlisted: u32) -> usize {
        let number = self.markets.len();
        let (seed, id) = (self.spec.seed, number as u64);
        let grouped = number % 10 < GROUP;
        let group = (number / 10) as u64;
        let mut book = TrueBook::new(CENT);
        if unlisted > 0 {
            // A placeholder is no quote: the widest prices of the grid.
            book.set(Side::Buy, CENT, 5_000 * ONE);
            book.set(Side::Sell, ONE - CENT, 5_000 * ONE);
        } else {
            self.fill(&mut book);
        }
        self.markets.push(Market {
            ids: MarketIds {
                condition: ids::hex32(seed, id, "condition"),
                tokens: [ids::token(seed, id, 0), ids::token(seed, id, 1)],
                slug: format!("twin-market-{number}"),
            },
            number,
            outcomes: if number.is_multiple_of(3) { ["Up", "Down"] } else { ["Yes", "No"] },
            neg_risk: grouped.then(|| ids::hex32(seed, group, "neg-risk")),
            book,
            standing: Standing::Open,
            unlisted,
            listed_ms: self.now_ms,
        });
        number
    }

    fn fill(&mut self, book: &mut TrueBook) {
        let mid = self.dice.between(12, 88);
        let spread = self.dice.between(1, 3);
        for k in 0..self.spec.levels as i64 {
            let (bid, ask) = ((mid - k) * CENT, (mid + spread + k) * CENT);
            if bid > 0 {
                book.set(Side::Buy, bid, self.size());
            }
            if ask < ONE {
                book.set(Side::Sell, ask, self.size());
            }
        }
        book.last = mid * CENT;
    }

    /// A size as people choose them: mostly whole shares, now and then cents or all six decimals.
    fn size(&mut self) -> i64 {
        match self.dice.between(0, 9) {
            0 => self.dice.between(ONE, 900 * ONE),
            1 | 2 => self.dice.between(500, 90_000) * (ONE / 100),
            _ => self.dice.between(5, 5_000) * ONE,
        }
    }

    /// The markets.
    pub fn markets(&self) -> &[Market] {
        &self.markets
    }

    /// One market, to change how it stands.
    pub fn market_mut(&mut self, number: usize) -> Option<&mut Market> {
        self.markets.get_mut(number)
    }

    /// Venue time, Unix milliseconds.
    pub const fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Moves venue time forward, never back.
    pub fn advance_to(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// The market of the next message; plans one if nothing is due. `on` names the market of what is planned.
    ///
    /// `None` if no market is open.
    pub fn next_market(&mut self, on: Option<usize>) -> Option<usize> {
        if let Some((market, _)) = self.due.front() {
            return Some(*market);
        }
        let market = match on {
            Some(market) => self.is_open(market).then_some(market)?,
            None => self.draw_open()?,
        };
        self.now_ms += self.dice.between(0, 3);
        let draw = self.dice.between(0, 999);
        let mix = self.spec.mix;
        let (trades, multi, moves) = (i64::from(mix.trades), i64::from(mix.multi), i64::from(mix.moves));
        if draw < trades {
            self.plan_trade(market);
        } else {
            let levels = if draw < trades + multi { self.dice.between(2, 4) as u8 } else { 1 };
            let op = Op::Set { levels, moves: draw >= 1_000 - moves };
            self.due.push_back((market, op));
        }
        Some(market)
    }

    fn is_open(&self, market: usize) -> bool {
        self.markets.get(market).is_some_and(|m| m.standing == Standing::Open && m.is_listed())
    }

    fn draw_open(&mut self) -> Option<usize> {
        if self.markets.is_empty() {
            return None;
        }
        let drawn = self.dice.between(0, self.markets.len() as i64 - 1) as usize;
        let count = self.markets.len();
        (0..count).map(|k| (drawn + k) % count).find(|&market| self.is_open(market))
    }

    fn plan_trade(&mut self, market: usize) {
        let side = if self.dice.between(0, 1) == 0 { Side::Buy } else { Side::Sell };
        let outcome = if self.dice.between(0, 3) == 0 { Outcome::No } else { Outcome::Yes };
        let book = &self.markets[market].book;
        // The taker lifts the other side of the YES book.
        let Some(yes) = book.best(side.other()) else {
            self.due.push_back((market, Op::Set { levels: 1, moves: false }));
            return;
        };
        let (price, taker) = match outcome {
            Outcome::Yes => (yes, side),
            Outcome::No => (ONE - yes, side.other()),
        };
        let transaction = ids::hex32(self.spec.seed, self.transactions, "transaction");
        self.transactions += 1;
        let mut total = 0;
        for _ in 0..self.dice.between(1, 3) {
            let size = self.dice.between(5, 200) * ONE;
            total += size;
            let (transaction, at_ms) = (transaction.clone(), self.now_ms);
            let trade = Trade { market, outcome, side: taker, price, size, transaction, at_ms };
            self.due.push_back((market, Op::Print { trade }));
        }
        self.due.push_back((market, Op::Take { side: side.other(), size: total }));
        if self.spec.mix.books_after_trades {
            self.due.extend(Outcome::BOTH.map(|outcome| (market, Op::Book { outcome })));
        }
    }

    /// Makes the next message true and returns it; call [`World::next_market`] before.
    pub fn perform(&mut self) -> Option<Event> {
        let (market, op) = self.due.pop_front()?;
        let at_ms = self.now_ms;
        let said = match op {
            Op::Set { levels, moves } => Said::Changes(self.change(market, levels, moves)),
            Op::Take { side, size } => Said::Changes(self.take(market, side, size)),
            Op::Book { outcome } => Said::Book(outcome),
            Op::Print { trade } => {
                let yes = if trade.outcome == Outcome::Yes { trade.price } else { ONE - trade.price };
                self.markets[market].book.last = yes;
                Said::Trade(trade)
            }
        };
        Some(Event { market, at_ms, said })
    }

    fn change(&mut self, market: usize, levels: u8, moves: bool) -> Vec<Change> {
        let mut out: Vec<Change> = Vec::with_capacity(usize::from(levels));
        for k in 0..levels {
            let side = if self.dice.between(0, 1) == 0 { Side::Buy } else { Side::Sell };
            let change = if moves && k == 0 { self.moved(market, side) } else { self.deeper(market, side) };
            // One message names a level once: its size is absolute.
            if out.iter().all(|c| (c.side, c.price) != (change.side, change.price)) {
                self.markets[market].book.set(change.side, change.price, change.size);
                out.push(change);
            }
        }
        out
    }

    /// A better best price inside the spread, or the best level leaves.
    fn moved(&mut self, market: usize, side: Side) -> Change {
        let book = &self.markets[market].book;
        let (tick, bid, ask) = (book.tick, book.best(Side::Buy), book.best(Side::Sell));
        let inside = match side {
            Side::Buy => bid.map_or(tick, |b| b + tick),
            Side::Sell => ask.map_or(ONE - tick, |a| a - tick),
        };
        let free = match side {
            Side::Buy => ask.unwrap_or(ONE) > inside && inside < ONE,
            Side::Sell => bid.unwrap_or(0) < inside && inside > 0,
        };
        if free {
            return Change { side, price: inside, size: self.size() };
        }
        let deep = self.markets[market].book.side(side).len() > 2;
        let best = self.markets[market].book.best(side).filter(|_| deep);
        best.map_or_else(|| self.deeper(market, side), |price| Change { side, price, size: 0 })
    }

    /// A level at or behind the best: a new size, a new level, or none any more.
    fn deeper(&mut self, market: usize, side: Side) -> Change {
        let levels = self.spec.levels.max(2) as i64;
        let book = &self.markets[market].book;
        let (tick, len) = (book.tick, book.side(side).len());
        let limit = self.spec.levels.max(2) * 2;
        if let Some(price) = book.worst(side).filter(|_| len > limit) {
            return Change { side, price, size: 0 };
        }
        let Some(best) = book.best(side) else {
            let price = match side {
                Side::Buy => tick,
                Side::Sell => ONE - tick,
            };
            return Change { side, price, size: self.size() };
        };
        let back = self.dice.between(0, levels) * tick;
        let price = match side {
            Side::Buy => (best - back).max(tick),
            Side::Sell => (best + back).min(ONE - tick),
        };
        let exists = self.markets[market].book.side(side).contains_key(&price);
        let leaves = exists && len > 2 && self.dice.between(0, 99) < 45;
        Change { side, price, size: if leaves { 0 } else { self.size() } }
    }

    /// The levels that a taker of `size` leaves behind on `side`; two levels always stay.
    fn take(&mut self, market: usize, side: Side, size: i64) -> Vec<Change> {
        let mut rest = size;
        let mut out = Vec::new();
        let book = &mut self.markets[market].book;
        while rest > 0 && book.side(side).len() > 2 {
            let Some(price) = book.best(side) else { break };
            let held = book.side(side).get(&price).copied().unwrap_or(0);
            let left = (held - rest).max(0);
            rest -= held - left;
            book.set(side, price, left);
            out.push(Change { side, price, size: left });
        }
        if out.is_empty() {
            let change = self.deeper(market, side);
            self.markets[market].book.set(side, change.price, change.size);
            out.push(change);
        }
        out
    }

    /// Whether the grid of a market is due to be refined, by the venue's rule.
    pub fn wants_finer_grid(&self, market: usize) -> bool {
        self.spec.mix.natural_ticks
            && self.markets.get(market).is_some_and(|m| {
                let near = |price: Option<i64>| price.is_some_and(|p| !(EDGE..=ONE - EDGE).contains(&p));
                m.book.tick == CENT && (near(m.book.best(Side::Buy)) || near(m.book.best(Side::Sell)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(mix: Mix) -> WorldSpec {
        WorldSpec { seed: 5, markets: 20, levels: 6, mix, starts_at_ms: 1_000 }
    }

    #[test]
    fn books_stay_sound_for_long_and_follow_from_the_seed() {
        let run = || {
            let mut world = World::new(spec(Mix { trades: 200, ..Mix::default() }));
            let mut events = Vec::new();
            for _ in 0..20_000 {
                let market = world.next_market(None).unwrap();
                events.push(world.perform().unwrap());
                if world.wants_finer_grid(market) {
                    world.market_mut(market).unwrap().book.regrid(TENTH);
                }
                assert!(world.markets()[market].book.is_sound());
            }
            events
        };
        let events = run();
        assert_eq!(events, run());
        let equal_times = events.windows(2).filter(|w| w[0].at_ms == w[1].at_ms).count();
        assert!(equal_times > 1_000, "{equal_times}");
        let mut shared = std::collections::BTreeMap::<_, u32>::new();
        for event in &events {
            if let Said::Trade(trade) = &event.said {
                *shared.entry(&trade.transaction).or_default() += 1;
            }
        }
        assert!(shared.len() > 100 && shared.values().any(|&n| n == 3));
    }

    #[test]
    fn a_message_of_changes_names_each_level_once_and_says_the_truth() {
        let mut world = World::new(spec(Mix::changes_only()));
        for _ in 0..5_000 {
            world.next_market(None).unwrap();
            let Event { market, said: Said::Changes(changes), .. } = world.perform().unwrap() else {
                panic!("only changes were asked for")
            };
            for change in changes {
                let held = world.markets()[market].book.side(change.side).get(&change.price).copied();
                assert_eq!(held.unwrap_or(0), change.size);
            }
        }
    }
}
