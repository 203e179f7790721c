//! The gate before inference: which features a model needs and why there is no row for it; it never repairs a number.
//!
//! Engines turn NaN into plausible answers, so a missing, stale, non-finite or out-of-range feature must end here, as
//! an abstention that names it. What a model does not need cannot make it abstain: it is 0 in the row.

use minicbor::{Decode, Encode};

use super::{FeatureSet, MAX_WIDTH, Spec};

/// The features a model needs, by their place in the set's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Needs {
    /// Features 0 to 63.
    #[n(0)]
    low: u64,
    /// Features 64 to 127.
    #[n(1)]
    high: u64,
}

impl Needs {
    /// Nothing.
    pub const NONE: Self = Self { low: 0, high: 0 };

    /// Adds the feature at this place; places beyond [`MAX_WIDTH`] are left out.
    pub const fn add(&mut self, index: usize) {
        match index {
            0..64 => self.low |= 1 << index,
            64..MAX_WIDTH => self.high |= 1 << (index - 64),
            _ => {}
        }
    }

    /// The least place.
    pub const fn first(self) -> Option<usize> {
        match (self.low, self.high) {
            (0, 0) => None,
            (0, high) => Some(64 + high.trailing_zeros() as usize),
            (low, _) => Some(low.trailing_zeros() as usize),
        }
    }

    /// All features of the set.
    pub fn all(set: &FeatureSet) -> Self {
        (0..set.width()).collect()
    }

    /// These features of the set; `Err` is the first name that is not of it.
    pub fn named<'a>(set: &FeatureSet, names: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        names.into_iter().map(|name| set.position(name).ok_or(name)).collect()
    }

    /// Whether the feature at this place is needed.
    pub const fn contains(self, index: usize) -> bool {
        match index {
            0..64 => self.low >> index & 1 == 1,
            64..MAX_WIDTH => self.high >> (index - 64) & 1 == 1,
            _ => false,
        }
    }

    /// The places, ascending.
    pub fn columns(self) -> impl Iterator<Item = usize> {
        (0..MAX_WIDTH).filter(move |i| self.contains(*i))
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        (self.low.count_ones() + self.high.count_ones()) as usize
    }

    /// Whether nothing is needed.
    pub const fn is_empty(self) -> bool {
        self.low == 0 && self.high == 0
    }

    /// What both need.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { low: self.low & other.low, high: self.high & other.high }
    }
}

impl FromIterator<usize> for Needs {
    /// Places beyond [`MAX_WIDTH`] are left out.
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut needs = Self::default();
        for place in places {
            needs.add(place);
        }
        needs
    }
}

/// Why there is no row. Places are those of the set's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRow {
    /// No tick at or before the instant.
    NoTick,
    /// Less history than the bound.
    ShortHistory,
    /// The newest tick is older than the bound.
    StaleInput,
    /// A feature is NaN or infinite.
    NotFinite(u8),
    /// A feature has no source: nothing of the kind was ever seen.
    Missing(u8),
    /// What a feature is computed from is too old, or has holes.
    Stale(u8),
    /// The history does not reach back over a feature's window.
    TooShort(u8),
    /// A feature is outside its legal range.
    OutOfRange(u8),
}

impl NoRow {
    /// The stable code; metrics and `oraculo features export` count by it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoTick => "no_tick",
            Self::ShortHistory => "short_history",
            Self::StaleInput => "stale_input",
            Self::NotFinite(_) => "feature_not_finite",
            Self::Missing(_) => "feature_missing",
            Self::Stale(_) => "feature_stale",
            Self::TooShort(_) => "feature_short_history",
            Self::OutOfRange(_) => "feature_out_of_range",
        }
    }

    /// The feature it is about, if it is about one.
    pub fn feature(self, set: &FeatureSet) -> Option<&'static str> {
        match self {
            Self::NoTick | Self::ShortHistory | Self::StaleInput => None,
            Self::NotFinite(i)
            | Self::Missing(i)
            | Self::Stale(i)
            | Self::TooShort(i)
            | Self::OutOfRange(i) => Some(set.names.get(usize::from(i)).copied().unwrap_or("unknown")),
        }
    }
}

/// Lets a number through if it is finite and in its range.
pub(crate) fn check(index: usize, value: f32, spec: &Spec) -> Result<(), NoRow> {
    let place = index as u8;
    if !value.is_finite() {
        return Err(NoRow::NotFinite(place));
    }
    // The bounds are compared as f32, so that a number clipped to one of them is legal after its cast.
    if value < spec.least as f32 || value > spec.most as f32 {
        return Err(NoRow::OutOfRange(place));
    }
    Ok(())
}
