//! The archive's folder on disk: writes, rolls, seals, recovers and deletes segments; it never changes a record.
//!
//! A folder holds one archive per venue: `VENUE/manifest.jsonl`, `VENUE/lock` and segments
//! `VENUE/YYYY-MM-DD/000001.oar`, numbered over the whole archive. The plans of recordings are `VENUE/plan-HASH.json`.

mod plan;
mod reader;
mod verify;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use schemas::{Digest, Raw, Timestamp, Venue};

use crate::archive::{
    ArchiveError, BlockOptions, Footer, Gone, Manifest, ManifestEntry, Retention, Sealed, SegmentEnd,
    SegmentHeader, SegmentReader, SegmentWriter, Stamp,
};
use crate::coverage::{DAY_NS, day_name};
use crate::import::{ImportError, Sink};

pub use plan::{plan_file, plan_of, read_plan};
pub use reader::{ArchiveReader, Tail};
pub use verify::{Report, SegmentReport, SegmentState, list, verify};

/// Name of the manifest in a venue's folder.
const MANIFEST: &str = "manifest.jsonl";
/// Name of the lock in a venue's folder.
const LOCK: &str = "lock";
/// End of a segment's name.
const EXTENSION: &str = "oar";

/// When what was written is forced to the disk. A crash loses at most what was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// After every block.
    EveryBlock,
    /// A block is ended and synced once this many milliseconds of the frames' monotonic clock have passed.
    EveryMs(u64),
    /// Only when a segment is sealed.
    AtClose,
}

/// Settings of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// A segment is sealed once it has this many bytes on disk, and at midnight UTC of the receive time.
    pub segment_bytes: u64,
    /// Bytes of a block before compression.
    pub block_bytes: usize,
    /// The level of zstd.
    pub level: i32,
    /// When to sync.
    pub fsync: Fsync,
    /// What is deleted when a segment is sealed; `None` keeps everything.
    pub retention: Option<Retention>,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        let block = BlockOptions::default();
        Self {
            segment_bytes: 256 << 20,
            block_bytes: block.block_bytes,
            level: block.level,
            fsync: Fsync::EveryMs(1_000),
            retention: None,
        }
    }
}

/// What opening found after a crash and did about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The segment that was open.
    pub segment: String,
    /// Records it holds; it is sealed now.
    pub frames: u64,
    /// Bytes of an unfinished block that were cut off.
    pub torn: u64,
}

/// The one writer of a venue's archive.
pub struct ArchiveWriter {
    folder: Folder,
    venue: Venue,
    source: String,
    options: ArchiveOptions,
    current: Option<Current>,
    next_seq: u64,
    fresh: bool,
    recovered: Option<Recovered>,
    failed: bool,
    _lock: File,
}

/// The segment being written.
struct Current {
    writer: SegmentWriter<File>,
    header: SegmentHeader,
    number: u32,
    file: String,
    day: i64,
    synced_mono: u64,
}

impl ArchiveWriter {
    /// Opens `dir/VENUE` for appending and creates it if need be. What a crash left open is sealed, an unfinished
    /// block behind it cut off ([`ArchiveWriter::recovered`] tells). The first record appended is marked as the first
    /// one of a new machine.
    ///
    /// # Errors
    /// `archive_locked` if another process writes; `archive_damaged`, `archive_chain`, `segment_missing` or
    /// `manifest_damaged` if what is there is not whole: nothing is changed then.
    pub fn open(
        dir: impl AsRef<Path>,
        venue: Venue,
        source: &str,
        options: ArchiveOptions,
    ) -> Result<Self, ArchiveError> {
        let root = dir.as_ref().join(venue.name());
        fs::create_dir_all(&root).map_err(|e| io("create", &root, &e))?;
        let lock = lock(&root)?;
        let mut folder = Folder::open_to_write(root)?;
        folder.finish_deletions()?;
        let recovered = folder.recover(venue)?;
        let (_, next_seq, _) = folder.manifest.next();
        Ok(Self {
            folder,
            venue,
            source: source.to_owned(),
            options,
            current: None,
            next_seq,
            fresh: true,
            recovered,
            failed: false,
            _lock: lock,
        })
    }

