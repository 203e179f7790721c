//! Versions on trial: they predict the same rows beside the active one and are scored; nothing they say is published.
//!
//! [`Trial`] is the book: pure and deterministic, told what both versions answered and how the questions ended. It says
//! when the challenger is better ([`Verdict::Promote`]) and when it must go ([`Verdict::Reject`]): a shadow is
//! dropped, a canary that took over is rolled back, because after a promotion the roles stay and only the consequence
//! changes. [`Shadow`] runs the challenger on a lane of its own, so that it never delays the active version.

#![allow(clippy::disallowed_methods, reason = "an edge: latencies are measured here")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use schemas::inference::Answer;
use schemas::{BundleId, InferenceRequest, InferenceResult, Ppm, QuestionId};

use super::lane::{Lane, LaneConfig, LaneCounters, Source};
use crate::error::ForecasterError;

/// When a trial is decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrialRules {
    /// Fewest questions that both answered and that are resolved, before scores count.
    pub min_resolved: u64,
    /// Fewest questions asked before errors and latencies count.
    pub min_asked: u64,
    /// How many standard errors the mean difference of the Brier scores must be away from zero.
    pub z: f64,
    /// Share of questions that the challenger may leave unanswered beyond the incumbent's share.
    pub max_error_share: f64,
    /// How many times the incumbent's mean latency the challenger's may be.
    pub max_slowdown: f64,
    /// Latency that is never too long, nanoseconds, whatever the incumbent's.
    pub latency_floor_ns: u64,
    /// Most questions waiting for their outcome; the oldest are forgotten.
    pub max_open: usize,
}

impl Default for TrialRules {
    /// 200 resolved, 50 asked, 1.64 standard errors, 2 % more errors, 3 × slower, 1 ms, 4,096 open.
    fn default() -> Self {
        Self {
            min_resolved: 200,
            min_asked: 50,
            z: 1.64,
            max_error_share: 0.02,
            max_slowdown: 3.0,
            latency_floor_ns: 1_000_000,
            max_open: 4096,
        }
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The version that was there first.
    Incumbent,
    /// The version on trial.
    Challenger,
}

/// Why a challenger must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails too often.
    Errors,
    /// It is too slow.
    Latency,
    /// Its score is worse.
    Score,
}

impl Fault {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Errors => "trial_errors",
            Self::Latency => "trial_latency",
            Self::Score => "trial_score",
        }
    }
}

/// What the book says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough is known.
    Wait,
    /// The challenger is better.
    Promote,
    /// The challenger must go.
    Reject(Fault),
}

/// What is known of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Questions it was asked.
    pub asked: u64,
    /// Questions it gave no probability for.
    pub failed: u64,
    /// Sum of its latencies, nanoseconds, over the questions it was asked.
    pub latency_ns: u64,
    /// Sum of its Brier scores over questions that both answered; 0 is best.
    pub brier: f64,
    /// Sum of its log scores (−ln of the probability of what happened, at least 1e-6) over the same; 0 is best.
    pub log: f64,
}

impl Tally {
    fn error_share(&self) -> f64 {
        self.failed as f64 / self.asked.max(1) as f64
    }

    fn mean_latency_ns(&self) -> f64 {
        self.latency_ns as f64 / self.asked.max(1) as f64
    }
}

/// What one version said about a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Said {
    #[default]
    NothingYet,
    Failed,
    Probability(Ppm),
}

/// What both said about one open question.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    incumbent: Said,
    challenger: Said,
}

/// The book of one trial.
#[derive(Clone, Debug)]
pub struct Trial {
    rules: TrialRules,
    incumbent: Tally,
    challenger: Tally,
    open: BTreeMap<QuestionId, Pair>,
    order: VecDeque<QuestionId>,
    resolved: u64,
    /// Sum and sum of squares of incumbent's minus challenger's Brier score.
    gain: f64,
    gain_squared: f64,
    forgotten: u64,
}

