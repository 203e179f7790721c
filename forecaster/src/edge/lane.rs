//! One thread that owns the sessions of some bundles and answers requests in batches; it never waits to fill a batch.
//!
//! Requests queue in a bounded channel; a full queue is an error at once, counted. The thread takes what is queued,
//! up to the queue's length, groups it by bundle, runs up to `max_batch` rows at a time and hands every answer to one
//! callback. Every accepted request gets exactly one answer, also during shutdown, which drains the queue. Whether
//! an answer came in time is not decided here but by its place in the log.

#![allow(clippy::disallowed_methods, reason = "an edge: inference has its own thread")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use ndarray::ArrayView2;
use schemas::inference::Answer;
use schemas::{BundleId, InferenceRequest, InferenceResult, Ppm};

use super::engines::Engines;
use super::model::Model;
use crate::bundle::Bundle;
use crate::engine::{Device, ProviderReport};
use crate::error::ForecasterError;

/// Where answers go. Called on the lane's thread; it must not block for long.
pub type OnResult = Box<dyn Fn(InferenceResult) + Send>;

/// Configuration of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneConfig {
    /// Most requests waiting.
    pub queue: usize,
    /// Where the models run.
    pub device: Device,
}

impl Default for LaneConfig {
    /// 1,024 requests, on the CPU.
    fn default() -> Self {
        Self { queue: 1024, device: Device::Cpu }
    }
}

/// What a lane counted; read at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounters {
    /// Requests taken.
    pub accepted: u64,
    /// Requests refused because the queue was full.
    pub queue_full: u64,
    /// Requests refused for another reason (unknown bundle, lane stopped).
    pub refused: u64,
    /// Answers that are a probability.
    pub answered: u64,
    /// Answers that are an error code.
    pub failed: u64,
    /// Runs of a model.
    pub batches: u64,
}

#[derive(Default)]
struct Shared {
    accepted: AtomicU64,
    queue_full: AtomicU64,
    refused: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    batches: AtomicU64,
}

/// A running lane. Dropping it drains the queue and joins the thread.
pub struct Lane {
    queue: Option<SyncSender<InferenceRequest>>,
    thread: Option<JoinHandle<()>>,
    bundles: BTreeSet<BundleId>,
    reports: Vec<(BundleId, ProviderReport)>,
    shared: Arc<Shared>,
}

impl Lane {
    /// Starts the thread and loads every bundle on it; returns when all are ready, or the first error.
    pub fn start(
        engines: &Engines,
        bundles: Vec<Arc<Bundle>>,
        config: LaneConfig,
        on_result: OnResult,
    ) -> Result<Self, ForecasterError> {
        let (queue, requests) = sync_channel(config.queue.max(1));
        let (ready, loaded) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let worker = Worker { requests, on_result, shared: Arc::clone(&shared), batch: config.queue.max(1) };
        let (engines, device) = (engines.clone(), config.device);
        let body = move || match load(&engines, &bundles, device) {
            Ok(models) => {
                let reports = models.iter().map(|(id, m)| (*id, m.report().clone())).collect::<Vec<_>>();
                if ready.send(Ok(reports)).is_ok() {
                    worker.serve(models);
                }
            }
            // Nobody listens only if `start` is gone already.
            Err(error) => drop(ready.send(Err(error))),
        };
        let thread = thread::Builder::new().name("inference".to_owned()).spawn(body).map_err(|source| {
            ForecasterError::Io { what: "starting the inference thread".to_owned(), source }
        })?;
        let reports = loaded.recv().unwrap_or(Err(ForecasterError::LaneStopped))?;
        let bundles = reports.iter().map(|(id, _)| *id).collect();
        Ok(Self { queue: Some(queue), thread: Some(thread), bundles, reports, shared })
    }

