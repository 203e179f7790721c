//! Reads an archive again through fresh machines: what a recording said of itself must follow from its raw records.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use ingest::VenueOutput;
use ingest::edge::archive::ArchiveReader;
use ingest::venue::VenueMachine;
use schemas::{Digest, TapeRow, Venue};

use super::kept::session;
use super::sink::coded;

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Records read of the last session.
    pub records: u64,
    /// Rows said in it.
    pub rows: u64,
    /// Digest of the machine in the end.
    pub digest: Digest,
    /// BLAKE3 over all rows said in it.
    pub tape: Digest,
}

/// Replays the archive of a venue in `dir`; each session begins with a fresh machine of the plan that the archive keeps
/// for it, and the last one is told. Errors: the archive or a plan cannot be read, or there is no session in it.
pub fn replay(dir: &Path, venue: Venue) -> Result<Replayed> {
    let root = dir.join(venue.name());
    let mut reader =
        ArchiveReader::open(&root).map_err(|error| coded(&error)).context("reading the archive")?;
    let mut machine: Option<Box<dyn VenueMachine>> = None;
    let (mut records, mut rows, mut out) = (0, 0, Vec::new());
    let mut tape = Tape::default();
    while reader.advance().map_err(|error| coded(&error))? {
        let Some(seen) = reader.seen() else { break };
        if seen.fresh {
            let session = session(&reader).map_err(|error| anyhow!("{}: {error}", error.code()))?;
            machine = Some(session.machine);
            (records, rows, tape) = (0, 0, Tape::default());
        }
        let Some(machine) = &mut machine else { continue };
        machine.apply(seen.record, &mut out);
        records += 1;
        rows += tape.read(&out);
        out.clear();
    }
    let machine = machine.context("nothing_read: the archive holds no beginning of a session")?;
    Ok(Replayed { records, rows, digest: machine.digest(), tape: tape.digest() })
}

/// A running hash over rows.
#[derive(Clone, Debug, Default)]
pub struct Tape(blake3::Hasher);

impl Tape {
    /// Adds the rows among these and says how many they are.
    pub fn read(&mut self, out: &[VenueOutput]) -> u64 {
        let mut rows = 0;
        for output in out {
            if let VenueOutput::Row(row) = output {
                self.row(row);
                rows += 1;
            }
        }
        rows
    }

    /// Adds a row.
    pub fn row(&mut self, row: &TapeRow) {
        self.0.update(&schemas::encode(row));
    }

    /// The hash so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}