    /// What opening mended, if anything.
    pub fn recovered(&self) -> Option<&Recovered> {
        self.recovered.as_ref()
    }

    /// The number the next record gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The next record begins a new machine: readers start anew there.
    pub fn begin_session(&mut self) {
        self.fresh = true;
    }

    /// Appends a record and gives its number. It is on disk when the fsync policy says so, or after
    /// [`ArchiveWriter::flush`].
    ///
    /// # Errors
    /// `archive_io` if the disk refuses; from then on `archive_stopped`.
    pub fn append(&mut self, stamp: Stamp, raw: &Raw) -> Result<u64, ArchiveError> {
        if self.failed {
            return Err(ArchiveError::Stopped);
        }
        let result = self.try_append(stamp, raw);
        // A record that is too large was not begun; after anything else the end of the file is not known.
        self.failed = !matches!(result, Ok(_) | Err(ArchiveError::TooLarge(_)));
        result
    }

    fn try_append(&mut self, stamp: Stamp, raw: &Raw) -> Result<u64, ArchiveError> {
        let day = stamp.wall.0.div_euclid(DAY_NS);
        if self.current.as_ref().is_some_and(|c| {
            c.writer.written() >= self.options.segment_bytes || (day > c.day && stamp.wall != Timestamp::ZERO)
        }) {
            self.seal(stamp.wall)?;
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(start(
                &self.folder,
                &self.options,
                self.venue,
                &self.source,
                self.next_seq,
                day,
                stamp.mono_ns,
            )?),
        };
        let (seq, full) = current.writer.append(&stamp, self.fresh, raw)?;
        self.fresh = false;
        self.next_seq = seq + 1;
        match self.options.fsync {
            Fsync::EveryBlock if full => current.sync(stamp.mono_ns)?,
            Fsync::EveryMs(ms) => current.sync_if_due(stamp.mono_ns, ms)?,
            _ => {}
        }
        Ok(seq)
    }

    /// The monotonic clock went on without a frame: syncs if the policy says so.
    pub fn tick(&mut self, mono_ns: u64) -> Result<(), ArchiveError> {
        match (&mut self.current, self.options.fsync) {
            (Some(current), Fsync::EveryMs(ms)) if !self.failed => {
                let result = current.sync_if_due(mono_ns, ms);
                self.failed = result.is_err();
                result
            }
            _ => Ok(()),
        }
    }

    /// Everything appended so far is on disk when this returns.
    pub fn flush(&mut self) -> Result<(), ArchiveError> {
        if self.failed {
            return Err(ArchiveError::Stopped);
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        let result = current.sync(current.synced_mono);
        self.failed = result.is_err();
        result
    }

    /// Seals the open segment. Gives the chain hash of the whole archive.
    pub fn close(mut self) -> Result<Digest, ArchiveError> {
        if self.failed {
            return Err(ArchiveError::Stopped);
        }
        self.seal(Timestamp::ZERO)?;
        Ok(self.folder.manifest.next().2)
    }

    fn seal(&mut self, now: Timestamp) -> Result<(), ArchiveError> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let path = self.folder.root.join(&current.file);
        let (file, footer) = current.writer.finish()?;
        file.sync_all().map_err(|e| io("sync", &path, &e))?;
        let bytes = file.metadata().map_err(|e| io("read", &path, &e))?.len();
        self.folder.sealed(current.number, current.file, &current.header, &footer, bytes)?;
        if let Some(retention) = &self.options.retention
            && now != Timestamp::ZERO
        {
            self.folder.retain(retention, now, plan_of(&self.source))?;
        }
        Ok(())
    }
}

