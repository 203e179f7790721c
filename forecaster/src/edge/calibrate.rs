//! How many rows at a time a model should run: measured when it loads; it never guesses from the kind of model.
//!
//! Batching makes a small dense network nine times faster per row and a transformer slower, so cost(b) is measured for
//! b = 1, 2, 4 … with rows that rotate (one row repeated trains the branch predictor). The size taken is the
//! smallest whose cost per row is within [`NEAR`] of the best, with cost(b) ≤ deadline / 2; one row is always allowed.

#![allow(clippy::disallowed_methods, reason = "an edge: it measures time")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::BundleId;
use serde::{Deserialize, Serialize};

use super::lane::source::Rows;
use crate::bundle::golden::Pair;
use crate::error::ForecasterError;

/// Sizes whose cost per row differs by less than this factor are equal; the smaller is taken.
pub const NEAR: f64 = 1.05;
/// A size this much worse per row than the best, twice in a row, ends the search upwards.
const HOPELESS: f64 = 1.3;
/// Most measured rounds over all sizes.
const ROUNDS: u32 = 40;
/// Most plans kept.
const MAX_PLANS: usize = 1_024;
/// Largest cache file that is read, bytes.
const MAX_CACHE: u64 = 4 << 20;

/// How a model is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// Time spent on one model, about; what is slower is measured in fewer rounds, at least in two.
    pub budget: Duration,
    /// Most rows in one run, whatever the model allows; 1 turns batching off.
    pub max_batch: usize,
}

impl Default for Calibration {
    /// 60 ms a model, 4,096 rows.
    fn default() -> Self {
        Self { budget: Duration::from_millis(60), max_batch: 4096 }
    }
}

/// What a run of so many rows costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Rows.
    pub rows: usize,
    /// Least time that was seen, nanoseconds.
    pub nanos: u64,
}

/// The measured costs of a model and the batch size they lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Most rows in one run: b*.
    pub batch: usize,
    /// Ascending by rows; the first is one row.
    pub costs: Vec<Cost>,
}

impl Plan {
    /// The batch size for these costs, ascending by rows, under a deadline; `costs` has at least the cost of one row.
    pub fn choose(costs: Vec<Cost>, deadline: Duration) -> Self {
        let half = u64::try_from(deadline.as_nanos() / 2).unwrap_or(u64::MAX);
        let allowed = || costs.iter().filter(|c| c.rows == 1 || c.nanos <= half);
        let best = allowed().map(Cost::per_row).fold(f64::INFINITY, f64::min);
        let batch = allowed().find(|c| c.per_row() <= best * NEAR).map_or(1, |c| c.rows);
        Self { batch, costs }
    }

    /// Estimated time of one run of `n` rows, nanoseconds: on the line between the sizes that were measured.
    pub fn cost_ns(&self, n: usize) -> u64 {
        let at = self.costs.partition_point(|c| c.rows < n);
        match (at.checked_sub(1).and_then(|i| self.costs.get(i)), self.costs.get(at)) {
            (_, Some(right)) if right.rows == n => right.nanos,
            (Some(left), Some(right)) => {
                let part = (n - left.rows) as f64 / (right.rows - left.rows) as f64;
                left.nanos + ((right.nanos as f64 - left.nanos as f64) * part).max(0.0) as u64
            }
            (None, Some(right)) => right.nanos,
            (Some(last), None) => (last.nanos as f64 / last.rows as f64 * n as f64) as u64,
            (None, None) => 0,
        }
    }

    /// Estimated time to run `n` rows in batches of b*, nanoseconds.
    pub fn backlog_ns(&self, n: usize) -> u64 {
        let (full, rest) = (n / self.batch, n % self.batch);
        let rest = if rest == 0 { 0 } else { self.cost_ns(rest) };
        (full as u64).saturating_mul(self.cost_ns(self.batch)).saturating_add(rest)
    }

    /// The sizes to warm up: those measured up to b*.
    pub fn sizes(&self) -> impl Iterator<Item = usize> + '_ {
        self.costs.iter().map(|c| c.rows).filter(|rows| *rows <= self.batch)
    }
}

