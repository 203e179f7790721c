//! What a lane counts; it never waits for a reader and forgets nothing while it runs.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::gate::Outcome;
use crate::error::ForecasterError;

/// Buckets of the batch-size histogram: 1, 2, 3–4, 5–8 … 4,096 rows and more.
pub const SIZES: usize = 14;
/// Buckets of the time histograms: up to 1, 2, 4, 8 … microseconds; the last has no end.
pub const TIMES: usize = 24;

/// What a lane counted; read at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounters {
    /// Requests taken.
    pub accepted: u64,
    /// Requests refused because the queue was full.
    pub queue_full: u64,
    /// Requests refused because their deadline could not be met.
    pub deadline_unreachable: u64,
    /// Requests refused for another reason (unknown bundle, wrong width, lane stopped).
    pub refused: u64,
    /// Rows answered with numbers.
    pub answered: u64,
    /// Rows answered with an error code or an abstention.
    pub failed: u64,
    /// Rows without an answer by reason, in the order of [`Outcome::ABSTENTIONS`].
    pub abstained: [u64; Outcome::ABSTENTIONS.len()],
    /// Rows whose deadline passed while they waited.
    pub deadline_passed: u64,
    /// Runs of a model.
    pub batches: u64,
    /// Runs that failed.
    pub failed_runs: u64,
    /// Panics of a model's code, each contained.
    pub panics: u64,
    /// New versions put in place.
    pub reloads: u64,
    /// New versions refused; the old one went on serving.
    pub reloads_failed: u64,
    /// Times that costs were measured again because they had drifted.
    pub measured_again: u64,
    /// Runs by rows.
    pub sizes: [u64; SIZES],
    /// Runs by the longest wait among their requests.
    pub waits: [u64; TIMES],
    /// Runs by duration.
    pub runs: [u64; TIMES],
    /// Sum of the longest waits, nanoseconds.
    pub wait_ns: u64,
    /// Sum of the durations, nanoseconds.
    pub run_ns: u64,
}

/// The counters as they are counted.
#[derive(Default)]
pub(crate) struct Shared {
    accepted: AtomicU64,
    queue_full: AtomicU64,
    deadline_unreachable: AtomicU64,
    refused: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    abstained: [AtomicU64; Outcome::ABSTENTIONS.len()],
    deadline_passed: AtomicU64,
    batches: AtomicU64,
    failed_runs: AtomicU64,
    panics: AtomicU64,
    reloads: AtomicU64,
    reloads_failed: AtomicU64,
    measured_again: AtomicU64,
    sizes: [AtomicU64; SIZES],
    waits: [AtomicU64; TIMES],
    runs: [AtomicU64; TIMES],
    wait_ns: AtomicU64,
    run_ns: AtomicU64,
}

/// What became of the rows of one batch; added at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) abstained: [u64; Outcome::ABSTENTIONS.len()],
    pub(super) deadline_passed: u64,
}