impl Sink for &mut ArchiveWriter {
    fn record(&mut self, stamp: Stamp, raw: &Raw) -> Result<u64, ImportError> {
        Ok(self.append(stamp, raw)?)
    }
}

impl Drop for ArchiveWriter {
    /// What waits in the open block is written; the segment stays open and is sealed by the next
    /// [`ArchiveWriter::open`]. A write that fails here loses that block, as a crash would.
    fn drop(&mut self) {
        if let Some(current) = self.current.as_mut().filter(|_| !self.failed) {
            current.writer.end_block().ok();
        }
    }
}

impl Current {
    fn sync(&mut self, mono_ns: u64) -> Result<(), ArchiveError> {
        self.writer.end_block()?;
        let file = &self.file;
        self.writer.get_mut().sync_data().map_err(|e| ArchiveError::io("sync", file, &e))?;
        self.synced_mono = mono_ns;
        Ok(())
    }

    fn sync_if_due(&mut self, mono_ns: u64, ms: u64) -> Result<(), ArchiveError> {
        if mono_ns.saturating_sub(self.synced_mono) < ms.saturating_mul(1_000_000) {
            return Ok(());
        }
        self.sync(mono_ns)
    }
}

/// Begins a segment.
fn start(
    folder: &Folder,
    options: &ArchiveOptions,
    venue: Venue,
    source: &str,
    first_seq: u64,
    day: i64,
    synced_mono: u64,
) -> Result<Current, ArchiveError> {
    let (number, _, before) = folder.manifest.next();
    let day_dir = folder.root.join(day_name(day));
    fs::create_dir_all(&day_dir).map_err(|e| io("create", &day_dir, &e))?;
    let name = format!("{}/{number:06}.{EXTENSION}", day_name(day));
    let path = folder.root.join(&name);
    let out =
        OpenOptions::new().create_new(true).append(true).open(&path).map_err(|e| io("create", &path, &e))?;
    sync_dir(&day_dir)?;
    sync_dir(&folder.root)?;
    let header = SegmentHeader { venue, source: source.to_owned(), first_seq, before };
    let block = BlockOptions { block_bytes: options.block_bytes, level: options.level };
    let writer = SegmentWriter::create(out, &path.display().to_string(), &header, block)?;
    Ok(Current { writer, header, number, file: name, day, synced_mono })
}

/// A venue's folder and its manifest.
struct Folder {
    root: PathBuf,
    manifest: Manifest,
    manifest_file: Option<File>,
}

impl Folder {
    /// Reads the manifest; a torn last line stays where it is.
    fn open_to_read(root: PathBuf) -> Result<Self, ArchiveError> {
        let path = root.join(MANIFEST);
        let text = fs::read(&path).map_err(|e| io("read", &path, &e))?;
        let manifest = Manifest::parse(&text, &path.display().to_string())?;
        Ok(Self { root, manifest, manifest_file: None })
    }

