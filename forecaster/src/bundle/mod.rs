//! Model bundles: manifest, model bytes and golden pairs, checked before any engine sees them; it never runs a model.
//!
//! A [`Bundle`] value is the proof that every static check passed (C01 to C08 and the manifest's own). Checks that
//! need the engine (golden pairs, batch invariance, range) are in `edge::check`. One file per check:
//! [`operators`] is what people extend to admit an operator. `onnx` and `tensor` read the file (C02, C03), `names`
//! looks at who writes what (C02), `walk` with `shapes`, `matrices` and `values` at loops and sizes (C06, C07), `ports`
//! at inputs and outputs (C08).

mod fact;
pub mod golden;
mod graph;
mod matrices;
mod names;
mod onnx;
pub mod operators;
pub mod parts;
mod policy;
mod ports;
pub(crate) mod proto;
mod seal;
mod shapes;
mod tensor;
mod values;
mod walk;

use schemas::BundleId;
use sha2::{Digest as _, Sha256};

use crate::error::{Check, ForecasterError};
use crate::manifest::Manifest;
use golden::Golden;
pub use graph::{Declared, ModelFacts};
use onnx::Model;
pub use parts::Parts;
pub use policy::Policy;
pub use seal::Seal;

/// How much of a stranger's bundle is read and looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleLimits {
    /// Largest `model.onnx`, bytes.
    pub max_model_bytes: u64,
    /// Largest `forecaster.toml`, `signature.json` or `README.md`, bytes.
    pub max_text_bytes: u64,
    /// Largest `golden.json`, bytes.
    pub max_golden_bytes: u64,
    /// Deepest nesting of protobuf messages.
    pub max_depth: u32,
    /// Most graph nodes, subgraphs included.
    pub max_nodes: u32,
    /// Most names, attributes and tensors of the file, because each takes more memory than it takes bytes.
    pub max_items: u32,
    /// Most bytes of one tensor and of all constants of a hosted model; the manifest's `max_rss_mb` if that is less.
    pub max_tensor_bytes: u64,
}

impl Default for BundleLimits {
    /// 64 MiB of model, 256 KiB of text, 8 MiB of golden pairs, depth 64, 20,000 nodes, 500,000 items, 1 GiB of constants.
    fn default() -> Self {
        Self {
            max_model_bytes: 64 << 20,
            max_text_bytes: 256 << 10,
            max_golden_bytes: 8 << 20,
            max_depth: 64,
            max_nodes: 20_000,
            max_items: 500_000,
            max_tensor_bytes: 1 << 30,
        }
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
    seal: Option<Seal>,
}

impl Bundle {
    /// Checks the three parts of a bundle: the texts of `forecaster.toml` and `golden.json`, and the model's bytes, for
    /// the miner's own machine ([`Policy::Local`]).
    ///
    /// `golden` may be absent; then there is nothing to compare an engine with and `model check` fails.
    pub fn from_parts(
        manifest: &str,
        model: Vec<u8>,
        golden: Option<&str>,
        limits: &BundleLimits,
    ) -> Result<Self, ForecasterError> {
        Self::from_parts_with(Policy::Local, manifest, model, golden, limits)
    }

    /// The same under a policy; [`Policy::Hosted`] for somebody else's bundle.
    pub fn from_parts_with(
        policy: Policy,
        manifest: &str,
        model: Vec<u8>,
        golden: Option<&str>,
        limits: &BundleLimits,
    ) -> Result<Self, ForecasterError> {
        check_size("forecaster.toml", manifest.len(), limits.max_text_bytes)?;
        let manifest = Manifest::parse(manifest)?;
        check_size(&manifest.model.file, model.len(), limits.max_model_bytes)?;
        check_hash(&manifest, &model)?;
        let facts = check_model(&model, &manifest, policy, limits)?;
        let golden = match golden {
            Some(text) => {
                check_size(parts::GOLDEN, text.len(), limits.max_golden_bytes)?;
                Golden::parse(text, &manifest)?
            }
            None => Golden::default(),
        };
        let id = bundle_id(&manifest, &model);
        Ok(Self { id, manifest, model, golden, facts, seal: None })
    }

    /// BLAKE3 over the canonical manifest and the model bytes; every prediction carries it.
    pub const fn id(&self) -> BundleId {
        self.id
    }

    /// The same bundle with the signature of this `signature.json`, which must be of it.
    pub fn sealed(mut self, signature: &str) -> Result<Self, ForecasterError> {
        self.seal = Some(Seal::verify(signature, &self.id)?);
        Ok(self)
    }

    /// Who vouches for it; `None` when it is not signed.
    pub const fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
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

/// C02 to C08 of a model file, in this order.
fn check_model(
    bytes: &[u8],
    manifest: &Manifest,
    policy: Policy,
    limits: &BundleLimits,
) -> Result<ModelFacts, ForecasterError> {
    let mut model = Model::read(bytes, limits)?;
    operators::check(&model.facts, manifest, policy)?;
    if policy == Policy::Hosted {
        names::check(&model.graph)?;
    }
    let most = (u64::from(manifest.limits.max_rss_mb) << 20).min(limits.max_tensor_bytes);
    walk::check(&mut model, policy, most)?;
    ports::check(&model.facts, manifest)?;
    Ok(model.facts)
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
