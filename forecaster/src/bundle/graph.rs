//! Walks every message of an ONNX file that can hold a tensor or a graph; it never loads or follows anything.
//!
//! The numbers are the field numbers of `onnx.proto3` (IR version 13, opset 24); those that are not named here hold
//! neither tensors nor graphs. Whatever is malformed, nested too deep or points outside the file is refused.

use std::collections::BTreeSet;

use super::BundleLimits;
use super::proto::{Fields, bad};
use crate::error::{Check, ForecasterError};

/// A graph input or output as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// ONNX element type: 1 is f32; 0 when it is no tensor.
    pub element: u64,
    /// Its dimensions; `None` is one that is free. Absent when no shape is declared.
    pub shape: Option<Vec<Option<u64>>>,
}

/// What the scan of a model file found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// Version of the ONNX format itself.
    pub ir_version: u64,
    /// Imported operator sets: domain (empty is `ai.onnx`) and version.
    pub opsets: Vec<(String, u64)>,
    /// Distinct operators, subgraphs included: (domain, name).
    pub operators: BTreeSet<(String, String)>,
    /// Inputs that are not initializers.
    pub inputs: Vec<Declared>,
    /// Outputs.
    pub outputs: Vec<Declared>,
    /// How many nodes, subgraphs included.
    pub nodes: u32,
}

impl ModelFacts {
    /// Scans a whole model file.
    pub fn scan(model: &[u8], limits: &BundleLimits) -> Result<Self, ForecasterError> {
        // ONNX Runtime takes a file with this mark for its own flatbuffer format, whatever else it may be.
        if model.get(4..8) == Some(b"ORTM") {
            return Err(bad("it has the mark of the ORT format"));
        }
        let mut scan = Scan { facts: Self::default(), limits: *limits };
        scan.model(model)?;
        Ok(scan.facts)
    }
}

struct Scan {
    facts: ModelFacts,
    limits: BundleLimits,
}

impl Scan {
    /// `ModelProto`.
    fn model(&mut self, message: &[u8]) -> Result<(), ForecasterError> {
        let mut graphs = 0;
        for field in Fields::new(message) {
            match field? {
                (1, v) => self.facts.ir_version = v.varint("ir_version")?,
                (7, v) => {
                    graphs += 1;
                    self.main_graph(v.bytes("graph")?)?;
                }
                (8, v) => {
                    let opset = opset(v.bytes("opset_import")?)?;
                    self.facts.opsets.push(opset);
                }
                (20 | 25, _) => {
                    let detail = "training graphs and functions inside the file are not admitted";
                    return Err(ForecasterError::check(Check::Operator, detail));
                }
                _ => {}
            }
        }
        if graphs == 1 { Ok(()) } else { Err(bad(&format!("{graphs} graphs, there must be one"))) }
    }

    /// The main `GraphProto`: as any graph, and its inputs and outputs are kept.
    fn main_graph(&mut self, message: &[u8]) -> Result<(), ForecasterError> {
        let mut initializers = BTreeSet::new();
        for field in Fields::new(message) {
            match field? {
                (5, v) => {
                    initializers.insert(text_field(v.bytes("initializer")?, 8)?);
                }
                (11, v) => self.facts.inputs.push(declared(v.bytes("input")?)?),
                (12, v) => self.facts.outputs.push(declared(v.bytes("output")?)?),
                _ => {}
            }
        }
        // Files of IR version 3 list their initializers among the inputs.
        self.facts.inputs.retain(|i| !initializers.contains(&i.name));
        self.graph(message, 1)
    }

