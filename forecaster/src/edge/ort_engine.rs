//! ONNX Runtime through `ort`: the only file that names an `ort` type; it never falls back to another device silently.
//!
//! The library is opened with `init_from` before anything else touches `ort`, because `ort` would otherwise look for
//! a library itself and panic when there is none. There is one environment per process and one session per model;
//! a session belongs to one thread (`Run` is not thread safe), computes on that thread and does not spin.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView2, Axis};
use ort::ep::ExecutionProvider;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorRef;
use schemas::BundleId;

use crate::bundle::Bundle;
use crate::error::{Check, ForecasterError};
use crate::features::WIDTH;
use crate::manifest::Normaliser;

/// Which device a model runs on, as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// ONNX Runtime's CPU provider.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderReport {
    /// The policy.
    pub requested: Device,
    /// Where the model runs.
    pub chosen: Provider,
    /// Why that is not, or not wholly, what was asked for.
    pub reason: Option<String>,
}

/// The loaded library; cheap to clone, the same one for the whole process.
#[derive(Clone, Debug)]
pub struct Engine {
    environment: ort::environment::Environment,
    library: PathBuf,
}

/// Kept for the life of the process: `ort` itself holds its environment only weakly.
static ENGINE: Mutex<Option<Engine>> = Mutex::new(None);
/// Whether the fallback of `auto` was logged.
static FALLBACK_LOGGED: AtomicBool = AtomicBool::new(false);

impl Engine {
    /// Opens the library, or gives the one that is open. A process has one library: asking for another is an error.
    pub fn open(library: &Path) -> Result<Self, ForecasterError> {
        let mut slot = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*slot {
            return if same_file(&engine.library, library) {
                Ok(engine.clone())
            } else {
                Err(ForecasterError::LibraryFixed {
                    loaded: engine.library.clone(),
                    asked: library.to_owned(),
                })
            };
        }
        let unusable = |reason: String| ForecasterError::LibraryUnusable { path: library.to_owned(), reason };
        // Absolute, because `ort` takes a relative path to be relative to the executable.
        let absolute = library.canonicalize().map_err(|e| unusable(e.to_string()))?;
        let builder = ort::init_from(&absolute).map_err(|e| unusable(e.to_string()))?;
        let environment = builder
            .with_name("oraculo")
            .with_telemetry(false)
            .build()
            .map_err(|e| unusable(e.message().to_owned()))?;
        environment.set_log_level(LogLevel::Warning);
        let engine = Self { environment, library: library.to_owned() };
        *slot = Some(engine.clone());
        Ok(engine)
    }

    /// The file the library was opened from.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The library's own description of its build.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    /// The library's version, as its build information or else its file name says it.
    pub fn version(&self) -> String {
        let branch = self.build_info().split("git-branch=rel-").nth(1);
        let from_info = branch.and_then(|rest| rest.split(',').next()).map(str::trim);
        let name = self.library.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let from_name =
            name.strip_prefix("libonnxruntime.").map(|n| n.replace("so.", "").replace(".dylib", ""));
        from_info.map(str::to_owned).or(from_name).unwrap_or_else(|| "unknown".to_owned())
    }

