//! The shapes that operators make, as far as constants and dimensions tell; it never computes an element.
//!
//! One function per family. An operator without a rule makes a value of which nothing is known; made of constants, such
//! a value is refused in hosted bundles.

use super::fact::{Dims, Fact, axis, broadcast, product, size};
use super::matrices;
use super::onnx::Node;

/// Operators whose first output has the shape of their first input.
#[rustfmt::skip]
const SAME: &[&str] = &[
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "Binarizer", "BitwiseNot", "Cast",
    "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh", "CumSum", "DequantizeLinear", "Dropout", "DynamicQuantizeLinear",
    "Elu", "Erf", "Exp", "EyeLike", "Floor", "Gelu", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax",
    "Identity", "Imputer", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LayerNormalization", "LeakyRelu", "Log",
    "LogSoftmax", "LpNormalization", "MeanVarianceNormalization", "Mish", "Neg", "Normalizer", "Not", "QuantizeLinear",
    "RMSNormalization", "Reciprocal", "Relu", "ReverseSequence", "Round", "Scaler", "ScatterElements", "ScatterND",
    "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh",
    "ThresholdedRelu", "Trilu",
];

/// Operators that broadcast all their inputs.
#[rustfmt::skip]
const BROADCAST: &[&str] = &[
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
];

/// What a node makes.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Its outputs, in order; those that are missing are unknown.
    pub(super) outputs: Vec<Fact>,
    /// Operations beyond reading the inputs and writing the outputs.
    pub(super) work: u64,
}

impl From<Fact> for Made {
    fn from(fact: Fact) -> Self {
        Self { outputs: vec![fact], work: 0 }
    }
}

/// What a node makes of its inputs; an input left out is a scalar of nothing.
pub(super) fn infer(node: &Node<'_>, inputs: &[Fact]) -> Made {
    let op = node.op;
    if BROADCAST.contains(&op) {
        let first = inputs.first().and_then(|f| f.dims.clone());
        let dims = inputs.iter().skip(1).fold(first, |dims, f| broadcast(dims.as_ref(), f.dims.as_ref()));
        return Fact { dims, bits: bits(inputs), ..Fact::default() }.into();
    }
    let Some(first) = inputs.first() else {
        return if op == "Constant" { constant(node).into() } else { Made::default() };
    };
    if SAME.contains(&op) {
        return same(node, first);
    }
    let made = match op {
        "Concat" => concat(node, inputs),
        "ConstantOfShape" => of_values(first, node),
        "Expand" => inputs.get(1).and_then(|shape| {
            let target: Dims = shape.values.as_ref()?.iter().map(|v| Some(size(*v))).collect();
            Some(Fact { dims: broadcast(first.dims.as_ref(), Some(&target)), ..first.like() })
        }),
        "Flatten" | "DepthToSpace" | "SpaceToDepth" | "Compress" => {
            Some(Fact::within(first.most(), first.bits))
        }
        "Gather" => gather(node, first, inputs.get(1)),
        "GatherElements" => inputs.get(1).map(|i| Fact { bits: first.bits, ..i.like() }),
        "GatherND" => inputs
            .get(1)
            .map(|i| Fact::within(i.most().zip(first.most()).map(|(a, b)| a.saturating_mul(b)), first.bits)),
        "GlobalAveragePool" | "GlobalMaxPool" => first.dims.as_ref().map(|dims| {
            let pooled = dims.iter().enumerate().map(|(i, d)| if i < 2 { *d } else { Some(1) });
            Fact::shaped(pooled.collect(), first.bits)
        }),
        "NonZero" => {
            Some(Fact::within(first.rank().zip(first.most()).map(|(r, n)| n.saturating_mul(r as u64)), 64))
        }
        "OneHot" => one_hot(node, inputs),
        "Pad" => pad(first, inputs),
        "Range" => range(inputs),
        "Reshape" => Some(reshape(node, first, inputs.get(1))),
        "Resize" => resize(node, first, inputs),
        "Shape" => shape(node, first),
        "Size" => first.known().map(|dims| Fact::numbers(vec![product(&dims) as f64], true)),
        "Slice" => Some(slice(first, inputs)),
        "Squeeze" | "Unsqueeze" => Some(squeeze(node, first, inputs.get(1))),
        "Tile" => tile(first, inputs.get(1)),
        "Transpose" => Some(transpose(node, first)),
        "Split" => return split(node, first),
        "TopK" => return top_k(node, first, inputs.get(1)),
        "ArgMax" | "ArgMin" => reduced(first, node.int("keepdims"), Some(&[node.int("axis").unwrap_or(0)])),
        _ if op.starts_with("Reduce") => reduce(node, first, inputs.get(1)),
        _ => return matrices::infer(node, inputs),
    };
    made.map(Made::from).unwrap_or_default()
}

