//! The kernel thread: one driver, one journal, one loop. Never parses, judges or sells anything itself.
//!
//! Everything from outside arrives as a [`Cmd`] on one bounded queue. A batch of commands shares one group
//! commit; what promises something to a stranger (a receipt, a push) leaves only after it. Feed and inference
//! deeds promise nothing and leave at once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use api::Receipt;
use bus::{Applied, Driver, FileLog, Log as _, SnapshotStore};
use schemas::{Entry, InferenceResult, Intake, Raw, Stream, Timestamp, Verdict};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::deeds::{Deeds, settled_by};
use crate::wire::{Deed, Wired};

/// How many commands may wait for the kernel.
pub const QUEUE: usize = 4_096;
/// How many commands share one group commit.
const BATCH: usize = 1_024;
/// How many entries a reader gets at once.
const CHUNK: usize = 512;
/// How long the kernel sleeps at most when nothing asks for it.
const NAP: Duration = Duration::from_millis(100);

/// A snapshot is stored after this many records.
const SNAPSHOT_EVERY: u64 = 250_000;
/// After how many idle naps a wake that does not settle is left behind.
const PATIENCE: u32 = 50;

/// One thing from outside.
#[derive(Debug)]
pub enum Cmd {
    /// The venue's edge saw something.
    Raw(Raw),
    /// Somebody submits to the intake; the reply comes after the group commit.
    Intake {
        /// The record.
        body: Box<Intake>,
        /// Who waits for its receipt.
        reply: Option<oneshot::Sender<Receipt>>,
    },
    /// A model answered.
    Inference(InferenceResult),
    /// Simulated time moves to `to`: serve every wake up to there, in order, then reply.
    Advance {
        /// The instant.
        to: Timestamp,
        /// Hears when everything up to there has settled.
        done: oneshot::Sender<()>,
    },
    /// Entries of another process, in order; the reply is the last durable number once they are.
    Follow {
        /// Stream and body of each.
        entries: Vec<(Stream, Vec<u8>)>,
        /// Hears the last durable number once they are durable.
        taken: oneshot::Sender<u64>,
    },
    /// Durable entries from this number on, a chunk at a time.
    Read {
        /// First number wanted.
        from: u64,
        /// Gets the entries.
        reply: oneshot::Sender<Vec<Entry>>,
    },
    /// Store a snapshot and stop.
    Stop {
        /// Hears what the kernel leaves.
        done: oneshot::Sender<Finished>,
    },
}

/// What a kernel leaves behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Last sequence number.
    pub last_seq: u64,
    /// BLAKE3 chain over the journal.
    pub chain: schemas::Digest,
    /// Digest of all machines.
    pub digest: schemas::Digest,
    /// Counts of the run.
    pub tally: crate::tally::Tally,
}

/// The sending side of the kernel.
#[derive(Clone, Debug)]
pub struct KernelHandle {
    tx: mpsc::Sender<Cmd>,
}

impl KernelHandle {
    /// A handle and the receiver its kernel will own.
    pub fn channel() -> (Self, mpsc::Receiver<Cmd>) {
        let (tx, rx) = mpsc::channel(QUEUE);
        (Self { tx }, rx)
    }

    /// Hands over a command, waiting for room. `false` when the kernel is gone.
    pub async fn send(&self, cmd: Cmd) -> bool {
        self.tx.send(cmd).await.is_ok()
    }

    /// The same from a plain thread.
    pub fn blocking_send(&self, cmd: Cmd) -> bool {
        self.tx.blocking_send(cmd).is_ok()
    }

    /// Whether the kernel takes commands.
    pub fn is_alive(&self) -> bool {
        !self.tx.is_closed()
    }

    /// Hands over a command only if there is room.
    #[allow(clippy::result_large_err, reason = "the refused command goes back to its owner")]
    pub fn try_send(&self, cmd: Cmd) -> std::result::Result<(), mpsc::error::TrySendError<Cmd>> {
        self.tx.try_send(cmd)
    }

