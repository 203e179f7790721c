//! Kalshi's tick structures: which prices a market allows. Never rounds a price onto the grid by itself.

use super::units::{DOLLAR, dollars_text};

/// A price level structure (venue docs, `price_level_structure`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// One cent everywhere.
    LinearCent,
    /// A tenth of a cent below 0.10 and above 0.90, one cent between.
    TaperedDeciCent,
    /// A tenth of a cent everywhere.
    DeciCent,
}

impl Structure {
    /// The venue's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinearCent => "linear_cent",
            Self::TaperedDeciCent => "tapered_deci_cent",
            Self::DeciCent => "deci_cent",
        }
    }

    /// The next finer structure; the finest stays.
    #[must_use]
    pub const fn finer(self) -> Self {
        match self {
            Self::LinearCent => Self::TaperedDeciCent,
            Self::TaperedDeciCent | Self::DeciCent => Self::DeciCent,
        }
    }

    /// The bands `(start, end, step)` in 1e-6 dollars, ascending and without holes.
    pub const fn ranges(self) -> &'static [(i64, i64, i64)] {
        match self {
            Self::LinearCent => &[(0, DOLLAR, 10_000)],
            Self::TaperedDeciCent => {
                &[(0, 100_000, 1_000), (100_000, 900_000, 10_000), (900_000, DOLLAR, 1_000)]
            }
            Self::DeciCent => &[(0, DOLLAR, 1_000)],
        }
    }

    /// The step at a price, 1e-6 dollars.
    pub fn step_at(self, price: i64) -> i64 {
        let band = self.ranges().iter().find(|(start, end, _)| (*start..*end).contains(&price));
        band.map_or(1_000, |(_, _, step)| *step)
    }

    /// Whether a price lies on the grid.
    pub fn allows(self, price: i64) -> bool {
        price > 0 && price < DOLLAR && price % self.step_at(price) == 0
    }

    /// The bands in the venue's form.
    pub fn ranges_json(self) -> serde_json::Value {
        let band = |(start, end, step): &(i64, i64, i64)| {
            serde_json::json!({
                "start": dollars_text(*start), "end": dollars_text(*end), "step": dollars_text(*step),
            })
        };
        self.ranges().iter().map(band).collect()
    }
}
