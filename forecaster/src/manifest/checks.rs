//! What a manifest is checked for before anything else looks at it; every violation has its own code.

use schemas::TopicId;

use super::{MAX_BATCH, MAX_DEADLINE_MS, Manifest, OutputKind, SCHEMA, Source, constant, need};
use crate::engine::{Dim, EngineChoice};
use crate::error::{Check, ForecasterError};
use crate::features;

/// Longest name of an input or output.
const MAX_NAME: usize = 256;
/// Most inputs, outputs and states.
const MAX_PORTS: usize = 64;

impl Manifest {
    pub(super) fn check(&self) -> Result<(), ForecasterError> {
        self.check_identity()?;
        self.check_model()?;
        self.check_features()?;
        self.check_inputs()?;
        self.check_normalise()?;
        self.check_outputs()?;
        self.check_state()?;
        self.check_limits()
    }

    fn check_identity(&self) -> Result<(), ForecasterError> {
        need(self.schema == SCHEMA, Check::ManifestSchema, || {
            format!("schema is {}, this program reads {SCHEMA}", self.schema)
        })?;
        let parts: Vec<&str> = self.version.split('.').collect();
        let number = |p: &&str| (1..=9).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
        need(parts.len() == 3 && parts.iter().all(number), Check::ManifestName, || {
            format!("version `{}` is not major.minor.patch", self.version)
        })?;
        for (what, text) in [("name", Some(&self.name)), ("topic", self.topic.as_ref())] {
            let Some(text) = text else { continue };
            need(TopicId::new(text).is_some(), Check::ManifestName, || {
                format!("{what} `{text}` is not 1 to 64 of a-z 0-9 . _ -")
            })?;
        }
        need(self.engine.parse::<EngineChoice>().is_ok(), Check::ManifestEngine, || {
            format!("engine `{}` is not one of auto, ort, trees, rten", self.engine)
        })
    }

    fn check_model(&self) -> Result<(), ForecasterError> {
        let m = &self.model;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let name = m.file.len() <= 64
            && m.file.strip_suffix(".onnx").is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.'))
            && m.file.bytes().all(plain);
        need(name, Check::ManifestModel, || {
            format!("file `{}` is not a plain name ending in .onnx", m.file)
        })?;
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        need(m.sha256.len() == 64 && m.sha256.bytes().all(hex), Check::ManifestModel, || {
            "sha256 is not 64 lower-case hex digits".to_owned()
        })?;
        need((1..=128).contains(&m.license.len()), Check::ManifestModel, || {
            "license is empty or too long".to_owned()
        })
    }

    fn check_features(&self) -> Result<(), ForecasterError> {
        let Some(f) = &self.features else { return Ok(()) };
        let fault = |detail: String| Err(ForecasterError::check(Check::ManifestFeatures, detail));
        let Some(set) = features::set(&f.set) else {
            let known: Vec<&str> = features::SETS.iter().map(|set| set.name).collect();
            return fault(format!("feature set `{}` is not one of: {}", f.set, known.join(", ")));
        };
        for (i, name) in f.names.iter().enumerate() {
            if set.position(name).is_none() {
                return fault(format!("`{name}` is no feature of {}: {}", set.name, set.names.join(", ")));
            }
            if f.names[..i].contains(name) {
                return fault(format!("feature `{name}` is named twice"));
            }
        }
        if f.names.is_empty() {
            return fault("names is empty".to_owned());
        }
        if f.lookback_s != set.lookback_s {
            return fault(format!(
                "lookback_s is {}, {} looks back {}",
                f.lookback_s, set.name, set.lookback_s
            ));
        }
        Ok(())
    }

