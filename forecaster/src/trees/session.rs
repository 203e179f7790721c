//! A compiled ensemble as a [`Session`]; after it was made, running rows allocates nothing.

use super::bits::State;
use super::columns::LANES;
use super::ensemble::{Aggregate, Weight};
use super::finish::{Finish, logistic, softmax};
use super::forest::{Forest, ROWS};
use super::graph::{Answer, Output, Plan, Step};
use super::malformed;
use crate::engine::{Data, Dtype, EngineKind, IoSpec, LoadOptions, ProviderReport, RowIo, Session, Tensor};
use crate::error::{Check, ForecasterError};

/// From this many rows on a block that is not full is cheaper than row by row.
const FEW: usize = 5;

/// A loaded ensemble.
pub(super) struct TreeSession {
    io: IoSpec,
    report: ProviderReport,
    input: String,
    dtype: Dtype,
    outputs: Vec<Output>,
    /// What [`Session::run_rows`] reads and writes: the row's width and the output's place.
    rows: Option<(usize, usize)>,
    walker: Walker,
}

impl TreeSession {
    pub(super) fn new(
        plan: Plan,
        io: IoSpec,
        report: ProviderReport,
        options: &LoadOptions,
    ) -> Result<Self, ForecasterError> {
        let walker = Walker::new(&plan)?;
        let rows = options.rows.as_ref().map(|rows| check_rows(&plan, &walker, rows)).transpose()?;
        let Plan { input, dtype, outputs, .. } = plan;
        Ok(Self { io, report, input, dtype, outputs, rows, walker })
    }
}

/// The rows that a bundle names must be rows this ensemble can read, and its answer one that it gives.
fn check_rows(plan: &Plan, walker: &Walker, rows: &RowIo) -> Result<(usize, usize), ForecasterError> {
    let no = |name: &str| ForecasterError::Session(format!("the model has no `{name}`"));
    if rows.input != plan.input {
        return Err(no(&rows.input));
    }
    if plan.dtype != Dtype::F32 || !rows.constants.is_empty() {
        return Err(ForecasterError::Session("the input takes no rows of f32".to_owned()));
    }
    let place = plan.outputs.iter().position(|o| o.name == rows.output).ok_or_else(|| no(&rows.output))?;
    let output = &plan.outputs[place];
    let width: usize = output.tail.iter().product();
    if output.answer != Answer::Scores || output.dtype != Some(Dtype::F32) || width != rows.answer_width {
        let detail = format!("`{}` does not give {} numbers a row", rows.output, rows.answer_width);
        return Err(ForecasterError::check(Check::Output, detail));
    }
    if rows.row_width() < walker.features {
        let detail =
            format!("the trees look at feature {} of rows of {}", walker.features - 1, rows.row_width());
        return Err(malformed(detail));
    }
    Ok((rows.row_width(), place))
}

impl Session for TreeSession {
    fn engine(&self) -> EngineKind {
        EngineKind::Trees
    }

    fn io(&self) -> &IoSpec {
        &self.io
    }

    fn report(&self) -> &ProviderReport {
        &self.report
    }

    fn run_rows(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        let Some((width, place)) = self.rows else {
            return Err(ForecasterError::Run("loaded without a row input".to_owned()));
        };
        if n.checked_mul(width) != Some(rows.len()) {
            return Err(ForecasterError::RowWidth { got: rows.len() / n.max(1), want: width });
        }
        let start = out.len();
        self.walker.run(rows, width, out, None);
        apply(&self.outputs[place], self.walker.targets, &mut out[start..]);
        Ok(())
    }

    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForecasterError> {
        let fault = |detail: String| ForecasterError::Run(detail);
        let [input] = inputs else { return Err(fault(format!("{} inputs, not one", inputs.len()))) };
        if input.name != self.input || input.data.dtype() != self.dtype {
            return Err(fault(format!("the input is `{}` of {}", self.input, self.dtype.name())));
        }
        let (n, width) = match input.shape.split_first() {
            Some((n, rest)) if !rest.is_empty() => (*n, rest.iter().product::<usize>()),
            _ => return Err(fault(format!("shape {:?} is not rows", input.shape))),
        };
        if width < self.walker.features || input.data.len() != n * width {
            return Err(ForecasterError::RowWidth { got: width, want: self.walker.features });
        }
        let rows = floats(&input.data);
        let (mut scores, mut labels) = (Vec::with_capacity(n * self.walker.targets), Vec::with_capacity(n));
        self.walker.run(&rows, width, &mut scores, Some(&mut labels));
        let targets = self.walker.targets;
        self.outputs.iter().map(|output| tensor(output, n, targets, &scores, &labels)).collect()
    }
}

