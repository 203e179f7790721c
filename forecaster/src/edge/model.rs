//! A bundle in an engine: picks the features, normalises, runs, transforms; it never publishes and never judges.

use ndarray::{ArrayView2, Axis};
use schemas::BundleId;

use super::tensors::Tensors;
use crate::answer::{self, Decoded};
use crate::bundle::Bundle;
use crate::engine::{EngineKind, ProviderReport, Session, Tensor};
use crate::error::ForecasterError;
use crate::manifest::{Normaliser, OutputSection, Transform};

/// A loaded bundle. It belongs to the thread that runs it.
pub struct Model {
    session: Box<dyn Session>,
    normaliser: Normaliser,
    /// For each number the model sees, its place in the set's row.
    columns: Vec<usize>,
    /// Width of the set's row.
    width: usize,
    answer_width: usize,
    transform: Transform,
    column: Option<usize>,
    max_batch: usize,
    range: [f64; 2],
    bundle: BundleId,
    /// The answer as the manifest describes it.
    output: OutputSection,
    /// What whole tensors need, and the state between their runs.
    tensors: Tensors,
    /// The normalised rows of one run; reused.
    scratch: Vec<f32>,
    /// The raw answers of one run; reused.
    answers: Vec<f32>,
}

impl Model {
    /// A bundle in a loaded session; runs one row, so that the first real row is not the slow one.
    pub(super) fn new(bundle: &Bundle, session: Box<dyn Session>) -> Result<Self, ForecasterError> {
        let manifest = bundle.manifest();
        let columns = manifest.columns();
        let max_batch = manifest.limits.max_batch as usize;
        let mut model = Self {
            session,
            normaliser: manifest.normaliser(),
            scratch: Vec::with_capacity(max_batch * columns.len()),
            columns,
            width: manifest.feature_set().map_or(0, crate::features::FeatureSet::width),
            answer_width: manifest.row_io().map_or(0, |io| io.answer_width),
            transform: manifest.answer().transform,
            column: manifest.answer().column.map(|c| c as usize),
            max_batch,
            range: manifest.range(),
            bundle: bundle.id(),
            output: manifest.answer().clone(),
            tensors: Tensors::new(manifest),
            answers: Vec::new(),
        };
        if model.takes_rows() {
            let mut warm_up = vec![0.0; model.width];
            if let Some(pair) = bundle.golden().pairs().first() {
                warm_up.clone_from(&pair.input);
            }
            let mut out = Vec::new();
            model.predict_into(&warm_up, 1, &mut out)?;
        }
        Ok(model)
    }

    /// Which bundle this is.
    pub const fn bundle(&self) -> BundleId {
        self.bundle
    }

    /// Which engine runs it.
    pub fn engine(&self) -> EngineKind {
        self.session.engine()
    }

    /// Where it runs.
    pub fn report(&self) -> &ProviderReport {
        self.session.report()
    }

    /// Whether it answers feature rows; otherwise only [`Session::run`] serves it.
    pub const fn takes_rows(&self) -> bool {
        self.answer_width > 0 && self.width > 0
    }

    /// Width of the row it is given: that of its feature set.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Most rows in one run; more are split.
    pub const fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// Least and greatest legal answer.
    pub const fn range(&self) -> [f64; 2] {
        self.range
    }

    /// The session itself, for whole tensors.
    pub fn session(&mut self) -> &mut dyn Session {
        self.session.as_mut()
    }

    /// Runs once with whole tensors and gives the manifest's outputs, in its order, checked and transformed.
    ///
    /// The caller gives the inputs of source `caller` and `features` (the model's own features, before normalisation);
    /// constants and state are filled in. The state stays from run to run until [`Model::reset`]; a state that is given
    /// takes the place of the one that was kept.
    pub fn run_tensors(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForecasterError> {
        let (all, free) = self.tensors.fill(inputs)?;
        let outputs = self.session.run(&all)?;
        self.tensors.finish(&outputs, free)
    }

    /// Forgets the state: the next run of whole tensors begins with zeros.
    pub fn reset(&mut self) {
        self.tensors.reset();
    }

    /// What one row's answer means, after transform and choice of column; an error if it is nothing of its kind.
    pub fn decode(&self, answer: &[f32]) -> Result<Decoded, ForecasterError> {
        answer::decode(&self.output, answer)
    }

    /// How many numbers one row's answer has after transform and choice of column.
    pub const fn answer_width(&self) -> usize {
        if self.column.is_some() { 1 } else { self.answer_width }
    }

    /// The answers to raw rows of shape `[n, width]`, in their order.
    ///
    /// Normalises and transforms as the manifest says. Does not look at the numbers: who asks with NaN must not use
    /// the answer, and who gets NaN must not publish it (the lane does both).
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn predict(&mut self, rows: ArrayView2<'_, f32>) -> Result<Vec<f32>, ForecasterError> {
        if rows.ncols() != self.width {
            return Err(ForecasterError::RowWidth { got: rows.ncols(), want: self.width });
        }
        let mut out = Vec::with_capacity(rows.nrows() * self.answer_width());
        let mut flat = Vec::new();
        for chunk in rows.axis_chunks_iter(Axis(0), self.max_batch) {
            flat.clear();
            flat.extend(chunk.iter());
            self.predict_into(&flat, chunk.nrows(), &mut out)?;
        }
        Ok(out)
    }

    /// Appends the answers of `n` raw rows, flat, at most `max_batch` in one run; allocates nothing after warm-up.
    pub fn predict_into(
        &mut self,
        rows: &[f32],
        n: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), ForecasterError> {
        if self.width == 0 || rows.len() != n * self.width {
            return Err(ForecasterError::RowWidth { got: rows.len() / n.max(1), want: self.width });
        }
        for chunk in rows.chunks(self.max_batch * self.width) {
            self.scratch.clear();
            for row in chunk.chunks_exact(self.width) {
                let start = self.scratch.len();
                self.scratch.extend(self.columns.iter().map(|c| row[*c]));
                self.normaliser.apply(&mut self.scratch[start..]);
            }
            self.answers.clear();
            self.session.run_rows(&self.scratch, chunk.len() / self.width, &mut self.answers)?;
            transform(self.transform, self.answer_width, &mut self.answers);
            match self.column {
                None => out.extend_from_slice(&self.answers),
                Some(column) => out.extend(self.answers.chunks_exact(self.answer_width).map(|a| a[column])),
            }
        }
        Ok(())
    }
}

/// Applies a transform to answers of `width` numbers each, in place.
pub fn transform(transform: Transform, width: usize, answers: &mut [f32]) {
    match transform {
        Transform::Identity => {}
        Transform::Sigmoid => answers.iter_mut().for_each(|x| *x = 1.0 / (1.0 + libm::expf(-*x))),
        Transform::Softmax => {
            for answer in answers.chunks_exact_mut(width.max(1)) {
                let most = answer.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                answer.iter_mut().for_each(|x| *x = libm::expf(*x - most));
                let sum: f32 = answer.iter().sum();
                answer.iter_mut().for_each(|x| *x /= sum);
            }
        }
    }
}
