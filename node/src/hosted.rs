//! Strangers' bundles that this node runs for a fee: upload, store, states. Never runs a model in this process.
#![allow(clippy::disallowed_methods, reason = "node starts tasks")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use api::hosted::{Answer, Finding, Host, HostError, Hosted, HostedState};
use forecaster::bundle::{Bundle, BundleLimits, Policy};
use forecaster::edge::sandbox::SandboxConfig;
use forecaster::edge::{Engines, SandboxEngine, check};
use forecaster::signer::MinerKey;
use forecaster::{Check, ForecasterError};
use schemas::{AccountId, BundleId, HostFee, Micros};
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::hosted_run::{Runner, follow};
use crate::hosted_store::{Kept, Store};
use crate::kernel::KernelHandle;
use crate::keyring::Keyring;

/// Bytes of an archive beyond its model: texts, and a tar's own blocks.
const BESIDE_THE_MODEL: usize = 2 << 20;

/// What hosting is started from.
pub struct HostedPlan {
    /// Where archives are kept.
    pub store: PathBuf,
    /// Most bundles.
    pub max_bundles: usize,
    /// What the operator takes, and for whom.
    pub fee: HostFee,
    /// The stake each hosted miner joins with.
    pub stake: Micros,
    /// How workers are started and caged.
    pub sandbox: SandboxConfig,
    /// Where the hosted miners' keys come from.
    pub keyring: Keyring,
    /// The index pair they listen to.
    pub symbol: String,
}

/// The node as a host. Cheap to clone.
#[derive(Clone)]
pub struct HostedNode {
    inner: Arc<Inner>,
}

struct Inner {
    plan: HostedPlan,
    store: Store,
    engines: Engines,
    kernel: KernelHandle,
    network: [u8; 32],
    clock: Clock,
    /// One bundle is checked at a time.
    checking: Arc<Semaphore>,
    places: Mutex<BTreeMap<BundleId, Place>>,
}

/// One bundle's place.
struct Place {
    account: AccountId,
    hosted: Hosted,
    state: Arc<Mutex<HostedState>>,
    /// Dropping it stops the runner.
    stop: Option<watch::Sender<()>>,
}

/// What a check left behind.
struct Vetted {
    bundle: Arc<Bundle>,
    findings: Vec<Finding>,
}

impl HostedNode {
    /// A host over a running kernel; what is in the store is started in the background.
    pub fn start(plan: HostedPlan, kernel: KernelHandle, network: [u8; 32], clock: Clock) -> Result<Self> {
        let store = Store::open(&plan.store).context("opening the store of hosted bundles")?;
        let engine = SandboxEngine::new(plan.sandbox.clone());
        let cage = engine.cage().context("starting a worker to look at its cage (see `oraculo doctor`)")?;
        let layers = cage.layers.iter().filter(|l| l.in_force).count();
        tracing::info!(layers, of = cage.layers.len(), "hosting is on; layers of the cage in force");
        let engines = Engines::caged(engine);
        let node = Self {
            inner: Arc::new(Inner {
                plan,
                store,
                engines,
                kernel,
                network,
                clock,
                checking: Arc::new(Semaphore::new(1)),
                places: Mutex::default(),
            }),
        };
        tokio::spawn(node.clone().resume());
        Ok(node)
    }

    /// Starts what is in the store; what is not sound any more stays, refused.
    async fn resume(self) {
        let kept = match self.inner.store.list() {
            Ok(kept) => kept,
            Err(error) => return tracing::error!("the store of hosted bundles cannot be read: {error:#}"),
        };
        for Kept { account, since, archive } in kept.into_iter().take(self.inner.plan.max_bundles) {
            let _place = self.inner.checking.acquire().await;
            match self.take(account, archive, since, false).await {
                Ok((hosted, _)) => tracing::info!(bundle = %hosted.bundle.short(), "a hosted bundle is live"),
                Err(error) => tracing::error!(code = error.status_and_code().1, "a hosted bundle: {error}"),
            }
        }
    }

