//! One record as bytes: numbers as differences to the record before, the payload verbatim; it never looks into it.

use schemas::{Raw, RestReply, Timestamp};

use super::{Stamp, conn_of};

const CONNECTED: u8 = 0;
const FRAME: u8 = 1;
const CLOSED: u8 = 2;
const REST: u8 = 3;
const TIME: u8 = 4;
/// A new machine begins with this record.
const FRESH: u8 = 0x80;

/// Most bytes of a record before its payload.
const HEAD: usize = 96;

/// What numbers are differences to; begins anew in every block, so that each block can be read alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    stamp: Stamp,
}

/// The head of a record, on the stack.
struct Head {
    bytes: [u8; HEAD],
    len: usize,
}

impl Head {
    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    fn difference(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)) as u64);
    }
}

/// What is kept verbatim.
#[inline]
pub(super) fn payload(raw: &Raw) -> &[u8] {
    match raw {
        Raw::Frame { bytes, .. } => bytes,
        Raw::Closed { reason, .. } => reason.as_bytes(),
        Raw::Rest(reply) => &reply.bytes,
        Raw::Connected { .. } | Raw::TimeAdvanced { .. } => &[],
    }
}

/// Appends a record.
pub(super) fn encode(before: &mut Before, stamp: &Stamp, fresh: bool, raw: &Raw, out: &mut Vec<u8>) {
    let mut head = Head { bytes: [0; HEAD], len: 0 };
    let kind = match raw {
        Raw::Connected { .. } => CONNECTED,
        Raw::Frame { .. } => FRAME,
        Raw::Closed { .. } => CLOSED,
        Raw::Rest(_) => REST,
        Raw::TimeAdvanced { .. } => TIME,
    };
    head.byte(if fresh { kind | FRESH } else { kind });
    head.number(u64::from(conn_of(raw)));
    let was = before.stamp;
    head.difference(stamp.no.wrapping_sub(was.no) as i64);
    head.difference(stamp.wall.0.wrapping_sub(was.wall.0));
    head.difference(stamp.mono_ns.wrapping_sub(was.mono_ns) as i64);
    match raw {
        Raw::Rest(reply) => {
            head.number(u64::from(reply.request));
            head.number(u64::from(reply.status));
        }
        Raw::TimeAdvanced { to } => head.difference(to.0.wrapping_sub(stamp.wall.0)),
        _ => {}
    }
    before.stamp = *stamp;
    let payload = payload(raw);
    let mut length = Head { bytes: [0; HEAD], len: 0 };
    length.number((head.len + payload.len()) as u64);
    out.reserve(length.len + head.len + payload.len());
    out.extend_from_slice(&length.bytes[..length.len]);
    out.extend_from_slice(&head.bytes[..head.len]);
    out.extend_from_slice(payload);
}

/// Reads numbers off the front of a slice.
struct Front<'a>(&'a [u8]);

impl<'a> Front<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn difference(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Takes one record off the front of `bytes` into `raw`, whose buffers are used again; `spare` keeps a buffer that the
/// kind of record at hand has no use for. `None` if the bytes are no record.
pub(super) fn decode(
    before: &mut Before,
    bytes: &mut &[u8],
    raw: &mut Raw,
    spare: &mut Vec<u8>,
) -> Option<(Stamp, bool)> {
    let mut front = Front(bytes);
    let len = usize::try_from(front.number()?).ok()?;
    let mut one = Front(front.take(len)?);
    let kind = one.byte()?;
    let conn = u32::try_from(one.number()?).ok()?;
    let was = before.stamp;
    let stamp = Stamp {
        no: was.no.wrapping_add(one.difference()? as u64),
        wall: Timestamp(was.wall.0.wrapping_add(one.difference()?)),
        mono_ns: was.mono_ns.wrapping_add(one.difference()? as u64),
    };
    reclaim(raw, spare);
    *raw = match kind & !FRESH {
        CONNECTED if one.0.is_empty() => Raw::Connected { conn },
        FRAME => Raw::Frame { conn, bytes: filled(spare, one.0) },
        CLOSED => Raw::Closed { conn, reason: String::from_utf8(one.0.to_vec()).ok()? },
        REST if conn == 0 => {
            let request = u32::try_from(one.number()?).ok()?;
            let status = u16::try_from(one.number()?).ok()?;
            Raw::Rest(RestReply { request, status, bytes: filled(spare, one.0) })
        }
        TIME if conn == 0 => {
            let to = Timestamp(stamp.wall.0.wrapping_add(one.difference()?));
            if !one.0.is_empty() {
                return None;
            }
            Raw::TimeAdvanced { to }
        }
        _ => return None,
    };
    before.stamp = stamp;
    *bytes = front.0;
    Some((stamp, kind & FRESH != 0))
}

/// Takes the buffer out of a record that is no longer needed.
fn reclaim(raw: &mut Raw, spare: &mut Vec<u8>) {
    let bytes = match raw {
        Raw::Frame { bytes, .. } => bytes,
        Raw::Rest(reply) => &mut reply.bytes,
        _ => return,
    };
    if bytes.capacity() > spare.capacity() {
        std::mem::swap(bytes, spare);
    }
}

fn filled(spare: &mut Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    let mut buffer = std::mem::take(spare);
    buffer.clear();
    buffer.extend_from_slice(bytes);
    buffer
}
