//! Whole tensors through a bundle: fills in constants and state, checks shapes, transforms; it never runs anything.
//!
//! The first dimension that the manifest calls `batch` is the number of rows; every other free dimension has a name, and
//! all that bear the same name must have the same size in a run. What the file itself declares about its outputs is not
//! looked at: files are known to declare shapes that they do not give.

use std::collections::BTreeMap;

use super::model::transform;
use crate::engine::{Data, Dim, Dtype, Tensor};
use crate::error::{Check, ForecasterError};
use crate::manifest::{
    InputSection, Manifest, Normaliser, OutputSection, Source, StateSection, Transform, constant,
};

/// Sizes of the free dimensions in one run.
type Free = BTreeMap<String, usize>;

/// What a manifest says about whole tensors, and the state between runs.
pub(super) struct Tensors {
    inputs: Vec<InputSection>,
    outputs: Vec<OutputSection>,
    normaliser: Normaliser,
    pairs: Vec<StateSection>,
    /// By the input's name; empty at first and after a reset.
    state: BTreeMap<String, Tensor>,
}

impl Tensors {
    pub(super) fn new(manifest: &Manifest) -> Self {
        Self {
            inputs: manifest.inputs.clone(),
            outputs: manifest.outputs.clone(),
            normaliser: manifest.normaliser(),
            pairs: manifest.state.clone(),
            state: BTreeMap::new(),
        }
    }

    /// Forgets the state: the next run begins with zeros.
    pub(super) fn reset(&mut self) {
        self.state.clear();
    }

    /// Everything the graph takes: what the caller gives, normalised; constants; the state, or zeros at first.
    pub(super) fn fill(&self, given: &[Tensor]) -> Result<(Vec<Tensor>, Free), ForecasterError> {
        let mut free = Free::new();
        for tensor in given {
            let Some(input) = self.inputs.iter().find(|i| i.name == tensor.name) else {
                let names: Vec<&str> = self.inputs.iter().map(|i| i.name.as_str()).collect();
                return Err(fault(
                    &tensor.name,
                    format!("the model has none of this name; it has {}", names.join(", ")),
                ));
            };
            if given.iter().filter(|t| t.name == tensor.name).count() > 1 {
                return Err(fault(&tensor.name, "it is given twice".to_owned()));
            }
            if tensor.data.dtype() != input.dtype {
                let (got, want) = (tensor.data.dtype().name(), input.dtype.name());
                return Err(fault(&tensor.name, format!("it is {got}, the model takes {want}")));
            }
            fits(&tensor.shape, &input.shape, &mut free).map_err(|detail| fault(&tensor.name, detail))?;
        }
        let all = self.inputs.iter().map(|input| self.one(input, given, &free)).collect::<Result<_, _>>()?;
        Ok((all, free))
    }

    fn one(&self, input: &InputSection, given: &[Tensor], free: &Free) -> Result<Tensor, ForecasterError> {
        if let Some(tensor) = given.iter().find(|t| t.name == input.name) {
            let mut tensor = tensor.clone();
            if let (Source::Features, Data::F32(numbers)) = (input.source, &mut tensor.data) {
                let width: usize = tensor.shape.iter().skip(1).product();
                numbers.chunks_exact_mut(width.max(1)).for_each(|row| self.normaliser.apply(row));
            }
            return Ok(tensor);
        }
        match input.source {
            Source::Constant => {
                constant(input).ok_or_else(|| fault(&input.name, "it has no value".to_owned()))
            }
            Source::State => self.kept(input, free),
            Source::Features | Source::Caller => Err(fault(&input.name, "it is not given".to_owned())),
        }
    }

