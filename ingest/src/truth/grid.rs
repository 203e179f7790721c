//! Price grids: which prices a market takes; steps differ by range, and nothing is assumed where none is told.

use minicbor::{Decode, Encode};

/// A stretch of prices with one step, both ends included; 1e-6 dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PriceRange {
    /// First price.
    #[n(0)]
    pub start: i64,
    /// Last price.
    #[n(1)]
    pub end: i64,
    /// Distance of neighbouring prices.
    #[n(2)]
    pub step: i64,
}

/// Why ranges make no grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum GridError {
    /// There is no range.
    #[error("a grid needs a range")]
    Empty,
    /// A range ends before it begins, its step is not positive, or its length is not a multiple of it.
    #[error("a range of this length and step makes no grid")]
    Range,
    /// A range does not begin where the one before ends.
    #[error("ranges must touch and ascend")]
    Apart,
}

impl GridError {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "grid_empty",
            Self::Range => "grid_range",
            Self::Apart => "grid_apart",
        }
    }
}

/// A market's price grid: Kalshi's `price_ranges`, or one step for Polymarket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PriceRanges(#[n(0)] Vec<PriceRange>);

/// One dollar in 1e-6.
const DOLLAR: i64 = 1_000_000;
/// A cent in 1e-6 dollars.
const CENT: i64 = 10_000;
/// A tenth of a cent in 1e-6 dollars.
const DECI_CENT: i64 = 1_000;

impl PriceRanges {
    /// A grid of ranges that ascend and touch.
    pub fn new(ranges: Vec<PriceRange>) -> Result<Self, GridError> {
        if ranges.is_empty() {
            return Err(GridError::Empty);
        }
        let whole = |r: &PriceRange| {
            r.step > 0 && r.end > r.start && r.end.checked_sub(r.start).is_some_and(|d| d % r.step == 0)
        };
        if !ranges.iter().all(whole) {
            return Err(GridError::Range);
        }
        if ranges.windows(2).any(|pair| pair[0].end != pair[1].start) {
            return Err(GridError::Apart);
        }
        Ok(Self(ranges))
    }

    /// One step from 0 to 1 dollar.
    pub fn uniform(step: i64) -> Result<Self, GridError> {
        Self::new(vec![PriceRange { start: 0, end: DOLLAR, step }])
    }

    /// Kalshi `linear_cent`: a cent everywhere.
    pub fn linear_cent() -> Self {
        Self(vec![PriceRange { start: 0, end: DOLLAR, step: CENT }])
    }

    /// Kalshi `deci_cent`: a tenth of a cent everywhere.
    pub fn deci_cent() -> Self {
        Self(vec![PriceRange { start: 0, end: DOLLAR, step: DECI_CENT }])
    }

    /// Kalshi `tapered_deci_cent`: a tenth of a cent below 0.10 and above 0.90, a cent between.
    pub fn tapered_deci_cent() -> Self {
        let range = |start, end, step| PriceRange { start: start * CENT, end: end * CENT, step };
        Self(vec![range(0, 10, DECI_CENT), range(10, 90, CENT), range(90, 100, DECI_CENT)])
    }

    /// The grid of a `price_level_structure`; `None` for a name that is not in the venue's documents. Only for objects
    /// without `price_ranges`, which come first.
    pub fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"linear_cent" => Some(Self::linear_cent()),
            b"deci_cent" => Some(Self::deci_cent()),
            b"tapered_deci_cent" => Some(Self::tapered_deci_cent()),
            _ => None,
        }
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[PriceRange] {
        &self.0
    }

    /// Distance from this price to the next one above it; `None` outside the grid and at its upper end.
    pub fn step_up(&self, price: i64) -> Option<i64> {
        self.0.iter().find(|r| r.start <= price && price < r.end).map(|r| r.step)
    }

    /// Distance from this price to the next one below it; `None` outside the grid and at its lower end.
    pub fn step_down(&self, price: i64) -> Option<i64> {
        self.0.iter().find(|r| r.start < price && price <= r.end).map(|r| r.step)
    }

    /// Whether the market takes this price.
    pub fn on_grid(&self, price: i64) -> bool {
        self.0.iter().any(|r| (r.start..=r.end).contains(&price) && (price - r.start) % r.step == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_structures() {
        let tapered = PriceRanges::tapered_deci_cent();
        assert_eq!(PriceRanges::new(tapered.ranges().to_vec()), Ok(tapered.clone()));
        for (price, on) in
            [(99_000, true), (105_000, false), (110_000, true), (901_000, true), (900_500, false)]
        {
            assert_eq!(tapered.on_grid(price), on, "{price}");
        }
        assert_eq!((tapered.step_down(100_000), tapered.step_up(100_000)), (Some(1_000), Some(10_000)));
        assert_eq!((tapered.step_up(1_000_000), tapered.step_down(0)), (None, None));
        assert!(PriceRanges::linear_cent().on_grid(170_000) && !PriceRanges::linear_cent().on_grid(171_000));
        assert!(PriceRanges::deci_cent().on_grid(171_000) && !PriceRanges::deci_cent().on_grid(1_001_000));
        assert_eq!(PriceRanges::named(b"banded_centi_cent"), None);
    }

    #[test]
    fn ranges_that_make_no_grid() {
        let range = |start, end, step| PriceRange { start, end, step };
        assert_eq!(PriceRanges::new(vec![]), Err(GridError::Empty));
        assert_eq!(PriceRanges::uniform(0), Err(GridError::Range));
        assert_eq!(PriceRanges::uniform(300_000), Err(GridError::Range));
        assert_eq!(PriceRanges::new(vec![range(5, 5, 1)]), Err(GridError::Range));
        assert_eq!(PriceRanges::new(vec![range(i64::MIN, i64::MAX, 1)]), Err(GridError::Range));
        assert_eq!(PriceRanges::new(vec![range(0, 10, 5), range(11, 20, 3)]), Err(GridError::Apart));
    }
}
