//! Makes a version ready before it serves: load, measure, warm up, golden rows; it never touches the version in force.
//!
//! Everything that takes time or can fail happens here, on a thread of its own, while the old version goes on
//! answering. What comes out is put in place by the lane between two batches, which takes a few moves.

#![allow(clippy::disallowed_methods, reason = "an edge: loading has its own thread and is timed")]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use schemas::BundleId;

use super::calibrate::{self, Calibration, Plan, Plans};
use super::lane::inbox::{Inbox, Swap};
use super::lane::source::{Rows, Source};
use crate::bundle::golden::{Pair, TOLERANCE};
use crate::error::{Check, ForecasterError};

/// Most golden rows that are run before a version may serve; `model check` runs all.
const GOLDEN_ROWS: usize = 64;
/// Most versions waiting to be loaded.
const MAX_LOADING: usize = 16;

/// A version that is ready to run: loaded, measured, warm, and right about its golden rows.
pub struct Prepared {
    /// The version.
    pub bundle: BundleId,
    /// The loaded model.
    pub model: Box<dyn Rows>,
    /// Its batch size and costs.
    pub plan: Plan,
}

/// What a reload did, and how long each step took, microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The version that served before.
    pub old: BundleId,
    /// The version that serves now.
    pub new: BundleId,
    /// Load, measure, warm up and golden rows.
    pub prepare_us: u64,
    /// From ready until in place: what was queued for the old version.
    pub swap_us: u64,
    /// Batch size of the new version.
    pub batch: usize,
}

/// Makes a version ready on the calling thread. A panic of the engine is an error.
pub fn prepare(source: &dyn Source, how: &Calibration, plans: &Plans) -> Result<Prepared, ForecasterError> {
    let body = || {
        let mut model = source.load()?;
        let plan = match plans.get(source.id(), how) {
            Some(plan) if plan.batch <= model.max_batch() => plan,
            _ => measure(source, model.as_mut(), how, plans)?,
        };
        warm_up(model.as_mut(), source.golden(), &plan)?;
        golden(model.as_mut(), source.golden(), plan.batch)?;
        Ok(Prepared { bundle: source.id(), model, plan })
    };
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(ForecasterError::ModelPanicked(text(panic.as_ref()))))
}

fn measure(
    source: &dyn Source,
    model: &mut dyn Rows,
    how: &Calibration,
    plans: &Plans,
) -> Result<Plan, ForecasterError> {
    let plan = calibrate::calibrate(model, source.golden(), source.deadline(), how, &mut || true)?;
    let plan = plan.ok_or(ForecasterError::LaneStopped)?;
    plans.put(source.id(), how, &plan);
    Ok(plan)
}

/// Runs every calibrated size once, so that no live batch is the first of its size.
fn warm_up(model: &mut dyn Rows, golden: &[Pair], plan: &Plan) -> Result<(), ForecasterError> {
    let (width, mut out) = (model.width(), Vec::new());
    let rows = calibrate::samples(golden, width, plan.batch);
    for n in plan.sizes() {
        out.clear();
        model.predict_into(&rows[..n * width], n, &mut out)?;
    }
    Ok(())
}

/// The golden rows must come out within the tolerance.
fn golden(model: &mut dyn Rows, pairs: &[Pair], batch: usize) -> Result<(), ForecasterError> {
    let (mut rows, mut out) = (Vec::new(), Vec::new());
    for chunk in pairs[..pairs.len().min(GOLDEN_ROWS)].chunks(batch.max(1)) {
        rows.clear();
        out.clear();
        for pair in chunk {
            rows.extend_from_slice(&pair.input);
        }
        model.predict_into(&rows, chunk.len(), &mut out)?;
        let want = chunk.iter().flat_map(|pair| &pair.output);
        let worst = std::iter::zip(&out, want).map(|(a, b)| (a - b).abs());
        // NaN must not pass for a small difference.
        let worst = worst.fold(0.0_f32, |w, d| if d > w || d.is_nan() { d } else { w });
        if worst.is_nan() || worst > TOLERANCE {
            let detail = format!("golden rows are missed by {worst:e}, allowed is {TOLERANCE:e}");
            return Err(ForecasterError::check(Check::Golden, detail));
        }
    }
    Ok(())
}

/// What a panic said.
pub(super) fn text(panic: &(dyn Any + Send)) -> String {
    let known = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    known.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// One version to make ready and put in place.
struct Order {
    slot: usize,
    source: Arc<dyn Source>,
    done: SyncSender<Result<Reloaded, ForecasterError>>,
}

/// The thread that makes versions ready. It lives as long as its lane, because a worker process may be bound to the
/// life of the thread that started it.
pub(super) struct Loader {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    pub(super) fn start(
        inbox: Arc<Inbox>,
        how: Calibration,
        plans: Arc<Plans>,
    ) -> Result<Self, ForecasterError> {
        let (orders, todo) = sync_channel::<Order>(MAX_LOADING);
        let body = move || serve(&todo, &inbox, &how, &plans);
        let thread =
            thread::Builder::new().name("model-loader".to_owned()).spawn(body).map_err(|source| {
                ForecasterError::Io { what: "starting the loading thread".to_owned(), source }
            })?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Orders a version; what came of it arrives through the channel.
    pub(super) fn order(
        &self,
        slot: usize,
        source: Arc<dyn Source>,
    ) -> Result<Receiver<Result<Reloaded, ForecasterError>>, ForecasterError> {
        let (done, outcome) = sync_channel(1);
        let orders = self.orders.as_ref().ok_or(ForecasterError::LaneStopped)?;
        orders.send(Order { slot, source, done }).map_err(|_| ForecasterError::LaneStopped)?;
        Ok(outcome)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the loading thread panicked");
        }
    }
}

fn serve(todo: &Receiver<Order>, inbox: &Inbox, how: &Calibration, plans: &Plans) {
    while let Ok(order) = todo.recv() {
        let outcome = replace(inbox, order.slot, order.source, how, plans);
        inbox.shared.reloaded(outcome.is_ok());
        if let Err(error) = &outcome {
            tracing::error!(code = error.code(), %error, "a new version was refused; the old one serves on");
        }
        // Nobody listens only if the caller is gone.
        drop(order.done.send(outcome));
    }
}

fn replace(
    inbox: &Inbox,
    slot: usize,
    source: Arc<dyn Source>,
    how: &Calibration,
    plans: &Plans,
) -> Result<Reloaded, ForecasterError> {
    let started = Instant::now();
    let prepared = prepare(source.as_ref(), how, plans)?;
    let (new, batch) = (prepared.bundle, prepared.plan.batch);
    let ready = Instant::now();
    let (done, retired) = sync_channel(1);
    inbox.push_swap(slot, Swap { prepared, source, done })?;
    let retired = retired.recv().map_err(|_| ForecasterError::LaneStopped)?;
    let swap_us = micros(ready);
    // The old session is freed on this thread, not between two batches.
    drop(retired.model);
    let prepare_us = u64::try_from(ready.duration_since(started).as_micros()).unwrap_or(u64::MAX);
    Ok(Reloaded { old: retired.bundle, new, prepare_us, swap_us, batch })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
