//! Snapshots in a directory: written whole or not at all, the last few kept; never trusted without a check.

use std::fs;
use std::path::{Path, PathBuf};

use super::{io_error, write_whole};
use crate::driver::{Driver, Recovery};
use crate::error::BusError;
use crate::log::Log;
use crate::snapshot::{SavedState, SnapshotFault, SnapshotNote};
use crate::step::Wiring;

/// The bounds of a [`SnapshotStore`].
#[derive(Clone, Copy, Debug)]
pub struct SnapshotOptions {
    /// How many are kept; at least one.
    pub keep: usize,
    /// Largest file that is read, bytes.
    pub max_bytes: u64,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self { keep: 3, max_bytes: 1 << 30 }
    }
}

/// A directory of `<seq>.snap` files.
#[derive(Debug)]
pub struct SnapshotStore {
    dir: PathBuf,
    options: SnapshotOptions,
}

impl SnapshotStore {
    /// Opens `dir`, creating it if need be.
    pub fn open(dir: impl Into<PathBuf>, options: SnapshotOptions) -> Result<Self, BusError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(io_error("create directory", &dir))?;
        for item in fs::read_dir(&dir).map_err(io_error("list", &dir))? {
            let path = item.map_err(io_error("list", &dir))?.path();
            if path.to_str().is_some_and(|p| p.ends_with(".snap.tmp")) {
                fs::remove_file(&path).map_err(io_error("remove", &path))?; // an interrupted write
            }
        }
        Ok(Self { dir, options: SnapshotOptions { keep: options.keep.max(1), ..options } })
    }

    /// Writes a snapshot atomically (temporary file, sync, rename, directory sync) and removes the oldest.
    pub fn write(&self, saved: &SavedState) -> Result<PathBuf, BusError> {
        let bytes = saved.to_bytes();
        if bytes.len() as u64 > self.options.max_bytes {
            return Err(BusError::Full { what: "snapshot bytes", limit: self.options.max_bytes });
        }
        let path = self.path(saved.seq);
        write_whole(&path, &bytes)?;
        for seq in self.newest_first()?.into_iter().skip(self.options.keep) {
            let old = self.path(seq);
            fs::remove_file(&old).map_err(io_error("remove", &old))?;
        }
        Ok(path)
    }

    /// The entries there are snapshots of, newest first.
    pub fn newest_first(&self) -> Result<Vec<u64>, BusError> {
        let mut seqs = Vec::new();
        for item in fs::read_dir(&self.dir).map_err(io_error("list", &self.dir))? {
            let name = item.map_err(io_error("list", &self.dir))?.file_name();
            seqs.extend(
                name.to_str().and_then(|n| n.strip_suffix(".snap")).and_then(|n| n.parse::<u64>().ok()),
            );
        }
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(seqs)
    }

    /// The snapshot of entry `seq`, or why there is none.
    pub fn read(&self, seq: u64) -> Result<SavedState, SnapshotNote> {
        let file = self.path(seq);
        let load = || {
            let size = fs::metadata(&file).map_err(|_| SnapshotFault::Unreadable)?.len();
            if size > self.options.max_bytes {
                return Err(SnapshotFault::Oversized);
            }
            SavedState::from_bytes(seq, &fs::read(&file).map_err(|_| SnapshotFault::Unreadable)?)
        };
        load().map_err(|fault| SnapshotNote { seq, file: file.clone(), fault })
    }

    /// The file of the snapshot of entry `seq`.
    pub fn path(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:020}.snap"))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl<L: Log, W: Wiring> Driver<L, W> {
    /// Start-up from the newest snapshot that fits and the rest of the log; see [`Driver::recover_with`].
    pub fn recover(
        &mut self,
        snapshots: Option<&SnapshotStore>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Recovery<W::Deed>, BusError> {
        let Some(store) = snapshots else {
            return self.recover_with(&mut std::iter::empty(), progress);
        };
        let mut candidates = store.newest_first()?.into_iter().map(|seq| store.read(seq));
        let mut recovery = self.recover_with(&mut candidates, progress)?;
        for note in &mut recovery.notes {
            note.file = store.path(note.seq);
        }
        Ok(recovery)
    }

    /// Makes everything durable and writes a snapshot of it; returns its number, `None` without entries.
    pub fn save_snapshot(&mut self, store: &SnapshotStore) -> Result<Option<u64>, BusError> {
        if self.last_seq() == 0 {
            return Ok(None);
        }
        let saved = self.snapshot()?;
        store.write(&saved)?;
        Ok(Some(saved.seq))
    }
}
