//! The loop of a recording: sockets, archive, machine, consumer, clock; it ends when it is told to.
#![allow(clippy::disallowed_methods, reason = "node starts the consumer's task")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;
use ingest::Deed;
use ingest::edge::{EdgeLimits, Endpoints, Seen, Signer, VenueEdge, clocks};
use ingest::venue::VenueMachine as _;
use schemas::{Digest, Machine as _, Raw, TapeRow, Timestamp, Venue};
use tokio::sync::mpsc;

use super::meter::Meter;
use super::mirror::Mirror;
use super::outlet::Outlet;
use super::sink::RawSink;
use super::subject::Subject;
use super::{Recorder, replay::Tape};

/// Things seen that may wait between the sockets and the archive.
const SEEN: usize = 4_096;
/// Things read in one go.
const BATCH: usize = 256;
/// Levels a side to which Kraken's books are cut.
const KRAKEN_DEPTH: usize = 1_000;

/// Bounds of a recording.
#[derive(Clone, Debug)]
pub struct RunLimits {
    /// Rows that may wait for the consumer.
    pub rows: usize,
    /// The sockets' bounds.
    pub edge: EdgeLimits,
    /// Whether the rows are hashed, for comparison with a replay.
    pub hash_rows: bool,
}

impl Default for RunLimits {
    fn default() -> Self {
        let edge = EdgeLimits {
            deeds: 8_192,
            sends: 512,
            fetches: 64,
            max_frame_bytes: 16 << 20,
            max_body_bytes: 16 << 20,
            ..EdgeLimits::default()
        };
        Self { rows: 65_536, edge, hash_rows: false }
    }
}

/// How a recording ended.
pub struct Outcome {
    /// The machine.
    pub subject: Subject,
    /// The measurements.
    pub meter: Meter,
    /// What the consumer has.
    pub mirror: Mirror,
    /// Quotes that gave way to newer ones.
    pub conflated: u64,
    /// Deeds that could not be done.
    pub dropped: u64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// Number of the first record.
    pub first_seq: u64,
    /// Digest of the machine in the end.
    pub digest: Digest,
    /// BLAKE3 over all rows said, if it was asked for.
    pub tape: Option<Digest>,
    /// The archive's chain hash.
    pub chain: Option<Digest>,
}

/// Records until `stop` resolves. Errors: the archive refuses, or the endpoints are unusable.
pub async fn record<S: RawSink>(
    subject: Subject,
    sink: S,
    endpoints: Endpoints,
    signer: Option<Arc<dyn Signer>>,
    mut limits: RunLimits,
    bar: &ProgressBar,
    stop: impl Future<Output = ()>,
) -> Result<Outcome> {
    // Kalshi's heartbeat is the only sign of life of a quiet market.
    limits.edge.pass_pings = subject.venue() == Venue::Kalshi;
    endpoints.check().map_err(|error| anyhow::anyhow!("{}: {error}", error.code()))?;
    let first_seq = sink.next_seq();
    let (tx, rx) = mpsc::channel::<Seen>(SEEN);
    let (rows_tx, rows_rx) = mpsc::channel(16);
    let depth = (subject.venue() == Venue::Kraken).then_some(KRAKEN_DEPTH);
    let consumer = tokio::spawn(consume(rows_rx, depth));
    let mut run = Run {
        edge: VenueEdge::spawn_with(endpoints, limits.edge, signer, tx),
        recorder: Recorder::new(subject, sink),
        outlet: Outlet::new(limits.rows, rows_tx),
        rows: Vec::new(),
        deeds: Vec::new(),
        tape: limits.hash_rows.then(Tape::default),
        started_ns: clocks().1,
    };
    let ended = run.until(rx, bar, stop).await;
    run.outlet.drain().await;
    let seconds = run.seconds();
    let (conflated, dropped) = (run.outlet.conflated(), run.edge.dropped());
    let Run { edge, recorder, outlet, tape, .. } = run;
    edge.shutdown().await;
    drop(outlet);
    let mirror = consumer.await?;
    let (subject, meter, sink) = recorder.into_parts();
    let chain = sink.close()?;
    ended?;
    let (digest, tape) = (subject.digest(), tape.map(|tape| tape.digest()));
    Ok(Outcome { subject, meter, mirror, conflated, dropped, seconds, first_seq, digest, tape, chain })
}

