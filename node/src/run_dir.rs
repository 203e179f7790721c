//! A run's folder: `run.json` (what ran), `journal/` (what happened), `snapshots/` (a cache). Never a secret.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::plan::MachinesPlan;

/// The version of the folder's layout.
pub const FORMAT: u32 = 1;

/// What a run is made of and what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that made it.
    pub version: String,
    /// Where the facts came from, for people.
    pub source: String,
    /// The network's name and the length of its epochs in seconds: neither may change within a run.
    pub network: (String, u32),
    /// The machines that ran.
    pub machines: MachinesPlan,
    /// Set when the run ended in good order.
    pub finished: Option<FinishedRun>,
}

/// The end of a run; `oraculo replay --check` must arrive here again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishedRun {
    /// Last sequence number of the journal.
    pub last_seq: u64,
    /// BLAKE3 chain over all records, hex.
    pub chain: String,
    /// Digest of all machines, hex.
    pub digest: String,
}

/// The paths of a run.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// A new run: the folder must be absent or empty.
    pub fn create(root: &Path) -> Result<Self> {
        if fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{} is not empty; name a new folder, or continue it with `oraculo run`", root.display());
        }
        fs::create_dir_all(root).with_context(|| format!("creating {}", root.display()))?;
        Ok(Self { root: root.to_owned() })
    }

    /// An existing run.
    pub fn open(root: &Path) -> Result<Self> {
        let dir = Self { root: root.to_owned() };
        if !dir.manifest_path().is_file() {
            bail!(
                "{} is no run: it has no run.json (a run is made by `oraculo demo --dir DIR` or `oraculo run`)",
                root.display()
            );
        }
        Ok(dir)
    }

    /// The paths under `root`, whatever is there.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A node's folder: made if it is not there.
    pub fn open_or_create(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("creating {}", root.display()))?;
        Ok(Self::at(root))
    }

    /// Whether a run was begun here.
    pub fn has_manifest(&self) -> bool {
        self.manifest_path().is_file()
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the journal's segments are.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Where snapshots are.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// The API's key file.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys.json")
    }

    fn manifest_path(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// Reads the manifest.
    pub fn manifest(&self) -> Result<RunManifest> {
        let path = self.manifest_path();
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let manifest: RunManifest =
            serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        if manifest.format != FORMAT {
            bail!("{} has format {}, this program reads {FORMAT}", path.display(), manifest.format);
        }
        Ok(manifest)
    }

    /// Writes the manifest so that a crash leaves the old one or the new one.
    pub fn write_manifest(&self, manifest: &RunManifest) -> Result<()> {
        let path = self.manifest_path();
        let tmp = self.root.join("run.json.tmp");
        let mut text = serde_json::to_string_pretty(manifest).context("encoding the manifest")?;
        text.push('\n');
        fs::write(&tmp, text).with_context(|| format!("writing {}", tmp.display()))?;
        fs::File::open(&tmp)
            .and_then(|f| f.sync_all())
            .with_context(|| format!("syncing {}", tmp.display()))?;
        fs::rename(&tmp, &path).with_context(|| format!("renaming to {}", path.display()))
    }
}
