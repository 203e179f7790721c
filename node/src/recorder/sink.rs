//! Where raw things are kept before anything parses them: an archive on disk, or memory for tests.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use ingest::archive::{ArchiveError, Stamp, conn_of};
use ingest::edge::Seen;
use ingest::edge::archive::{ArchiveOptions, ArchiveWriter, list};
use schemas::{Digest, Raw, Timestamp};

use super::plan::Plan;

/// Keeps what was seen and numbers it.
pub trait RawSink {
    /// Keeps one thing and gives its number, from 1 without holes.
    fn append(&mut self, seen: &Seen) -> Result<u64>;
    /// Time of the last record before this recording; 0 if there is none.
    fn last_at(&self) -> Timestamp;
    /// Number of the next record.
    fn next_seq(&self) -> u64;
    /// The clock went on without anything to keep.
    fn tick(&mut self, mono_ns: u64) -> Result<()>;
    /// Ends: everything is on disk. The chain hash, where there is one.
    fn close(self) -> Result<Option<Digest>>;
}

/// The archive of one venue.
pub struct ArchiveSink {
    writer: ArchiveWriter,
    last_at: Timestamp,
    /// Frames so far of each connection that is open.
    numbers: BTreeMap<u32, u64>,
}

impl ArchiveSink {
    /// Opens or creates `dir/VENUE` and keeps the plan there, which the segments name. `source` says where frames come
    /// from. Errors: those of [`ArchiveWriter::open`] and [`ArchiveWriter::keep_plan`].
    pub fn open(dir: &Path, plan: &Plan, source: &str) -> Result<Self> {
        let venue = plan.venue;
        let known = list(dir.join(venue.name())).ok();
        let last_at = known.iter().flat_map(|report| &report.segments).map(|segment| segment.to).max();
        let mut writer = ArchiveWriter::open(dir, venue, source, ArchiveOptions::default())
            .map_err(|error| coded(&error))
            .with_context(|| format!("opening the archive in {}", dir.display()))?;
        if let Some(mended) = writer.recovered() {
            tracing::warn!(
                segment = mended.segment,
                frames = mended.frames,
                torn = mended.torn,
                "archive mended"
            );
        }
        writer.keep_plan(&plan.to_json()).map_err(|error| coded(&error))?;
        Ok(Self { writer, last_at: last_at.unwrap_or_default(), numbers: BTreeMap::new() })
    }

    fn number(&mut self, raw: &Raw) -> u64 {
        let conn = conn_of(raw);
        match raw {
            Raw::Frame { .. } => {
                let number = self.numbers.entry(conn).or_default();
                *number += 1;
                *number
            }
            Raw::Closed { .. } => {
                self.numbers.remove(&conn);
                0
            }
            _ => 0,
        }
    }
}

impl RawSink for ArchiveSink {
    fn append(&mut self, seen: &Seen) -> Result<u64> {
        let stamp = Stamp { no: self.number(&seen.raw), wall: seen.wall, mono_ns: seen.mono_ns };
        self.writer.append(stamp, &seen.raw).map_err(|error| coded(&error))
    }

    fn last_at(&self) -> Timestamp {
        self.last_at
    }

    fn next_seq(&self) -> u64 {
        self.writer.next_seq()
    }

    fn tick(&mut self, mono_ns: u64) -> Result<()> {
        self.writer.tick(mono_ns).map_err(|error| coded(&error))
    }

    fn close(self) -> Result<Option<Digest>> {
        self.writer.close().map(Some).map_err(|error| coded(&error))
    }
}

/// Keeps everything in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemorySink {
    /// What was seen, in order.
    pub seen: Vec<Seen>,
}

impl RawSink for MemorySink {
    fn append(&mut self, seen: &Seen) -> Result<u64> {
        self.seen.push(seen.clone());
        Ok(self.seen.len() as u64)
    }

    fn last_at(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn next_seq(&self) -> u64 {
        self.seen.len() as u64 + 1
    }

    fn tick(&mut self, _mono_ns: u64) -> Result<()> {
        Ok(())
    }

    fn close(self) -> Result<Option<Digest>> {
        Ok(None)
    }
}

/// An archive's error with its stable code in front.
pub(super) fn coded(error: &ArchiveError) -> anyhow::Error {
    anyhow::anyhow!("{}: {error}", error.code())
}