impl Trial {
    /// An empty book.
    pub const fn new(rules: TrialRules) -> Self {
        let zero = Tally { asked: 0, failed: 0, latency_ns: 0, brier: 0.0, log: 0.0 };
        Self {
            rules,
            incumbent: zero,
            challenger: zero,
            open: BTreeMap::new(),
            order: VecDeque::new(),
            resolved: 0,
            gain: 0.0,
            gain_squared: 0.0,
            forgotten: 0,
        }
    }

    /// One version answered a question, or failed (`None`), after `latency_ns`. The first answer of each counts.
    pub fn answered(&mut self, question: QuestionId, side: Side, p: Option<Ppm>, latency_ns: u64) {
        if !self.open.contains_key(&question) {
            if self.open.len() >= self.rules.max_open.max(1)
                && let Some(oldest) = self.order.pop_front()
            {
                self.open.remove(&oldest);
                self.forgotten += 1;
            }
            self.order.push_back(question);
        }
        let pair = self.open.entry(question).or_default();
        let (slot, tally) = match side {
            Side::Incumbent => (&mut pair.incumbent, &mut self.incumbent),
            Side::Challenger => (&mut pair.challenger, &mut self.challenger),
        };
        if *slot != Said::NothingYet {
            return;
        }
        *slot = p.map_or(Said::Failed, Said::Probability);
        tally.asked += 1;
        tally.failed += u64::from(p.is_none());
        tally.latency_ns = tally.latency_ns.saturating_add(latency_ns);
    }

    /// A question ended. Scores count if both versions gave a probability before.
    pub fn resolved(&mut self, question: QuestionId, up: bool) {
        let Some(pair) = self.open.remove(&question) else { return };
        self.order.retain(|q| *q != question);
        let (Said::Probability(old), Said::Probability(new)) = (pair.incumbent, pair.challenger) else {
            return;
        };
        let (old, new) = (Score::of(old, up), Score::of(new, up));
        self.incumbent.brier += old.brier;
        self.challenger.brier += new.brier;
        self.incumbent.log += old.log;
        self.challenger.log += new.log;
        let gain = old.brier - new.brier;
        self.gain += gain;
        self.gain_squared += gain * gain;
        self.resolved += 1;
    }

    /// What follows from the book.
    pub fn verdict(&self) -> Verdict {
        let (old, new, rules) = (&self.incumbent, &self.challenger, &self.rules);
        if new.asked >= rules.min_asked && old.asked >= rules.min_asked {
            if new.error_share() > old.error_share() + rules.max_error_share {
                return Verdict::Reject(Fault::Errors);
            }
            let bound = (old.mean_latency_ns() * rules.max_slowdown).max(rules.latency_floor_ns as f64);
            if new.mean_latency_ns() > bound {
                return Verdict::Reject(Fault::Latency);
            }
        }
        if self.resolved < rules.min_resolved.max(2) {
            return Verdict::Wait;
        }
        let n = self.resolved as f64;
        let mean = self.gain / n;
        let variance = ((self.gain_squared - n * mean * mean) / (n - 1.0)).max(0.0);
        let doubt = rules.z * (variance / n).sqrt();
        if mean > doubt && new.log <= old.log {
            Verdict::Promote
        } else if -mean > doubt {
            Verdict::Reject(Fault::Score)
        } else {
            Verdict::Wait
        }
    }

    /// What is known of one version.
    pub const fn tally(&self, side: Side) -> &Tally {
        match side {
            Side::Incumbent => &self.incumbent,
            Side::Challenger => &self.challenger,
        }
    }

    /// Questions that both answered and that are resolved.
    pub const fn resolved_count(&self) -> u64 {
        self.resolved
    }