/// Bits of the widest input.
fn bits(inputs: &[Fact]) -> u32 {
    inputs.iter().map(|f| f.bits).max().unwrap_or(32)
}

fn same(node: &Node<'_>, first: &Fact) -> Made {
    let bits = match (node.op, node.int("to")) {
        ("Cast", Some(to)) => super::tensor::element_bits(to as u64).unwrap_or(first.bits),
        ("DequantizeLinear" | "CastLike" | "EyeLike", _) => 32.max(first.bits),
        _ => first.bits,
    };
    let main = Fact { bits, ..first.like() };
    // Masks, statistics and scales beside it are no larger than it.
    let side = Fact::within(first.most().map(|n| n.max(1)), 32);
    let window = node.int("size").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let work = first.most().unwrap_or(0).saturating_mul(window);
    Made { outputs: vec![main, side.clone(), side], work }
}

/// `Constant`: a tensor, or a number or list of numbers.
fn constant(node: &Node<'_>) -> Fact {
    let Some(attribute) = node.attributes.first() else { return Fact { constant: true, ..Fact::default() } };
    match (attribute.name, &attribute.tensor) {
        (_, Some(tensor)) => Fact::of(tensor),
        ("value_int", _) => Fact::numbers(vec![attribute.int.unwrap_or(0) as f64], true),
        ("value_ints", _) => Fact::numbers(attribute.ints.iter().map(|i| *i as f64).collect(), false),
        ("value_floats", _) => Fact { constant: true, ..Fact::shaped(vec![Some(attribute.floats)], 32) },
        // A sparse tensor may be of any size when it is made dense.
        ("sparse_value", _) => Fact { constant: true, ..Fact::default() },
        _ => Fact { constant: true, ..Fact::shaped(vec![], 32) },
    }
}

fn of_values(shape: &Fact, node: &Node<'_>) -> Option<Fact> {
    let dims = shape.values.as_ref()?.iter().map(|v| Some(size(*v))).collect();
    let value = node.attribute("value").and_then(|a| a.tensor.as_ref());
    let bits = value.and_then(|t| super::tensor::element_bits(t.kind)).unwrap_or(32);
    Some(Fact::shaped(dims, bits))
}

fn concat(node: &Node<'_>, inputs: &[Fact]) -> Option<Fact> {
    let bits = bits(inputs);
    let total = inputs.iter().try_fold(0_u64, |n, f| Some(n.saturating_add(f.most()?)));
    let mut out = inputs.iter().find_map(|f| f.dims.clone())?;
    let axis = axis(node.int("axis").unwrap_or(0), out.len()).filter(|a| *a < out.len())?;
    out[axis] = inputs.iter().try_fold(0_u64, |n, f| Some(n.saturating_add((*f.dims.as_ref()?.get(axis)?)?)));
    let floor = inputs.iter().fold(0_u64, |n, f| n.saturating_add(f.least()));
    Some(Fact { dims: Some(out), bound: total, floor, bits, ..Fact::default() })
}

