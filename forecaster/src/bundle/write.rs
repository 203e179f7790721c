//! A minimal protobuf writer; it never writes anything but what it is told, in that order.

use super::proto::Value;

/// One message under construction.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    /// A field as it was read.
    pub(super) fn field(&mut self, number: u64, value: Value<'_>) {
        let wire = match value {
            Value::Varint(_) => 0,
            Value::Fixed(bytes) if bytes.len() == 8 => 1,
            Value::Bytes(_) => 2,
            Value::Fixed(_) => 5,
        };
        self.number(number << 3 | wire);
        match value {
            Value::Varint(v) => self.number(v),
            Value::Fixed(bytes) => self.0.extend_from_slice(bytes),
            Value::Bytes(bytes) => {
                self.number(bytes.len() as u64);
                self.0.extend_from_slice(bytes);
            }
        }
    }

    /// The message's bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
