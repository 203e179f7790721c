//! The bundle's manifest, `forecaster.toml`: what goes into a model and what comes out; it never opens a file.

use minicbor::{Decode, Encode};
use schemas::TopicId;
use serde::Deserialize;

use crate::error::{Check, ForecasterError};
use crate::features::{FEATURE_SET, LOOKBACK_S, NAMES, WIDTH};

/// The manifest's own version.
pub const SCHEMA: u32 = 1;
/// Most rows a manifest may allow in one run.
pub const MAX_BATCH: u32 = 4096;
/// Longest deadline a manifest may name, milliseconds.
pub const MAX_DEADLINE_MS: u32 = 60_000;

/// What kind of forecaster this is. For people; never used in scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Encode, Decode)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Kind {
    /// An honest model.
    #[n(0)]
    Model,
    /// A baseline that others are compared with.
    #[n(1)]
    Baseline,
    /// Bad on purpose.
    #[n(2)]
    Poor,
}

impl Kind {
    /// The stable name, as in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Baseline => "baseline",
            Self::Poor => "poor",
        }
    }
}

/// `[model]`: the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// File name inside the bundle's folder.
    #[n(0)]
    pub file: String,
    /// SHA-256 of the file, 64 lower-case hex digits.
    #[n(1)]
    pub sha256: String,
    /// Version of the `ai.onnx` operator set the file imports.
    #[n(2)]
    pub opset: u32,
    /// SPDX licence expression.
    #[n(3)]
    pub license: String,
}

/// `[input]`: the feature row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct InputSection {
    /// Name of the graph's input.
    #[n(0)]
    pub name: String,
    /// Element type; `f32`.
    #[n(1)]
    pub dtype: String,
    /// The feature set; `updown-1`.
    #[n(2)]
    pub feature_set: String,
    /// The features in order.
    #[n(3)]
    pub features: Vec<String>,
    /// Seconds of history the features look back.
    #[n(4)]
    pub lookback_s: u32,
    /// What happens when a feature is missing; `reject`.
    #[n(5)]
    pub missing: String,
}

/// `[normalise]`: what happens to the row before the model sees it.
#[derive(Clone, Debug, PartialEq, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct NormaliseSection {
    /// `none` or `zscore`.
    #[n(0)]
    pub kind: String,
    /// Mean of each feature (`zscore`).
    #[n(1)]
    pub mean: Option<Vec<f64>>,
    /// Scale of each feature, positive (`zscore`).
    #[n(2)]
    pub scale: Option<Vec<f64>>,
    /// Bound of the normalised value, positive (`zscore`).
    #[n(3)]
    pub clip: Option<f64>,
}

/// `[output]`: the answer.
#[derive(Clone, Debug, PartialEq, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct OutputSection {
    /// Name of the graph's output.
    #[n(0)]
    pub name: String,
    /// `probability`.
    #[n(1)]
    pub kind: String,
    /// Least and greatest legal answer.
    #[n(2)]
    pub range: [f64; 2],
}

/// `[limits]`: what the model needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Most rows in one run.
    #[n(0)]
    pub max_batch: u32,
    /// How long a full batch may take, milliseconds.
    #[n(1)]
    pub deadline_ms: u32,
}

/// A checked manifest.
#[derive(Clone, Debug, PartialEq, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    #[n(0)]
    pub schema: u32,
    /// Name of the forecaster.
    #[n(1)]
    pub name: String,
    /// Its version, `major.minor.patch`.
    #[n(2)]
    pub version: String,
    /// What kind it is.
    #[n(3)]
    pub kind: Kind,
    /// Prefix of the topics it answers.
    #[n(4)]
    pub topic: String,
    /// Which engine runs it; `ort`.
    #[n(5)]
    pub engine: String,
    /// The file.
    #[n(6)]
    pub model: ModelSection,
    /// The feature row.
    #[n(7)]
    pub input: InputSection,
    /// What happens to the row first.
    #[n(8)]
    pub normalise: NormaliseSection,
    /// The answer.
    #[n(9)]
    pub output: OutputSection,
    /// What it needs.
    #[n(10)]
    pub limits: LimitsSection,
}

impl Manifest {
    /// Parses and checks a manifest; every violation has its own [`Check`].
    pub fn parse(text: &str) -> Result<Self, ForecasterError> {
        let manifest: Self = toml::from_str(text).map_err(|e| syntax(text, &e))?;
        manifest.check_identity()?;
        manifest.check_model()?;
        manifest.check_input()?;
        manifest.check_normalise()?;
        manifest.check_output_and_limits()?;
        Ok(manifest)
    }

    /// The one byte form that the bundle id covers: comments, spacing and key order do not change it.
    pub fn canonical(&self) -> Vec<u8> {
        schemas::encode(self)
    }

