//! The numbers of small constants, followed through the operators that compute shapes; it never follows a large one.

use super::fact::{Fact, MAX_VALUES, axis};
use super::onnx::Node;

/// The numbers of the first output, if all it depends on are small and known. `made` is what is known of it already.
pub(super) fn follow(node: &Node<'_>, inputs: &[Fact], made: &Fact) -> Option<Vec<f64>> {
    if made.values.is_some() {
        return made.values.clone();
    }
    if made.most()? as u128 > MAX_VALUES as u128 {
        return None;
    }
    let at = |i: usize| inputs.get(i).and_then(|f| f.values.as_deref());
    match node.op {
        "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => at(0).map(<[f64]>::to_vec),
        "Cast" => at(0).map(|v| v.iter().map(|x| cast(*x, node.int("to"))).collect()),
        "Floor" => each(at(0), f64::floor),
        "Ceil" => each(at(0), f64::ceil),
        "Neg" => each(at(0), |x| -x),
        "Abs" => each(at(0), f64::abs),
        "Sqrt" => each(at(0), f64::sqrt),
        "Add" => pairs(at(0), at(1), |a, b| a + b),
        "Sub" => pairs(at(0), at(1), |a, b| a - b),
        "Mul" => pairs(at(0), at(1), |a, b| a * b),
        "Div" if inputs.iter().all(|f| f.bits == 64) => pairs(at(0), at(1), |a, b| (a / b).trunc()),
        "Div" => pairs(at(0), at(1), |a, b| a / b),
        "Min" if inputs.len() == 2 => pairs(at(0), at(1), f64::min),
        "Max" if inputs.len() == 2 => pairs(at(0), at(1), f64::max),
        "Equal" => pairs(at(0), at(1), |a, b| f64::from(u8::from(a == b))),
        "Where" => select(at(0)?, at(1)?, at(2)?),
        "Concat" if made.rank() == Some(1) => {
            let parts: Option<Vec<&[f64]>> = inputs.iter().map(|f| f.values.as_deref()).collect();
            Some(parts?.concat())
        }
        "ConstantOfShape" => {
            let value = node.attribute("value").and_then(|a| a.tensor.as_ref());
            let fill = value.map_or(Some(0.0), |t| t.values.as_ref().and_then(|v| v.first().copied()))?;
            Some(vec![fill; made.most()? as usize])
        }
        "Expand" => match at(0)? {
            [one] => Some(vec![*one; made.most()? as usize]),
            all => (made.most() == Some(all.len() as u64)).then(|| all.to_vec()),
        },
        "Gather" if inputs.first()?.rank() == Some(1) => {
            let (data, picks) = (at(0)?, at(1)?);
            picks.iter().map(|i| data.get(axis(*i as i64, data.len())?).copied()).collect()
        }
        "Slice" if inputs.first()?.rank() == Some(1) => slice(at(0)?, at(1)?, at(2)?, at(4)),
        "Range" => {
            let (from, by) = (*at(0)?.first()?, *at(2)?.first()?);
            Some((0..made.most()?).map(|i| from + i as f64 * by).collect())
        }
        "ReduceProd" if made.most() == Some(1) => Some(vec![at(0)?.iter().product()]),
        "ReduceMax" if made.most() == Some(1) => Some(vec![at(0)?.iter().copied().fold(f64::MIN, f64::max)]),
        _ => None,
    }
}

fn each(values: Option<&[f64]>, f: impl Fn(f64) -> f64) -> Option<Vec<f64>> {
    values.map(|v| v.iter().map(|x| f(*x)).collect())
}

/// Element by element, or one number with every element of the other.
fn pairs(a: Option<&[f64]>, b: Option<&[f64]>, f: impl Fn(f64, f64) -> f64) -> Option<Vec<f64>> {
    match (a?, b?) {
        ([x], all) => Some(all.iter().map(|y| f(*x, *y)).collect()),
        (all, [y]) => Some(all.iter().map(|x| f(*x, *y)).collect()),
        (x, y) if x.len() == y.len() => Some(x.iter().zip(y).map(|(x, y)| f(*x, *y)).collect()),
        _ => None,
    }
}

fn select(which: &[f64], yes: &[f64], no: &[f64]) -> Option<Vec<f64>> {
    let n = which.len().max(yes.len()).max(no.len());
    let at = |v: &[f64], i: usize| if v.len() == 1 { v.first().copied() } else { v.get(i).copied() };
    (0..n).map(|i| if at(which, i)? == 0.0 { at(no, i) } else { at(yes, i) }).collect()
}

fn slice(data: &[f64], from: &[f64], to: &[f64], step: Option<&[f64]>) -> Option<Vec<f64>> {
    let ([from], [to]) = (from, to) else { return None };
    if step.is_some_and(|s| s != [1.0]) {
        return None;
    }
    let n = data.len() as f64;
    let at = |v: f64| (if v < 0.0 { v + n } else { v }).clamp(0.0, n) as usize;
    data.get(at(*from)..at(*to)).map(<[f64]>::to_vec)
}

/// `Cast`: integers lose what is behind the point, truth is 0 or 1.
fn cast(x: f64, to: Option<i64>) -> f64 {
    match to {
        Some(1 | 10 | 11 | 16) => x,
        Some(9) => f64::from(u8::from(x != 0.0)),
        _ => x.trunc(),
    }
}
