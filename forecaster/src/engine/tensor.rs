//! Typed arrays that go into and come out of any engine; it never computes with them.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Dtype {
    /// 32-bit float.
    #[n(0)]
    F32,
    /// 64-bit float.
    #[n(1)]
    F64,
    /// 32-bit integer.
    #[n(2)]
    I32,
    /// 64-bit integer.
    #[n(3)]
    I64,
    /// Unsigned byte.
    #[n(4)]
    U8,
    /// Truth value.
    #[n(5)]
    Bool,
}

impl Dtype {
    /// The stable name, as in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }

    /// From the element type number of `onnx.proto3`; `None` is one no bundle may use.
    pub const fn from_onnx(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::F32),
            2 => Some(Self::U8),
            6 => Some(Self::I32),
            7 => Some(Self::I64),
            9 => Some(Self::Bool),
            11 => Some(Self::F64),
            _ => None,
        }
    }
}

/// One dimension of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(untagged)]
pub enum Dim {
    /// So many.
    #[n(0)]
    Fixed(#[n(0)] u32),
    /// Free; `batch` is the number of rows in a run.
    #[n(1)]
    Named(#[n(0)] String),
}

impl Dim {
    /// The name of the free dimension that counts rows.
    pub const BATCH: &'static str = "batch";

    /// Whether this dimension counts rows.
    pub fn is_batch(&self) -> bool {
        matches!(self, Self::Named(name) if name == Self::BATCH)
    }
}

/// Name, element type and shape of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct TensorSpec {
    /// Its name in the graph.
    #[n(0)]
    pub name: String,
    /// Its element type; `None` when it is no tensor or of a type no bundle may use.
    #[n(1)]
    pub dtype: Option<Dtype>,
    /// Its shape as declared; `None` when the file declares none.
    #[n(2)]
    pub shape: Option<Vec<Dim>>,
}

/// All inputs and outputs of a loaded model, in the graph's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct IoSpec {
    /// What it takes.
    #[n(0)]
    pub inputs: Vec<TensorSpec>,
    /// What it gives.
    #[n(1)]
    pub outputs: Vec<TensorSpec>,
}

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "dtype", content = "data", rename_all = "lowercase")]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Bytes.
    U8(Vec<u8>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl Data {
    /// Their type.
    pub const fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::I32(_) => Dtype::I32,
            Self::I64(_) => Dtype::I64,
            Self::U8(_) => Dtype::U8,
            Self::Bool(_) => Dtype::Bool,
        }
    }

    /// How many.
    pub const fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A named array with its actual shape. `shape.product() == data.len()`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Its name in the graph.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Its elements.
    #[serde(flatten)]
    pub data: Data,
}

impl Tensor {
    /// A tensor, if shape and number of elements fit.
    pub fn new(name: &str, shape: Vec<usize>, data: Data) -> Option<Self> {
        let count = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d))?;
        (count == data.len()).then(|| Self { name: name.to_owned(), shape, data })
    }
}
