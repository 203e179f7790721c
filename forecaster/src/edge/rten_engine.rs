//! rten, an engine in pure Rust: runs where there is no native library; it never opens a file and knows no GPU.
//!
//! One thread per run. rten computes with f32, i32, i8 and u8: inputs of f64 are rounded to f32, inputs of i64 must fit
//! i32 (another value is an error, not a wrap) and bool becomes 0 or 1. Outputs are turned back into the types the file
//! declares. It has no tree ensembles and none of `ai.onnx.ml`; such a model is refused when it is loaded.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rten::{Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueView};
use rten_tensor::{AsView as _, Layout as _};

use crate::bundle::{BundleLimits, ModelFacts};
use crate::engine::{
    Data, Dim, Dtype, Engine, EngineKind, IoSpec, LoadOptions, ProviderReport, RowIo, Session, Tensor,
    TensorSpec,
};
use crate::error::{Check, ForecasterError};

thread_local! {
    /// One helper thread for all models of a lane: rten runs operators on a pool, and its own has one thread per core.
    static POOL: OnceCell<Arc<ThreadPool>> = const { OnceCell::new() };
}

/// The engine; it has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct RtenEngine;

impl Engine for RtenEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Rten
    }

    fn load(&self, model: &[u8], options: &LoadOptions) -> Result<Box<dyn Session>, ForecasterError> {
        let report = ProviderReport::cpu_only(EngineKind::Rten, options.device)?;
        if options.profile.is_some() {
            return Err(unavailable("it has no profile"));
        }
        // Declared types are read from the file itself: rten shows i64 and bool as i32 and f64 as f32.
        let facts = ModelFacts::scan(model, &BundleLimits::default())?;
        if let Some((domain, name)) = facts.operators.iter().find(|(domain, _)| domain == "ai.onnx.ml") {
            return Err(unavailable(&format!("it has no operator {domain}::{name}")));
        }
        let inner = Model::load(model.to_vec()).map_err(|e| ForecasterError::Session(e.to_string()))?;
        let declared: BTreeMap<&str, Option<Dtype>> = facts
            .inputs
            .iter()
            .chain(&facts.outputs)
            .map(|d| (d.name.as_str(), Dtype::from_onnx(d.element)))
            .collect();
        let spec = |id: &NodeId| spec(&inner, *id, &declared);
        let io = IoSpec {
            inputs: inner.input_ids().iter().map(spec).collect(),
            outputs: inner.output_ids().iter().map(spec).collect(),
        };
        let rows = options.rows.as_ref().map(|rows| Rows::new(&inner, rows)).transpose()?;
        let pool =
            POOL.with(|pool| Arc::clone(pool.get_or_init(|| Arc::new(ThreadPool::with_num_threads(1)))));
        Ok(Box::new(RtenSession { inner, io, report, rows, pool }))
    }
}

/// Name, declared type and shape of an input or output.
fn spec(model: &Model, id: NodeId, declared: &BTreeMap<&str, Option<Dtype>>) -> TensorSpec {
    let info = model.node_info(id);
    let name = info.as_ref().and_then(rten::NodeInfo::name).unwrap_or_default().to_owned();
    let dim = |dim: Dimension| match dim {
        Dimension::Fixed(n) => Dim::Fixed(n as u32),
        Dimension::Symbolic(name) => Dim::Named(name),
    };
    let shape = info.and_then(|i| i.shape()).map(|shape| shape.into_iter().map(dim).collect());
    TensorSpec { dtype: declared.get(name.as_str()).copied().flatten(), name, shape }
}

fn unavailable(reason: &str) -> ForecasterError {
    ForecasterError::Engine { engine: EngineKind::Rten.name(), reason: reason.to_owned() }
}

/// Where rows go in and out.
struct Rows {
    input: NodeId,
    output: NodeId,
    constants: Vec<(NodeId, Value)>,
    io: RowIo,
    /// The shape of the rows of one run; reused.
    shape: Vec<usize>,
}

impl Rows {
    fn new(model: &Model, io: &RowIo) -> Result<Self, ForecasterError> {
        let id = |name: &str| {
            model.find_node(name).ok_or_else(|| ForecasterError::Session(format!("no `{name}` in the graph")))
        };
        let constant = |t: &Tensor| Ok((id(&t.name)?, value(t)?));
        Ok(Self {
            input: id(&io.input)?,
            output: id(&io.output)?,
            constants: io.constants.iter().map(constant).collect::<Result<_, ForecasterError>>()?,
            shape: std::iter::once(0).chain(io.row_shape.iter().copied()).collect(),
            io: io.clone(),
        })
    }
}

/// A model in rten.
struct RtenSession {
    inner: Model,
    io: IoSpec,
    report: ProviderReport,
    rows: Option<Rows>,
    pool: Arc<ThreadPool>,
}

impl RtenSession {
    fn options(&self) -> Option<RunOptions> {
        Some(RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool))))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn fault(e: impl std::fmt::Display) -> ForecasterError {
    ForecasterError::Run(e.to_string())
}

