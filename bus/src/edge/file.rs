//! The journal on disk: segment files with checksums and a hash chain; never the meaning of a body.
//!
//! A directory holds `<first_seq>.seg` files and a `lock`. A segment gets its name only with a whole, durable header,
//! and the one before it is durable by then, so only the end of the last segment can ever be torn. [`FileLog::open`]
//! cuts a torn end off and says so ([`FileLog::torn`]); anything else that is wrong is [`BusError::Corrupt`] and
//! stays as it is. After a failed write or sync the log refuses to go on: what the disk holds is unknown then.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use schemas::{Digest, Entry, Timestamp};

use super::segment::{self, HEADER, INDEX_EVERY, MAX_PAYLOAD, MAX_SEGMENT, Point};
use super::{io_error, sync_dir, write_whole};
use crate::error::{BusError, Damage};
use crate::frame::{self, FRAME_HEAD, PAYLOAD_HEAD};
use crate::log::{Log, check};

/// Bytes after which one `read` stops.
const READ_BYTES: usize = 16 << 20;

/// The bounds of a [`FileLog`].
#[derive(Clone, Copy, Debug)]
pub struct FileOptions {
    /// Size at which a new segment starts, bytes; at most 512 MiB.
    pub segment_bytes: u64,
    /// Largest body, bytes; at most 63 MiB.
    pub max_record_bytes: usize,
    /// Largest sum of all segments, bytes.
    pub max_total_bytes: u64,
    /// Bytes held back before a write; a sync writes in any case.
    pub write_buffer_bytes: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            max_record_bytes: 8 << 20,
            max_total_bytes: 1 << 40,
            write_buffer_bytes: 1 << 20,
        }
    }
}

/// The torn end that [`FileLog::open`] cut off: the last write before a crash, never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// The number that the cut-off record would have had.
    pub seq: u64,
    /// What was wrong with it.
    pub what: Damage,
}

/// A log in a directory of segment files.
pub struct FileLog {
    dir: PathBuf,
    options: FileOptions,
    segments: BTreeMap<u64, Segment>,
    total: u64,
    point: Point,
    durable: u64,
    writer: Option<Writer>,
    cursor: Option<Cursor>,
    torn: Option<TornTail>,
    failed: Option<&'static str>,
    _lock: Option<File>,
}

struct Segment {
    path: PathBuf,
    len: u64,
    index: Vec<(u64, u64)>,
}

struct Writer {
    file: File,
    buffer: Vec<u8>,
}

struct Cursor {
    segment: u64,
    file: BufReader<File>,
    offset: u64,
    next: u64,
}

