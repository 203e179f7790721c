//! The protocol's request: JSON tensors, flat or nested, checked against their shape and type; it knows no model.

use serde::Deserialize;
use serde_json::Value;

use super::Refusal;
use crate::engine::Dtype;

/// A request.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    /// Chosen by the caller, echoed.
    #[serde(default)]
    pub(super) id: Option<String>,
    pub(super) inputs: Vec<Input>,
    /// Which outputs are wanted; all when left out.
    #[serde(default)]
    pub(super) outputs: Vec<Wanted>,
}

/// An input tensor. Parameters and other keys are extensions, and ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    pub(super) datatype: String,
    pub(super) data: Value,
}

/// An output that is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    pub(super) name: String,
}

/// Parses a request.
pub(super) fn parse(body: &[u8]) -> Result<Request, Refusal> {
    serde_json::from_slice(body).map_err(|e| Refusal::bad(format!("the request is not understood: {e}")))
}

/// The protocol's name of an element type.
pub(super) const fn datatype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "FP32",
        Dtype::F64 => "FP64",
        Dtype::I32 => "INT32",
        Dtype::I64 => "INT64",
        Dtype::U8 => "UINT8",
        Dtype::Bool => "BOOL",
    }
}

/// Every element type of the protocol that is known here.
const TYPES: [Dtype; 6] = [Dtype::F32, Dtype::F64, Dtype::I32, Dtype::I64, Dtype::U8, Dtype::Bool];

impl Input {
    /// The element type.
    pub(super) fn dtype(&self) -> Result<Dtype, Refusal> {
        TYPES.into_iter().find(|t| datatype(*t) == self.datatype).ok_or_else(|| {
            let known = TYPES.map(datatype).join(", ");
            Refusal::bad(format!("input {:?}: datatype {:?} is none of {known}", self.name, self.datatype))
        })
    }

    /// The elements in row-major order; their number is the shape's and each is of the datatype.
    pub(super) fn values(&self) -> Result<Vec<f64>, Refusal> {
        let dtype = self.dtype()?;
        let wrong = |what: &str| Refusal::bad(format!("input {:?}: {what}", self.name));
        let count = self.shape.iter().try_fold(1_usize, |all, d| all.checked_mul(usize::try_from(*d).ok()?));
        let count = count.ok_or_else(|| wrong("a dimension is negative or the shape too large"))?;
        let mut out = Vec::new();
        flatten(&self.data, self.shape.len().max(1), count, &mut out)
            .ok_or_else(|| wrong("data is nested deeper than the shape, or longer"))?;
        if out.len() != count {
            return Err(wrong(&format!("the shape has {count} elements, data has {}", out.len())));
        }
        out.into_iter()
            .map(|v| element(v, dtype).ok_or_else(|| wrong(&format!("{v} is no {}", self.datatype))))
            .collect()
    }
}

/// Nested lists as one, at most `max` elements; `None` when there are more or they are nested too deeply.
fn flatten<'v>(value: &'v Value, depth: usize, max: usize, out: &mut Vec<&'v Value>) -> Option<()> {
    match value {
        Value::Array(items) => {
            let deeper = depth.checked_sub(1)?;
            items.iter().try_for_each(|item| flatten(item, deeper, max, out))
        }
        element => {
            out.push(element);
            (out.len() <= max).then_some(())
        }
    }
}

fn element(value: &Value, dtype: Dtype) -> Option<f64> {
    let whole = |low: i64, high: i64| value.as_i64().filter(|x| (low..=high).contains(x)).map(|x| x as f64);
    match dtype {
        Dtype::F32 => value.as_f64().filter(|x| (*x as f32).is_finite()),
        Dtype::F64 => value.as_f64(),
        Dtype::I32 => whole(i32::MIN.into(), i32::MAX.into()),
        Dtype::I64 => whole(i64::MIN, i64::MAX),
        Dtype::U8 => whole(0, 255),
        Dtype::Bool => match value {
            Value::Bool(b) => Some(f64::from(u8::from(*b))),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_of_their_type_and_as_many_as_the_shape_says() {
        let check = |datatype: &str, shape: &[i64], data: &str, want: Option<&[f64]>| {
            let input = Input {
                name: "x".to_owned(),
                shape: shape.to_vec(),
                datatype: datatype.to_owned(),
                data: serde_json::from_str(data).unwrap(),
            };
            assert_eq!(input.values().ok().as_deref(), want, "{datatype} {shape:?} {data}");
        };
        check("FP32", &[2, 1], "[1.5, 2]", Some(&[1.5, 2.0]));
        check("FP32", &[2, 2], "[[1, 2], [3, 4]]", Some(&[1.0, 2.0, 3.0, 4.0]));
        check("FP32", &[1], "[1e39]", None);
        check("FP64", &[1], "[1e39]", Some(&[1e39]));
        check("FP32", &[1], "[\"1\"]", None);
        check("FP32", &[1], "[null]", None);
        check("FP32", &[2], "[1]", None);
        check("FP32", &[1], "[1, 2]", None);
        check("FP32", &[1], "[[1]]", None);
        check("FP32", &[-1], "[1]", None);
        check("FP32", &[i64::MAX, i64::MAX], "[1]", None);
        check("INT32", &[2], "[-2147483648, 2147483647]", Some(&[-2_147_483_648.0, 2_147_483_647.0]));
        check("INT32", &[1], "[2147483648]", None);
        check("INT32", &[1], "[1.5]", None);
        check("INT64", &[1], "[4294967296]", Some(&[4_294_967_296.0]));
        check("UINT8", &[2], "[0, 255]", Some(&[0.0, 255.0]));
        check("UINT8", &[1], "[256]", None);
        check("BOOL", &[2], "[true, false]", Some(&[1.0, 0.0]));
        check("BOOL", &[1], "[1]", None);
        check("FP16", &[1], "[1]", None);
    }
}
