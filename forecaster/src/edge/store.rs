//! The model store: versions in folders, one pointer file a model; it never holds half a bundle or half a pointer.
//!
//! ```text
//! STORE/NAME/1.2.0-0a1b2c3d/   forecaster.toml, model.onnx, golden.json, …   written once, never changed
//! STORE/NAME/active            which version serves, which is on trial, which served before (JSON)
//! STORE/.lock                  held by whoever changes something
//! ```
//!
//! A bundle is copied into a temporary folder, checked there, synced and renamed; the pointer is written beside itself,
//! synced and renamed. Whatever a killed process leaves behind begins with `.tmp-` and is removed by the next writer.

#![allow(clippy::disallowed_methods, reason = "an edge: files, and a thread that watches one")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use schemas::BundleId;
use serde::{Deserialize, Serialize};

use super::lane::Lane;
use crate::bundle::Bundle;
use crate::error::ForecasterError;

/// Most versions remembered for a rollback.
pub const MAX_HISTORY: usize = 64;
/// Most files of a bundle's folder that are stored, and their bytes together.
const MAX_FILES: (usize, u64) = (64, 256 << 20);
/// Largest pointer file, bytes.
const MAX_POINTER: u64 = 64 << 10;
/// What a bundle of one file is called inside its version's folder.
const PACKED: &str = "bundle.tar";
/// The pointer's name.
const POINTER: &str = "active";
/// How the names of unfinished things begin.
const TEMPORARY: &str = ".tmp-";

/// What a version on trial may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Predicts beside the active version and is scored; somebody else decides.
    Shadow,
    /// The same, and takes over by itself when it is better.
    Canary,
}

/// A version on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its folder's name.
    pub version: String,
    /// What it may become.
    pub mode: Mode,
}

/// The content of `active`: everything about one model that changes, in one file, so that it changes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    /// The version that serves: its folder's name.
    pub active: Option<String>,
    /// The version on trial.
    pub candidate: Option<Candidate>,
    /// The versions that served before, oldest first.
    pub history: Vec<String>,
}

/// One model in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The model.
    pub name: String,
    /// Its pointer.
    #[serde(flatten)]
    pub pointer: Pointer,
    /// Every complete version, by name.
    pub versions: Vec<String>,
}

/// A version that is in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The model.
    pub name: String,
    /// Its folder's name: version and the first digits of the bundle's id.
    pub version: String,
    /// Where it is.
    pub path: PathBuf,
    /// The checked bundle, as stored.
    pub bundle: Bundle,
}

/// A folder of models.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// The right to change a store; one process at a time has it.
pub struct Writer {
    store: Store,
    _lock: File,
}

impl Store {
    /// A store at this folder; nothing is read or made yet.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the folder if needed, waits for other writers and removes what killed ones left behind.
    pub fn write(&self) -> Result<Writer, ForecasterError> {
        fs::create_dir_all(&self.dir).map_err(|e| io("making", &self.dir, e))?;
        let path = self.dir.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|e| io("opening", &path, e))?;
        lock.lock().map_err(|e| io("locking", &path, e))?;
        sweep(&self.dir)?;
        for name in folders(&self.dir)? {
            sweep(&self.dir.join(name))?;
        }
        Ok(Writer { store: self.clone(), _lock: lock })
    }

    /// The pointer of a model; the default if there is none yet.
    pub fn pointer(&self, name: &str) -> Result<Pointer, ForecasterError> {
        let path = self.model(name)?.join(POINTER);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Pointer::default()),
            Err(e) => return Err(io("opening", &path, e)),
        };
        let mut text = String::new();
        file.take(MAX_POINTER).read_to_string(&mut text).map_err(|e| io("reading", &path, e))?;
        serde_json::from_str(&text).map_err(|e| {
            fault(&path, format!("is no pointer ({e}); deploy a version or roll back to write it anew"))
        })
    }

    /// Loads a stored version and checks that it is what its folder's name says.
    pub fn load(&self, name: &str, version: &str) -> Result<Bundle, ForecasterError> {
        let path = self.version(name, version)?;
        let bundle = open(&path)?;
        if version_of(&bundle) == version && bundle.manifest().name == name {
            return Ok(bundle);
        }
        Err(fault(
            &path,
            format!("holds {} {}, not what its name says", bundle.manifest().name, version_of(&bundle)),
        ))
    }

    /// Every model with its versions, by name.
    pub fn list(&self) -> Result<Vec<Listed>, ForecasterError> {
        let mut out = Vec::new();
        for name in folders(&self.dir)? {
            let versions = folders(&self.dir.join(&name))?;
            out.push(Listed { pointer: self.pointer(&name)?, name, versions });
        }
        Ok(out)
    }

    fn model(&self, name: &str) -> Result<PathBuf, ForecasterError> {
        if schemas::id::is_name(name) && !name.starts_with('.') {
            return Ok(self.dir.join(name));
        }
        Err(fault(&self.dir, format!("`{name}` is no model's name (1 to 64 of a-z 0-9 . _ -)")))
    }

    fn version(&self, name: &str, version: &str) -> Result<PathBuf, ForecasterError> {
        let model = self.model(name)?;
        let path = model.join(version);
        let plain = schemas::id::is_name(version) && !version.starts_with('.');
        if plain && path.is_dir() {
            return Ok(path);
        }
        let known = folders(&model).unwrap_or_default();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(fault(&model, format!("there is no version `{version}`; there are: {known}")))
    }
}

