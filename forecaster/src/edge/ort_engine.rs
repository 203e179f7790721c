//! ONNX Runtime through `ort`: the only file that names an `ort` type; it never falls back to another device silently.
//!
//! The library is opened with `init_from` before anything else touches `ort`, because `ort` would otherwise look for
//! a library itself and panic when there is none. There is one environment per process and one session per model;
//! a session belongs to one thread (`Run` is not thread safe), computes on that thread and does not spin.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ort::ep::ExecutionProvider;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session as Inner, SessionInputValue};
use ort::value::{Outlet, Tensor as Value, TensorElementType, TensorRef, ValueType};

use crate::engine::{
    Data, Device, Dim, Dtype, Engine, EngineKind, IoSpec, LoadOptions, Provider, ProviderReport, RowIo,
    Session, Tensor, TensorSpec,
};
use crate::error::{Check, ForecasterError};

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
    fn session(
        &self,
        model: &[u8],
        options: &LoadOptions,
    ) -> Result<(Inner, ProviderReport), ForecasterError> {
        let device = options.device;
        let on = |provider, whole| self.session_on(model, provider, whole, options);
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
        options: &LoadOptions,
    ) -> Result<Inner, ForecasterError> {
        let builder =
            self.builder(whole, options).map_err(|e| ForecasterError::Session(e.message().to_owned()))?;
        let mut builder = match provider {
            Provider::Cpu => builder,
            Provider::Cuda => with_cuda(builder)?,
        };
        builder.commit_from_memory(model).map_err(|e| ForecasterError::Session(e.message().to_owned()))
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

impl Engine for OrtEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Ort
    }

    fn load(&self, model: &[u8], options: &LoadOptions) -> Result<Box<dyn Session>, ForecasterError> {
        let (inner, report) = self.session(model, options)?;
        let io = IoSpec {
            inputs: inner.inputs().iter().map(spec).collect(),
            outputs: inner.outputs().iter().map(spec).collect(),
        };
        let profiled = options.profile.is_some();
        Ok(Box::new(OrtSession { inner, io, report, rows: options.rows.clone(), profiled }))
    }
}

/// Name, type and shape of an input or output as ONNX Runtime sees them.
fn spec(outlet: &Outlet) -> TensorSpec {
    let (dtype, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, dimension_symbols } => {
            let dim = |(size, symbol): (&i64, &String)| match u32::try_from(*size) {
                Ok(size) => Dim::Fixed(size),
                Err(_) => Dim::Named(symbol.clone()),
            };
            (element(*ty), Some(shape.iter().zip(dimension_symbols.iter()).map(dim).collect()))
        }
        _ => (None, None),
    };
    TensorSpec { name: outlet.name().to_owned(), dtype, shape }
}

const fn element(ty: TensorElementType) -> Option<Dtype> {
    match ty {
        TensorElementType::Float32 => Some(Dtype::F32),
        TensorElementType::Float64 => Some(Dtype::F64),
        TensorElementType::Int32 => Some(Dtype::I32),
        TensorElementType::Int64 => Some(Dtype::I64),
        TensorElementType::Uint8 => Some(Dtype::U8),
        TensorElementType::Bool => Some(Dtype::Bool),
        _ => None,
    }
}

/// A model in ONNX Runtime. It belongs to the thread that runs it.
struct OrtSession {
    inner: Inner,
    io: IoSpec,
    report: ProviderReport,
    rows: Option<RowIo>,
    profiled: bool,
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn fault(e: ort::Error) -> ForecasterError {
    ForecasterError::Run(e.message().to_owned())
}

/// One of our tensors as ONNX Runtime's.
fn value(tensor: &Tensor) -> Result<SessionInputValue<'static>, ForecasterError> {
    let shape = tensor.shape.clone();
    Ok(match &tensor.data {
        Data::F32(v) => Value::from_array((shape, v.clone())).map_err(fault)?.into(),
        Data::F64(v) => Value::from_array((shape, v.clone())).map_err(fault)?.into(),
        Data::I32(v) => Value::from_array((shape, v.clone())).map_err(fault)?.into(),
        Data::I64(v) => Value::from_array((shape, v.clone())).map_err(fault)?.into(),
        Data::U8(v) => Value::from_array((shape, v.clone())).map_err(fault)?.into(),
        Data::Bool(v) => Value::from_array((shape, v.clone())).map_err(fault)?.into(),
    })
}

