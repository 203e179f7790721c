//! What the pre-scan found in a model file, as plain data; it never holds the file itself.

use std::collections::BTreeSet;

use super::BundleLimits;
use super::onnx::Model;
use crate::error::ForecasterError;

/// A graph input or output as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// ONNX element type: 1 is f32; 0 when it is no tensor.
    pub element: u64,
    /// Its dimensions; `None` is one that is free. Absent when no shape is declared.
    pub shape: Option<Vec<Option<u64>>>,
    /// For each dimension the name of a free one, empty when it has none.
    pub symbols: Vec<String>,
}

/// What the scan of a model file found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// Version of the ONNX format itself.
    pub ir_version: u64,
    /// Imported operator sets: domain (empty is `ai.onnx`) and version.
    pub opsets: Vec<(String, u64)>,
    /// Distinct operators, subgraphs and functions included: (domain, name).
    pub operators: BTreeSet<(String, String)>,
    /// Inputs that are not initializers.
    pub inputs: Vec<Declared>,
    /// Outputs.
    pub outputs: Vec<Declared>,
    /// How many nodes, subgraphs included.
    pub nodes: u32,
    /// How many functions the file brings along.
    pub functions: u32,
    /// Whether it holds training graphs.
    pub training: bool,
    /// Which tensor, input or output is text, if one is.
    pub strings: Option<String>,
    /// Deepest subgraph; 0 without `If`, `Loop` and `Scan`.
    pub nesting: u32,
    /// What an engine computes while it loads the file, in operations.
    pub folding: u64,
    /// What is constant and has no bound that could be found beforehand.
    pub unbounded: Option<String>,
}

impl ModelFacts {
    /// Scans a whole model file for C02 and C03.
    pub fn scan(model: &[u8], limits: &BundleLimits) -> Result<Self, ForecasterError> {
        Ok(Model::read(model, limits)?.facts)
    }

    /// Version of the `ai.onnx` operator set; `None` when it imports none.
    pub fn opset(&self) -> Option<u64> {
        self.opsets.iter().find(|(domain, _)| domain.is_empty()).map(|(_, version)| *version)
    }
}
