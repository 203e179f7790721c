//! The sequencer and its loop: stamp, apply, append, cascade, commit, then hand out deeds; never before.

use schemas::{Digest, Entry, Record, Stream, Timestamp};

use crate::error::BusError;
use crate::frame;
use crate::log::Log;
use crate::replay::{Reader, follow};
use crate::snapshot::{SavedState, SnapshotFault, SnapshotNote};
use crate::step::{Cascade, Settled, Sink, Wiring};

/// The bounds of a [`Driver`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest number of derived records that one input may lead to.
    pub max_cascade: usize,
    /// Largest body of an input, bytes.
    pub max_body_bytes: usize,
    /// Largest number of deeds waiting for a commit.
    pub max_deeds: usize,
    /// How often one instant may be served before it is a [`BusError::WakeLoop`].
    pub max_wakes_per_instant: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_cascade: 100_000, max_body_bytes: 4 << 20, max_deeds: 1 << 20, max_wakes_per_instant: 256 }
    }
}

/// What became of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub seq: u64,
    /// Its time.
    pub at: Timestamp,
    /// What followed from it, in order. **Not durable** before [`Driver::commit`].
    pub derived: Vec<Entry>,
}

/// What a recovery did.
#[derive(Debug)]
pub struct Recovery<D> {
    /// Number of the snapshot that was loaded.
    pub snapshot: Option<u64>,
    /// Snapshots that were passed over.
    pub notes: Vec<SnapshotNote>,
    /// Entries replayed behind the snapshot that came from outside.
    pub external: u64,
    /// Entries replayed behind the snapshot that the machines derived.
    pub derived: u64,
    /// Derived entries the log lacked (the process died in a cascade); they are appended and durable now.
    pub completed: Vec<Entry>,
    /// The deeds of that one unfinished cascade, for the caller to decide. The deeds of finished cascades are
    /// dropped: they may or may not have been done before the stop.
    pub deeds: Vec<D>,
    /// Number and time of the last entry.
    pub last: (u64, Timestamp),
    /// Digest of the machines.
    pub digest: Digest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Behind,
    Ready,
    Failed(&'static str),
}

/// The one writer of a log and the one caller of its machines.
///
/// After an error that is not a [refusal](BusError::is_refusal) the machines may be ahead of the log, so the driver
/// refuses everything ([`BusError::Failed`]); open the log again and recover.
pub struct Driver<L: Log, W: Wiring> {
    log: L,
    wiring: W,
    limits: Limits,
    cascade: Cascade<W::Deed>,
    last: (u64, Timestamp),
    durable: u64,
    served: Option<(Timestamp, u32)>,
    state: State,
}

/// Keeps derived entries for the append.
struct Live {
    batch: Vec<Entry>,
}

impl Sink for Live {
    fn admit(&mut self, _: &Entry) -> Result<bool, BusError> {
        Ok(true)
    }

    fn keep(&mut self, entry: Entry) {
        self.batch.push(entry);
    }
}

impl<L: Log, W: Wiring> Driver<L, W> {
    /// A driver of fresh machines. A log with entries must be [recovered](Driver::recover) first.
    pub fn new(log: L, wiring: W, limits: Limits) -> Self {
        let last = log.last();
        let state = if last.0 == 0 { State::Ready } else { State::Behind };
        Self { log, wiring, limits, cascade: Cascade::default(), last, durable: 0, served: None, state }
    }

    /// Stamps an input (`seq` = last + 1, `at` = the later of `now` and the last `at`), applies it and everything
    /// that follows from it, and appends the lot. Durable after the next [`Driver::commit`].
    ///
    /// Call [`Driver::advance`] with the same `now` first, so that machines wake before they hear of it.
    pub fn submit(&mut self, stream: Stream, body: Vec<u8>, now: Timestamp) -> Result<Applied, BusError> {
        self.ready()?;
        if body.len() > self.limits.max_body_bytes {
            return Err(BusError::TooLarge { stream, bytes: body.len(), limit: self.limits.max_body_bytes });
        }
        let record = Record { seq: self.last.0 + 1, at: now.max(self.last.1), body };
        let entry = Entry { stream, record };
        if !W::external(&entry) {
            return Err(BusError::DerivedOnly { stream });
        }
        self.take_in(entry)
    }