    /// The way of every bundle: pre-scan, a place, checks in a worker, the store, the runner.
    async fn take(
        &self,
        account: AccountId,
        archive: Vec<u8>,
        since: schemas::Timestamp,
        new: bool,
    ) -> Result<(Hosted, bool), HostError> {
        let (bundle, archive) = blocking(move || Ok((scan(&archive)?, archive))).await?;
        let id = bundle.id();
        if let Some(known) = self.reserve(&account, &bundle, since)? {
            return Ok((known, false));
        }
        let taken = self.check_and_run(&account, bundle, archive, new, since).await;
        match taken {
            Ok(hosted) => Ok((hosted, true)),
            Err(error) => {
                self.give_up(id, &error, new);
                Err(error)
            }
        }
    }

    /// A place for a bundle, or the bundle that is here already.
    fn reserve(
        &self,
        account: &AccountId,
        bundle: &Arc<Bundle>,
        since: schemas::Timestamp,
    ) -> Result<Option<Hosted>, HostError> {
        let mut places = self.places();
        match places.get(&bundle.id()) {
            Some(place) if place.account == *account => return Ok(Some(place.shown())),
            Some(_) => return Err(HostError::Taken),
            None if places.len() >= self.inner.plan.max_bundles => {
                return Err(HostError::Full(self.inner.plan.max_bundles));
            }
            None => {}
        }
        let manifest = bundle.manifest();
        let hosted = Hosted {
            bundle: bundle.id(),
            miner: self.key(bundle.id()).id(),
            name: format!("{} {}", manifest.name, manifest.version),
            topic: manifest.topic.clone().unwrap_or_default(),
            state: HostedState::Checking,
            fee: self.inner.plan.fee.part,
            since,
            findings: Vec::new(),
        };
        let state = Arc::new(Mutex::new(HostedState::Checking));
        places.insert(bundle.id(), Place { account: account.clone(), hosted, state, stop: None });
        Ok(None)
    }

    async fn check_and_run(
        &self,
        account: &AccountId,
        bundle: Arc<Bundle>,
        archive: Vec<u8>,
        new: bool,
        since: schemas::Timestamp,
    ) -> Result<Hosted, HostError> {
        let inner = Arc::clone(&self.inner);
        let vetted = blocking(move || vet(&inner.engines, bundle)).await?;
        let id = vetted.bundle.id();
        if new {
            let (inner, account) = (Arc::clone(&self.inner), account.clone());
            blocking(move || inner.store.keep(id, &account, since, &archive).map_err(failed)).await?;
        }
        let state = self.places().get(&id).map(|place| Arc::clone(&place.state)).ok_or(HostError::Unknown)?;
        let runner = self.runner(vetted.bundle, Arc::clone(&state)).await?;
        let (stop, stopped) = watch::channel(());
        tokio::spawn(follow(runner, stopped));
        *state.lock().unwrap_or_else(PoisonError::into_inner) = HostedState::Live;
        let mut places = self.places();
        let place = places.get_mut(&id).ok_or(HostError::Unknown)?;
        place.stop = Some(stop);
        place.hosted.findings = vetted.findings;
        Ok(place.shown())
    }

    async fn runner(&self, bundle: Arc<Bundle>, state: Arc<Mutex<HostedState>>) -> Result<Runner, HostError> {
        let inner = &self.inner;
        let (engines, kernel, of) = (inner.engines.clone(), inner.kernel.clone(), Arc::clone(&bundle));
        let lane =
            blocking(move || crate::hosted_run::lane(&engines, of, kernel, state).map_err(refused)).await?;
        let key = self.key(bundle.id());
        let fee = (inner.plan.fee.clone(), inner.plan.stake);
        Runner::join(
            key,
            &bundle,
            lane,
            inner.kernel.clone(),
            inner.network,
            &inner.plan.symbol,
            fee,
            inner.clock.clone(),
        )
        .await
        .map_err(|e| failed(anyhow::anyhow!("{e:#}")))
    }

