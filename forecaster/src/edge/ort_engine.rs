//! ONNX Runtime through `ort`: the library, its providers and the device policy; it never falls back to another device
//! silently.
//!
//! `ort` types are named in this file, in `ort_session`, `ort_rows`, `ort_cuda` and `raw_ort` alone, and in no public
//! signature: `ort` is still a release candidate that breaks with every version.
//!
//! The library is opened with `init_from` before anything else touches `ort`, because `ort` would otherwise look for
//! a library itself and panic when there is none. There is one environment per process and one session per model;
//! a session belongs to one thread (`Run` is not thread safe), computes on that thread and does not spin.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ort::ep::ExecutionProvider;
use ort::logging::LogLevel;
use ort::session::Session as Inner;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::ort_session::OrtSession;
use crate::engine::{Device, Engine, EngineKind, LoadOptions, Provider, ProviderReport, Session};
use crate::error::ForecasterError;

/// The loaded library; cheap to clone, the same one for the whole process.
#[derive(Clone, Debug)]
pub struct OrtEngine {
    environment: ort::environment::Environment,
    library: PathBuf,
}

/// Kept for the life of the process: `ort` itself holds its environment only weakly.
static ENGINE: Mutex<Option<OrtEngine>> = Mutex::new(None);
/// Whether the fallback of `auto` was logged.
static FALLBACK_LOGGED: AtomicBool = AtomicBool::new(false);

impl OrtEngine {
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

    /// A session under the device policy.
    fn session(&self, model: &[u8], options: &LoadOptions) -> Result<Loaded, ForecasterError> {
        let device = options.device;
        let on = |provider, whole| self.session_on(model, provider, whole, options);
        let report = |chosen, reason| ProviderReport { requested: device, chosen, reason };
        let refused =
            |e: &ForecasterError| ForecasterError::Device { device: device.name(), reason: bare(e) };
        match device {
            Device::Cpu => Ok(on(Provider::Cpu, false)?.reported(report(Provider::Cpu, None))),
            Device::CudaOrFail => match self.whole_on_cuda(model, options) {
                Ok(loaded) => Ok(loaded.reported(report(Provider::Cuda, None))),
                Err(e) => Err(refused(&e)),
            },
            Device::Cuda => match self.whole_on_cuda(model, options) {
                Ok(loaded) => Ok(loaded.reported(report(Provider::Cuda, None))),
                Err(whole) => {
                    let loaded = on(Provider::Cuda, false).map_err(|e| refused(&e))?;
                    let reason = format!("some operators run on the CPU: {}", bare(&whole));
                    tracing::warn!(device = device.name(), %reason, "model is not wholly on CUDA");
                    Ok(loaded.reported(report(Provider::Cuda, Some(reason))))
                }
            },
            Device::Auto => match self.whole_on_cuda(model, options) {
                Ok(loaded) => Ok(loaded.reported(report(Provider::Cuda, None))),
                Err(e) => {
                    let reason = bare(&e);
                    if !FALLBACK_LOGGED.swap(true, Ordering::Relaxed) {
                        tracing::warn!(device = device.name(), %reason, "CUDA is not used; models run on the CPU");
                    }
                    Ok(on(Provider::Cpu, false)?.reported(report(Provider::Cpu, Some(reason))))
                }
            },
        }
    }

    /// Every operator on CUDA: with CUDA graphs where the runtime can record the model, else without.
    fn whole_on_cuda(&self, model: &[u8], options: &LoadOptions) -> Result<Found, ForecasterError> {
        if options.rows.is_some() && options.profile.is_none() {
            match self.session_on(model, Provider::Cuda, true, options) {
                Ok(found) => return Ok(found),
                // What cannot be recorded (control flow, say) may still run; anything else fails again below.
                Err(error) => tracing::debug!(%error, "no CUDA graphs for this model"),
            }
        }
        let plain = LoadOptions { rows: None, ..options.clone() };
        self.session_on(model, Provider::Cuda, true, &plain)
    }

    /// A session on one provider; `whole` refuses a model of which a part would run elsewhere.
    fn session_on(
        &self,
        model: &[u8],
        provider: Provider,
        whole: bool,
        options: &LoadOptions,
    ) -> Result<Found, ForecasterError> {
        let builder =
            self.builder(whole, options).map_err(|e| ForecasterError::Session(e.message().to_owned()))?;
        let graphs = whole && provider == Provider::Cuda && options.rows.is_some();
        let mut builder = match provider {
            Provider::Cpu => builder,
            Provider::Cuda => with_cuda(builder, &self.library, graphs)?,
        };
        let inner = builder
            .commit_from_memory(model)
            .map_err(|e| ForecasterError::Session(e.message().to_owned()))?;
        Ok(Found { inner, graphs })
    }

    fn builder(&self, whole: bool, options: &LoadOptions) -> ort::Result<SessionBuilder> {
        let mut builder = Inner::builder(&self.environment)?
            .with_intra_threads(options.intra_threads.max(1))?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_deterministic_compute(true)?
            .with_config_entry("session.load_model_format", "ONNX")?;
        if whole {
            builder = builder.with_disable_cpu_fallback()?;
        }
        match &options.profile {
            Some(prefix) => Ok(builder.with_profiling(prefix)?),
            None => Ok(builder),
        }
    }

    /// The environment, for the benchmark that calls the C interface itself.
    pub(super) const fn environment(&self) -> &ort::environment::Environment {
        &self.environment
    }
}

/// A session, and whether it records CUDA graphs.
struct Found {
    inner: Inner,
    graphs: bool,
}

/// A session with what is to be said about it.
struct Loaded {
    found: Found,
    report: ProviderReport,
}

impl Found {
    const fn reported(self, report: ProviderReport) -> Loaded {
        Loaded { found: self, report }
    }
}

/// CUDA with an error instead of a silent fallback, and without TF32, so that scores can be reproduced.
#[cfg(feature = "cuda")]
fn with_cuda(
    builder: SessionBuilder,
    library: &Path,
    graphs: bool,
) -> Result<SessionBuilder, ForecasterError> {
    let fault = |e: &dyn std::fmt::Display| ForecasterError::Session(e.to_string());
    // What `scripts/fetch_ort.py --gpu` puts beside the library; without it the system's own loader finds them or not.
    let beside = library.parent().filter(|dir| dir.join("libcudart.so.13").is_file());
    if let Some(dir) = beside {
        ort::ep::cuda::preload_dylibs(Some(dir), Some(dir)).map_err(|e| fault(&e.message()))?;
    }
    let cuda = ort::ep::CUDA::default().with_tf32(false).with_cuda_graph(graphs);
    builder
        .with_execution_providers([cuda.build().error_on_failure()])
        .map_err(|e| ForecasterError::Session(e.message().to_owned()))
}

/// The CUDA provider is not part of this program.
#[cfg(not(feature = "cuda"))]
fn with_cuda(_: SessionBuilder, _: &Path, _: bool) -> Result<SessionBuilder, ForecasterError> {
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

impl Engine for OrtEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Ort
    }

    fn load(&self, model: &[u8], options: &LoadOptions) -> Result<Box<dyn Session>, ForecasterError> {
        let Loaded { found, report } = self.session(model, options)?;
        Ok(Box::new(OrtSession::new(found.inner, report, options, found.graphs)?))
    }
}