fn gather(node: &Node<'_>, data: &Fact, indices: Option<&Fact>) -> Option<Fact> {
    let (dims, picks) = (data.dims.as_ref()?, indices?.dims.as_ref()?);
    let axis = axis(node.int("axis").unwrap_or(0), dims.len()).filter(|a| *a < dims.len())?;
    let out = dims[..axis].iter().chain(picks).chain(&dims[axis + 1..]).copied().collect();
    Some(Fact::shaped(out, data.bits))
}

fn one_hot(node: &Node<'_>, inputs: &[Fact]) -> Option<Fact> {
    let mut dims = inputs[0].dims.clone()?;
    let depth = inputs.get(1)?.values.as_ref()?.first().map(|d| size(*d));
    let at = axis(node.int("axis").unwrap_or(-1), dims.len() + 1)?.min(dims.len());
    dims.insert(at, depth);
    Some(Fact::shaped(dims, inputs.get(2).map_or(32, |f| f.bits)))
}

fn pad(first: &Fact, inputs: &[Fact]) -> Option<Fact> {
    let mut dims = first.dims.clone()?;
    let pads = inputs.get(1)?.values.as_ref()?;
    let axes = inputs.get(3).and_then(|f| f.values.clone());
    let axes = axes.unwrap_or_else(|| (0..dims.len()).map(|i| i as f64).collect());
    let mut least: Vec<u64> = dims.iter().map(|d| d.unwrap_or(1)).collect();
    for (i, a) in axes.iter().enumerate() {
        let at = axis(*a as i64, first.rank()?)?;
        let more = pads.get(i)? + pads.get(i + axes.len())?;
        let padded = |d: u64| size(d as f64 + more);
        *least.get_mut(at)? = padded(dims[at].unwrap_or(1));
        dims[at] = dims[at].map(padded);
    }
    Some(Fact::at_least(dims, &least, first.bits))
}

fn range(inputs: &[Fact]) -> Option<Fact> {
    let number = |i: usize| inputs.get(i)?.values.as_ref()?.first().copied();
    let (from, to, by) = (number(0)?, number(1)?, number(2)?);
    let count = if by == 0.0 { f64::INFINITY } else { ((to - from) / by).ceil() };
    Some(Fact::shaped(vec![Some(size(count))], inputs[0].bits))
}

fn reshape(node: &Node<'_>, first: &Fact, target: Option<&Fact>) -> Fact {
    let unknown = Fact::within(first.most(), first.bits);
    let Some(target) = target.and_then(|t| t.values.as_ref()) else { return unknown };
    let keeps_zero = node.int("allowzero").unwrap_or(0) == 0;
    let source = first.dims.clone().unwrap_or_default();
    let dim = |(i, v): (usize, &f64)| match *v {
        v if v < 0.0 => None,
        v if v == 0.0 && keeps_zero => source.get(i).copied().flatten(),
        v => Some(size(v)),
    };
    let mut dims: Dims = target.iter().enumerate().map(dim).collect();
    let rest: Option<u64> = dims.iter().flatten().try_fold(1_u64, |n, d| n.checked_mul(*d));
    let free: Vec<usize> = (0..dims.len()).filter(|i| dims[*i].is_none()).collect();
    if let ([i], Some(rest), Some(all)) = (free.as_slice(), rest, first.known()) {
        dims[*i] = product(&all).checked_div(rest);
    }
    Fact { dims: Some(dims), ..unknown }
}

