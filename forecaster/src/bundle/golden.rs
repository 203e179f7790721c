//! Golden pairs: inputs with the answers any engine must reproduce; it never computes an answer itself.
//!
//! Two forms. A *pair* is a raw row of the feature set and its answer after transform and choice of column; it covers
//! normalisation and choice of features too. A *case* is the graph's inputs and outputs as named tensors, for bundles
//! whose inputs are no feature rows.

use serde::Deserialize;

use crate::engine::{Data, Dim, Tensor};
use crate::error::{Check, ForecasterError};
use crate::manifest::{Manifest, Source};

/// How far an engine's answer may be from a golden one.
pub const TOLERANCE: f32 = 1e-5;
/// Fewest pairs and cases a bundle has.
pub const MIN_PAIRS: usize = 3;
/// Most pairs and cases a bundle may have.
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

/// The graph's inputs and what it gave for them, as named tensors; what the manifest holds constant may be left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What goes in.
    pub inputs: Vec<Tensor>,
    /// What must come out, before transform and choice of column.
    pub outputs: Vec<Tensor>,
}

impl Case {
    /// The inputs of a run: those of the case and the manifest's constants.
    pub fn run_inputs(&self, manifest: &Manifest) -> Vec<Tensor> {
        let left_out = manifest.inputs.iter().filter(|i| self.inputs.iter().all(|t| t.name != i.name));
        let constants = left_out.filter_map(crate::manifest::constant);
        self.inputs.iter().cloned().chain(constants).collect()
    }

    /// C10: the largest difference between what an engine gave and the golden outputs, relative above 1; the pair passes
    /// when it is at most [`TOLERANCE`]. The reason when an output is missing or of another shape or type.
    pub fn difference(&self, got: &[Tensor]) -> Result<f64, String> {
        let mut worst = 0.0_f64;
        for want in &self.outputs {
            let Some(have) = got.iter().find(|t| t.name == want.name) else {
                return Err(format!("no output `{}`", want.name));
            };
            if have.shape != want.shape || have.data.dtype() != want.data.dtype() {
                return Err(format!(
                    "`{}` is {} {:?}, the golden one {} {:?}",
                    want.name,
                    have.data.dtype().name(),
                    have.shape,
                    want.data.dtype().name(),
                    want.shape
                ));
            }
            for (a, b) in numbers(&have.data).into_iter().zip(numbers(&want.data)) {
                let d = (a - b).abs() / b.abs().max(1.0);
                worst = if d.is_nan() { f64::INFINITY } else { worst.max(d) };
            }
        }
        Ok(worst)
    }
}

/// The elements as f64; 64-bit integers beyond 2^53 lose their last bits, on both sides alike.
fn numbers(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Data::F64(v) => v.clone(),
        Data::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Data::I64(v) => v.iter().map(|x| *x as f64).collect(),
        Data::U8(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Data::Bool(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
    }
}

/// The checked content of `golden.json`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Golden {
    pairs: Vec<Pair>,
    cases: Vec<Case>,
}

/// `golden.json` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    #[serde(default)]
    feature_set: Option<String>,
    /// Which engine made the answers; for people.
    #[serde(rename = "engine")]
    _engine: String,
    tolerance: f64,
    #[serde(default)]
    pairs: Vec<Pair>,
    #[serde(default)]
    cases: Vec<Case>,
}

impl Golden {
    /// Parses and checks `golden.json`.
    pub fn parse(text: &str, manifest: &Manifest) -> Result<Self, ForecasterError> {
        let file: File = serde_json::from_str(text).map_err(|e| fault(format!("golden.json: {e}")))?;
        if !(1..=2).contains(&file.schema) || file.schema == 1 && !file.cases.is_empty() {
            return Err(fault("schema is 1 (pairs) or 2 (pairs and cases)".to_owned()));
        }
        if !(file.tolerance > 0.0 && file.tolerance as f32 <= TOLERANCE) {
            return Err(fault(format!("tolerance {} is not within (0, {TOLERANCE}]", file.tolerance)));
        }
        let count = file.pairs.len() + file.cases.len();
        if !(MIN_PAIRS..=MAX_PAIRS).contains(&count) {
            return Err(fault(format!("{count} pairs and cases, allowed are {MIN_PAIRS} to {MAX_PAIRS}")));
        }
        if !file.pairs.is_empty() || file.feature_set.is_some() {
            check_pairs(&file, manifest)?;
        }
        for (i, case) in file.cases.iter().enumerate() {
            check_case(case, manifest).map_err(|problem| fault(format!("case {i}: {problem}")))?;
        }
        Ok(Self { pairs: file.pairs, cases: file.cases })
    }

