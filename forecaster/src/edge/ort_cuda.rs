//! Rows through ONNX Runtime on a CUDA device: batches of fixed sizes in fixed memory; it never runs a size of its own.
//!
//! A CUDA graph is a recording of kernel launches with their addresses: it stays valid only while shapes and addresses
//! stay the same. So there is one set of tensors per bucket of [`BUCKETS`], bound once: host memory that is locked for
//! transfers, and memory of the device for input and output. A batch is cut into the largest buckets and its rest is
//! padded with rows of zeros, whose answers are dropped. Every bucket runs twice when the model is loaded: kernels are
//! compiled and graphs recorded before the first question, not during it.

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions, Session as Inner};
use ort::value::{Tensor as Value, TensorValueType};

use super::ort_rows::shape_fault;
use super::ort_session::{fault, value};
use crate::engine::RowIo;
use crate::error::ForecasterError;

/// Batch sizes that are run on a GPU.
pub(crate) const BUCKETS: [usize; 4] = [1, 8, 64, 512];
/// Runs of every bucket when a model is loaded: one plain and, with graphs, one recorded.
const WARM_UP: usize = 2;

/// The memory of one batch size.
struct Bucket {
    n: usize,
    host_in: Value<f32>,
    device_in: Value<f32>,
    /// Bound; kept because a recorded graph writes to its address.
    _device_out: Value<f32>,
    host_out: Value<f32>,
    /// Keeps the bound constants, too.
    binding: IoBinding,
    options: RunOptions<NoSelectedOutputs>,
}

/// Rows in and out of a session on a CUDA device.
pub(super) struct CudaRows {
    row_width: usize,
    answer_width: usize,
    /// Ascending.
    buckets: Vec<Bucket>,
}

impl CudaRows {
    /// Makes and warms up every bucket that `max_batch` rows need.
    pub(super) fn new(
        inner: &mut Inner,
        io: &RowIo,
        max_batch: usize,
        graphs: bool,
    ) -> Result<Self, ForecasterError> {
        let tail = answer_shape(inner, io)?;
        let mut out = Self { row_width: io.row_width(), answer_width: io.answer_width, buckets: Vec::new() };
        for (index, n) in sizes(max_batch).enumerate() {
            let mut bucket = Bucket::new(inner, io, n, &tail, graphs.then_some(index + 1))?;
            for _ in 0..WARM_UP {
                bucket.run(inner)?;
            }
            out.buckets.push(bucket);
        }
        Ok(out)
    }

    /// Appends the answers to `n` rows.
    pub(super) fn run(
        &mut self,
        inner: &mut Inner,
        rows: &[f32],
        n: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), ForecasterError> {
        if n == 0 || rows.len() != n * self.row_width {
            return Err(ForecasterError::RowWidth { got: rows.len() / n.max(1), want: self.row_width });
        }
        let mut rest = rows;
        while !rest.is_empty() {
            let left = rest.len() / self.row_width;
            // The smallest bucket that takes all that is left, or else the largest.
            let fits = self.buckets.iter().position(|b| b.n >= left);
            let index = fits.unwrap_or(self.buckets.len().saturating_sub(1));
            let Some(bucket) = self.buckets.get_mut(index) else {
                return Err(ForecasterError::Run("no bucket".to_owned()));
            };
            let now = left.min(bucket.n);
            let (chunk, after) = rest.split_at(now * self.row_width);
            let input = bucket.host_in.extract_tensor_mut().1;
            input[..chunk.len()].copy_from_slice(chunk);
            input[chunk.len()..].fill(0.0);
            bucket.run(inner)?;
            out.extend_from_slice(&bucket.host_out.extract_tensor().1[..now * self.answer_width]);
            rest = after;
        }
        Ok(())
    }
}

/// Every bucket up to the first that takes `max_batch` rows.
fn sizes(max_batch: usize) -> impl Iterator<Item = usize> {
    let below = BUCKETS.iter().filter(|b| **b < max_batch).count();
    BUCKETS.into_iter().take(below + 1)
}