impl Writer {
    /// Copies a bundle (a folder or one packed file) into the store. `verify` sees the copy before it gets its name;
    /// what it refuses never was in the store. A version that is there already is left as it is.
    pub fn put(
        &mut self,
        source: &Path,
        verify: &mut dyn FnMut(&Bundle) -> Result<(), ForecasterError>,
    ) -> Result<Stored, ForecasterError> {
        let temporary = self.store.dir.join(format!("{TEMPORARY}{}", std::process::id()));
        fs::create_dir(&temporary).map_err(|e| io("making", &temporary, e))?;
        let stored = copy(source, &temporary).and_then(|()| self.adopt(&temporary, verify));
        if stored.is_err() {
            // The next writer removes it if this fails.
            drop(fs::remove_dir_all(&temporary));
        }
        stored
    }

    fn adopt(
        &self,
        temporary: &Path,
        verify: &mut dyn FnMut(&Bundle) -> Result<(), ForecasterError>,
    ) -> Result<Stored, ForecasterError> {
        let bundle = open(temporary)?;
        verify(&bundle)?;
        let (name, version) = (bundle.manifest().name.clone(), version_of(&bundle));
        let model = self.store.model(&name)?;
        fs::create_dir_all(&model).map_err(|e| io("making", &model, e))?;
        let path = model.join(&version);
        if path.is_dir() {
            self.store.load(&name, &version)?;
            fs::remove_dir_all(temporary).map_err(|e| io("removing", temporary, e))?;
        } else {
            sync(temporary)?;
            fs::rename(temporary, &path).map_err(|e| io("renaming to", &path, e))?;
        }
        sync(&model)?;
        sync(&self.store.dir)?;
        Ok(Stored { name, version, path, bundle })
    }

    /// Makes a version the active one; the one before goes into the history. A trial of this version ends.
    pub fn activate(&mut self, name: &str, version: &str) -> Result<Pointer, ForecasterError> {
        self.store.load(name, version)?;
        let mut pointer = self.readable(name)?;
        if pointer.active.as_deref() != Some(version) {
            let before = pointer.active.replace(version.to_owned());
            pointer.history.extend(before);
            let extra = pointer.history.len().saturating_sub(MAX_HISTORY);
            pointer.history.drain(..extra);
        }
        pointer.candidate = pointer.candidate.filter(|c| c.version != version);
        self.point(name, &pointer)?;
        Ok(pointer)
    }

    /// Puts a version on trial beside the active one.
    pub fn on_trial(&mut self, name: &str, version: &str, mode: Mode) -> Result<Pointer, ForecasterError> {
        self.store.load(name, version)?;
        let mut pointer = self.readable(name)?;
        let model = self.store.model(name)?;
        match pointer.active.as_deref() {
            None => {
                Err(fault(&model, "nothing is active to compare with; deploy a version first".to_owned()))
            }
            Some(active) if active == version => {
                Err(fault(&model, format!("{version} is the active version, it cannot be on trial too")))
            }
            Some(_) => {
                pointer.candidate = Some(Candidate { version: version.to_owned(), mode });
                self.point(name, &pointer)?;
                Ok(pointer)
            }
        }
    }

    /// Ends the trial; the active version stays.
    pub fn drop_candidate(&mut self, name: &str) -> Result<Pointer, ForecasterError> {
        let pointer = Pointer { candidate: None, ..self.store.pointer(name)? };
        self.point(name, &pointer)?;
        Ok(pointer)
    }