    /// Serves every wake up to `now`: appends a `TimeAdvanced` with `at` and `to` = the later of the wake and the
    /// last `at`, and applies it. Returns how many it served.
    pub fn advance(&mut self, now: Timestamp) -> Result<usize, BusError> {
        self.ready()?;
        let mut count = 0;
        while let Some((wake, stream)) = self.wiring.wake().filter(|(wake, _)| *wake <= now) {
            self.ready()?;
            let to = wake.max(self.last.1);
            let times = self.served.filter(|(at, _)| *at == to).map_or(0, |(_, n)| n) + 1;
            self.served = Some((to, times));
            if times > self.limits.max_wakes_per_instant {
                return Err(self.fail(BusError::WakeLoop { stream, at: to, times: times - 1 }));
            }
            let record = Record { seq: self.last.0 + 1, at: to, body: W::time_advanced(stream, to) };
            self.take_in(Entry { stream, record })?;
            count += 1;
        }
        Ok(count)
    }

    /// Group commit: one sync for everything submitted since the last, **then** hands out the deeds.
    pub fn commit(&mut self) -> Result<Vec<W::Deed>, BusError> {
        self.running()?;
        if self.durable < self.last.0 {
            self.durable = self.log.sync().map_err(|e| self.fail(e))?;
        }
        Ok(std::mem::take(self.cascade.deeds()))
    }

    /// **Without durability**: hands out the deeds of records that a crash may still lose. For simulations that
    /// say `durability = relaxed`, and for nothing that acknowledges anything to anybody.
    pub fn take_deeds_unsynced(&mut self) -> Vec<W::Deed> {
        std::mem::take(self.cascade.deeds())
    }

    /// The states of all machines after the last entry, made durable first.
    pub fn snapshot(&mut self) -> Result<SavedState, BusError> {
        self.running()?;
        self.durable = self.log.sync().map_err(|e| self.fail(e))?;
        let (seq, at) = self.last;
        let entry_hash = self.log.read(seq, 1)?.first().map_or_else(Digest::default, frame::entry_hash);
        Ok(SavedState { seq, at, entry_hash, digest: self.wiring.digest(), states: self.wiring.save() })
    }

    /// Start-up: loads the first of `candidates` (newest first) that fits the log, and replays the rest of the log
    /// through the step that live uses, comparing every derived entry. If the log ends within a cascade, appends
    /// what is missing. A candidate that does not fit is noted, and the next one or the whole log serves.
    pub fn recover_with(
        &mut self,
        candidates: &mut dyn Iterator<Item = Result<SavedState, SnapshotNote>>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Recovery<W::Deed>, BusError> {
        match self.state {
            State::Failed(first) => return Err(BusError::Failed { first }),
            State::Ready if self.last.0 > 0 => return Err(BusError::AlreadyRunning),
            State::Ready | State::Behind => {}
        }
        self.catch_up(candidates, progress).map_err(|e| self.fail(e))
    }

    /// The machines.
    pub fn wiring(&self) -> &W {
        &self.wiring
    }

    /// The machines, for what is not part of their state; changing state here breaks replay.
    pub fn wiring_mut(&mut self) -> &mut W {
        &mut self.wiring
    }

    /// The log.
    pub fn log(&self) -> &L {
        &self.log
    }

    /// The log, to read from.
    pub fn log_mut(&mut self) -> &mut L {
        &mut self.log
    }

    /// Number of the last entry; 0 without entries.
    pub fn last_seq(&self) -> u64 {
        self.last.0
    }

    /// Time of the last entry; [`crate::EMPTY_AT`] without entries.
    pub fn last_at(&self) -> Timestamp {
        self.last.1
    }

    /// Number of the last entry known to be durable.
    pub fn durable_seq(&self) -> u64 {
        self.durable
    }

    /// The earliest instant a machine asks for.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wiring.wake().map(|(wake, _)| wake)
    }

    /// Log and machines; deeds not yet committed are lost.
    pub fn into_parts(self) -> (L, W) {
        (self.log, self.wiring)
    }

