//! One order book in integers; it never decides whether it is right, only what it holds.
//!
//! Each side is a sorted vector with the best level at its end, because nearly all changes happen there. Once its
//! capacity is reached a book allocates nothing.

use schemas::{BookSide, Digest};

/// One price level; the quantity is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Price at the instrument's scale.
    pub price: i64,
    /// Quantity at the instrument's scale.
    pub qty: i64,
}

/// Both sides of an instrument's book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Ascending: the best bid is last.
    bids: Vec<Level>,
    /// Descending: the best ask is last.
    asks: Vec<Level>,
    /// Sum of the levels' hashes; equal for equal books, whatever the order of changes.
    hash: u64,
}

/// Where a price stands from the end, or where it belongs.
#[inline]
fn find(levels: &[Level], price: i64, before: impl Fn(i64, i64) -> bool) -> Result<usize, usize> {
    // Most changes hit one of the best levels.
    let near = levels.len().saturating_sub(8);
    let mut at = levels.len();
    while at > near {
        let level = levels[at - 1].price;
        if level == price {
            return Ok(at - 1);
        }
        if before(level, price) {
            return Err(at);
        }
        at -= 1;
    }
    levels[..near].binary_search_by(|level| {
        if level.price == price {
            std::cmp::Ordering::Equal
        } else if before(level.price, price) {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Greater
        }
    })
}

/// A level's share of the book's hash (splitmix64's finaliser, Steele et al. 2014).
#[inline]
fn mix(side: BookSide, level: Level) -> u64 {
    let mut x = (level.price as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (level.qty as u64).rotate_left(32)
        ^ match side {
            BookSide::Bid => 0,
            BookSide::Ask => 0xd1b5_4a32_d192_ed03,
        };
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Book {
    /// The levels of a side, best last.
    #[inline]
    pub fn side(&self, side: BookSide) -> &[Level] {
        match side {
            BookSide::Bid => &self.bids,
            BookSide::Ask => &self.asks,
        }
    }

    /// The levels of a side, best first.
    pub fn best_first(&self, side: BookSide) -> impl Iterator<Item = Level> + '_ {
        self.side(side).iter().rev().copied()
    }

    /// The best level of a side.
    #[inline]
    pub fn best(&self, side: BookSide) -> Option<Level> {
        self.side(side).last().copied()
    }

    /// The quantity at a price; 0 if there is none.
    #[inline]
    pub fn qty(&self, side: BookSide, price: i64) -> i64 {
        let levels = self.side(side);
        self.locate(side, price).map_or(0, |at| levels[at].qty)
    }

    /// Best bid at or above best ask.
    #[inline]
    pub fn crossed(&self) -> bool {
        matches!((self.bids.last(), self.asks.last()), (Some(bid), Some(ask)) if bid.price >= ask.price)
    }

    /// No level at all.
    pub fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }

    #[inline]
    fn locate(&self, side: BookSide, price: i64) -> Result<usize, usize> {
        match side {
            BookSide::Bid => find(&self.bids, price, |a, b| a < b),
            BookSide::Ask => find(&self.asks, price, |a, b| a > b),
        }
    }

    /// Sets the absolute quantity of a level; 0 or less removes it. Returns the quantity before.
    #[inline]
    pub fn set(&mut self, side: BookSide, price: i64, qty: i64) -> i64 {
        let place = self.locate(side, price);
        let levels = match side {
            BookSide::Bid => &mut self.bids,
            BookSide::Ask => &mut self.asks,
        };
        let old = place.map_or(0, |at| levels[at].qty);
        if old > 0 {
            self.hash = self.hash.wrapping_sub(mix(side, Level { price, qty: old }));
        }
        if qty > 0 {
            self.hash = self.hash.wrapping_add(mix(side, Level { price, qty }));
        }
        match place {
            Ok(at) if qty > 0 => levels[at].qty = qty,
            Ok(at) => {
                levels.remove(at);
            }
            Err(at) if qty > 0 => levels.insert(at, Level { price, qty }),
            Err(_) => {}
        }
        old
    }

    /// Keeps the best `depth` levels of a side.
    pub fn truncate(&mut self, side: BookSide, depth: usize) {
        let levels = match side {
            BookSide::Bid => &mut self.bids,
            BookSide::Ask => &mut self.asks,
        };
        let excess = levels.len().saturating_sub(depth);
        for level in levels.drain(..excess) {
            self.hash = self.hash.wrapping_sub(mix(side, level));
        }
    }

    /// Empties both sides and keeps their capacity.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.hash = 0;
    }

    /// Equal for equal books; for comparing two books of one process, not for proofs.
    #[inline]
    pub fn quick_hash(&self) -> u64 {
        self.hash
    }

    /// BLAKE3 over all levels, best last.
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(16 * (self.bids.len() + self.asks.len()) + 8);
        bytes.extend((self.bids.len() as u64).to_be_bytes());
        for level in self.bids.iter().chain(&self.asks) {
            bytes.extend(level.price.to_be_bytes());
            bytes.extend(level.qty.to_be_bytes());
        }
        Digest::of(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_map_holds(changes in proptest::collection::vec((any::<bool>(), 0_i64..40, 0_i64..4), 0..300)) {
            let mut book = Book::default();
            let mut maps = [BTreeMap::new(), BTreeMap::new()];
            for (bid, price, qty) in changes {
                let side = if bid { BookSide::Bid } else { BookSide::Ask };
                let map = &mut maps[usize::from(!bid)];
                let old = if qty > 0 { map.insert(price, qty) } else { map.remove(&price) };
                prop_assert_eq!(book.set(side, price, qty), old.unwrap_or(0));
            }
            let flat = |levels: &[Level]| levels.iter().map(|l| (l.price, l.qty)).collect::<Vec<_>>();
            prop_assert_eq!(flat(book.side(BookSide::Bid)), maps[0].clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(flat(book.side(BookSide::Ask)), maps[1].clone().into_iter().rev().collect::<Vec<_>>());
            let mut again = Book::default();
            for (at, side) in [(0, BookSide::Bid), (1, BookSide::Ask)] {
                for (&price, &qty) in maps[at].iter().rev() {
                    again.set(side, price, qty);
                }
            }
            prop_assert_eq!(again.quick_hash(), book.quick_hash());
            prop_assert_eq!(again.digest(), book.digest());
            book.truncate(BookSide::Bid, 3);
            prop_assert!(book.side(BookSide::Bid).len() <= 3);
            prop_assert_eq!(book.best(BookSide::Bid).map(|l| l.price), maps[0].keys().next_back().copied());
        }
    }
}