fn resize(node: &Node<'_>, first: &Fact, inputs: &[Fact]) -> Option<Fact> {
    if node.attribute("keep_aspect_ratio_policy").is_some_and(|a| a.text != Some(b"stretch")) {
        return None;
    }
    let mut dims = first.dims.clone()?;
    let rank = dims.len();
    let given = |i: usize| inputs.get(i).and_then(|f| f.values.clone()).filter(|v| !v.is_empty());
    let axes = node.ints("axes").filter(|a| !a.is_empty()).map(<[i64]>::to_vec);
    let axes = axes.unwrap_or_else(|| (0..rank as i64).collect());
    let mut least: Vec<u64> = dims.iter().map(|d| d.unwrap_or(1)).collect();
    for (i, a) in axes.iter().enumerate() {
        let at = axis(*a, rank)?;
        let scaled = |n: u64, scale: f64| size(n as f64 * scale);
        let old = *dims.get(at)?;
        (dims[at], least[at]) = match (given(3), given(2)) {
            (Some(sizes), _) => (Some(size(*sizes.get(i)?)), size(*sizes.get(i)?)),
            (None, Some(scales)) => {
                let scale = *scales.get(i)?;
                (old.map(|n| scaled(n, scale)), scaled(old.unwrap_or(1), scale))
            }
            (None, None) => return None,
        };
    }
    Some(Fact::at_least(dims, &least, first.bits))
}

/// `Shape`: constant when every dimension is fixed, whatever the numbers are.
fn shape(node: &Node<'_>, first: &Fact) -> Option<Fact> {
    let rank = first.rank()?;
    let clamp = |v: i64| if v < 0 { (v + rank as i64).max(0) } else { v }.min(rank as i64) as usize;
    let (from, to) = (clamp(node.int("start").unwrap_or(0)), clamp(node.int("end").unwrap_or(i64::MAX)));
    let part = first.dims.as_ref()?.get(from..to.max(from))?;
    let values: Option<Vec<f64>> = part.iter().map(|d| d.map(|d| d as f64)).collect();
    Some(match values {
        Some(values) => Fact::numbers(values, false),
        None => Fact::shaped(vec![Some(part.len() as u64)], 64),
    })
}

fn slice(first: &Fact, inputs: &[Fact]) -> Fact {
    let unknown = Fact::within(first.most(), first.bits);
    let cut = || {
        let mut dims = first.dims.clone()?;
        let list = |i: usize| inputs.get(i).and_then(|f| f.values.clone());
        let (starts, ends) = (list(1)?, list(2)?);
        let axes = list(3).unwrap_or_else(|| (0..starts.len()).map(|i| i as f64).collect());
        for (i, a) in axes.iter().enumerate() {
            let d = dims.get_mut(axis(*a as i64, first.rank()?)?)?;
            let step = list(4).and_then(|s| s.get(i).copied()).unwrap_or(1.0);
            *d = match *d {
                Some(n) if step > 0.0 => {
                    let n = n as f64;
                    let at = |v: f64| if v < 0.0 { v + n } else { v }.clamp(0.0, n);
                    Some(size(((at(*ends.get(i)?) - at(*starts.get(i)?)) / step).ceil()))
                }
                // Backwards or of unknown length: no longer than before.
                _ => None,
            };
        }
        Some(dims)
    };
    Fact { dims: cut(), ..unknown }
}

fn squeeze(node: &Node<'_>, first: &Fact, axes: Option<&Fact>) -> Fact {
    let unknown = Fact::within(first.most(), first.bits);
    let given = axes.and_then(|f| f.values.as_ref()).map(|v| v.iter().map(|a| *a as i64).collect());
    let given: Option<Vec<i64>> = given.or_else(|| node.ints("axes").map(<[i64]>::to_vec));
    let dims = || {
        let mut dims = first.dims.clone()?;
        if node.op == "Squeeze" {
            let all = || (0..dims.len()).filter(|i| dims[*i] == Some(1)).map(|i| i as i64).collect();
            let drop = given.unwrap_or_else(all);
            let drop: Option<Vec<usize>> = drop.iter().map(|a| axis(*a, dims.len())).collect();
            let drop = drop?;
            let kept = dims.iter().enumerate().filter(|(i, _)| !drop.contains(i)).map(|(_, d)| *d);
            return Some(kept.collect());
        }
        let rank = dims.len() + given.as_ref()?.len();
        let mut at: Vec<usize> = given?.iter().filter_map(|a| axis(*a, rank)).collect();
        at.sort_unstable();
        for a in at {
            dims.insert(a.min(dims.len()), Some(1));
        }
        Some(dims)
    };
    Fact { dims: dims(), ..unknown }
}

