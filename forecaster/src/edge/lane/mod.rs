//! One thread that owns the sessions of some models and answers requests in batches; it never waits to fill a batch.
//!
//! Requests queue behind one bound; a full queue or a deadline that cannot be met is an error at once, counted. The
//! thread takes what is queued for one model, up to the batch size that was measured for it, runs it and hands out the
//! answers. Every accepted request gets exactly one answer, also during shutdown, which drains the queue. A new
//! version of a model is made ready elsewhere and put in place between two batches. [`Lanes`] are several.

#![allow(clippy::disallowed_methods, reason = "an edge: inference has its own thread and a clock")]

#[cfg(test)]
mod allocations;
pub mod counters;
pub mod gate;
pub(crate) mod inbox;
mod many;
pub mod reply;
pub mod source;
mod worker;

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use schemas::{BundleId, InferenceRequest, InferenceResult};

use super::calibrate::{Calibration, Plan, Plans};
use super::engines::Engines;
use super::reload::{Loader, Prepared, Reloaded, prepare};
use crate::bundle::Bundle;
use crate::engine::{Device, ProviderReport};
use crate::error::ForecasterError;
pub use counters::{LaneCounters, LaneMeter};
pub use gate::{Outcome, gate_input, gate_output};
use inbox::{Inbox, Job, Work};
pub use many::Lanes;
pub use reply::{Predicted, Seat};
pub use source::{BareSource, BundleSource, Rows, Source};
use worker::Worker;

/// Where answers go. Called on the lane's thread; it must not block for long.
pub type OnResult = Box<dyn Fn(InferenceResult) + Send>;

/// Configuration of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneConfig {
    /// Most requests waiting.
    pub queue: usize,
    /// Where the models run.
    pub device: Device,
    /// How the batch size of each model is found.
    pub calibration: Calibration,
    /// File that keeps what was measured; `None` measures at every start.
    pub plans: Option<PathBuf>,
}

impl Default for LaneConfig {
    /// 1,024 requests, on the CPU, 60 ms of measuring a model, nothing kept.
    fn default() -> Self {
        Self { queue: 1024, device: Device::Cpu, calibration: Calibration::default(), plans: None }
    }
}

/// A running lane. Dropping it drains the queue and joins the thread.
pub struct Lane {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
    reports: Vec<(BundleId, ProviderReport)>,
    /// What each model takes: the width of a row, and for people.
    takes: Vec<(usize, String)>,
    loader: Mutex<Option<Loader>>,
    engines: Option<Engines>,
    config: LaneConfig,
    plans: Arc<Plans>,
}

/// What the thread says when its models are loaded.
struct Ready {
    reports: Vec<(BundleId, ProviderReport)>,
    takes: Vec<(usize, String)>,
}

impl Lane {
    /// Starts the thread and loads every bundle on it; returns when all are ready, or the first error.
    pub fn start(
        engines: &Engines,
        bundles: Vec<Arc<Bundle>>,
        config: LaneConfig,
        on_result: OnResult,
    ) -> Result<Self, ForecasterError> {
        let source = |bundle| Arc::new(BundleSource::new(engines, bundle, config.device)) as Arc<dyn Source>;
        let sources = bundles.into_iter().map(source).collect();
        let mut lane = Self::start_with(sources, config, on_result)?;
        lane.engines = Some(engines.clone());
        Ok(lane)
    }

    /// The same for models from anywhere.
    pub fn start_with(
        sources: Vec<Arc<dyn Source>>,
        config: LaneConfig,
        on_result: OnResult,
    ) -> Result<Self, ForecasterError> {
        let plans = config.plans.as_deref().map_or_else(Plans::in_memory, Plans::in_file);
        Self::start_sharing(sources, config, Arc::new(plans), "inference".to_owned(), on_result)
    }

    fn start_sharing(
        sources: Vec<Arc<dyn Source>>,
        config: LaneConfig,
        plans: Arc<Plans>,
        name: String,
        on_result: OnResult,
    ) -> Result<Self, ForecasterError> {
        let inbox = Arc::new(Inbox::new(config.queue, Arc::default()));
        let (ready, loaded) = sync_channel(1);
        let (how, thread_inbox, thread_plans) = (config.calibration, Arc::clone(&inbox), Arc::clone(&plans));
        let body = move || match load(sources, &how, &thread_plans) {
            Ok((models, report)) => {
                let mut worker = Worker::new(thread_inbox, models, (how, thread_plans), on_result);
                if ready.send(Ok(report)).is_ok() {
                    worker.serve();
                }
            }
            // Nobody listens only if `start` is gone already.
            Err(error) => drop(ready.send(Err(error))),
        };
        let thread = thread::Builder::new().name(name).spawn(body).map_err(|source| ForecasterError::Io {
            what: "starting the inference thread".to_owned(),
            source,
        })?;
        let Ready { reports, takes } = loaded.recv().unwrap_or(Err(ForecasterError::LaneStopped))?;
        let (thread, loader) = (Some(thread), Mutex::new(None));
        Ok(Self { inbox, thread, reports, takes, loader, engines: None, config, plans })
    }

    /// Puts a request into the queue; never blocks. On an error there will be no answer: the caller may append
    /// `error.answer()` itself, so that the miner abstains at once.
    ///
    /// The request's bundle may be any version that this lane served; the answer names the version that answered.
    pub fn submit(&self, request: InferenceRequest) -> Result<(), ForecasterError> {
        self.queue(request, None)
    }

