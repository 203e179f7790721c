//! Writes the manifest and the golden pairs of an imported model; it never claims what no run has shown.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::super::Engines;
use super::plan::{PlanDim, PlanInput};
use super::probe::{Learnt, Setting, draw};
use super::{ImportOptions, Note, Scaler};
use crate::bundle::golden::{Case, Golden, MIN_PAIRS, Pair};
use crate::bundle::{Bundle, BundleLimits, ModelFacts};
use crate::engine::{Data, Device, Dim, Dtype, Session, Tensor};
use crate::error::{Check, ForecasterError};
use crate::features;
use crate::manifest::{
    FeaturesSection, InputSection, Kind, LimitsSection, Manifest, Missing, ModelSection, NormaliseSection,
    OutputKind, OutputSection, SCHEMA, Source, StateSection, Transform,
};

/// Clip of a scaler that has none: wide enough to change nothing that is not broken.
const NO_CLIP: f64 = 1e9;
/// Rows in one run of a model that takes more than one.
const MAX_BATCH: u32 = 64;

/// What is known of a model while its manifest is written.
pub(super) struct Draft<'a> {
    pub(super) facts: &'a ModelFacts,
    pub(super) plan: &'a [PlanInput],
    pub(super) setting: &'a Setting,
    pub(super) learnt: &'a Learnt,
    pub(super) options: &'a ImportOptions,
    pub(super) notes: Vec<Note>,
}