    fn running(&self) -> Result<(), BusError> {
        match self.state {
            State::Ready => Ok(()),
            State::Behind => Err(BusError::NotRecovered),
            State::Failed(first) => Err(BusError::Failed { first }),
        }
    }

    fn ready(&mut self) -> Result<(), BusError> {
        self.running()?;
        if self.cascade.deeds().len() >= self.limits.max_deeds {
            return Err(BusError::Full {
                what: "deeds before a commit",
                limit: self.limits.max_deeds as u64,
            });
        }
        Ok(())
    }

    fn fail(&mut self, error: BusError) -> BusError {
        self.state = State::Failed(error.code());
        error
    }

    /// Applies an external entry and what follows, then appends all of it at once: what fails leaves no trace in
    /// the log, so a bad input can never stand in the way of a recovery.
    fn take_in(&mut self, entry: Entry) -> Result<Applied, BusError> {
        let (seq, at) = (entry.record.seq, entry.record.at);
        self.cascade.step(&mut self.wiring, &entry).map_err(|e| match e {
            BusError::Body { .. } => e,
            other => self.fail(other),
        })?;
        let mut live = Live { batch: vec![entry] };
        let settled = self.cascade.settle(&mut self.wiring, (seq, at), self.limits.max_cascade, &mut live);
        settled.and_then(|_| self.log.append(&live.batch)).map_err(|e| self.fail(e))?;
        self.last = (seq + live.batch.len() as u64 - 1, at);
        live.batch.remove(0);
        Ok(Applied { seq, at, derived: live.batch })
    }

    fn catch_up(
        &mut self,
        candidates: &mut dyn Iterator<Item = Result<SavedState, SnapshotNote>>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Recovery<W::Deed>, BusError> {
        let (snapshot, notes) = self.load_first(candidates)?;
        let from = snapshot.unwrap_or(0) + 1;
        let tally = {
            let mut reader = Reader::new(&mut self.log, from, progress);
            follow(&mut self.cascade, &mut self.wiring, &mut reader)?
        };
        let mut live = Live { batch: Vec::new() };
        let open = self.cascade.pending() > 0;
        if open {
            let limit = self.limits.max_cascade;
            let settled = self.cascade.settle(&mut self.wiring, self.last, limit, &mut live)?;
            debug_assert_eq!(settled, Settled::Quiet, "the live sink never stops a cascade");
            self.log.append(&live.batch)?;
            self.last.0 += live.batch.len() as u64;
        }
        self.durable = self.log.sync()?;
        self.state = State::Ready;
        Ok(Recovery {
            snapshot,
            notes,
            external: tally.external,
            derived: tally.derived,
            completed: live.batch,
            deeds: std::mem::take(self.cascade.deeds()),
            last: self.last,
            digest: self.wiring.digest(),
        })
    }

    fn load_first(
        &mut self,
        candidates: &mut dyn Iterator<Item = Result<SavedState, SnapshotNote>>,
    ) -> Result<(Option<u64>, Vec<SnapshotNote>), BusError> {
        let fresh = self.wiring.save();
        let mut notes = Vec::new();
        for candidate in candidates {
            let (seq, fault) = match candidate {
                Ok(saved) => match self.try_load(&saved)? {
                    None => return Ok((Some(saved.seq), notes)),
                    Some(fault) => (saved.seq, fault),
                },
                Err(note) => {
                    notes.push(note);
                    continue;
                }
            };
            notes.push(SnapshotNote { seq, file: std::path::PathBuf::new(), fault });
            self.wiring.load(&fresh)?;
        }
        Ok((None, notes))
    }

    fn try_load(&mut self, saved: &SavedState) -> Result<Option<SnapshotFault>, BusError> {
        if saved.seq > self.last.0 {
            return Ok(Some(SnapshotFault::AheadOfLog));
        }
        if !self.log.read(saved.seq, 1)?.first().is_some_and(|entry| saved.is_of(entry)) {
            return Ok(Some(SnapshotFault::OtherHistory));
        }
        if self.wiring.load(&saved.states).is_err() {
            return Ok(Some(SnapshotFault::NotLoaded));
        }
        Ok((self.wiring.digest() != saved.digest).then_some(SnapshotFault::DigestDiffers))
    }
}