    /// Makes the version on trial the active one.
    pub fn promote(&mut self, name: &str) -> Result<Pointer, ForecasterError> {
        match self.store.pointer(name)?.candidate {
            Some(candidate) => self.activate(name, &candidate.version),
            None => Err(fault(&self.store.model(name)?, "no version is on trial".to_owned())),
        }
    }

    /// Goes back to the version that was active before, or to `to`, which may be the start of a folder's name.
    pub fn rollback(&mut self, name: &str, to: Option<&str>) -> Result<Pointer, ForecasterError> {
        let model = self.store.model(name)?;
        let mut pointer = self.readable(name)?;
        let Some(to) = to else {
            let Some(before) = pointer.history.pop() else {
                return Err(fault(&model, "there is no earlier version; name one with --to".to_owned()));
            };
            self.store.load(name, &before)?;
            pointer.active = Some(before);
            self.point(name, &pointer)?;
            return Ok(pointer);
        };
        let versions = folders(&model)?;
        let fits: Vec<&String> = versions.iter().filter(|v| v.starts_with(to)).collect();
        match fits.as_slice() {
            [one] => self.activate(name, one),
            [] => self.store.version(name, to).and_then(|_| self.activate(name, to)),
            many => {
                let many = many.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", ");
                Err(fault(&model, format!("`{to}` may be any of {many}; write more of it")))
            }
        }
    }

    /// The pointer, or an empty one in place of a damaged one, which is then written anew.
    fn readable(&self, name: &str) -> Result<Pointer, ForecasterError> {
        match self.store.pointer(name) {
            Err(ForecasterError::Store { reason, .. }) if reason.starts_with("is no pointer") => {
                tracing::warn!(name, reason, "the pointer is damaged and written anew, without its history");
                Ok(Pointer::default())
            }
            other => other,
        }
    }

    fn point(&self, name: &str, pointer: &Pointer) -> Result<(), ForecasterError> {
        let path = self.store.model(name)?.join(POINTER);
        let bytes = serde_json::to_vec_pretty(pointer)
            .map_err(|e| fault(&path, format!("cannot be written as JSON: {e}")))?;
        replace(&path, &bytes).map_err(|e| io("replacing", &path, e))
    }
}

/// The folder name of a bundle.
pub fn version_of(bundle: &Bundle) -> String {
    format!("{}-{}", bundle.manifest().version, bundle.id().short())
}

/// Replaces a file at once: whoever reads it sees the old content or the new one, also after a crash.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!("{TEMPORARY}{}-{name}", std::process::id()));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

/// A bundle's folder, or the packed bundle inside it.
fn open(dir: &Path) -> Result<Bundle, ForecasterError> {
    let packed = dir.join(PACKED);
    if packed.exists() { Bundle::load(&packed) } else { Bundle::load(dir) }
}

/// Copies the plain files of a folder, or one file, and syncs them. Links are refused, folders are left out.
fn copy(source: &Path, to: &Path) -> Result<(), ForecasterError> {
    let meta = fs::metadata(source).map_err(|e| io("opening", source, e))?;
    if meta.is_file() {
        return copy_file(source, &to.join(PACKED), MAX_FILES.1).map(|_| ());
    }
    let (mut files, mut left) = (0, MAX_FILES.1);
    for entry in fs::read_dir(source).map_err(|e| io("reading", source, e))? {
        let entry = entry.map_err(|e| io("reading", source, e))?;
        let kind = entry.file_type().map_err(|e| io("reading", &entry.path(), e))?;
        let name = entry.file_name();
        if kind.is_dir() || name.to_string_lossy().starts_with('.') {
            continue;
        }
        files += 1;
        if !kind.is_file() || files > MAX_FILES.0 || name == PACKED {
            let reason = format!("a bundle's folder holds plain files only, at most {}", MAX_FILES.0);
            return Err(fault(&entry.path(), reason));
        }
        left -= copy_file(&entry.path(), &to.join(name), left)?;
    }
    Ok(())
}

/// Copies at most `limit` bytes; how many there were.
fn copy_file(from: &Path, to: &Path, limit: u64) -> Result<u64, ForecasterError> {
    let source = File::open(from).map_err(|e| io("opening", from, e))?;
    let mut out = File::create_new(to).map_err(|e| io("writing", to, e))?;
    let copied = std::io::copy(&mut source.take(limit + 1), &mut out).map_err(|e| io("copying", from, e))?;
    if copied > limit {
        return Err(fault(from, format!("the bundle is larger than {} bytes", MAX_FILES.1)));
    }
    out.sync_all().map_err(|e| io("syncing", to, e))?;
    Ok(copied)
}

