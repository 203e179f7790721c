//! Reads the nodes and attributes of a small ONNX graph out of its bytes; it never allocates more than it is asked for
//! and knows nothing about trees.

use super::{MAX_NODES, malformed, unsupported};
use crate::bundle::proto::{Fields, Value, fixed_bytes, varints};
use crate::engine::Data;
use crate::error::ForecasterError;

/// Most nodes of a graph that is one tree ensemble with what converters put around it.
const MAX_GRAPH_NODES: usize = 64;

/// A `NodeProto` that borrows from the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) op: &'a str,
    pub(super) domain: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    attributes: Vec<(&'a str, &'a [u8])>,
}

/// The main graph: its nodes and its constants.
#[derive(Clone, Debug, Default)]
pub(super) struct File<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    initializers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> File<'a> {
    /// Reads the main graph of a `ModelProto`.
    pub(super) fn read(model: &'a [u8]) -> Result<Self, ForecasterError> {
        let mut out = Self::default();
        for field in Fields::new(model) {
            if let (7, graph) = field? {
                for field in Fields::new(graph.bytes("graph")?) {
                    match field? {
                        (1, v) => out.nodes.push(Node::read(v.bytes("node")?)?),
                        (5, v) => {
                            let tensor = v.bytes("initializer")?;
                            out.initializers.push((text(tensor, 8)?, tensor));
                        }
                        _ => {}
                    }
                    if out.nodes.len().max(out.initializers.len()) > MAX_GRAPH_NODES {
                        return Err(unsupported(format!("the graph has more than {MAX_GRAPH_NODES} nodes")));
                    }
                }
            }
        }
        Ok(out)
    }

    /// The constant of this name: an initializer, or the answer of a `Constant`.
    pub(super) fn constant(&self, name: &str) -> Result<Option<Data>, ForecasterError> {
        if let Some((_, tensor)) = self.initializers.iter().find(|(n, _)| *n == name) {
            return tensor_data(tensor).map(Some);
        }
        match self.nodes.iter().find(|n| n.op == "Constant" && n.outputs.first() == Some(&name)) {
            Some(node) => node.tensor("value"),
            None => Ok(None),
        }
    }
}

impl<'a> Node<'a> {
    fn read(message: &'a [u8]) -> Result<Self, ForecasterError> {
        let mut out = Self::default();
        for field in Fields::new(message) {
            match field? {
                (1, v) => out.inputs.push(v.text("input")?),
                (2, v) => out.outputs.push(v.text("output")?),
                (4, v) => out.op = v.text("op_type")?,
                (7, v) => out.domain = v.text("domain")?,
                (5, v) => {
                    let attribute = v.bytes("attribute")?;
                    out.attributes.push((text(attribute, 1)?, attribute));
                }
                _ => {}
            }
            if out.inputs.len().max(out.outputs.len()).max(out.attributes.len()) > MAX_GRAPH_NODES {
                return Err(unsupported("a node has too many parts"));
            }
        }
        Ok(out)
    }

