//! What may go into a model and what may come out; it never mends a number.

use schemas::Ppm;

use crate::error::ForecasterError;

/// What became of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// The model answered and the answer may be used.
    #[default]
    Answered,
    /// There was no row to ask about: the feature code abstained.
    NoRow,
    /// A feature was NaN or infinite; the model was not asked.
    InputNotFinite,
    /// The model's answer was NaN or infinite.
    OutputNotFinite,
    /// The model's answer was outside its range.
    OutputRange,
}

impl Outcome {
    /// The reasons for an abstention, in the order of the counters.
    pub const ABSTENTIONS: [Self; 4] =
        [Self::NoRow, Self::InputNotFinite, Self::OutputNotFinite, Self::OutputRange];

    /// The stable code: that of the error of the same meaning.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoRow => "no_row",
            Self::InputNotFinite => "input_not_finite",
            Self::OutputNotFinite => "output_not_finite",
            Self::OutputRange => "output_range",
        }
    }

    /// Whether the row has an answer.
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Answered)
    }
}

/// What may be given to a model: the right width, every number finite. ONNX Runtime swallows NaN in trees and
/// recurrent cells, so looking at the answer would not help.
pub fn gate_input(row: &[f32], width: usize) -> Result<(), ForecasterError> {
    if row.len() != width {
        return Err(ForecasterError::RowWidth { got: row.len(), want: width });
    }
    if all_finite(row) {
        return Ok(());
    }
    let index = row.iter().position(|x| !x.is_finite()).unwrap_or_default();
    Err(ForecasterError::InputNotFinite { index })
}

/// Whether every number is finite; without a branch per number, because every row of every model passes here.
pub fn all_finite(row: &[f32]) -> bool {
    row.iter().fold(true, |sound, x| sound & x.is_finite())
}

/// What may be published: finite, within the manifest's range, rounded to a millionth.
pub fn gate_output(p: f32, [low, high]: [f64; 2]) -> Result<Ppm, ForecasterError> {
    let p = f64::from(p);
    if !p.is_finite() {
        return Err(ForecasterError::OutputNotFinite);
    }
    match Ppm::from_f64(p) {
        Some(ppm) if (low..=high).contains(&p) => Ok(ppm),
        _ => Err(ForecasterError::OutputRange),
    }
}

/// The same for an answer of any meaning: every number finite and within the range.
pub fn gate_answer(answer: &[f32], [low, high]: [f64; 2]) -> Outcome {
    if !all_finite(answer) {
        return Outcome::OutputNotFinite;
    }
    let legal = answer.iter().all(|p| (low..=high).contains(&f64::from(*p)));
    if legal { Outcome::Answered } else { Outcome::OutputRange }
}
