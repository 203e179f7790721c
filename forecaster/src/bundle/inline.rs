//! Writes an ONNX file anew with all external data inside it; it never opens a file: the caller gives the bytes.
//!
//! The file is read and written field by field, so whatever is not external data comes out as it went in.

use super::BundleLimits;
use super::proto::{Fields, Value, bad};
use super::write::Message;
use crate::error::{Check, ForecasterError};

/// Where a tensor says its data is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// The tensor.
    pub tensor: String,
    /// The file, relative to the model's folder.
    pub location: String,
    /// First byte.
    pub offset: u64,
    /// How many bytes; to the end of the file when absent.
    pub length: Option<u64>,
}

/// Gives the bytes of external data.
pub type Source<'s> = dyn FnMut(&External) -> Result<Vec<u8>, ForecasterError> + 's;

/// The file with its external data inside, and what was inlined; the result is no larger than `max_model_bytes`. Without
/// external data it is the same file.
pub fn inline(
    model: &[u8],
    limits: &BundleLimits,
    source: &mut Source<'_>,
) -> Result<(Vec<u8>, Vec<External>), ForecasterError> {
    let mut work = Inline { limits: *limits, source, done: Vec::new(), bytes: model.len() as u64 };
    let out = work.message(Kind::Model, model, 0)?;
    // A file that holds everything already stays what it is, to the byte.
    Ok(if work.done.is_empty() { (model.to_vec(), work.done) } else { (out, work.done) })
}

/// Messages that hold tensors, or messages that do.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Sparse,
    Tensor,
}

impl Kind {
    /// What a field of this message is, if it holds tensors; numbers as in `onnx.proto3`.
    const fn inside(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Function, 7) | (Self::Graph, 1) => Some(Self::Node),
            (Self::Function, 11) | (Self::Node, 5) => Some(Self::Attribute),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::Sparse),
            _ => None,
        }
    }
}

struct Inline<'s, 'f> {
    limits: BundleLimits,
    source: &'s mut Source<'f>,
    done: Vec<External>,
    bytes: u64,
}

impl Inline<'_, '_> {
    fn message(&mut self, kind: Kind, message: &[u8], depth: u32) -> Result<Vec<u8>, ForecasterError> {
        if depth > self.limits.max_depth {
            let detail = format!("messages nested deeper than {}", self.limits.max_depth);
            return Err(ForecasterError::check(Check::Depth, detail));
        }
        if kind == Kind::Tensor {
            return self.tensor(message);
        }
        let mut out = Message::default();
        for field in Fields::new(message) {
            let (number, value) = field?;
            match kind.inside(number) {
                Some(inner) => {
                    let inner = self.message(inner, value.bytes("message")?, depth + 1)?;
                    out.field(number, Value::Bytes(&inner));
                }
                None => out.field(number, value),
            }
        }
        Ok(out.into_bytes())
    }

    /// `TensorProto`: `external_data` (13) and `data_location` (14) become `raw_data` (9).
    fn tensor(&mut self, message: &[u8]) -> Result<Vec<u8>, ForecasterError> {
        let (mut out, mut external, mut outside) = (Message::default(), External::default(), false);
        for field in Fields::new(message) {
            match field? {
                (13, v) => {
                    outside = true;
                    entry(v.bytes("external_data")?, &mut external)?;
                }
                (14, v) => outside |= v.varint("data_location")? != 0,
                (number, v) => {
                    if number == 8 {
                        v.text("tensor name")?.clone_into(&mut external.tensor);
                    }
                    out.field(number, v);
                }
            }
        }
        if outside {
            if external.location.is_empty() {
                return Err(bad(&format!("tensor `{}` is external and names no file", external.tensor)));
            }
            let data = (self.source)(&external)?;
            self.bytes = self.bytes.saturating_add(data.len() as u64);
            if self.bytes > self.limits.max_model_bytes {
                let detail =
                    format!("model and external data have more than {} bytes", self.limits.max_model_bytes);
                return Err(ForecasterError::check(Check::Size, detail));
            }
            out.field(9, Value::Bytes(&data));
            self.done.push(external);
        }
        Ok(out.into_bytes())
    }
}

/// `StringStringEntryProto`: one property of external data.
fn entry(message: &[u8], external: &mut External) -> Result<(), ForecasterError> {
    let (mut key, mut value) = ("", "");
    for field in Fields::new(message) {
        match field? {
            (1, v) => key = v.text("key")?,
            (2, v) => value = v.text("value")?,
            _ => {}
        }
    }
    let number =
        || value.parse::<u64>().map_err(|_| bad(&format!("external `{key}` is `{value}`, no number")));
    match key {
        "location" => value.clone_into(&mut external.location),
        "offset" => external.offset = number()?,
        "length" => external.length = Some(number()?),
        // A check sum nobody wrote down how to compute, and what exporters add.
        _ => {}
    }
    Ok(())
}
