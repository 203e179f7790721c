//! Puts a node together: journal, recovery, edges, kernel thread, API. Never decides what runs.
#![allow(clippy::disallowed_methods, reason = "node starts threads and tasks")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use api::keys::Scope;
use api::{ApiState, Health, HealthCheck, NetworkName, Push, SharedBoard, SharedView};
use bus::{Driver, FileLog, FileOptions, Limits, SnapshotOptions, SnapshotStore};
use forecaster::bundle::Bundle;
use forecaster::edge::{Engines, LaneConfig, LaneMeter, Lanes};
use forecaster::{Device, EngineChoice};
use ingest::edge::{Endpoints, Seen, VenueEdge};
use schemas::{AccountCommand, AccountId, Intake, Raw};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle as Task;

use crate::clock::Clock;
use crate::deeds::{Deeds, MinerHand};
use crate::desk::KernelDesk;
use crate::hosted::{HostedNode, HostedPlan};
use crate::kernel::{Cmd, Finished, Kernel, KernelHandle};
use crate::probe::Probe;
use crate::roles::desk::Waiting;
use crate::run_dir::{FinishedRun, RunDir, RunManifest};
use crate::signing::ValidatorKey;
use crate::wire::{Machines, Wired};

/// How many pushes a slow reader of the fan-out may be behind before it must catch up from the view.
const PUSHES: usize = 4_096;
/// How many frames may wait between the venue's edge and the kernel.
const FRAMES: usize = 1_024;

/// Everything a node is started from.
pub struct Start {
    /// Where the run lives; its manifest is written already.
    pub dir: RunDir,
    /// The manifest.
    pub manifest: RunManifest,
    /// First records of the intake, submitted if the journal is empty.
    pub genesis: Vec<Intake>,
    /// Hash of the network's name.
    pub network: [u8; 32],
    /// Means of the hosted miners, in the plan's order.
    pub miners: Vec<MinerHand>,
    /// Keys of the hosted validators, in the plan's order.
    pub validators: Vec<ValidatorKey>,
    /// Model bundles the miners need.
    pub bundles: Vec<Arc<Bundle>>,
    /// `--ort-lib`, if given.
    pub ort_lib: Option<PathBuf>,
    /// What runs models.
    pub engine: EngineChoice,
    /// Where models run.
    pub device: Device,
    /// The venue.
    pub endpoints: Endpoints,
    /// Time.
    pub clock: Clock,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Measures questions on their way, in benchmarks.
    pub probe: Option<Probe>,
    /// Strangers' bundles, if they are taken.
    pub hosted: Option<HostedPlan>,
}

/// A running node.
pub struct Running {
    /// Commands for the kernel.
    pub kernel: KernelHandle,
    /// What customers see.
    pub view: SharedView,
    /// Address the API listens on.
    pub addr: SocketAddr,
    /// API keys.
    pub keys: api::keys::KeyStore,
    core: Core,
    server: Server,
}

/// A journal with its machines, recovered; nothing runs yet.
pub(crate) struct Opened<W: Wired> {
    pub(crate) driver: Driver<FileLog, W>,
    snapshots: SnapshotStore,
}

/// How a kernel is tied to other processes; not at all by default.
#[derive(Default)]
pub(crate) struct Ties {
    /// Hears the last durable number of the journal.
    pub(crate) durable: Option<watch::Sender<u64>>,
    /// Who waits for verdicts that another process gives.
    pub(crate) answers: Arc<Waiting>,
}

/// A running kernel with its edges.
pub(crate) struct Core {
    pub(crate) kernel: KernelHandle,
    pub(crate) view: Option<SharedView>,
    pub(crate) pushes: broadcast::Sender<Arc<Push>>,
    board: Option<SharedBoard>,
    network: NetworkName,
    bell: watch::Sender<u64>,
    dir: RunDir,
    manifest: RunManifest,
    /// Counters of the models, where miners are.
    models: LaneMeter,
    thread: JoinHandle<Result<()>>,
}

/// A running API.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    task: Task<std::io::Result<()>>,
    stop: oneshot::Sender<()>,
}

impl Start {
    /// Recovers the journal and starts everything. The clock's twin, if there is one, may play afterwards.
    pub async fn run(mut self) -> Result<Running> {
        let (hosted, network) = (self.hosted.take(), self.network);
        let opened = self.open(|machines| machines)?;
        let (clock, listen, keys) = (self.clock.clone(), self.listen, self.dir.keys());
        let core = self.launch(opened, Ties::default())?;
        let view = core.view.clone().context("a node that does everything has a view")?;
        let keys = api::keys::KeyStore::open(keys).context("opening the API's key file")?;
        let desk = Arc::new(KernelDesk(core.kernel.clone()));
        let start = |plan| HostedNode::start(plan, core.kernel.clone(), network, clock.clone());
        let host = hosted.map(start).transpose()?.map(|node| Arc::new(node) as Arc<dyn api::hosted::Host>);
        let server = core.serve(desk, keys.clone(), clock, listen, host).await?;
        Ok(Running { kernel: core.kernel.clone(), view, addr: server.addr, keys, core, server })
    }

