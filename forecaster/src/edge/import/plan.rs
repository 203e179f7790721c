//! What an ONNX file declares of its inputs, read as a plan of what to give it; it never believes a declared output.

use crate::bundle::{Declared, ModelFacts};
use crate::engine::{Dim, Dtype};
use crate::error::{Check, ForecasterError};

/// One dimension as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PlanDim {
    /// So many.
    Fixed(u32),
    /// The number of rows.
    Batch,
    /// Free, with a name.
    Free(String),
}

impl PlanDim {
    /// As it stands in a manifest.
    pub(super) fn dim(&self) -> Dim {
        match self {
            Self::Fixed(n) => Dim::Fixed(*n),
            Self::Batch => Dim::Named(Dim::BATCH.to_owned()),
            Self::Free(name) => Dim::Named(name.clone()),
        }
    }
}

/// One input as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlanInput {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) dims: Vec<PlanDim>,
    /// The output that may be its next value, by the names.
    pub(super) next: Option<String>,
}

impl PlanInput {
    /// Whether it is one integer: a mode or a rate, the same in every run.
    pub(super) fn is_mode(&self) -> bool {
        let one = self.dims.is_empty() || self.dims == [PlanDim::Fixed(1)];
        one && matches!(self.dtype, Dtype::I32 | Dtype::I64)
    }
}

/// Plans all inputs.
pub(super) fn inputs(facts: &ModelFacts) -> Result<Vec<PlanInput>, ForecasterError> {
    let batch = batch_symbol(facts);
    facts.inputs.iter().map(|input| plan(input, facts, batch.as_deref())).collect()
}

fn plan(input: &Declared, facts: &ModelFacts, batch: Option<&str>) -> Result<PlanInput, ForecasterError> {
    let fault = |detail: String| Err(ForecasterError::check(Check::Import, detail));
    let Some(dtype) = Dtype::from_onnx(input.element) else {
        return fault(format!(
            "input `{}` is of ONNX element type {}; a bundle takes f32, f64, i32, i64, u8 and bool: cast it in the graph",
            input.name, input.element
        ));
    };
    let Some(shape) = &input.shape else {
        return fault(format!("input `{}` declares no shape; export it with one", input.name));
    };
    let next = facts.outputs.iter().find(|o| o.element == input.element && related(&input.name, &o.name));
    let free = shape.iter().filter(|d| d.is_none()).count();
    let dim = |(i, size): (usize, &Option<u64>)| {
        let symbol = input.symbols.get(i).map(String::as_str).filter(|s| is_symbol(s));
        match (size, symbol) {
            (Some(n), _) => u32::try_from(*n).ok().map(PlanDim::Fixed),
            (None, Some(symbol)) if Some(symbol) == batch => Some(PlanDim::Batch),
            // The first dimension counts rows; the only free one of a state does, wherever it is.
            (None, None) if i == 0 || next.is_some() && free == 1 => Some(PlanDim::Batch),
            (None, Some(symbol)) => Some(PlanDim::Free(symbol.to_owned())),
            (None, None) => Some(PlanDim::Free(format!("{}_{i}", input.name))),
        }
    };
    let dims: Option<Vec<PlanDim>> = shape.iter().enumerate().map(dim).collect();
    let Some(dims) = dims else { return fault(format!("input `{}` is too large", input.name)) };
    Ok(PlanInput { name: input.name.clone(), dtype, dims, next: next.map(|o| o.name.clone()) })
}

/// The symbol that counts rows: one that says so, else that of the first free dimension.
fn batch_symbol(facts: &ModelFacts) -> Option<String> {
    let all = || facts.inputs.iter().flat_map(|i| &i.symbols).filter(|s| is_symbol(s));
    let says_so = |s: &&String| {
        let s = s.to_lowercase();
        s.contains("batch") || s == "n" || s == "bs"
    };
    let first = |i: &Declared| {
        let free = i.shape.as_ref().is_some_and(|shape| matches!(shape.first(), Some(None)));
        i.symbols.first().filter(|s| free && is_symbol(s)).cloned()
    };
    all().find(says_so).cloned().or_else(|| facts.inputs.iter().find_map(first))
}

/// A name that a manifest can use for a dimension.
fn is_symbol(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether an output's name says that it is an input's next value: `state` and `stateN`, `in_cache0` and `out_cache0`.
pub(super) fn related(input: &str, output: &str) -> bool {
    let (i, o) = (stem(input), stem(output));
    if i.is_empty() || input == output {
        return false;
    }
    let initial = i.strip_suffix('0').unwrap_or(&i);
    i == o || o == format!("{i}n") || o == format!("{initial}n")
}

/// The name without the words that tell an input from an output.
fn stem(name: &str) -> String {
    const WORDS: [&str; 12] = [
        "in", "out", "input", "output", "past", "present", "prev", "previous", "next", "new", "old",
        "updated",
    ];
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.filter(|w| !WORDS.contains(w)).collect()
}
