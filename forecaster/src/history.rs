//! The bounded memory of one index: what its value was at an instant; it never sees anything but ticks.

use std::collections::VecDeque;

use minicbor::{Decode, Encode};
use schemas::time::NANOS_PER_SEC;
use schemas::{IndexPrice, Timestamp};

use crate::features::updown::LOOKBACK_S;

/// Ticks older than this before the newest are forgotten: the lookback and a margin for questions that come late.
const KEEP_NS: i64 = (LOOKBACK_S + 120) * NANOS_PER_SEC;

/// One value with the index's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Point {
    /// The index's own time.
    #[n(0)]
    pub at: Timestamp,
    /// The value; positive.
    #[n(1)]
    pub value: IndexPrice,
}

/// What became of a tick that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is the newest now.
    Kept,
    /// It replaced a value of the same time.
    Replaced,
    /// It is older than the newest and was dropped.
    OutOfOrder,
    /// Its value is not positive and was dropped.
    NotPositive,
    /// It was kept, and the oldest had to go although it was still in the lookback.
    Evicted,
}

/// A bounded ring of ticks, ascending by the index's own time.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct History {
    #[n(0)]
    points: VecDeque<Point>,
    #[n(1)]
    max: u32,
}

impl History {
    /// An empty history of at most `max` ticks (at least one).
    pub fn new(max: u32) -> Self {
        Self { points: VecDeque::new(), max: max.max(1) }
    }

    /// Takes a tick; says what became of it.
    pub fn offer(&mut self, at: Timestamp, value: IndexPrice) -> Offered {
        if value.0 <= 0 {
            return Offered::NotPositive;
        }
        match self.points.back_mut() {
            Some(last) if at < last.at => return Offered::OutOfOrder,
            Some(last) if at == last.at => {
                last.value = value;
                return Offered::Replaced;
            }
            _ => self.points.push_back(Point { at, value }),
        }
        self.forget(at)
    }

    /// Forgets what no window can reach; the last tick at or before the horizon stays.
    fn forget(&mut self, newest: Timestamp) -> Offered {
        let horizon = newest.plus(-KEEP_NS);
        while self.points.get(1).is_some_and(|second| second.at <= horizon) {
            self.points.pop_front();
        }
        if self.points.len() <= self.max as usize {
            return Offered::Kept;
        }
        self.points.pop_front();
        Offered::Evicted
    }

    /// The last tick at or before `at`.
    pub fn at(&self, at: Timestamp) -> Option<Point> {
        let after = self.points.partition_point(|p| p.at <= at);
        after.checked_sub(1).and_then(|i| self.points.get(i)).copied()
    }

    /// The oldest tick.
    pub fn oldest(&self) -> Option<Point> {
        self.points.front().copied()
    }

    /// How many ticks are kept.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}
