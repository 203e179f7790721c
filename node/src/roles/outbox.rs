//! The outbox of a role: its journal again on a Redis stream, number by number, for the other roles to follow.
//! Never the record: what Redis loses is published again from the journal.
#![allow(clippy::disallowed_methods, reason = "node starts threads and reads clocks")]

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use bus::{BusError, Log as _, RedisLog, RedisOptions};
use schemas::{Entry, Stream};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::intake_of;
use crate::clock::instant;
use crate::kernel::{Cmd, KernelHandle};
use crate::plan::Role;

/// How long a role's lease holds without a renewal.
const TTL: Duration = Duration::from_secs(5);
/// How often the lease is renewed.
const RENEW: Duration = Duration::from_millis(1_500);
/// How long a process waits for the lease of one that died, before it takes it for alive.
const PATIENCE: Duration = Duration::from_secs(7);
/// How long a stopping process tries to publish its last records.
const DRAIN: Duration = Duration::from_secs(3);
/// The first and the longest pause after Redis failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Where Redis is and which network meets there.
#[derive(Clone)]
pub struct Meeting {
    /// `redis://[user:password@]host:port/db`.
    pub url: String,
    /// Name of the network.
    pub network: String,
}

impl Meeting {
    /// The outbox of a role.
    pub fn options(&self, role: Role) -> RedisOptions {
        let name = format!("{}.{}", self.network, role.name());
        let lease_ttl_ms = u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX);
        RedisOptions { lease_ttl_ms, ..RedisOptions::new(&self.url, &name) }
    }

    /// The URL without user and password.
    pub fn shown(&self) -> String {
        match (self.url.split_once("://"), self.url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            _ => self.url.clone(),
        }
    }

    /// Takes the one lease of a role, waiting for the end of a dead process's.
    ///
    /// # Errors
    /// Says what to do when Redis cannot be reached or another process has the role.
    pub fn take(&self, role: Role) -> Result<RedisLog> {
        let since = instant();
        loop {
            match RedisLog::open(self.options(role)) {
                Ok(log) => return Ok(log),
                Err(BusError::LeaseHeld { holder }) if since.elapsed() >= PATIENCE => {
                    return Err(self.taken(role, holder));
                }
                Err(BusError::LeaseHeld { holder }) => {
                    tracing::info!(role = role.name(), fence = holder, "waiting for the role's lease");
                    std::thread::sleep(RENEW / 3);
                }
                Err(e) => bail!(
                    "Redis at {} does not answer ({e}); start it, or name another with --redis",
                    self.shown()
                ),
            }
        }
    }

    fn taken(&self, role: Role, fence: u64) -> anyhow::Error {
        anyhow!(
            "another process is the {} of network {} at {} (fence {fence}); stop it first: a role has one writer",
            role.name(),
            self.network,
            self.shown()
        )
    }
}

/// A running publisher.
pub struct Publisher {
    thread: JoinHandle<Result<()>>,
    durable: watch::Receiver<u64>,
    published: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
}

/// What the publisher's thread owns.
struct Work {
    meeting: Meeting,
    role: Role,
    kernel: KernelHandle,
    durable: watch::Receiver<u64>,
    published: watch::Sender<u64>,
    stop: watch::Receiver<bool>,
    log: RedisLog,
    renewed: Instant,
    pause: Duration,
}

impl Publisher {
    /// Starts publishing everything that is durable and not in the outbox yet.
    pub fn start(
        meeting: Meeting,
        role: Role,
        log: RedisLog,
        kernel: KernelHandle,
        durable: watch::Receiver<u64>,
    ) -> Result<Self> {
        let (published_tx, published) = watch::channel(log.last().0);
        let (stop, stopped) = watch::channel(false);
        let work = Work {
            meeting,
            role,
            kernel,
            durable: durable.clone(),
            published: published_tx,
            stop: stopped,
            log,
            renewed: instant(),
            pause: PAUSE.0,
        };
        let runtime = Handle::current();
        let thread = std::thread::Builder::new()
            .name("outbox".to_owned())
            .spawn(move || work.run(&runtime).inspect_err(|e| tracing::error!("the outbox stopped: {e:#}")))
            .context("starting the outbox's thread")?;
        Ok(Self { thread, durable, published, stop })
    }