    /// `GraphProto`.
    fn graph(&mut self, message: &[u8], depth: u32) -> Result<(), ForecasterError> {
        self.deeper(depth)?;
        for field in Fields::new(message) {
            match field? {
                (1, v) => self.node(v.bytes("node")?, depth + 1)?,
                (5, v) => self.tensor(v.bytes("initializer")?, depth + 1)?,
                (15, v) => self.sparse_tensor(v.bytes("sparse_initializer")?, depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `NodeProto`.
    fn node(&mut self, message: &[u8], depth: u32) -> Result<(), ForecasterError> {
        self.deeper(depth)?;
        self.facts.nodes += 1;
        if self.facts.nodes > self.limits.max_nodes {
            let detail = format!("more than {} nodes", self.limits.max_nodes);
            return Err(ForecasterError::check(Check::Nodes, detail));
        }
        let (mut name, mut domain) = (String::new(), String::new());
        for field in Fields::new(message) {
            match field? {
                (4, v) => v.text("op_type")?.clone_into(&mut name),
                (7, v) => plain_domain(v.text("domain")?).clone_into(&mut domain),
                (5, v) => self.attribute(v.bytes("attribute")?, depth + 1)?,
                _ => {}
            }
        }
        self.facts.operators.insert((domain, name));
        Ok(())
    }

    /// `AttributeProto`: tensors, graphs and sparse tensors, single or repeated.
    fn attribute(&mut self, message: &[u8], depth: u32) -> Result<(), ForecasterError> {
        self.deeper(depth)?;
        for field in Fields::new(message) {
            match field? {
                (5 | 10, v) => self.tensor(v.bytes("tensor attribute")?, depth + 1)?,
                (6 | 11, v) => self.graph(v.bytes("graph attribute")?, depth + 1)?,
                (22 | 23, v) => self.sparse_tensor(v.bytes("sparse tensor attribute")?, depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `SparseTensorProto`: values and indices are tensors.
    fn sparse_tensor(&mut self, message: &[u8], depth: u32) -> Result<(), ForecasterError> {
        self.deeper(depth)?;
        for field in Fields::new(message) {
            if let (1 | 2, v) = field? {
                self.tensor(v.bytes("sparse tensor part")?, depth + 1)?;
            }
        }
        Ok(())
    }

    /// C03, `TensorProto`: neither `external_data` (13) nor a `data_location` (14) other than the default.
    fn tensor(&self, message: &[u8], depth: u32) -> Result<(), ForecasterError> {
        self.deeper(depth)?;
        for field in Fields::new(message) {
            let outside = match field? {
                (13, _) => true,
                (14, v) => v.varint("data_location")? != 0,
                _ => false,
            };
            if outside {
                let name = text_field(message, 8)?;
                let detail =
                    format!("tensor `{name}` has its data outside the file; save the model as one file");
                return Err(ForecasterError::check(Check::ExternalData, detail));
            }
        }
        Ok(())
    }

    /// C02: how deep messages may be nested.
    fn deeper(&self, depth: u32) -> Result<(), ForecasterError> {
        if depth <= self.limits.max_depth {
            return Ok(());
        }
        let detail = format!("messages nested deeper than {}", self.limits.max_depth);
        Err(ForecasterError::check(Check::Depth, detail))
    }
}

/// `OperatorSetIdProto`.
fn opset(message: &[u8]) -> Result<(String, u64), ForecasterError> {
    let mut out = (String::new(), 0);
    for field in Fields::new(message) {
        match field? {
            (1, v) => plain_domain(v.text("domain")?).clone_into(&mut out.0),
            (2, v) => out.1 = v.varint("opset version")?,
            _ => {}
        }
    }
    Ok(out)
}

/// The default domain has two spellings.
fn plain_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// The text of one field, empty when absent.
fn text_field(message: &[u8], number: u64) -> Result<String, ForecasterError> {
    let mut out = String::new();
    for field in Fields::new(message) {
        match field? {
            (n, v) if n == number => v.text("name")?.clone_into(&mut out),
            _ => {}
        }
    }
    Ok(out)
}

/// `ValueInfoProto`: name in 1, type in 2.
fn declared(message: &[u8]) -> Result<Declared, ForecasterError> {
    let mut out = Declared::default();
    for field in Fields::new(message) {
        match field? {
            (1, v) => v.text("name")?.clone_into(&mut out.name),
            (2, v) => {
                // TypeProto.tensor_type is 1; whatever else it is stays element type 0.
                for field in Fields::new(v.bytes("type")?) {
                    if let (1, v) = field? {
                        tensor_type(v.bytes("tensor_type")?, &mut out)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

/// `TypeProto.Tensor`: element type in 1, shape in 2.
fn tensor_type(message: &[u8], out: &mut Declared) -> Result<(), ForecasterError> {
    for field in Fields::new(message) {
        match field? {
            (1, v) => out.element = v.varint("elem_type")?,
            (2, v) => {
                let mut shape = Vec::new();
                for field in Fields::new(v.bytes("shape")?) {
                    if let (1, v) = field? {
                        shape.push(dimension(v.bytes("dim")?)?);
                    }
                }
                out.shape = Some(shape);
            }
            _ => {}
        }
    }
    Ok(())
}

/// `TensorShapeProto.Dimension`: a value in 1, or free.
fn dimension(message: &[u8]) -> Result<Option<u64>, ForecasterError> {
    let mut out = None;
    for field in Fields::new(message) {
        if let (1, v) = field? {
            out = Some(v.varint("dim_value")?);
        }
    }
    Ok(out)
}