fn add(counter: &AtomicU64, n: u64) {
    if n > 0 {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The bucket of a number whose bucket i ends at 2^i.
const fn bucket(value: u64, buckets: usize) -> usize {
    let bits = if value <= 1 { 0 } else { u64::BITS - (value - 1).leading_zeros() };
    if (bits as usize) < buckets { bits as usize } else { buckets - 1 }
}

impl Tally {
    /// One row.
    pub(super) fn row(&mut self, outcome: Outcome) {
        match Outcome::ABSTENTIONS.iter().position(|o| *o == outcome) {
            None => self.answered += 1,
            Some(reason) => {
                self.failed += 1;
                self.abstained[reason] += 1;
            }
        }
    }

    /// All rows of a request that failed as a whole.
    pub(super) fn error(&mut self, error: &ForecasterError, rows: u64) {
        self.failed += rows;
        if matches!(error, ForecasterError::DeadlinePassed) {
            self.deadline_passed += rows;
        }
    }
}

impl Shared {
    pub(super) fn accept(&self) {
        add(&self.accepted, 1);
    }

    pub(super) fn refuse(&self, error: &ForecasterError) {
        match error {
            ForecasterError::QueueFull => add(&self.queue_full, 1),
            ForecasterError::DeadlineUnreachable { .. } => add(&self.deadline_unreachable, 1),
            _ => add(&self.refused, 1),
        }
    }

    pub(super) fn refused(&self) {
        add(&self.refused, 1);
    }

    pub(super) fn run(&self, rows: usize, took: Duration, failed: bool) {
        add(&self.batches, 1);
        add(&self.failed_runs, u64::from(failed));
        add(&self.sizes[bucket(rows as u64, SIZES)], 1);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        add(&self.runs[bucket(nanos.div_ceil(1000), TIMES)], 1);
        add(&self.run_ns, nanos);
    }

    pub(super) fn waited(&self, longest: Duration) {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        add(&self.waits[bucket(nanos.div_ceil(1000), TIMES)], 1);
        add(&self.wait_ns, nanos);
    }

    pub(super) fn tally(&self, tally: &Tally) {
        add(&self.answered, tally.answered);
        add(&self.failed, tally.failed);
        add(&self.deadline_passed, tally.deadline_passed);
        for (counter, n) in self.abstained.iter().zip(tally.abstained) {
            add(counter, n);
        }
    }

    pub(super) fn panicked(&self) {
        add(&self.panics, 1);
    }

    pub(crate) fn reloaded(&self, done: bool) {
        add(if done { &self.reloads } else { &self.reloads_failed }, 1);
    }

    pub(super) fn measured_again(&self) {
        add(&self.measured_again, 1);
    }

    pub(super) fn read(&self) -> LaneCounters {
        LaneCounters {
            accepted: get(&self.accepted),
            queue_full: get(&self.queue_full),
            deadline_unreachable: get(&self.deadline_unreachable),
            refused: get(&self.refused),
            answered: get(&self.answered),
            failed: get(&self.failed),
            abstained: std::array::from_fn(|i| get(&self.abstained[i])),
            deadline_passed: get(&self.deadline_passed),
            batches: get(&self.batches),
            failed_runs: get(&self.failed_runs),
            panics: get(&self.panics),
            reloads: get(&self.reloads),
            reloads_failed: get(&self.reloads_failed),
            measured_again: get(&self.measured_again),
            sizes: std::array::from_fn(|i| get(&self.sizes[i])),
            waits: std::array::from_fn(|i| get(&self.waits[i])),
            runs: std::array::from_fn(|i| get(&self.runs[i])),
            wait_ns: get(&self.wait_ns),
            run_ns: get(&self.run_ns),
        }
    }
}

/// Reads the counters of lanes from anywhere, also after they ended.
#[derive(Clone, Default)]
pub struct LaneMeter(pub(super) Vec<Arc<Shared>>);

impl LaneMeter {
    /// What all of them counted so far.
    pub fn read(&self) -> LaneCounters {
        self.0.iter().fold(LaneCounters::default(), |sum, lane| sum.plus(&lane.read()))
    }

    /// See [`LaneCounters::prometheus`]; empty where no lanes are.
    pub fn prometheus(&self) -> String {
        if self.0.is_empty() { String::new() } else { self.read().prometheus() }
    }
}

impl LaneCounters {
    /// The sum of two lanes.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            queue_full: self.queue_full + other.queue_full,
            deadline_unreachable: self.deadline_unreachable + other.deadline_unreachable,
            refused: self.refused + other.refused,
            answered: self.answered + other.answered,
            failed: self.failed + other.failed,
            abstained: std::array::from_fn(|i| self.abstained[i] + other.abstained[i]),
            deadline_passed: self.deadline_passed + other.deadline_passed,
            batches: self.batches + other.batches,
            failed_runs: self.failed_runs + other.failed_runs,
            panics: self.panics + other.panics,
            reloads: self.reloads + other.reloads,
            reloads_failed: self.reloads_failed + other.reloads_failed,
            measured_again: self.measured_again + other.measured_again,
            sizes: std::array::from_fn(|i| self.sizes[i] + other.sizes[i]),
            waits: std::array::from_fn(|i| self.waits[i] + other.waits[i]),
            runs: std::array::from_fn(|i| self.runs[i] + other.runs[i]),
            wait_ns: self.wait_ns + other.wait_ns,
            run_ns: self.run_ns + other.run_ns,
        }
    }

    /// Everything as Prometheus text, every name beginning with `oraculo_forecaster_`.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        let plain = [
            ("requests_accepted", "Requests taken", self.accepted),
            ("rows_answered", "Rows answered with numbers", self.answered),
            ("rows_failed", "Rows without an answer", self.failed),
            ("runs_failed", "Runs of a model that failed", self.failed_runs),
            ("panics", "Panics of a model's code, each contained", self.panics),
            ("reloads", "New versions put in place", self.reloads),
            ("reloads_failed", "New versions refused", self.reloads_failed),
            ("measured_again", "Times that drifted costs were measured again", self.measured_again),
        ];
        for (name, help, n) in plain {
            head(&mut out, name, help, "counter");
            let _ = writeln!(out, "oraculo_forecaster_{name}_total {n}");
        }
        let refusals = [
            ("queue_full", self.queue_full),
            ("deadline_unreachable", self.deadline_unreachable),
            ("other", self.refused),
        ];
        labelled(&mut out, "requests_refused", "Requests refused, by reason", refusals);
        let known = std::iter::zip(Outcome::ABSTENTIONS.map(Outcome::code), self.abstained);
        let late = [("deadline_passed", self.deadline_passed)];
        labelled(&mut out, "rows_abstained", "Rows without an answer, by reason", known.chain(late));
        histogram(&mut out, "batch_rows", "Rows in one run", (&self.sizes, 1.0), self.rows_estimate());
        let seconds = |ns: u64| ns as f64 / 1e9;
        let (waits, runs) = ((&self.waits[..], 1e-6), (&self.runs[..], 1e-6));
        histogram(&mut out, "queue_wait_seconds", "Longest wait in a run", waits, seconds(self.wait_ns));
        histogram(&mut out, "run_seconds", "Duration of a run", runs, seconds(self.run_ns));
        out
    }

    /// Rows that were run: answered, or refused by the gate behind the model.
    fn rows_estimate(&self) -> f64 {
        (self.answered + self.abstained[2] + self.abstained[3]) as f64
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ =
        writeln!(out, "# HELP oraculo_forecaster_{name} {help}.\n# TYPE oraculo_forecaster_{name} {kind}");
}