impl Session for OrtSession {
    fn engine(&self) -> EngineKind {
        EngineKind::Ort
    }

    fn io(&self) -> &IoSpec {
        &self.io
    }

    fn report(&self) -> &ProviderReport {
        &self.report
    }

    fn run_rows(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        let Some(io) = &self.rows else {
            return Err(ForecasterError::Run("loaded without a row input".to_owned()));
        };
        let shape: Vec<usize> = std::iter::once(n).chain(io.row_shape.iter().copied()).collect();
        let input = TensorRef::from_array_view((shape, rows)).map_err(fault)?;
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = vec![(&io.input, input.into())];
        for constant in &io.constants {
            inputs.push((&constant.name, value(constant)?));
        }
        let outputs = self.inner.run(inputs).map_err(fault)?;
        let answer = outputs
            .get(&io.output)
            .ok_or_else(|| ForecasterError::Run(format!("no output `{}`", io.output)))?;
        let (shape, answers) = answer.try_extract_tensor::<f32>().map_err(fault)?;
        if shape.first() != Some(&(n as i64)) || answers.len() != n * io.answer_width {
            let detail =
                format!("{n} rows gave shape {shape:?}, expected {n} times {} numbers", io.answer_width);
            return Err(ForecasterError::check(Check::Shape, detail));
        }
        out.extend_from_slice(answers);
        Ok(())
    }

    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForecasterError> {
        let named = |t: &Tensor| Ok((t.name.clone(), value(t)?));
        let values = inputs.iter().map(named).collect::<Result<Vec<_>, ForecasterError>>()?;
        let outputs = self.inner.run(values).map_err(fault)?;
        let mut out = Vec::with_capacity(outputs.len());
        for (name, answer) in &outputs {
            let dtype = match answer.dtype() {
                ValueType::Tensor { ty, .. } => element(*ty),
                _ => None,
            };
            let (shape, data) = match dtype {
                Some(Dtype::F32) => {
                    answer.try_extract_tensor::<f32>().map(|(s, v)| (s, Data::F32(v.to_vec())))
                }
                Some(Dtype::F64) => {
                    answer.try_extract_tensor::<f64>().map(|(s, v)| (s, Data::F64(v.to_vec())))
                }
                Some(Dtype::I32) => {
                    answer.try_extract_tensor::<i32>().map(|(s, v)| (s, Data::I32(v.to_vec())))
                }
                Some(Dtype::I64) => {
                    answer.try_extract_tensor::<i64>().map(|(s, v)| (s, Data::I64(v.to_vec())))
                }
                Some(Dtype::U8) => answer.try_extract_tensor::<u8>().map(|(s, v)| (s, Data::U8(v.to_vec()))),
                Some(Dtype::Bool) => {
                    answer.try_extract_tensor::<bool>().map(|(s, v)| (s, Data::Bool(v.to_vec())))
                }
                None => {
                    return Err(ForecasterError::Run(format!(
                        "output `{name}` is of a type no bundle may use"
                    )));
                }
            }
            .map_err(fault)?;
            let shape = shape.iter().map(|d| *d as usize).collect();
            out.extend(Tensor::new(name, shape, data));
        }
        Ok(out)
    }

    fn end_profile(&mut self) -> Option<PathBuf> {
        if !std::mem::take(&mut self.profiled) {
            return None;
        }
        self.inner.end_profiling().ok().map(PathBuf::from)
    }
}
