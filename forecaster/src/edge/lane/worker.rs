//! The lane's own thread: takes a batch, gates its rows, runs the model, hands out answers; it never waits to fill a
//! batch, and no panic of a model ends it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use schemas::inference::Answer;
use schemas::{BundleId, InferenceRequest, InferenceResult};

use super::OnResult;
use super::counters::Tally;
use super::gate::{Outcome, all_finite, gate_answer, gate_output};
use super::inbox::{Inbox, Job, Next, Retired, Work};
use super::reply::{Cell, Predicted};
use super::source::{Rows, Source};
use crate::edge::calibrate::{self, Calibration, Plan, Plans};
use crate::edge::reload::{Prepared, text};
use crate::error::ForecasterError;

/// How long a model that cannot be loaded is left alone before the next try.
const DOWN: Duration = Duration::from_secs(1);
/// Runs over which a drift of the cost is judged.
const WINDOW: u32 = 64;
/// Observed over calibrated cost beyond which costs are measured again.
const DRIFT: f64 = 1.25;
/// Least time between two such measurements of one model.
const MEASURE_EVERY: Duration = Duration::from_secs(30);

/// One model on this lane.
struct Place {
    source: Arc<dyn Source>,
    bundle: BundleId,
    /// `None` after a panic when it could not be loaded again.
    model: Option<Box<dyn Rows>>,
    plan: Plan,
    drift: Drift,
    /// When it was found to be down, and why.
    down: Option<(Instant, String)>,
}

/// Least observed over calibrated cost in the window.
struct Drift {
    runs: u32,
    least: f64,
    measured: Instant,
}

/// What became of one job before its rows were run.
#[derive(Default)]
struct Fate {
    /// Why none of its rows is run.
    error: Option<ForecasterError>,
    /// Its rows in `outcomes`.
    first: usize,
}

/// The thread's own part. All buffers are reused.
pub(super) struct Worker {
    inbox: Arc<Inbox>,
    on_result: OnResult,
    places: Vec<Place>,
    how: Calibration,
    plans: Arc<Plans>,
    batch: Vec<Job>,
    fates: Vec<Fate>,
    outcomes: Vec<Outcome>,
    rows: Vec<f32>,
    answers: Vec<f32>,
    wakers: Vec<Waker>,
}

impl Worker {
    pub(super) fn new(
        inbox: Arc<Inbox>,
        models: Vec<(Arc<dyn Source>, Prepared)>,
        (how, plans): (Calibration, Arc<Plans>),
        on_result: OnResult,
    ) -> Self {
        let mut places = Vec::with_capacity(models.len());
        for (source, Prepared { bundle, model, plan }) in models {
            inbox.add(bundle, plan.clone());
            places.push(Place { source, bundle, model: Some(model), plan, drift: Drift::new(), down: None });
        }
        let (batch, fates, outcomes) = (Vec::new(), Vec::new(), Vec::new());
        let (rows, answers, wakers) = (Vec::new(), Vec::new(), Vec::new());
        Self { inbox, on_result, places, how, plans, batch, fates, outcomes, rows, answers, wakers }
    }

    /// Until the inbox is closed and empty.
    pub(super) fn serve(&mut self) {
        while self.turn() {}
    }

    /// One thing; `false` at the end.
    pub(super) fn turn(&mut self) -> bool {
        let mut batch = std::mem::take(&mut self.batch);
        let next = self.inbox.next(&mut batch);
        self.batch = batch;
        match next {
            Next::Batch(slot) => self.run_batch(slot),
            Next::Swap(slot) => self.swap(slot),
            Next::Measure(slot) => self.measure(slot),
            Next::Closed => return false,
        }
        true
    }