impl Draft<'_> {
    fn note(&mut self, check: Check, cause: String, cure: &str) {
        self.notes.push(Note::new(check, cause, cure));
    }

    /// The whole manifest.
    pub(super) fn manifest(
        &mut self,
        path: &Path,
        model: &[u8],
        scaler: Option<&Scaler>,
    ) -> Result<Manifest, ForecasterError> {
        let features = self.features()?;
        let state = self.state();
        let inputs = self.inputs(features.as_ref(), &state)?;
        let outputs = self.outputs(&state);
        let batches = self.learnt.double.is_ok();
        if let Err(error) = &self.learnt.double {
            let cause = format!("two rows at once fail: {error}");
            self.note(Check::BatchInvariance, cause, "max_batch is 1; export it with a free batch");
        }
        let opset = self.facts.opset().and_then(|v| u32::try_from(v).ok()).unwrap_or(0);
        let manifest = Manifest {
            schema: SCHEMA,
            name: self.options.name.clone().unwrap_or_else(|| plain_name(path)),
            version: "1.0.0".to_owned(),
            kind: Kind::Model,
            topic: self.options.topic.clone(),
            horizon_s: None,
            engine: "auto".to_owned(),
            model: ModelSection {
                file: "model.onnx".to_owned(),
                sha256: hex::encode(Sha256::digest(model)),
                opset,
                license: self.license(),
            },
            features,
            normalise: self.normalise(scaler),
            inputs,
            outputs,
            state,
            limits: LimitsSection {
                max_batch: if batches { MAX_BATCH } else { 1 },
                deadline_ms: 1_000,
                max_rss_mb: 512,
            },
        };
        // What was derived goes through the same gate as what people write.
        Manifest::parse(&manifest.to_toml())
    }

    fn license(&mut self) -> String {
        self.options.license.clone().unwrap_or_else(|| {
            let cause = "no licence was named".to_owned();
            self.note(
                Check::ManifestModel,
                cause,
                "name it with --license before anybody else runs the model",
            );
            "LicenseRef-unknown".to_owned()
        })
    }

    fn features(&self) -> Result<Option<FeaturesSection>, ForecasterError> {
        let Some((name, names)) = &self.options.features else { return Ok(None) };
        let Some(set) = features::set(name) else {
            let detail = format!("there is no feature set `{name}`");
            return Err(ForecasterError::check(Check::ManifestFeatures, detail));
        };
        let all = || set.names.iter().map(|n| (*n).to_owned()).collect();
        Ok(Some(FeaturesSection {
            set: set.name.to_owned(),
            names: if names.is_empty() { all() } else { names.clone() },
            lookback_s: set.lookback_s,
            missing: Missing::Reject,
        }))
    }

    /// Outputs that are an input's next value: the name says so, and type and actual shape agree.
    fn state(&mut self) -> Vec<StateSection> {
        let mut out = Vec::new();
        for input in self.plan {
            let Some(next) = &input.next else { continue };
            let zeros = self.setting.inputs(std::slice::from_ref(input), 0);
            let given = zeros.ok().and_then(|mut t| t.pop());
            let came = self.learnt.base.iter().find(|t| t.name == *next);
            let same =
                given.zip(came).is_some_and(|(a, b)| a.shape == b.shape && a.data.dtype() == b.data.dtype());
            if same {
                let cause = format!("`{next}` has the name, type and shape of `{}`'s next value", input.name);
                self.note(Check::ManifestState, cause, "proposed as [[state]]; remove it if it is none");
                out.push(StateSection { input: input.name.clone(), output: next.clone() });
            }
        }
        out
    }

    fn inputs(
        &mut self,
        features: Option<&FeaturesSection>,
        state: &[StateSection],
    ) -> Result<Vec<InputSection>, ForecasterError> {
        let width = features.map(|f| f.names.len());
        let row =
            self.plan.iter().position(|i| i.dtype == Dtype::F32 && row_width(i) == width && width.is_some());
        if let (Some(width), None) = (width, row) {
            let detail =
                format!("no f32 input takes rows of {width} features; name those it takes with --features");
            return Err(ForecasterError::check(Check::ManifestInput, detail));
        }
        let mut out = Vec::new();
        for (i, input) in self.plan.iter().enumerate() {
            let value = self.setting.constants.iter().find(|(name, _)| *name == input.name).map(|(_, v)| *v);
            let count = input.dims.iter().try_fold(1_usize, |n, d| match d {
                PlanDim::Fixed(d) => Some(n * *d as usize),
                _ => None,
            });
            let source = match (value, count) {
                (Some(value), Some(_)) => {
                    let cause = format!("`{}` is the same in every run: {value}", input.name);
                    self.note(Check::ManifestInput, cause, "written as constant; change it with --constant");
                    Source::Constant
                }
                _ if Some(i) == row => Source::Features,
                _ if state.iter().any(|s| s.input == input.name) => Source::State,
                _ => Source::Caller,
            };
            out.push(InputSection {
                name: input.name.clone(),
                dtype: input.dtype,
                shape: input.dims.iter().map(PlanDim::dim).collect(),
                source,
                value: (source == Source::Constant).then(|| vec![value.unwrap_or(0.0); count.unwrap_or(1)]),
            });
        }
        Ok(out)
    }

    /// Outputs that are no state, forecasts first, each with its actual shape.
    fn outputs(&mut self, state: &[StateSection]) -> Vec<OutputSection> {
        let learnt = self.learnt;
        let left = |t: &&Tensor| state.iter().all(|s| s.output != t.name) || state.len() == learnt.base.len();
        let mut tensors: Vec<&Tensor> = learnt.base.iter().filter(left).collect();
        // A classifier gives a label first; its probabilities are the answer.
        tensors.sort_by_key(|t| t.data.dtype() != Dtype::F32);
        let mut out = Vec::new();
        for (i, tensor) in tensors.into_iter().enumerate() {
            let shape = learnt.shape(tensor, self.plan, self.setting);
            self.compare(tensor, &shape);
            let shape: Vec<Dim> = shape.iter().map(PlanDim::dim).collect();
            let answer = i == 0 && tensor.data.dtype() == Dtype::F32;
            let (kind, transform, column) = if answer { self.meaning(tensor, &shape) } else { RAW };
            out.push(OutputSection {
                name: tensor.name.clone(),
                dtype: tensor.data.dtype(),
                shape,
                kind,
                transform,
                column,
                range: (kind == OutputKind::Probability).then_some([0.0, 1.0]),
            });
        }
        out
    }

    /// C09: what the file declares of an output against what came.
    fn compare(&mut self, tensor: &Tensor, shape: &[PlanDim]) {
        let Some(declared) = self.facts.outputs.iter().find(|o| o.name == tensor.name) else { return };
        let Some(dims) = &declared.shape else { return };
        let lies = |(d, s): (&Option<u64>, &PlanDim)| match (d, s) {
            (Some(d), PlanDim::Fixed(s)) => *d != u64::from(*s),
            (Some(_), _) => true,
            (None, _) => false,
        };
        if dims.len() != shape.len() || dims.iter().zip(shape).any(lies) {
            let text = |d: &PlanDim| match d {
                PlanDim::Fixed(n) => n.to_string(),
                PlanDim::Batch => Dim::BATCH.to_owned(),
                PlanDim::Free(name) => name.clone(),
            };
            let actual: Vec<String> = shape.iter().map(text).collect();
            let claimed: Vec<String> =
                dims.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
            let cause = format!(
                "`{}` is declared [{}] and gives [{}]",
                tensor.name,
                claimed.join(", "),
                actual.join(", ")
            );
            self.note(Check::Shape, cause, "the manifest has the actual shape");
        }
    }

    /// What an answer looks like. Only a forecaster's answer is taken for a probability.
    fn meaning(&mut self, tensor: &Tensor, shape: &[Dim]) -> (OutputKind, Transform, Option<u32>) {
        let Data::F32(values) = &tensor.data else { return RAW };
        let last = match shape {
            [first, .., Dim::Fixed(n)] if first.is_batch() => *n as usize,
            [first] if first.is_batch() => 1,
            _ => return RAW,
        };
        let unit = values.iter().all(|p| (0.0..=1.0).contains(p));
        let sums = last >= 2
            && unit
            && values.chunks_exact(last).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-3);
        let forecast = self.options.topic.is_some();
        match (forecast, last, sums) {
            (true, 2, true) if shape.len() == 2 => (OutputKind::Probability, Transform::Identity, Some(1)),
            (_, _, true) => (OutputKind::Categorical, Transform::Identity, None),
            (true, 1, _) if shape.len() <= 2 && unit => (OutputKind::Probability, Transform::Identity, None),
            (true, 1, _) if shape.len() <= 2 => {
                let cause = format!("`{}` gives numbers outside [0, 1]", tensor.name);
                self.note(Check::Range, cause, "taken for a log-odds: the transform is `sigmoid`");
                (OutputKind::Probability, Transform::Sigmoid, None)
            }
            (true, 99, _) if shape.len() == 2 => (OutputKind::Quantiles, Transform::Identity, None),
            _ => RAW,
        }
    }

    fn normalise(&mut self, scaler: Option<&Scaler>) -> NormaliseSection {
        let Some(scaler) = scaler else {
            return NormaliseSection { kind: "none".to_owned(), mean: None, scale: None, clip: None };
        };
        let cause = format!(
            "the scaler's `{}` and `{}` have {} columns, {} of scale zero",
            scaler.keys.0,
            scaler.keys.1,
            scaler.mean.len(),
            scaler.zeros
        );
        self.note(Check::ManifestNormalise, cause, "written into [normalise]; a scale of zero becomes one");
        let robust = scaler.keys.0.contains("median") || scaler.keys.0.contains("center");
        NormaliseSection {
            kind: if robust { "robust" } else { "zscore" }.to_owned(),
            mean: Some(scaler.mean.clone()),
            scale: Some(scaler.scale.clone()),
            clip: Some(NO_CLIP),
        }
    }

    /// C14: whether NaN in every float goes through the model unnoticed.
    pub(super) fn nan(&mut self, session: &mut dyn Session) -> Result<(), ForecasterError> {
        let mut inputs = self.setting.inputs(self.plan, 0)?;
        let mut poisoned = false;
        for (tensor, input) in inputs.iter_mut().zip(self.plan) {
            if let (Data::F32(values), None) = (&mut tensor.data, &input.next) {
                values.fill(f32::NAN);
                poisoned = true;
            }
        }
        let finite = |t: &Tensor| match &t.data {
            Data::F32(v) => v.iter().all(|x| x.is_finite()),
            _ => false,
        };
        if poisoned
            && let Ok(outputs) = session.run(&inputs)
            && let Some(output) = outputs.iter().find(|t| finite(t))
        {
            let cause = format!("all floats NaN give a finite `{}`", output.name);
            self.note(Check::NanPolicy, cause, "the input gate refuses rows that are not finite");
        }
        Ok(())
    }

    /// C04: operators that only ONNX Runtime has.
    pub(super) fn operators(&mut self) {
        let contrib = self.facts.operators.iter().filter(|(domain, _)| domain == "com.microsoft");
        let names: Vec<&str> = contrib.map(|(_, name)| name.as_str()).collect();
        if !names.is_empty() {
            let cause = format!("contrib operators of com.microsoft: {}", names.join(", "));
            self.note(Check::Domain, cause, "your own machine runs them; a host does not");
        }
    }

    /// `golden.json`: pairs of rows for a model of features, else cases of whole tensors.
    pub(super) fn golden(
        &mut self,
        engines: &Engines,
        session: &mut dyn Session,
        manifest: &Manifest,
        model: &[u8],
        limits: &BundleLimits,
    ) -> Result<String, ForecasterError> {
        let engine = format!("{}, imported", session.engine().name());
        if manifest.feature_set().is_some() && manifest.row_io().is_some() {
            let bundle = Bundle::from_parts(&manifest.to_toml(), model.to_vec(), None, limits)?;
            let pairs = pairs(engines, &bundle)?;
            return Ok(Golden::to_json(&engine, &pairs, &[], manifest));
        }
        let mut cases = Vec::new();
        for seed in 1..=MIN_PAIRS as u64 {
            let mut inputs = self.setting.inputs(self.plan, seed)?;
            let sources = |name: &str| manifest.inputs.iter().find(|i| i.name == name).map(|i| i.source);
            inputs.retain(|t| sources(&t.name) != Some(Source::Constant));
            raise(&mut inputs, manifest);
            let mut case = Case { inputs, outputs: Vec::new() };
            let wanted = |t: &Tensor| {
                manifest.outputs.iter().any(|o| o.name == t.name)
                    || manifest.state.iter().any(|s| s.output == t.name)
            };
            case.outputs = session.run(&case.run_inputs(manifest))?;
            case.outputs.retain(wanted);
            cases.push(case);
        }
        Ok(Golden::to_json(&engine, &[], &cases, manifest))
    }
}