    /// The pairs of rows; none when the bundle has no `golden.json` or its inputs are no feature rows.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The cases of whole tensors.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

fn fault(detail: String) -> ForecasterError {
    ForecasterError::check(Check::GoldenForm, detail)
}

/// Rows are whole rows of the manifest's feature set, answers are in range.
fn check_pairs(file: &File, manifest: &Manifest) -> Result<(), ForecasterError> {
    let Some(set) = manifest.feature_set() else {
        return Err(fault("pairs of rows need [features] in the manifest; write cases".to_owned()));
    };
    if file.feature_set.as_deref() != Some(set.name) {
        return Err(fault(format!("feature_set is not {}", set.name)));
    }
    let width = set.width();
    let answers = match manifest.answer().column {
        Some(_) => 1,
        None => manifest.row_io().map_or(0, |io| io.answer_width),
    };
    let [low, high] = manifest.range();
    for (i, pair) in file.pairs.iter().enumerate() {
        let input = pair.input.len() == width && pair.input.iter().all(|x| x.is_finite());
        let output =
            pair.output.len() == answers && pair.output.iter().all(|p| (low..=high).contains(&f64::from(*p)));
        if !input || !output {
            return Err(fault(format!(
                "pair {i} is not {width} finite features and {answers} answers in [{low}, {high}]"
            )));
        }
    }
    Ok(())
}

/// Inputs are the manifest's, outputs are the manifest's or its state's; the problem if not.
fn check_case(case: &Case, manifest: &Manifest) -> Result<(), String> {
    for (list, what) in [(&case.inputs, "input"), (&case.outputs, "output")] {
        for (i, tensor) in list.iter().enumerate() {
            let count = tensor.shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
            if count != Some(tensor.data.len()) {
                return Err(format!("{what} `{}` has not as many numbers as its shape says", tensor.name));
            }
            if list[..i].iter().any(|t| t.name == tensor.name) {
                return Err(format!("{what} `{}` is there twice", tensor.name));
            }
            if !numbers(&tensor.data).iter().all(|x| x.is_finite()) {
                return Err(format!("{what} `{}` is not finite", tensor.name));
            }
        }
    }
    for tensor in &case.inputs {
        let input = manifest.inputs.iter().find(|i| i.name == tensor.name);
        let Some(input) = input.filter(|i| i.dtype == tensor.data.dtype() && fits(&i.shape, &tensor.shape))
        else {
            return Err(format!("input `{}` is not what the manifest says", tensor.name));
        };
        if input.source == Source::Constant {
            return Err(format!("input `{}` is constant; leave it out", tensor.name));
        }
    }
    let given = |name: &str| case.inputs.iter().any(|t| t.name == name);
    if let Some(left) = manifest.inputs.iter().find(|i| i.source != Source::Constant && !given(&i.name)) {
        return Err(format!("input `{}` is missing", left.name));
    }
    for tensor in &case.outputs {
        let output = manifest.outputs.iter().find(|o| o.name == tensor.name);
        let sound = output.is_some_and(|o| o.dtype == tensor.data.dtype() && fits(&o.shape, &tensor.shape));
        if !sound && manifest.state.iter().all(|s| s.output != tensor.name) {
            return Err(format!("output `{}` is not what the manifest says", tensor.name));
        }
    }
    if case.outputs.iter().all(|t| t.name != manifest.answer().name) {
        return Err(format!("the answer `{}` is missing", manifest.answer().name));
    }
    Ok(())
}

fn fits(dims: &[Dim], shape: &[usize]) -> bool {
    let fit = |(dim, n): (&Dim, &usize)| match dim {
        Dim::Fixed(d) => *d as usize == *n,
        Dim::Named(_) => true,
    };
    dims.len() == shape.len() && dims.iter().zip(shape).all(fit)
}
