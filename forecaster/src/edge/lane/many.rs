//! Several lanes as one: every model has its lane, every lane its thread; it never moves a model between lanes.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use schemas::{BundleId, InferenceRequest, InferenceResult};

use super::{BundleSource, Lane, LaneConfig, LaneCounters, LaneMeter, Predicted, Seat, Source};
use crate::bundle::Bundle;
use crate::edge::calibrate::{Plan, Plans};
use crate::edge::engines::Engines;
use crate::edge::reload::Reloaded;
use crate::engine::ProviderReport;
use crate::error::ForecasterError;

/// As many lanes as there are cores or models, whichever is less. The queue's bound is each lane's own.
pub struct Lanes {
    lanes: Vec<Lane>,
    reports: Vec<(BundleId, ProviderReport)>,
}

impl Lanes {
    /// Starts the threads and loads every bundle on one of them; returns when all are ready, or the first error.
    pub fn start(
        engines: &Engines,
        bundles: Vec<Arc<Bundle>>,
        config: &LaneConfig,
        on_result: impl Fn(InferenceResult) + Send + Sync + 'static,
    ) -> Result<Self, ForecasterError> {
        let source = |bundle| Arc::new(BundleSource::new(engines, bundle, config.device)) as Arc<dyn Source>;
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let mut started =
            Self::start_with(bundles.into_iter().map(source).collect(), cores, config, on_result)?;
        started.lanes.iter_mut().for_each(|lane| lane.engines = Some(engines.clone()));
        Ok(started)
    }

    /// The same for models from anywhere, on at most `most` threads.
    pub fn start_with(
        sources: Vec<Arc<dyn Source>>,
        most: usize,
        config: &LaneConfig,
        on_result: impl Fn(InferenceResult) + Send + Sync + 'static,
    ) -> Result<Self, ForecasterError> {
        let count = most.min(sources.len()).max(1);
        let mut shares: Vec<Vec<Arc<dyn Source>>> = vec![Vec::new(); count];
        for (i, source) in sources.into_iter().enumerate() {
            shares[i % count].push(source);
        }
        let plans = Arc::new(config.plans.as_deref().map_or_else(Plans::in_memory, Plans::in_file));
        let on_result = Arc::new(on_result);
        let mut lanes = Vec::with_capacity(count);
        for (i, share) in shares.into_iter().enumerate() {
            let hear = Arc::clone(&on_result);
            let name = format!("inference-{i}");
            let on_result = Box::new(move |result| hear(result));
            lanes.push(Lane::start_sharing(share, config.clone(), Arc::clone(&plans), name, on_result)?);
        }
        let reports = lanes.iter().flat_map(|lane| lane.reports().to_vec()).collect();
        Ok(Self { lanes, reports })
    }

    /// The lane of a version, or of the model whose version it was.
    pub fn lane(&self, bundle: BundleId) -> Result<&Lane, ForecasterError> {
        let serves = |lane: &&Lane| lane.inbox.route(bundle).is_ok();
        match (self.lanes.iter().find(serves), self.lanes.first()) {
            (Some(lane), _) => Ok(lane),
            // Counted where it can be seen.
            (None, Some(first)) => first.route(bundle).map(|_| first),
            (None, None) => Err(ForecasterError::UnknownBundle(bundle.to_string())),
        }
    }

    /// See [`Lane::submit`].
    pub fn submit(&self, request: InferenceRequest) -> Result<(), ForecasterError> {
        self.lane(request.bundle)?.submit(request)
    }

    /// See [`Lane::submit_with_deadline`].
    pub fn submit_with_deadline(
        &self,
        request: InferenceRequest,
        deadline: Instant,
    ) -> Result<(), ForecasterError> {
        self.lane(request.bundle)?.submit_with_deadline(request, deadline)
    }

    /// See [`Lane::seat`].
    pub fn seat(&self, bundle: BundleId) -> Result<Seat, ForecasterError> {
        self.lane(bundle)?.seat(bundle)
    }

    /// See [`Lane::predict`].
    pub fn predict(
        &self,
        bundle: BundleId,
        rows: &[f32],
        deadline: Option<Instant>,
    ) -> Result<Predicted, ForecasterError> {
        self.lane(bundle)?.predict(bundle, rows, deadline)
    }

    /// See [`Lane::reload`].
    pub fn reload(&self, served: BundleId, bundle: Arc<Bundle>) -> Result<Reloaded, ForecasterError> {
        self.lane(served)?.reload(served, bundle)
    }

    /// Where each bundle runs, as of the start.
    pub fn reports(&self) -> &[(BundleId, ProviderReport)] {
        &self.reports
    }

    /// The version in force of every model, with its batch size and costs.
    pub fn plans(&self) -> Vec<(BundleId, Plan)> {
        self.lanes.iter().flat_map(Lane::plans).collect()
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.lanes.len()
    }

    /// What all lanes counted so far.
    pub fn counters(&self) -> LaneCounters {
        self.meter().read()
    }

    /// Reads the counters from anywhere.
    pub fn meter(&self) -> LaneMeter {
        LaneMeter(self.lanes.iter().flat_map(|lane| lane.meter().0).collect())
    }

    /// Takes no more requests, answers what is queued and ends the threads.
    pub fn shutdown(mut self) -> LaneCounters {
        self.lanes.iter_mut().for_each(Lane::stop);
        self.counters()
    }
}
