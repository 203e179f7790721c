//! The columns that a forest looks at: features, and what had to be computed from them so that every branch is `x <= t`.
//!
//! A walker that knows one comparison has no branch to mispredict. So `<` becomes `<=` the float before, `>` and `>=`
//! swap their children, and NaN, which no comparison holds for, goes the wrong way by itself or is made negative
//! infinity in a column of its own. What cannot be said so (`==`, `!=`, a threshold that is NaN) is compared
//! beforehand: its column holds 0 where the condition holds and 1 where it does not.

use std::collections::BTreeMap;

use super::ensemble::Mode;

/// Rows that are walked side by side in [`super::bits`].
pub(super) const LANES: usize = 16;

/// What a column holds for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// Negative infinity: what leaves compare with, so that they stay where they are.
    Floor,
    /// The feature; NaN goes right.
    Plain,
    /// The feature with negative infinity for NaN, so that NaN goes left.
    NanLeft,
    /// 0 where the condition holds, else 1. The value is kept as bits, so that rules can be ordered.
    Test { mode: Mode, value: u32, missing_true: bool },
}

/// A column of the widened row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Column {
    pub(super) feature: u32,
    pub(super) rule: Rule,
}

impl Column {
    /// Its value for a row.
    #[inline]
    pub(super) fn value(self, row: &[f32]) -> f32 {
        let x = row[self.feature as usize];
        match self.rule {
            Rule::Floor => f32::NEG_INFINITY,
            Rule::Plain => x,
            Rule::NanLeft => {
                if x.is_nan() {
                    f32::NEG_INFINITY
                } else {
                    x
                }
            }
            Rule::Test { mode, value, missing_true } => {
                f32::from(!holds(mode, x, f32::from_bits(value), missing_true))
            }
        }
    }
}

/// Whether a branch's condition holds, as ONNX Runtime decides it.
pub(super) fn holds(mode: Mode, x: f32, value: f32, missing_true: bool) -> bool {
    let condition = match mode {
        Mode::Leq => x <= value,
        Mode::Lt => x < value,
        Mode::Gte => x >= value,
        Mode::Gt => x > value,
        Mode::Eq => x == value,
        Mode::Neq => x != value,
    };
    condition || (missing_true && x.is_nan())
}

/// A branch as `x <= t` on a column: left when it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) column: u32,
    pub(super) t: f32,
    /// Whether the true child is the left one.
    pub(super) yes_left: bool,
}

/// The columns that were asked for, each once. Column 0 is [`Rule::Floor`].
#[derive(Clone, Debug)]
pub(super) struct Columns {
    numbers: BTreeMap<Column, u32>,
    list: Vec<Column>,
}

impl Columns {
    pub(super) fn new() -> Self {
        let mut out = Self { numbers: BTreeMap::new(), list: Vec::new() };
        out.number(Column { feature: 0, rule: Rule::Floor });
        out
    }

    fn number(&mut self, column: Column) -> u32 {
        let next = self.list.len() as u32;
        let number = *self.numbers.entry(column).or_insert(next);
        if number == next {
            self.list.push(column);
        }
        number
    }

    /// The columns in the order of their numbers.
    pub(super) fn into_list(self) -> Vec<Column> {
        self.list
    }

    /// Restates a branch. The column for NaN is chosen by where the branch sends NaN and by which child is left.
    pub(super) fn test(&mut self, feature: u32, mode: Mode, value: f32, missing_true: bool) -> Test {
        let (t, yes_left) = match mode {
            Mode::Leq => (value, true),
            Mode::Lt => (value.next_down(), true),
            Mode::Gt => (value, false),
            Mode::Gte => (value.next_down(), false),
            Mode::Eq | Mode::Neq => (f32::NAN, true),
        };
        // The float before negative infinity is itself, so `<` and `>=` cannot be restated there.
        let below_all = matches!(mode, Mode::Lt | Mode::Gte) && value == f32::NEG_INFINITY;
        if t.is_nan() || below_all {
            let rule = Rule::Test { mode, value: value.to_bits(), missing_true };
            return Test { column: self.number(Column { feature, rule }), t: 0.5, yes_left: true };
        }
        let nan_left = missing_true == yes_left;
        let rule = if nan_left { Rule::NanLeft } else { Rule::Plain };
        Test { column: self.number(Column { feature, rule }), t, yes_left }
    }
}