    /// Open questions that were forgotten because there were too many.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// The scores of one answer.
struct Score {
    brier: f64,
    log: f64,
}

impl Score {
    fn of(p: Ppm, up: bool) -> Self {
        let p = f64::from(p.0) / 1e6;
        let hit = if up { p } else { 1.0 - p };
        Self { brier: (1.0 - hit) * (1.0 - hit), log: -libm::log(hit.max(1e-6)) }
    }
}

/// A version that runs beside an active lane. Its answers go into the book and nowhere else.
pub struct Shadow {
    lane: Lane,
    bundle: BundleId,
    /// Which of the two this one is; the active version is the other.
    side: Side,
    book: Arc<Mutex<Book>>,
}

/// The book and who was asked when.
struct Book {
    trial: Trial,
    asked: BTreeMap<QuestionId, Instant>,
    max_open: usize,
}

impl Shadow {
    /// Starts the challenger on a lane of its own.
    pub fn start(
        source: Arc<dyn Source>,
        config: LaneConfig,
        rules: TrialRules,
    ) -> Result<Self, ForecasterError> {
        Self::beside_active(source, config, rules, Side::Challenger)
    }

    /// Starts the version that was active before a promotion; the active version is the challenger, and
    /// [`Verdict::Reject`] means to roll back.
    pub fn guard(
        source: Arc<dyn Source>,
        config: LaneConfig,
        rules: TrialRules,
    ) -> Result<Self, ForecasterError> {
        Self::beside_active(source, config, rules, Side::Incumbent)
    }

    fn beside_active(
        source: Arc<dyn Source>,
        config: LaneConfig,
        rules: TrialRules,
        side: Side,
    ) -> Result<Self, ForecasterError> {
        let bundle = source.id();
        let book = Book { trial: Trial::new(rules), asked: BTreeMap::new(), max_open: rules.max_open };
        let book = Arc::new(Mutex::new(book));
        let hears = Arc::clone(&book);
        let on_result = move |result: InferenceResult| lock(&hears).heard(&result, side);
        let lane = Lane::start_with(vec![source], config, Box::new(on_result))?;
        Ok(Self { lane, bundle, side, book })
    }

    /// Which version runs here.
    pub const fn bundle(&self) -> BundleId {
        self.bundle
    }

    /// Asks this version what the active version is being asked; call it right before the active lane's `submit`.
    /// Never blocks; when the challenger's queue is full, that is a failure of the challenger.
    pub fn beside(&self, request: &InferenceRequest) {
        lock(&self.book).asked(request.question);
        let request = InferenceRequest { bundle: self.bundle, ..request.clone() };
        let (miner, question, bundle) = (request.miner, request.question, request.bundle);
        if let Err(error) = self.lane.submit(request) {
            let result = InferenceResult { miner, question, bundle, answer: error.answer() };
            lock(&self.book).heard(&result, self.side);
        }
    }

    /// The active version answered; call it from the active lane's callback.
    pub fn heard(&self, result: &InferenceResult) {
        let active = match self.side {
            Side::Challenger => Side::Incumbent,
            Side::Incumbent => Side::Challenger,
        };
        lock(&self.book).heard(result, active);
    }

    /// A question ended; what follows from the book now.
    pub fn resolved(&self, question: QuestionId, up: bool) -> Verdict {
        let mut book = lock(&self.book);
        book.asked.remove(&question);
        book.trial.resolved(question, up);
        book.trial.verdict()
    }

    /// A copy of the book.
    pub fn trial(&self) -> Trial {
        lock(&self.book).trial.clone()
    }

    /// What its lane counted.
    pub fn counters(&self) -> LaneCounters {
        self.lane.counters()
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    fn asked(&mut self, question: QuestionId) {
        if self.asked.len() >= self.max_open.max(1) {
            let oldest = self.asked.iter().min_by_key(|(_, at)| **at).map(|(question, _)| *question);
            if let Some(oldest) = oldest {
                self.asked.remove(&oldest);
            }
        }
        self.asked.insert(question, Instant::now());
    }

    fn heard(&mut self, result: &InferenceResult, side: Side) {
        // Without the time of asking the question is too old for the book.
        let Some(at) = self.asked.get(&result.question) else { return };
        let latency = u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let p = match &result.answer {
            Answer::Probability(p) => Some(*p),
            Answer::Failed(_) => None,
        };
        self.trial.answered(result.question, side, p, latency);
    }
}