/// Turns probe numbers around zero into raw ones around the scaler's means, so that a case shows what it is about.
fn raise(inputs: &mut [Tensor], manifest: &Manifest) {
    let n = &manifest.normalise;
    let (Some(input), Some(mean), Some(scale)) = (manifest.normalised_input(), &n.mean, &n.scale) else {
        return;
    };
    for tensor in inputs.iter_mut().filter(|t| t.name == input.name) {
        let Data::F32(values) = &mut tensor.data else { continue };
        for row in values.chunks_exact_mut(mean.len().max(1)) {
            for ((x, mean), scale) in row.iter_mut().zip(mean).zip(scale) {
                *x = (mean + scale * f64::from(*x)) as f32;
            }
        }
    }
}

/// An output for the caller.
const RAW: (OutputKind, Transform, Option<u32>) = (OutputKind::Raw, Transform::Identity, None);

/// How many numbers a row of this input has; `None` when it takes no rows of a fixed width.
fn row_width(input: &PlanInput) -> Option<usize> {
    let [PlanDim::Batch, row @ ..] = input.dims.as_slice() else { return None };
    row.iter().try_fold(1_usize, |n, d| match d {
        PlanDim::Fixed(d) => Some(n * *d as usize),
        _ => None,
    })
}

/// Rows around the scaler's means and what the bundle answers to them.
fn pairs(engines: &Engines, bundle: &Bundle) -> Result<Vec<Pair>, ForecasterError> {
    let manifest = bundle.manifest();
    let mut model = engines.load(bundle, Device::Cpu)?;
    let width = model.width();
    let (mean, scale) = (manifest.normalise.mean.as_deref(), manifest.normalise.scale.as_deref());
    let mut out = Vec::new();
    for seed in 0..2 * MIN_PAIRS as u64 {
        let mut input = vec![0.0_f32; width];
        for (i, column) in manifest.columns().into_iter().enumerate() {
            let unit = (draw(seed, i as u64) % 129) as f64 / 32.0 - 2.0;
            let at = |list: Option<&[f64]>, other: f64| list.and_then(|l| l.get(i).copied()).unwrap_or(other);
            input[column] = (at(mean, 0.0) + at(scale, 1.0) * unit) as f32;
        }
        let mut output = Vec::new();
        model.predict_into(&input, 1, &mut output)?;
        out.push(Pair { input, output });
    }
    Ok(out)
}

/// A bundle's name made of a file's.
fn plain_name(path: &Path) -> String {
    let stem = path.file_stem().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = stem.chars().map(plain).take(64).collect();
    if name.is_empty() { "imported".to_owned() } else { name }
}
