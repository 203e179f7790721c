//! Model bundles: manifest, model bytes and golden pairs, checked before any engine sees them; it never runs a model.
//!
//! A [`Bundle`] value is the proof that every static check passed (C01 to C08 and the manifest's own). Checks that
//! need the engine (golden pairs, batch invariance, range) are in `edge::check`. One file per check:
//! [`operators`] is what people extend to admit an operator.

pub mod golden;
mod graph;
pub mod operators;
pub(crate) mod proto;
mod signature;

use schemas::BundleId;
use sha2::{Digest as _, Sha256};

use crate::error::{Check, ForecasterError};
use crate::manifest::Manifest;
use golden::Golden;
pub use graph::{Declared, ModelFacts};

/// How much of a stranger's bundle is read and looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleLimits {
    /// Largest `model.onnx`, bytes.
    pub max_model_bytes: u64,
    /// Largest `forecaster.toml` or `golden.json`, bytes.
    pub max_text_bytes: u64,
    /// Deepest nesting of protobuf messages.
    pub max_depth: u32,
    /// Most graph nodes, subgraphs included.
    pub max_nodes: u32,
}

impl Default for BundleLimits {
    /// 64 MiB of model, 256 KiB of text, depth 64, 20,000 nodes.
    fn default() -> Self {
        Self { max_model_bytes: 64 << 20, max_text_bytes: 256 << 10, max_depth: 64, max_nodes: 20_000 }
    }
}

/// A checked bundle, whole in memory.
#[derive(Clone, PartialEq)]
pub struct Bundle {
    id: BundleId,
    manifest: Manifest,
    model: Vec<u8>,
    golden: Golden,
    facts: ModelFacts,
}

impl Bundle {
    /// Checks the three parts of a bundle: the texts of `forecaster.toml` and `golden.json`, and the model's bytes.
    ///
    /// `golden` may be absent; then there is nothing to compare an engine with and `model check` fails.
    pub fn from_parts(
        manifest: &str,
        model: Vec<u8>,
        golden: Option<&str>,
        limits: &BundleLimits,
    ) -> Result<Self, ForecasterError> {
        check_size("forecaster.toml", manifest.len(), limits.max_text_bytes)?;
        let manifest = Manifest::parse(manifest)?;
        check_size(&manifest.model.file, model.len(), limits.max_model_bytes)?;
        check_hash(&manifest, &model)?;
        let facts = ModelFacts::scan(&model, limits)?;
        operators::check(&facts, &manifest)?;
        signature::check(&facts, &manifest)?;
        let golden = match golden {
            Some(text) => {
                check_size("golden.json", text.len(), limits.max_text_bytes)?;
                Golden::parse(text, &manifest)?
            }
            None => Golden::default(),
        };
        let id = bundle_id(&manifest, &model);
        Ok(Self { id, manifest, model, golden, facts })
    }

    /// BLAKE3 over the canonical manifest and the model bytes; every prediction carries it.
    pub const fn id(&self) -> BundleId {
        self.id
    }

    /// The manifest.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The ONNX file.
    pub fn model(&self) -> &[u8] {
        &self.model
    }

    /// Pairs of raw rows and answers that any engine must reproduce.
    pub const fn golden(&self) -> &Golden {
        &self.golden
    }

    /// What the static scan found in the file.
    pub const fn facts(&self) -> &ModelFacts {
        &self.facts
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({} {}, {})", self.manifest.name, self.manifest.version, self.id.short())
    }
}

/// The id of a manifest with its model.
fn bundle_id(manifest: &Manifest, model: &[u8]) -> BundleId {
    BundleId(schemas::id::derive("oraculo/bundle/1", &[&manifest.canonical(), model]))
}

/// C01: neither empty nor larger than the limit.
fn check_size(what: &str, bytes: usize, limit: u64) -> Result<(), ForecasterError> {
    if bytes == 0 || bytes as u64 > limit {
        let detail = format!("{what} has {bytes} bytes, allowed are 1 to {limit}");
        return Err(ForecasterError::check(Check::Size, detail));
    }
    Ok(())
}

/// C01: the model is the one the manifest names.
fn check_hash(manifest: &Manifest, model: &[u8]) -> Result<(), ForecasterError> {
    let got = hex::encode(Sha256::digest(model));
    if got != manifest.model.sha256 {
        let detail =
            format!("{} has SHA-256 {got}, the manifest says {}", manifest.model.file, manifest.model.sha256);
        return Err(ForecasterError::check(Check::Sha256, detail));
    }
    Ok(())
}
