//! Shapes and work of products, convolutions, pools and recurrent layers; it never computes an element.

use super::fact::{Dims, Fact, broadcast, product};
use super::onnx::Node;
use super::shapes::Made;

/// What such a node makes; nothing is known of other operators.
pub(super) fn infer(node: &Node<'_>, inputs: &[Fact]) -> Made {
    let at = |i: usize| inputs.get(i);
    match node.op {
        "MatMul" | "MatMulInteger" => matmul(at(0), at(1)),
        "QLinearMatMul" => matmul(at(0), at(3)),
        "Gemm" => gemm(node, at(0), at(1)),
        "Conv" | "ConvInteger" => convolution(node, at(0), at(1)),
        "QLinearConv" => convolution(node, at(0), at(3)),
        "ConvTranspose" => transposed(node, at(0), at(1)),
        "AveragePool" | "MaxPool" => pool(node, at(0)),
        "Einsum" => einsum(node, inputs),
        "GRU" => recurrent(node, inputs, 3),
        "LSTM" => recurrent(node, inputs, 4),
        "RNN" => recurrent(node, inputs, 1),
        _ => None,
    }
    .unwrap_or_default()
}

fn made(dims: Dims, bits: u32, work: u64) -> Made {
    Made { outputs: vec![Fact::shaped(dims, bits)], work }
}

/// Multiplications and additions of `outputs` sums of `terms` products each.
fn sums(outputs: &[Option<u64>], terms: u64) -> u64 {
    let count: Vec<u64> = outputs.iter().map(|d| d.unwrap_or(1)).collect();
    product(&count).saturating_mul(terms).saturating_mul(2)
}

fn matmul(a: Option<&Fact>, b: Option<&Fact>) -> Option<Made> {
    let (a, b) = (a?, b?);
    let (mut left, mut right) = (a.dims.clone()?, b.dims.clone()?);
    let (drop_row, drop_column) = (left.len() == 1, right.len() == 1);
    if drop_row {
        left.insert(0, Some(1));
    }
    if drop_column {
        right.push(Some(1));
    }
    let ([l_batch @ .., m, k], [r_batch @ .., k2, n]) = (left.as_slice(), right.as_slice()) else {
        return None;
    };
    let mut out = broadcast(Some(&l_batch.to_vec()), Some(&r_batch.to_vec()))?;
    out.extend([*m, *n]);
    let work = sums(&out, k.or(*k2).unwrap_or(1));
    if drop_column {
        out.pop();
    }
    if drop_row {
        out.remove(out.len() - usize::from(!drop_column) - 1);
    }
    Some(made(out, a.bits.max(32), work))
}

fn gemm(node: &Node<'_>, a: Option<&Fact>, b: Option<&Fact>) -> Option<Made> {
    let (a, b) = (a?, b?);
    let side = |f: &Fact, turned: bool| match f.dims.as_deref() {
        Some([x, y]) => Some(if turned { (*y, *x) } else { (*x, *y) }),
        _ => None,
    };
    let (m, k) = side(a, node.int("transA").unwrap_or(0) != 0)?;
    let (k2, n) = side(b, node.int("transB").unwrap_or(0) != 0)?;
    let out = vec![m, n];
    let work = sums(&out, k.or(k2).unwrap_or(1));
    Some(made(out, a.bits, work))
}

/// The entry of a list attribute, or its default.
fn entry(node: &Node<'_>, name: &str, i: usize, default: u64) -> u64 {
    let list = node.ints(name).unwrap_or_default();
    list.get(i).and_then(|v| u64::try_from(*v).ok()).unwrap_or(default)
}

/// Length of one spatial dimension after a window went over it; never less than it really is.
fn windows(node: &Node<'_>, i: usize, rank: usize, length: u64, kernel: u64) -> u64 {
    let stride = entry(node, "strides", i, 1).max(1);
    let padded = entry(node, "pads", i, 0).saturating_add(entry(node, "pads", i + rank, 0));
    match node.attribute("auto_pad").and_then(|a| a.text) {
        Some(b"SAME_UPPER" | b"SAME_LOWER") => length.div_ceil(stride),
        _ => {
            let span =
                kernel.saturating_sub(1).saturating_mul(entry(node, "dilations", i, 1)).saturating_add(1);
            let room = length.saturating_add(padded).saturating_sub(span);
            // `ceil_mode` rounds up.
            (room.div_ceil(stride)).saturating_add(1)
        }
    }
}

fn convolution(node: &Node<'_>, x: Option<&Fact>, w: Option<&Fact>) -> Option<Made> {
    let (x, w) = (x?, w?);
    let ([batch, _, lengths @ ..], [filters, channels, kernel @ ..]) =
        (x.dims.as_deref()?, w.dims.as_deref()?)
    else {
        return None;
    };
    let mut out = vec![*batch, *filters];
    for (i, (length, kernel)) in lengths.iter().zip(kernel).enumerate() {
        out.push(length.zip(*kernel).map(|(l, k)| windows(node, i, lengths.len(), l, k)));
    }
    let terms: Vec<u64> = kernel.iter().chain([channels]).map(|d| d.unwrap_or(1)).collect();
    let work = sums(&out, product(&terms));
    Some(made(out, x.bits.max(32), work))
}