    /// The same with a deadline: refused at once if it cannot be met given what waits and what it costs.
    pub fn submit_with_deadline(
        &self,
        request: InferenceRequest,
        deadline: Instant,
    ) -> Result<(), ForecasterError> {
        self.queue(request, Some(deadline))
    }

    fn queue(&self, request: InferenceRequest, deadline: Option<Instant>) -> Result<(), ForecasterError> {
        let slot = self.route(request.bundle)?;
        let job = Job { work: Work::Request(request), rows: 1, at: Instant::now(), deadline };
        self.inbox.push(slot, job)
    }

    fn route(&self, bundle: BundleId) -> Result<usize, ForecasterError> {
        self.inbox.route(bundle).inspect_err(|_| self.inbox.shared.refused())
    }

    /// A place for a caller that asks again and again and waits for each answer, from a thread or a future.
    pub fn seat(&self, bundle: BundleId) -> Result<Seat, ForecasterError> {
        let slot = self.route(bundle)?;
        Ok(Seat::new(Arc::clone(&self.inbox), slot, self.takes[slot].0))
    }

    /// Answers rows, flat, one or more; the calling thread sleeps until then. For a single question; who asks often
    /// keeps a [`Seat`].
    pub fn predict(
        &self,
        bundle: BundleId,
        rows: &[f32],
        deadline: Option<Instant>,
    ) -> Result<Predicted, ForecasterError> {
        let mut seat = self.seat(bundle)?;
        seat.ask_blocking(rows, deadline)?;
        Ok(seat.into_answer())
    }

    /// The same as a future, on any runtime.
    pub async fn predict_async(
        &self,
        bundle: BundleId,
        rows: &[f32],
        deadline: Option<Instant>,
    ) -> Result<Predicted, ForecasterError> {
        let mut seat = self.seat(bundle)?;
        seat.ask(rows, deadline).await?;
        Ok(seat.into_answer())
    }

    /// Replaces the version that `served` belongs to. Returns when the new version is in place, or an error: then
    /// the old one goes on serving. No request is lost, answered twice or by a mixture; requests queued before the
    /// swap are answered by the old version.
    pub fn reload(&self, served: BundleId, bundle: Arc<Bundle>) -> Result<Reloaded, ForecasterError> {
        let engines = self.engines.as_ref().ok_or_else(|| ForecasterError::Engine {
            engine: "none",
            reason: "this lane was started without engines; use `reload_with`".to_owned(),
        })?;
        self.reload_with(served, Arc::new(BundleSource::new(engines, bundle, self.config.device)))
    }

    /// The same for a model from anywhere.
    pub fn reload_with(
        &self,
        served: BundleId,
        source: Arc<dyn Source>,
    ) -> Result<Reloaded, ForecasterError> {
        let slot = self.route(served)?;
        let (old, new) = (&self.takes[slot].1, source.takes());
        if *old != new {
            self.inbox.shared.reloaded(false);
            return Err(ForecasterError::ReloadMismatch { old: old.clone(), new });
        }
        let outcome = {
            let mut loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
            let loader = match &mut *loader {
                Some(loader) => loader,
                empty @ None => empty.insert(Loader::start(
                    Arc::clone(&self.inbox),
                    self.config.calibration,
                    Arc::clone(&self.plans),
                )?),
            };
            loader.order(slot, source)?
        };
        outcome.recv().unwrap_or(Err(ForecasterError::LaneStopped))
    }

    /// Where each bundle runs, as of the start.
    pub fn reports(&self) -> &[(BundleId, ProviderReport)] {
        &self.reports
    }

    /// The version in force of every model, with its batch size and costs.
    pub fn plans(&self) -> Vec<(BundleId, Plan)> {
        self.inbox.versions().into_iter().map(|(id, plan)| (id, Plan::clone(&plan))).collect()
    }

    /// Requests waiting now.
    pub fn waiting(&self) -> usize {
        self.inbox.waiting()
    }

    /// What was counted so far.
    pub fn counters(&self) -> LaneCounters {
        self.inbox.shared.read()
    }

    /// Reads the counters from anywhere.
    pub fn meter(&self) -> LaneMeter {
        LaneMeter(vec![Arc::clone(&self.inbox.shared)])
    }

    /// Takes no more requests, answers what is queued and ends the thread.
    pub fn shutdown(mut self) -> LaneCounters {
        self.stop();
        self.counters()
    }

    fn stop(&mut self) {
        // The loader first: what it has in hand still reaches the lane.
        *self.loader.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.inbox.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the inference thread panicked");
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stop();
    }
}

type Models = Vec<(Arc<dyn Source>, Prepared)>;

fn load(
    sources: Vec<Arc<dyn Source>>,
    how: &Calibration,
    plans: &Plans,
) -> Result<(Models, Ready), ForecasterError> {
    let mut ready = Ready { reports: Vec::new(), takes: Vec::new() };
    let mut models = Models::new();
    for source in sources {
        let prepared = prepare(source.as_ref(), how, plans)?;
        ready.reports.push((prepared.bundle, prepared.model.report().clone()));
        ready.takes.push((prepared.model.width(), source.takes()));
        models.push((source, prepared));
    }
    Ok((models, ready))
}
