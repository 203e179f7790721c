//! A minimal protobuf reader over borrowed bytes; it never allocates and never follows anything outside the bytes.

use crate::error::{Check, ForecasterError};

/// One field's value. Groups do not exist in ONNX and are refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire types 1 and 5: eight or four bytes, little-endian.
    Fixed(&'a [u8]),
    /// Wire type 2: text, bytes, a packed list or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The varint, or an error: a known field with another wire type is no ONNX file we want to guess about.
    pub(super) fn varint(self, what: &str) -> Result<u64, ForecasterError> {
        match self {
            Self::Varint(v) => Ok(v),
            _ => Err(bad(&format!("{what} is not a number"))),
        }
    }

    /// The bytes of a message, or an error.
    pub(super) fn bytes(self, what: &str) -> Result<&'a [u8], ForecasterError> {
        match self {
            Self::Bytes(b) => Ok(b),
            _ => Err(bad(&format!("{what} is not a message"))),
        }
    }

    /// The text, or an error.
    pub(super) fn text(self, what: &str) -> Result<&'a str, ForecasterError> {
        std::str::from_utf8(self.bytes(what)?).map_err(|_| bad(&format!("{what} is not UTF-8")))
    }
}

/// The numbers of a packed list, or of one element of an unpacked one.
pub(super) fn varints(value: Value<'_>, mut each: impl FnMut(u64)) -> Result<(), ForecasterError> {
    match value {
        Value::Varint(v) => each(v),
        Value::Bytes(packed) => {
            let mut list = Fields::new(packed);
            while !list.rest.is_empty() {
                each(list.varint()?);
            }
        }
        Value::Fixed(_) => return Err(bad("a list of numbers is not packed as such")),
    }
    Ok(())
}

/// The bytes of a packed list of numbers of `width` bytes, or of one element of an unpacked one.
pub(super) fn fixed_bytes(value: Value<'_>, width: usize) -> Result<&[u8], ForecasterError> {
    match value {
        Value::Fixed(bytes) if bytes.len() == width => Ok(bytes),
        Value::Bytes(packed) => Ok(packed),
        _ => Err(bad("a list of floats is not packed as such")),
    }
}

/// The fields of one message, in order.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], ForecasterError> {
        let (head, tail) = usize::try_from(n)
            .ok()
            .and_then(|n| self.rest.split_at_checked(n))
            .ok_or_else(|| bad("a field ends after the file does"))?;
        self.rest = tail;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, ForecasterError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = u64::from(self.take(1)?[0]);
            if shift == 63 && byte > 1 {
                break;
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(bad("a number is longer than 64 bits"))
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), ForecasterError> {
        let key = self.varint()?;
        // Some readers cut a key to 32 bits and see another field than we do.
        if key > u64::from(u32::MAX) {
            return Err(bad("a field number is longer than 32 bits"));
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed(self.take(4)?),
            other => return Err(bad(&format!("wire type {other} is not used by ONNX"))),
        };
        match key >> 3 {
            0 => Err(bad("field number 0")),
            number => Ok((number, value)),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), ForecasterError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

pub(super) fn bad(detail: &str) -> ForecasterError {
    ForecasterError::check(Check::Protobuf, format!("not a well-formed ONNX file: {detail}"))
}