impl Cost {
    fn per_row(&self) -> f64 {
        self.nanos as f64 / self.rows as f64
    }
}

/// Rows to measure with: between the golden ones, or plausible small numbers; none twice in a row.
pub fn samples(golden: &[Pair], width: usize, count: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u32 << 24) as f32
    };
    let mut rows = Vec::with_capacity(count * width);
    for i in 0..count {
        if golden.is_empty() {
            rows.extend((0..width).map(|_| next() * 4.0 - 2.0));
            continue;
        }
        let t = next();
        let (a, b) = (&golden[i % golden.len()].input, &golden[(i * 7 + 3) % golden.len()].input);
        rows.extend(a.iter().zip(b).map(|(a, b)| a * t + b * (1.0 - t)));
    }
    rows
}

/// Measures a loaded model. `go_on` is asked between runs; `false` gives up with `None`.
pub fn calibrate(
    model: &mut dyn Rows,
    golden: &[Pair],
    deadline: Duration,
    how: &Calibration,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<Plan>, ForecasterError> {
    let cap = model.max_batch().min(how.max_batch).max(1);
    let count = (cap * 2).max(256);
    let mut bench = Bench { width: model.width(), at: 0, count, rows: Vec::new(), out: Vec::new() };
    bench.rows = samples(golden, bench.width, count);
    let started = Instant::now();
    let Some(mut costs) = bench.explore(model, cap, deadline, how.budget / 2, go_on)? else {
        return Ok(None);
    };
    // Rounds over all sizes in turn, so that a disturbance does not hit one size only; the least time counts.
    for round in 0..ROUNDS {
        if round > 1 && started.elapsed() > how.budget {
            break;
        }
        for cost in &mut costs {
            if !go_on() {
                return Ok(None);
            }
            cost.nanos = cost.nanos.min(bench.time(model, cost.rows)?);
        }
    }
    Ok(Some(Plan::choose(costs, deadline)))
}

/// Rotating rows and a buffer for answers nobody reads.
struct Bench {
    width: usize,
    at: usize,
    count: usize,
    rows: Vec<f32>,
    out: Vec<f32>,
}

impl Bench {
    /// The sizes worth measuring, each run once cold and once timed.
    fn explore(
        &mut self,
        model: &mut dyn Rows,
        cap: usize,
        deadline: Duration,
        budget: Duration,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<Cost>>, ForecasterError> {
        let started = Instant::now();
        let (mut costs, mut best, mut worse) = (Vec::<Cost>::new(), f64::INFINITY, 0);
        let powers = std::iter::successors(Some(1_usize), |b| b.checked_mul(2)).take_while(|b| *b < cap);
        for rows in powers.chain([cap]) {
            if !go_on() {
                return Ok(None);
            }
            self.time(model, rows)?;
            let cost = Cost { rows, nanos: self.time(model, rows)? };
            let too_long = Duration::from_nanos(cost.nanos) > deadline / 2;
            worse = if cost.per_row() > best * HOPELESS { worse + 1 } else { 0 };
            best = best.min(cost.per_row());
            costs.push(cost);
            if too_long || worse == 2 || (rows > 1 && started.elapsed() > budget) {
                break;
            }
        }
        Ok(Some(costs))
    }

    /// One run, nanoseconds.
    fn time(&mut self, model: &mut dyn Rows, n: usize) -> Result<u64, ForecasterError> {
        if self.at + n > self.count {
            self.at = 0;
        }
        let rows = &self.rows[self.at * self.width..(self.at + n) * self.width];
        self.at += n;
        self.out.clear();
        let started = Instant::now();
        model.predict_into(rows, n, &mut self.out)?;
        Ok(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1))
    }
}

/// Plans by bundle, so that a version that was measured is not measured again; in a file if one is named.
#[derive(Debug, Default)]
pub struct Plans {
    plans: Mutex<BTreeMap<String, Plan>>,
    file: Option<PathBuf>,
}

impl Plans {
    /// Plans that are forgotten with the process.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Plans kept in a JSON file. A file that is absent or damaged is an empty one: plans can be measured again.
    pub fn in_file(path: &Path) -> Self {
        let small = std::fs::metadata(path).is_ok_and(|m| m.len() <= MAX_CACHE);
        let text = if small { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let plans: BTreeMap<String, Plan> = serde_json::from_str(&text).unwrap_or_default();
        let sound = |plan: &Plan| plan.batch > 0 && plan.costs.first().is_some_and(|c| c.rows == 1);
        let plans = plans.into_iter().filter(|(_, plan)| sound(plan)).take(MAX_PLANS).collect();
        Self { plans: Mutex::new(plans), file: Some(path.to_owned()) }
    }

    /// The plan of a bundle that was measured under the same bound on the batch size.
    pub fn get(&self, bundle: BundleId, how: &Calibration) -> Option<Plan> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(&key(bundle, how)).cloned()
    }

    /// Remembers a plan. When there are too many, all are forgotten. A file that cannot be written is logged only.
    pub fn put(&self, bundle: BundleId, how: &Calibration, plan: &Plan) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        plans.insert(key(bundle, how), plan.clone());
        let Some(path) = &self.file else { return };
        let written = serde_json::to_vec(&*plans)
            .map_err(std::io::Error::other)
            .and_then(|bytes| super::store::replace(path, &bytes));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "calibrated batch sizes were not kept");
        }
    }
}