    /// Whether it has given up; the process must stop then.
    pub fn is_down(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits, not for ever, until everything durable is published.
    pub async fn drain(&mut self) {
        let durable = *self.durable.borrow();
        let all = self.published.wait_for(|seq| *seq >= durable);
        if !matches!(tokio::time::timeout(DRAIN, all).await, Ok(Ok(_))) {
            tracing::warn!("not everything is published; the next start publishes the rest");
        }
    }

    /// Gives the lease back and ends.
    pub async fn stop(self) -> Result<()> {
        self.stop.send_replace(true);
        let ended =
            tokio::task::spawn_blocking(move || self.thread.join()).await.context("joining the outbox")?;
        ended.map_err(|_| anyhow!("the outbox panicked"))?
    }
}

impl Work {
    fn run(mut self, runtime: &Handle) -> Result<()> {
        while !*self.stop.borrow() {
            match self.publish() {
                Ok(()) => self.pause = PAUSE.0,
                Err(e) => self.mend(&e)?,
            }
            let (durable, stop) = (&mut self.durable, &mut self.stop);
            runtime.block_on(async {
                tokio::select! {
                    changed = durable.changed() => {
                        if changed.is_err() {
                            // The kernel is gone; there is nothing more to come until somebody says stop.
                            tokio::time::sleep(RENEW).await;
                        }
                    }
                    _ = stop.changed() => {}
                    () = tokio::time::sleep(RENEW) => {}
                }
            });
        }
        if let Err(e) = self.log.release() {
            tracing::warn!("the lease was not given back, it ends by itself: {e}");
        }
        Ok(())
    }

    /// Sends what waits and everything durable behind it, and holds the lease.
    fn publish(&mut self) -> Result<(), BusError> {
        self.published.send_replace(self.log.sync()?);
        while self.log.last().0 < *self.durable.borrow() {
            let Some(entries) = self.read(self.log.last().0 + 1) else { break };
            if entries.is_empty() {
                break;
            }
            self.log.append(&entries.into_iter().map(masked).collect::<Vec<_>>())?;
            self.published.send_replace(self.log.sync()?);
            self.renew()?;
        }
        self.renew()
    }

    fn renew(&mut self) -> Result<(), BusError> {
        if self.renewed.elapsed() >= RENEW / 2 {
            self.log.renew()?;
            self.renewed = instant();
        }
        Ok(())
    }

    fn read(&self, from: u64) -> Option<Vec<Entry>> {
        let (reply, entries) = oneshot::channel();
        self.kernel.blocking_send(Cmd::Read { from, reply }).then_some(())?;
        entries.blocking_recv().ok()
    }

    /// Redis away: wait and try again. Lease or stream lost with it: take the lease again and publish from where
    /// the stream ends now. Somebody else has the role: an error.
    fn mend(&mut self, error: &BusError) -> Result<()> {
        if self.pause == PAUSE.0 {
            tracing::warn!("the outbox waits for Redis; the journal goes on: {error}");
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
        match error {
            BusError::Redis(_) => return Ok(()),
            BusError::StaleFence { newer, .. } => return Err(self.meeting.taken(self.role, *newer)),
            _ => {}
        }
        let since = instant();
        while !*self.stop.borrow() {
            match RedisLog::open(self.meeting.options(self.role)) {
                Ok(log) => {
                    check(&log, *self.durable.borrow(), &self.meeting, self.role)?;
                    self.log = log;
                    return Ok(());
                }
                Err(BusError::LeaseHeld { holder }) if since.elapsed() >= PATIENCE => {
                    return Err(self.meeting.taken(self.role, holder));
                }
                Err(BusError::LeaseHeld { .. } | BusError::Redis(_)) => std::thread::sleep(RENEW / 3),
                Err(other) => return Err(other).context("opening the outbox again"),
            }
        }
        Ok(())
    }
}

/// An outbox that is ahead of its journal belongs to another folder.
pub fn check(log: &RedisLog, durable: u64, meeting: &Meeting, role: Role) -> Result<()> {
    let published = log.last().0;
    if published > durable {
        bail!(
            "the outbox {}.{} in Redis holds {published} records, the journal here {durable}: it is of another \
             folder; name that with --dir, or another network.name",
            meeting.network,
            role.name()
        );
    }
    Ok(())
}

/// The same entry, without a body where no other role may read it: raw frames, and the clock of this process.
fn masked(mut entry: Entry) -> Entry {
    let private = match entry.stream {
        Stream::Raw | Stream::Forecasts => true,
        Stream::Intake => matches!(intake_of(&entry), Some(schemas::Intake::TimeAdvanced { .. })),
        Stream::Market | Stream::Verdicts => false,
    };
    if private {
        entry.record.body = Vec::new();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://me:secret@host:1/0", "redis://host:1/0"),
            ("redis://me:s@cret@host", "redis://host"),
        ] {
            let meeting = Meeting { url: url.to_owned(), network: "n".to_owned() };
            assert_eq!(meeting.shown(), shown);
        }
    }
}
