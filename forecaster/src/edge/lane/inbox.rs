//! What waits for a lane: one queue per model, one bound over all; it never runs a model and never blocks a caller.
//!
//! Everything is behind one lock that is held for a handful of moves: a caller pushes one job, the lane takes a whole
//! batch. Models take turns. A new version travels in its model's own queue, so that what was queued before it is
//! answered by the old version and what comes after by the new one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemas::{BundleId, InferenceRequest};

use super::counters::Shared;
use super::reply::Cell;
use super::source::Source;
use crate::edge::calibrate::Plan;
use crate::edge::reload::Prepared;
use crate::error::ForecasterError;

/// Most versions of one model whose ids still lead to it.
const MAX_ROUTES: usize = 256;

/// What a job is about.
pub(super) enum Work {
    /// A miner's request; the answer goes to the lane's callback.
    Request(InferenceRequest),
    /// A caller that waits.
    Cell(Arc<Cell>),
    /// A new version; the old one goes back through the channel.
    Swap(Box<Swap>),
}

/// A version ready to run.
pub(crate) struct Swap {
    pub(crate) prepared: Prepared,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) done: SyncSender<Retired>,
}

/// What a swap replaced; dropped by whoever asked for it, not by the lane.
pub(crate) struct Retired {
    pub(crate) bundle: BundleId,
    pub(crate) model: Option<Box<dyn super::source::Rows>>,
}

/// One thing to do.
pub(super) struct Job {
    pub(super) work: Work,
    /// How many rows; 0 for a swap.
    pub(super) rows: usize,
    /// When it was queued.
    pub(super) at: Instant,
    pub(super) deadline: Option<Instant>,
}

/// What the lane does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Run the batch that was taken for this model.
    Batch(usize),
    /// Put a new version in place; the batch holds the one job.
    Swap(usize),
    /// Nothing waits; this model's costs should be measured again.
    Measure(usize),
    /// No more callers, nothing waits.
    Closed,
}

/// The queue of one model.
struct Slot {
    jobs: VecDeque<Job>,
    /// Rows in it.
    rows: usize,
    plan: Arc<Plan>,
    /// Observed over calibrated cost, a thousandth.
    scale: u64,
    /// Whether it is in `ready`.
    ready: bool,
    /// Ids of the versions that were served, oldest first.
    versions: VecDeque<BundleId>,
}

struct State {
    slots: Vec<Slot>,
    /// Models with jobs, in turn.
    ready: VecDeque<usize>,
    routes: BTreeMap<BundleId, usize>,
    /// Requests waiting, over all models.
    waiting: usize,
    /// When the batch in hand should be done.
    busy_until: Option<Instant>,
    asleep: bool,
    closed: bool,
    /// Models whose costs should be measured when there is time.
    drifted: VecDeque<usize>,
}

/// The queues of one lane.
pub(crate) struct Inbox {
    state: Mutex<State>,
    bell: Condvar,
    limit: usize,
    pub(crate) shared: Arc<Shared>,
}

impl Inbox {
    pub(super) fn new(limit: usize, shared: Arc<Shared>) -> Self {
        let state = State {
            slots: Vec::new(),
            ready: VecDeque::new(),
            routes: BTreeMap::new(),
            waiting: 0,
            busy_until: None,
            asleep: false,
            closed: false,
            drifted: VecDeque::new(),
        };
        Self { state: Mutex::new(state), bell: Condvar::new(), limit: limit.max(1), shared }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a model; its number.
    pub(super) fn add(&self, bundle: BundleId, plan: Plan) -> usize {
        let mut state = self.lock();
        let slot = state.slots.len();
        state.slots.push(Slot {
            jobs: VecDeque::new(),
            rows: 0,
            plan: Arc::new(plan),
            scale: 1000,
            ready: false,
            versions: VecDeque::from([bundle]),
        });
        state.ready.reserve(slot + 1);
        state.routes.insert(bundle, slot);
        slot
    }

    /// The model that a version belongs to.
    pub(super) fn route(&self, bundle: BundleId) -> Result<usize, ForecasterError> {
        let found = self.lock().routes.get(&bundle).copied();
        found.ok_or_else(|| ForecasterError::UnknownBundle(bundle.to_string()))
    }

    /// The version in force of every model.
    pub(super) fn versions(&self) -> Vec<(BundleId, Arc<Plan>)> {
        let state = self.lock();
        let last = |s: &Slot| (s.versions.back().copied().unwrap_or_default(), Arc::clone(&s.plan));
        state.slots.iter().map(last).collect()
    }

    /// Requests waiting now.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Queues a job, or says why not. Never blocks.
    pub(super) fn push(&self, slot: usize, job: Job) -> Result<(), ForecasterError> {
        let mut state = self.lock();
        let refusal = state.refusal(slot, &job, self.limit);
        if let Some(error) = refusal {
            drop(state);
            self.shared.refuse(&error);
            return Err(error);
        }
        state.waiting += 1;
        self.queue(state, slot, job);
        self.shared.accept();
        Ok(())
    }

    /// Queues a new version behind everything that waits for the old one.
    pub(crate) fn push_swap(&self, slot: usize, swap: Swap) -> Result<(), ForecasterError> {
        let state = self.lock();
        if state.closed {
            return Err(ForecasterError::LaneStopped);
        }
        let job = Job { work: Work::Swap(Box::new(swap)), rows: 0, at: Instant::now(), deadline: None };
        self.queue(state, slot, job);
        Ok(())
    }

    fn queue(&self, mut state: MutexGuard<'_, State>, number: usize, job: Job) {
        let slot = &mut state.slots[number];
        slot.rows += job.rows;
        slot.jobs.push_back(job);
        if !slot.ready {
            slot.ready = true;
            state.ready.push_back(number);
        }
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.bell.notify_one();
        }
    }

