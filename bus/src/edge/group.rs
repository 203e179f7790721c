//! Many producers, one sync: a thread that takes what has queued up, commits it as a group and only then says so.
#![allow(clippy::disallowed_methods, reason = "the group commit is a thread at the edge")]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use schemas::{Stream, Timestamp};

use crate::driver::Driver;
use crate::error::BusError;
use crate::log::Log;
use crate::step::Wiring;

/// The bounds of a [`GroupCommit`].
#[derive(Clone, Copy, Debug)]
pub struct GroupOptions {
    /// Submissions that may wait.
    pub queue: usize,
    /// Submissions that share one sync at most.
    pub max_batch: usize,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self { queue: 4096, max_batch: 1024 }
    }
}

/// The promise that a record is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Its number.
    pub seq: u64,
    /// Its time.
    pub at: Timestamp,
}

type OnAck = Box<dyn FnOnce(Result<Ack, BusError>) + Send>;

struct Job {
    stream: Stream,
    body: Vec<u8>,
    ack: OnAck,
}

/// Hands submissions to a [`GroupCommit`]; clone it for every producer.
#[derive(Clone)]
pub struct Submitter {
    queue: SyncSender<Job>,
    limit: usize,
}

impl Submitter {
    /// Queues a submission, waiting for room. `ack` is called on the committing thread, after the sync or with the
    /// refusal; it must not block.
    pub fn submit(
        &self,
        stream: Stream,
        body: Vec<u8>,
        ack: impl FnOnce(Result<Ack, BusError>) + Send + 'static,
    ) -> Result<(), BusError> {
        self.queue.send(Job { stream, body, ack: Box::new(ack) }).map_err(|_| BusError::Stopped)
    }

    /// Queues a submission or refuses it ([`BusError::Full`]) if there is no room.
    pub fn try_submit(
        &self,
        stream: Stream,
        body: Vec<u8>,
        ack: impl FnOnce(Result<Ack, BusError>) + Send + 'static,
    ) -> Result<(), BusError> {
        self.queue.try_send(Job { stream, body, ack: Box::new(ack) }).map_err(|e| match e {
            TrySendError::Full(_) => BusError::Full { what: "group commit queue", limit: self.limit as u64 },
            TrySendError::Disconnected(_) => BusError::Stopped,
        })
    }
}

/// The thread that owns a driver and commits in groups. While one group syncs, the next one queues up, so the group
/// grows with the load and nobody waits for a timer.
pub struct GroupCommit<L: Log, W: Wiring> {
    thread: JoinHandle<Driver<L, W>>,
}

impl<L, W> GroupCommit<L, W>
where
    L: Log + 'static,
    W: Wiring + Send + 'static,
    W::Deed: Send,
{
    /// Starts the thread. `clock` stamps groups; wakes are served when a group is taken. `deeds` gets every group's
    /// deeds after its sync.
    pub fn start(
        driver: Driver<L, W>,
        options: GroupOptions,
        clock: impl FnMut() -> Timestamp + Send + 'static,
        deeds: impl FnMut(Vec<W::Deed>) + Send + 'static,
    ) -> Result<(Submitter, Self), BusError> {
        let (queue, jobs) = sync_channel(options.queue);
        let work = move || run(driver, &jobs, options.max_batch.max(1), clock, deeds);
        let thread = std::thread::Builder::new().name("group-commit".to_owned()).spawn(work);
        let thread = thread.map_err(|source| BusError::Io {
            op: "start thread",
            path: "group-commit".into(),
            source,
        })?;
        Ok((Submitter { queue, limit: options.queue }, Self { thread }))
    }

    /// Waits until every [`Submitter`] is gone and everything queued is committed; gives the driver back.
    pub fn finish(self) -> Result<Driver<L, W>, BusError> {
        self.thread.join().map_err(|_| BusError::Stopped)
    }
}

fn run<L: Log, W: Wiring>(
    mut driver: Driver<L, W>,
    jobs: &Receiver<Job>,
    max_batch: usize,
    mut clock: impl FnMut() -> Timestamp,
    mut deeds: impl FnMut(Vec<W::Deed>),
) -> Driver<L, W> {
    let mut waiting: Vec<(Ack, OnAck)> = Vec::new();
    while let Ok(first) = jobs.recv() {
        let now = clock();
        let advanced = driver.advance(now);
        let batch = std::iter::once(first).chain(std::iter::from_fn(|| jobs.try_recv().ok())).take(max_batch);
        for job in batch {
            match driver.submit(job.stream, job.body, now) {
                Ok(applied) => waiting.push((Ack { seq: applied.seq, at: applied.at }, job.ack)),
                Err(e) => (job.ack)(Err(e)),
            }
        }
        let committed = match advanced {
            Err(e) if !e.is_refusal() => Err(e),
            _ => driver.commit(),
        };
        match committed {
            Ok(done) => {
                waiting.drain(..).for_each(|(ack, tell)| tell(Ok(ack)));
                deeds(done);
            }
            Err(e) => {
                let e = Arc::new(e);
                waiting.drain(..).for_each(|(_, tell)| tell(Err(BusError::Group(Arc::clone(&e)))));
            }
        }
    }
    driver
}
