//! The files of a bundle before they are checked: five names, five limits; it never opens a file.

use super::{Bundle, BundleLimits, Policy};
use crate::error::{Check, ForecasterError};

/// Name of the manifest.
pub const MANIFEST: &str = "forecaster.toml";
/// Name of the golden pairs.
pub const GOLDEN: &str = "golden.json";
/// Name of the signature.
pub const SIGNATURE: &str = "signature.json";
/// Name of the text for people.
pub const README: &str = "README.md";

/// What a bundle's folder or archive holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Text of `forecaster.toml`.
    pub manifest: String,
    /// Name of the model's file.
    pub model_file: String,
    /// The model.
    pub model: Vec<u8>,
    /// Text of `golden.json`.
    pub golden: Option<String>,
    /// Text of `signature.json`.
    pub signature: Option<String>,
    /// Text for people; never read by the program.
    pub readme: Option<String>,
}

impl Parts {
    /// The largest size a file of this name may have; `None` when a bundle has no such file.
    pub fn limit(name: &str, limits: &BundleLimits) -> Option<u64> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        match name {
            MANIFEST | SIGNATURE | README => Some(limits.max_text_bytes),
            GOLDEN => Some(limits.max_golden_bytes),
            model => {
                let stem = model.strip_suffix(".onnx").filter(|s| !s.is_empty() && !s.starts_with('.'));
                stem.filter(|s| s.len() <= 59 && s.bytes().all(plain)).map(|_| limits.max_model_bytes)
            }
        }
    }

    /// All files in their one order: manifest, model, golden pairs, signature, read-me.
    pub fn files(&self) -> Vec<(&str, &[u8])> {
        let mut out = vec![(MANIFEST, self.manifest.as_bytes()), (self.model_file.as_str(), &self.model)];
        let texts = [(GOLDEN, &self.golden), (SIGNATURE, &self.signature), (README, &self.readme)];
        out.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?.as_bytes()))));
        out
    }

    /// Checks everything that can be checked without an engine, the signature included.
    pub fn check(self, policy: Policy, limits: &BundleLimits) -> Result<Bundle, ForecasterError> {
        let bundle =
            Bundle::from_parts_with(policy, &self.manifest, self.model, self.golden.as_deref(), limits)?;
        if bundle.manifest().model.file != self.model_file {
            let detail = format!(
                "the manifest names `{}`, the bundle has `{}`",
                bundle.manifest().model.file,
                self.model_file
            );
            return Err(ForecasterError::check(Check::File, detail));
        }
        match &self.signature {
            Some(text) => bundle.sealed(text),
            None => Ok(bundle),
        }
    }
}
