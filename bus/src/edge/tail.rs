//! Follows a Redis journal from another process, on a connection of its own; never writes.

use std::time::Duration;

use redis::Connection;
use schemas::Entry;

use super::lease::Keys;
use super::redis::{RedisOptions, Row, connect, entry_of};
use crate::error::BusError;

/// Entries per answer.
const COUNT: usize = 512;

/// A reader that waits for entries.
pub struct RedisTail {
    options: RedisOptions,
    key: String,
    con: Option<Connection>,
    id: String,
    next: u64,
}

impl RedisTail {
    /// A reader of the entries from number `from` on. Needs no lease.
    pub fn connect(options: RedisOptions, from: u64) -> Result<Self, BusError> {
        let con = Some(connect(&options)?);
        let key = Keys::new(&options.name).journal;
        Ok(Self { options, key, con, id: "0-0".to_owned(), next: from.max(1) })
    }

    /// Number of the entry that comes next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The entries that come next; waits up to `wait` for the first and gives none if none came.
    ///
    /// # Errors
    /// [`BusError::Trimmed`] if Redis no longer keeps the next entry: read it from the journal's file. After
    /// [`BusError::Redis`] the next call connects again and goes on where this one stopped.
    pub fn next(&mut self, wait: Duration) -> Result<Vec<Entry>, BusError> {
        let rows = self.rows(wait).inspect_err(|_| self.con = None)?;
        let mut out = Vec::with_capacity(rows.len());
        for (id, fields) in rows {
            if let Some(entry) = entry_of(&self.key, &fields)?.filter(|e| e.record.seq >= self.next) {
                if entry.record.seq > self.next {
                    return Err(BusError::Trimmed { from: self.next, first: entry.record.seq });
                }
                self.next += 1;
                out.push(entry);
            }
            self.id = id;
        }
        Ok(out)
    }

    fn rows(&mut self, wait: Duration) -> Result<Vec<Row>, BusError> {
        let con = match self.con.take() {
            Some(con) => con,
            None => connect(&self.options)?,
        };
        let con = self.con.insert(con);
        con.set_read_timeout(Some(wait + self.options.timeout))?;
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1); // 0 would wait for ever
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(COUNT).arg("BLOCK").arg(millis).arg("STREAMS").arg(&self.key).arg(&self.id);
        let answer: Option<Vec<(String, Vec<Row>)>> = command.query(con)?;
        Ok(answer.into_iter().flatten().flat_map(|(_, rows)| rows).collect())
    }
}