/// One output's tensor.
fn tensor(
    output: &Output,
    n: usize,
    targets: usize,
    scores: &[f32],
    labels: &[i64],
) -> Result<Tensor, ForecasterError> {
    let wrong = || ForecasterError::Run(format!("output `{}` is of a type no bundle may use", output.name));
    let data = match (output.answer, output.dtype) {
        (_, None) => return Err(wrong()),
        (Answer::Scores, dtype) => {
            let mut scores = scores.to_vec();
            apply(output, targets, &mut scores);
            match dtype {
                Some(Dtype::F64) => Data::F64(scores.into_iter().map(f64::from).collect()),
                _ => Data::F32(scores),
            }
        }
        (Answer::Label, Some(Dtype::F32)) => Data::F32(labels.iter().map(|l| *l as f32).collect()),
        (Answer::Label, Some(Dtype::F64)) => Data::F64(labels.iter().map(|l| *l as f64).collect()),
        (Answer::Label, Some(_)) => Data::I64(labels.to_vec()),
    };
    let shape = std::iter::once(n).chain(output.tail.iter().copied()).collect();
    Tensor::new(&output.name, shape, data).ok_or_else(wrong)
}

/// What the graph does to scores behind the trees.
fn apply(output: &Output, targets: usize, scores: &mut [f32]) {
    for step in &output.steps {
        match step {
            Step::Mul(by) => scores.iter_mut().for_each(|x| *x *= by),
            Step::Div(by) => scores.iter_mut().for_each(|x| *x /= by),
            Step::Sigmoid => scores.iter_mut().for_each(|x| *x = logistic(*x)),
            Step::Softmax => scores.chunks_exact_mut(targets).for_each(softmax),
        }
    }
}

/// The input as `Cast` to f32 makes it.
fn floats(data: &Data) -> Vec<f32> {
    match data {
        Data::F32(v) => v.clone(),
        Data::F64(v) => v.iter().map(|x| *x as f32).collect(),
        Data::I32(v) => v.iter().map(|x| *x as f32).collect(),
        Data::I64(v) => v.iter().map(|x| *x as f32).collect(),
        Data::U8(v) => v.iter().map(|x| f32::from(*x)).collect(),
        Data::Bool(v) => v.iter().map(|x| f32::from(*x)).collect(),
    }
}

/// The forest, what follows it, and the room a run needs.
struct Walker {
    forest: Forest,
    finish: Finish,
    aggregate: Aggregate,
    targets: usize,
    /// How many features a row must have.
    features: usize,
    /// [`ROWS`] widened rows.
    wide: Vec<f32>,
    state: Option<State>,
    /// [`LANES`] rows of scores, and which of them got a weight.
    scores: Vec<f32>,
    seen: Vec<bool>,
}

impl Walker {
    fn new(plan: &Plan) -> Result<Self, ForecasterError> {
        let ensemble = &plan.ensemble;
        let forest = Forest::new(ensemble)?;
        let columns = forest.columns.len();
        Ok(Self {
            state: forest.bits.as_ref().map(super::bits::Bits::state),
            forest,
            finish: Finish::new(ensemble),
            aggregate: ensemble.aggregate,
            targets: ensemble.targets,
            // Column 0 looks at the first feature, if only to ignore it.
            features: ensemble.features().max(1),
            wide: vec![0.0; ROWS * columns],
            scores: vec![0.0; LANES * ensemble.targets],
            seen: vec![false; LANES * ensemble.targets],
        })
    }

    /// Appends the scores of all rows, and their labels where somebody wants them.
    fn run(&mut self, rows: &[f32], width: usize, out: &mut Vec<f32>, mut labels: Option<&mut Vec<i64>>) {
        let lanes = if self.state.is_some() { LANES } else { ROWS };
        for block in rows.chunks(lanes * width) {
            if block.len() < FEW * width {
                for row in block.chunks_exact(width) {
                    self.block(row, width, out, labels.as_deref_mut());
                }
            } else {
                self.block(block, width, out, labels.as_deref_mut());
            }
        }
    }