    fn run_batch(&mut self, slot: usize) {
        let now = Instant::now();
        let longest = self.batch.iter().map(|job| now.saturating_duration_since(job.at)).max();
        self.inbox.shared.waited(longest.unwrap_or_default());
        self.gather(slot, now);
        let failed = self.run(slot).err();
        self.hand_out(slot, failed.as_ref());
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// Copies the rows that may be run; what may not gets its fate.
    fn gather(&mut self, slot: usize, now: Instant) {
        let place = &mut self.places[slot];
        place.revive();
        let width = place.model.as_ref().map_or(0, |m| m.width());
        self.fates.clear();
        self.outcomes.clear();
        self.rows.clear();
        for job in &self.batch {
            let first = self.outcomes.len();
            let error = if job.deadline.is_some_and(|deadline| deadline < now) {
                Some(ForecasterError::DeadlinePassed)
            } else if let Some((_, why)) = &place.down {
                Some(ForecasterError::ModelDown(why.clone()))
            } else {
                match &job.work {
                    Work::Request(r) if r.row.len() != width => {
                        Some(ForecasterError::RowWidth { got: r.row.len(), want: width })
                    }
                    Work::Request(r) => admit(&r.row, width, &mut self.rows, &mut self.outcomes),
                    Work::Cell(cell) => match &cell.lock().rows {
                        rows if rows.len() == job.rows * width => {
                            admit(rows, width, &mut self.rows, &mut self.outcomes)
                        }
                        rows => {
                            Some(ForecasterError::RowWidth { got: rows.len() / job.rows.max(1), want: width })
                        }
                    },
                    Work::Swap(_) => None,
                }
            };
            self.fates.push(Fate { error, first });
        }
    }

    /// Runs the gathered rows, at most b* at a time.
    fn run(&mut self, slot: usize) -> Result<(), ForecasterError> {
        let place = &mut self.places[slot];
        self.answers.clear();
        let Some(model) = &mut place.model else { return Ok(()) };
        let width = model.width().max(1);
        for chunk in self.rows.chunks(place.plan.batch * width) {
            let n = chunk.len() / width;
            let started = Instant::now();
            let answers = &mut self.answers;
            let ran = catch_unwind(AssertUnwindSafe(|| model.predict_into(chunk, n, answers)));
            let took = started.elapsed();
            self.inbox.shared.run(n, took, !matches!(ran, Ok(Ok(()))));
            match ran {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(bundle = %place.bundle.short(), code = error.code(), %error, "a batch failed");
                    return Err(error);
                }
                Err(panic) => {
                    self.inbox.shared.panicked();
                    return Err(place.panicked(text(panic.as_ref())));
                }
            }
            if let Some(scale) = place.drift.observe(took, place.plan.cost_ns(n)) {
                self.inbox.drifted(slot, scale);
            }
        }
        let want = self.rows.len() / width * model.answer_width();
        if self.answers.len() == want {
            return Ok(());
        }
        Err(ForecasterError::Run(format!("{} numbers came out, expected {want}", self.answers.len())))
    }

    /// Gives every job its answer.
    fn hand_out(&mut self, slot: usize, failed: Option<&ForecasterError>) {
        let place = &self.places[slot];
        let (width, range) = place.model.as_ref().map_or((1, [0.0, 1.0]), |m| (m.answer_width(), m.range()));
        let mut sheet = Sheet { bundle: place.bundle, width, range, answers: &self.answers, at: 0 };
        let mut tally = Tally::default();
        for (job, fate) in std::iter::zip(self.batch.drain(..), &mut self.fates) {
            let outcomes = &mut self.outcomes[fate.first..];
            let error = fate.error.take().or_else(|| {
                // A row that the gate refused keeps its own reason when the run of the others failed.
                let mut ran = outcomes.iter().take(job.rows).any(|o| o.is_answer());
                ran &= failed.is_some();
                failed.filter(|_| ran).map(ForecasterError::relay)
            });
            if let Some(error) = &error {
                tally.error(error, job.rows as u64);
            }
            match job.work {
                Work::Request(request) => {
                    let answer = match &error {
                        Some(error) => error.answer(),
                        None => sheet.publish(outcomes[0], &mut tally),
                    };
                    let InferenceRequest { miner, question, .. } = request;
                    (self.on_result)(InferenceResult { miner, question, bundle: place.bundle, answer });
                }
                Work::Cell(cell) => {
                    let rows = if error.is_none() { &outcomes[..job.rows] } else { &[] };
                    self.wakers.extend(sheet.fill(&cell, rows, error, &mut tally));
                }
                Work::Swap(_) => {}
            }
        }
        self.inbox.shared.tally(&tally);
    }

    /// Puts a new version in place. What was queued before it is answered already.
    fn swap(&mut self, slot: usize) {
        let Some(Work::Swap(swap)) = self.batch.pop().map(|job| job.work) else { return };
        let place = &mut self.places[slot];
        let Prepared { bundle, model, plan } = swap.prepared;
        self.inbox.swapped(slot, bundle, plan.clone());
        let old =
            Place { source: swap.source, bundle, model: Some(model), plan, drift: Drift::new(), down: None };
        let old = std::mem::replace(place, old);
        // If whoever asked is gone, the old version is dropped here.
        drop(swap.done.send(Retired { bundle: old.bundle, model: old.model }));
    }

    /// Measures a model's costs again; gives up as soon as somebody waits.
    fn measure(&mut self, slot: usize) {
        let place = &mut self.places[slot];
        let Some(model) = &mut place.model else { return };
        let (golden, deadline) = (place.source.golden(), place.source.deadline());
        let mut go_on = || !self.inbox.is_busy();
        match calibrate::calibrate(model.as_mut(), golden, deadline, &self.how, &mut go_on) {
            Ok(Some(plan)) => {
                self.plans.put(place.bundle, &self.how, &plan);
                self.inbox.measured(slot, plan.clone());
                self.inbox.shared.measured_again();
                (place.plan, place.drift) = (plan, Drift::new());
            }
            Ok(None) => place.drift = Drift::new(),
            Err(error) => tracing::error!(code = error.code(), %error, "a model could not be measured"),
        }
    }
}

