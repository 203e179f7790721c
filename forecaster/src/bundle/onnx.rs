//! An ONNX file as borrowed views of its graphs; it never loads or follows anything outside the bytes.
//!
//! The numbers are the field numbers of `onnx.proto3` (IR version 13, opset 24); those that are not named here hold
//! neither tensors nor graphs. Whatever is malformed, nested too deep, too much or points outside the file is refused
//! while it is read, in the main graph as in subgraphs, functions and training graphs.

use std::collections::BTreeSet;

use super::BundleLimits;
use super::graph::{Declared, ModelFacts};
use super::proto::{Fields, Value, bad, fixed_bytes, varints};
use super::tensor::{STRING, TensorView, check_rank, push_dim};
use crate::error::{Check, ForecasterError};

/// Integers kept of an attribute's list; longer lists (of tree ensembles) are only counted.
const MAX_INTS: usize = 4096;

/// One graph or subgraph.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) initializers: Vec<TensorView<'a>>,
    /// Sparse initializers: name and dense dimensions.
    pub(super) sparse: Vec<(&'a str, Vec<u64>)>,
    pub(super) inputs: Vec<Declared>,
    pub(super) outputs: Vec<Declared>,
}

/// One node.
#[derive(Clone, Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) domain: &'a str,
    pub(super) op: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

impl<'a> Node<'a> {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// An integer attribute.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name).and_then(|a| a.int)
    }

    /// A list of integers; `None` when it is absent or too long to be kept.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).filter(|a| a.ints.len() < MAX_INTS).map(|a| a.ints.as_slice())
    }

    /// All graphs of its attributes.
    pub(super) fn graphs(&self) -> impl Iterator<Item = &Graph<'a>> {
        self.attributes.iter().flat_map(|a| &a.graphs)
    }
}

/// One attribute; which member is meant, its name says.
#[derive(Clone, Debug, Default)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) int: Option<i64>,
    pub(super) text: Option<&'a [u8]>,
    pub(super) ints: Vec<i64>,
    /// How many floats its list has.
    pub(super) floats: u64,
    pub(super) tensor: Option<TensorView<'a>>,
    pub(super) graphs: Vec<Graph<'a>>,
}

/// A whole file, read and checked for C02 and C03.
pub(super) struct Model<'a> {
    pub(super) graph: Graph<'a>,
    pub(super) facts: ModelFacts,
}

impl<'a> Model<'a> {
    /// Reads a whole file.
    pub(super) fn read(model: &'a [u8], limits: &BundleLimits) -> Result<Self, ForecasterError> {
        // ONNX Runtime takes a file with this mark for its own flatbuffer format, whatever else it may be.
        if model.get(4..8) == Some(b"ORTM") {
            return Err(bad("it has the mark of the ORT format"));
        }
        let mut reader = Reader { facts: ModelFacts::default(), limits: *limits, items: 0 };
        let graph = reader.model(model)?;
        let mut facts = reader.facts;
        // Files of IR version 3 list their initializers among the inputs.
        let named: BTreeSet<&str> = graph.initializers.iter().map(|t| t.name).collect();
        facts.inputs = graph.inputs.iter().filter(|i| !named.contains(i.name.as_str())).cloned().collect();
        facts.outputs.clone_from(&graph.outputs);
        for port in facts.inputs.iter().chain(&facts.outputs) {
            if port.element == STRING {
                facts.strings.get_or_insert_with(|| format!("`{}` is text", port.name));
            }
        }
        Ok(Self { graph, facts })
    }
}

struct Reader {
    facts: ModelFacts,
    limits: BundleLimits,
    /// Views made so far.
    items: u64,
}

