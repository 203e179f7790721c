//! Tree ensembles in our own walker: the only engine whose work is bounded by the file's size, so that strangers' models
//! may run inside the process. It has no clock, no file and no thread, and allocates nothing after loading.
//!
//! What is proved when a model is loaded: every node has one parent (so there are no loops), no way is longer than
//! [`MAX_DEPTH`], there are at most [`MAX_NODES`] nodes, [`MAX_TREES`] trees, [`MAX_COLUMNS`] columns and [`MAX_TARGETS`]
//! targets, and every number of a node, leaf or target is within its list. A row costs at most 16 steps for each node
//! (as many trees are walked side by side, as long as the deepest of them) and one for each weight.
//!
//! Answers are ONNX Runtime's own (one thread): comparisons and sums are 32-bit in its order, so without a post
//! transform they are equal to the bit. What this engine does not know ([`TreeEngine::takes`] says no) is left to others.

mod bits;
mod columns;
mod ensemble;
mod ensemble5;
mod file;
mod finish;
mod forest;
mod graph;
mod session;

use crate::bundle::{BundleLimits, Declared, ModelFacts};
use crate::engine::{
    Dim, Dtype, Engine, EngineKind, IoSpec, LoadOptions, ProviderReport, Session, TensorSpec,
};
use crate::error::{Check, ForecasterError};
use graph::Plan;
use session::TreeSession;

/// Most nodes of an ensemble.
pub const MAX_NODES: usize = 1 << 21;
/// Most trees.
pub const MAX_TREES: usize = 1 << 16;
/// Longest way from a root to a leaf.
pub const MAX_DEPTH: usize = 1024;
/// Most targets or classes.
pub const MAX_TARGETS: usize = 1024;
/// Most different features and conditions that trees look at.
pub const MAX_COLUMNS: usize = 1 << 16;

/// Loads tree ensembles.
#[derive(Clone, Copy, Debug, Default)]
pub struct TreeEngine;

impl TreeEngine {
    /// Whether the whole graph is one tree ensemble of the kinds this engine knows. A malformed one counts: it is for this
    /// engine to refuse it, because others may not notice.
    pub fn takes(model: &[u8]) -> bool {
        match plan(model) {
            Ok(_) => true,
            Err(ForecasterError::Bundle { check, .. }) => check == Check::Trees,
            Err(_) => false,
        }
    }

    /// Nodes, trees and the longest way of an ensemble, for reports.
    pub fn size(model: &[u8]) -> Result<Size, ForecasterError> {
        let forest = forest::Forest::new(&plan(model)?.0.ensemble)?;
        Ok(Size { nodes: forest.nodes(), trees: forest.trees(), depth: forest.depth() as usize })
    }
}

/// How large an ensemble is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Branches and leaves.
    pub nodes: usize,
    /// Trees.
    pub trees: usize,
    /// Longest way from a root to a leaf, in branches.
    pub depth: usize,
}

impl Engine for TreeEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Trees
    }

    fn load(&self, model: &[u8], options: &LoadOptions) -> Result<Box<dyn Session>, ForecasterError> {
        let report = ProviderReport::cpu_only(EngineKind::Trees, options.device)?;
        let (plan, io) = plan(model)?;
        Ok(Box::new(TreeSession::new(plan, io, report, options)?))
    }
}

/// Reads the file: what it declares and what it computes.
fn plan(model: &[u8]) -> Result<(Plan, IoSpec), ForecasterError> {
    let facts = ModelFacts::scan(model, &BundleLimits::default())?;
    let io = IoSpec {
        inputs: facts.inputs.iter().map(spec).collect(),
        outputs: facts.outputs.iter().map(spec).collect(),
    };
    let inputs: Vec<_> = io.inputs.iter().map(|i| (i.name.clone(), i.dtype)).collect();
    let outputs: Vec<_> = io.outputs.iter().map(|o| o.name.clone()).collect();
    Ok((Plan::read(model, &inputs, &outputs)?, io))
}

fn spec(declared: &Declared) -> TensorSpec {
    let dim = |(place, size): (usize, &Option<u64>)| match size.and_then(|s| u32::try_from(s).ok()) {
        Some(size) => Dim::Fixed(size),
        None if place == 0 => Dim::Named(Dim::BATCH.to_owned()),
        None => Dim::Named(String::new()),
    };
    TensorSpec {
        name: declared.name.clone(),
        dtype: Dtype::from_onnx(declared.element),
        shape: declared.shape.as_ref().map(|shape| shape.iter().enumerate().map(dim).collect()),
    }
}

/// The trees are no trees.
fn malformed(detail: impl Into<String>) -> ForecasterError {
    ForecasterError::check(Check::Trees, detail)
}

/// A model for another engine.
fn unsupported(detail: impl Into<String>) -> ForecasterError {
    ForecasterError::Engine { engine: EngineKind::Trees.name(), reason: detail.into() }
}
