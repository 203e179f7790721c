//! All markets at one instant: one buffer that feature code writes in place, one pass through the model; no queue, no
//! thread, no channel, and never an answer for a row that is not whole.

use std::sync::Arc;

use schemas::BundleId;

use super::calibrate::{Calibration, Plan, Plans};
use super::lane::gate::{Outcome, all_finite, gate_answer};
use super::lane::source::{Rows, Source};
use super::reload::{Prepared, prepare};
use crate::error::ForecasterError;

/// A model that answers all markets at once. It belongs to the thread that calls it.
pub struct Cadence {
    bundle: BundleId,
    model: Box<dyn Rows>,
    plan: Plan,
    /// `[markets, width]`: the rows as they were filled in.
    rows: Vec<f32>,
    /// Bit i is set when market i has no answer.
    missing: Vec<u64>,
    outcomes: Vec<Outcome>,
    /// `[markets, answer_width]`; NaN where there is no answer.
    values: Vec<f32>,
    /// Rows of one run that are whole, when some are not.
    packed: Vec<f32>,
    answers: Vec<f32>,
}

/// What one pass gave; borrowed until the next.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// Which version answered.
    pub bundle: BundleId,
    /// How many numbers one answer has.
    pub width: usize,
    /// What became of each market.
    pub outcomes: &'a [Outcome],
    /// `[markets, width]`; NaN where there is no answer.
    pub values: &'a [f32],
    /// Bit i % 64 of word i / 64 is set when market i has no answer.
    pub missing: &'a [u64],
}

impl Sweep<'_> {
    /// The answer of one market, or why there is none.
    pub fn market(&self, index: usize) -> Result<&[f32], Outcome> {
        match self.outcomes.get(index) {
            Some(Outcome::Answered) => Ok(&self.values[index * self.width..(index + 1) * self.width]),
            Some(abstained) => Err(*abstained),
            None => Err(Outcome::NoRow),
        }
    }

    /// How many markets have no answer.
    pub fn abstentions(&self) -> usize {
        self.missing.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl Cadence {
    /// Makes a model ready on the calling thread: loads, measures, warms up, runs its golden rows.
    pub fn start(
        source: &Arc<dyn Source>,
        how: &Calibration,
        plans: &Plans,
    ) -> Result<Self, ForecasterError> {
        Ok(Self::of(prepare(source.as_ref(), how, plans)?))
    }

    /// Runs a version that is ready.
    pub fn of(prepared: Prepared) -> Self {
        let Prepared { bundle, model, plan } = prepared;
        let (rows, packed, answers, values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { bundle, model, plan, rows, missing: Vec::new(), outcomes: Vec::new(), values, packed, answers }
    }

    /// Puts another version in place between two passes; the old one comes back.
    pub fn swap(&mut self, prepared: Prepared) -> Prepared {
        let bundle = std::mem::replace(&mut self.bundle, prepared.bundle);
        let plan = std::mem::replace(&mut self.plan, prepared.plan);
        Prepared { bundle, model: std::mem::replace(&mut self.model, prepared.model), plan }
    }

    /// How many numbers one row has.
    pub fn width(&self) -> usize {
        self.model.width()
    }

    /// Batch size and costs.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The rows of the last pass, `[markets, width]`, as they were filled in; the row of a market without one is of
    /// no meaning.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Answers all markets. `fill` writes the row of market i into the buffer, or says that there is none; it is called
    /// once a market, in order. A row with a number that is not finite is not given to the model. Allocates nothing
    /// once there have been so many markets.
    ///
    /// Filling and running take turns, a batch at a time, so that rows are still in the cache when the model reads them.
    pub fn predict<E>(
        &mut self,
        markets: usize,
        mut fill: impl FnMut(usize, &mut [f32]) -> Result<(), E>,
    ) -> Result<Sweep<'_>, ForecasterError> {
        let (width, answer_width) = (self.model.width(), self.model.answer_width());
        self.rows.resize(markets * width, 0.0);
        self.outcomes.clear();
        self.values.clear();
        self.missing.clear();
        self.missing.resize(markets.div_ceil(64), 0);
        let mut first = 0;
        while first < markets {
            let last = (first + self.plan.batch).min(markets);
            for market in first..last {
                let row = &mut self.rows[market * width..(market + 1) * width];
                let outcome = match fill(market, row) {
                    Err(_) => Outcome::NoRow,
                    Ok(()) if all_finite(row) => Outcome::Answered,
                    Ok(()) => Outcome::InputNotFinite,
                };
                self.outcomes.push(outcome);
            }
            self.run(first, last, width)?;
            self.hand_out(first, last, answer_width);
            first = last;
        }
        Ok(Sweep {
            bundle: self.bundle,
            width: answer_width,
            outcomes: &self.outcomes,
            values: &self.values,
            missing: &self.missing,
        })
    }

    /// Runs the whole rows of one batch: in place if all are whole, else packed together.
    fn run(&mut self, first: usize, last: usize, width: usize) -> Result<(), ForecasterError> {
        self.answers.clear();
        let whole = self.outcomes[first..last].iter().filter(|o| o.is_answer()).count();
        if whole == 0 {
            return Ok(());
        }
        let rows = &self.rows[first * width..last * width];
        let rows = if whole == last - first {
            rows
        } else {
            self.packed.clear();
            let outcomes = &self.outcomes[first..last];
            for (row, _) in std::iter::zip(rows.chunks_exact(width), outcomes).filter(|(_, o)| o.is_answer())
            {
                self.packed.extend_from_slice(row);
            }
            &self.packed
        };
        self.model.predict_into(rows, whole, &mut self.answers)
    }

    fn hand_out(&mut self, first: usize, last: usize, width: usize) {
        let range = self.model.range();
        let mut at = 0;
        for market in first..last {
            let outcome = &mut self.outcomes[market];
            if outcome.is_answer() {
                let answer = self.answers.get(at..at + width).unwrap_or_default();
                at += width;
                *outcome =
                    if answer.is_empty() { Outcome::OutputNotFinite } else { gate_answer(answer, range) };
                if outcome.is_answer() {
                    self.values.extend_from_slice(answer);
                    continue;
                }
            }
            self.values.resize(self.values.len() + width, f32::NAN);
            self.missing[market / 64] |= 1 << (market % 64);
        }
    }
}
