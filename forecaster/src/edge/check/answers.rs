//! C09 to C15 and C19: compares answers with each other and with what the manifest says; it never measures time.

use super::probes::numbers;
use super::{Finding, Found, NanPolicy, Subject, finding};
use crate::bundle::golden::{MIN_PAIRS, TOLERANCE};
use crate::edge::lane;
use crate::engine::{LoadOptions, Tensor};
use crate::error::{Check, ForecasterError};
use crate::manifest::OutputKind;

/// Largest batch that is compared row by row.
const BATCH: usize = 64;
/// Most places in which NaN and its kind are tried.
const PLACES: usize = 512;

/// The checks from C09 to C13 in their order.
pub(super) fn all(s: &mut Subject<'_>) -> Vec<Finding> {
    vec![
        finding(Check::Shape, shape(s)),
        finding(Check::Golden, golden(s)),
        finding(Check::Repeat, repeat(s)),
        finding(Check::BatchInvariance, batch_invariance(s)),
        finding(Check::ThreadInvariance, thread_invariance(s)),
    ]
}

/// C09: batches of 1, 2 and the most have the shape that the manifest says; running them checks it.
fn shape(s: &mut Subject<'_>) -> Found {
    let most = s.probes.most(&s.model);
    let mut sizes = vec![1, 2.min(most), most];
    sizes.dedup();
    for n in &sizes {
        s.probes.together(&mut s.model, 0, *n)?;
    }
    let lies = lies(s);
    let detail = if lies.is_empty() { String::new() } else { format!("; but {}", lies.join(", ")) };
    Ok((true, format!("batches of {sizes:?} have the manifest's shape{detail}")))
}

/// Where the file itself declares another shape than the manifest; no fault, because the manifest was just proved.
fn lies(s: &mut Subject<'_>) -> Vec<String> {
    let declared = s.model.session().io().outputs.clone();
    let mut out = Vec::new();
    for output in &s.bundle.manifest().outputs {
        let file = declared.iter().find(|d| d.name == output.name).and_then(|d| d.shape.as_ref());
        let differs = file.is_some_and(|file| {
            file.len() != output.shape.len()
                || file.iter().zip(&output.shape).any(|(a, b)| match (a, b) {
                    (crate::engine::Dim::Fixed(a), crate::engine::Dim::Fixed(b)) => a != b,
                    (crate::engine::Dim::Fixed(_), crate::engine::Dim::Named(_)) => true,
                    _ => false,
                })
        });
        if differs {
            out.push(format!(
                "the file declares another shape for `{}`, which is not what it gives",
                output.name
            ));
        }
    }
    out
}

/// C10: golden pairs and cases.
fn golden(s: &mut Subject<'_>) -> Found {
    let golden = s.bundle.golden();
    let count = golden.pairs().len() + golden.cases().len();
    if count < MIN_PAIRS {
        return Ok((false, format!("{count} golden pairs, {MIN_PAIRS} are needed")));
    }
    let mut worst = 0.0_f32;
    for pair in golden.pairs() {
        let mut got = Vec::new();
        s.model.predict_into(&pair.input, 1, &mut got)?;
        worst = widest(worst, &got, &pair.output);
    }
    for (i, case) in golden.cases().iter().enumerate() {
        let got = s.model.session().run(&case.run_inputs(s.bundle.manifest()))?;
        match case.difference(&got) {
            Ok(difference) => worst = worst.max(difference as f32),
            Err(reason) => return Ok((false, format!("case {i}: {reason}"))),
        }
    }
    Ok((worst <= TOLERANCE, format!("{count} pairs and cases, largest difference {worst:e}")))
}

/// C11: the same bits twice.
fn repeat(s: &mut Subject<'_>) -> Found {
    let n = s.probes.most(&s.model).min(BATCH);
    let (a, b) = (s.probes.together(&mut s.model, 0, n)?, s.probes.together(&mut s.model, 0, n)?);
    let same = a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()));
    Ok((same, if same { "same bits twice" } else { "two runs differ" }.to_owned()))
}

/// C12: a row alone and the same row in a batch.
fn batch_invariance(s: &mut Subject<'_>) -> Found {
    let n = s.probes.most(&s.model).min(BATCH);
    if n < 2 {
        return Ok((true, "does not apply: one run takes one row".to_owned()));
    }
    let (batch, alone) = (s.probes.together(&mut s.model, 0, n)?, s.probes.alone(&mut s.model, 0, n)?);
    let worst = widest(0.0, &alone, &batch);
    Ok((worst <= TOLERANCE, format!("{n} rows alone and together, largest difference {worst:e}")))
}

/// C13: one thread and two.
fn thread_invariance(s: &mut Subject<'_>) -> Found {
    let options = LoadOptions { device: s.options.device, intra_threads: 2, ..LoadOptions::default() };
    let mut two = s.again(&options)?;
    let n = s.probes.most(&s.model).min(BATCH);
    let (a, b) = (s.probes.together(&mut s.model, 0, n)?, s.probes.together(&mut two, 0, n)?);
    let worst = widest(0.0, &a, &b);
    Ok((worst <= TOLERANCE, format!("one thread and two, largest difference {worst:e}")))
}

