//! Wire form v1: deterministic CBOR (RFC 8949) with numbered fields; never JSON, never floats.
//!
//! Structs are arrays whose positions are the `#[n(..)]` numbers, enums are `[number, fields]`. A field may be
//! added at the end as an `Option`; a number is never used twice. The golden files in `tests/golden` hold one
//! encoded example of every record body and must never change for a released version.

use minicbor::{Decode, Encode};

/// The version every segment header and snapshot names.
pub const WIRE_VERSION: u16 = 1;

/// Bytes that are not wire form v1 of the expected type.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes do not decode.
    #[error("not wire form v1: {0}")]
    Malformed(#[from] minicbor::decode::Error),
    /// The value ended before the bytes did.
    #[error("not wire form v1: {0} bytes left over")]
    Trailing(usize),
}

impl WireError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "wire_malformed",
            Self::Trailing(_) => "wire_trailing",
        }
    }
}

/// Encodes a value in wire form v1.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    minicbor::encode(value, &mut out).expect("writing to a Vec cannot fail");
    out
}

/// Decodes a value that must fill all of `bytes`.
pub fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, WireError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode()?;
    match bytes.len() - decoder.position() {
        0 => Ok(value),
        left => Err(WireError::Trailing(left)),
    }
}