fn transposed(node: &Node<'_>, x: Option<&Fact>, w: Option<&Fact>) -> Option<Made> {
    let (x, w) = (x?, w?);
    let ([batch, _, lengths @ ..], [_, filters, kernel @ ..]) = (x.dims.as_deref()?, w.dims.as_deref()?)
    else {
        return None;
    };
    let groups = node.int("group").and_then(|g| u64::try_from(g).ok()).unwrap_or(1);
    let mut out = vec![*batch, filters.map(|f| f.saturating_mul(groups))];
    for (i, (length, kernel)) in lengths.iter().zip(kernel).enumerate() {
        let span = kernel
            .map(|k| k.saturating_sub(1).saturating_mul(entry(node, "dilations", i, 1)).saturating_add(1));
        let grown = length.zip(span).map(|(l, span)| {
            let steps = l.saturating_sub(1).saturating_mul(entry(node, "strides", i, 1));
            steps.saturating_add(span).saturating_add(entry(node, "output_padding", i, 0))
        });
        let shape = node.ints("output_shape").and_then(|s| s.get(i)).map(|s| *s as u64);
        out.push(shape.or(grown));
    }
    let terms: Vec<u64> = kernel.iter().chain([filters]).map(|d| d.unwrap_or(1)).collect();
    let work = x.least().saturating_mul(product(&terms)).saturating_mul(2);
    Some(made(out, x.bits, work))
}

fn pool(node: &Node<'_>, x: Option<&Fact>) -> Option<Made> {
    let x = x?;
    let [batch, channels, lengths @ ..] = x.dims.as_deref()? else { return None };
    let mut out = vec![*batch, *channels];
    let mut terms = 1_u64;
    for (i, length) in lengths.iter().enumerate() {
        let kernel = entry(node, "kernel_shape", i, 1);
        terms = terms.saturating_mul(kernel);
        out.push(length.map(|l| windows(node, i, lengths.len(), l, kernel)));
    }
    let work = sums(&out, terms);
    let indices = Fact::shaped(out.clone(), 64);
    Some(Made { outputs: vec![Fact::shaped(out, x.bits), indices], work })
}

/// `Einsum`: every letter is one loop. With an ellipsis nothing is known.
fn einsum(node: &Node<'_>, inputs: &[Fact]) -> Option<Made> {
    let equation = std::str::from_utf8(node.attribute("equation")?.text?).ok()?;
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (terms, out) = equation.split_once("->")?;
    let terms: Vec<&str> = terms.split(',').collect();
    if equation.contains('.') || terms.len() != inputs.len() {
        return None;
    }
    let mut sizes: Vec<(char, Option<u64>)> = Vec::new();
    for (term, input) in terms.iter().zip(inputs) {
        for (letter, dim) in term.chars().zip(input.dims.as_ref()?) {
            match sizes.iter_mut().find(|(l, _)| *l == letter) {
                Some((_, known)) => *known = (*known).max(*dim),
                None => sizes.push((letter, *dim)),
            }
        }
    }
    let dims: Option<Dims> =
        out.chars().map(|c| sizes.iter().find(|(l, _)| *l == c).map(|(_, d)| *d)).collect();
    let all: Vec<u64> = sizes.iter().map(|(_, d)| d.unwrap_or(1)).collect();
    let work = product(&all).saturating_mul(inputs.len() as u64);
    Some(made(dims?, inputs[0].bits, work))
}

/// Recurrent layers of `gates` gates: all outputs, the last state and the last cell.
fn recurrent(node: &Node<'_>, inputs: &[Fact], gates: u64) -> Option<Made> {
    let [steps, batch, width] = *inputs.first()?.dims.as_deref()? else { return None };
    let hidden = node.int("hidden_size").and_then(|h| u64::try_from(h).ok())?;
    let both = matches!(node.attribute("direction").and_then(|a| a.text), Some(b"bidirectional"));
    let directions = 1 + u64::from(both);
    let (state, all) = if node.int("layout").unwrap_or(0) == 0 {
        (vec![Some(directions), batch, Some(hidden)], vec![steps, Some(directions), batch, Some(hidden)])
    } else {
        // With the batch first the first two dimensions change places.
        (vec![steps, Some(directions), Some(hidden)], vec![steps, batch, Some(directions), Some(hidden)])
    };
    let terms = gates.saturating_mul(width.unwrap_or(1).saturating_add(hidden));
    let work = sums(&all, terms);
    let (all, state) = (Fact::shaped(all, 32), Fact::shaped(state, 32));
    Some(Made { outputs: vec![all, state.clone(), state], work })
}
