//! Reads a bundle's folder or archive into memory; it never hands a path to the engine, so nothing can be read through
//! one.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use crate::bundle::parts::{GOLDEN, MANIFEST, README, SIGNATURE};
use crate::bundle::{Bundle, BundleLimits, Parts, Policy};
use crate::error::{Check, ForecasterError};
use crate::manifest::Manifest;

/// What an archive takes beside its files: five headers, padding and the end.
const ARCHIVE_OVERHEAD: u64 = 64 << 10;

impl Bundle {
    /// Reads a bundle's folder or archive with the default limits, for the miner's own machine.
    pub fn load(path: &Path) -> Result<Self, ForecasterError> {
        Self::load_with(path, &BundleLimits::default())
    }

    /// The same with given limits.
    pub fn load_with(path: &Path, limits: &BundleLimits) -> Result<Self, ForecasterError> {
        Self::load_as(Policy::Local, path, limits)
    }

    /// The same under a policy.
    pub fn load_as(policy: Policy, path: &Path, limits: &BundleLimits) -> Result<Self, ForecasterError> {
        Parts::read(path, limits)?.check(policy, limits)
    }
}

impl Parts {
    /// The files of a folder or of an archive, unchecked.
    pub fn read(path: &Path, limits: &BundleLimits) -> Result<Self, ForecasterError> {
        if path.is_file() {
            let most = limits.max_model_bytes + limits.max_golden_bytes + 3 * limits.max_text_bytes;
            return Self::from_tar(&bytes(path, most + ARCHIVE_OVERHEAD)?, limits);
        }
        let manifest = text(&path.join(MANIFEST), limits.max_text_bytes)?;
        let model_file = Manifest::parse(&manifest)?.model.file;
        let model = bytes(&path.join(&model_file), limits.max_model_bytes)?;
        let optional = |name: &str, limit: u64| {
            let file = path.join(name);
            // A link that leads nowhere is there as well, and refused.
            fs::symlink_metadata(&file).is_ok().then(|| text(&file, limit)).transpose()
        };
        Ok(Self {
            golden: optional(GOLDEN, limits.max_golden_bytes)?,
            signature: optional(SIGNATURE, limits.max_text_bytes)?,
            readme: optional(README, limits.max_text_bytes)?,
            manifest,
            model_file,
            model,
        })
    }

    /// Writes the files into a folder, which is made if it is not there; other files in it stay.
    pub fn write(&self, dir: &Path) -> Result<(), ForecasterError> {
        let fault = |what: &Path, source| ForecasterError::Io { what: what.display().to_string(), source };
        fs::create_dir_all(dir).map_err(|e| fault(dir, e))?;
        for (name, content) in self.files() {
            let file = dir.join(name);
            fs::write(&file, content).map_err(|e| fault(&file, e))?;
        }
        Ok(())
    }
}

fn text(path: &Path, limit: u64) -> Result<String, ForecasterError> {
    String::from_utf8(bytes(path, limit)?)
        .map_err(|_| ForecasterError::check(Check::File, format!("{} is not UTF-8", path.display())))
}

/// The content of a plain file (no link, no device) of 1 to `limit` bytes. Reads no more than that.
pub(super) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, ForecasterError> {
    let fault = |detail: &dyn std::fmt::Display| {
        ForecasterError::check(Check::File, format!("{}: {detail}", path.display()))
    };
    let meta = fs::symlink_metadata(path).map_err(|e| fault(&e))?;
    if !meta.is_file() {
        return Err(fault(&"not a plain file"));
    }
    let mut out = Vec::new();
    let file = File::open(path).map_err(|e| fault(&e))?;
    file.take(limit + 1).read_to_end(&mut out).map_err(|e| fault(&e))?;
    if out.is_empty() || out.len() as u64 > limit {
        let detail = format!("{} is empty or larger than {limit} bytes", path.display());
        return Err(ForecasterError::check(Check::Size, detail));
    }
    Ok(out)
}