async fn consume(mut rows: mpsc::Receiver<Vec<TapeRow>>, depth: Option<usize>) -> Mirror {
    let mut mirror = Mirror::new(depth);
    while let Some(batch) = rows.recv().await {
        for row in &batch {
            mirror.read(row);
        }
    }
    mirror
}

/// A recording under way.
struct Run<S> {
    edge: VenueEdge,
    recorder: Recorder<S>,
    outlet: Outlet,
    rows: Vec<TapeRow>,
    deeds: Vec<Deed>,
    tape: Option<Tape>,
    started_ns: u64,
}

impl<S: RawSink> Run<S> {
    async fn until(
        &mut self,
        mut seen: mpsc::Receiver<Seen>,
        bar: &ProgressBar,
        stop: impl Future<Output = ()>,
    ) -> Result<()> {
        let mut stop = std::pin::pin!(stop);
        let mut status = tokio::time::interval(Duration::from_secs(1));
        let mut batch = Vec::with_capacity(BATCH);
        self.clock()?;
        loop {
            let free = !self.outlet.blocked();
            let sleep = self.sleep();
            // What waits to be read comes before the clock: a late frame must not look like silence.
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                _ = status.tick() => self.status(bar)?,
                alive = self.outlet.hand_over(), if self.outlet.waiting() => anyhow::ensure!(alive, "the consumer is gone"),
                count = seen.recv_many(&mut batch, BATCH), if free => {
                    anyhow::ensure!(count > 0, "edge_stopped: the sockets are gone");
                    for one in batch.drain(..) {
                        self.take(one)?;
                    }
                }
                () = tokio::time::sleep(sleep), if free => self.clock()?,
            }
        }
    }

    /// One thing, after the clock if the machine should have had it by then.
    fn take(&mut self, seen: Seen) -> Result<()> {
        if self.recorder.wake_at().is_some_and(|due| due <= seen.wall) {
            let (wall, mono_ns) = (seen.wall, seen.mono_ns);
            self.apply(Seen { wall, mono_ns, raw: Raw::TimeAdvanced { to: wall } })?;
        }
        self.apply(seen)
    }

    fn clock(&mut self) -> Result<()> {
        let (wall, mono_ns) = clocks();
        if self.recorder.wake_at().is_some_and(|due| due <= wall) {
            self.apply(Seen { wall, mono_ns, raw: Raw::TimeAdvanced { to: wall } })?;
        }
        Ok(())
    }

    /// Archives and applies; deeds go to the sockets, and what they refuse comes back as their answer.
    fn apply(&mut self, seen: Seen) -> Result<()> {
        let mut next = Some(seen);
        let mut refused = std::collections::VecDeque::new();
        while let Some(seen) = next.take().or_else(|| refused.pop_front()) {
            self.recorder.take(seen, &mut self.rows, &mut self.deeds)?;
            for deed in self.deeds.drain(..) {
                let answer = deed.refusal("the edge is overloaded");
                if let Err(error) = self.edge.deed(deed) {
                    tracing::warn!(code = error.code(), "a deed was refused");
                    refused.extend(answer.map(Seen::now));
                }
            }
            if let Some(tape) = &mut self.tape {
                self.rows.iter().for_each(|row| tape.row(row));
            }
            self.outlet.offer(&mut self.rows);
        }
        Ok(())
    }

    fn sleep(&self) -> Duration {
        let (wall, _) = clocks();
        let due = self.recorder.wake_at().unwrap_or(Timestamp::MAX);
        Duration::from_nanos(due.since(wall).clamp(0, 3_600 * schemas::time::NANOS_PER_SEC) as u64)
    }

    fn seconds(&self) -> f64 {
        clocks().1.saturating_sub(self.started_ns) as f64 / 1e9
    }

    fn status(&mut self, bar: &ProgressBar) -> Result<()> {
        self.recorder.sink().tick(clocks().1)?;
        let (p50, p99) = self.recorder.meter.latency_us();
        let (meter, shelf) = (&self.recorder.meter, self.recorder.subject().shelf());
        let rate = meter.frames as f64 / self.seconds().max(1e-3);
        bar.set_message(format!(
            "{} messages ({rate:.0}/s) · {} connections · books {}/{} live · {} gaps · latency p50 {:.1} ms p99 {:.1} ms",
            meter.frames,
            meter.open(),
            shelf.live(),
            shelf.len(),
            shelf.counts.gaps,
            p50 as f64 / 1e3,
            p99 as f64 / 1e3,
        ));
        bar.tick();
        Ok(())
    }
}