    /// Moves simulated time and waits until everything that follows has settled.
    pub async fn advance(&self, to: Timestamp) {
        let (done, served) = oneshot::channel();
        if self.send(Cmd::Advance { to, done }).await {
            // A kernel that is going down drops the reply; there is nothing left to wait for then.
            let _ = served.await;
        }
    }

    /// Stores a snapshot, stops the kernel and returns what it left.
    pub async fn stop(&self) -> Option<Finished> {
        let (done, finished) = oneshot::channel();
        self.send(Cmd::Stop { done }).await.then_some(())?;
        finished.await.ok()
    }
}

/// The kernel: owned by its thread.
pub struct Kernel<W: Wired> {
    driver: Driver<FileLog, W>,
    deeds: Deeds,
    clock: Clock,
    rx: mpsc::Receiver<Cmd>,
    snapshots: Option<SnapshotStore>,
    replies: Vec<(oneshot::Sender<Receipt>, Receipt)>,
    held: Vec<Deed>,
    taken: Vec<oneshot::Sender<u64>>,
    durable: Option<watch::Sender<u64>>,
    stopping: Option<oneshot::Sender<Finished>>,
    saved: u64,
    now: Timestamp,
}

impl<W: Wired> Kernel<W> {
    /// A kernel over a recovered driver.
    pub fn new(
        driver: Driver<FileLog, W>,
        deeds: Deeds,
        clock: Clock,
        rx: mpsc::Receiver<Cmd>,
        snapshots: Option<SnapshotStore>,
    ) -> Self {
        let now = driver.last_at();
        let saved = driver.last_seq();
        Self {
            driver,
            deeds,
            clock,
            rx,
            snapshots,
            replies: Vec::new(),
            held: Vec::new(),
            taken: Vec::new(),
            durable: None,
            stopping: None,
            saved,
            now,
        }
    }

    /// Executes deeds that a stopped process left undone, and those of what was submitted before the kernel runs
    /// (the first records, the end of an old connection).
    pub fn resuming(mut self, due: Vec<Deed>) -> Result<Self> {
        self.now = self.now.max(self.clock.now());
        for deed in due {
            if let Some(intake) = self.deeds.execute(deed, &self.clock) {
                self.submit(Stream::Intake, schemas::encode(&intake))?;
            }
        }
        self.settle()?;
        Ok(self)
    }

    /// Commits every batch and announces the last durable number, for whoever publishes the journal.
    #[must_use]
    pub fn announcing(self, durable: Option<watch::Sender<u64>>) -> Self {
        Self { durable, ..self }
    }

    /// Runs until told to stop. Errors are fatal: the journal is in doubt and nothing may be acknowledged.
    pub fn run(mut self, runtime: &tokio::runtime::Handle) -> Result<()> {
        loop {
            let first = runtime.block_on(async { tokio::time::timeout(self.nap(), self.rx.recv()).await });
            self.tick()?;
            match first {
                Ok(None) => return Ok(()),
                Ok(Some(cmd)) => self.batch(cmd, runtime)?,
                Err(_elapsed) => {}
            }
            self.tick()?;
            self.release()?;
            self.snapshot_sometimes()?;
            if let Some(done) = self.stopping.take() {
                return self.finish(done);
            }
        }
    }

    /// Takes this command and whatever else waits, up to a batch.
    fn batch(&mut self, first: Cmd, runtime: &tokio::runtime::Handle) -> Result<()> {
        let mut next = Some(first);
        for _ in 0..BATCH {
            match next {
                None => break,
                Some(Cmd::Stop { done }) => self.stopping = Some(done),
                Some(Cmd::Advance { to, done }) => {
                    self.advance(to, runtime)?;
                    // The pace may have given up waiting; that is counted there.
                    let _ = done.send(());
                }
                Some(cmd) => self.take(cmd)?,
            }
            if self.stopping.is_some() {
                break;
            }
            next = self.rx.try_recv().ok();
        }
        Ok(())
    }