/// C14: what the model does with NaN, infinities, 1e30 and a denormal, each in every place. Passes in any case: the gate
/// keeps what is not finite out, and the answer's range is checked.
pub(super) fn nan_policy(s: &mut Subject<'_>) -> (Finding, NanPolicy) {
    let places = s.probes.places();
    let tried = places.min(PLACES);
    if tried == 0 {
        let detail = "it takes no number of f32".to_owned();
        return (Finding { check: Check::NanPolicy, passed: true, detail }, NanPolicy::None);
    }
    let spread = |i: usize| i * places / tried;
    let mut count = |x: f32| {
        let mut finite = 0_usize;
        for i in 0..tried {
            let got = s.probes.spoiled(&mut s.model, spread(i), x)?;
            finite += usize::from(!got.is_empty() && got.iter().all(|p| p.is_finite()));
        }
        Ok::<usize, ForecasterError>(finite)
    };
    let probes = [("NaN", f32::NAN), ("Inf", f32::INFINITY), ("-Inf", f32::NEG_INFINITY)];
    let loud = probes.map(|(name, x)| (name, count(x)));
    let quiet = [("1e30", 1e30), ("1e-40", 1e-40_f32)].map(|(name, x)| (name, count(x)));
    let policy = match &loud[0].1 {
        Err(_) => NanPolicy::Errors,
        Ok(0) => NanPolicy::Propagates,
        Ok(_) => NanPolicy::Swallows,
    };
    let text = |(name, found): &(&str, Result<usize, ForecasterError>)| match found {
        Ok(finite) => format!("{name} {finite}"),
        Err(error) => format!("{name} {error}"),
    };
    let seen: Vec<String> = loud.iter().chain(&quiet).map(text).collect();
    let detail = format!(
        "{policy:?}: finite answers in {tried} places tried: {}; the gate refuses what is not finite",
        seen.join(", ")
    );
    (Finding { check: Check::NanPolicy, passed: true, detail }, policy)
}

/// C15: answers are what their kind says and not all the same.
pub(super) fn range(s: &mut Subject<'_>) -> Found {
    let got = s.probes.all(&mut s.model)?;
    let (low, high) = got.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), p| (l.min(*p), h.max(*p)));
    let output = s.bundle.manifest().answer();
    if output.kind == OutputKind::Raw {
        return Ok((low < high, format!("raw numbers from {low} to {high}")));
    }
    let limits = s.model.range();
    for (i, answer) in got.chunks((got.len() / s.probes.len().max(1)).max(1)).enumerate() {
        let legal = match (output.kind, answer) {
            (OutputKind::Probability, [p]) => lane::gate_output(*p, limits).map(|_| ()),
            _ => s.model.decode(answer).map(|_| ()),
        };
        if let Err(error) = legal {
            return Ok((false, format!("answer {i} of {}: {error} ({})", s.probes.len(), error.code())));
        }
    }
    Ok((low < high, format!("{} answers from {low} to {high}", s.probes.len())))
}

/// C19: the state that comes out goes in again, and a reset begins anew.
pub(super) fn state(s: &mut Subject<'_>) -> Found {
    let super::Probes::Tensors(items, _) = &s.probes else {
        return Ok((true, "it takes rows and keeps no state".to_owned()));
    };
    let Some(inputs) = items.first() else { return Ok((false, "nothing to try it with".to_owned())) };
    // A state that an example gives itself would hide the one that is kept.
    let names: Vec<&str> = s.bundle.manifest().state.iter().map(|p| p.input.as_str()).collect();
    let inputs: Vec<Tensor> = inputs.iter().filter(|t| !names.contains(&t.name.as_str())).cloned().collect();
    let model = &mut s.model;
    let flat = |tensors: Vec<Tensor>| tensors.iter().flat_map(numbers).collect::<Vec<f32>>();
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    model.reset();
    let first = flat(model.run_tensors(&inputs)?);
    let second = flat(model.run_tensors(&inputs)?);
    let third = flat(model.run_tensors(&inputs)?);
    model.reset();
    let anew = flat(model.run_tensors(&inputs)?);
    if bits(&first) != bits(&anew) {
        return Ok((false, "a run after a reset is not the first run again".to_owned()));
    }
    if ![&first, &second, &third].iter().all(|v| v.iter().all(|x| x.is_finite())) {
        return Ok((false, "three runs on a kept state give numbers that are not finite".to_owned()));
    }
    let moves = bits(&first) != bits(&second);
    let detail = if moves { "the state changes the answer" } else { "the state changes nothing in two runs" };
    Ok((true, format!("{} states kept over three runs and reset; {detail}", names.len())))
}

/// The largest difference; NaN and a missing answer count as infinite.
pub(super) fn widest(start: f32, a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    let differs = |(x, y): (&f32, &f32)| if (x - y).is_nan() { f32::INFINITY } else { (x - y).abs() };
    a.iter().zip(b).map(differs).fold(start, f32::max)
}
