//! The same log on one Redis stream, as transport between processes; never the record: losing Redis loses nothing
//! that the file log does not have.
//!
//! Ids are `<fence>-<seq>`. Taking the lease writes `<fence>-0`, so Redis itself rejects every id of an older fence.
//! Appends wait in memory until `sync` (or a read) sends them. A batch whose answer was lost is sent again; what is
//! there already is read back and compared: the same payload is success, another one is [`BusError::Conflict`].

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, Connection, IntoConnectionInfo, Script};
use schemas::{Entry, Timestamp};

use super::lease::{Keys, Lease};
use crate::error::{BusError, Damage};
use crate::frame;
use crate::log::{EMPTY_AT, Log, check};

/// Appends only behind the id the writer believes is last; else says which one is.
const APPEND: &str = r"
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local id = '0-0'
if top[1] then id = top[1][1] end
if id ~= ARGV[1] then return id end
for i = 4, #ARGV, 2 do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], ARGV[3] .. '-' .. ARGV[i], 'p', ARGV[i + 1])
end
return ''
";

/// Entries per round trip.
const CHUNK: usize = 512;
/// Bytes after which a chunk ends.
const CHUNK_BYTES: usize = 4 << 20;

/// Where a [`RedisLog`] lives and its bounds.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host:port/db`.
    pub url: String,
    /// Name of the journal; part of every key.
    pub name: String,
    /// How long the lease holds without a renewal, ms.
    pub lease_ttl_ms: u64,
    /// Entries that Redis keeps, about.
    pub max_len: u64,
    /// Largest number of appended entries that wait for a sync.
    pub max_pending: usize,
    /// Largest body, bytes.
    pub max_record_bytes: usize,
    /// Longest wait for a connection, a write or an answer.
    pub timeout: Duration,
}

impl RedisOptions {
    /// The defaults for a journal at `url`.
    pub fn new(url: &str, name: &str) -> Self {
        Self {
            url: url.to_owned(),
            name: name.to_owned(),
            lease_ttl_ms: 10_000,
            max_len: 1_000_000,
            max_pending: 65_536,
            max_record_bytes: 8 << 20,
            timeout: Duration::from_secs(2),
        }
    }
}

/// A log on a Redis stream, held by lease.
pub struct RedisLog {
    options: RedisOptions,
    keys: Keys,
    con: Option<Connection>,
    lease: Lease,
    /// Number of the first entry that carries our fence.
    own_first: u64,
    /// Number of the last entry Redis acknowledged.
    acked: u64,
    /// The id that must be last in the stream: ours, or our barrier.
    top: (u64, u64),
    last: (u64, Timestamp),
    pending: Vec<Entry>,
    /// Id of the entry before, number of the entry after it.
    cursor: Option<(String, u64)>,
    failed: Option<&'static str>,
}

/// A row of a stream: its id, its fields and values.
pub(super) type Row = (String, Vec<Vec<u8>>);

impl RedisLog {
    /// Takes the lease ([`BusError::LeaseHeld`] if somebody has it), fences out everybody before, and finds the end.
    pub fn open(options: RedisOptions) -> Result<Self, BusError> {
        let keys = Keys::new(&options.name);
        let mut con = connect(&options)?;
        let lease = Lease::acquire(&mut con, &keys, options.lease_ttl_ms)?;
        let last = find_last(&mut con, &keys)?;
        let top = (lease.fence(), 0);
        Ok(Self {
            options,
            keys,
            con: Some(con),
            lease,
            own_first: last.0 + 1,
            acked: last.0,
            top,
            last,
            pending: Vec::new(),
            cursor: None,
            failed: None,
        })
    }

    /// Our fence.
    pub fn fence(&self) -> u64 {
        self.lease.fence()
    }

    /// Holds the lease for another while; call it well within the time to live.
    pub fn renew(&mut self) -> Result<(), BusError> {
        self.usable()?;
        let lease = self.lease.clone();
        let result = self.connection().and_then(|con| lease.renew(con));
        result.map_err(|e| self.note(e))
    }

    /// Sends what waits and gives the lease back.
    pub fn release(mut self) -> Result<(), BusError> {
        self.sync()?;
        let lease = self.lease.clone();
        self.connection().and_then(|con| lease.release(con))
    }

