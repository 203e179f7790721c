//! The raw-first archive: its form on disk, record by record, and what it promises; it opens no file and reads no clock.
//!
//! Every frame is kept verbatim before anything parses it, so that books, tapes and scores can be derived again, bit
//! for bit. An archive is a row of segments. A segment is a header, blocks of records compressed one by one with
//! zstd, and a footer; the footer's BLAKE3 is chained with the segment before, so a frame cannot be changed, dropped
//! or added without every later hash changing. `docs/archive.md` has the bytes.
//!
//! [`SegmentWriter`] and [`SegmentReader`] work on any `Write` and `Read`; the folder on disk is
//! `ingest::edge::archive` (feature `edge`).

mod error;
mod form;
mod manifest;
mod read;
mod record;
mod write;

pub use error::ArchiveError;
pub use form::{Footer, MAX_BLOCK_BYTES, SegmentHeader, Totals};
pub use manifest::{Entry as ManifestEntry, Gone, Manifest, Retention, Sealed};
pub use read::{Seen, SegmentEnd, SegmentReader};
pub use write::{BlockOptions, SegmentWriter};

use schemas::{Raw, Timestamp};

/// What the edge notes beside a frame: nothing in here is ever made up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the frame within its connection, from 1; 0 where it has none.
    pub no: u64,
    /// Receive time, UTC; 0 where a recording had none.
    pub wall: Timestamp,
    /// Receive time by the process's monotonic clock, ns; 0 where there was none.
    pub mono_ns: u64,
}

/// One record of an archive, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFrame {
    /// Its number, from 1, without holes over the whole archive.
    pub seq: u64,
    /// The connection it came over; 0 for a REST answer or a wake-up.
    pub conn: u32,
    /// Frame number within that connection.
    pub no: u64,
    /// Receive time; 0 = the recording had none.
    pub wall: Timestamp,
    /// Monotonic receive time, ns.
    pub mono_ns: u64,
    /// What came.
    pub body: Raw,
}

/// The connection a record belongs to; 0 for a REST answer or a wake-up.
pub const fn conn_of(raw: &Raw) -> u32 {
    match raw {
        Raw::Connected { conn } | Raw::Frame { conn, .. } | Raw::Closed { conn, .. } => *conn,
        Raw::Rest(_) | Raw::TimeAdvanced { .. } => 0,
    }
}