    /// Takes the next batch into `batch`, which is empty; sleeps while there is nothing to do.
    pub(super) fn next(&self, batch: &mut Vec<Job>) -> Next {
        let mut state = self.lock();
        state.busy_until = None;
        loop {
            if let Some(number) = state.ready.pop_front() {
                return state.take(number, batch);
            }
            if state.closed {
                return Next::Closed;
            }
            if let Some(number) = state.drifted.pop_front() {
                return Next::Measure(number);
            }
            state.asleep = true;
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.closed || !state.ready.is_empty()
    }

    /// A new version of a model is in place.
    pub(super) fn swapped(&self, number: usize, bundle: BundleId, plan: Plan) {
        let mut state = self.lock();
        let slot = &mut state.slots[number];
        (slot.plan, slot.scale) = (Arc::new(plan), 1000);
        slot.versions.retain(|known| *known != bundle);
        slot.versions.push_back(bundle);
        let forgotten = if slot.versions.len() > MAX_ROUTES { slot.versions.pop_front() } else { None };
        if let Some(old) = forgotten {
            state.routes.remove(&old);
        }
        state.routes.insert(bundle, number);
    }

    /// The costs of a model were measured again.
    pub(super) fn measured(&self, number: usize, plan: Plan) {
        let mut state = self.lock();
        let slot = &mut state.slots[number];
        (slot.plan, slot.scale) = (Arc::new(plan), 1000);
    }

    /// A model costs `scale` thousandths of what was calibrated: estimates follow at once, the batch size later.
    pub(super) fn drifted(&self, number: usize, scale: u64) {
        let mut state = self.lock();
        state.slots[number].scale = scale;
        if !state.drifted.contains(&number) {
            state.drifted.push_back(number);
        }
    }

    /// No more callers; what waits is still answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }
}

impl State {
    /// Why a job cannot be queued.
    fn refusal(&self, number: usize, job: &Job, limit: usize) -> Option<ForecasterError> {
        if self.closed {
            return Some(ForecasterError::LaneStopped);
        }
        if self.waiting >= limit {
            return Some(ForecasterError::QueueFull);
        }
        let deadline = job.deadline?;
        let need = self.estimate_ns(number, job.rows, job.at);
        let left = deadline.saturating_duration_since(job.at);
        (Duration::from_nanos(need) > left).then(|| ForecasterError::DeadlineUnreachable {
            need_us: need / 1000,
            left_us: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
        })
    }

    /// Time until `rows` more rows of a model would be answered: the batch in hand, all that waits, and they.
    fn estimate_ns(&self, number: usize, rows: usize, now: Instant) -> u64 {
        let in_hand = self.busy_until.map_or(Duration::ZERO, |t| t.saturating_duration_since(now));
        let mut sum = u64::try_from(in_hand.as_nanos()).unwrap_or(u64::MAX);
        let mut seen = false;
        for waiting in &self.ready {
            seen |= *waiting == number;
            let more = if *waiting == number { rows } else { 0 };
            sum = sum.saturating_add(self.slots[*waiting].cost_ns(more));
        }
        if seen { sum } else { sum.saturating_add(self.slots[number].cost_ns(rows)) }
    }

    /// Moves up to b* rows of one model into the batch; a request is never split between two runs of `next`.
    fn take(&mut self, number: usize, batch: &mut Vec<Job>) -> Next {
        let slot = &mut self.slots[number];
        let (mut rows, mut next) = (0, Next::Batch(number));
        while let Some(job) = slot.jobs.front() {
            let swap = matches!(job.work, Work::Swap(_));
            if !batch.is_empty() && (swap || rows + job.rows > slot.plan.batch) {
                break;
            }
            rows += job.rows;
            batch.extend(slot.jobs.pop_front());
            if swap {
                next = Next::Swap(number);
                break;
            }
        }
        slot.rows -= rows;
        slot.ready = !slot.jobs.is_empty();
        if next != Next::Swap(number) {
            self.waiting -= batch.len();
            let expected = slot.plan.backlog_ns(rows).saturating_mul(slot.scale) / 1000;
            self.busy_until = batch.first().map(|_| Instant::now() + Duration::from_nanos(expected));
        }
        if slot.ready {
            self.ready.push_back(number);
        }
        next
    }
}

impl Slot {
    /// Estimated time for what waits and `more` rows.
    fn cost_ns(&self, more: usize) -> u64 {
        self.plan.backlog_ns(self.rows + more).saturating_mul(self.scale) / 1000
    }
}
