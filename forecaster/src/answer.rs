//! What a model's numbers mean: a probability, outcomes, quantiles, a mixture, paths; it never repairs what does not fit.
//!
//! [`decode`] takes the numbers of one row's answer after the transform and checks them for their kind. What passes can
//! be published; what does not is an abstention with a code: `output_not_finite`, `output_range` or `output_form`.

use schemas::forecast::QUANTILES;

use crate::error::ForecasterError;
use crate::manifest::{OutputKind, OutputSection};

/// How far probabilities and weights may sum from 1: f32 rounding of a softmax over a thousand outcomes.
pub const SUM_TOLERANCE: f64 = 1e-3;

/// One row's answer, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// Of Up, in the manifest's range.
    Probability(f64),
    /// Of each outcome; they sum to exactly what f64 division gives of 1.
    Categorical(Vec<f64>),
    /// The quantiles 0.01 to 0.99, ascending.
    Quantiles(Vec<f64>),
    /// Normal components.
    Mixture(Vec<Component>),
    /// Sampled paths, each of as many steps.
    Paths(Vec<Vec<f64>>),
    /// Whatever the model says; finite, or not, as it likes.
    Raw(Vec<f32>),
}

/// One normal component of a mixture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// Its share; all shares sum to 1.
    pub weight: f64,
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation, positive.
    pub scale: f64,
}

/// Checks the numbers of one row's answer, row-major, and says what they mean.
///
/// `steps` of paths are the last dimension of the manifest's shape. A mixture is `k` weights, then `k` means, then `k`
/// scales.
pub fn decode(output: &OutputSection, numbers: &[f32]) -> Result<Decoded, ForecasterError> {
    if output.kind == OutputKind::Raw {
        return Ok(Decoded::Raw(numbers.to_vec()));
    }
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(ForecasterError::OutputNotFinite);
    }
    let numbers: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
    if let Some([low, high]) = output.range
        && numbers.iter().any(|x| !(low..=high).contains(x))
    {
        return Err(ForecasterError::OutputRange);
    }
    match output.kind {
        OutputKind::Probability => probability(&numbers),
        OutputKind::Categorical => categorical(&numbers),
        OutputKind::Quantiles => quantiles(numbers),
        OutputKind::Mixture => mixture(&numbers),
        OutputKind::Paths => paths(output, &numbers),
        OutputKind::Raw => Ok(Decoded::Raw(Vec::new())),
    }
}

fn fault<T>(kind: OutputKind, detail: String) -> Result<T, ForecasterError> {
    Err(ForecasterError::OutputForm { kind: kind.name(), detail })
}

fn probability(numbers: &[f64]) -> Result<Decoded, ForecasterError> {
    match numbers {
        [p] if (0.0..=1.0).contains(p) => Ok(Decoded::Probability(*p)),
        [_] => Err(ForecasterError::OutputRange),
        _ => fault(OutputKind::Probability, format!("{} numbers instead of one", numbers.len())),
    }
}

/// The numbers divided by their sum, if they are shares of about 1.
fn shares(kind: OutputKind, numbers: &[f64]) -> Result<Vec<f64>, ForecasterError> {
    if let Some(x) = numbers.iter().find(|x| **x < 0.0) {
        return fault(kind, format!("{x} is negative"));
    }
    let sum: f64 = numbers.iter().sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return fault(kind, format!("the numbers sum to {sum}, not to 1"));
    }
    Ok(numbers.iter().map(|x| x / sum).collect())
}

fn categorical(numbers: &[f64]) -> Result<Decoded, ForecasterError> {
    if numbers.len() < 2 {
        return fault(OutputKind::Categorical, format!("{} outcomes, at least 2 are needed", numbers.len()));
    }
    shares(OutputKind::Categorical, numbers).map(Decoded::Categorical)
}

fn quantiles(numbers: Vec<f64>) -> Result<Decoded, ForecasterError> {
    if numbers.len() != QUANTILES {
        return fault(OutputKind::Quantiles, format!("{} numbers instead of {QUANTILES}", numbers.len()));
    }
    match numbers.windows(2).position(|w| w[0] > w[1]) {
        Some(i) => fault(
            OutputKind::Quantiles,
            format!("quantile {} is {}, the next one {}", i + 1, numbers[i], numbers[i + 1]),
        ),
        None => Ok(Decoded::Quantiles(numbers)),
    }
}

