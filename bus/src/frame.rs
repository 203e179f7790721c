//! How an entry looks as bytes, with checksum and hash chain; this module never touches a file.
//!
//! Payload: `seq u64 | at i64 | stream u8 | body`. Frame: `len u32 | crc32c u32 | payload`, where `len` counts the
//! payload and the checksum covers `len` and the payload. All numbers are little-endian.

use schemas::{Digest, Entry, Record, Stream, Timestamp};

use crate::error::Damage;

/// Bytes before the body in a payload.
pub const PAYLOAD_HEAD: usize = 17;
/// Bytes before the payload in a frame.
pub const FRAME_HEAD: usize = 8;

/// The stable number of a stream, as stored.
pub const fn stream_number(stream: Stream) -> u8 {
    match stream {
        Stream::Raw => 0,
        Stream::Market => 1,
        Stream::Intake => 2,
        Stream::Verdicts => 3,
        Stream::Forecasts => 4,
    }
}

/// Appends the payload of `entry` to `out`.
pub fn put_payload(entry: &Entry, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.record.seq.to_le_bytes());
    out.extend_from_slice(&entry.record.at.0.to_le_bytes());
    out.push(stream_number(entry.stream));
    out.extend_from_slice(&entry.record.body);
}

/// Number, time and stream of a payload.
pub fn parse_head(payload: &[u8]) -> Result<(u64, Timestamp, Stream), Damage> {
    let (seq, rest) = payload.split_first_chunk::<8>().ok_or(Damage::Short)?;
    let (at, rest) = rest.split_first_chunk::<8>().ok_or(Damage::Short)?;
    let stream = rest.first().ok_or(Damage::Short)?;
    let stream = *Stream::ALL.get(usize::from(*stream)).ok_or(Damage::Stream)?;
    Ok((u64::from_le_bytes(*seq), Timestamp(i64::from_le_bytes(*at)), stream))
}

/// The entry of a payload.
pub fn parse_payload(payload: &[u8]) -> Result<Entry, Damage> {
    let (seq, at, stream) = parse_head(payload)?;
    Ok(Entry { stream, record: Record { seq, at, body: payload[PAYLOAD_HEAD..].to_vec() } })
}

/// Appends the frame of `entry` to `out` and says where its payload starts in it.
pub fn put_frame(entry: &Entry, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let len = (PAYLOAD_HEAD + entry.record.body.len()) as u32;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let payload = out.len();
    put_payload(entry, out);
    let crc = checksum(len, &out[payload..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    payload
}

/// CRC-32C over the length and the payload.
pub fn checksum(len: u32, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), payload)
}

/// The payload of the frame that `bytes` starts with; `max_payload` bounds the length field.
pub fn frame_payload(bytes: &[u8], max_payload: usize) -> Result<&[u8], Damage> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or(Damage::Short)?;
    let (crc, rest) = rest.split_first_chunk::<4>().ok_or(Damage::Short)?;
    let len = u32::from_le_bytes(*len);
    if (len as usize) < PAYLOAD_HEAD || len as usize > max_payload {
        return Err(Damage::Length);
    }
    let payload = rest.get(..len as usize).ok_or(Damage::Short)?;
    if checksum(len, payload) == u32::from_le_bytes(*crc) { Ok(payload) } else { Err(Damage::Checksum) }
}

/// Whether a sound record with a number after `seq` starts anywhere in `bytes`: then what lies before it is
/// damage, not the torn end of a write.
pub fn holds_later_record(bytes: &[u8], seq: u64, max_payload: usize) -> bool {
    let most = seq.saturating_add((bytes.len() / (FRAME_HEAD + PAYLOAD_HEAD)) as u64 + 1);
    (0..bytes.len()).any(|start| {
        let rest = &bytes[start..];
        let number =
            rest.get(FRAME_HEAD..FRAME_HEAD + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        number.is_some_and(|n| n > seq && n <= most) && frame_payload(rest, max_payload).is_ok()
    })
}

/// The hash chain of an empty log.
pub const CHAIN_START: Digest = Digest([0; 32]);

/// The chain after one more payload: BLAKE3 of the chain before and the payload.
pub fn chain(before: Digest, payload: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0);
    hasher.update(payload);
    Digest(*hasher.finalize().as_bytes())
}

/// BLAKE3 of an entry's payload.
pub fn entry_hash(entry: &Entry) -> Digest {
    let mut payload = Vec::with_capacity(PAYLOAD_HEAD + entry.record.body.len());
    put_payload(entry, &mut payload);
    Digest::of(&payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_numbers_are_the_wire_forms_numbers() {
        for (n, stream) in Stream::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(stream_number(stream)), n);
            assert_eq!(schemas::encode(&stream), vec![n as u8]);
        }
    }

    #[test]
    fn a_frame_is_pinned_byte_by_byte() {
        let entry = Entry {
            stream: Stream::Intake,
            record: Record { seq: 7, at: Timestamp(-2), body: vec![0xAA, 0xBB] },
        };
        let mut out = Vec::new();
        assert_eq!(put_frame(&entry, &mut out), FRAME_HEAD);
        let crc = checksum(19, &out[8..]).to_le_bytes();
        let want = [
            [19, 0, 0, 0].as_slice(),
            &crc,
            &[7, 0, 0, 0, 0, 0, 0, 0],
            &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            &[2, 0xAA, 0xBB],
        ]
        .concat();
        assert_eq!(out, want);
    }
}
