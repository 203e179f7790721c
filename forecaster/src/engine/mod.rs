//! What every engine looks like from outside: load bytes, run rows; no engine's own type appears here.
//!
//! An [`Engine`] turns the bytes of an ONNX file into a [`Session`]; a session belongs to the thread that runs it. The
//! engines themselves: `edge::ort_engine` (ONNX Runtime), `trees` (tree ensembles, our own walker) and
//! `edge::rten_engine` (pure Rust). What a bundle adds (normalisation, output kinds, gates) is in `edge::model`.

pub mod tensor;

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use crate::error::ForecasterError;
pub use tensor::{Data, Dim, Dtype, IoSpec, Tensor, TensorSpec};

/// Which engine runs a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// ONNX Runtime.
    Ort,
    /// Our own walker of tree ensembles.
    Trees,
    /// rten, pure Rust.
    Rten,
}

impl EngineKind {
    /// All engines, in the order in which `auto` would take them.
    pub const ALL: [Self; 3] = [Self::Trees, Self::Ort, Self::Rten];

    /// The stable name, as in manifests and `--engine`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ort => "ort",
            Self::Trees => "trees",
            Self::Rten => "rten",
        }
    }
}

/// Which engine is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// `trees` for a tree ensemble, else `ort` if its library is there, else `rten` with a warning.
    #[default]
    Auto,
    /// This one or an error.
    Only(EngineKind),
}

impl EngineChoice {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Only(kind) => kind.name(),
        }
    }
}

impl FromStr for EngineChoice {
    type Err = ForecasterError;
    fn from_str(text: &str) -> Result<Self, ForecasterError> {
        let only = EngineKind::ALL.into_iter().find(|kind| kind.name() == text).map(Self::Only);
        only.or_else(|| (text == "auto").then_some(Self::Auto)).ok_or_else(|| ForecasterError::Engine {
            engine: "unknown",
            reason: format!("`{text}` is not one of auto, ort, trees, rten"),
        })
    }
}

/// Which device a model runs on, as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// CUDA if the whole model runs there, else the CPU, with the reason in the report and one WARN.
    Auto,
    /// CUDA; operators without a CUDA kernel may run on the CPU, which the report says.
    Cuda,
    /// CUDA for every operator, or an error.
    CudaOrFail,
}

impl Device {
    /// All policies.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Auto, Self::Cuda, Self::CudaOrFail];

    /// The stable name, as configured.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Auto => "auto",
            Self::Cuda => "cuda",
            Self::CudaOrFail => "cuda-or-fail",
        }
    }
}

impl FromStr for Device {
    type Err = ForecasterError;
    fn from_str(text: &str) -> Result<Self, ForecasterError> {
        Self::ALL.into_iter().find(|d| d.name() == text).ok_or_else(|| ForecasterError::Device {
            device: "unknown",
            reason: format!("`{text}` is not one of cpu, auto, cuda, cuda-or-fail"),
        })
    }
}

/// Where a model really runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The CPU.
    Cpu,
    /// ONNX Runtime's CUDA provider.
    Cuda,
}

impl Provider {
    /// ONNX Runtime's own name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda => "CUDAExecutionProvider",
        }
    }
}

/// What was asked for and what came of it; a fallback always has a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderReport {
    /// The policy.
    pub requested: Device,
    /// Where the model runs.
    pub chosen: Provider,
    /// Why that is not, or not wholly, what was asked for.
    pub reason: Option<String>,
}

impl ProviderReport {
    /// On the CPU, for an engine that knows nothing else. `cuda` and `cuda-or-fail` are refused with the reason.
    pub fn cpu_only(engine: EngineKind, requested: Device) -> Result<Self, ForecasterError> {
        let reason = format!("engine `{}` runs on the CPU only; use `--engine ort`", engine.name());
        match requested {
            Device::Cpu => Ok(Self { requested, chosen: Provider::Cpu, reason: None }),
            Device::Auto => Ok(Self { requested, chosen: Provider::Cpu, reason: Some(reason) }),
            Device::Cuda | Device::CudaOrFail => {
                Err(ForecasterError::Device { device: requested.name(), reason })
            }
        }
    }
}

/// The one input and output through which rows of f32 go, and what stays the same in every run.
#[derive(Clone, Debug, PartialEq)]
pub struct RowIo {
    /// Name of the input that takes the rows.
    pub input: String,
    /// Shape of one row, without the batch; its product is the row's width.
    pub row_shape: Vec<usize>,
    /// Name of the output that is read.
    pub output: String,
    /// How many numbers one row's answer has.
    pub answer_width: usize,
    /// The other inputs, the same in every run.
    pub constants: Vec<Tensor>,
}

impl RowIo {
    /// How many numbers one row has.
    pub fn row_width(&self) -> usize {
        self.row_shape.iter().product()
    }
}

/// How a model is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Where it runs.
    pub device: Device,
    /// Threads inside one run; 1 unless the model is large and has its lane to itself.
    pub intra_threads: usize,
    /// How rows go in and out; absent for models that only [`Session::run`] serves.
    pub rows: Option<RowIo>,
    /// Most rows in one run, for buffers made beforehand.
    pub max_batch: usize,
    /// Prefix of the profile file (`ort` only).
    pub profile: Option<PathBuf>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { device: Device::Cpu, intra_threads: 1, rows: None, max_batch: 1, profile: None }
    }
}

/// Loads models.
pub trait Engine: Send + Sync {
    /// Which engine this is.
    fn kind(&self) -> EngineKind;

    /// Loads the bytes of an ONNX file for the calling thread. Never opens a file the model names.
    fn load(&self, model: &[u8], options: &LoadOptions) -> Result<Box<dyn Session>, ForecasterError>;
}

/// A loaded model; one owner, one thread at a time.
pub trait Session: Send {
    /// Which engine runs it.
    fn engine(&self) -> EngineKind;

    /// Inputs and outputs as the file declares them.
    fn io(&self) -> &IoSpec;

    /// Where it runs.
    fn report(&self) -> &ProviderReport;

    /// Runs `n` rows (`rows.len() == n * row_width`, `1 ≤ n ≤ max_batch`) and appends `n * answer_width` numbers to `out`.
    ///
    /// Needs [`LoadOptions::rows`]. After warm-up it allocates nothing of its own. It does not look at the numbers: NaN
    /// in may give a plausible number out, so gates stand before and behind it.
    fn run_rows(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError>;

    /// Runs once with all inputs named and gives all outputs with their actual shapes.
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForecasterError>;

    /// Ends profiling and gives the profile's file; `None` when it was not loaded for profiling.
    fn end_profile(&mut self) -> Option<PathBuf> {
        None
    }
}