    fn take(&mut self, cmd: Cmd) -> Result<()> {
        self.now = self.now.max(self.clock.now());
        match cmd {
            Cmd::Raw(raw) => {
                let settles = settled_by(&raw);
                self.submit(Stream::Raw, schemas::encode(&raw))?;
                self.settle()?;
                self.clock.leave(settles);
            }
            Cmd::Inference(result) => {
                self.submit(Stream::Forecasts, schemas::encode(&result))?;
                self.settle()?;
                self.clock.leave(1);
            }
            Cmd::Intake { body, reply } => {
                let applied = self.submit(Stream::Intake, schemas::encode(&*body))?;
                // Whoever sent what was refused hears that the desk is closed.
                if let (Some(reply), Some(applied)) = (reply, applied) {
                    self.replies.push((reply, receipt(&applied)?));
                }
                self.settle()?;
            }
            Cmd::Follow { entries, taken } => self.follow(entries, taken)?,
            Cmd::Read { from, reply } => {
                let mut entries = self.driver.log_mut().read(from, CHUNK).context("reading the journal")?;
                let durable = self.driver.durable_seq();
                entries.retain(|e| e.record.seq <= durable);
                // A reader that went away needs nothing.
                let _ = reply.send(entries);
            }
            Cmd::Advance { .. } | Cmd::Stop { .. } => unreachable!("handled by the batch"),
        }
        Ok(())
    }

    /// Another version may say what this one cannot read: that is refused and logged, and nothing changes.
    fn follow(&mut self, entries: Vec<(Stream, Vec<u8>)>, taken: oneshot::Sender<u64>) -> Result<()> {
        for (stream, body) in entries {
            if self.submit(stream, body)?.is_some() {
                self.settle()?;
            }
        }
        self.taken.push(taken);
        Ok(())
    }

    /// `None` if the record was refused (too large, derived only, not ours to read): that is logged, nothing changes,
    /// and the kernel goes on. Every other failure is fatal.
    fn submit(&mut self, stream: Stream, body: Vec<u8>) -> Result<Option<Applied>> {
        match self.driver.submit(stream, body, self.now) {
            Ok(applied) => Ok(Some(applied)),
            Err(e) if e.is_refusal() => {
                tracing::error!(code = e.code(), "refused a record: {e}");
                Ok(None)
            }
            Err(e) => Err(e).context("the journal failed"),
        }
    }

    /// Executes the deeds that promise nothing to anybody; signing is one of them, because what is signed is
    /// submitted to this very journal. Pushes wait for the group commit.
    fn settle(&mut self) -> Result<()> {
        loop {
            let deeds = self.driver.take_deeds_unsynced();
            if deeds.is_empty() {
                return Ok(());
            }
            for deed in deeds {
                if matches!(deed, Deed::Push(_) | Deed::Answer(_)) {
                    self.held.push(deed);
                } else if let Some(intake) = self.deeds.execute(deed, &self.clock) {
                    self.submit(Stream::Intake, schemas::encode(&intake))?;
                }
            }
        }
    }

    /// Group commit, then everything that waited for it.
    fn release(&mut self) -> Result<()> {
        let behind = self.durable.is_some() && self.driver.durable_seq() < self.driver.last_seq();
        if self.held.is_empty() && self.replies.is_empty() && self.taken.is_empty() && !behind {
            return Ok(());
        }
        let deeds = self.driver.commit().context("the group commit failed; nothing was acknowledged")?;
        debug_assert!(deeds.is_empty(), "settle has taken them all");
        for deed in self.held.drain(..) {
            self.deeds.execute(deed, &self.clock);
        }
        for (reply, receipt) in self.replies.drain(..) {
            // A client that hung up gets no receipt; its record stands.
            let _ = reply.send(receipt);
        }
        for taken in self.taken.drain(..) {
            // A follower that is stopping looks for its entries in the journal when it starts again.
            let _ = taken.send(self.driver.durable_seq());
        }
        if let Some(durable) = &self.durable {
            durable.send_replace(self.driver.durable_seq());
        }
        Ok(())
    }

