//! Secrets of a node: one file of 32 random bytes as hex, mode 0600; every other secret is derived from it.
#![allow(clippy::disallowed_methods, reason = "node reads the world")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rand::TryRng as _;

/// The root secret of a node.
pub struct Keyring {
    root: [u8; 32],
}

impl Keyring {
    /// A keyring of a seed that is no secret: for simulations, where everybody may know the keys.
    pub fn simulated(seed: u64) -> Self {
        Self { root: schemas::id::derive("oraculo/simulated-keys/1", &[&seed.to_be_bytes()]) }
    }

    /// Reads the key file, or makes one. A file that others can read is refused.
    pub fn open_or_create(path: &Path) -> Result<Self> {
        if path.exists() { Self::open(path) } else { Self::create(path) }
    }

    fn open(path: &Path) -> Result<Self> {
        let mode =
            fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{} can be read by others; run: chmod 600 {}", path.display(), path.display());
        }
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut root = [0; 32];
        hex::decode_to_slice(text.trim(), &mut root)
            .with_context(|| format!("{} must hold 64 hex digits", path.display()))?;
        Ok(Self { root })
    }

    fn create(path: &Path) -> Result<Self> {
        let mut root = [0; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut root).context("the system has no randomness")?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("creating {}", path.display()))?;
        writeln!(file, "{}", hex::encode(root))
            .and_then(|()| file.sync_all())
            .context("writing the key file")?;
        Ok(Self { root })
    }

    /// The 32-byte secret for this purpose and name, e.g. (`miner`, `alice`).
    pub fn seed(&self, purpose: &str, name: &str) -> [u8; 32] {
        schemas::id::derive("oraculo/derived-key/1", &[&self.root, purpose.as_bytes(), name.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_private_and_stable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        let first = Keyring::open_or_create(&path).unwrap().seed("miner", "a");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Keyring::open_or_create(&path).unwrap().seed("miner", "a"), first);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Keyring::open_or_create(&path).is_err_and(|e| e.to_string().contains("chmod 600")));
    }

    #[test]
    fn purposes_do_not_share_keys() {
        let ring = Keyring::simulated(7);
        assert_ne!(ring.seed("miner", "a"), ring.seed("validator", "a"));
        assert_ne!(ring.seed("miner", "a"), ring.seed("miner", "b"));
    }
}