    /// Reads the manifest, creates it if need be and cuts a torn last line off.
    fn open_to_write(root: PathBuf) -> Result<Self, ArchiveError> {
        let path = root.join(MANIFEST);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| io("open", &path, &e))?;
        let mut folder = Self::open_to_read(root)?;
        let whole = folder.manifest.whole as u64;
        file.set_len(whole).map_err(|e| io("write", &path, &e))?;
        file.seek(SeekFrom::Start(whole)).map_err(|e| io("write", &path, &e))?;
        folder.manifest_file = Some(file);
        sync_dir(&folder.root)?;
        Ok(folder)
    }

    /// Adds a line to the manifest; on disk when this returns.
    fn note(&mut self, entry: ManifestEntry) -> Result<(), ArchiveError> {
        let path = self.root.join(MANIFEST);
        let line = self.manifest.line(entry);
        let file = self.manifest_file.as_mut().ok_or(ArchiveError::Stopped)?;
        file.write_all(line.as_bytes()).map_err(|e| io("write", &path, &e))?;
        file.sync_data().map_err(|e| io("sync", &path, &e))
    }

    fn sealed(
        &mut self,
        number: u32,
        file: String,
        header: &SegmentHeader,
        footer: &Footer,
        bytes: u64,
    ) -> Result<(), ArchiveError> {
        self.note(ManifestEntry::Sealed(Sealed {
            number,
            file,
            first_seq: header.first_seq,
            frames: footer.frames,
            bytes,
            from_ns: footer.from.0,
            to_ns: footer.to.0,
            before: header.before.to_string(),
            chain: footer.chain.to_string(),
        }))
    }

    /// The segment files that are there, by number, relative to the folder.
    fn files(&self) -> Result<BTreeMap<u32, String>, ArchiveError> {
        let mut files = BTreeMap::new();
        for day in fs::read_dir(&self.root).map_err(|e| io("list", &self.root, &e))?.flatten() {
            let dir = day.path();
            if !dir.is_dir() {
                continue;
            }
            for file in fs::read_dir(&dir).map_err(|e| io("list", &dir, &e))?.flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                let number = name.strip_suffix(&format!(".{EXTENSION}")).and_then(|n| n.parse().ok());
                if let Some(number) = number {
                    files.insert(number, format!("{}/{name}", day.file_name().to_string_lossy()));
                }
            }
        }
        Ok(files)
    }

    /// Deletes what the manifest says is deleted and is still there: a crash came between.
    fn finish_deletions(&self) -> Result<(), ArchiveError> {
        for (number, file) in self.files()? {
            if self.manifest.gone.contains_key(&number) {
                self.delete(&file)?;
            }
        }
        Ok(())
    }

    fn delete(&self, file: &str) -> Result<(), ArchiveError> {
        let path = self.root.join(file);
        fs::remove_file(&path).map_err(|e| io("delete", &path, &e))?;
        // The day's folder goes with its last segment; one that is not empty stays.
        path.parent().map(fs::remove_dir);
        Ok(())
    }

    /// Checks that all sealed segments are there, and seals the one that a crash left open.
    fn recover(&mut self, venue: Venue) -> Result<Option<Recovered>, ArchiveError> {
        let mut files = self.files()?;
        for sealed in self.manifest.kept() {
            let path = self.root.join(&sealed.file);
            let Ok(meta) = fs::metadata(&path) else {
                return Err(ArchiveError::Missing(path.display().to_string()));
            };
            if meta.len() != sealed.bytes {
                let offset = meta.len().min(sealed.bytes);
                let what = "its length is not the one the manifest has";
                return Err(ArchiveError::Damaged { segment: path.display().to_string(), offset, what });
            }
            files.remove(&sealed.number);
        }
        let (number, first_seq, before) = self.manifest.next();
        let Some((found, file)) = files.pop_first() else { return Ok(None) };
        let path = self.root.join(&file);
        let name = path.display().to_string();
        if found != number || !files.is_empty() {
            return Err(ArchiveError::Chain { segment: name, what: "the manifest does not lead to it" });
        }
        let input = File::open(&path).map_err(|e| io("open", &path, &e))?;
        let Some(mut reader) = SegmentReader::open(std::io::BufReader::new(input), &name)? else {
            let torn = fs::metadata(&path).map_or(0, |m| m.len());
            self.delete(&file)?;
            return Ok(Some(Recovered { segment: name, frames: 0, torn }));
        };
        let header = reader.header().clone();
        if header.first_seq != first_seq || header.before != before || header.venue != venue {
            return Err(ArchiveError::Chain { segment: name, what: "its header does not follow" });
        }
        while reader.advance()? {}
        let (whole, torn) = match reader.end() {
            Some(SegmentEnd::Open { whole, torn }) => (Some(whole), torn),
            _ => (None, 0),
        };
        let frames = reader.totals().frames();
        if frames == 0 {
            self.delete(&file)?;
            return Ok(Some(Recovered { segment: name, frames, torn }));
        }
        if let Some(whole) = whole {
            append_footer(&path, whole, &reader.totals().sealing_bytes())?;
        }
        let bytes = fs::metadata(&path).map_err(|e| io("read", &path, &e))?.len();
        self.sealed(number, file, &header, &reader.totals().footer(), bytes)?;
        Ok(Some(Recovered { segment: name, frames, torn }))
    }

    /// Deletes what is due, and then the plans that nothing names any more but the writer (`in_use`).
    fn retain(
        &mut self,
        retention: &Retention,
        now: Timestamp,
        in_use: Option<Digest>,
    ) -> Result<Vec<Gone>, ArchiveError> {
        let due = self.manifest.due(retention, now);
        for gone in &due {
            let file = self.manifest.sealed.iter().find(|s| s.number == gone.number).map(|s| s.file.clone());
            // The tombstone first: a crash between the two is finished by the next opening.
            self.note(ManifestEntry::Gone(gone.clone()))?;
            if let Some(file) = file.filter(|file| self.root.join(file).exists()) {
                self.delete(&file)?;
            }
        }
        self.prune_plans(in_use)?;
        Ok(due)
    }
}