    /// Wall-clock mode: serves the wakes that are due. In stepped mode `advance` does.
    fn tick(&mut self) -> Result<()> {
        if self.clock.is_stepped() {
            return Ok(());
        }
        self.now = self.now.max(self.clock.now());
        while let Some(at) = self.driver.next_wake() {
            if at > self.now {
                break;
            }
            self.wake(at.max(self.driver.last_at()))?;
        }
        Ok(())
    }

    fn wake(&mut self, at: Timestamp) -> Result<()> {
        self.driver.advance(at).context("serving a wake")?;
        self.settle()
    }

    /// Stepped mode: serves every wake up to `to`, waiting after each until what it set off has settled.
    fn advance(&mut self, to: Timestamp, runtime: &tokio::runtime::Handle) -> Result<()> {
        while let Some(at) = self.driver.next_wake() {
            if at > to || self.stopping.is_some() {
                break;
            }
            self.now = self.now.max(at);
            self.clock.reach(self.now);
            self.wake(self.now)?;
            self.quiesce(runtime)?;
        }
        self.now = self.now.max(to);
        Ok(())
    }

    /// Waits until nothing is in flight. Whatever never settles is left behind after a while and logged.
    fn quiesce(&mut self, runtime: &tokio::runtime::Handle) -> Result<()> {
        for naps in 0.. {
            self.release()?;
            if self.clock.in_flight() == 0 {
                return Ok(());
            }
            let next = runtime.block_on(async { tokio::time::timeout(NAP, self.rx.recv()).await });
            match next {
                Ok(Some(Cmd::Advance { done, .. })) => drop(done),
                // Stopping in the middle of a step: what is in flight is left behind.
                Ok(Some(Cmd::Stop { done })) => {
                    self.stopping = Some(done);
                    return Ok(());
                }
                Ok(None) => return Ok(()),
                Ok(Some(cmd)) => self.take(cmd)?,
                Err(_elapsed) if naps >= PATIENCE => {
                    tracing::warn!(in_flight = self.clock.in_flight(), "a wake did not settle");
                    return Ok(());
                }
                Err(_elapsed) => {}
            }
        }
        Ok(())
    }

    /// Bounds what a start after a crash must replay.
    fn snapshot_sometimes(&mut self) -> Result<()> {
        if self.driver.last_seq() < self.saved + SNAPSHOT_EVERY {
            return Ok(());
        }
        self.saved = self.driver.last_seq();
        if let Some(store) = &self.snapshots {
            self.driver.save_snapshot(store).context("storing a snapshot")?;
        }
        Ok(())
    }

    fn nap(&self) -> Duration {
        if self.clock.is_stepped() {
            return NAP;
        }
        let until = self.driver.next_wake().map_or(i64::MAX, |at| at.since(self.clock.now()));
        NAP.min(Duration::from_nanos(u64::try_from(until).unwrap_or(0)))
    }

    fn finish(mut self, done: oneshot::Sender<Finished>) -> Result<()> {
        self.driver.commit().context("the last group commit failed")?;
        let finished = Finished {
            last_seq: self.driver.last_seq(),
            chain: self.driver.log().chain(),
            digest: self.driver.wiring().digest(),
            tally: self.driver.wiring().machines().tally.clone(),
        };
        if let Some(store) = &self.snapshots {
            self.driver.save_snapshot(store).context("storing the snapshot")?;
        }
        // Nobody waiting is fine: the journal is on disk.
        let _ = done.send(finished);
        Ok(())
    }
}

fn receipt(applied: &Applied) -> Result<Receipt> {
    let verdicts = |e: &&Entry| e.stream == Stream::Verdicts;
    let decoded: Result<Vec<Verdict>, _> =
        applied.derived.iter().filter(verdicts).map(|e| schemas::decode(&e.record.body)).collect();
    Ok(Receipt { seq: applied.seq, at: applied.at, verdicts: decoded? })
}
