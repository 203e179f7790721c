//! A model loaded into ONNX Runtime: whole tensors in and out; it never looks at the numbers.

use std::path::PathBuf;

use ort::session::{Session as Inner, SessionInputValue};
use ort::value::{Outlet, Tensor as Value, TensorElementType, ValueType};

use super::ort_cuda::{CudaRows, outside_graphs};
use super::ort_rows::CpuRows;
use crate::engine::{
    Data, Dim, Dtype, EngineKind, IoSpec, LoadOptions, Provider, ProviderReport, Session, Tensor, TensorSpec,
};
use crate::error::ForecasterError;

/// How rows go in and out.
enum Rows {
    /// Not at all: the model takes whole tensors only.
    None,
    /// Through memory of the CPU.
    Cpu(CpuRows),
    /// Through memory of the GPU, in batches of fixed sizes.
    Cuda(CudaRows),
}

/// A model in ONNX Runtime. It belongs to the thread that runs it.
pub(super) struct OrtSession {
    /// Before the session, because its tensors may live in the session's memory.
    rows: Rows,
    inner: Inner,
    io: IoSpec,
    report: ProviderReport,
    profiled: bool,
}

impl OrtSession {
    pub(super) fn new(
        mut inner: Inner,
        report: ProviderReport,
        options: &LoadOptions,
        graphs: bool,
    ) -> Result<Self, ForecasterError> {
        let io = IoSpec {
            inputs: inner.inputs().iter().map(spec).collect(),
            outputs: inner.outputs().iter().map(spec).collect(),
        };
        let rows = match (&options.rows, report.chosen) {
            (None, _) => Rows::None,
            (Some(rows), Provider::Cpu) => Rows::Cpu(CpuRows::new(rows.clone())),
            (Some(rows), Provider::Cuda) => {
                Rows::Cuda(CudaRows::new(&mut inner, rows, options.max_batch, graphs)?)
            }
        };
        Ok(Self { rows, inner, io, report, profiled: options.profile.is_some() })
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

/// An error of `ort` while running.
#[allow(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
pub(super) fn fault(e: ort::Error) -> ForecasterError {
    ForecasterError::Run(e.message().to_owned())
}

/// One of our tensors as ONNX Runtime's.
pub(super) fn value(tensor: &Tensor) -> Result<SessionInputValue<'static>, ForecasterError> {
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

/// One of ONNX Runtime's tensors as ours.
fn tensor(name: &str, answer: &ort::value::DynValue) -> Result<Option<Tensor>, ForecasterError> {
    let dtype = match answer.dtype() {
        ValueType::Tensor { ty, .. } => element(*ty),
        _ => None,
    };
    let Some(dtype) = dtype else {
        return Err(ForecasterError::Run(format!("output `{name}` is of a type no bundle may use")));
    };
    let (shape, data) = match dtype {
        Dtype::F32 => answer.try_extract_tensor::<f32>().map(|(s, v)| (s, Data::F32(v.to_vec()))),
        Dtype::F64 => answer.try_extract_tensor::<f64>().map(|(s, v)| (s, Data::F64(v.to_vec()))),
        Dtype::I32 => answer.try_extract_tensor::<i32>().map(|(s, v)| (s, Data::I32(v.to_vec()))),
        Dtype::I64 => answer.try_extract_tensor::<i64>().map(|(s, v)| (s, Data::I64(v.to_vec()))),
        Dtype::U8 => answer.try_extract_tensor::<u8>().map(|(s, v)| (s, Data::U8(v.to_vec()))),
        Dtype::Bool => answer.try_extract_tensor::<bool>().map(|(s, v)| (s, Data::Bool(v.to_vec()))),
    }
    .map_err(fault)?;
    Ok(Tensor::new(name, shape.iter().map(|d| *d as usize).collect(), data))
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
        match &mut self.rows {
            Rows::None => Err(ForecasterError::Run("loaded without a row input".to_owned())),
            Rows::Cpu(cpu) => cpu.run(&mut self.inner, rows, n, out),
            Rows::Cuda(cuda) => cuda.run(&mut self.inner, rows, n, out),
        }
    }

    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForecasterError> {
        let named = |t: &Tensor| Ok((t.name.clone(), value(t)?));
        let values = inputs.iter().map(named).collect::<Result<Vec<_>, ForecasterError>>()?;
        let options = match self.report.chosen {
            Provider::Cpu => None,
            Provider::Cuda => Some(outside_graphs()?),
        };
        let outputs = match &options {
            None => self.inner.run(values),
            Some(options) => self.inner.run_with_options(values, options),
        };
        let outputs = outputs.map_err(fault)?;
        let mut out = Vec::with_capacity(outputs.len());
        for (name, answer) in &outputs {
            out.extend(tensor(name, &answer)?);
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
