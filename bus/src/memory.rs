//! A bounded log in memory, for tests and simulations; it never outlives the process.

use schemas::{Entry, Timestamp};

use crate::error::BusError;
use crate::log::{EMPTY_AT, Log, check};

/// The bounds of a [`MemoryLog`].
#[derive(Clone, Copy, Debug)]
pub struct MemoryOptions {
    /// Largest number of entries.
    pub max_entries: usize,
    /// Largest sum of payload bytes.
    pub max_bytes: u64,
    /// Largest body, bytes.
    pub max_record_bytes: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { max_entries: 10_000_000, max_bytes: 4 << 30, max_record_bytes: 8 << 20 }
    }
}

/// Entries in a vector; full is an error, nothing is ever dropped.
#[derive(Debug, Default)]
pub struct MemoryLog {
    entries: Vec<Entry>,
    bytes: u64,
    options: MemoryOptions,
}

impl MemoryLog {
    /// An empty log with these bounds.
    pub fn new(options: MemoryOptions) -> Self {
        Self { entries: Vec::new(), bytes: 0, options }
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Log for MemoryLog {
    fn append(&mut self, entries: &[Entry]) -> Result<(), BusError> {
        let bytes = check(self.last(), entries, self.options.max_record_bytes)?;
        if self.entries.len() + entries.len() > self.options.max_entries {
            return Err(BusError::Full {
                what: "memory log entries",
                limit: self.options.max_entries as u64,
            });
        }
        if self.bytes + bytes > self.options.max_bytes {
            return Err(BusError::Full { what: "memory log bytes", limit: self.options.max_bytes });
        }
        self.bytes += bytes;
        self.entries.extend_from_slice(entries);
        Ok(())
    }

    fn sync(&mut self) -> Result<u64, BusError> {
        Ok(self.entries.len() as u64)
    }

    fn read(&mut self, from: u64, max: usize) -> Result<Vec<Entry>, BusError> {
        let skip = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(self.entries.iter().skip(skip).take(max).cloned().collect())
    }

    fn last(&self) -> (u64, Timestamp) {
        self.entries.last().map_or((0, EMPTY_AT), |e| (e.record.seq, e.record.at))
    }
}
