//! Reads a bundle's folder into memory; it never hands a path to the engine, so nothing can be read through one.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use crate::bundle::{Bundle, BundleLimits};
use crate::error::{Check, ForecasterError};
use crate::manifest::Manifest;

impl Bundle {
    /// Reads `forecaster.toml`, the model it names and `golden.json` from a folder, with the default limits.
    pub fn load(dir: &Path) -> Result<Self, ForecasterError> {
        Self::load_with(dir, &BundleLimits::default())
    }

    /// The same with given limits.
    pub fn load_with(dir: &Path, limits: &BundleLimits) -> Result<Self, ForecasterError> {
        let manifest = text(&dir.join("forecaster.toml"), limits)?;
        let model = dir.join(&Manifest::parse(&manifest)?.model.file);
        let model = bytes(&model, limits.max_model_bytes)?;
        let golden_path = dir.join("golden.json");
        let golden = if golden_path.exists() { Some(text(&golden_path, limits)?) } else { None };
        Self::from_parts(&manifest, model, golden.as_deref(), limits)
    }
}

fn text(path: &Path, limits: &BundleLimits) -> Result<String, ForecasterError> {
    String::from_utf8(bytes(path, limits.max_text_bytes)?)
        .map_err(|_| ForecasterError::check(Check::File, format!("{} is not UTF-8", path.display())))
}

/// The content of a plain file (no link, no device) of 1 to `limit` bytes. Reads no more than that.
fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, ForecasterError> {
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
