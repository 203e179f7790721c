//! Miners' keys on disk, readable by their owner alone; it never prints a secret and never overwrites a file.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::error::ForecasterError;
use crate::signer::MinerKey;

/// A key file holds 64 hex digits and a line end.
const MAX_BYTES: u64 = 128;

/// Draws a new key from the operating system and writes it to a file that must not exist yet, with mode 0600.
pub fn generate(path: &Path) -> Result<MinerKey, ForecasterError> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(|e| fault(path, &format!("no randomness: {e}")))?;
    let mut file = create_private(path).map_err(|e| fault(path, &e.to_string()))?;
    let text = hex::encode(seed) + "\n";
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| fault(path, &e.to_string()))?;
    Ok(MinerKey::from_seed(seed))
}

/// Reads a key; refuses a file that others may read or write.
pub fn load(path: &Path) -> Result<MinerKey, ForecasterError> {
    let meta = fs::symlink_metadata(path).map_err(|e| fault(path, &e.to_string()))?;
    if !meta.is_file() {
        return Err(fault(path, "not a plain file"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|e| fault(path, &e.to_string()))?;
    check_private(path, &file)?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|e| fault(path, &e.to_string()))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim_end(), &mut seed)
        .map_err(|_| fault(path, "does not hold 64 hex digits"))?;
    Ok(MinerKey::from_seed(seed))
}

/// Loads the key, or makes it when the file does not exist.
pub fn load_or_generate(path: &Path) -> Result<MinerKey, ForecasterError> {
    if path.exists() { load(path) } else { generate(path) }
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn check_private(path: &Path, file: &File) -> Result<(), ForecasterError> {
    use std::os::unix::fs::PermissionsExt as _;
    let meta = file.metadata().map_err(|e| fault(path, &e.to_string()))?;
    match meta.permissions().mode() & 0o077 {
        0 => Ok(()),
        open => Err(fault(path, &format!("others may access it (mode bits {open:03o}); run chmod 600"))),
    }
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &File) -> Result<(), ForecasterError> {
    Ok(())
}

fn fault(path: &Path, reason: &str) -> ForecasterError {
    ForecasterError::KeyFile { path: path.to_owned(), reason: reason.to_owned() }
}
