//! Feature sets: named, versioned lists of numbers a model may see; every one is a pure function of past records.
//!
//! A set never changes: another formula is another version. One file per set; a new one is listed in [`SETS`].

pub mod updown;

pub use updown::{NoRow, Target};

/// A versioned list of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureSet {
    /// Its name with its version, as manifests spell it.
    pub name: &'static str,
    /// The features in the order of the row.
    pub names: &'static [&'static str],
    /// Longest window, seconds.
    pub lookback_s: u32,
}

/// All sets.
pub const SETS: &[FeatureSet] = &[updown::SET];

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
}