/// Gates the rows of one request; sound ones are copied. The outcome of a sound row is not known yet.
fn admit(
    rows: &[f32],
    width: usize,
    sound: &mut Vec<f32>,
    outcomes: &mut Vec<Outcome>,
) -> Option<ForecasterError> {
    for row in rows.chunks_exact(width.max(1)) {
        if all_finite(row) {
            sound.extend_from_slice(row);
            outcomes.push(Outcome::Answered);
        } else {
            outcomes.push(Outcome::InputNotFinite);
        }
    }
    None
}

/// The answers of one batch, read in the order of its rows.
struct Sheet<'a> {
    bundle: BundleId,
    width: usize,
    range: [f64; 2],
    answers: &'a [f32],
    at: usize,
}

impl Sheet<'_> {
    /// The numbers of the next row that was run.
    fn next(&mut self) -> &[f32] {
        let from = self.at;
        self.at += self.width;
        self.answers.get(from..self.at).unwrap_or_default()
    }

    /// The next row's answer as the miner's machine takes it.
    fn publish(&mut self, outcome: Outcome, tally: &mut Tally) -> Answer {
        if !outcome.is_answer() {
            tally.row(outcome);
            return Answer::Failed(outcome.code().to_owned());
        }
        let (width, range) = (self.width, self.range);
        let published = match self.next() {
            [p] => gate_output(*p, range),
            _ => Err(ForecasterError::NotAProbability { width }),
        };
        match published {
            Ok(p) => {
                tally.row(Outcome::Answered);
                Answer::Probability(p)
            }
            Err(error) => {
                match error {
                    ForecasterError::OutputNotFinite => tally.row(Outcome::OutputNotFinite),
                    ForecasterError::OutputRange => tally.row(Outcome::OutputRange),
                    _ => tally.error(&error, 1),
                }
                error.answer()
            }
        }
    }

    /// Fills a caller's cell.
    fn fill(
        &mut self,
        cell: &Cell,
        rows: &[Outcome],
        error: Option<ForecasterError>,
        tally: &mut Tally,
    ) -> Option<Waker> {
        let mut state = cell.lock();
        let Predicted { bundle, width, outcomes, values } = &mut state.answer;
        (*bundle, *width) = (self.bundle, self.width);
        outcomes.clear();
        values.clear();
        for outcome in rows {
            let mut outcome = *outcome;
            if outcome.is_answer() {
                let range = self.range;
                let answer = self.next();
                outcome = gate_answer(answer, range);
                if outcome.is_answer() {
                    values.extend_from_slice(answer);
                }
            }
            if !outcome.is_answer() {
                values.resize(values.len() + self.width, f32::NAN);
            }
            tally.row(outcome);
            outcomes.push(outcome);
        }
        state.error = error;
        cell.finish(state)
    }
}

impl Place {
    /// The model's code panicked: nothing is known about its state, so it is loaded anew.
    fn panicked(&mut self, why: String) -> ForecasterError {
        tracing::error!(bundle = %self.bundle.short(), why, "a model panicked; it is loaded anew");
        self.load(Some(&why));
        ForecasterError::ModelPanicked(why)
    }

    /// Tries a model that is down again, not too often.
    fn revive(&mut self) {
        if self.down.as_ref().is_some_and(|(since, _)| since.elapsed() >= DOWN) {
            self.load(None);
        }
    }

    fn load(&mut self, panic: Option<&str>) {
        let source = Arc::clone(&self.source);
        // What panicked once may panic while it is dropped.
        let old = self.model.take();
        drop(catch_unwind(AssertUnwindSafe(|| drop(old))));
        let loaded = catch_unwind(AssertUnwindSafe(|| source.load()))
            .unwrap_or_else(|p| Err(ForecasterError::ModelPanicked(text(p.as_ref()))));
        match loaded {
            Ok(model) => (self.model, self.down) = (Some(model), None),
            Err(error) => {
                tracing::error!(bundle = %self.bundle.short(), %error, panic, "a model is down");
                self.down = Some((Instant::now(), error.to_string()));
            }
        }
    }
}

impl Drift {
    fn new() -> Self {
        Self { runs: 0, least: f64::INFINITY, measured: Instant::now() }
    }

    /// Judges one run; thousandths of the calibrated cost when a whole window was beside it. The least of the window
    /// counts, as in the calibration, so that a disturbed run is no drift.
    fn observe(&mut self, took: Duration, expected_ns: u64) -> Option<u64> {
        self.least = self.least.min(took.as_nanos() as f64 / expected_ns.max(1) as f64);
        self.runs += 1;
        if self.runs < WINDOW {
            return None;
        }
        let least = std::mem::replace(&mut self.least, f64::INFINITY);
        self.runs = 0;
        let beside = !(DRIFT.recip()..=DRIFT).contains(&least);
        (beside && self.measured.elapsed() >= MEASURE_EVERY).then_some((least * 1000.0) as u64)
    }
}
