//! Rows through ONNX Runtime on the CPU with tensors made beforehand; it never allocates for a batch size it has seen.
//!
//! For every batch size that is asked for, the input and output tensors are made once and kept: a run copies the rows
//! in, runs, and copies the answers out. The sizes that were used last are kept, up to [`KEEP_BYTES`] of tensors.
//!
//! What a model declares about the shape of its answers is not believed: the first run lets ONNX Runtime make the
//! output, and that shape is what later ones are made by. Whether the runtime really writes into an output that it
//! is given is tried once, too; a model where it does not (or whose answers have another shape every time) keeps the
//! slower way, in which the runtime makes the output anew in every run.

use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session as Inner, SessionInputValue};
use ort::value::Tensor as Value;

use super::ort_session::{fault, value};
use crate::engine::RowIo;
use crate::error::{Check, ForecasterError};

/// Most bytes of tensors that are kept for one model.
const KEEP_BYTES: usize = 16 << 20;
/// What an output is filled with to see whether a run writes into it; a NaN no model answers.
const POISON: f32 = f32::from_bits(0x7fc0_dead);

/// How the output of a run is made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Output {
    /// Not known: no run so far.
    Unknown,
    /// Beforehand, with these dimensions after the batch.
    Given(Vec<usize>),
    /// By ONNX Runtime, anew in every run.
    Fresh,
}

/// The tensors of one batch size.
struct Slot {
    n: usize,
    /// All inputs in the graph's order; the rows are at [`CpuRows::at`].
    inputs: Vec<SessionInputValue<'static>>,
    /// Holds the output, unless ONNX Runtime makes it.
    options: RunOptions<HasSelectedOutputs>,
    bytes: usize,
    last_used: u64,
}

/// Rows in and out of a session on the CPU.
pub(super) struct CpuRows {
    io: RowIo,
    /// Ascending by batch size.
    slots: Vec<Slot>,
    output: Output,
    /// Place of the row input among the graph's inputs.
    at: usize,
    runs: u64,
    bytes: usize,
}

impl CpuRows {
    pub(super) const fn new(io: RowIo) -> Self {
        Self { io, slots: Vec::new(), output: Output::Unknown, at: 0, runs: 0, bytes: 0 }
    }

    /// Appends the answers to `n` rows.
    pub(super) fn run(
        &mut self,
        inner: &mut Inner,
        rows: &[f32],
        n: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), ForecasterError> {
        if n == 0 || rows.len() != n * self.io.row_width() {
            return Err(ForecasterError::RowWidth { got: rows.len() / n.max(1), want: self.io.row_width() });
        }
        if self.output == Output::Unknown {
            self.output = self.learn(inner, rows, n)?;
        }
        let index = match self.slots.binary_search_by_key(&n, |s| s.n) {
            Ok(index) => index,
            Err(_) => self.make(inner, n)?,
        };
        self.runs += 1;
        let (width, want) = (self.io.answer_width, n * self.io.answer_width);
        let slot = &mut self.slots[index];
        slot.last_used = self.runs;
        fill(&mut slot.inputs[self.at], rows)?;
        match inner.run_with_options(slot.inputs.as_slice(), &slot.options) {
            Ok(outputs) => {
                let (shape, answers) = outputs[0].try_extract_tensor::<f32>().map_err(fault)?;
                if shape.first() != Some(&(n as i64)) || answers.len() != want {
                    return Err(shape_fault(n, shape, width));
                }
                out.extend_from_slice(answers);
                return Ok(());
            }
            Err(error) if self.output == Output::Fresh => return Err(fault(error)),
            Err(_) => {}
        }
        // The output that was given did not fit, or the run failed for another reason; this says which.
        let (shape, answers) = self.fresh(inner, rows, n)?;
        if shape.first() != Some(&n) || answers.len() != want {
            let shape: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
            return Err(shape_fault(n, &shape, width));
        }
        self.output = Output::Fresh;
        self.forget_all();
        out.extend_from_slice(&answers);
        Ok(())
    }