    /// What happens to a row before the model sees it.
    pub fn normaliser(&self) -> Normaliser {
        let floats = |v: &Option<Vec<f64>>| v.iter().flatten().map(|x| *x as f32).collect::<Vec<_>>();
        Normaliser {
            mean: floats(&self.normalise.mean),
            scale: floats(&self.normalise.scale),
            clip: self.normalise.clip.map_or(f32::INFINITY, |c| c as f32),
        }
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
        for (what, text) in [("name", &self.name), ("topic", &self.topic)] {
            need(TopicId::new(text).is_some(), Check::ManifestName, || {
                format!("{what} `{text}` is not 1 to 64 of a-z 0-9 . _ -")
            })?;
        }
        need(self.engine == "ort", Check::ManifestEngine, || {
            format!("engine `{}` is not known; use `ort`", self.engine)
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

    fn check_input(&self) -> Result<(), ForecasterError> {
        let i = &self.input;
        let fixed = [
            ("dtype", &i.dtype, "f32"),
            ("feature_set", &i.feature_set, FEATURE_SET),
            ("missing", &i.missing, "reject"),
        ];
        for (key, got, want) in fixed {
            need(got == want, Check::ManifestFeatures, || {
                format!("{key} is `{got}`, this program knows `{want}`")
            })?;
        }
        need((1..=64).contains(&i.name.len()), Check::ManifestFeatures, || {
            "input name is empty or too long".to_owned()
        })?;
        need(i.features == NAMES, Check::ManifestFeatures, || {
            format!("features of {FEATURE_SET} are, in order: {}", NAMES.join(", "))
        })?;
        need(i64::from(i.lookback_s) == LOOKBACK_S, Check::ManifestFeatures, || {
            format!("lookback_s is {}, {FEATURE_SET} looks back {LOOKBACK_S}", i.lookback_s)
        })
    }

    fn check_normalise(&self) -> Result<(), ForecasterError> {
        let n = &self.normalise;
        let fault = |detail: &str| Err(ForecasterError::check(Check::ManifestNormalise, detail));
        match (n.kind.as_str(), &n.mean, &n.scale, n.clip) {
            ("none", None, None, None) => Ok(()),
            ("none", ..) => fault("kind `none` takes no mean, scale or clip"),
            ("zscore", Some(mean), Some(scale), Some(clip)) => {
                // What counts is the f32 that the model sees: 1e-50 is positive, but zero as f32.
                let sound = |x: &f64| (*x as f32).is_finite();
                let positive = |x: &f64| sound(x) && *x as f32 > 0.0;
                if mean.len() != WIDTH || scale.len() != WIDTH {
                    fault(&format!(
                        "mean has {} and scale {} numbers, both need {WIDTH}",
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
            ("zscore", ..) => fault("kind `zscore` needs mean, scale and clip"),
            (other, ..) => fault(&format!("kind `{other}` is not known; use `none` or `zscore`")),
        }
    }

    fn check_output_and_limits(&self) -> Result<(), ForecasterError> {
        let (o, l) = (&self.output, &self.limits);
        need((1..=64).contains(&o.name.len()), Check::ManifestOutput, || {
            "output name is empty or too long".to_owned()
        })?;
        need(o.kind == "probability", Check::ManifestOutput, || {
            format!("kind `{}` is not `probability`", o.kind)
        })?;
        let [low, high] = o.range;
        need(0.0 <= low && low < high && high <= 1.0, Check::ManifestOutput, || {
            format!("range [{low}, {high}] is not an interval within [0, 1]")
        })?;
        need((1..=MAX_BATCH).contains(&l.max_batch), Check::ManifestLimits, || {
            format!("max_batch {} is not 1 to {MAX_BATCH}", l.max_batch)
        })?;
        need((1..=MAX_DEADLINE_MS).contains(&l.deadline_ms), Check::ManifestLimits, || {
            format!("deadline_ms {} is not 1 to {MAX_DEADLINE_MS}", l.deadline_ms)
        })
    }
}

/// The z-score of a manifest in f32, as the training script applies it: `clip((x - mean) / scale)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Normaliser {
    mean: Vec<f32>,
    scale: Vec<f32>,
    clip: f32,
}

impl Normaliser {
    /// Normalises one raw row in place; without a z-score nothing changes. NaN stays NaN.
    pub fn apply(&self, row: &mut [f32]) {
        for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
            *x = ((*x - mean) / scale).clamp(-self.clip, self.clip);
        }
    }
}

fn need(ok: bool, check: Check, detail: impl FnOnce() -> String) -> Result<(), ForecasterError> {
    if ok { Ok(()) } else { Err(ForecasterError::check(check, detail())) }
}

/// Tells unknown and missing keys and wrong types from text that is no TOML at all.
fn syntax(text: &str, error: &toml::de::Error) -> ForecasterError {
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
