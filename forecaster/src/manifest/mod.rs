//! The bundle's manifest, `forecaster.toml`: what goes into a model and what comes out; it never opens a file.
//!
//! The tables as written are in [`sections`], what is checked of them in `checks`, what happens to a row in
//! [`normalise`].

mod checks;
pub mod normalise;
pub mod sections;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::engine::{Data, Dtype, RowIo, Tensor};
use crate::error::{Check, ForecasterError};
use crate::features::{self, FeatureSet};
pub use normalise::Normaliser;
pub use sections::{
    FeaturesSection, InputSection, Kind, LimitsSection, Missing, ModelSection, NormaliseSection, OutputKind,
    OutputSection, Source, StateSection, Transform,
};

/// The manifest's own version.
pub const SCHEMA: u32 = 2;
/// Most rows a manifest may allow in one run.
pub const MAX_BATCH: u32 = 4096;
/// Longest deadline a manifest may name, milliseconds.
pub const MAX_DEADLINE_MS: u32 = 60_000;

/// A checked manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
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
    /// Prefix of the topics it answers; absent in a bundle that is no forecaster.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Seconds between a question's opening and its resolution that the model was made for; for people.
    #[n(5)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon_s: Option<u32>,
    /// Which engine runs it: `auto`, `ort`, `trees` or `rten`.
    #[n(6)]
    pub engine: String,
    /// The file.
    #[n(7)]
    pub model: ModelSection,
    /// What a row is made of.
    #[n(8)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeaturesSection>,
    /// What happens to a row first.
    #[n(9)]
    pub normalise: NormaliseSection,
    /// The graph's inputs; those that are not listed must have initializers.
    #[n(10)]
    pub inputs: Vec<InputSection>,
    /// The outputs that are read; the first is the answer.
    #[n(11)]
    pub outputs: Vec<OutputSection>,
    /// Outputs that become inputs of the next run.
    #[n(12)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<StateSection>,
    /// What it needs.
    #[n(13)]
    pub limits: LimitsSection,
}

impl Manifest {
    /// Parses and checks a manifest; every violation has its own [`Check`].
    pub fn parse(text: &str) -> Result<Self, ForecasterError> {
        let manifest: Self = toml::from_str(text).map_err(|e| checks::syntax(text, &e))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest as TOML; what [`Manifest::parse`] reads back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every field of a manifest has a TOML form")
    }

    /// The one byte form that the bundle id covers: comments, spacing and key order do not change it.
    pub fn canonical(&self) -> Vec<u8> {
        schemas::encode(self)
    }

    /// The feature set its rows come from; `None` when the caller gives the inputs whole.
    pub fn feature_set(&self) -> Option<&'static FeatureSet> {
        self.features.as_ref().and_then(|f| features::set(&f.set))
    }

    /// For each number the model sees, its place in the set's whole row; empty without features.
    pub fn columns(&self) -> Vec<usize> {
        let names = self.features.iter().flat_map(|f| &f.names);
        names.filter_map(|name| self.feature_set()?.position(name)).collect()
    }

    /// What happens to a row before the model sees it.
    pub fn normaliser(&self) -> Normaliser {
        Normaliser::of(self)
    }

    /// The answer: the first output.
    pub fn answer(&self) -> &OutputSection {
        self.outputs.first().expect("a checked manifest has an output")
    }

    /// Least and greatest legal answer.
    pub fn range(&self) -> [f64; 2] {
        self.answer().range.unwrap_or([f64::NEG_INFINITY, f64::INFINITY])
    }

    /// How rows of f32 go in and out; `None` when the model has no feature row, keeps state, or answers in another type.
    pub fn row_io(&self) -> Option<RowIo> {
        let is_row = |i: &&InputSection| i.source == Source::Features;
        let input = self.inputs.iter().find(is_row)?;
        let answer = self.answer();
        if !self.state.is_empty() || answer.dtype != Dtype::F32 || input.dtype != Dtype::F32 {
            return None;
        }
        let row_shape = checks::fixed(input.shape.get(1..)?)?;
        let answer_width = checks::fixed(answer.shape.get(1..)?)?.iter().product();
        let constants = self.inputs.iter().filter(|i| i.source == Source::Constant);
        let constants = constants.map(constant).collect::<Option<Vec<_>>>()?;
        Some(RowIo {
            input: input.name.clone(),
            row_shape,
            output: answer.name.clone(),
            answer_width,
            constants,
        })
    }
}

/// The tensor of a constant input; `None` when it has a free dimension, no value, or a number that is none of its type.
pub fn constant(input: &InputSection) -> Option<Tensor> {
    let value = input.value.as_ref()?;
    let whole = |low: f64, high: f64| value.iter().all(|x| x.fract() == 0.0 && (low..=high).contains(x));
    // Integers beyond 2^53 are not all numbers of TOML's floats.
    let exact = 9_007_199_254_740_992.0;
    let sound = match input.dtype {
        Dtype::F32 => value.iter().all(|x| (*x as f32).is_finite()),
        Dtype::F64 => value.iter().all(|x| x.is_finite()),
        Dtype::I32 => whole(f64::from(i32::MIN), f64::from(i32::MAX)),
        Dtype::I64 => whole(-exact, exact),
        Dtype::U8 => whole(0.0, 255.0),
        Dtype::Bool => whole(0.0, 1.0),
    };
    if !sound {
        return None;
    }
    let data = match input.dtype {
        Dtype::F32 => Data::F32(value.iter().map(|x| *x as f32).collect()),
        Dtype::F64 => Data::F64(value.clone()),
        Dtype::I32 => Data::I32(value.iter().map(|x| *x as i32).collect()),
        Dtype::I64 => Data::I64(value.iter().map(|x| *x as i64).collect()),
        Dtype::U8 => Data::U8(value.iter().map(|x| *x as u8).collect()),
        Dtype::Bool => Data::Bool(value.iter().map(|x| *x != 0.0).collect()),
    };
    Tensor::new(&input.name, checks::fixed(&input.shape)?, data)
}

fn need(ok: bool, check: Check, detail: impl FnOnce() -> String) -> Result<(), ForecasterError> {
    if ok { Ok(()) } else { Err(ForecasterError::check(check, detail())) }
}
