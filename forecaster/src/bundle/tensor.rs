//! `TensorProto`: what a tensor says it is and whether its bytes agree (C02, C03); it never copies its data.

use super::proto::{Fields, Value, bad, fixed_bytes, varints};
use crate::error::{Check, ForecasterError};

/// ONNX's element type of text.
pub(super) const STRING: u64 = 8;
/// Values are kept of tensors up to this many elements: shapes, axes, bounds of ranges.
const MAX_VALUES: u64 = 1024;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 32;

/// A tensor of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct TensorView<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Its element type as in `onnx.proto3`.
    pub(super) kind: u64,
    /// Its dimensions.
    pub(super) dims: Vec<u64>,
    /// The numbers, of small tensors of integers and floats.
    pub(super) values: Option<Vec<f64>>,
}

/// How a tensor's data is stored: the field that holds it and what was seen there.
#[derive(Default)]
struct Stored<'a> {
    raw: Option<&'a [u8]>,
    /// Number of elements in the typed lists, and the field they were in.
    typed: u64,
    field: Option<u64>,
    values: Vec<f64>,
    external: bool,
}

impl<'a> TensorView<'a> {
    /// Reads and checks one tensor.
    pub(super) fn read(message: &'a [u8]) -> Result<Self, ForecasterError> {
        let (mut out, mut stored) = (Self::default(), Stored::default());
        for field in Fields::new(message) {
            match field? {
                (1, v) => varints(v, |d| push_dim(&mut out.dims, d))?,
                (2, v) => out.kind = v.varint("data_type")?,
                (8, v) => out.name = v.text("tensor name")?,
                // C03: neither `external_data` (13) nor a `data_location` (14) other than the default.
                (13, _) => stored.external = true,
                (14, v) => stored.external |= v.varint("data_location")? != 0,
                (number, v) => stored.take(number, v)?,
            }
        }
        if stored.external {
            let detail =
                format!("tensor `{}` has its data outside the file; save the model as one file", out.name);
            return Err(ForecasterError::check(Check::ExternalData, detail));
        }
        check_rank(&out.dims)?;
        if out.kind == STRING {
            return Ok(out);
        }
        out.agree(&stored)?;
        Ok(out)
    }

    /// The number of elements; `None` when the dimensions are negative or overflow.
    pub(super) fn elements(&self) -> Option<u64> {
        elements(&self.dims)
    }

    /// C02: the dimensions are those of the data.
    fn agree(&mut self, stored: &Stored<'_>) -> Result<(), ForecasterError> {
        let fault = |detail: String| Err(ForecasterError::check(Check::TensorData, detail));
        let name = self.name;
        let Some(bits) = element_bits(self.kind) else {
            return fault(format!("tensor `{name}` has the unknown element type {}", self.kind));
        };
        let Some(count) = self.elements() else {
            return fault(format!("tensor `{name}` has impossible dimensions {:?}", self.dims));
        };
        match (stored.raw, stored.field) {
            (Some(_), Some(_)) => return fault(format!("tensor `{name}` has its data twice")),
            (Some(raw), None) => {
                let want = (u128::from(count) * u128::from(bits)).div_ceil(8);
                if raw.len() as u128 != want {
                    return fault(format!(
                        "tensor `{name}` of {:?} needs {want} bytes and has {}",
                        self.dims,
                        raw.len()
                    ));
                }
                if count <= MAX_VALUES {
                    self.values = raw_values(self.kind, raw);
                }
            }
            (None, field) => {
                let fits = field.is_none_or(|f| f == typed_field(self.kind));
                // Numbers of 4 bits lie in twos in one list element; complex numbers take two of them.
                let want = match self.kind {
                    14 | 15 => count.checked_mul(2),
                    21..=23 => Some(count.div_ceil(2)),
                    _ => Some(count),
                };
                if !fits || want != Some(stored.typed) {
                    return fault(format!(
                        "tensor `{name}` of {:?} needs {count} numbers of its type and has {}",
                        self.dims, stored.typed
                    ));
                }
                let plain = matches!(self.kind, 1 | 6 | 7 | 9 | 11);
                self.values = (plain && count <= MAX_VALUES).then(|| stored.values.clone());
            }
        }
        Ok(())
    }
}

/// Keeps a dimension; of too many only so many that [`check_rank`] sees it.
pub(super) fn push_dim(dims: &mut Vec<u64>, dim: u64) {
    if dims.len() <= MAX_RANK {
        dims.push(dim);
    }
}

