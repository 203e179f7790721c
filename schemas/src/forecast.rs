//! Forecasts are distributions: a probability or 99 quantiles.

use minicbor::{Decode, Encode};

use crate::fixed::Ppm;

/// How many quantiles a numeric forecast has: levels 0.01, 0.02 … 0.99.
pub const QUANTILES: usize = 99;

/// A forecast distribution.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Forecast {
    /// Probability of yes (here: Up).
    #[n(0)]
    Probability(#[n(0)] Ppm),
    /// The [`QUANTILES`] quantiles of a number, in millionths of its unit, ascending.
    #[n(1)]
    Quantiles(#[n(0)] Vec<i64>),
}

impl Forecast {
    /// Whether the numbers make a distribution.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Probability(p) => p.is_valid(),
            Self::Quantiles(q) => q.len() == QUANTILES && q.is_sorted(),
        }
    }

    /// The bytes a commitment seals: wire form v1 of the forecast.
    pub fn payload(&self) -> Vec<u8> {
        crate::encode(self)
    }
}