impl Reader {
    /// `ModelProto`.
    fn model<'a>(&mut self, message: &'a [u8]) -> Result<Graph<'a>, ForecasterError> {
        let mut graphs = Vec::new();
        for field in Fields::new(message) {
            match field? {
                (1, v) => self.facts.ir_version = v.varint("ir_version")?,
                (7, _) if !graphs.is_empty() => return Err(bad("two graphs, there must be one")),
                (7, v) => graphs.push(self.graph(v.bytes("graph")?, 1)?),
                (8, v) => {
                    let opset = opset(v.bytes("opset_import")?)?;
                    self.one_more(1)?;
                    self.facts.opsets.push(opset);
                }
                (20, v) => self.training(v.bytes("training_info")?)?,
                (25, v) => self.function(v.bytes("functions")?)?,
                _ => {}
            }
        }
        graphs.pop().ok_or_else(|| bad("no graph"))
    }

    /// `TrainingInfoProto`: refused later, but what it holds is looked at as well.
    fn training(&mut self, message: &[u8]) -> Result<(), ForecasterError> {
        self.facts.training = true;
        for field in Fields::new(message) {
            if let (1 | 2, v) = field? {
                self.graph(v.bytes("training graph")?, 2)?;
            }
        }
        Ok(())
    }

    /// `FunctionProto`: refused later, but what it holds is looked at as well.
    fn function(&mut self, message: &[u8]) -> Result<(), ForecasterError> {
        self.facts.functions += 1;
        for field in Fields::new(message) {
            match field? {
                (7, v) => drop(self.node(v.bytes("function node")?, 2)?),
                (11, v) => drop(self.attribute(v.bytes("function attribute")?, 2)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// `GraphProto`.
    fn graph<'a>(&mut self, message: &'a [u8], depth: u32) -> Result<Graph<'a>, ForecasterError> {
        self.deeper(depth)?;
        let mut out = Graph::default();
        for field in Fields::new(message) {
            let (number, v) = field?;
            if matches!(number, 1 | 5 | 11 | 12 | 15) {
                self.one_more(1)?;
            }
            match number {
                1 => out.nodes.push(self.node(v.bytes("node")?, depth + 1)?),
                5 => out.initializers.push(self.tensor(v.bytes("initializer")?, depth + 1)?),
                11 => out.inputs.push(declared(v.bytes("input")?)?),
                12 => out.outputs.push(declared(v.bytes("output")?)?),
                15 => out.sparse.push(self.sparse_tensor(v.bytes("sparse_initializer")?, depth + 1)?),
                _ => {}
            }
        }
        Ok(out)
    }

    /// `NodeProto`.
    fn node<'a>(&mut self, message: &'a [u8], depth: u32) -> Result<Node<'a>, ForecasterError> {
        self.deeper(depth)?;
        self.facts.nodes += 1;
        if self.facts.nodes > self.limits.max_nodes {
            let detail = format!("more than {} nodes", self.limits.max_nodes);
            return Err(ForecasterError::check(Check::Nodes, detail));
        }
        let mut out = Node::default();
        for field in Fields::new(message) {
            let (number, v) = field?;
            if matches!(number, 1 | 2 | 5) {
                self.one_more(1)?;
            }
            match number {
                1 => out.inputs.push(v.text("input")?),
                2 => out.outputs.push(v.text("output")?),
                4 => out.op = v.text("op_type")?,
                7 => out.domain = plain_domain(v.text("domain")?),
                5 => out.attributes.push(self.attribute(v.bytes("attribute")?, depth + 1)?),
                _ => {}
            }
        }
        self.facts.operators.insert((out.domain.to_owned(), out.op.to_owned()));
        Ok(out)
    }

    /// `AttributeProto`: tensors, graphs and sparse tensors, single or repeated.
    fn attribute<'a>(&mut self, message: &'a [u8], depth: u32) -> Result<Attribute<'a>, ForecasterError> {
        self.deeper(depth)?;
        let mut out = Attribute::default();
        let mut single = 0;
        for field in Fields::new(message) {
            let (number, v) = field?;
            // Readers merge a message that is there twice into one that neither of them is.
            single += u32::from(matches!(number, 5 | 6 | 22));
            if single > 1 {
                return Err(bad("an attribute has two values"));
            }
            match number {
                1 => out.name = v.text("attribute name")?,
                3 => out.int = Some(v.varint("integer attribute")? as i64),
                4 => out.text = Some(v.bytes("text attribute")?),
                5 => out.tensor = Some(self.tensor(v.bytes("tensor attribute")?, depth + 1)?),
                6 | 11 => {
                    self.one_more(1)?;
                    out.graphs.push(self.graph(v.bytes("graph attribute")?, depth + 1)?);
                }
                7 => out.floats += fixed_bytes(v, 4)?.len() as u64 / 4,
                8 => varints(v, |i| {
                    if out.ints.len() < MAX_INTS {
                        out.ints.push(i as i64);
                    }
                })?,
                10 => drop(self.tensor(v.bytes("list of tensors")?, depth + 1)?),
                22 | 23 => drop(self.sparse_tensor(v.bytes("sparse tensor attribute")?, depth + 1)?),
                _ => {}
            }
        }
        self.one_more(out.ints.len() as u64 / 8)?;
        Ok(out)
    }

    /// `SparseTensorProto`: values and indices are tensors; the name is that of the values.
    fn sparse_tensor<'a>(
        &mut self,
        message: &'a [u8],
        depth: u32,
    ) -> Result<(&'a str, Vec<u64>), ForecasterError> {
        self.deeper(depth)?;
        let (mut name, mut dims) = ("", Vec::new());
        for field in Fields::new(message) {
            match field? {
                (1, v) => name = self.tensor(v.bytes("sparse values")?, depth + 1)?.name,
                (2, v) => drop(self.tensor(v.bytes("sparse indices")?, depth + 1)?),
                (3, v) => varints(v, |d| push_dim(&mut dims, d))?,
                _ => {}
            }
        }
        check_rank(&dims)?;
        Ok((name, dims))
    }

    /// `TensorProto`.
    fn tensor<'a>(&mut self, message: &'a [u8], depth: u32) -> Result<TensorView<'a>, ForecasterError> {
        self.deeper(depth)?;
        let tensor = TensorView::read(message)?;
        let values = tensor.values.as_ref().map_or(0, Vec::len) as u64 / 8;
        self.one_more(1 + tensor.dims.len() as u64 + values)?;
        if tensor.kind == STRING {
            self.facts.strings.get_or_insert_with(|| format!("tensor `{}` is text", tensor.name));
        }
        Ok(tensor)
    }

    /// C02: how deep messages may be nested.
    fn deeper(&self, depth: u32) -> Result<(), ForecasterError> {
        if depth <= self.limits.max_depth {
            return Ok(());
        }
        let detail = format!("messages nested deeper than {}", self.limits.max_depth);
        Err(ForecasterError::check(Check::Depth, detail))
    }

    /// C02: how many views are made of one file, because a view takes more memory than two bytes in the file.
    fn one_more(&mut self, count: u64) -> Result<(), ForecasterError> {
        self.items += count;
        if self.items <= u64::from(self.limits.max_items) {
            return Ok(());
        }
        let detail = format!("more than {} names, attributes and tensors", self.limits.max_items);
        Err(ForecasterError::check(Check::Nodes, detail))
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
                let (mut shape, mut symbols) = (Vec::new(), Vec::new());
                for field in Fields::new(v.bytes("shape")?) {
                    if let (1, v) = field? {
                        let (size, symbol) = dimension(v)?;
                        shape.push(size);
                        symbols.push(symbol);
                        check_rank(&shape)?;
                    }
                }
                out.shape = Some(shape);
                out.symbols = symbols;
            }
            _ => {}
        }
    }
    Ok(())
}

/// `TensorShapeProto.Dimension`: a value in 1, or free with a name in 2.
fn dimension(value: Value<'_>) -> Result<(Option<u64>, String), ForecasterError> {
    let mut out = (None, String::new());
    for field in Fields::new(value.bytes("dim")?) {
        match field? {
            (1, v) => out.0 = Some(v.varint("dim_value")?),
            (2, v) => v.text("dim_param")?.clone_into(&mut out.1),
            _ => {}
        }
    }
    // Some exporters write a free dimension as -1 or 0.
    if out.0.is_some_and(|d| d == 0 || i64::try_from(d).is_err()) {
        out.0 = None;
    }
    Ok(out)
}
