//! Roles in several processes that meet over Redis: each has its own kernel and journal, publishes the journal in
//! its outbox and follows those of others. Never a second loop, and Redis is never the record.
#![allow(clippy::print_stderr, reason = "a command tells its user what it does")]

pub mod desk;
pub mod links;
pub mod outbox;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bus::RedisLog;
use schemas::{Entry, Intake};
use tokio::sync::watch;

use crate::config::Config;
use crate::desk::KernelDesk;
use crate::node_plan;
use crate::plan::Role;
use crate::run_dir::RunDir;
use crate::signals::Signals;
use crate::start::{Core, Server, Start, Ties};
use crate::wire::{Machines, Remote, Wired};
use desk::{RemoteDesk, Waiting};
use links::{Follower, Link};
use outbox::{Meeting, Publisher};

/// How often a process looks whether all its parts are alive.
const WATCH: Duration = Duration::from_secs(1);

/// The record of an entry of the intake; `None` if this version cannot read it.
fn intake_of(entry: &Entry) -> Option<Intake> {
    schemas::decode(&entry.record.body).ok()
}

/// Everything of a process of one role.
struct Process {
    core: Core,
    publisher: Publisher,
    followers: Vec<Follower>,
    server: Option<Server>,
}

/// Runs one role until SIGINT or SIGTERM.
pub async fn run(role: Role, config: &Config, ort_lib: Option<PathBuf>) -> Result<ExitCode> {
    ensure!(
        !config.redis.is_empty(),
        "--role {0} meets the other roles over Redis; add --redis redis://127.0.0.1:6379 (or set ORACULO_REDIS), \
         or run everything in one process with --role all",
        role.name()
    );
    let mut signals = Signals::new()?;
    let meeting = Meeting { url: config.redis.clone(), network: config.network.name.clone() };
    let taking = meeting.clone();
    let outbox =
        tokio::task::spawn_blocking(move || taking.take(role)).await.context("taking the lease")??;
    let start = plan(config, ort_lib, role)?;
    let process = if role.hears() {
        begin(role, config, start, meeting, outbox, Remote).await?
    } else {
        begin(role, config, start, meeting, outbox, |machines| machines).await?
    };
    if let Some(server) = &process.server {
        eprintln!("dashboard  http://{}/", server.addr);
    }
    eprintln!("{:<10} {}", role.name(), config.dir.join(role.name()).display());
    let mut watch = tokio::time::interval(WATCH);
    let whole = loop {
        tokio::select! {
            () = signals.stop() => break true,
            _ = watch.tick() => if process.is_down() { break false },
        }
    };
    eprintln!("draining");
    let stopped = process.stop().await;
    ensure!(whole, "a part of the {} stopped; the log above says why", role.name());
    eprintln!("stopped at record {}", stopped?);
    Ok(ExitCode::SUCCESS)
}

/// Roles that start together in one folder must agree on its key file.
fn plan(config: &Config, ort_lib: Option<PathBuf>, role: Role) -> Result<Start> {
    std::fs::create_dir_all(&config.dir).with_context(|| format!("creating {}", config.dir.display()))?;
    let path = config.dir.join("node.lock");
    let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    lock.lock().with_context(|| format!("locking {}", path.display()))?;
    node_plan::plan_role(config, ort_lib, role)
}

/// Recovers, starts the kernel, publishes and follows.
async fn begin<W: Wired>(
    role: Role,
    config: &Config,
    start: Start,
    meeting: Meeting,
    outbox: RedisLog,
    wire: impl FnOnce(Machines) -> W,
) -> Result<Process> {
    let mut opened = start.open(wire)?;
    let durable = opened.driver.durable_seq();
    outbox::check(&outbox, durable, &meeting, role)?;
    let own: BTreeSet<_> = start.miners.iter().map(|hand| hand.key.id()).collect();
    let folder = start.dir.root().to_owned();
    let mut links = Vec::new();
    for from in links::followed(role) {
        links.push(Link::open(role, *from, own.clone(), &folder, opened.driver.log_mut())?);
    }
    let (announce, durable) = watch::channel(durable);
    let answers = Arc::new(Waiting::default());
    let (clock, listen) = (start.clock.clone(), start.listen);
    let core = start.launch(opened, Ties { durable: Some(announce), answers: Arc::clone(&answers) })?;
    let publisher = Publisher::start(meeting.clone(), role, outbox, core.kernel.clone(), durable)?;
    let followers: Result<Vec<_>> =
        links.into_iter().map(|link| Follower::start(link, meeting.clone(), core.kernel.clone())).collect();
    let server = match core.view.clone() {
        None => None,
        Some(view) => {
            // The node's keys, where `oraculo keys` looks for them; the view and the journal are the role's own.
            let keys = api::keys::KeyStore::open(RunDir::at(&config.dir).keys())
                .context("opening the API's key file")?;
            let desk = RemoteDesk { own: KernelDesk(core.kernel.clone()), waiting: answers, view };
            Some(core.serve(Arc::new(desk), keys, clock, listen, None).await?)
        }
    };
    Ok(Process { core, publisher, followers: followers?, server })
}

impl Process {
    fn is_down(&self) -> bool {
        self.core.is_down() || self.publisher.is_down() || self.followers.iter().any(Follower::is_down)
    }

    /// Drains: clients first, then what comes from others, then what goes to them; the kernel last. Every part is
    /// stopped, whatever became of the others. Returns the last number of the journal.
    async fn stop(mut self) -> Result<u64> {
        let mut first = Ok(());
        if let Some(server) = self.server {
            first = first.and(server.stop().await);
        }
        for follower in self.followers {
            first = first.and(follower.stop().await);
        }
        self.publisher.drain().await;
        let finished = self.core.stop().await;
        first.and(self.publisher.stop().await)?;
        Ok(finished?.last_seq)
    }
}