    fn usable(&self) -> Result<(), BusError> {
        self.failed.map_or(Ok(()), |first| Err(BusError::Failed { first }))
    }

    /// A connection that failed is not used again; a fence that is lost stays lost.
    fn note(&mut self, error: BusError) -> BusError {
        match &error {
            BusError::Redis(_) => self.con = None,
            other => self.failed = Some(other.code()),
        }
        error
    }

    fn connection(&mut self) -> Result<&mut Connection, BusError> {
        let con = match self.con.take() {
            Some(con) => con,
            None => connect(&self.options)?,
        };
        Ok(self.con.insert(con))
    }

    /// Sends all that waits. A broken connection is replaced once per call.
    fn flush(&mut self) -> Result<(), BusError> {
        let mut second_try = false;
        while !self.pending.is_empty() {
            match self.send_chunk() {
                Ok(None) => {}
                Ok(Some(top)) => self.reconcile(&top).map_err(|e| self.note(e))?,
                Err(e) => {
                    let e = self.note(e);
                    if second_try || !matches!(&e, BusError::Redis(r) if r.is_io_error()) {
                        return Err(e);
                    }
                    second_try = true;
                }
            }
        }
        Ok(())
    }

    /// Sends the first chunk; gives the stream's last id if it is not the expected one.
    fn send_chunk(&mut self) -> Result<Option<String>, BusError> {
        let (fence, seq) = self.top;
        let script = Script::new(APPEND);
        let mut call = script.key(&self.keys.journal);
        call.arg(format!("{fence}-{seq}")).arg(self.options.max_len).arg(fence);
        let (mut count, mut bytes) = (0, 0);
        for entry in self.pending.iter().take(CHUNK) {
            let payload = payload(entry);
            bytes += payload.len();
            count += 1;
            call.arg(entry.record.seq).arg(payload);
            if bytes >= CHUNK_BYTES {
                break;
            }
        }
        let top: String = call.invoke(self.connection()?)?;
        if top.is_empty() {
            self.acknowledge(count);
            return Ok(None);
        }
        Ok(Some(top))
    }

    fn acknowledge(&mut self, count: usize) {
        if let Some(entry) = count.checked_sub(1).and_then(|n| self.pending.get(n)) {
            self.acked = entry.record.seq;
            self.top = (self.lease.fence(), self.acked);
        }
        self.pending.drain(..count);
    }

    /// The stream ends elsewhere: a newer fence, an earlier try of ours that got through, or lost entries.
    fn reconcile(&mut self, found: &str) -> Result<(), BusError> {
        let top = parse_id(found).unwrap_or((0, 0));
        let (fence, seq) = self.top;
        if top.0 > fence {
            return Err(BusError::StaleFence { fence, newer: top.0 });
        }
        if top < self.top {
            return Err(BusError::TransportLost {
                expected: format!("{fence}-{seq}"),
                found: found.to_owned(),
            });
        }
        let first = self.pending.first().map_or(seq + 1, |e| e.record.seq);
        let (key, count) = (self.keys.journal.clone(), self.pending.len() + 1);
        let rows = range(self.connection()?, &key, &format!("{fence}-{first}"), count)?;
        let mut waiting = self.pending.iter();
        for (id, fields) in &rows {
            let seq = parse_id(id).map_or(0, |id| id.1);
            let same =
                waiting.next().is_some_and(|e| e.record.seq == seq && value(fields) == Some(&payload(e)));
            if !same {
                return Err(BusError::Conflict { seq });
            }
        }
        if rows.is_empty() {
            return Err(BusError::Conflict { seq: first });
        }
        self.acknowledge(rows.len());
        Ok(())
    }

    /// Where to start reading for entry `from`.
    fn start(&self, from: u64) -> String {
        match &self.cursor {
            Some((id, next)) if *next == from => format!("({id}"),
            _ if from >= self.own_first => format!("{}-{from}", self.lease.fence()),
            _ => "-".to_owned(), // older fences are unknown; the stream is bounded
        }
    }

