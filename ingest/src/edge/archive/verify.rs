//! Checks an archive segment by segment and goes on after damage, so that all of it is named; it mends nothing.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use schemas::{Digest, Timestamp, Venue};

use super::reader::parse_chain;
use super::{Folder, io, one, plan_of, read_plan};
use crate::archive::{ArchiveError, Sealed, SegmentEnd, SegmentReader};

/// Where a segment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Complete.
    Sealed,
    /// Being written, or left open by a crash.
    Open,
    /// Deleted by retention; its hashes are in the manifest.
    Gone,
    /// Promised by the manifest and not there.
    Missing,
}

impl SegmentState {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Open => "open",
            Self::Gone => "deleted",
            Self::Missing => "missing",
        }
    }
}

/// One segment's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number.
    pub number: u32,
    /// Its file, relative to the venue's folder.
    pub file: String,
    /// Where it stands.
    pub state: SegmentState,
    /// Number of its first record.
    pub first_seq: u64,
    /// Records.
    pub frames: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes before compression; 0 where it was not read.
    pub raw_bytes: u64,
    /// Earliest known receive time; 0 if none.
    pub from: Timestamp,
    /// Latest known receive time; 0 if none.
    pub to: Timestamp,
    /// Every checksum and the hash of its records fit. Not known (`None`) where it was not read.
    pub hash_ok: Option<bool>,
    /// It follows from the segment before, and the manifest says the same.
    pub chain_ok: Option<bool>,
    /// The plan it names. It is there and unchanged unless `error` says otherwise.
    pub plan: Option<Digest>,
    /// Bytes of an unfinished block at the end of an open segment.
    pub torn: u64,
    /// What is wrong.
    pub error: Option<ArchiveError>,
}

/// A verdict on an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The venue.
    pub venue: Venue,
    /// Where the newest segment's frames come from; empty where no header was read.
    pub source: String,
    /// All segments that ever were, in order.
    pub segments: Vec<SegmentReport>,
    /// The chain hash after the newest segment: note it elsewhere and nobody can cut the archive's end off unseen.
    pub chain: Digest,
    /// Bytes of a manifest line that was never finished.
    pub manifest_torn: usize,
}

impl Report {
    /// Nothing is wrong. An open segment and a torn tail are no damage.
    pub fn ok(&self) -> bool {
        self.segments.iter().all(|segment| segment.error.is_none())
    }

    /// Records that are kept.
    pub fn frames(&self) -> u64 {
        self.segments.iter().filter(|s| s.state != SegmentState::Gone).map(|s| s.frames).sum()
    }
}

/// Reads every byte of the archive in `dir` and says what holds.
///
/// # Errors
/// Only where nothing can be said at all: no archive, or a damaged manifest.
pub fn verify(dir: impl AsRef<Path>) -> Result<Report, ArchiveError> {
    look(dir.as_ref(), true)
}

/// Lists the segments by the manifest; reads a segment that is not sealed, and of the others only the plan.
pub fn list(dir: impl AsRef<Path>) -> Result<Report, ArchiveError> {
    look(dir.as_ref(), false)
}

fn look(dir: &Path, read_all: bool) -> Result<Report, ArchiveError> {
    let (venue, root) = one(dir)?;
    let folder = Folder::open_to_read(root)?;
    let mut files = folder.files()?;
    let mut report = Report {
        venue,
        source: String::new(),
        segments: Vec::new(),
        chain: Digest::default(),
        manifest_torn: folder.manifest.torn,
    };
    for sealed in &folder.manifest.sealed {
        let gone = folder.manifest.gone.contains_key(&sealed.number);
        let there = files.remove(&sealed.number).is_some();
        let state = match (gone, there) {
            (true, _) => SegmentState::Gone,
            (false, true) => SegmentState::Sealed,
            (false, false) => SegmentState::Missing,
        };
        let mut segment = promised(sealed, state);
        if state == SegmentState::Missing {
            segment.error = Some(ArchiveError::Missing(folder.root.join(&sealed.file).display().to_string()));
        } else if state == SegmentState::Sealed && read_all {
            read(&folder, venue, &mut segment, Some(sealed), report.chain, &mut report.source);
        } else if state == SegmentState::Sealed {
            segment.error = list_plan(&folder, &mut segment.plan, &segment.file).err();
        }
        report.chain = parse_chain(&sealed.chain);
        report.segments.push(segment);
    }
    let (mut number, mut first_seq, _) = folder.manifest.next();
    for (found, file) in files {
        let mut segment = unpromised(found, file, first_seq);
        if found == number {
            let chain = report.chain;
            read(&folder, venue, &mut segment, None, chain, &mut report.source);
        } else {
            let what = "the manifest does not lead to it";
            segment.error = Some(ArchiveError::Chain { segment: segment.file.clone(), what });
        }
        first_seq += segment.frames;
        number += 1;
        report.segments.push(segment);
    }
    Ok(report)
}

