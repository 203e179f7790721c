//! Reads a log again through the step that live uses and compares every derived entry; never appends, never acts.

use std::collections::VecDeque;

use schemas::{Digest, Entry, Timestamp};

use crate::error::{BusError, ShortHash};
use crate::frame;
use crate::log::Log;
use crate::step::{Cascade, Settled, Sink, Wiring};

/// Entries read at once.
const CHUNK: usize = 1024;

/// What a replay found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayReport {
    /// Entries read.
    pub entries: u64,
    /// Those that came from outside.
    pub external: u64,
    /// Those that the machines derived, and derived again now, byte for byte.
    pub derived: u64,
    /// Derived records that follow from the last input but are not in the log: the writer died in a cascade.
    pub missing: u64,
    /// Number and time of the last entry.
    pub last: (u64, Timestamp),
    /// Digest of the machines at the end.
    pub digest: Digest,
    /// BLAKE3 chain over all payloads: equal histories, equal chain. The same as `FileLog::chain`.
    pub chain: Digest,
}

/// Replays all of `log` into fresh machines; `progress` hears the number reached about every thousand entries.
///
/// # Errors
/// [`BusError::Diverged`] names the first entry that the machines do not say again.
pub fn replay<W: Wiring>(
    log: &mut dyn Log,
    wiring: &mut W,
    progress: &mut dyn FnMut(u64),
) -> Result<ReplayReport, BusError> {
    let mut cascade = Cascade::default();
    let mut reader = Reader::new(log, 1, progress);
    reader.chain = Some(frame::CHAIN_START);
    let tally = follow(&mut cascade, wiring, &mut reader)?;
    Ok(ReplayReport {
        entries: tally.external + tally.derived,
        external: tally.external,
        derived: tally.derived,
        missing: cascade.pending() as u64,
        last: reader.last,
        digest: wiring.digest(),
        chain: reader.chain.unwrap_or(frame::CHAIN_START),
    })
}

/// What [`follow`] counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) external: u64,
    pub(crate) derived: u64,
}

/// Takes entries of `reader` as inputs and demands what follows from each, until the log ends; what the log lacks
/// of the last cascade stays pending, with the deeds of that cascade.
pub(crate) fn follow<W: Wiring>(
    cascade: &mut Cascade<W::Deed>,
    wiring: &mut W,
    reader: &mut Reader<'_>,
) -> Result<Tally, BusError> {
    let mut tally = Tally::default();
    while let Some(entry) = reader.next()? {
        let record = &entry.record;
        if !W::external(&entry) {
            let expected = ShortHash::of(&entry);
            return Err(BusError::Diverged { seq: record.seq, stream: entry.stream, expected, actual: None });
        }
        cascade.deeds().clear();
        cascade.step(wiring, &entry)?;
        tally.external += 1;
        let mut compare = Compare { reader, matched: 0 };
        let settled = cascade.settle(wiring, (record.seq, record.at), usize::MAX, &mut compare)?;
        tally.derived += compare.matched;
        if settled == Settled::Open {
            return Ok(tally);
        }
    }
    cascade.deeds().clear();
    Ok(tally)
}

/// Compares derived entries with what the log has.
struct Compare<'a, 'b> {
    reader: &'a mut Reader<'b>,
    matched: u64,
}

impl Sink for Compare<'_, '_> {
    fn admit(&mut self, made: &Entry) -> Result<bool, BusError> {
        match self.reader.next()? {
            None => Ok(false),
            Some(found) if found == *made => Ok(true),
            Some(found) => Err(BusError::Diverged {
                seq: found.record.seq,
                stream: found.stream,
                expected: ShortHash::of(&found),
                actual: Some(ShortHash::of(made)),
            }),
        }
    }

    fn keep(&mut self, _: Entry) {
        self.matched += 1;
    }
}

/// Reads a log in chunks.
pub(crate) struct Reader<'a> {
    log: &'a mut dyn Log,
    progress: &'a mut dyn FnMut(u64),
    chunk: VecDeque<Entry>,
    payload: Vec<u8>,
    /// Number and time of the last entry given out.
    pub(crate) last: (u64, Timestamp),
    /// The chain so far, if asked for.
    pub(crate) chain: Option<Digest>,
}

impl<'a> Reader<'a> {
    /// A reader of the entries from `from` on.
    pub(crate) fn new(log: &'a mut dyn Log, from: u64, progress: &'a mut dyn FnMut(u64)) -> Self {
        let last = (from - 1, crate::log::EMPTY_AT);
        Self { log, progress, chunk: VecDeque::new(), payload: Vec::new(), last, chain: None }
    }

    fn next(&mut self) -> Result<Option<Entry>, BusError> {
        if self.chunk.is_empty() {
            self.chunk = self.log.read(self.last.0 + 1, CHUNK)?.into();
            (self.progress)(self.last.0);
        }
        let Some(entry) = self.chunk.pop_front() else { return Ok(None) };
        if entry.record.seq != self.last.0 + 1 {
            return Err(BusError::OutOfOrder { expected: self.last.0 + 1, got: entry.record.seq });
        }
        if let Some(chain) = &mut self.chain {
            self.payload.clear();
            frame::put_payload(&entry, &mut self.payload);
            *chain = frame::chain(*chain, &self.payload);
        }
        self.last = (entry.record.seq, entry.record.at);
        Ok(Some(entry))
    }
}