    fn read_rows(&mut self, from: u64, max: usize) -> Result<Vec<Entry>, BusError> {
        let (mut start, mut next, mut out) = (self.start(from), from, Vec::new());
        let key = self.keys.journal.clone();
        while next <= self.last.0 && out.len() < max {
            let rows = range(self.connection()?, &key, &start, CHUNK)?;
            let Some((id, _)) = rows.last() else {
                return Err(BusError::Trimmed { from: next, first: self.last.0 + 1 });
            };
            start = format!("({id}");
            for (id, fields) in &rows {
                let Some(entry) = entry_of(&key, fields)? else { continue };
                if entry.record.seq < next || out.len() >= max {
                    continue;
                }
                if entry.record.seq > next {
                    return Err(BusError::Trimmed { from: next, first: entry.record.seq });
                }
                next += 1;
                self.cursor = Some((id.clone(), next));
                out.push(entry);
            }
        }
        Ok(out)
    }
}

impl Log for RedisLog {
    fn append(&mut self, entries: &[Entry]) -> Result<(), BusError> {
        self.usable()?;
        check(self.last, entries, self.options.max_record_bytes)?;
        if self.pending.len() + entries.len() > self.options.max_pending {
            let limit = self.options.max_pending as u64;
            return Err(BusError::Full { what: "entries before a sync", limit });
        }
        self.pending.extend_from_slice(entries);
        if let Some(entry) = entries.last() {
            self.last = (entry.record.seq, entry.record.at);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<u64, BusError> {
        self.usable()?;
        self.flush()?;
        Ok(self.acked)
    }

    fn read(&mut self, from: u64, max: usize) -> Result<Vec<Entry>, BusError> {
        self.usable()?;
        self.flush()?;
        self.read_rows(from.max(1), max).inspect_err(|e| {
            if matches!(e, BusError::Redis(_)) {
                self.con = None;
            }
        })
    }

    fn last(&self) -> (u64, Timestamp) {
        self.last
    }
}

/// Connects with every wait bounded and without Nagle's delay.
pub(super) fn connect(options: &RedisOptions) -> Result<Connection, BusError> {
    let info = options.url.as_str().into_connection_info()?;
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let con = Client::open(info)?.get_connection_with_timeout(options.timeout)?;
    con.set_read_timeout(Some(options.timeout))?;
    con.set_write_timeout(Some(options.timeout))?;
    Ok(con)
}

fn payload(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(frame::PAYLOAD_HEAD + entry.record.body.len());
    frame::put_payload(entry, &mut out);
    out
}

fn parse_id(id: &str) -> Option<(u64, u64)> {
    let (fence, seq) = id.split_once('-')?;
    Some((fence.parse().ok()?, seq.parse().ok()?))
}

fn range(con: &mut Connection, key: &str, start: &str, count: usize) -> Result<Vec<Row>, BusError> {
    Ok(redis::cmd("XRANGE").arg(key).arg(start).arg("+").arg("COUNT").arg(count).query(con)?)
}

/// The value of the field that holds a payload; barriers have none.
fn value(fields: &[Vec<u8>]) -> Option<&Vec<u8>> {
    fields.first().filter(|name| name.as_slice() == b"p").and_then(|_| fields.get(1))
}

/// The entry of a row; `None` for a barrier.
pub(super) fn entry_of(key: &str, fields: &[Vec<u8>]) -> Result<Option<Entry>, BusError> {
    let damage = |what: Damage| BusError::Corrupt { file: key.into(), offset: 0, seq: 0, what };
    value(fields).map(|payload| frame::parse_payload(payload).map_err(damage)).transpose()
}

/// Number and time of the last entry, past any barriers.
fn find_last(con: &mut Connection, keys: &Keys) -> Result<(u64, Timestamp), BusError> {
    let mut end = "+".to_owned();
    loop {
        let mut command = redis::cmd("XREVRANGE");
        let rows: Vec<Row> = command.arg(&keys.journal).arg(&end).arg("-").arg("COUNT").arg(16).query(con)?;
        let Some((id, _)) = rows.last() else { return Ok((0, EMPTY_AT)) };
        end = format!("({id}");
        for (_, fields) in &rows {
            if let Some(entry) = entry_of(&keys.journal, fields)? {
                return Ok((entry.record.seq, entry.record.at));
            }
        }
    }
}