    /// The state of the run before, or zeros.
    fn kept(&self, input: &InputSection, free: &Free) -> Result<Tensor, ForecasterError> {
        let size = |dim: &Dim| match dim {
            Dim::Fixed(n) => *n as usize,
            Dim::Named(name) => free.get(name).copied().unwrap_or(1),
        };
        let shape: Vec<usize> = input.shape.iter().map(size).collect();
        if let Some(kept) = self.state.get(&input.name) {
            return if fits(&kept.shape, &input.shape, &mut free.clone()).is_ok() {
                Ok(kept.clone())
            } else {
                let detail =
                    format!("the state is of shape {:?}; reset it before another batch size", kept.shape);
                Err(fault(&input.name, detail))
            };
        }
        let count = shape.iter().product();
        let data = match input.dtype {
            Dtype::F32 => Data::F32(vec![0.0; count]),
            Dtype::F64 => Data::F64(vec![0.0; count]),
            Dtype::I32 => Data::I32(vec![0; count]),
            Dtype::I64 => Data::I64(vec![0; count]),
            Dtype::U8 => Data::U8(vec![0; count]),
            Dtype::Bool => Data::Bool(vec![false; count]),
        };
        Tensor::new(&input.name, shape, data)
            .ok_or_else(|| fault(&input.name, "its shape is too large".to_owned()))
    }

    /// Keeps the state, and gives the manifest's outputs in its order, checked and transformed.
    pub(super) fn finish(&mut self, all: &[Tensor], mut free: Free) -> Result<Vec<Tensor>, ForecasterError> {
        let find = |name: &str, check: Check| {
            let found = all.iter().find(|t| t.name == name);
            found.ok_or_else(|| ForecasterError::check(check, format!("the model gives no output `{name}`")))
        };
        for pair in &self.pairs {
            let mut next = find(&pair.output, Check::State)?.clone();
            next.name.clone_from(&pair.input);
            self.state.insert(pair.input.clone(), next);
        }
        let mut out = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            let mut tensor = find(&output.name, Check::Shape)?.clone();
            let wrong = |detail: String| {
                ForecasterError::check(Check::Shape, format!("output `{}`: {detail}", output.name))
            };
            if tensor.data.dtype() != output.dtype {
                let (got, want) = (tensor.data.dtype().name(), output.dtype.name());
                return Err(wrong(format!("it is {got}, the manifest says {want}")));
            }
            fits(&tensor.shape, &output.shape, &mut free).map_err(wrong)?;
            transformed(output.transform, &mut tensor);
            out.push(tensor);
        }
        Ok(out)
    }
}

/// Applies an output's transform over its last dimension; f64 goes through f32. Integers have no transform.
fn transformed(how: Transform, tensor: &mut Tensor) {
    let width = tensor.shape.last().copied().unwrap_or(1);
    match &mut tensor.data {
        Data::F32(v) => transform(how, width, v),
        Data::F64(v) if how != Transform::Identity => {
            let mut narrow: Vec<f32> = v.iter().map(|x| *x as f32).collect();
            transform(how, width, &mut narrow);
            v.iter_mut().zip(narrow).for_each(|(x, y)| *x = f64::from(y));
        }
        _ => {}
    }
}

/// Whether an actual shape is what the manifest says; learns the free dimensions, which must agree in a run.
fn fits(actual: &[usize], declared: &[Dim], free: &mut Free) -> Result<(), String> {
    let says = || {
        let text = |dim: &Dim| match dim {
            Dim::Fixed(n) => n.to_string(),
            Dim::Named(name) => name.clone(),
        };
        declared.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    if actual.len() != declared.len() {
        return Err(format!("shape {actual:?}, the manifest says [{}]", says()));
    }
    for (size, dim) in actual.iter().zip(declared) {
        let want = match dim {
            Dim::Fixed(n) => *n as usize,
            Dim::Named(name) => *free.entry(name.clone()).or_insert(*size),
        };
        if *size != want {
            return Err(format!("shape {actual:?}, the manifest says [{}] with {want} for {size}", says()));
        }
    }
    Ok(())
}

fn fault(name: &str, detail: String) -> ForecasterError {
    ForecasterError::InputTensor { name: name.to_owned(), detail }
}
