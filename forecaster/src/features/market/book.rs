//! Family book: the imbalance of an order book and its micro-price, from levels as a tape says them. Never repairs one.
//!
//! Source of the micro-price: Stoikov, "The micro-price: a high-frequency estimator of future prices", Quantitative
//! Finance 18 (2018); this is the mid weighted by the other side's quantity, the first-order form that its estimator
//! refines.

use minicbor::{Decode, Encode};
use schemas::Timestamp;
use schemas::tape::BookSide;
use schemas::time::NANOS_PER_SEC;

use super::ring::Ring;
use super::{Frame, Why, spec};
use crate::features::{Source, Spec};

/// A book that said nothing for longer says nothing now, ns.
pub const MAX_AGE_NS: i64 = 60 * NANOS_PER_SEC;
/// Levels a side that the features look at.
const DEPTH: usize = 5;
/// Levels a side that are kept; deeper ones are dropped and counted.
const MAX_LEVELS: usize = 512;
/// States of the top that are kept.
const TOPS: usize = 128;

const NONE: &str = "no complete two-sided book, or it said nothing for over 60 s";

/// The features; prices in dollars, quantities in contracts. Best five levels where five are meant.
pub const SPECS: [Spec; 6] = [
    spec(
        "book_imbalance_1",
        "(qb − qa) / (qb + qa), quantities at the best bid and ask",
        "1",
        [-1.0, 1.0],
        Source::Book,
        NONE,
    ),
    spec("book_imbalance_5", "the same over the best 5 levels a side", "1", [-1.0, 1.0], Source::Book, NONE),
    spec(
        "book_micro_gap",
        "(bid · qa + ask · qb) / (qb + qa) − (bid + ask) / 2",
        "$",
        [-1.0, 1.0],
        Source::Book,
        NONE,
    ),
    spec("book_spread", "ask − bid", "$", [0.0, 1.0], Source::Book, NONE),
    spec(
        "book_depth_5",
        "ln(1 + quantity in the best 5 levels of both sides)",
        "1",
        [0.0, 40.0],
        Source::Book,
        NONE,
    ),
    spec("book_age_s", "seconds since the book last changed", "s", [0.0, 60.0], Source::Book, NONE),
];

/// The best of a book from an instant on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Top {
    #[n(0)]
    known_at: Timestamp,
    /// Best bid and ask, and the quantities there; `None` while the book cannot be used.
    #[n(1)]
    best: Option<Best>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Best {
    #[n(0)]
    bid: i64,
    #[n(1)]
    ask: i64,
    #[n(2)]
    bid_qty: i64,
    #[n(3)]
    ask_qty: i64,
    #[n(4)]
    bid_five: i64,
    #[n(5)]
    ask_five: i64,
}

/// One side's levels, best last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Side {
    #[n(0)]
    levels: Vec<(i64, i64)>,
    /// Deeper levels were dropped since the book was empty.
    #[n(1)]
    cut: bool,
}

impl Side {
    /// Sets a level; `key` grows towards the best. Says how many levels were dropped.
    fn set(&mut self, key: i64, qty: i64) -> u64 {
        match self.levels.binary_search_by_key(&key, |(k, _)| *k) {
            Ok(i) if qty <= 0 => {
                self.levels.remove(i);
            }
            Ok(i) => self.levels[i].1 = qty,
            Err(_) if qty <= 0 => {}
            Err(0) if self.levels.len() >= MAX_LEVELS => {
                self.cut = true;
                return 1;
            }
            Err(i) if self.levels.len() >= MAX_LEVELS => {
                self.levels.remove(0);
                self.levels.insert(i - 1, (key, qty));
                self.cut = true;
                return 1;
            }
            Err(i) => self.levels.insert(i, (key, qty)),
        }
        0
    }

    /// Best key, its quantity, and that of the best five; `None` when empty, or when what is left may not be the best
    /// five.
    fn best(&self) -> Option<(i64, i64, i64)> {
        if self.cut && self.levels.len() < DEPTH {
            return None;
        }
        let (key, qty) = self.levels.last()?;
        let five = self.levels.iter().rev().take(DEPTH).fold(0_i64, |sum, (_, q)| sum.saturating_add(*q));
        Some((*key, *qty, five))
    }
}

/// One book.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Book {
    #[n(0)]
    bids: Side,
    #[n(1)]
    asks: Side,
    #[n(2)]
    live: bool,
    #[n(3)]
    tops: Ring<Top>,
    /// A price counts 10^-this dollars,
    #[n(4)]
    price_decimals: u8,
    /// a quantity 10^-this units.
    #[n(5)]
    qty_decimals: u8,
    /// Levels were told, so best prices told outside the book channel are not taken.
    #[n(6)]
    levels: bool,
    /// A snapshot began, so that the levels are all there are.
    #[n(7)]
    whole: bool,
}

impl Book {
    /// An empty book of this scale.
    pub fn new(price_decimals: u8, qty_decimals: u8) -> Self {
        Self {
            bids: Side::default(),
            asks: Side::default(),
            live: true,
            tops: Ring::new(TOPS),
            price_decimals,
            qty_decimals,
            levels: false,
            whole: false,
        }
    }

