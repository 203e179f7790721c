//! What is known of a value before anything runs: dimensions, an upper bound of its size, numbers if it is small; it
//! never guesses: what is not known is absent.

use super::tensor::{TensorView, element_bits, elements};

/// Numbers are followed of values up to this many elements.
pub(super) const MAX_VALUES: usize = 1024;

/// Dimensions as far as they are known.
pub(super) type Dims = Vec<Option<u64>>;

/// One value of a graph.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// Its dimensions; `None` when not even their number is known.
    pub(super) dims: Option<Dims>,
    /// No more elements than this.
    pub(super) bound: Option<u64>,
    /// No fewer elements than this, where the dimensions do not say so.
    pub(super) floor: u64,
    /// Whether it depends on no input of the graph.
    pub(super) constant: bool,
    /// Its numbers, of small constants.
    pub(super) values: Option<Vec<f64>>,
    /// Bits of an element.
    pub(super) bits: u32,
}

impl Default for Fact {
    /// Nothing is known.
    fn default() -> Self {
        Self { dims: None, bound: None, floor: 0, constant: false, values: None, bits: 32 }
    }
}

impl Fact {
    /// An initializer.
    pub(super) fn of(tensor: &TensorView<'_>) -> Self {
        Self {
            dims: Some(tensor.dims.iter().map(|d| Some(*d)).collect()),
            bound: tensor.elements(),
            floor: 0,
            constant: true,
            values: tensor.values.clone(),
            bits: element_bits(tensor.kind).unwrap_or(32),
        }
    }

    /// A value of these dimensions.
    pub(super) fn shaped(dims: Dims, bits: u32) -> Self {
        Self { dims: Some(dims), bits, ..Self::default() }
    }

    /// A value of which only an upper bound of its size is known.
    pub(super) fn within(bound: Option<u64>, bits: u32) -> Self {
        Self { bound, bits, ..Self::default() }
    }

    /// A scalar or list of integers.
    pub(super) fn numbers(values: Vec<f64>, scalar: bool) -> Self {
        let dims = if scalar { vec![] } else { vec![Some(values.len() as u64)] };
        Self { dims: Some(dims), constant: true, values: Some(values), bits: 64, ..Self::default() }
    }

    /// A value whose dimensions are these where they are known, and at least `least` where they are not.
    pub(super) fn at_least(dims: Dims, least: &[u64], bits: u32) -> Self {
        Self { floor: product(least), ..Self::shaped(dims, bits) }
    }

    /// The same without its numbers.
    pub(super) fn like(&self) -> Self {
        Self { values: None, constant: false, ..self.clone() }
    }

    /// How many dimensions it has.
    pub(super) fn rank(&self) -> Option<usize> {
        self.dims.as_ref().map(Vec::len)
    }

    /// All dimensions, if all are known.
    pub(super) fn known(&self) -> Option<Vec<u64>> {
        self.dims.as_ref()?.iter().copied().collect()
    }

    /// No more elements than this.
    pub(super) fn most(&self) -> Option<u64> {
        match self.known() {
            Some(dims) => Some(product(&dims)),
            None => self.bound,
        }
    }

    /// No fewer elements than this, if no free dimension is zero.
    pub(super) fn least(&self) -> u64 {
        let known = self.dims.iter().flatten().fold(1_u64, |n, d| n.saturating_mul(d.unwrap_or(1)));
        known.max(self.floor)
    }
}

/// The product, at most `u64::MAX`.
pub(super) fn product(dims: &[u64]) -> u64 {
    elements(dims).unwrap_or(u64::MAX)
}

/// Two shapes broadcast as numpy does it; `None` when one is not known.
pub(super) fn broadcast(a: Option<&Dims>, b: Option<&Dims>) -> Option<Dims> {
    let (a, b) = (a?, b?);
    let rank = a.len().max(b.len());
    let at = |dims: &Dims, i: usize| (i + dims.len()).checked_sub(rank).map_or(Some(1), |j| dims[j]);
    let both = |i| match (at(a, i), at(b, i)) {
        (Some(1), other) | (other, Some(1)) => other,
        (Some(x), Some(y)) => Some(x.max(y)),
        (Some(x), None) | (None, Some(x)) => Some(x),
        (None, None) => None,
    };
    Some((0..rank).map(both).collect())
}

/// An axis counted from the end when it is negative.
pub(super) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let from_start = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(from_start).ok().filter(|a| *a <= rank)
}

/// A size computed in floats; negative ones are zero, endless ones the most there is.
pub(super) fn size(x: f64) -> u64 {
    // The cast saturates; NaN becomes zero.
    x as u64
}