fn mixture(numbers: &[f64]) -> Result<Decoded, ForecasterError> {
    let k = numbers.len() / 3;
    if k == 0 || numbers.len() != 3 * k {
        return fault(
            OutputKind::Mixture,
            format!("{} numbers are no weights, means and scales", numbers.len()),
        );
    }
    let weights = shares(OutputKind::Mixture, &numbers[..k])?;
    if let Some(scale) = numbers[2 * k..].iter().find(|s| **s <= 0.0) {
        return fault(OutputKind::Mixture, format!("the scale {scale} is not positive"));
    }
    let rest = numbers[k..2 * k].iter().zip(&numbers[2 * k..]);
    let component =
        |(weight, (mean, scale)): (f64, (&f64, &f64))| Component { weight, mean: *mean, scale: *scale };
    Ok(Decoded::Mixture(weights.into_iter().zip(rest).map(component).collect()))
}

fn paths(output: &OutputSection, numbers: &[f64]) -> Result<Decoded, ForecasterError> {
    let steps = match output.shape.last() {
        Some(crate::engine::Dim::Fixed(n)) if *n > 0 => *n as usize,
        _ => {
            return fault(
                OutputKind::Paths,
                "the manifest does not say how many steps a path has".to_owned(),
            );
        }
    };
    if numbers.is_empty() || !numbers.len().is_multiple_of(steps) {
        return fault(OutputKind::Paths, format!("{} numbers are no paths of {steps} steps", numbers.len()));
    }
    Ok(Decoded::Paths(numbers.chunks_exact(steps).map(<[f64]>::to_vec).collect()))
}

#[cfg(test)]
mod tests {
    use super::{Component, Decoded, decode};
    use crate::engine::{Dim, Dtype};
    use crate::manifest::{OutputKind, OutputSection, Transform};

    fn output(kind: OutputKind, range: Option<[f64; 2]>) -> OutputSection {
        let batch = Dim::Named(Dim::BATCH.to_owned());
        let shape = vec![batch, Dim::Fixed(2), Dim::Fixed(3)];
        let (name, dtype) = ("y".to_owned(), Dtype::F32);
        OutputSection { name, dtype, shape, kind, transform: Transform::Identity, column: None, range }
    }

    fn check(kind: OutputKind, numbers: &[f32], want: Result<Decoded, &str>) {
        let range = (kind == OutputKind::Probability).then_some([0.1, 0.9]);
        let got = decode(&output(kind, range), numbers).map_err(|e| e.code());
        assert_eq!(got, want, "{kind:?} {numbers:?}");
    }

    #[test]
    fn every_kind() {
        use OutputKind::{Categorical, Mixture, Paths, Probability, Quantiles, Raw};
        check(Probability, &[0.5], Ok(Decoded::Probability(0.5)));
        check(Probability, &[0.95], Err("output_range"));
        check(Probability, &[f32::NAN], Err("output_not_finite"));
        check(Probability, &[0.5, 0.5], Err("output_form"));
        check(Categorical, &[0.25, 0.75], Ok(Decoded::Categorical(vec![0.25, 0.75])));
        check(Categorical, &[0.25, 0.5], Err("output_form"));
        check(Categorical, &[-0.25, 1.25], Err("output_form"));
        check(Categorical, &[1.0], Err("output_form"));
        let ascending: Vec<f32> = (0..99).map(|i| i as f32).collect();
        let same = ascending.iter().map(|x| f64::from(*x)).collect();
        check(Quantiles, &ascending, Ok(Decoded::Quantiles(same)));
        let mut crossed = ascending.clone();
        crossed.swap(40, 41);
        check(Quantiles, &crossed, Err("output_form"));
        check(Quantiles, &ascending[..98], Err("output_form"));
        let component = |weight, mean, scale| Component { weight, mean, scale };
        let two = vec![component(0.25, -1.0, 0.5), component(0.75, 2.0, 1.5)];
        check(Mixture, &[0.25, 0.75, -1.0, 2.0, 0.5, 1.5], Ok(Decoded::Mixture(two)));
        check(Mixture, &[0.25, 0.75, -1.0, 2.0, 0.5, 0.0], Err("output_form"));
        check(Mixture, &[0.25, 0.5, -1.0, 2.0, 0.5, 1.0], Err("output_form"));
        check(Mixture, &[0.25, 0.75], Err("output_form"));
        let paths = vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]];
        check(Paths, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], Ok(Decoded::Paths(paths)));
        check(Paths, &[1.0, 2.0], Err("output_form"));
        check(Raw, &[7.0], Ok(Decoded::Raw(vec![7.0])));
    }
}