/// The names of the folders inside, those of unfinished things left out, sorted.
fn folders(dir: &Path) -> Result<Vec<String>, ForecasterError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io("reading", dir, e)),
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| io("reading", dir, e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            out.push(name);
        }
    }
    out.sort();
    Ok(out)
}

/// Removes what writers left behind that were killed; called with the lock held, so none of it is in use.
fn sweep(dir: &Path) -> Result<(), ForecasterError> {
    for entry in fs::read_dir(dir).map_err(|e| io("reading", dir, e))? {
        let path = entry.map_err(|e| io("reading", dir, e))?.path();
        if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(TEMPORARY)) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|e| io("removing", &path, e))?;
        }
    }
    Ok(())
}

fn sync(dir: &Path) -> Result<(), ForecasterError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| io("syncing", dir, e))
}

fn io(what: &str, path: &Path, source: std::io::Error) -> ForecasterError {
    ForecasterError::Io { what: format!("model store: {what} {}", path.display()), source }
}

fn fault(path: &Path, reason: String) -> ForecasterError {
    ForecasterError::Store { path: path.to_owned(), reason }
}

/// Tells when a model's pointer changes. Reads one small file each time it is asked.
#[derive(Clone, Debug)]
pub struct StoreWatch {
    store: Store,
    name: String,
    seen: Option<Pointer>,
}

impl StoreWatch {
    /// Watches one model; the pointer as it is now is news.
    pub fn new(store: &Store, name: &str) -> Self {
        Self { store: store.clone(), name: name.to_owned(), seen: None }
    }

    /// The pointer, if it is another than the last time.
    pub fn poll(&mut self) -> Result<Option<Pointer>, ForecasterError> {
        let pointer = self.store.pointer(&self.name)?;
        if self.seen.as_ref() == Some(&pointer) {
            return Ok(None);
        }
        self.seen = Some(pointer.clone());
        Ok(Some(pointer))
    }

    /// Loads a version of the watched model.
    pub fn load(&self, version: &str) -> Result<Bundle, ForecasterError> {
        self.store.load(&self.name, version)
    }

    /// Polls on a thread of its own and hands every change to `changed`, which may take its time.
    pub fn spawn(
        mut self,
        every: Duration,
        mut changed: impl FnMut(&Self, Pointer) + Send + 'static,
    ) -> Result<Watching, ForecasterError> {
        let (stop, stopped) = channel::<()>();
        let body = move || {
            let mut failing = false;
            loop {
                match self.poll() {
                    Ok(Some(pointer)) => changed(&self, pointer),
                    Ok(None) => failing = false,
                    // Said once, not each second.
                    Err(error) if !failing => {
                        tracing::error!(code = error.code(), %error, "the model store cannot be read");
                        failing = true;
                    }
                    Err(_) => {}
                }
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("store-watch".to_owned()).spawn(body);
        let thread = thread.map_err(|e| io("watching", Path::new("."), e))?;
        Ok(Watching { stop: Some(stop), thread: Some(thread) })
    }

    /// Keeps a lane's model at the store's active version: each change is a hot reload. What cannot be loaded is
    /// logged, and the version in force goes on serving. `served` is the version the lane was started with.
    pub fn follow(
        self,
        every: Duration,
        lane: Arc<Lane>,
        served: BundleId,
    ) -> Result<Watching, ForecasterError> {
        let mut serving = served;
        self.spawn(every, move |watch, pointer| {
            let Some(version) = pointer.active else { return };
            let bundle = match watch.load(&version) {
                Ok(bundle) if bundle.id() == serving => return,
                Ok(bundle) => bundle,
                Err(error) => {
                    tracing::error!(code = error.code(), %error, version, "the active version cannot be read");
                    return;
                }
            };
            match lane.reload(serving, Arc::new(bundle)) {
                Ok(done) => {
                    serving = done.new;
                    tracing::info!(version, us = done.prepare_us, "a new version serves");
                }
                Err(error) => tracing::error!(code = error.code(), %error, version, "the old version serves on"),
            }
        })
    }
}

/// A watch that runs. Dropping it ends the thread.
pub struct Watching {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches the model store panicked");
        }
    }
}
