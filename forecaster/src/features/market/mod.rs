//! Feature set `market-1`: index, strike, prediction market, books, spot venues, calendar and a path; one file a family.
//!
//! Computed in f64 in a fixed order with `libm`, then cast to f32, so every platform gets the same bits. What hangs on
//! the index pair alone is computed once an instant and shared by all its markets.

pub mod book;
pub mod calendar;
pub mod path;
pub mod quotes;
pub mod returns;
pub mod ring;
pub mod series;
pub mod spot;
pub mod state;
pub mod strike;
pub mod tape;
pub mod volatility;

use super::gate::{Needs, NoRow};
use super::{FeatureSet, Source, Spec};
pub use state::{Bounds, Counts, MarketState};

/// Name of the set.
pub const FEATURE_SET: &str = "market-1";
/// Longest window, seconds.
pub const LOOKBACK_S: i64 = 3600;

// Where each family begins in the row.
const RETURNS: usize = 0;
const VOLATILITY: usize = RETURNS + returns::SPECS.len();
const STRIKE: usize = VOLATILITY + volatility::SPECS.len();
const QUOTES: usize = STRIKE + strike::SPECS.len();
const BOOK: usize = QUOTES + quotes::SPECS.len();
const SPOT: usize = BOOK + book::SPECS.len();
const CALENDAR: usize = SPOT + spot::SPECS.len();
const PATH: usize = CALENDAR + calendar::SPECS.len();
/// How many features a row has.
pub const WIDTH: usize = PATH + path::SPECS.len();

/// What the features are, in the order of the row.
pub static SPECS: [Spec; WIDTH] = specs();
/// Their names.
pub const NAMES: [&str; WIDTH] = super::names_of(&specs());
/// The set, for manifests.
pub const SET: FeatureSet =
    FeatureSet { name: FEATURE_SET, names: &NAMES, specs: &SPECS, lookback_s: LOOKBACK_S as u32 };

const fn specs() -> [Spec; WIDTH] {
    let out = [returns::SPECS[0]; WIDTH];
    let out = fill(out, RETURNS, &returns::SPECS);
    let out = fill(out, VOLATILITY, &volatility::SPECS);
    let out = fill(out, STRIKE, &strike::SPECS);
    let out = fill(out, QUOTES, &quotes::SPECS);
    let out = fill(out, BOOK, &book::SPECS);
    let out = fill(out, SPOT, &spot::SPECS);
    let out = fill(out, CALENDAR, &calendar::SPECS);
    fill(out, PATH, &path::SPECS)
}

const fn fill(mut out: [Spec; WIDTH], from: usize, family: &[Spec]) -> [Spec; WIDTH] {
    let mut i = 0;
    while i < family.len() {
        out[from + i] = family[i];
        i += 1;
    }
    out
}

const fn spec(
    name: &'static str,
    formula: &'static str,
    unit: &'static str,
    range: [f64; 2],
    source: Source,
    missing: &'static str,
) -> Spec {
    Spec { name, formula, unit, least: range[0], most: range[1], source, missing }
}

/// Why a feature is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// It is there.
    #[default]
    Fine,
    /// Nothing of the kind was ever seen.
    Missing,
    /// Too old, or with holes.
    Stale,
    /// The history does not reach back over the window.
    TooShort,
    /// NaN or infinite.
    NotFinite,
    /// Outside its legal range.
    OutOfRange,
}

/// A row in the making: numbers, and for what is not there why.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    values: [f32; WIDTH],
    why: [Why; WIDTH],
    /// The features that are not there.
    gone: Needs,
}

impl Frame {
    const fn new() -> Self {
        Self { values: [0.0; WIDTH], why: [Why::Fine; WIDTH], gone: Needs::NONE }
    }

    /// Sets one feature; the gate stands here.
    fn put(&mut self, index: usize, value: Result<f64, Why>) {
        let why = match value {
            Ok(value) => {
                let value = value as f32;
                let spec = &SPECS[index];
                match super::gate::check(index, value, spec) {
                    Ok(()) => {
                        self.values[index] = value;
                        self.why[index] = Why::Fine;
                        return;
                    }
                    Err(NoRow::NotFinite(_)) => Why::NotFinite,
                    Err(_) => Why::OutOfRange,
                }
            }
            Err(why) => why,
        };
        self.values[index] = 0.0;
        self.why[index] = why;
        self.gone.add(index);
    }

    /// The first needed feature that is not there.
    fn refused(&self, needs: Needs) -> Option<NoRow> {
        let index = self.gone.and(needs).first()?;
        let place = index as u8;
        Some(match self.why[index] {
            Why::Missing | Why::Fine => NoRow::Missing(place),
            Why::Stale => NoRow::Stale(place),
            Why::TooShort => NoRow::TooShort(place),
            Why::NotFinite => NoRow::NotFinite(place),
            Why::OutOfRange => NoRow::OutOfRange(place),
        })
    }
}

/// What the market's families take from the index's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Basis {
    /// Logarithm of the index.
    ln: Result<f64, Why>,
    rv_300s: Result<f64, Why>,
    rv_900s: Result<f64, Why>,
    rv_3600s: Result<f64, Why>,
    ewma_300s: Result<f64, Why>,
    gk_900s: Result<f64, Why>,
}

impl Basis {
    const fn new(why: Why) -> Self {
        Self {
            ln: Err(why),
            rv_300s: Err(why),
            rv_900s: Err(why),
            rv_3600s: Err(why),
            ewma_300s: Err(why),
            gk_900s: Err(why),
        }
    }
}