    /// The execution providers the library was built with. Whether one works here, only a session can tell.
    pub fn providers(&self) -> Vec<&'static str> {
        fn known<P: ExecutionProvider>(out: &mut Vec<&'static str>) {
            if matches!(P::is_available(), Ok(true)) {
                out.push(P::NAME);
            }
        }
        let mut out = Vec::new();
        known::<Named<0>>(&mut out);
        known::<Named<1>>(&mut out);
        known::<Named<2>>(&mut out);
        known::<Named<3>>(&mut out);
        out
    }

    /// Loads a model for the calling thread and runs one row, so that the first real row is not the slow one.
    pub fn load(&self, bundle: &Bundle, device: Device) -> Result<Model, ForecasterError> {
        self.load_model(bundle, device, None)
    }

    /// The same, and writes ONNX Runtime's profile to a file that starts with `prefix` (see [`Model::end_profile`]).
    pub fn load_profiled(
        &self,
        bundle: &Bundle,
        device: Device,
        prefix: &Path,
    ) -> Result<Model, ForecasterError> {
        self.load_model(bundle, device, Some(prefix))
    }

    fn load_model(
        &self,
        bundle: &Bundle,
        device: Device,
        profile: Option<&Path>,
    ) -> Result<Model, ForecasterError> {
        let (session, report) = self.session(bundle.model(), device, profile)?;
        let manifest = bundle.manifest();
        let mut model = Model {
            session,
            output: manifest.output.name.clone(),
            normaliser: manifest.normaliser(),
            max_batch: manifest.limits.max_batch as usize,
            range: manifest.output.range,
            bundle: bundle.id(),
            report,
            scratch: Vec::with_capacity(manifest.limits.max_batch as usize * WIDTH),
        };
        let warm_up = bundle.golden().pairs().first().map_or_else(|| vec![0.0; WIDTH], |p| p.input.clone());
        let row =
            ArrayView2::from_shape((1, WIDTH), &warm_up).map_err(|e| ForecasterError::Run(e.to_string()))?;
        model.predict(row)?;
        Ok(model)
    }

    /// A session under the device policy.
    fn session(
        &self,
        model: &[u8],
        device: Device,
        profile: Option<&Path>,
    ) -> Result<(Session, ProviderReport), ForecasterError> {
        let on = |provider, whole| self.session_on(model, provider, whole, profile);
        let report = |chosen, reason| ProviderReport { requested: device, chosen, reason };
        match device {
            Device::Cpu => Ok((on(Provider::Cpu, false)?, report(Provider::Cpu, None))),
            Device::CudaOrFail => match on(Provider::Cuda, true) {
                Ok(session) => Ok((session, report(Provider::Cuda, None))),
                Err(e) => Err(ForecasterError::Device { device: device.name(), reason: bare(&e) }),
            },
            Device::Cuda => match on(Provider::Cuda, true) {
                Ok(session) => Ok((session, report(Provider::Cuda, None))),
                Err(whole) => match on(Provider::Cuda, false) {
                    Ok(session) => {
                        let reason = format!("some operators run on the CPU: {}", bare(&whole));
                        tracing::warn!(device = device.name(), %reason, "model is not wholly on CUDA");
                        Ok((session, report(Provider::Cuda, Some(reason))))
                    }
                    Err(e) => Err(ForecasterError::Device { device: device.name(), reason: bare(&e) }),
                },
            },
            Device::Auto => match on(Provider::Cuda, true) {
                Ok(session) => Ok((session, report(Provider::Cuda, None))),
                Err(e) => {
                    let reason = bare(&e);
                    if !FALLBACK_LOGGED.swap(true, Ordering::Relaxed) {
                        tracing::warn!(device = device.name(), %reason, "CUDA is not used; models run on the CPU");
                    }
                    Ok((on(Provider::Cpu, false)?, report(Provider::Cpu, Some(reason))))
                }
            },
        }
    }

    /// A session on one provider; `whole` refuses a model of which a part would run elsewhere.
    fn session_on(
        &self,
        model: &[u8],
        provider: Provider,
        whole: bool,
        profile: Option<&Path>,
    ) -> Result<Session, ForecasterError> {
        let builder =
            self.builder(whole, profile).map_err(|e| ForecasterError::Session(e.message().to_owned()))?;
        let mut builder = match provider {
            Provider::Cpu => builder,
            Provider::Cuda => with_cuda(builder)?,
        };
        builder.commit_from_memory(model).map_err(|e| ForecasterError::Session(e.message().to_owned()))
    }

    fn builder(&self, whole: bool, profile: Option<&Path>) -> ort::Result<SessionBuilder> {
        let mut builder = Session::builder(&self.environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_deterministic_compute(true)?
            .with_config_entry("session.load_model_format", "ONNX")?;
        if whole {
            builder = builder.with_disable_cpu_fallback()?;
        }
        match profile {
            Some(prefix) => Ok(builder.with_profiling(prefix)?),
            None => Ok(builder),
        }
    }
}

