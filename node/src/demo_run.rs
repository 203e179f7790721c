//! A demo as a value: twin, node and customer started together, drained and summed up together. Never prints.
#![allow(clippy::disallowed_methods, reason = "node starts tasks")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use schemas::{AccountId, Timestamp};
use sim::{Day, Pace, Speed, Twin, TwinHandle};

use crate::clock::{self, Clock};
use crate::demo_plan::{self, CUSTOMER, Options};
use crate::probe::Probe;
use crate::run_dir::RunDir;
use crate::start::Running;
use crate::subscriber::{self, SharedBought};
use crate::summary::{Received, Summary};

/// How long the last signals may take to reach the customer.
const DRAIN: Duration = Duration::from_secs(20);

/// What a demo is started with.
pub struct DemoOptions {
    /// The day to play.
    pub day: Day,
    /// How fast.
    pub speed: Speed,
    /// Where the run goes; must be absent or empty.
    pub dir: PathBuf,
    /// Seed of keys and jitter.
    pub seed: u64,
    /// Where the facts come from, for people.
    pub source: String,
    /// Length of an epoch, seconds of market time.
    pub epoch_s: u32,
    /// Folder of bundles, if named.
    pub models: Option<PathBuf>,
    /// Bundles of miners beside the demo's own.
    pub guests: Vec<PathBuf>,
    /// ONNX Runtime, if named.
    pub ort_lib: Option<PathBuf>,
    /// What runs models.
    pub engine: forecaster::EngineChoice,
    /// Where models run.
    pub device: forecaster::Device,
    /// Address of the API.
    pub listen: std::net::SocketAddr,
    /// Measures questions on their way, in benchmarks.
    pub probe: Option<Probe>,
    /// When the process started: latencies to the first sale count from here.
    pub started: Instant,
}

impl DemoOptions {
    /// A demo of this day in this folder, as fast as it settles, on a free port of the loopback.
    pub fn new(day: Day, dir: PathBuf, seed: u64) -> Self {
        Self {
            day,
            speed: Speed::Max,
            dir,
            seed,
            source: format!("simulated day, seed {seed}"),
            epoch_s: 900,
            models: None,
            guests: Vec::new(),
            ort_lib: None,
            engine: forecaster::EngineChoice::Auto,
            device: forecaster::Device::Cpu,
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            probe: None,
            started: clock::instant(),
        }
    }
}

/// A running demo.
pub struct DemoRun {
    /// The node.
    pub running: Running,
    /// The venue.
    pub twin: TwinHandle,
    /// What the customer has seen.
    pub bought: SharedBought,
    /// The folder.
    pub dir: RunDir,
    started: Instant,
}

/// How a demo ended.
pub struct DemoEnd {
    /// What it amounts to.
    pub summary: Summary,
    /// How often simulated time ran ahead because something did not settle; must be zero.
    pub stalls: u64,
}

impl DemoRun {
    /// Starts the twin, the node and its customer; time begins to run as soon as the feed has subscribed.
    pub async fn start(options: DemoOptions) -> Result<Self> {
        let dir = RunDir::create(&options.dir)?;
        let day = Arc::new(options.day);
        let pace = Pace::new(day.begins_at(), options.speed);
        let twin = Twin::spawn(Arc::clone(&day), pace.clone()).context("starting the venue's twin")?;
        let plan = demo_plan::plan(&Options {
            seed: options.seed,
            source: options.source,
            epoch_s: options.epoch_s,
            day: &day,
            dir: &dir,
            twin: &twin,
            clock: Clock::Stepped(pace.clone()),
            models: options.models.as_deref(),
            guests: &options.guests,
            ort_lib: options.ort_lib,
            engine: options.engine,
            device: options.device,
            listen: options.listen,
            probe: options.probe.clone(),
        })?;
        let running = plan.run().await?;
        let kernel = running.kernel.clone();
        pace.set_hook(Box::new(move |to: Timestamp| {
            let kernel = kernel.clone();
            Box::pin(async move { kernel.advance(to).await })
        }));
        let bought = customer(&running, options.probe)?;
        Ok(Self { running, twin, bought, dir, started: options.started })
    }

    /// Signals the customer has.
    pub fn received(&self) -> u64 {
        self.bought.lock().expect("the customer never panics").signals
    }

    /// Waits until the customer has every issued signal; `false` if it is still behind after a while.
    pub async fn drain(&self) -> bool {
        let deadline = clock::instant() + DRAIN;
        while clock::instant() < deadline {
            let issued: u64 = {
                let view = self.running.view.read().expect("no writer panics while holding the view");
                view.topics().values().map(|t| t.issued).sum()
            };
            if self.received() >= issued {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Stops everything in good order and sums up.
    pub async fn finish(self) -> Result<DemoEnd> {
        let (view, stalls) = (Arc::clone(&self.running.view), self.twin.pace().stalls());
        let received = {
            let bought = self.bought.lock().expect("the customer never panics");
            Received {
                signals: bought.signals,
                holes: bought.holes,
                first_ms: bought.first.map(|at| at.duration_since(self.started).as_millis() as u64),
            }
        };
        self.twin.shutdown().await;
        let finished = self.running.stop().await?;
        let view = view.read().expect("no writer panics while holding the view");
        let dir = self.dir.root().display().to_string();
        let wall_s = self.started.elapsed().as_secs_f64();
        let mut summary = Summary::new(&view, &finished.tally, received, &dir, wall_s);
        summary.digest = finished.digest.to_string();
        Ok(DemoEnd { summary, stalls })
    }
}

fn customer(running: &Running, probe: Option<Probe>) -> Result<SharedBought> {
    let account = AccountId::new(CUSTOMER).expect("the demo's customer has a plain name");
    let key = running.customer_key(&account)?;
    let bought = SharedBought::default();
    let task = subscriber::run(running.ws_url(), key, demo_plan::topic_names(), Arc::clone(&bought), probe);
    tokio::spawn(async move {
        if let Err(error) = task.await {
            tracing::error!("the customer stopped: {error:#}");
        }
    });
    Ok(bought)
}
