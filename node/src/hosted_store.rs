//! The archives of hosted bundles on the operator's disk: bytes and whose they are. Never opens or unpacks one.
#![allow(clippy::disallowed_methods, reason = "node reads and writes files")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use schemas::{AccountId, BundleId, Timestamp};
use serde::{Deserialize, Serialize};

/// A folder of archives, each with a note beside it.
pub struct Store {
    folder: PathBuf,
}

/// The note.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    account: String,
    since_ns: i64,
}

/// One archive that was kept.
pub struct Kept {
    /// Whose it is.
    pub account: AccountId,
    /// When it was taken.
    pub since: Timestamp,
    /// The tar.
    pub archive: Vec<u8>,
}

impl Store {
    /// The store in this folder, which is made if it is not there.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Keeps an archive; the note comes last, so that what has one is whole.
    pub fn keep(&self, id: BundleId, account: &AccountId, since: Timestamp, archive: &[u8]) -> Result<()> {
        self.write(&format!("{id}.tar"), archive)?;
        let note = Note { account: account.to_string(), since_ns: since.0 };
        self.write(&format!("{id}.json"), &serde_json::to_vec(&note).context("writing a note")?)
    }

    /// Everything that is kept, in the order of the ids; what cannot be read is left out and logged.
    pub fn list(&self) -> Result<Vec<Kept>> {
        let entries = fs::read_dir(&self.folder).with_context(|| self.folder.display().to_string())?;
        let mut notes: Vec<PathBuf> = entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        notes.sort();
        let read =
            |path: &PathBuf| kept(path).inspect_err(|e| tracing::error!("{}: {e:#}", path.display())).ok();
        Ok(notes.iter().filter_map(read).collect())
    }

    /// Removes an archive; the note goes first.
    pub fn forget(&self, id: BundleId) {
        for name in [format!("{id}.json"), format!("{id}.tar")] {
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!("{} stays behind: {error}", path.display()),
            }
        }
    }

    /// Whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (beside, path) = (self.folder.join(format!("{name}.new")), self.folder.join(name));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .with_context(|| format!("creating {}", beside.display()))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).context("writing to the store")?;
        fs::rename(&beside, &path).with_context(|| format!("renaming to {}", path.display()))?;
        File::open(&self.folder).and_then(|f| f.sync_all()).context("syncing the store")
    }
}

fn kept(note: &Path) -> Result<Kept> {
    let parsed: Note = serde_json::from_slice(&fs::read(note)?).context("the note")?;
    let account = AccountId::new(&parsed.account).context("the note's account is no name")?;
    let archive = fs::read(note.with_extension("tar")).context("the archive")?;
    Ok(Kept { account, since: Timestamp(parsed.since_ns), archive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_half_of_it_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("hosted")).unwrap();
        let account = AccountId::new("alice").unwrap();
        store.keep(BundleId([1; 32]), &account, Timestamp(7), b"one").unwrap();
        store.keep(BundleId([2; 32]), &account, Timestamp(8), b"two").unwrap();
        // An archive without its note was never acknowledged.
        store.write(&format!("{}.tar", BundleId([3; 32])), b"three").unwrap();
        let bytes = |store: &Store| store.list().unwrap().into_iter().map(|k| k.archive).collect::<Vec<_>>();
        assert_eq!(bytes(&store), [b"one".to_vec(), b"two".to_vec()]);
        let kept = store.list().unwrap();
        assert_eq!((kept[1].account.to_string(), kept[1].since), ("alice".to_owned(), Timestamp(8)));
        store.forget(BundleId([1; 32]));
        store.forget(BundleId([9; 32]));
        assert_eq!(bytes(&store), [b"two".to_vec()]);
    }
}
