//! The protocol's requests as rows of a lane, and the lane's answers as the protocol's tensors; it runs no model itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use schemas::inference::Answer;
use schemas::{BundleId, InferenceRequest, InferenceResult, MinerId, QuestionId};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::tensor::{Request, datatype};
use super::{MAX_ROWS, Refusal};
use crate::bundle::Bundle;
use crate::edge::Lane;
use crate::engine::Dtype;
use crate::manifest::OutputKind;

/// The name under which the protocol's rows go through a lane: no miner has this key.
const CALLER: MinerId = MinerId([0xff; 32]);

/// Rows that wait for their answers, shared with the lane's callback.
#[derive(Default)]
pub struct Counter {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<QuestionId, oneshot::Sender<Answer>>>,
}

impl Counter {
    /// Takes an answer that belongs here, or gives it back.
    pub fn take(&self, result: InferenceResult) -> Option<InferenceResult> {
        if result.miner != CALLER {
            return Some(result);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(back) = waiting.remove(&result.question) {
            // A caller that went away needs no answer.
            let _ = back.send(result.answer);
        }
        None
    }

    fn enter(&self) -> (QuestionId, oneshot::Receiver<Answer>) {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let (back, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(QuestionId(id), back);
        (QuestionId(id), answer)
    }

    fn leave(&self, id: &QuestionId) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// One model as the protocol shows it.
pub(super) struct Shown {
    name: String,
    version: String,
    bundle: BundleId,
    input: String,
    /// Shape of one row.
    row: Vec<usize>,
    /// Where each number of a row goes in the lane's row.
    columns: Vec<usize>,
    width: usize,
    output: String,
}

/// The models and the lane they run in.
pub struct Served {
    models: Vec<Shown>,
    lane: Arc<Lane>,
    counter: Arc<Counter>,
}

impl Served {
    /// Shows those of the lane's bundles that take a row of features and answer a probability.
    pub fn new(bundles: &[Arc<Bundle>], lane: Arc<Lane>, counter: Arc<Counter>) -> Self {
        Self { models: bundles.iter().filter_map(|b| Shown::of(b)).collect(), lane, counter }
    }

    /// How many models are shown.
    pub fn count(&self) -> usize {
        self.models.len()
    }

    pub(super) fn find(&self, name: &str, version: Option<&str>) -> Result<&Shown, Refusal> {
        let found = self.models.iter().find(|m| m.name == name && version.is_none_or(|v| v == m.version));
        found.ok_or_else(|| Refusal::with(StatusCode::NOT_FOUND, "no such model or version"))
    }

    /// Every row through the lane; the first that fails fails the request.
    pub(super) async fn run(&self, model: &Shown, rows: Vec<Vec<f32>>) -> Result<Vec<f64>, Refusal> {
        let mut open = Open { counter: &self.counter, rows: Vec::with_capacity(rows.len()) };
        for row in rows {
            let (question, answer) = self.counter.enter();
            open.rows.push((question, answer));
            let request = InferenceRequest { miner: CALLER, question, bundle: model.bundle, row };
            self.lane
                .submit(request)
                .map_err(|e| Refusal::with(StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?;
        }
        let mut out = Vec::with_capacity(open.rows.len());
        for (_, answer) in &mut open.rows {
            let gone = || Refusal::with(StatusCode::SERVICE_UNAVAILABLE, "the inference lane has stopped");
            match answer.await.map_err(|_| gone())? {
                Answer::Probability(p) => out.push(p.as_f64()),
                Answer::Failed(code) => return Err(Refusal::with(StatusCode::UNPROCESSABLE_ENTITY, code)),
            }
        }
        Ok(out)
    }
}

/// Rows of a request; whatever becomes of it, nothing of it goes on waiting.
struct Open<'c> {
    counter: &'c Counter,
    rows: Vec<(QuestionId, oneshot::Receiver<Answer>)>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        for (id, _) in &self.rows {
            self.counter.leave(id);
        }
    }
}

impl Shown {
    fn of(bundle: &Bundle) -> Option<Self> {
        let manifest = bundle.manifest();
        let (io, set) = (manifest.row_io()?, manifest.feature_set()?);
        (manifest.answer().kind == OutputKind::Probability).then(|| Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            bundle: bundle.id(),
            input: io.input,
            row: io.row_shape,
            columns: manifest.columns(),
            width: set.names.len(),
            output: io.output,
        })
    }

    pub(super) fn metadata(&self) -> Value {
        let mut shape = vec![-1_i64];
        shape.extend(self.row.iter().map(|d| *d as i64));
        let fp32 = datatype(Dtype::F32);
        json!({
            "name": self.name,
            "versions": [self.version],
            "platform": "onnx",
            "inputs": [{ "name": self.input, "datatype": fp32, "shape": shape }],
            "outputs": [{ "name": self.output, "datatype": fp32, "shape": [-1, 1] }],
        })
    }

    /// The request's rows as the lane wants them.
    pub(super) fn rows(&self, request: &Request) -> Result<Vec<Vec<f32>>, Refusal> {
        let [input] = request.inputs.as_slice() else {
            return Err(Refusal::bad(format!("the model takes one input, {:?}", self.input)));
        };
        if input.name != self.input {
            return Err(Refusal::bad(format!(
                "the model has no input {:?}, but {:?}",
                input.name, self.input
            )));
        }
        if let Some(wanted) = request.outputs.iter().find(|o| o.name != self.output) {
            return Err(Refusal::bad(format!(
                "the model has no output {:?}, but {:?}",
                wanted.name, self.output
            )));
        }
        if input.dtype()? != Dtype::F32 {
            return Err(Refusal::bad(format!("input {:?} takes FP32, not {}", input.name, input.datatype)));
        }
        let inner: Vec<i64> = self.row.iter().map(|d| *d as i64).collect();
        let Some((rows, rest)) = input.shape.split_first().filter(|(_, rest)| **rest == inner) else {
            return Err(Refusal::bad(format!("input {:?} has the shape [rows, {inner:?}]", input.name)));
        };
        if !usize::try_from(*rows).is_ok_and(|n| (1..=MAX_ROWS).contains(&n)) || rest.is_empty() {
            return Err(Refusal::bad(format!("a request has 1 to {MAX_ROWS} rows")));
        }
        let values = input.values()?;
        let whole = |row: &[f64]| {
            let mut out = vec![0.0_f32; self.width];
            for (column, value) in self.columns.iter().zip(row) {
                out[*column] = *value as f32;
            }
            out
        };
        Ok(values.chunks_exact(self.columns.len().max(1)).map(whole).collect())
    }

    pub(super) fn response(&self, request: &Request, answers: &[f64]) -> Value {
        let data: Vec<f32> = answers.iter().map(|p| *p as f32).collect();
        let output = json!({
            "name": self.output,
            "shape": [answers.len(), 1],
            "datatype": datatype(Dtype::F32),
            "data": data,
        });
        let mut body = json!({ "model_name": self.name, "model_version": self.version, "outputs": [output] });
        if let Some(id) = &request.id {
            body["id"] = json!(id);
        }
        body
    }
}
