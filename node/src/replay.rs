//! Replays a run through the machines of its manifest; the same wiring as live, deeds thrown away.

use anyhow::{Context as _, Result, bail, ensure};
use bus::{BusError, FileLog, FileOptions, Log, Outbox, ReplayReport, Wiring};
use schemas::{Digest, Entry, Stream, Timestamp};

use crate::run_dir::{FinishedRun, RunDir};
use crate::wire::{Deed, Machines};

/// Machines with somebody watching every record go by; `REMOTE` if they heard of others' facts or verdicts.
struct Watched<'a, const REMOTE: bool> {
    machines: Machines,
    watch: &'a mut dyn FnMut(&Entry) -> Result<(), BusError>,
}

impl<const REMOTE: bool> Wiring for Watched<'_, REMOTE> {
    type Deed = Deed;

    fn apply(&mut self, entry: &Entry, out: &mut Outbox<Deed>) -> Result<(), BusError> {
        self.machines.apply(entry, out)?;
        (self.watch)(entry)
    }

    fn wake(&self) -> Option<(Timestamp, Stream)> {
        self.machines.wake()
    }

    fn time_advanced(stream: Stream, to: Timestamp) -> Vec<u8> {
        Machines::time_advanced(stream, to)
    }

    fn digest(&self) -> Digest {
        self.machines.digest()
    }

    fn save(&self) -> Vec<(String, Vec<u8>)> {
        self.machines.save()
    }

    fn load(&mut self, states: &[(String, Vec<u8>)]) -> Result<(), BusError> {
        self.machines.load(states)
    }

    fn external(entry: &Entry) -> bool {
        REMOTE || Machines::external(entry)
    }
}

/// What a replay came to.
pub struct Replayed {
    /// Counts, chain and digest.
    pub report: ReplayReport,
    /// The machines at the end.
    pub machines: Machines,
    /// What the manifest says the end was; `None` when the run never ended in good order.
    pub finished: Option<FinishedRun>,
}

/// Replays all of a run. `watch` sees every record; `progress` hears sequence numbers.
///
/// # Errors
/// Names the record where the journal is damaged or where the machines say something else.
pub fn replay(
    dir: &RunDir,
    watch: &mut dyn FnMut(&Entry) -> Result<(), BusError>,
    progress: &mut dyn FnMut(u64),
) -> Result<Replayed> {
    let manifest = dir.manifest()?;
    let mut log =
        FileLog::open_read_only(dir.journal(), FileOptions::default()).context("opening the journal")?;
    ensure!(log.last().0 > 0, "the journal is empty");
    let machines = manifest.machines.build()?;
    let (report, machines) = if manifest.machines.role.hears() {
        follow(&mut log, Watched::<true> { machines, watch }, progress)?
    } else {
        follow(&mut log, Watched::<false> { machines, watch }, progress)?
    };
    Ok(Replayed { report, machines, finished: manifest.finished })
}

fn follow<const REMOTE: bool>(
    log: &mut FileLog,
    mut watched: Watched<'_, REMOTE>,
    progress: &mut dyn FnMut(u64),
) -> Result<(ReplayReport, Machines)> {
    let report = bus::replay(log, &mut watched, progress)?;
    Ok((report, watched.machines))
}

/// Holds what a replay found against what the live run said of itself.
pub fn check(replayed: &Replayed) -> Result<()> {
    let Some(finished) = &replayed.finished else {
        bail!("the run never ended in good order, so there is no digest to hold the replay against");
    };
    let report = &replayed.report;
    ensure!(
        report.missing == 0,
        "{} derived records are missing after record {}",
        report.missing,
        report.last.0
    );
    ensure!(
        report.last.0 == finished.last_seq,
        "the journal ends at record {}, the run ended at record {}",
        report.last.0,
        finished.last_seq
    );
    ensure!(
        report.chain.to_string() == finished.chain,
        "the chain over the journal differs from the live run's"
    );
    ensure!(
        report.digest.to_string() == finished.digest,
        "the digest of the machines differs from the live run's"
    );
    Ok(())
}
