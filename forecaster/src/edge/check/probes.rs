//! What a model is tried with: rows or tensors like those it was made for; it never judges an answer.

use ndarray::{Array2, ArrayView2, Axis, Slice};

use crate::bundle::Bundle;
use crate::edge::Model;
use crate::engine::{Data, Dim, Dtype, Tensor};
use crate::error::ForecasterError;
use crate::manifest::{InputSection, Manifest, Source};

/// How large a free dimension that nobody gives a size is tried.
const FREE: usize = 8;

/// Inputs for one bundle, all different.
pub(super) enum Probes {
    /// Whole rows of the feature set.
    Rows(Array2<f32>),
    /// Inputs of single runs, and whether several can go in one run.
    Tensors(Vec<Vec<Tensor>>, bool),
}

impl Probes {
    /// At least `count` probes, if the bundle can be tried with made-up ones; golden ones come first.
    pub(super) fn new(bundle: &Bundle, count: usize) -> Self {
        let manifest = bundle.manifest();
        if manifest.row_io().is_some() {
            return Self::Rows(rows(bundle, count));
        }
        let cases = bundle.golden().cases();
        let items: Vec<Vec<Tensor>> = if cases.is_empty() {
            (0..count.min(64)).map(|i| made_up(manifest, i)).collect()
        } else {
            cases.iter().map(|case| case.inputs.clone()).collect()
        };
        let one = |t: &Tensor| {
            let input = manifest.inputs.iter().find(|i| i.name == t.name);
            input.is_some_and(|i| i.shape.first().is_some_and(Dim::is_batch)) && t.shape.first() == Some(&1)
        };
        let batched = manifest.answer().shape.first().is_some_and(Dim::is_batch)
            && items.iter().flatten().all(one)
            && items.windows(2).all(|w| shapes(&w[0]) == shapes(&w[1]));
        Self::Tensors(items, batched)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.nrows(),
            Self::Tensors(items, _) => items.len(),
        }
    }

    /// Most of them in one run of this model.
    pub(super) fn most(&self, model: &Model) -> usize {
        match self {
            Self::Rows(_) | Self::Tensors(_, true) => self.len().min(model.max_batch()),
            Self::Tensors(_, false) => 1,
        }
    }

    /// The numbers of the answer to `n` probes from `start` on in one run; a state begins with zeros.
    pub(super) fn together(
        &self,
        model: &mut Model,
        start: usize,
        n: usize,
    ) -> Result<Vec<f32>, ForecasterError> {
        match self {
            Self::Rows(rows) => model.predict(part(rows, start, n)),
            Self::Tensors(items, _) => {
                model.reset();
                let inputs = stacked(&items[start..start + n]);
                Ok(model.run_tensors(&inputs)?.first().map(numbers).unwrap_or_default())
            }
        }
    }

    /// The same probes, one run each.
    pub(super) fn alone(
        &self,
        model: &mut Model,
        start: usize,
        n: usize,
    ) -> Result<Vec<f32>, ForecasterError> {
        let mut out = Vec::new();
        for i in start..start + n {
            out.extend(self.together(model, i, 1)?);
        }
        Ok(out)
    }

    /// All probes, in runs as large as can be.
    pub(super) fn all(&self, model: &mut Model) -> Result<Vec<f32>, ForecasterError> {
        let (most, mut out) = (self.most(model).max(1), Vec::new());
        for start in (0..self.len()).step_by(most) {
            out.extend(self.together(model, start, most.min(self.len() - start))?);
        }
        Ok(out)
    }

    /// How many numbers of f32 one probe has in which something can be tried.
    pub(super) fn places(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.ncols(),
            Self::Tensors(items, _) => {
                items.first().map_or(0, |item| item.iter().map(|t| floats(t).len()).sum())
            }
        }
    }

    /// The first probe with `x` in the `place`th of its f32 numbers.
    pub(super) fn spoiled(
        &self,
        model: &mut Model,
        place: usize,
        x: f32,
    ) -> Result<Vec<f32>, ForecasterError> {
        match self {
            Self::Rows(rows) => {
                let mut row = part(rows, 0, 1).to_owned();
                row[(0, place)] = x;
                model.predict(row.view())
            }
            Self::Tensors(items, _) => {
                let mut inputs = items.first().cloned().unwrap_or_default();
                let mut left = place;
                for tensor in &mut inputs {
                    if let Data::F32(v) = &mut tensor.data {
                        if left < v.len() {
                            v[left] = x;
                            break;
                        }
                        left -= v.len();
                    }
                }
                model.reset();
                Ok(model.run_tensors(&inputs)?.first().map(numbers).unwrap_or_default())
            }
        }
    }
}