    fn check_inputs(&self) -> Result<(), ForecasterError> {
        let fault = |detail: String| Err(ForecasterError::check(Check::ManifestInput, detail));
        let names = || self.inputs.iter().map(|i| i.name.as_str());
        names_are_sound(names(), Check::ManifestInput)?;
        let rows: Vec<_> = self.inputs.iter().filter(|i| i.source == Source::Features).collect();
        match (&self.features, rows.as_slice()) {
            (None, []) => {}
            (Some(f), [row]) => {
                let width = row.shape.get(1..).and_then(fixed).map(|d| d.iter().product::<usize>());
                if !row.shape.first().is_some_and(Dim::is_batch) || width != Some(f.names.len()) {
                    return fault(format!(
                        "`{}` must have the shape [\"batch\", …] with {} numbers a row, as [features] names them",
                        row.name,
                        f.names.len()
                    ));
                }
            }
            (None, [row, ..]) => {
                return fault(format!("`{}` takes features, but there is no [features]", row.name));
            }
            (Some(_), _) => return fault("exactly one input takes the features".to_owned()),
        }
        for input in &self.inputs {
            let right = match input.source {
                Source::Constant => constant(input).is_some(),
                _ => input.value.is_none(),
            };
            if !right {
                return fault(format!(
                    "`{}`: a constant needs a fixed shape and as many numbers of its type in `value`; other sources take none",
                    input.name
                ));
            }
        }
        Ok(())
    }

    fn check_normalise(&self) -> Result<(), ForecasterError> {
        let n = &self.normalise;
        let fault = |detail: &str| Err(ForecasterError::check(Check::ManifestNormalise, detail));
        let width = self.features.as_ref().map_or(0, |f| f.names.len());
        match (n.kind.as_str(), &n.mean, &n.scale, n.clip) {
            ("none", None, None, None) => Ok(()),
            ("none", ..) => fault("kind `none` takes no mean, scale or clip"),
            ("zscore" | "robust", ..) if width == 0 => {
                fault("without [features] only kind `none` has a meaning")
            }
            ("zscore" | "robust", Some(mean), Some(scale), Some(clip)) => {
                // What counts is the f32 that the model sees: 1e-50 is positive, but zero as f32.
                let sound = |x: &f64| (*x as f32).is_finite();
                let positive = |x: &f64| sound(x) && *x as f32 > 0.0;
                if mean.len() != width || scale.len() != width {
                    fault(&format!(
                        "mean has {} and scale {} numbers, both need {width}",
                        mean.len(),
                        scale.len()
                    ))
                } else if !mean.iter().all(sound) {
                    fault("a mean is not finite")
                } else if !scale.iter().all(positive) {
                    fault("a scale is not a positive number")
                } else if !positive(&clip) {
                    fault("clip is not a positive number")
                } else {
                    Ok(())
                }
            }
            ("zscore" | "robust", ..) => fault("this kind needs mean, scale and clip"),
            (other, ..) => fault(&format!("kind `{other}` is not known; use `none`, `zscore` or `robust`")),
        }
    }

    fn check_outputs(&self) -> Result<(), ForecasterError> {
        let fault = |detail: String| Err(ForecasterError::check(Check::ManifestOutput, detail));
        names_are_sound(self.outputs.iter().map(|o| o.name.as_str()), Check::ManifestOutput)?;
        if self.topic.is_some() && (self.features.is_none() || self.answer().kind == OutputKind::Raw) {
            return fault(
                "a bundle with a topic needs [features] and an answer that is a forecast".to_owned(),
            );
        }
        let asked = self.inputs.iter().any(|i| i.source == Source::Caller);
        if self.topic.is_some() && (asked || self.row_io().is_none()) {
            let detail = "a bundle with a topic answers rows alone: f32 in and out, no [[state]], no input of source \
                          `caller`, no free dimension but the batch";
            return fault(detail.to_owned());
        }
        for output in &self.outputs {
            let [low, high] = output.range.unwrap_or([0.0, 1.0]);
            if !(low < high) || !low.is_finite() || !high.is_finite() {
                return fault(format!("`{}`: range [{low}, {high}] is no interval", output.name));
            }
            if output.kind == OutputKind::Probability && (output.range.is_none() || low < 0.0 || high > 1.0) {
                return fault(format!("`{}`: a probability needs a range within [0, 1]", output.name));
            }
            if let Some(problem) = kind_fits(output) {
                return fault(format!("`{}`: {problem}", output.name));
            }
        }
        Ok(())
    }

