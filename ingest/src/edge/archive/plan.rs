//! The plans of an archive: what a recording's machine was built from, kept as files that segments name by hash. What
//! is in them is not this crate's matter, and a plan that changed is never read.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use schemas::Digest;

use super::reader::parse_hex;
use super::{ArchiveWriter, Folder, io, sync_dir};
use crate::archive::{ArchiveError, SegmentReader};

/// Begins the source text of a segment that has a plan; 64 hexadecimal digits follow.
const MARK: &str = "plan ";
/// Stands between the plan's hash and what else the source says.
const REST: &str = "; ";
/// Most bytes of the source text beside the plan's hash; a header holds 65,535.
const MAX_REST: usize = 4_096;

/// The plan that a segment's source text names, if it names one.
pub fn plan_of(source: &str) -> Option<Digest> {
    let (hex, _) = source.strip_prefix(MARK)?.split_once(REST)?;
    parse_hex(hex)
}

/// The name of a plan's file in the venue's folder.
pub fn plan_file(plan: Digest) -> String {
    format!("plan-{plan}.json")
}

/// Reads a plan in a venue's folder.
///
/// # Errors
/// `plan_missing` if it is not there, `plan_damaged` if its bytes have another hash, `archive_io`.
pub fn read_plan(root: &Path, plan: Digest) -> Result<Vec<u8>, ArchiveError> {
    let path = root.join(plan_file(plan));
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ArchiveError::PlanMissing(path.display().to_string()));
        }
        Err(error) => return Err(io("read", &path, &error)),
    };
    if Digest::of(&bytes) == plan {
        Ok(bytes)
    } else {
        Err(ArchiveError::PlanDamaged(path.display().to_string()))
    }
}

impl ArchiveWriter {
    /// Keeps the plan of the machine that reads from here on: it is on disk when this returns, the next record begins
    /// a new machine in a segment of its own, and that segment's source names the plan.
    ///
    /// # Errors
    /// `archive_io` if the disk refuses, `plan_damaged` if a file of that name holds something else.
    pub fn keep_plan(&mut self, plan: &[u8]) -> Result<Digest, ArchiveError> {
        let sealed = self.seal(schemas::Timestamp::ZERO);
        self.failed |= sealed.is_err();
        sealed?;
        let digest = Digest::of(plan);
        match read_plan(&self.folder.root, digest) {
            Ok(_) => {}
            Err(ArchiveError::PlanMissing(_)) => write_plan(&self.folder.root, digest, plan)?,
            Err(error) => return Err(error),
        }
        let rest = match plan_of(&self.source) {
            Some(_) => self.source.split_once(REST).map_or("", |(_, rest)| rest),
            None => &self.source,
        };
        let rest = &rest[..rest.floor_char_boundary(MAX_REST)];
        self.source = format!("{MARK}{digest}{REST}{rest}");
        self.begin_session();
        Ok(digest)
    }
}

/// Written beside its name first, so that a crash leaves no half a plan under it.
fn write_plan(root: &Path, digest: Digest, plan: &[u8]) -> Result<(), ArchiveError> {
    let path = root.join(plan_file(digest));
    let partial = path.with_added_extension("part");
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(plan)?;
        file.sync_all()?;
        fs::rename(&partial, &path)
    };
    write().map_err(|e| io("write", &path, &e))?;
    sync_dir(root)
}

impl Folder {
    /// The plan that the segment in `file` names. `Ok(None)` if it names none or ends within its header.
    pub(super) fn plan_in(&self, file: &str) -> Result<Option<Digest>, ArchiveError> {
        let path = self.root.join(file);
        let input = File::open(&path).map_err(|e| io("open", &path, &e))?;
        let reader = SegmentReader::open(input, &path.display().to_string())?;
        Ok(reader.and_then(|reader| plan_of(&reader.header().source)))
    }

    /// Deletes the plans that no segment here names and that is not `in_use`. While a segment's header cannot be read
    /// all plans stay.
    pub(super) fn prune_plans(&self, in_use: Option<Digest>) -> Result<(), ArchiveError> {
        let mut named: BTreeSet<String> = in_use.map(plan_file).into_iter().collect();
        for file in self.files()?.values() {
            match self.plan_in(file) {
                Ok(plan) => named.extend(plan.map(plan_file)),
                Err(_) => return Ok(()),
            }
        }
        for entry in fs::read_dir(&self.root).map_err(|e| io("list", &self.root, &e))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let hex =
                name.strip_prefix(MARK.trim_end()).and_then(|n| n.strip_prefix('-')?.strip_suffix(".json"));
            if hex.and_then(parse_hex).is_some() && !named.contains(&name) {
                fs::remove_file(entry.path()).map_err(|e| io("delete", &entry.path(), &e))?;
            }
        }
        Ok(())
    }
}