/// Golden rows and mixtures of two of them, so that every number is of a plausible size.
fn rows(bundle: &Bundle, count: usize) -> Array2<f32> {
    let pairs = bundle.golden().pairs();
    let width = bundle.manifest().feature_set().map_or(0, crate::features::FeatureSet::width);
    Array2::from_shape_fn((count, width), |(i, j)| {
        if pairs.is_empty() {
            return ((i * 7 + j * 3) % 11) as f32 / 11.0;
        }
        let (a, b) = (&pairs[i % pairs.len()].input, &pairs[(i / pairs.len() + i) % pairs.len()].input);
        let share = (i * 2_654_435_761 % 1000) as f32 / 1000.0;
        if i < pairs.len() { a[j] } else { a[j] * share + b[j] * (1.0 - share) }
    })
}

fn part(rows: &Array2<f32>, start: usize, n: usize) -> ArrayView2<'_, f32> {
    rows.slice_axis(Axis(0), Slice::from(start..start + n))
}

/// Inputs nobody gave an example of: small numbers, one row, free dimensions of one size.
fn made_up(manifest: &Manifest, i: usize) -> Vec<Tensor> {
    let asked = |input: &&InputSection| matches!(input.source, Source::Caller | Source::Features);
    let tensor = |input: &InputSection| {
        let size = |dim: &Dim| match dim {
            Dim::Fixed(n) => *n as usize,
            dim if dim.is_batch() => 1,
            Dim::Named(_) => FREE,
        };
        let shape: Vec<usize> = input.shape.iter().map(size).collect();
        let count = shape.iter().product::<usize>();
        let number = |j: usize| ((i * 31 + j * 7) % 17) as f32 / 17.0 - 0.5;
        let whole = |j: usize| i32::try_from((i + j) % 2).unwrap_or(0);
        let data = match input.dtype {
            Dtype::F32 => Data::F32((0..count).map(number).collect()),
            Dtype::F64 => Data::F64((0..count).map(|j| f64::from(number(j))).collect()),
            Dtype::I32 => Data::I32((0..count).map(whole).collect()),
            Dtype::I64 => Data::I64((0..count).map(|j| i64::from(whole(j))).collect()),
            Dtype::U8 => Data::U8((0..count).map(|j| whole(j) as u8).collect()),
            Dtype::Bool => Data::Bool((0..count).map(|j| whole(j) == 1).collect()),
        };
        Tensor { name: input.name.clone(), shape, data }
    };
    manifest.inputs.iter().filter(asked).map(tensor).collect()
}

fn shapes(item: &[Tensor]) -> Vec<(&str, &[usize])> {
    item.iter().map(|t| (t.name.as_str(), t.shape.as_slice())).collect()
}

/// Several inputs of one row each as one of so many rows.
fn stacked(items: &[Vec<Tensor>]) -> Vec<Tensor> {
    let Some((first, rest)) = items.split_first() else { return Vec::new() };
    let mut out = first.clone();
    for item in rest {
        for (tensor, more) in out.iter_mut().zip(item) {
            match (&mut tensor.data, &more.data) {
                (Data::F32(a), Data::F32(b)) => a.extend(b),
                (Data::F64(a), Data::F64(b)) => a.extend(b),
                (Data::I32(a), Data::I32(b)) => a.extend(b),
                (Data::I64(a), Data::I64(b)) => a.extend(b),
                (Data::U8(a), Data::U8(b)) => a.extend(b),
                (Data::Bool(a), Data::Bool(b)) => a.extend(b),
                // Items of one list have the same types: they come from one manifest.
                _ => continue,
            }
            tensor.shape[0] += more.shape[0];
        }
    }
    out
}

fn floats(tensor: &Tensor) -> &[f32] {
    match &tensor.data {
        Data::F32(v) => v,
        _ => &[],
    }
}

/// A tensor's numbers as f32, for comparisons within a tolerance.
pub(super) fn numbers(tensor: &Tensor) -> Vec<f32> {
    match &tensor.data {
        Data::F32(v) => v.clone(),
        Data::F64(v) => v.iter().map(|x| *x as f32).collect(),
        Data::I32(v) => v.iter().map(|x| *x as f32).collect(),
        Data::I64(v) => v.iter().map(|x| *x as f32).collect(),
        Data::U8(v) => v.iter().map(|x| f32::from(*x)).collect(),
        Data::Bool(v) => v.iter().map(|x| f32::from(u8::from(*x))).collect(),
    }
}