    /// Runs without a given output and learns the shape of the answers; then with one, to see whether it is used.
    fn learn(&mut self, inner: &mut Inner, rows: &[f32], n: usize) -> Result<Output, ForecasterError> {
        let find = |name: &str| inner.inputs().iter().position(|i| i.name() == name);
        self.at = find(&self.io.input)
            .ok_or_else(|| ForecasterError::Run(format!("no input `{}`", self.io.input)))?;
        let (shape, answers) = self.fresh(inner, rows, n)?;
        if shape.first() != Some(&n) || answers.len() != n * self.io.answer_width {
            let shape: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
            return Err(shape_fault(n, &shape, self.io.answer_width));
        }
        let given = Output::Given(shape.get(1..).unwrap_or_default().to_vec());
        let mut slot = self.slot(inner, n, &given)?;
        fill(&mut slot.inputs[self.at], rows)?;
        let used = match inner.run_with_options(slot.inputs.as_slice(), &slot.options) {
            Ok(outputs) => outputs[0].try_extract_tensor::<f32>().is_ok_and(|(_, got)| {
                got.iter().map(|x| x.to_bits()).eq(answers.iter().map(|x| x.to_bits()))
            }),
            Err(_) => false,
        };
        Ok(if used { given } else { Output::Fresh })
    }

    /// One run in which ONNX Runtime makes the output: its shape and its numbers.
    fn fresh(
        &self,
        inner: &mut Inner,
        rows: &[f32],
        n: usize,
    ) -> Result<(Vec<usize>, Vec<f32>), ForecasterError> {
        let mut slot = self.slot(inner, n, &Output::Fresh)?;
        fill(&mut slot.inputs[self.at], rows)?;
        let outputs = inner.run_with_options(slot.inputs.as_slice(), &slot.options).map_err(fault)?;
        let (shape, answers) = outputs[0].try_extract_tensor::<f32>().map_err(fault)?;
        Ok((shape.iter().map(|d| *d as usize).collect(), answers.to_vec()))
    }

    /// Makes the tensors of one batch size and keeps them; gives their place.
    fn make(&mut self, inner: &Inner, n: usize) -> Result<usize, ForecasterError> {
        let slot = self.slot(inner, n, &self.output)?;
        self.bytes += slot.bytes;
        while self.bytes > KEEP_BYTES && !self.slots.is_empty() {
            let oldest = (0..self.slots.len()).min_by_key(|i| self.slots[*i].last_used).unwrap_or(0);
            self.bytes -= self.slots.remove(oldest).bytes;
        }
        let index = self.slots.partition_point(|s| s.n < n);
        self.slots.insert(index, slot);
        Ok(index)
    }

    fn forget_all(&mut self) {
        self.slots.clear();
        self.bytes = 0;
    }

    /// The tensors of one batch size.
    fn slot(&self, inner: &Inner, n: usize, output: &Output) -> Result<Slot, ForecasterError> {
        let allocator = Allocator::default();
        let mut inputs = Vec::with_capacity(inner.inputs().len());
        for input in inner.inputs() {
            if input.name() == self.io.input {
                let shape: Vec<usize> = std::iter::once(n).chain(self.io.row_shape.iter().copied()).collect();
                inputs.push(Value::<f32>::new(&allocator, shape).map_err(fault)?.into());
            } else if let Some(constant) = self.io.constants.iter().find(|c| c.name == input.name()) {
                inputs.push(value(constant)?);
            } else {
                let detail = format!("nothing says what goes into input `{}`", input.name());
                return Err(ForecasterError::Run(detail));
            }
        }
        let mut selector = OutputSelector::no_default().with(&self.io.output);
        let mut bytes = 4 * n * self.io.row_width();
        if let Output::Given(tail) = output {
            let shape: Vec<usize> = std::iter::once(n).chain(tail.iter().copied()).collect();
            let mut given = Value::<f32>::new(&allocator, shape).map_err(fault)?;
            given.extract_tensor_mut().1.fill(POISON);
            selector = selector.preallocate(&self.io.output, given);
            bytes += 4 * n * self.io.answer_width;
        }
        let options = RunOptions::new().map_err(fault)?.with_outputs(selector);
        Ok(Slot { n, inputs, options, bytes, last_used: 0 })
    }
}

/// Copies rows into a tensor of theirs.
fn fill(input: &mut SessionInputValue<'static>, rows: &[f32]) -> Result<(), ForecasterError> {
    if let SessionInputValue::Owned(tensor) = input {
        let (_, data) = tensor.try_extract_tensor_mut::<f32>().map_err(fault)?;
        data.copy_from_slice(rows);
    }
    Ok(())
}

/// C09: what was answered is not what the manifest says.
pub(super) fn shape_fault(n: usize, shape: &[i64], width: usize) -> ForecasterError {
    let detail = format!("{n} rows gave shape {shape:?}, expected {n} times {width} numbers");
    ForecasterError::check(Check::Shape, detail)
}
