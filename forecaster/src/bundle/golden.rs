//! Golden pairs: raw rows with the answers any engine must reproduce; it never computes an answer itself.

use serde::Deserialize;

use crate::error::{Check, ForecasterError};
use crate::manifest::Manifest;

/// How far an engine's answer may be from a golden one.
pub const TOLERANCE: f32 = 1e-5;
/// Fewest pairs a bundle has.
pub const MIN_PAIRS: usize = 3;
/// Most pairs a bundle may have.
pub const MAX_PAIRS: usize = 4096;

/// One raw row, before normalisation, and its answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The whole raw row of the feature set.
    pub input: Vec<f32>,
    /// The answer, after transform and choice of column.
    pub output: Vec<f32>,
}

/// The checked content of `golden.json`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Golden {
    pairs: Vec<Pair>,
}

/// `golden.json` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    feature_set: String,
    /// Which engine made the answers; for people.
    #[serde(rename = "engine")]
    _engine: String,
    tolerance: f64,
    pairs: Vec<Pair>,
}

impl Golden {
    /// Parses and checks `golden.json`.
    pub fn parse(text: &str, manifest: &Manifest) -> Result<Self, ForecasterError> {
        let fault = |detail: String| Err(ForecasterError::check(Check::GoldenForm, detail));
        let file: File = match serde_json::from_str(text) {
            Ok(file) => file,
            Err(error) => return fault(format!("golden.json: {error}")),
        };
        let Some(set) = manifest.feature_set() else {
            return fault("golden.json of rows needs [features] in the manifest".to_owned());
        };
        if file.schema != 1 || file.feature_set != set.name {
            return fault(format!("golden.json is not schema 1 of {}", set.name));
        }
        let width = set.width();
        let answers = if manifest.answer().column.is_some() {
            1
        } else {
            manifest.row_io().map_or(0, |io| io.answer_width)
        };
        if !(file.tolerance > 0.0 && file.tolerance as f32 <= TOLERANCE) {
            return fault(format!("tolerance {} is not within (0, {TOLERANCE}]", file.tolerance));
        }
        if !(MIN_PAIRS..=MAX_PAIRS).contains(&file.pairs.len()) {
            return fault(format!("{} pairs, allowed are {MIN_PAIRS} to {MAX_PAIRS}", file.pairs.len()));
        }
        let [low, high] = manifest.range();
        for (i, pair) in file.pairs.iter().enumerate() {
            let input = pair.input.len() == width && pair.input.iter().all(|x| x.is_finite());
            let output = pair.output.len() == answers
                && pair.output.iter().all(|p| (low..=high).contains(&f64::from(*p)));
            if !input || !output {
                return fault(format!(
                    "pair {i} is not {width} finite features and {answers} answers in [{low}, {high}]"
                ));
            }
        }
        Ok(Self { pairs: file.pairs })
    }

    /// The pairs; none when the bundle has no `golden.json`.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }
}