    /// A new bundle that failed loses its place; one from the store keeps it and says why.
    fn give_up(&self, id: BundleId, error: &HostError, new: bool) {
        let mut places = self.places();
        if new {
            places.remove(&id);
            self.inner.store.forget(id);
        } else if let Some(place) = places.get(&id) {
            let code = error.status_and_code().1.to_owned();
            *place.state.lock().unwrap_or_else(PoisonError::into_inner) = HostedState::Refused(code);
        }
    }

    /// The key of the miner that predicts with a bundle: this operator's, the same at every start.
    fn key(&self, bundle: BundleId) -> MinerKey {
        MinerKey::from_seed(self.inner.plan.keyring.seed("hosted", &bundle.to_string()))
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<BundleId, Place>> {
        self.inner.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn shown(&self) -> Hosted {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Hosted { state, ..self.hosted.clone() }
    }
}

impl Host for HostedNode {
    fn max_bytes(&self) -> usize {
        self.inner.plan.sandbox.limits.max_model_bytes + BESIDE_THE_MODEL
    }

    fn upload(&self, account: AccountId, archive: Vec<u8>) -> Answer<(Hosted, bool)> {
        let node = self.clone();
        Box::pin(async move {
            let checking = Arc::clone(&node.inner.checking);
            let permit = checking.try_acquire_owned().map_err(|_| HostError::Busy)?;
            let since = node.inner.clock.now();
            // The uploader may hang up; what was begun is finished.
            let work = tokio::spawn(async move {
                let taken = node.take(account, archive, since, true).await;
                drop(permit);
                taken
            });
            work.await.map_err(|e| HostError::Failed(e.to_string()))?
        })
    }

    fn list(&self, account: &AccountId) -> Vec<Hosted> {
        self.places().values().filter(|p| p.account == *account).map(Place::shown).collect()
    }

    fn remove(&self, account: AccountId, bundle: BundleId) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move {
            {
                let mut places = node.places();
                let place = places.get(&bundle).filter(|p| p.account == account).ok_or(HostError::Unknown)?;
                if place.shown().state == HostedState::Checking {
                    return Err(HostError::Busy);
                }
                // Its runner ends with the sender that goes here.
                places.remove(&bundle);
            }
            blocking(move || {
                node.inner.store.forget(bundle);
                Ok(())
            })
            .await
        })
    }
}

/// Off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| HostError::Failed(e.to_string()))?
}

/// The pre-scan: nothing is loaded, nothing is written.
fn scan(archive: &[u8]) -> Result<Arc<Bundle>, HostError> {
    let bundle = Bundle::from_tar_with(Policy::Hosted, archive, &BundleLimits::default()).map_err(refused)?;
    let lacks = |check: Check, what: &str| HostError::Refused { code: check.code(), detail: what.to_owned() };
    let manifest = bundle.manifest();
    if manifest.topic.is_none() {
        return Err(lacks(Check::ManifestMissingKey, "a hosted bundle names its `topic`"));
    }
    if manifest.feature_set().is_none() || manifest.row_io().is_none() {
        return Err(lacks(Check::ManifestFeatures, "a hosted bundle takes rows of a feature set"));
    }
    Ok(Arc::new(bundle))
}

/// The checks that run the model, in a worker; the first that fails is the refusal's code.
fn vet(engines: &Engines, bundle: Arc<Bundle>) -> Result<Vetted, HostError> {
    let findings = check(engines, &bundle).map_err(refused)?;
    if let Some(failed) = findings.iter().find(|f| !f.passed) {
        return Err(HostError::Refused { code: failed.check.code(), detail: failed.detail.clone() });
    }
    let findings = findings
        .into_iter()
        .map(|f| Finding { code: f.check.code(), passed: f.passed, detail: f.detail })
        .collect();
    Ok(Vetted { bundle, findings })
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn refused(error: ForecasterError) -> HostError {
    HostError::Refused { code: error.code(), detail: error.to_string() }
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn failed(error: anyhow::Error) -> HostError {
    tracing::error!("hosting: {error:#}");
    HostError::Failed("see the operator's log".to_owned())
}
