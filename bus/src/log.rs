//! The small trait of every log, and the order every log insists on; never a backend.

use schemas::{Entry, Timestamp};

use crate::error::BusError;
use crate::frame::PAYLOAD_HEAD;

/// The time of the last entry of a log without entries: before anything that is ever stamped.
pub const EMPTY_AT: Timestamp = Timestamp(i64::MIN);

/// Entries in one total order, from number 1, without holes.
pub trait Log: Send {
    /// Appends all of `entries` or none. Their numbers must continue `last().0 + 1 ..` and their times must never
    /// go back. They are **not durable** before [`Log::sync`].
    fn append(&mut self, entries: &[Entry]) -> Result<(), BusError>;

    /// Makes everything appended durable and returns the last durable number.
    fn sync(&mut self) -> Result<u64, BusError>;

    /// Entries with number >= `from` in order, synced or not: at most `max`, and fewer if they are large, but
    /// never none while there are some.
    fn read(&mut self, from: u64, max: usize) -> Result<Vec<Entry>, BusError>;

    /// Number and time of the last entry; `(0, EMPTY_AT)` without entries.
    fn last(&self) -> (u64, Timestamp);
}

impl<L: Log + ?Sized> Log for Box<L> {
    fn append(&mut self, entries: &[Entry]) -> Result<(), BusError> {
        (**self).append(entries)
    }

    fn sync(&mut self) -> Result<u64, BusError> {
        (**self).sync()
    }

    fn read(&mut self, from: u64, max: usize) -> Result<Vec<Entry>, BusError> {
        (**self).read(from, max)
    }

    fn last(&self) -> (u64, Timestamp) {
        (**self).last()
    }
}

/// Checks order and size of `entries` behind `last`; returns the bytes of their payloads.
pub(crate) fn check(last: (u64, Timestamp), entries: &[Entry], max_body: usize) -> Result<u64, BusError> {
    let (mut seq, mut at) = last;
    let mut bytes = 0;
    for entry in entries {
        let record = &entry.record;
        seq += 1;
        if record.seq != seq {
            return Err(BusError::OutOfOrder { expected: seq, got: record.seq });
        }
        if record.at < at {
            return Err(BusError::TimeWentBack { seq, last: at, got: record.at });
        }
        if record.body.len() > max_body {
            return Err(BusError::TooLarge {
                stream: entry.stream,
                bytes: record.body.len(),
                limit: max_body,
            });
        }
        at = record.at;
        bytes += (PAYLOAD_HEAD + record.body.len()) as u64;
    }
    Ok(bytes)
}