fn tile(first: &Fact, repeats: Option<&Fact>) -> Option<Fact> {
    let repeats = repeats?.values.as_ref()?;
    let dims = first.dims.clone().unwrap_or_else(|| vec![None; repeats.len()]);
    // A free dimension is at least one, so as much as it is repeated.
    let times = |d: u64, r: &f64| d.saturating_mul(size(*r));
    let least: Vec<u64> = dims.iter().zip(repeats).map(|(d, r)| times(d.unwrap_or(1), r)).collect();
    let dims = dims.iter().zip(repeats).map(|(d, r)| d.map(|d| times(d, r))).collect();
    Some(Fact::at_least(dims, &least, first.bits))
}

fn transpose(node: &Node<'_>, first: &Fact) -> Fact {
    let unknown = Fact::within(first.most(), first.bits);
    let turn = || {
        let dims = first.dims.as_ref()?;
        match node.ints("perm").filter(|p| !p.is_empty()) {
            None => Some(dims.iter().rev().copied().collect()),
            Some(perm) => perm.iter().map(|p| dims.get(usize::try_from(*p).ok()?).copied()).collect(),
        }
    };
    Fact { dims: turn(), ..unknown }
}

/// `Split`: the parts are no larger than the whole.
fn split(node: &Node<'_>, first: &Fact) -> Made {
    let part = Fact::within(first.most(), first.bits);
    Made { outputs: vec![part; node.outputs.len()], work: 0 }
}

fn top_k(node: &Node<'_>, first: &Fact, k: Option<&Fact>) -> Made {
    let pick = || {
        let mut dims = first.dims.clone()?;
        let at = axis(node.int("axis").unwrap_or(-1), dims.len())?;
        *dims.get_mut(at)? = k?.values.as_ref()?.first().map(|k| size(*k));
        Some(dims)
    };
    let values = Fact { dims: pick(), ..Fact::within(first.most(), first.bits) };
    let indices = Fact { bits: 64, ..values.clone() };
    Made { outputs: vec![values, indices], work: first.most().unwrap_or(0).saturating_mul(16) }
}

fn reduce(node: &Node<'_>, first: &Fact, axes: Option<&Fact>) -> Option<Fact> {
    let given = axes.and_then(|f| f.values.as_ref()).map(|v| v.iter().map(|a| *a as i64).collect());
    let given: Option<Vec<i64>> = given.or_else(|| node.ints("axes").map(<[i64]>::to_vec));
    if given.is_none() && (axes.is_some() || node.int("noop_with_empty_axes") == Some(1)) {
        return Some(Fact::within(first.most(), first.bits));
    }
    reduced(first, node.int("keepdims"), given.as_deref())
}

/// Without some of its dimensions, or with them as one; `axes` absent means all.
fn reduced(first: &Fact, keep: Option<i64>, axes: Option<&[i64]>) -> Option<Fact> {
    let keep = keep != Some(0);
    let bound = Fact::within(first.most(), first.bits);
    let Some(dims) = first.dims.as_ref() else { return Some(bound) };
    let axes: Option<Vec<usize>> = match axes {
        None => Some((0..dims.len()).collect()),
        Some(list) => list.iter().map(|a| axis(*a, dims.len())).collect(),
    };
    let axes = axes?;
    let left = dims.iter().enumerate().filter_map(|(i, d)| match axes.contains(&i) {
        true if keep => Some(Some(1)),
        true => None,
        false => Some(*d),
    });
    Some(Fact { dims: Some(left.collect()), ..bound })
}