    fn attribute(&self, name: &str) -> Option<Fields<'a>> {
        self.attributes.iter().find(|(n, _)| *n == name).map(|(_, message)| Fields::new(message))
    }

    /// The names of all attributes.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().map(|(name, _)| *name)
    }

    /// An integer attribute.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, ForecasterError> {
        let mut out = None;
        for field in self.attribute(name).into_iter().flatten() {
            if let (3, v) = field? {
                out = Some(v.varint(name)? as i64);
            }
        }
        Ok(out)
    }

    /// A text attribute.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ForecasterError> {
        let mut out = None;
        for field in self.attribute(name).into_iter().flatten() {
            if let (4, v) = field? {
                out = Some(v.text(name)?);
            }
        }
        Ok(out)
    }

    /// A list of integers, empty when absent.
    pub(super) fn ints(&self, name: &str) -> Result<Vec<i64>, ForecasterError> {
        let mut out = Vec::new();
        for field in self.attribute(name).into_iter().flatten() {
            if let (8, v) = field? {
                varints(v, |x| out.push(x as i64))?;
                bounded(name, out.len())?;
            }
        }
        Ok(out)
    }

    /// A list of texts, empty when absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, ForecasterError> {
        let mut out = Vec::new();
        for field in self.attribute(name).into_iter().flatten() {
            if let (9, v) = field? {
                out.push(v.text(name)?);
                bounded(name, out.len())?;
            }
        }
        Ok(out)
    }

    /// A list of floats, empty when absent.
    pub(super) fn floats(&self, name: &str) -> Result<Vec<f32>, ForecasterError> {
        let mut out = Vec::new();
        for field in self.attribute(name).into_iter().flatten() {
            if let (7, v) = field? {
                out.extend(floats(v)?);
                bounded(name, out.len())?;
            }
        }
        Ok(out)
    }

    /// A tensor attribute.
    pub(super) fn tensor(&self, name: &str) -> Result<Option<Data>, ForecasterError> {
        let mut out = None;
        for field in self.attribute(name).into_iter().flatten() {
            if let (5, v) = field? {
                out = Some(tensor_data(v.bytes(name)?)?);
            }
        }
        Ok(out)
    }

    /// A list of floats that is a list attribute `name` or a tensor attribute `tensor`, not both.
    pub(super) fn floats_or_tensor(&self, name: &str, tensor: &str) -> Result<Vec<f32>, ForecasterError> {
        let list = self.floats(name)?;
        match self.tensor(tensor)? {
            None => Ok(list),
            Some(Data::F32(_)) if !list.is_empty() => {
                Err(malformed(format!("both {name} and {tensor} are given")))
            }
            Some(Data::F32(values)) => Ok(values),
            Some(other) => Err(unsupported(format!("{tensor} is {}, not f32", other.dtype().name()))),
        }
    }
}

/// The four-byte floats of a packed list or of one element.
fn floats(value: Value<'_>) -> Result<impl Iterator<Item = f32>, ForecasterError> {
    let bytes = fixed_bytes(value, 4)?;
    if !bytes.len().is_multiple_of(4) {
        return Err(malformed("a list of floats is cut off"));
    }
    Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
}

/// The elements of a `TensorProto` of one of the few types that matter here.
fn tensor_data(message: &[u8]) -> Result<Data, ForecasterError> {
    let (mut element, mut raw, mut listed) = (0, None, Vec::new());
    let mut list = Vec::new();
    for field in Fields::new(message) {
        match field? {
            (2, v) => element = v.varint("data_type")?,
            (4, v) => listed.extend(floats(v)?),
            (5 | 7, v) => varints(v, |x| list.push(x as i64))?,
            (9, v) => raw = Some(v.bytes("raw_data")?),
            _ => {}
        }
        bounded("a tensor", listed.len().max(list.len()))?;
    }
    let raw: &[u8] = raw.unwrap_or_default();
    match element {
        1 => {
            listed.extend(floats(Value::Bytes(raw))?);
            bounded("a tensor", listed.len())?;
            Ok(Data::F32(listed))
        }
        2 => {
            let narrow = |x: &i64| u8::try_from(*x).map_err(|_| malformed("a byte above 255"));
            let mut bytes = list.iter().map(narrow).collect::<Result<Vec<u8>, _>>()?;
            bounded("a tensor", raw.len())?;
            bytes.extend_from_slice(raw);
            Ok(Data::U8(bytes))
        }
        7 => {
            bounded("a tensor", raw.len() / 8)?;
            list.extend(raw.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)));
            Ok(Data::I64(list))
        }
        other => Err(unsupported(format!("a constant of element type {other}"))),
    }
}

fn bounded(name: &str, count: usize) -> Result<(), ForecasterError> {
    if count > MAX_NODES {
        return Err(malformed(format!("{name} has more than {MAX_NODES} elements")));
    }
    Ok(())
}

/// The text of one field, empty when absent.
fn text(message: &[u8], number: u64) -> Result<&str, ForecasterError> {
    let mut out = "";
    for field in Fields::new(message) {
        match field? {
            (n, v) if n == number => out = v.text("name")?,
            _ => {}
        }
    }
    Ok(out)
}