/// One of our tensors as rten's.
fn value(tensor: &Tensor) -> Result<Value, ForecasterError> {
    let shape = tensor.shape.as_slice();
    let narrow = |x: &i64| {
        i32::try_from(*x).map_err(|_| {
            ForecasterError::Run(format!(
                "`{}` holds {x}, and rten computes with 32-bit integers",
                tensor.name
            ))
        })
    };
    match &tensor.data {
        Data::F32(v) => Value::from_shape(shape, v.clone()).map_err(fault),
        Data::F64(v) => {
            Value::from_shape(shape, v.iter().map(|x| *x as f32).collect::<Vec<_>>()).map_err(fault)
        }
        Data::I32(v) => Value::from_shape(shape, v.clone()).map_err(fault),
        Data::I64(v) => {
            Value::from_shape(shape, v.iter().map(narrow).collect::<Result<Vec<_>, _>>()?).map_err(fault)
        }
        Data::U8(v) => Value::from_shape(shape, v.clone()).map_err(fault),
        Data::Bool(v) => {
            Value::from_shape(shape, v.iter().map(|x| i32::from(*x)).collect::<Vec<_>>()).map_err(fault)
        }
    }
}

/// One of rten's tensors as ours, of the declared type where there is one.
fn tensor(spec: &TensorSpec, value: &Value) -> Result<Tensor, ForecasterError> {
    let (shape, data) = match ValueView::from(value) {
        ValueView::FloatTensor(t) => (t.shape().to_vec(), floats(t.to_vec(), spec.dtype)),
        ValueView::Int32Tensor(t) => (t.shape().to_vec(), integers(t.to_vec(), spec.dtype)),
        ValueView::UInt8Tensor(t) => (t.shape().to_vec(), Data::U8(t.to_vec())),
        other => {
            let detail =
                format!("output `{}` is of the type {}, which no bundle may use", spec.name, other.dtype());
            return Err(ForecasterError::Run(detail));
        }
    };
    Tensor::new(&spec.name, shape, data)
        .ok_or_else(|| ForecasterError::Run("a tensor without a shape".to_owned()))
}

fn floats(v: Vec<f32>, declared: Option<Dtype>) -> Data {
    match declared {
        Some(Dtype::F64) => Data::F64(v.into_iter().map(f64::from).collect()),
        _ => Data::F32(v),
    }
}

fn integers(v: Vec<i32>, declared: Option<Dtype>) -> Data {
    match declared {
        Some(Dtype::I64) => Data::I64(v.into_iter().map(i64::from).collect()),
        Some(Dtype::Bool) => Data::Bool(v.into_iter().map(|x| x != 0).collect()),
        _ => Data::I32(v),
    }
}

impl Session for RtenSession {
    fn engine(&self) -> EngineKind {
        EngineKind::Rten
    }

    fn io(&self) -> &IoSpec {
        &self.io
    }

    fn report(&self) -> &ProviderReport {
        &self.report
    }

    fn run_rows(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        let options = self.options();
        let Some(io) = &mut self.rows else {
            return Err(ForecasterError::Run("loaded without a row input".to_owned()));
        };
        io.shape[0] = n;
        let input = ValueView::from_shape(&io.shape, rows).map_err(fault)?;
        let constants = io.constants.iter().map(|(id, value)| (*id, ValueOrView::from(value)));
        let inputs: Vec<(NodeId, ValueOrView<'_>)> =
            std::iter::once((io.input, ValueOrView::from(input))).chain(constants).collect();
        let [answer] = self.inner.run_n(inputs, [io.output], options).map_err(fault)?;
        let answer = answer.as_view();
        let ValueView::FloatTensor(answer) = answer else {
            return Err(ForecasterError::Run("the answer is not of f32".to_owned()));
        };
        let want = n * io.io.answer_width;
        if answer.shape().first() != Some(&n) || answer.len() != want {
            let detail = format!(
                "{n} rows gave shape {:?}, expected {n} times {} numbers",
                answer.shape(),
                io.io.answer_width
            );
            return Err(ForecasterError::check(Check::Shape, detail));
        }
        match answer.data() {
            Some(data) => out.extend_from_slice(data),
            None => out.extend(answer.iter()),
        }
        Ok(())
    }

    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForecasterError> {
        let named = |t: &Tensor| {
            let id = self.inner.find_node(&t.name);
            let id = id.ok_or_else(|| ForecasterError::Run(format!("no input `{}`", t.name)))?;
            Ok((id, ValueOrView::from(value(t)?)))
        };
        let inputs = inputs.iter().map(named).collect::<Result<Vec<_>, ForecasterError>>()?;
        let outputs = self.inner.output_ids().to_vec();
        let values = self.inner.run(inputs, &outputs, self.options()).map_err(fault)?;
        self.io.outputs.iter().zip(&values).map(|(spec, value)| tensor(spec, value)).collect()
    }
}
