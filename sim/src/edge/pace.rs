//! Virtual time and who may move it; never moves it back, and never past anything that is still in flight.
//!
//! In lockstep, every message on the wire is one unit of *busy*:
//! * node: `enter` when it executes a deed (connect, send text, close, fetch, infer); `leave` when the record that
//!   answers it (Connected, Closed, Rest, ...) has been applied and the deeds that follow have entered;
//! * twin: `enter` for every frame it sends and for every close it initiates, `leave` when it has handled a text
//!   (its answers have entered by then). The node leaves for a frame or a close once it is applied.
//!
//! So a unit never vanishes between two hands, and time stands still until all have settled.
#![allow(clippy::disallowed_methods, reason = "edge: this is where virtual time meets the wall clock")]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::Timestamp;
use tokio::sync::Notify;

/// How long a unit may stay in flight, wall time, before the pace gives up on it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Wall length of one step when time runs by a factor.
const SLICE: Duration = Duration::from_millis(20);
/// Largest step in virtual time.
const STEP_NS: i64 = 5_000_000_000;

/// A boxed future without a borrowed part.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// What the node does before time reaches an instant: serve every wake up to it, in order, and settle.
pub type StepHook = Box<dyn Fn(Timestamp) -> BoxFuture<()> + Send + Sync>;

/// How fast virtual time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Virtual seconds per wall second; must be finite and above 0, anything else is read as [`Speed::Max`].
    Factor(f64),
    /// As fast as everything settles.
    Max,
}

/// Virtual time, shared; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.0)))
    }

    /// Virtual now.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.load(SeqCst))
    }

    fn set(&self, to: Timestamp) {
        self.0.fetch_max(to.0, SeqCst);
    }
}

struct Inner {
    clock: Clock,
    speed: Speed,
    lockstep: bool,
    patience: Duration,
    busy: AtomicU64,
    stalls: AtomicU64,
    extra_leaves: AtomicU64,
    /// The instant being advanced to; [`Pace::reach`] may not pass it.
    target: AtomicI64,
    settled: Notify,
    hook: Mutex<Option<Arc<StepHook>>>,
    /// Wall instant and the virtual time it stands for.
    anchor: Mutex<Option<(Instant, Timestamp)>>,
}

/// The pace of virtual time; clones are the same pace.
#[derive(Clone)]
pub struct Pace(Arc<Inner>);

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace")
            .field("now", &self.now())
            .field("speed", &self.0.speed)
            .field("lockstep", &self.0.lockstep)
            .field("busy", &self.busy())
            .finish_non_exhaustive()
    }
}

/// One unit in flight; leaves when dropped.
#[derive(Debug)]
pub struct Hold(Pace);