    /// Puts a request into the queue; never blocks. On an error there will be no answer: the caller may append
    /// `error.answer()` itself, so that the miner abstains at once.
    pub fn submit(&self, request: InferenceRequest) -> Result<(), ForecasterError> {
        let sent = if self.bundles.contains(&request.bundle) {
            match &self.queue {
                Some(queue) => queue.try_send(request).map_err(|e| match e {
                    TrySendError::Full(_) => ForecasterError::QueueFull,
                    TrySendError::Disconnected(_) => ForecasterError::LaneStopped,
                }),
                None => Err(ForecasterError::LaneStopped),
            }
        } else {
            Err(ForecasterError::UnknownBundle(request.bundle.to_string()))
        };
        let counter = match &sent {
            Ok(()) => &self.shared.accepted,
            Err(ForecasterError::QueueFull) => &self.shared.queue_full,
            Err(_) => &self.shared.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        sent
    }

    /// Where each bundle runs.
    pub fn reports(&self) -> &[(BundleId, ProviderReport)] {
        &self.reports
    }

    /// What was counted so far.
    pub fn counters(&self) -> LaneCounters {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        LaneCounters {
            accepted: get(&self.shared.accepted),
            queue_full: get(&self.shared.queue_full),
            refused: get(&self.shared.refused),
            answered: get(&self.shared.answered),
            failed: get(&self.shared.failed),
            batches: get(&self.shared.batches),
        }
    }

    /// Takes no more requests, answers what is queued and ends the thread.
    pub fn shutdown(mut self) -> LaneCounters {
        self.stop();
        self.counters()
    }

    fn stop(&mut self) {
        self.queue = None;
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

fn load(
    engines: &Engines,
    bundles: &[Arc<Bundle>],
    device: Device,
) -> Result<BTreeMap<BundleId, Model>, ForecasterError> {
    bundles.iter().map(|b| Ok((b.id(), engines.load(b, device)?))).collect()
}

/// The thread's own part.
struct Worker {
    requests: Receiver<InferenceRequest>,
    on_result: OnResult,
    shared: Arc<Shared>,
    /// Most requests taken at a time.
    batch: usize,
}

impl Worker {
    /// Until every sender is gone and the queue is empty.
    fn serve(&self, mut models: BTreeMap<BundleId, Model>) {
        while let Ok(first) = self.requests.recv() {
            let mut groups: BTreeMap<BundleId, Vec<InferenceRequest>> = BTreeMap::new();
            let more = std::iter::from_fn(|| self.requests.try_recv().ok()).take(self.batch - 1);
            for request in std::iter::once(first).chain(more) {
                groups.entry(request.bundle).or_default().push(request);
            }
            for (bundle, requests) in groups {
                match models.get_mut(&bundle) {
                    Some(model) => self.answer(model, requests),
                    // `submit` has checked this.
                    None => self.refuse(requests, &ForecasterError::UnknownBundle(bundle.to_string())),
                }
            }
        }
    }

    /// Answers the requests for one model.
    fn answer(&self, model: &mut Model, requests: Vec<InferenceRequest>) {
        let mut sound = Vec::with_capacity(requests.len());
        for request in requests {
            match gate_input(&request.row, model.width()) {
                Ok(()) => sound.push(request),
                Err(error) => self.emit(&request, error.answer()),
            }
        }
        let mut rest = sound.into_iter();
        loop {
            let chunk: Vec<_> = rest.by_ref().take(model.max_batch()).collect();
            if chunk.is_empty() {
                return;
            }
            self.run(model, chunk);
        }
    }

    /// One run.
    fn run(&self, model: &mut Model, requests: Vec<InferenceRequest>) {
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        let flat: Vec<f32> = requests.iter().flat_map(|r| r.row.iter().copied()).collect();
        let rows = ArrayView2::from_shape((requests.len(), model.width()), &flat);
        let answers = match rows {
            Ok(rows) => model.predict(rows),
            Err(e) => Err(ForecasterError::Run(e.to_string())),
        };
        match answers {
            Ok(answers) => {
                let range = model.range();
                for (request, p) in requests.into_iter().zip(answers) {
                    let answer = gate_output(p, range).map_or_else(|e| e.answer(), Answer::Probability);
                    self.emit(&request, answer);
                }
            }
            Err(error) => {
                tracing::error!(code = error.code(), %error, "a batch failed");
                self.refuse(requests, &error);
            }
        }
    }

    fn refuse(&self, requests: Vec<InferenceRequest>, error: &ForecasterError) {
        for request in requests {
            self.emit(&request, error.answer());
        }
    }

    fn emit(&self, request: &InferenceRequest, answer: Answer) {
        let counter = match answer {
            Answer::Probability(_) => &self.shared.answered,
            Answer::Failed(_) => &self.shared.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let InferenceRequest { miner, question, bundle, .. } = *request;
        (self.on_result)(InferenceResult { miner, question, bundle, answer });
    }
}

/// What may be given to a model: the right width, every number finite. ONNX Runtime swallows NaN in trees and
/// recurrent cells, so looking at the answer would not help.
pub fn gate_input(row: &[f32], width: usize) -> Result<(), ForecasterError> {
    if row.len() != width {
        return Err(ForecasterError::RowWidth { got: row.len(), want: width });
    }
    match row.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(ForecasterError::InputNotFinite { index }),
        None => Ok(()),
    }
}

/// What may be published: finite, within the manifest's range, rounded to a millionth.
pub fn gate_output(p: f32, [low, high]: [f64; 2]) -> Result<Ppm, ForecasterError> {
    let p = f64::from(p);
    if !p.is_finite() {
        return Err(ForecasterError::OutputNotFinite);
    }
    match Ppm::from_f64(p) {
        Some(ppm) if (low..=high).contains(&p) => Ok(ppm),
        _ => Err(ForecasterError::OutputRange),
    }
}