    /// At most a block of rows.
    fn block(&mut self, rows: &[f32], width: usize, out: &mut Vec<f32>, labels: Option<&mut Vec<i64>>) {
        if self.targets == 1 {
            match self.aggregate {
                Aggregate::Sum | Aggregate::Average => self.fold(rows, width, out, 0.0, |a, b| a + b),
                Aggregate::Min => {
                    self.fold(rows, width, out, f32::INFINITY, |a, b| if b < a { b } else { a });
                }
                Aggregate::Max => {
                    self.fold(rows, width, out, f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
                }
            }
            if let Some(labels) = labels {
                labels.resize(labels.len() + rows.len() / width, 0);
            }
        } else {
            self.many(rows, width, out, labels);
        }
    }

    /// One target.
    fn fold(
        &mut self,
        rows: &[f32],
        width: usize,
        out: &mut Vec<f32>,
        start: f32,
        fold: impl Fn(f32, f32) -> f32,
    ) {
        let n = rows.len() / width;
        if n == 1 {
            widen(&self.forest, rows, width, &mut self.wide);
            out.push(self.finish.one(self.forest.fold_row(&self.wide, start, fold)));
        } else if let (Some(bits), Some(state)) = (&self.forest.bits, &mut self.state) {
            bits.run(state, |column| lanes(&self.forest, column, rows, width));
            let scores = bits.fold(state, start, fold);
            out.extend(scores[..n].iter().map(|score| self.finish.one(*score)));
        } else {
            widen(&self.forest, rows, width, &mut self.wide);
            let scores = self.forest.fold_block(&self.wide, start, fold);
            out.extend(scores[..n].iter().map(|score| self.finish.one(*score)));
        }
    }

    /// Several targets or classes.
    fn many(&mut self, rows: &[f32], width: usize, out: &mut Vec<f32>, mut labels: Option<&mut Vec<i64>>) {
        let (n, targets) = (rows.len() / width, self.targets);
        self.scores.fill(0.0);
        self.seen.fill(false);
        let (aggregate, scores, seen) = (self.aggregate, &mut self.scores, &mut self.seen);
        let mut add = |row: usize, weight: Weight| {
            let at = row * targets + weight.target as usize;
            gather(aggregate, &mut scores[at], &mut seen[at], weight.value);
        };
        if n == 1 {
            widen(&self.forest, rows, width, &mut self.wide);
            self.forest.weights_row(&self.wide, |weight| add(0, weight));
        } else if let (Some(bits), Some(state)) = (&self.forest.bits, &mut self.state) {
            bits.run(state, |column| lanes(&self.forest, column, rows, width));
            bits.weights(state, add);
        } else {
            widen(&self.forest, rows, width, &mut self.wide);
            self.forest.weights_block(&self.wide, add);
        }
        let all = self.scores.chunks_exact_mut(targets).zip(self.seen.chunks_exact_mut(targets));
        for (scores, seen) in all.take(n) {
            let label = self.finish.many(scores, seen);
            out.extend_from_slice(scores);
            if let Some(labels) = labels.as_deref_mut() {
                labels.push(label);
            }
        }
    }
}

/// One more weight for a target.
#[inline]
fn gather(aggregate: Aggregate, score: &mut f32, seen: &mut bool, value: f32) {
    let take = match aggregate {
        Aggregate::Sum | Aggregate::Average => {
            *score += value;
            false
        }
        Aggregate::Min => !*seen || value < *score,
        Aggregate::Max => !*seen || value > *score,
    };
    if take {
        *score = value;
    }
    *seen = true;
}

/// Up to [`ROWS`] rows with all columns, one after the other.
fn widen(forest: &Forest, rows: &[f32], width: usize, wide: &mut [f32]) {
    let columns = forest.columns.len();
    for (row, wide) in rows.chunks_exact(width).zip(wide.chunks_exact_mut(columns)) {
        for (value, column) in wide.iter_mut().zip(&forest.columns) {
            *value = column.value(row);
        }
    }
}

/// One column of up to [`LANES`] rows.
#[inline]
fn lanes(forest: &Forest, column: usize, rows: &[f32], width: usize) -> [f32; LANES] {
    let (mut out, column) = ([0.0; LANES], forest.columns[column]);
    for (value, row) in out.iter_mut().zip(rows.chunks_exact(width)) {
        *value = column.value(row);
    }
    out
}