    /// A level has this quantity now; says how many levels were dropped.
    pub fn level(&mut self, known_at: Timestamp, side: BookSide, price: i64, qty: i64) -> u64 {
        if !self.levels {
            self.empty();
            self.levels = true;
        }
        let dropped = match side {
            BookSide::Bid => self.bids.set(price, qty),
            BookSide::Ask => self.asks.set(-price, qty),
        };
        self.note(known_at);
        dropped
    }

    /// The book is empty now; what follows is all there is.
    pub fn clear(&mut self, known_at: Timestamp) {
        self.empty();
        self.whole = true;
        self.note(known_at);
    }

    fn empty(&mut self) {
        for side in [&mut self.bids, &mut self.asks] {
            side.levels.clear();
            side.cut = false;
        }
    }

    /// The book may be used, or not.
    pub fn live(&mut self, known_at: Timestamp, live: bool) {
        self.live = live;
        self.note(known_at);
    }

    /// Best prices told outside the book channel; they are the whole book unless levels are told.
    pub fn quote(&mut self, known_at: Timestamp, bid: Option<(i64, i64)>, ask: Option<(i64, i64)>) {
        if self.levels {
            return;
        }
        for (side, best, sign) in [(&mut self.bids, bid, 1), (&mut self.asks, ask, -1)] {
            side.levels.clear();
            side.cut = false;
            side.levels.extend(best.map(|(price, qty)| (sign * price, qty)));
        }
        self.note(known_at);
    }

    /// Keeps the top as it is now. Of states known at the same time the last in the log counts.
    fn note(&mut self, known_at: Timestamp) {
        let known_at = self.tops.last().map_or(known_at, |last| last.known_at.max(known_at));
        let best = self.bids.best().zip(self.asks.best()).map(
            |((bid, bid_qty, bid_five), (ask, ask_qty, ask_five))| Best {
                bid,
                ask: -ask,
                bid_qty,
                ask_qty,
                bid_five,
                ask_five,
            },
        );
        // A book that is crossed, incomplete or cannot be trusted says nothing.
        let sound = self.live && (self.whole || !self.levels);
        let best = best.filter(|b| sound && b.bid < b.ask);
        let top = Top { known_at, best };
        match self.tops.last_mut() {
            Some(last) if last.known_at == known_at => *last = top,
            _ => {
                self.tops.insert_back(0, top);
            }
        }
    }

    /// Best bid and ask now; none while the book cannot be used.
    pub(super) fn best_prices(&self) -> (Option<i64>, Option<i64>) {
        let best = self.tops.last().and_then(|top| top.best);
        (best.map(|b| b.bid), best.map(|b| b.ask))
    }

    /// The best in force at `at` and its age, ns.
    fn at(&self, at: Timestamp, max_age_ns: i64) -> Result<(Best, i64), Why> {
        let tops = self.tops.as_slice();
        let after = tops.partition_point(|t| t.known_at <= at);
        let top = after.checked_sub(1).and_then(|i| tops.get(i)).ok_or(Why::Missing)?;
        let best = top.best.ok_or(Why::Missing)?;
        let age = at.since(top.known_at);
        if age > max_age_ns { Err(Why::Stale) } else { Ok((best, age)) }
    }

    /// The mid in dollars at `at`.
    pub(super) fn mid(&self, at: Timestamp, max_age_ns: i64) -> Result<f64, Why> {
        let (best, _) = self.at(at, max_age_ns)?;
        Ok(f64::midpoint(best.bid as f64, best.ask as f64) / scale(self.price_decimals))
    }

    /// Computes the features.
    pub(super) fn put(&self, at: Timestamp, frame: &mut Frame, from: usize) {
        let top = self.at(at, MAX_AGE_NS);
        let best = top.map(|(best, _)| best);
        let lean = |bid: i64, ask: i64| (bid as f64 - ask as f64) / (bid as f64 + ask as f64);
        let price = scale(self.price_decimals);
        let micro = |b: Best| {
            let (bid, ask) = (b.bid as f64 / price, b.ask as f64 / price);
            let (qb, qa) = (b.bid_qty as f64, b.ask_qty as f64);
            (bid * qa + ask * qb) / (qb + qa) - f64::midpoint(bid, ask)
        };
        let depth = |b: Best| libm::log1p((b.bid_five as f64 + b.ask_five as f64) / scale(self.qty_decimals));
        frame.put(from, best.map(|b| lean(b.bid_qty, b.ask_qty)));
        frame.put(from + 1, best.map(|b| lean(b.bid_five, b.ask_five)));
        frame.put(from + 2, best.map(micro));
        frame.put(from + 3, best.map(|b| (b.ask - b.bid) as f64 / price));
        frame.put(from + 4, best.map(depth));
        frame.put(from + 5, top.map(|(_, age)| age as f64 / NANOS_PER_SEC as f64));
    }
}

/// 10^decimals; decimals of venues are at most 18.
fn scale(decimals: u8) -> f64 {
    10_u64.pow(u32::from(decimals.min(18))) as f64
}