impl FileLog {
    /// Opens `dir` for appending, creating it if need be. Reads and checks every segment.
    pub fn open(dir: impl Into<PathBuf>, options: FileOptions) -> Result<Self, BusError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(io_error("create directory", &dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(io_error("create", &path))?;
        held(lock.try_lock(), &path)?;
        let mut log = Self::empty(dir, options, Some(lock));
        log.scan_all(true)?;
        if log.segments.is_empty() {
            log.start_segment()?;
        }
        let (_, segment) = log.segments.last_key_value().expect("the first segment was just made");
        let file =
            OpenOptions::new().append(true).open(&segment.path).map_err(io_error("open", &segment.path))?;
        log.writer = Some(Writer { file, buffer: Vec::new() });
        log.durable = log.point.seq;
        Ok(log)
    }

    /// Opens `dir` for verification: nothing is written, and a torn end is an error that names the record. The
    /// writer must not have it open.
    pub fn open_read_only(dir: impl Into<PathBuf>, options: FileOptions) -> Result<Self, BusError> {
        let dir = dir.into();
        let path = dir.join("lock");
        let lock = match File::open(&path) {
            Ok(file) => {
                held(file.try_lock_shared(), &path)?;
                Some(file)
            }
            Err(_) => None, // a copy of the segments without the lock file is fine to read
        };
        let mut log = Self::empty(dir, options, lock);
        log.scan_all(false)?;
        log.durable = log.point.seq;
        Ok(log)
    }

    /// BLAKE3 chain over all payloads, appended ones included.
    pub fn chain(&self) -> Digest {
        self.point.chain
    }

    /// What [`FileLog::open`] cut off, if anything.
    pub fn torn(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Bytes of all segments, buffered ones included.
    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn empty(dir: PathBuf, options: FileOptions, lock: Option<File>) -> Self {
        let options = FileOptions {
            segment_bytes: options.segment_bytes.min(MAX_SEGMENT / 2),
            max_record_bytes: options.max_record_bytes.min(MAX_PAYLOAD - (1 << 20)),
            ..options
        };
        Self {
            dir,
            options,
            segments: BTreeMap::new(),
            total: 0,
            point: Point::START,
            durable: 0,
            writer: None,
            cursor: None,
            torn: None,
            failed: None,
            _lock: lock,
        }
    }

    /// Reads the directory and scans every segment in order; with `repair`, removes what an interrupted start of a
    /// segment left, and cuts a torn end off.
    fn scan_all(&mut self, repair: bool) -> Result<(), BusError> {
        let mut firsts = Vec::new();
        for item in fs::read_dir(&self.dir).map_err(io_error("list", &self.dir))? {
            let name = item.map_err(io_error("list", &self.dir))?.file_name();
            let name = name.to_string_lossy();
            if let Some(first) = segment::parse_name(&name) {
                firsts.push(first);
            } else if repair && name.strip_suffix(".tmp").and_then(segment::parse_name).is_some() {
                let path = self.dir.join(&*name);
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        firsts.sort_unstable();
        for (n, first) in firsts.iter().enumerate() {
            self.scan_segment(*first, repair && n + 1 == firsts.len())?;
        }
        Ok(())
    }

    fn scan_segment(&mut self, first: u64, repair: bool) -> Result<(), BusError> {
        let path = self.dir.join(segment::file_name(first));
        let seq = self.point.seq + 1;
        if first != seq {
            let missing = self.dir.join(segment::file_name(seq));
            return Err(BusError::Corrupt { file: missing, offset: 0, seq, what: Damage::Missing });
        }
        let size = fs::metadata(&path).map_err(io_error("stat", &path))?.len();
        if size > MAX_SEGMENT {
            return Err(BusError::Corrupt { file: path, offset: 0, seq, what: Damage::Oversized });
        }
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        segment::check_header(&path, &bytes, &self.point)?;
        let scan = segment::scan(&bytes, self.point);
        if let Some(what) = scan.fault {
            let (offset, seq) = (scan.end, scan.point.seq + 1);
            let torn = matches!(what, Damage::Short | Damage::Length | Damage::Checksum);
            let rest = &bytes[offset as usize..];
            if !(repair && torn) || frame::holds_later_record(rest, seq, MAX_PAYLOAD) {
                return Err(BusError::Corrupt { file: path, offset, seq, what });
            }
            cut(&path, offset)?;
            let bytes = rest.len() as u64;
            self.torn = Some(TornTail { file: path.clone(), offset, bytes, seq, what });
        }
        self.total += scan.end;
        self.point = scan.point;
        self.segments.insert(first, Segment { path, len: scan.end, index: scan.index });
        Ok(())
    }

    /// Creates the segment that continues the log.
    fn start_segment(&mut self) -> Result<(), BusError> {
        let first = self.point.seq + 1;
        let path = self.dir.join(segment::file_name(first));
        write_whole(&path, &segment::header(&self.point))?;
        self.total += HEADER as u64;
        self.segments.insert(first, Segment { path, len: HEADER as u64, index: Vec::new() });
        Ok(())
    }

    /// Seals the current segment and starts the next.
    fn roll(&mut self) -> Result<(), BusError> {
        self.make_durable()?;
        self.start_segment()?;
        let path = &self.tail().1.path;
        let file = OpenOptions::new().append(true).open(path).map_err(io_error("open", path))?;
        self.writer = Some(Writer { file, buffer: Vec::new() });
        Ok(())
    }

    fn tail(&mut self) -> (u64, &mut Segment) {
        let last = self.segments.last_entry().expect("a writer has a segment");
        (*last.key(), last.into_mut())
    }

    fn put(&mut self, entry: &Entry) -> Result<(), BusError> {
        let size = (FRAME_HEAD + PAYLOAD_HEAD + entry.record.body.len()) as u64;
        let limit = self.options.segment_bytes;
        let len = self.tail().1.len;
        if len > HEADER as u64 && len + size > limit {
            self.roll()?;
        }
        let seq = entry.record.seq;
        let (first, segment) = self.tail();
        if (seq - first).is_multiple_of(INDEX_EVERY) {
            segment.index.push((seq, segment.len));
        }
        segment.len += size;
        self.total += size;
        let writer = self.writer.as_mut().ok_or(BusError::ReadOnly)?;
        let payload = frame::put_frame(entry, &mut writer.buffer);
        let chain = frame::chain(self.point.chain, &writer.buffer[payload..]);
        self.point = Point { seq, at: entry.record.at, chain };
        if writer.buffer.len() >= self.options.write_buffer_bytes { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), BusError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if writer.buffer.is_empty() {
            return Ok(());
        }
        let result = writer.file.write_all(&writer.buffer);
        writer.buffer.clear();
        let path = &self.segments.last_key_value().expect("a writer has a segment").1.path;
        result.map_err(io_error("write", path))
    }

    fn make_durable(&mut self) -> Result<(), BusError> {
        self.flush()?;
        if let Some(writer) = self.writer.as_ref().filter(|_| self.durable < self.point.seq) {
            let path = &self.segments.last_key_value().expect("a writer has a segment").1.path;
            writer.file.sync_data().map_err(io_error("sync", path))?;
            self.durable = self.point.seq;
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), BusError> {
        self.failed.map_or(Ok(()), |first| Err(BusError::Failed { first }))
    }

    fn fail(&mut self, error: BusError) -> BusError {
        self.failed = Some(error.code());
        error
    }

    /// A cursor that gives entry `from` next.
    fn seek(&self, from: u64) -> Result<Cursor, BusError> {
        let (first, segment) = self.segments.range(..=from).next_back().expect("entry 1 has a segment");
        let near = segment.index.partition_point(|(seq, _)| *seq <= from).saturating_sub(1);
        let (next, offset) = segment.index.get(near).copied().unwrap_or((*first, HEADER as u64));
        let mut file = File::open(&segment.path).map_err(io_error("open", &segment.path))?;
        file.seek(SeekFrom::Start(offset)).map_err(io_error("seek", &segment.path))?;
        let mut cursor =
            Cursor { segment: *first, file: BufReader::with_capacity(1 << 18, file), offset, next };
        let mut scratch = Vec::new();
        while cursor.next < from {
            cursor.step(segment, &mut scratch)?;
        }
        Ok(cursor)
    }
}

impl Cursor {
    /// Reads and checks the next record; `scratch` holds its frame afterwards.
    fn step(&mut self, segment: &Segment, scratch: &mut Vec<u8>) -> Result<Entry, BusError> {
        let (offset, seq) = (self.offset, self.next);
        let damage = |what| BusError::Corrupt { file: segment.path.clone(), offset, seq, what };
        let read_error = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => damage(Damage::Short),
            _ => io_error("read", &segment.path)(e),
        };
        scratch.resize(FRAME_HEAD, 0);
        self.file.read_exact(scratch).map_err(read_error)?;
        let len = u32::from_le_bytes([scratch[0], scratch[1], scratch[2], scratch[3]]) as usize;
        if len > MAX_PAYLOAD || offset + (FRAME_HEAD + len) as u64 > segment.len {
            return Err(damage(Damage::Length));
        }
        scratch.resize(FRAME_HEAD + len, 0);
        self.file.read_exact(&mut scratch[FRAME_HEAD..]).map_err(read_error)?;
        let payload = frame::frame_payload(scratch, MAX_PAYLOAD).map_err(damage)?;
        segment::check_head(payload, seq).map_err(damage)?;
        let entry = frame::parse_payload(payload).map_err(damage)?;
        self.offset += scratch.len() as u64;
        self.next += 1;
        Ok(entry)
    }
}

impl Log for FileLog {
    fn append(&mut self, entries: &[Entry]) -> Result<(), BusError> {
        self.usable()?;
        if self.writer.is_none() {
            return Err(BusError::ReadOnly);
        }
        let payloads = check(self.last(), entries, self.options.max_record_bytes)?;
        let most = payloads + (entries.len() * (FRAME_HEAD + HEADER)) as u64;
        if self.total + most > self.options.max_total_bytes {
            return Err(BusError::Full { what: "file log bytes", limit: self.options.max_total_bytes });
        }
        entries.iter().try_for_each(|entry| self.put(entry)).map_err(|e| self.fail(e))
    }

    fn sync(&mut self) -> Result<u64, BusError> {
        self.usable()?;
        self.make_durable().map_err(|e| self.fail(e))?;
        Ok(self.durable)
    }

    fn read(&mut self, from: u64, max: usize) -> Result<Vec<Entry>, BusError> {
        let from = from.max(1);
        if from > self.point.seq {
            return Ok(Vec::new());
        }
        self.usable()?;
        self.flush().map_err(|e| self.fail(e))?;
        let mut cursor = match self.cursor.take().filter(|c| c.next == from) {
            Some(cursor) => cursor,
            None => self.seek(from)?,
        };
        let (mut out, mut bytes, mut scratch) = (Vec::new(), 0, Vec::new());
        while out.len() < max && bytes < READ_BYTES && cursor.next <= self.point.seq {
            let mut segment = &self.segments[&cursor.segment];
            if cursor.offset >= segment.len {
                cursor = self.seek(cursor.next)?;
                segment = &self.segments[&cursor.segment];
            }
            out.push(cursor.step(segment, &mut scratch)?);
            bytes += scratch.len();
        }
        self.cursor = Some(cursor);
        Ok(out)
    }

    fn last(&self) -> (u64, Timestamp) {
        (self.point.seq, self.point.at)
    }
}

fn held(lock: Result<(), TryLockError>, path: &Path) -> Result<(), BusError> {
    match lock {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(BusError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", path)(source)),
    }
}

fn cut(path: &Path, len: u64) -> Result<(), BusError> {
    let file = OpenOptions::new().write(true).open(path).map_err(io_error("open", path))?;
    file.set_len(len).and_then(|()| file.sync_all()).map_err(io_error("truncate", path))?;
    sync_dir(path.parent().unwrap_or_else(|| Path::new(".")))
}