/// CUDA with an error instead of a silent fallback, and without TF32, so that scores can be reproduced.
#[cfg(feature = "cuda")]
fn with_cuda(builder: SessionBuilder) -> Result<SessionBuilder, ForecasterError> {
    let cuda = ort::ep::CUDA::default().with_tf32(false).build().error_on_failure();
    builder.with_execution_providers([cuda]).map_err(|e| ForecasterError::Session(e.message().to_owned()))
}

/// The CUDA provider is not part of this program.
#[cfg(not(feature = "cuda"))]
fn with_cuda(_: SessionBuilder) -> Result<SessionBuilder, ForecasterError> {
    Err(ForecasterError::Session("this program was built without the Cargo feature `cuda`".to_owned()))
}

/// A provider by ONNX Runtime's name, only to ask whether the library has it.
struct Named<const N: usize>;

impl<const N: usize> ExecutionProvider for Named<N> {
    const NAME: &'static str = [
        "CPUExecutionProvider",
        "CUDAExecutionProvider",
        "TensorrtExecutionProvider",
        "CoreMLExecutionProvider",
    ][N];

    fn register(&self, _: &mut SessionBuilder) -> ort::Result<()> {
        Err(ort::Error::new("only asked for, never registered"))
    }
}

/// The reason without this crate's own prefix.
fn bare(error: &ForecasterError) -> String {
    match error {
        ForecasterError::Session(reason) => reason.clone(),
        other => other.to_string(),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// A loaded model. It belongs to the thread that runs it.
pub struct Model {
    session: Session,
    output: String,
    normaliser: Normaliser,
    max_batch: usize,
    range: [f64; 2],
    bundle: BundleId,
    report: ProviderReport,
    /// The normalised rows of one run; reused.
    scratch: Vec<f32>,
}

impl Model {
    /// Which bundle this is.
    pub const fn bundle(&self) -> BundleId {
        self.bundle
    }

    /// Where it runs.
    pub const fn report(&self) -> &ProviderReport {
        &self.report
    }

    /// Most rows in one run; more are split.
    pub const fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// Least and greatest legal answer.
    pub const fn range(&self) -> [f64; 2] {
        self.range
    }

    /// The answers to raw rows of shape `[n, 10]`, in their order, as the model gives them.
    ///
    /// Normalises as the manifest says. Does not look at the numbers: who asks with NaN must not use the answer,
    /// and who gets NaN must not publish it (the lane does both).
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn predict(&mut self, rows: ArrayView2<'_, f32>) -> Result<Vec<f32>, ForecasterError> {
        if rows.ncols() != WIDTH {
            return Err(ForecasterError::RowWidth { got: rows.ncols(), want: WIDTH });
        }
        let mut out = Vec::with_capacity(rows.nrows());
        for chunk in rows.axis_chunks_iter(Axis(0), self.max_batch) {
            self.scratch.clear();
            for row in chunk.rows() {
                let start = self.scratch.len();
                self.scratch.extend(row.iter());
                self.normaliser.apply(&mut self.scratch[start..]);
            }
            self.run(chunk.nrows(), &mut out)?;
        }
        Ok(out)
    }

    /// One run over the scratch rows.
    fn run(&mut self, rows: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        let fault = |e: ort::Error| ForecasterError::Run(e.message().to_owned());
        let input = TensorRef::from_array_view(([rows, WIDTH], self.scratch.as_slice())).map_err(fault)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(fault)?;
        let answer = outputs
            .get(&self.output)
            .ok_or_else(|| ForecasterError::Run(format!("no output `{}`", self.output)))?;
        let (shape, answers) = answer.try_extract_tensor::<f32>().map_err(fault)?;
        if **shape != [rows as i64, 1] {
            let detail = format!("{rows} rows gave shape {shape:?} instead of [{rows}, 1]");
            return Err(ForecasterError::check(Check::Shape, detail));
        }
        out.extend_from_slice(answers);
        Ok(())
    }

    /// Ends profiling and gives the profile's path; an error when the model was not loaded for profiling.
    pub fn end_profile(mut self) -> Result<PathBuf, ForecasterError> {
        self.session
            .end_profiling()
            .map(PathBuf::from)
            .map_err(|e| ForecasterError::Run(e.message().to_owned()))
    }
}
