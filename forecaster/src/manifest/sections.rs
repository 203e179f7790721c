//! The tables of `forecaster.toml` as written; they never check themselves, `checks` does.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::engine::{Dim, Dtype};

/// What kind of forecaster this is. For people; never used in scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// File name inside the bundle.
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

/// What happens when a feature is missing, not finite, stale or out of its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Missing {
    /// The row is not predicted: an abstention.
    #[default]
    #[n(0)]
    Reject,
}

/// `[features]`: what a row is made of. Absent in a bundle whose inputs the caller gives whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct FeaturesSection {
    /// The feature set with its version, e.g. `updown-1`.
    #[n(0)]
    pub set: String,
    /// The features this model sees, in its own order; each is of the set and named once.
    #[n(1)]
    pub names: Vec<String>,
    /// Seconds of history the set looks back.
    #[n(2)]
    pub lookback_s: u32,
    /// What happens when one is missing; `reject`.
    #[n(3)]
    #[serde(default)]
    pub missing: Missing,
}

/// Where an input's numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Source {
    /// The normalised feature row, reshaped.
    #[n(0)]
    Features,
    /// The numbers in `value`, the same in every run.
    #[n(1)]
    Constant,
    /// Given by the caller of `model run` or the inference protocol.
    #[n(2)]
    Caller,
    /// What the paired output of `[[state]]` gave in the run before; zeros at first.
    #[n(3)]
    State,
}

/// `[[inputs]]`: one input of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct InputSection {
    /// Its name in the graph.
    #[n(0)]
    pub name: String,
    /// Its element type.
    #[n(1)]
    pub dtype: Dtype,
    /// Its shape; `batch` is the number of rows, any other name is free. `[]` is a scalar.
    #[n(2)]
    pub shape: Vec<Dim>,
    /// Where its numbers come from.
    #[n(3)]
    pub source: Source,
    /// The numbers of a constant, row-major.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Vec<f64>>,
}

/// `[normalise]`: what happens to the feature row before the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct NormaliseSection {
    /// `none`, `zscore` (mean, standard deviation) or `robust` (median, interquartile range); both are `(x - mean) / scale`.
    #[n(0)]
    pub kind: String,
    /// Centre of each feature.
    #[n(1)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Scale of each feature, positive.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Vec<f64>>,
    /// Bound of the normalised value, positive.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
}

/// What an output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum OutputKind {
    /// `[batch, 1]` or `[batch]`: the probability of Up.
    #[n(0)]
    Probability,
    /// `[batch, k]`: probabilities of k outcomes that sum to 1.
    #[n(1)]
    Categorical,
    /// `[batch, 99]`: the quantiles 0.01 to 0.99, ascending.
    #[n(2)]
    Quantiles,
    /// `[batch, 3 k]`: weights, means and scales of k normal components.
    #[n(3)]
    Mixture,
    /// `[batch, paths, steps]`: sampled paths.
    #[n(4)]
    Paths,
    /// Whatever shape: for the caller, never a forecast.
    #[n(5)]
    Raw,
}

impl OutputKind {
    /// The stable name, as in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probability => "probability",
            Self::Categorical => "categorical",
            Self::Quantiles => "quantiles",
            Self::Mixture => "mixture",
            Self::Paths => "paths",
            Self::Raw => "raw",
        }
    }
}

/// What happens to an output's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Transform {
    /// Nothing.
    #[default]
    #[n(0)]
    Identity,
    /// `1 / (1 + exp(-x))` of each.
    #[n(1)]
    Sigmoid,
    /// Softmax over the last dimension.
    #[n(2)]
    Softmax,
}

/// `[[outputs]]`: one output of the graph. The first is the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct OutputSection {
    /// Its name in the graph.
    #[n(0)]
    pub name: String,
    /// Its element type; `f32` when left out.
    #[n(1)]
    #[serde(default = "f32_type")]
    pub dtype: Dtype,
    /// Its shape as it really is, whatever the file declares.
    #[n(2)]
    pub shape: Vec<Dim>,
    /// What it means.
    #[n(3)]
    pub kind: OutputKind,
    /// What happens to its numbers first.
    #[n(4)]
    #[serde(default)]
    pub transform: Transform,
    /// Which number of the last dimension is the probability of Up (`probability` of a classifier's `[batch, 2]`).
    #[n(5)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Least and greatest legal answer, after the transform.
    #[n(6)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

const fn f32_type() -> Dtype {
    Dtype::F32
}

/// `[[state]]`: an output that becomes an input of the next run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct StateSection {
    /// The input.
    #[n(0)]
    pub input: String,
    /// The output.
    #[n(1)]
    pub output: String,
}

/// `[limits]`: what the model needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Most rows in one run.
    #[n(0)]
    pub max_batch: u32,
    /// How long a full batch may take, milliseconds.
    #[n(1)]
    pub deadline_ms: u32,
    /// Most memory a worker process may take, MiB; 512 when left out.
    #[n(2)]
    #[serde(default = "default_rss")]
    pub max_rss_mb: u32,
}

const fn default_rss() -> u32 {
    512
}