/// Dimensions of an answer after the batch, found by one run of two rows of zeros outside any graph.
fn answer_shape(inner: &mut Inner, io: &RowIo) -> Result<Vec<usize>, ForecasterError> {
    const ROWS: usize = 2;
    let shape: Vec<usize> = std::iter::once(ROWS).chain(io.row_shape.iter().copied()).collect();
    let zeros = Value::from_array((shape, vec![0.0_f32; ROWS * io.row_width()])).map_err(fault)?;
    let mut inputs = vec![(io.input.clone(), zeros.into())];
    for constant in &io.constants {
        inputs.push((constant.name.clone(), value(constant)?));
    }
    let options = outside_graphs()?;
    let outputs = inner.run_with_options(inputs, &options).map_err(fault)?;
    let answer = outputs.get(&io.output);
    let answer = answer.ok_or_else(|| ForecasterError::Run(format!("no output `{}`", io.output)))?;
    let (shape, answers) = answer.try_extract_tensor::<f32>().map_err(fault)?;
    if shape.first() != Some(&(ROWS as i64)) || answers.len() != ROWS * io.answer_width {
        return Err(shape_fault(ROWS, shape, io.answer_width));
    }
    Ok(shape.iter().skip(1).map(|d| *d as usize).collect())
}

/// Options of a run that is neither recorded into a CUDA graph nor played from one.
pub(super) fn outside_graphs() -> Result<RunOptions<NoSelectedOutputs>, ForecasterError> {
    let mut options = RunOptions::new().map_err(fault)?;
    options.set("gpu_graph_id", "-1").map_err(fault)?;
    Ok(options)
}

impl Bucket {
    /// Tensors for `n` rows, bound; `graph` is the number of the CUDA graph they belong to.
    fn new(
        inner: &Inner,
        io: &RowIo,
        n: usize,
        tail: &[usize],
        graph: Option<usize>,
    ) -> Result<Self, ForecasterError> {
        let memory = |device, kind| {
            let info = MemoryInfo::new(device, 0, AllocatorType::Device, kind).map_err(fault)?;
            Allocator::new(inner, info).map_err(fault)
        };
        let device = memory(AllocationDevice::CUDA, MemoryType::Default)?;
        let pinned = memory(AllocationDevice::CUDA_PINNED, MemoryType::CPUOutput)?;
        let shape = |rest: &[usize]| std::iter::once(n).chain(rest.iter().copied()).collect::<Vec<_>>();
        let tensor = |allocator, rest: &[usize]| Value::<f32>::new(allocator, shape(rest)).map_err(fault);
        let mut host_in = tensor(&pinned, &io.row_shape)?;
        host_in.extract_tensor_mut().1.fill(0.0);
        let device_in = tensor(&device, &io.row_shape)?;
        let mut device_out = tensor(&device, tail)?;
        let mut binding = inner.create_binding().map_err(fault)?;
        binding.bind_input(io.input.as_str(), &device_in).map_err(fault)?;
        for constant in &io.constants {
            let bound = value(constant)?;
            binding.bind_input(constant.name.as_str(), &*bound).map_err(fault)?;
        }
        binding.bind_output(io.output.as_str(), &mut device_out).map_err(fault)?;
        let mut options = RunOptions::new().map_err(fault)?;
        let graph = graph.map_or_else(|| "-1".to_owned(), |id| id.to_string());
        options.set("gpu_graph_id", graph).map_err(fault)?;
        let host_out = tensor(&pinned, tail)?;
        Ok(Self { n, host_in, device_in, _device_out: device_out, host_out, binding, options })
    }

    /// Host to device, run, device to host. Each copy waits for the device.
    fn run(&mut self, inner: &mut Inner) -> Result<(), ForecasterError> {
        self.host_in.copy_into(&mut self.device_in).map_err(fault)?;
        let outputs = inner.run_binding_with_options(&self.binding, &self.options).map_err(fault)?;
        // Through the value the run gave: it is the bound one, unless the runtime had to make another.
        let Some((_, answer)) = outputs.into_iter().next() else {
            return Err(ForecasterError::Run("a run gave no output".to_owned()));
        };
        let answer = answer.downcast::<TensorValueType<f32>>().map_err(fault)?;
        answer.copy_into(&mut self.host_out).map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn buckets_of_a_batch_size() {
        let check = |max: usize, want: &[usize]| assert_eq!(sizes(max).collect::<Vec<_>>(), want, "{max}");
        check(1, &[1]);
        check(2, &[1, 8]);
        check(8, &[1, 8]);
        check(64, &[1, 8, 64]);
        check(65, &[1, 8, 64, 512]);
        check(4096, &[1, 8, 64, 512]);
    }
}