fn key(bundle: BundleId, how: &Calibration) -> String {
    format!("{bundle}/{}", how.max_batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(list: &[(usize, u64)]) -> Vec<Cost> {
        list.iter().map(|(rows, nanos)| Cost { rows: *rows, nanos: *nanos }).collect()
    }

    #[test]
    fn the_smallest_of_near_equals_within_half_the_deadline() {
        let check = |list: &[(usize, u64)], deadline_us: u64, want: usize| {
            let plan = Plan::choose(costs(list), Duration::from_micros(deadline_us));
            assert_eq!(plan.batch, want, "{list:?}");
        };
        // The five models of the benchmark, about as measured, nanoseconds.
        check(&[(1, 4_200), (8, 7_400), (64, 36_100), (512, 263_000), (4096, 2_283_000)], 10_000, 512);
        check(&[(1, 35_500), (8, 163_000), (64, 1_257_000), (512, 13_730_000)], 100_000, 8);
        check(&[(1, 1_811_000), (8, 13_950_000), (64, 134_070_000)], 1_000_000, 1);
        // A deadline caps; even one row that is too slow stays allowed.
        check(&[(1, 4_200), (8, 7_400), (64, 36_100)], 20, 8);
        check(&[(1, 4_200), (8, 7_400)], 2, 1);
        check(&[(1, 100), (2, 200), (4, 396)], 10_000, 1);
    }

    #[test]
    fn costs_between_and_beyond_the_measured_sizes() {
        let plan = Plan { batch: 4, costs: costs(&[(1, 100), (2, 120), (4, 200)]) };
        assert_eq!([1, 2, 3, 4, 8].map(|n| plan.cost_ns(n)), [100, 120, 160, 200, 400]);
        assert_eq!([0, 1, 4, 5, 9].map(|n| plan.backlog_ns(n)), [0, 100, 200, 300, 500]);
        assert_eq!(plan.sizes().collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn a_damaged_cache_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plans.json");
        let (how, id) = (Calibration::default(), BundleId([7; 32]));
        let plan = Plan { batch: 2, costs: costs(&[(1, 100), (2, 120)]) };
        Plans::in_file(&path).put(id, &how, &plan);
        assert_eq!(Plans::in_file(&path).get(id, &how), Some(plan));
        let other = Calibration { max_batch: 1, ..how };
        assert_eq!(Plans::in_file(&path).get(id, &other), None, "another bound, another plan");
        for text in ["", "{", "[]", r#"{"a":{"batch":0,"costs":[]}}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Plans::in_file(&path).get(id, &how), None, "{text}");
        }
    }
}
