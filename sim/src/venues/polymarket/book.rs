//! One market's true book: YES levels on a price grid, NO as their mirror; never crossed, never a negative level.

use std::collections::BTreeMap;

use super::decimal::ONE;

/// The outcome a token pays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The first token.
    Yes,
    /// The second token.
    No,
}

impl Outcome {
    /// Both, in the order of the token ids.
    pub const BOTH: [Self; 2] = [Self::Yes, Self::No];

    /// Its place in `clobTokenIds`.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A side of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Bids.
    Buy,
    /// Asks.
    Sell,
}

impl Side {
    /// The venue's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// What a book holds: price and size in 1e-6, best level first on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Buyers, highest price first.
    pub bids: Vec<(i64, i64)>,
    /// Sellers, lowest price first.
    pub asks: Vec<(i64, i64)>,
}

/// A market's book in YES terms, all numbers in 1e-6.
#[derive(Clone, Debug)]
pub struct TrueBook {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    /// The price grid.
    pub tick: i64,
    /// Price of the last trade in YES terms; zero before the first.
    pub last: i64,
}

impl TrueBook {
    /// An empty book on a grid.
    pub const fn new(tick: i64) -> Self {
        Self { bids: BTreeMap::new(), asks: BTreeMap::new(), tick, last: 0 }
    }

    /// The levels of one side by ascending price.
    pub const fn side(&self, side: Side) -> &BTreeMap<i64, i64> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    const fn side_mut(&mut self, side: Side) -> &mut BTreeMap<i64, i64> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Sets a level to an absolute size; zero removes it.
    pub fn set(&mut self, side: Side, price: i64, size: i64) {
        if size == 0 {
            self.side_mut(side).remove(&price);
        } else {
            self.side_mut(side).insert(price, size);
        }
    }

    /// The best price of a side.
    pub fn best(&self, side: Side) -> Option<i64> {
        match side {
            Side::Buy => self.bids.last_key_value().map(|(&p, _)| p),
            Side::Sell => self.asks.first_key_value().map(|(&p, _)| p),
        }
    }

    /// The price furthest from the other side.
    pub fn worst(&self, side: Side) -> Option<i64> {
        match side {
            Side::Buy => self.bids.first_key_value().map(|(&p, _)| p),
            Side::Sell => self.asks.last_key_value().map(|(&p, _)| p),
        }
    }

    /// Best bid and best ask of a token.
    pub fn top(&self, of: Outcome) -> (Option<i64>, Option<i64>) {
        let (bid, ask) = (self.best(Side::Buy), self.best(Side::Sell));
        match of {
            Outcome::Yes => (bid, ask),
            Outcome::No => (ask.map(|p| ONE - p), bid.map(|p| ONE - p)),
        }
    }

    /// A token's levels, best first.
    pub fn levels(&self, of: Outcome) -> Levels {
        let best_bids = self.bids.iter().rev();
        match of {
            Outcome::Yes => Levels {
                bids: best_bids.map(|(&p, &s)| (p, s)).collect(),
                asks: self.asks.iter().map(|(&p, &s)| (p, s)).collect(),
            },
            Outcome::No => Levels {
                bids: self.asks.iter().map(|(&p, &s)| (ONE - p, s)).collect(),
                asks: best_bids.map(|(&p, &s)| (ONE - p, s)).collect(),
            },
        }
    }

    /// Moves the book to another grid: bids round down, asks up, levels that meet are added up, and what would leave
    /// the open interval (0, 1) goes.
    pub fn regrid(&mut self, tick: i64) {
        self.tick = tick;
        let mut bids = BTreeMap::new();
        for (&price, &size) in &self.bids {
            *bids.entry(price / tick * tick).or_insert(0) += size;
        }
        let mut asks = BTreeMap::new();
        for (&price, &size) in &self.asks {
            *asks.entry((price + tick - 1) / tick * tick).or_insert(0) += size;
        }
        bids.retain(|&p, _| p > 0);
        asks.retain(|&p, _| p < ONE);
        (self.bids, self.asks) = (bids, asks);
    }

    /// Whether bids are below asks, prices on the grid and inside (0, 1), and sizes positive.
    pub fn is_sound(&self) -> bool {
        let uncrossed = self.best(Side::Buy).zip(self.best(Side::Sell)).is_none_or(|(b, a)| b < a);
        let fits = |(&p, &s): (&i64, &i64)| p > 0 && p < ONE && p % self.tick == 0 && s > 0;
        uncrossed && self.bids.iter().chain(&self.asks).all(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_is_the_mirror_of_yes_and_a_coarser_grid_keeps_the_book_sound() {
        let mut book = TrueBook::new(1_000);
        for (side, price, size) in [
            (Side::Buy, 481_000, 5),
            (Side::Buy, 489_000, 7),
            (Side::Sell, 492_000, 3),
            (Side::Sell, 999_000, 1),
        ] {
            book.set(side, price, size);
        }
        let no = book.levels(Outcome::No);
        assert_eq!(no.bids, [(508_000, 3), (1_000, 1)]);
        assert_eq!(no.asks, [(511_000, 7), (519_000, 5)]);
        assert_eq!(book.top(Outcome::No), (Some(508_000), Some(511_000)));
        book.regrid(10_000);
        assert!(book.is_sound());
        assert_eq!(book.levels(Outcome::Yes), Levels { bids: vec![(480_000, 12)], asks: vec![(500_000, 3)] });
        book.set(Side::Buy, 480_000, 0);
        assert_eq!(book.top(Outcome::Yes), (None, Some(500_000)));
    }
}