fn promised(sealed: &Sealed, state: SegmentState) -> SegmentReport {
    SegmentReport {
        number: sealed.number,
        file: sealed.file.clone(),
        state,
        first_seq: sealed.first_seq,
        frames: sealed.frames,
        bytes: sealed.bytes,
        raw_bytes: 0,
        from: Timestamp(sealed.from_ns),
        to: Timestamp(sealed.to_ns),
        hash_ok: None,
        chain_ok: None,
        plan: None,
        torn: 0,
        error: None,
    }
}

fn unpromised(number: u32, file: String, first_seq: u64) -> SegmentReport {
    SegmentReport {
        number,
        file,
        state: SegmentState::Open,
        first_seq,
        frames: 0,
        bytes: 0,
        raw_bytes: 0,
        from: Timestamp::ZERO,
        to: Timestamp::ZERO,
        hash_ok: None,
        chain_ok: None,
        plan: None,
        torn: 0,
        error: None,
    }
}

/// Finds the plan of a segment whose records are not read.
fn list_plan(folder: &Folder, plan: &mut Option<Digest>, file: &str) -> Result<(), ArchiveError> {
    *plan = folder.plan_in(file)?;
    plan.map_or(Ok(()), |plan| read_plan(&folder.root, plan).map(|_| ()))
}

/// Reads one segment and fills its verdict in.
fn read(
    folder: &Folder,
    venue: Venue,
    segment: &mut SegmentReport,
    sealed: Option<&Sealed>,
    before: Digest,
    source: &mut String,
) {
    segment.hash_ok = Some(false);
    segment.chain_ok = Some(false);
    if let Err(error) = try_read(folder, venue, segment, sealed, before, source) {
        segment.error = Some(error);
    }
}

fn try_read(
    folder: &Folder,
    venue: Venue,
    segment: &mut SegmentReport,
    sealed: Option<&Sealed>,
    before: Digest,
    source: &mut String,
) -> Result<(), ArchiveError> {
    let path = folder.root.join(&segment.file);
    let name = path.display().to_string();
    let file = File::open(&path).map_err(|e| io("open", &path, &e))?;
    segment.bytes = file.metadata().map_err(|e| io("read", &path, &e))?.len();
    let Some(mut reader) = SegmentReader::open(BufReader::with_capacity(1 << 18, file), &name)? else {
        if sealed.is_some() {
            let what = "it ends within its header";
            return Err(ArchiveError::Damaged { segment: name, offset: 0, what });
        }
        segment.torn = segment.bytes;
        (segment.hash_ok, segment.chain_ok) = (Some(true), Some(true));
        return Ok(());
    };
    let header = reader.header().clone();
    source.clone_from(&header.source);
    while reader.advance()? {}
    let footer = reader.totals().footer();
    match reader.end() {
        Some(SegmentEnd::Open { whole, torn }) => {
            if sealed.is_some() {
                let what = "it ends without the footer it had";
                return Err(ArchiveError::Damaged { segment: name, offset: whole, what });
            }
            segment.torn = torn;
        }
        _ => segment.state = SegmentState::Sealed,
    }
    segment.hash_ok = Some(true);
    segment.plan = plan_of(&header.source);
    let follows = header.before == before && header.first_seq == segment.first_seq && header.venue == venue;
    if !follows {
        return Err(ArchiveError::Chain { segment: name, what: "its header does not follow" });
    }
    if sealed.is_some_and(|s| s.chain != footer.chain.to_string() || s.frames != footer.frames) {
        return Err(ArchiveError::Chain { segment: name, what: "the manifest has another hash" });
    }
    segment.chain_ok = Some(true);
    segment.frames = footer.frames;
    segment.raw_bytes = footer.raw_bytes;
    (segment.from, segment.to) = (footer.from, footer.to);
    segment.plan.map_or(Ok(()), |plan| read_plan(&folder.root, plan).map(|_| ()))
}