    fn check_state(&self) -> Result<(), ForecasterError> {
        for pair in &self.state {
            let input = self.inputs.iter().find(|i| i.name == pair.input && i.source == Source::State);
            need(input.is_some(), Check::ManifestState, || {
                format!("`{}` is no input of source `state`", pair.input)
            })?;
        }
        for input in self.inputs.iter().filter(|i| i.source == Source::State) {
            let pairs = self.state.iter().filter(|pair| pair.input == input.name).count();
            need(pairs == 1, Check::ManifestState, || {
                format!("`{}` is of source `state` and has {pairs} [[state]], it needs one", input.name)
            })?;
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), ForecasterError> {
        let l = &self.limits;
        need((1..=MAX_BATCH).contains(&l.max_batch), Check::ManifestLimits, || {
            format!("max_batch {} is not 1 to {MAX_BATCH}", l.max_batch)
        })?;
        need((1..=MAX_DEADLINE_MS).contains(&l.deadline_ms), Check::ManifestLimits, || {
            format!("deadline_ms {} is not 1 to {MAX_DEADLINE_MS}", l.deadline_ms)
        })?;
        need((16..=65_536).contains(&l.max_rss_mb), Check::ManifestLimits, || {
            format!("max_rss_mb {} is not 16 to 65536", l.max_rss_mb)
        })
    }
}

/// Whether the shape fits what the output says it means; the reason if not.
fn kind_fits(output: &super::OutputSection) -> Option<String> {
    let last = match output.shape.last() {
        Some(Dim::Fixed(n)) if output.shape.len() > 1 => Some(*n),
        _ => None,
    };
    let batched = output.shape.first().is_some_and(Dim::is_batch);
    let column = |c: u32| last.is_some_and(|n| c < n);
    let ok = match output.kind {
        OutputKind::Raw => true,
        OutputKind::Probability => match output.column {
            Some(c) => batched && output.shape.len() == 2 && column(c),
            None => batched && (output.shape.len() == 1 || output.shape.len() == 2 && last == Some(1)),
        },
        OutputKind::Categorical => batched && last.is_some_and(|n| n >= 2),
        OutputKind::Quantiles => batched && output.shape.len() == 2 && last == Some(99),
        OutputKind::Mixture => {
            batched && output.shape.len() == 2 && last.is_some_and(|n| n >= 3 && n % 3 == 0)
        }
        OutputKind::Paths => batched && output.shape.len() == 3,
    };
    if !ok {
        return Some(format!("shape {:?} does not fit the kind `{}`", output.shape, output.kind.name()));
    }
    (output.column.is_some() && output.kind != OutputKind::Probability)
        .then(|| "only a probability has a column".to_owned())
}

/// Names that are neither empty, nor too long, nor too many, nor twice.
fn names_are_sound<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    check: Check,
) -> Result<(), ForecasterError> {
    let count = names.clone().count();
    need((1..=MAX_PORTS).contains(&count), check, || {
        format!("{count} of them, allowed are 1 to {MAX_PORTS}")
    })?;
    for (i, name) in names.clone().enumerate() {
        need((1..=MAX_NAME).contains(&name.len()), check, || "a name is empty or too long".to_owned())?;
        need(!names.clone().take(i).any(|n| n == name), check, || format!("`{name}` is named twice"))?;
    }
    Ok(())
}

/// The sizes of dimensions that are all fixed.
pub(super) fn fixed(shape: &[Dim]) -> Option<Vec<usize>> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(n) => Some(*n as usize),
        Dim::Named(_) => None,
    };
    shape.iter().map(size).collect()
}

/// Tells unknown and missing keys and wrong types from text that is no TOML at all.
pub(super) fn syntax(text: &str, error: &toml::de::Error) -> ForecasterError {
    let message = error.message();
    let check = if toml::from_str::<toml::Table>(text).is_err() {
        Check::ManifestSyntax
    } else if message.starts_with("unknown field") {
        Check::ManifestUnknownKey
    } else if message.starts_with("missing field") {
        Check::ManifestMissingKey
    } else {
        Check::ManifestType
    };
    ForecasterError::check(check, message)
}
