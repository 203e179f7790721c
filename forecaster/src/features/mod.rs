//! Feature sets: named, versioned lists of numbers a model may see; every one is a pure function of past records.
//!
//! A set never changes: another formula is another version. Its table of [`Spec`]s is the one place where a feature's
//! name, formula, unit, legal range and source are written; `docs/features.md` is made from it. [`Stream`] takes
//! records and gives rows; a row passes the gate of [`gate`] before any model sees it.

pub mod doc;
pub mod gate;
pub mod market;
pub mod stream;
pub mod updown;

pub use gate::{Needs, NoRow};
pub use stream::{Drops, Gate, Query, Stream};
pub use updown::Target;

/// Most features a set may have.
pub const MAX_WIDTH: usize = 128;

/// Where a feature's numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The clock and the question alone; never missing.
    Clock,
    /// The settlement index; a value a minute is enough.
    Index,
    /// The settlement index, with a value at least every 15 seconds.
    FineIndex,
    /// Best bid and ask of the prediction market.
    Quotes,
    /// The order book of the prediction market, with quantities.
    Book,
    /// Order books or indices of spot venues.
    Spot,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 6] =
        [Self::Clock, Self::Index, Self::FineIndex, Self::Quotes, Self::Book, Self::Spot];

    /// The stable name, as in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Index => "index",
            Self::FineIndex => "index, fine",
            Self::Quotes => "quotes",
            Self::Book => "book",
            Self::Spot => "spot",
        }
    }
}

/// What there is to say about one feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spec {
    /// Its name, as manifests spell it.
    pub name: &'static str,
    /// How it is computed, in plain text.
    pub formula: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Least legal value.
    pub least: f64,
    /// Greatest legal value.
    pub most: f64,
    /// Where it comes from.
    pub source: Source,
    /// What makes it missing.
    pub missing: &'static str,
}

/// A versioned list of features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureSet {
    /// Its name with its version, as manifests spell it.
    pub name: &'static str,
    /// The features in the order of the row.
    pub names: &'static [&'static str],
    /// What they are, in the same order.
    pub specs: &'static [Spec],
    /// Longest window, seconds.
    pub lookback_s: u32,
}

/// All sets.
pub const SETS: &[FeatureSet] = &[updown::SET, market::SET];

/// The set of this name.
pub fn set(name: &str) -> Option<&'static FeatureSet> {
    SETS.iter().find(|set| set.name == name)
}

impl FeatureSet {
    /// How many features a row has.
    pub const fn width(&self) -> usize {
        self.names.len()
    }

    /// Where a feature is in the row.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| *n == name)
    }

    /// The features that come from one of these sources.
    pub fn supplied_by(&self, sources: &[Source]) -> Needs {
        let supplied = |(_, spec): &(usize, &Spec)| sources.contains(&spec.source);
        self.specs.iter().enumerate().filter(supplied).map(|(i, _)| i).collect()
    }
}

/// The names of a table, for a set.
pub(crate) const fn names_of<const N: usize>(specs: &[Spec; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = specs[i].name;
        i += 1;
    }
    names
}