fn labelled<'a>(out: &mut String, name: &str, help: &str, values: impl IntoIterator<Item = (&'a str, u64)>) {
    head(out, name, help, "counter");
    for (reason, n) in values {
        let _ = writeln!(out, "oraculo_forecaster_{name}_total{{reason=\"{reason}\"}} {n}");
    }
}

/// Cumulative buckets; bucket i ends at `unit` × 2^i.
fn histogram(out: &mut String, name: &str, help: &str, (buckets, unit): (&[u64], f64), sum: f64) {
    head(out, name, help, "histogram");
    let mut total = 0;
    for (i, n) in buckets.iter().enumerate() {
        total += n;
        let end = (1_u64 << i) as f64 * unit;
        if i + 1 < buckets.len() {
            let _ = writeln!(out, "oraculo_forecaster_{name}_bucket{{le=\"{end}\"}} {total}");
        }
    }
    let _ = writeln!(out, "oraculo_forecaster_{name}_bucket{{le=\"+Inf\"}} {total}");
    let _ = writeln!(out, "oraculo_forecaster_{name}_sum {sum}\noraculo_forecaster_{name}_count {total}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_end_at_powers_of_two() {
        let got = [0, 1, 2, 3, 4, 5, 8, 9, 4096, 4097, u64::MAX].map(|v| bucket(v, SIZES));
        assert_eq!(got, [0, 0, 1, 2, 2, 3, 3, 4, 12, 13, 13]);
    }

    #[test]
    fn prometheus_text() {
        let shared = Shared::default();
        shared.accept();
        shared.refuse(&ForecasterError::QueueFull);
        shared.run(3, Duration::from_micros(5), false);
        let mut tally = Tally::default();
        tally.row(Outcome::Answered);
        tally.row(Outcome::InputNotFinite);
        tally.error(&ForecasterError::DeadlinePassed, 2);
        shared.tally(&tally);
        let text = shared.read().plus(&LaneCounters::default()).prometheus();
        for line in [
            "oraculo_forecaster_requests_accepted_total 1",
            "oraculo_forecaster_requests_refused_total{reason=\"queue_full\"} 1",
            "oraculo_forecaster_rows_abstained_total{reason=\"input_not_finite\"} 1",
            "oraculo_forecaster_rows_abstained_total{reason=\"deadline_passed\"} 2",
            "oraculo_forecaster_rows_failed_total 3",
            "oraculo_forecaster_batch_rows_bucket{le=\"2\"} 0",
            "oraculo_forecaster_batch_rows_bucket{le=\"4\"} 1",
            "oraculo_forecaster_run_seconds_sum 0.000005",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