    /// Builds the machines of the plan and brings them to the end of the journal.
    pub(crate) fn open<W: Wired>(&self, wire: impl FnOnce(Machines) -> W) -> Result<Opened<W>> {
        let (mut driver, snapshots) = open(&self.dir, wire(self.manifest.machines.build()?))?;
        recover(&mut driver, &snapshots)?;
        Ok(Opened { driver, snapshots })
    }

    /// Starts the edges that the machines need, and the kernel.
    pub(crate) fn launch<W: Wired>(self, opened: Opened<W>, ties: Ties) -> Result<Core> {
        let Opened { mut driver, snapshots } = opened;
        let (kernel, rx) = KernelHandle::channel();
        let (pushes, _) = broadcast::channel::<Arc<Push>>(PUSHES);
        let bell = watch::Sender::new(0);
        let machines = driver.wiring().machines();
        let (board, network) = (
            machines.board.clone(),
            NetworkName { name: self.manifest.network.0.clone(), hash: self.network },
        );
        let (feeds, mines) = (machines.feed.is_some(), !machines.miners.is_empty());
        let (judges, view) = (!machines.validators.is_empty(), machines.view.clone());
        let lane = mines.then(|| self.lanes(&kernel)).transpose()?;
        let models = lane.as_ref().map(Lanes::meter).unwrap_or_default();
        let deeds = Deeds {
            venue: feeds.then(|| venue(self.endpoints.clone(), &kernel)),
            lane,
            miners: self.miners,
            validators: self.validators,
            network: self.network,
            pushes: pushes.clone(),
            bell: bell.clone(),
            probe: self.probe,
            answers: ties.answers,
            kernel: kernel.clone(),
        };
        let (now, due) = (self.clock.now(), driver.wiring().machines().due());
        if judges {
            let machines = driver.wiring().machines();
            let news: Vec<&Intake> = self.genesis.iter().filter(|body| is_news(machines, body)).collect();
            for body in news {
                driver.submit(schemas::Stream::Intake, schemas::encode(body), now)?;
            }
        } else if feeds && driver.last_seq() == 0 {
            // A journal begins now: without a first record the feed would live through all time before.
            driver.submit(schemas::Stream::Raw, schemas::encode(&Raw::TimeAdvanced { to: now }), now)?;
        }
        let loop_ = Kernel::new(driver, deeds, self.clock, rx, Some(snapshots)).announcing(ties.durable);
        let loop_ = loop_.resuming(due)?;
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::Builder::new()
            .name("kernel".to_owned())
            .spawn(move || loop_.run(&runtime).inspect_err(|e| tracing::error!("the kernel stopped: {e:#}")))
            .context("starting the kernel thread")?;
        Ok(Core {
            kernel,
            view,
            board,
            network,
            bell,
            pushes,
            dir: self.dir,
            manifest: self.manifest,
            models,
            thread,
        })
    }

    fn lanes(&self, kernel: &KernelHandle) -> Result<Lanes> {
        let search = crate::assets::ort_search(self.ort_lib.clone());
        let engines = Engines::find(&search, self.engine)?;
        let back = kernel.clone();
        let answer = move |result| {
            if !back.blocking_send(Cmd::Inference(result)) {
                tracing::debug!("an inference result came after the kernel stopped");
            }
        };
        let config = LaneConfig { device: self.device, ..LaneConfig::default() };
        let lanes = Lanes::start(&engines, self.bundles.clone(), &config, answer)?;
        for (bundle, report) in lanes.reports() {
            tracing::info!(bundle = %bundle.short(), provider = ?report.chosen, "model loaded");
        }
        Ok(lanes)
    }
}

/// Whether the network has not heard of this yet: everything in a new journal, later only new members and
/// customers. What it says twice all the same (a customer who has spent everything) the validator refuses.
fn is_news(machines: &Machines, body: &Intake) -> bool {
    let Some(validator) = machines.validators.first() else { return false };
    match body {
        _ if validator.rules().is_none() => true,
        Intake::Miner(joined) => !validator.miners().any(|m| m.miner == joined.miner),
        Intake::Account(AccountCommand::Open { account } | AccountCommand::TopUp { account, .. }) => {
            validator.prepaid(account).0 == 0
        }
        Intake::Account(AccountCommand::Subscribe(s)) => validator.prepaid(&s.account).0 == 0,
        _ => false,
    }
}

fn open<W: Wired>(dir: &RunDir, wiring: W) -> Result<(Driver<FileLog, W>, SnapshotStore)> {
    let log = FileLog::open(dir.journal(), FileOptions::default()).context("opening the journal")?;
    if let Some(torn) = log.torn() {
        tracing::warn!(seq = torn.seq, bytes = torn.bytes, "cut off a record that was never acknowledged");
    }
    let snapshots =
        SnapshotStore::open(dir.snapshots(), SnapshotOptions::default()).context("opening the snapshots")?;
    Ok((Driver::new(log, wiring, Limits::default()), snapshots))
}