/// Deletes the oldest segments of the archive in `dir` as `retention` asks; their hashes stay in the manifest. Gives
/// what was deleted; with `dry_run` nothing is.
pub fn retain(
    dir: impl AsRef<Path>,
    retention: &Retention,
    now: Timestamp,
    dry_run: bool,
) -> Result<Vec<Gone>, ArchiveError> {
    let (venue, root) = one(dir.as_ref())?;
    if dry_run {
        return Ok(Folder::open_to_read(root)?.manifest.due(retention, now));
    }
    let _lock = lock(&root)?;
    let mut folder = Folder::open_to_write(root)?;
    folder.finish_deletions()?;
    folder.recover(venue)?;
    folder.retain(retention, now, None)
}

/// The archives in a folder: its own if it is a venue's, else one per venue.
pub fn archives(dir: impl AsRef<Path>) -> Vec<(Venue, PathBuf)> {
    let dir = dir.as_ref();
    let is_archive = |path: &Path| path.join(MANIFEST).is_file();
    if is_archive(dir) {
        let absolute = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
        return name.and_then(|name| name.parse().ok()).map(|v| (v, dir.to_owned())).into_iter().collect();
    }
    Venue::ALL.iter().map(|v| (*v, dir.join(v.name()))).filter(|(_, path)| is_archive(path)).collect()
}

/// The one archive in a folder.
pub fn one(dir: &Path) -> Result<(Venue, PathBuf), ArchiveError> {
    let mut found = archives(dir);
    let path = dir.display().to_string();
    match found.len() {
        0 => Err(ArchiveError::NoArchive(path)),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.iter().map(|(v, _)| v.name()).collect();
            Err(ArchiveError::SeveralVenues { path, venues: names.join(", "), first: names[0].to_owned() })
        }
    }
}

fn append_footer(path: &Path, whole: u64, footer: &[u8]) -> Result<(), ArchiveError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(whole)?;
        file.seek(SeekFrom::Start(whole))?;
        file.write_all(footer)?;
        file.sync_all()
    };
    write().map_err(|e| io("seal", path, &e))
}

fn lock(root: &Path) -> Result<File, ArchiveError> {
    let path = root.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| io("create", &path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ArchiveError::Locked(root.display().to_string())),
        Err(TryLockError::Error(e)) => Err(io("lock", &path, &e)),
    }
}

fn sync_dir(dir: &Path) -> Result<(), ArchiveError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| io("sync", dir, &e))
}

fn io(doing: &'static str, path: &Path, error: &std::io::Error) -> ArchiveError {
    ArchiveError::io(doing, &path.display().to_string(), error)
}