impl Hold {
    /// Lets the unit stay in flight: somebody else will leave for it.
    pub fn pass_on(self) {
        std::mem::forget(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Pace {
    /// Virtual time from `start` in lockstep: it moves only while nothing is in flight.
    pub fn new(start: Timestamp, speed: Speed) -> Self {
        Self::build(start, speed, true, PATIENCE)
    }

    /// Virtual time from `start` that waits for nobody; `enter` and `leave` do nothing.
    pub fn free(start: Timestamp, speed: Speed) -> Self {
        Self::build(start, speed, false, PATIENCE)
    }

    /// As [`Pace::new`] with another patience than 5 s of wall time.
    pub fn with_patience(start: Timestamp, speed: Speed, patience: Duration) -> Self {
        Self::build(start, speed, true, patience)
    }

    fn build(start: Timestamp, speed: Speed, lockstep: bool, patience: Duration) -> Self {
        let speed = match speed {
            Speed::Factor(f) if f.is_finite() && f > 0.0 => Speed::Factor(f),
            _ => Speed::Max,
        };
        Self(Arc::new(Inner {
            clock: Clock::at(start),
            speed,
            lockstep,
            patience,
            busy: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            extra_leaves: AtomicU64::new(0),
            target: AtomicI64::new(start.0),
            settled: Notify::new(),
            hook: Mutex::new(None),
            anchor: Mutex::new(None),
        }))
    }

    /// The clock that this pace moves.
    pub fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    /// Virtual now.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The speed.
    pub fn speed(&self) -> Speed {
        self.0.speed
    }

    /// Whether time waits for what is in flight.
    pub fn is_lockstep(&self) -> bool {
        self.0.lockstep
    }

    /// Sets what runs before time reaches an instant; replaces an earlier hook. The hook gets `t`, must serve all
    /// wakes up to `t` in order (calling [`Pace::reach`] for each) and return when their deeds have settled. The
    /// clock shows `t` only afterwards. It must not call [`Pace::advance_to`] itself.
    pub fn set_hook(&self, hook: StepHook) {
        *self.0.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// One more unit is in flight.
    pub fn enter(&self) {
        if self.0.lockstep {
            self.0.busy.fetch_add(1, SeqCst);
        }
    }

    /// One unit has settled. One leave too many is counted and otherwise ignored.
    pub fn leave(&self) {
        if !self.0.lockstep {
            return;
        }
        match self.0.busy.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)) {
            Ok(1) => self.0.settled.notify_waiters(),
            Ok(_) => {}
            Err(_) => {
                self.0.extra_leaves.fetch_add(1, SeqCst);
            }
        }
    }

    /// Enters and hands out the unit as a value that leaves when dropped.
    pub fn hold(&self) -> Hold {
        self.enter();
        Hold(self.clone())
    }

    /// Units in flight; always 0 without lockstep.
    pub fn busy(&self) -> u64 {
        self.0.busy.load(SeqCst)
    }

    /// How often the pace gave up waiting. Anything above 0 means that virtual time ran ahead of somebody.
    pub fn stalls(&self) -> u64 {
        self.0.stalls.load(SeqCst)
    }

    /// How often somebody left without having entered: an accounting mistake, or the echo of a stall.
    pub fn extra_leaves(&self) -> u64 {
        self.0.extra_leaves.load(SeqCst)
    }

    /// Waits until nothing is in flight, at most 5 s of wall time: then it warns, counts a stall and resets.
    pub async fn settle(&self) {
        if self.busy() == 0 {
            return;
        }
        if tokio::time::timeout(self.0.patience, self.idle()).await.is_err() {
            let lost = self.0.busy.swap(0, SeqCst);
            self.0.stalls.fetch_add(1, SeqCst);
            tracing::warn!(
                lost,
                now_ms = self.now().millis(),
                "the pace gave up waiting for what is in flight"
            );
        }
    }

    async fn idle(&self) {
        loop {
            let mut settled = std::pin::pin!(self.0.settled.notified());
            settled.as_mut().enable();
            if self.busy() == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Moves the clock to a wake at `at` while [`Pace::advance_to`] runs its hook; never past its target, never back.
    pub fn reach(&self, at: Timestamp) {
        let target = Timestamp(self.0.target.load(SeqCst));
        self.0.clock.set(at.min(target));
    }

    /// Lets wall time start counting now: what passed before is forgotten.
    pub fn anchor(&self) {
        let now = (Instant::now(), self.now());
        *self.0.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// One step: waits until idle and, with a factor, until wall time has come; runs the hook; sets the clock.
    /// A `t` in the past only waits and runs the hook.
    pub async fn advance_to(&self, t: Timestamp) {
        self.settle().await;
        if self.wait_for_wall(t).await {
            self.settle().await;
        }
        self.0.target.fetch_max(t.0, SeqCst);
        let hook = self.0.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook(t).await;
            self.settle().await;
        }
        self.0.clock.set(t);
    }

    /// Steps to `t`: at most 5 virtual seconds or, with a factor, 20 ms of wall time a step.
    pub async fn run_to(&self, t: Timestamp) {
        let step = match self.0.speed {
            Speed::Max => STEP_NS,
            Speed::Factor(f) => ((SLICE.as_nanos() as f64 * f) as i64).clamp(1_000_000, STEP_NS),
        };
        loop {
            let next = self.now().plus(step).min(t);
            self.advance_to(next).await;
            if !self.0.lockstep {
                // Without anybody to wait for, the sockets' tasks would never get a turn on a single thread.
                tokio::task::yield_now().await;
            }
            if next >= t {
                return;
            }
        }
    }

    /// Whether it slept.
    async fn wait_for_wall(&self, t: Timestamp) -> bool {
        let Speed::Factor(factor) = self.0.speed else { return false };
        let (wall, from) = {
            let mut anchor = self.0.anchor.lock().unwrap_or_else(PoisonError::into_inner);
            *anchor.get_or_insert_with(|| (Instant::now(), self.now()))
        };
        let due = wall + Duration::from_nanos((t.since(from).max(0) as f64 / factor) as u64);
        // The timer's grain is a millisecond; shorter waits are made up for by the next step.
        let sleeps = due.saturating_duration_since(Instant::now()) >= Duration::from_millis(1);
        if sleeps {
            tokio::time::sleep_until(due.into()).await;
        }
        sleeps
    }
}