/// C02: a tensor has no more dimensions than any engine takes.
pub(super) fn check_rank<T>(dims: &[T]) -> Result<(), ForecasterError> {
    if dims.len() <= MAX_RANK {
        return Ok(());
    }
    let detail = format!("a tensor has more than {MAX_RANK} dimensions");
    Err(ForecasterError::check(Check::TensorData, detail))
}

/// The number of elements of these dimensions; `None` when one is negative or the product overflows.
pub(super) fn elements(dims: &[u64]) -> Option<u64> {
    let sound = dims.iter().all(|d| i64::try_from(*d).is_ok());
    // A zero anywhere makes nothing of it, but the others must not overflow on the way.
    sound.then(|| dims.iter().try_fold(1_u64, |n, d| n.checked_mul(*d))).flatten()
}

impl<'a> Stored<'a> {
    /// A field of data, if it is one.
    fn take(&mut self, number: u64, value: Value<'a>) -> Result<(), ForecasterError> {
        match number {
            4 => self.floats(number, fixed_bytes(value, 4)?, 4)?,
            10 => self.floats(number, fixed_bytes(value, 8)?, 8)?,
            5 | 7 | 11 => {
                self.one_list(number)?;
                let (typed, values) = (&mut self.typed, &mut self.values);
                varints(value, |v| {
                    *typed += 1;
                    if *typed <= MAX_VALUES {
                        // 32-bit numbers are written with 64 bits when they are negative.
                        values.push(if number == 11 { v as f64 } else { v as i64 as f64 });
                    }
                })?;
            }
            9 if self.raw.is_some() => return Err(bad("raw_data is there twice")),
            9 => self.raw = Some(value.bytes("raw_data")?),
            _ => {}
        }
        Ok(())
    }

    fn floats(&mut self, number: u64, bytes: &[u8], width: usize) -> Result<(), ForecasterError> {
        self.one_list(number)?;
        if bytes.len() % width != 0 {
            let detail = "a packed list of floats ends within a number";
            return Err(ForecasterError::check(Check::TensorData, detail));
        }
        for chunk in bytes.chunks_exact(width) {
            self.typed += 1;
            if self.typed <= MAX_VALUES {
                self.values.extend(if width == 4 { f32_of(chunk) } else { f64_of(chunk) });
            }
        }
        Ok(())
    }

    /// All elements are in one field; whatever is in a second one is a lie about the first.
    fn one_list(&mut self, number: u64) -> Result<(), ForecasterError> {
        if self.field.is_some_and(|f| f != number) {
            return Err(ForecasterError::check(Check::TensorData, "a tensor has lists of two types"));
        }
        self.field = Some(number);
        Ok(())
    }
}

/// Bits of one element; `None` is a type nobody knows.
pub(super) const fn element_bits(kind: u64) -> Option<u32> {
    match kind {
        1 | 6 | 12 => Some(32),
        2 | 3 | 9 | 17..=20 | 24 => Some(8),
        4 | 5 | 10 | 16 => Some(16),
        7 | 11 | 13 | 14 => Some(64),
        15 => Some(128),
        21..=23 => Some(4),
        25 | 26 => Some(2),
        _ => None,
    }
}

/// Which list holds the elements of a type.
const fn typed_field(kind: u64) -> u64 {
    match kind {
        1 | 14 => 4,
        7 => 7,
        11 | 15 => 10,
        12 | 13 => 11,
        _ => 5,
    }
}

fn f32_of(bytes: &[u8]) -> Option<f64> {
    bytes.try_into().ok().map(|b| f64::from(f32::from_le_bytes(b)))
}

fn f64_of(bytes: &[u8]) -> Option<f64> {
    bytes.try_into().ok().map(f64::from_le_bytes)
}

/// The numbers of raw data, of the types that shapes and bounds are written in.
fn raw_values(kind: u64, raw: &[u8]) -> Option<Vec<f64>> {
    match kind {
        1 => raw.chunks_exact(4).map(f32_of).collect(),
        6 => raw.chunks_exact(4).map(|c| Some(f64::from(i32::from_le_bytes(c.try_into().ok()?)))).collect(),
        7 => raw.chunks_exact(8).map(|c| Some(i64::from_le_bytes(c.try_into().ok()?) as f64)).collect(),
        9 => Some(raw.iter().map(|b| f64::from(*b)).collect()),
        11 => raw.chunks_exact(8).map(f64_of).collect(),
        _ => None,
    }
}