/// Snapshot + tail. What was in flight at the venue when the process died is answered with its failure.
fn recover<W: Wired>(driver: &mut Driver<FileLog, W>, snapshots: &SnapshotStore) -> Result<()> {
    if driver.last_seq() == 0 {
        return Ok(());
    }
    let recovery = driver.recover(Some(snapshots), &mut |_| {}).context("recovering the journal")?;
    for note in &recovery.notes {
        tracing::warn!(snapshot = note.seq, fault = ?note.fault, "a snapshot was passed over");
    }
    tracing::info!(snapshot = ?recovery.snapshot, replayed = recovery.external + recovery.derived, "recovered");
    // Requests that were in flight time out in the feed; its connection is gone with the old process.
    let conn = driver.wiring().machines().feed.as_ref().map_or(0, ingest::Feed::conn);
    if conn > 0 {
        let gone = Raw::Closed { conn, reason: "the node restarted".to_owned() };
        driver.submit(schemas::Stream::Raw, schemas::encode(&gone), driver.last_at())?;
    }
    Ok(())
}

fn venue(endpoints: Endpoints, kernel: &KernelHandle) -> VenueEdge {
    let (tx, mut rx) = mpsc::channel::<Seen>(FRAMES);
    let back = kernel.clone();
    tokio::spawn(async move {
        while let Some(seen) = rx.recv().await {
            // The kernel stamps by its own clock, which in a demo is simulated.
            if !back.send(Cmd::Raw(seen.raw)).await {
                return;
            }
        }
    });
    VenueEdge::spawn(endpoints, tx)
}

/// Ready while the kernel takes commands and the ledger sums to zero.
fn health(view: SharedView, kernel: KernelHandle) -> Arc<dyn Fn() -> Health + Send + Sync> {
    Arc::new(move || {
        let imbalance = view.read().expect("no writer panics while holding the view").ledger().imbalance();
        let check = |name: &str, ok: bool, detail: String| HealthCheck { name: name.to_owned(), ok, detail };
        let checks = vec![
            check("kernel", kernel.is_alive(), "takes commands".to_owned()),
            check("ledger", imbalance == 0, format!("all postings sum to {imbalance} micros")),
        ];
        Health { ready: checks.iter().all(|c| c.ok), checks }
    })
}

impl Core {
    /// Starts the API over this kernel's view.
    pub(crate) async fn serve(
        &self,
        desk: Arc<dyn api::Desk>,
        keys: api::keys::KeyStore,
        clock: Clock,
        listen: SocketAddr,
        host: Option<Arc<dyn api::hosted::Host>>,
    ) -> Result<Server> {
        let view = self.view.clone().context("this process has no view to serve")?;
        let now = Arc::new(move || clock.now());
        let mut state = ApiState::new(Arc::clone(&view), desk, keys, self.pushes.clone(), now);
        state.health = health(view, self.kernel.clone());
        state.board = self.board.clone().context("this process has no board to serve")?;
        (state.bell, state.network) = (self.bell.clone(), self.network.clone());
        let models = self.models.clone();
        state.more_metrics = Arc::new(move || models.prometheus());
        state.host = host;
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .with_context(|| format!("listening on {listen} (choose another address with --listen)"))?;
        let addr = listener.local_addr().context("the API's own address")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(api::serve(listener, api::app(state), async move {
            let _ = stopped.await;
        }));
        Ok(Server { addr, task, stop })
    }

    /// Whether the kernel is gone.
    pub(crate) fn is_down(&self) -> bool {
        self.thread.is_finished()
    }

    /// The kernel commits, snapshots and stops; the manifest gets its end.
    pub(crate) async fn stop(self) -> Result<Finished> {
        let finished = self.kernel.stop().await;
        let ended =
            tokio::task::spawn_blocking(move || self.thread.join()).await.context("joining the kernel")?;
        ended.map_err(|_| anyhow!("the kernel panicked"))??;
        let finished = finished.context("the kernel stopped before it was told to")?;
        let manifest = RunManifest {
            finished: Some(FinishedRun {
                last_seq: finished.last_seq,
                chain: finished.chain.to_string(),
                digest: finished.digest.to_string(),
            }),
            ..self.manifest
        };
        self.dir.write_manifest(&manifest)?;
        Ok(finished)
    }
}

impl Server {
    /// Says goodbye to every client and waits for the last.
    pub(crate) async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        self.task.await.context("the API's task panicked")?.context("serving the API")
    }
}

impl Running {
    /// URL of the dashboard.
    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// URL of the WebSocket.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/v1/ws", self.addr)
    }

    /// A fresh API key of this account with everything a customer needs.
    pub fn customer_key(&self, account: &AccountId) -> Result<String> {
        let scopes = [Scope::SignalsRead, Scope::Stream, Scope::AccountRead];
        let key = self
            .keys
            .create(account, &scopes, None, crate::clock::wall_now())
            .context("creating an API key")?;
        Ok(key.secret)
    }

    /// Whether the kernel is gone.
    pub fn is_down(&self) -> bool {
        self.core.is_down()
    }

    /// Drains: the API says goodbye, the kernel commits, snapshots and stops; the manifest gets its end.
    pub async fn stop(self) -> Result<Finished> {
        self.server.stop().await?;
        self.core.stop().await
    }
}
