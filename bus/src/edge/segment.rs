//! One segment file: its header and a scan over its bytes; never a write.
//!
//! Header (64 bytes, little-endian): `magic 8 | format u16 | wire u16 | first_seq u64 | at of the entry before i64 |
//! chain before 32 | crc32c of all that u32`.

use std::path::Path;

use schemas::wire::WIRE_VERSION;
use schemas::{Digest, Timestamp};

use crate::error::{BusError, Damage};
use crate::frame;
use crate::log::EMPTY_AT;

/// Bytes of a header.
pub(crate) const HEADER: usize = 64;
/// Largest payload that is ever read, bytes.
pub(crate) const MAX_PAYLOAD: usize = 64 << 20;
/// Largest segment that is ever read, bytes.
pub(crate) const MAX_SEGMENT: u64 = 1 << 30;
/// An offset is remembered for every so many records.
pub(crate) const INDEX_EVERY: u64 = 4096;

const MAGIC: &[u8; 8] = b"ORACULOJ";
const FORMAT: u16 = 1;

/// Where a log stands after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) chain: Digest,
}

impl Point {
    /// Before the first entry.
    pub(crate) const START: Self = Self { seq: 0, at: EMPTY_AT, chain: frame::CHAIN_START };
}

/// The name of the segment whose first entry is `first`.
pub(crate) fn file_name(first: u64) -> String {
    format!("{first:020}.seg")
}

/// The first entry's number from a segment's name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// The header of a segment that continues `before`.
pub(crate) fn header(before: &Point) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&WIRE_VERSION.to_le_bytes());
    out.extend_from_slice(&(before.seq + 1).to_le_bytes());
    out.extend_from_slice(&before.at.0.to_le_bytes());
    out.extend_from_slice(&before.chain.0);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// Checks that `bytes` start with the header of a segment that continues `before`.
pub(crate) fn check_header(file: &Path, bytes: &[u8], before: &Point) -> Result<(), BusError> {
    let damage = |what| BusError::Corrupt { file: file.to_path_buf(), offset: 0, seq: before.seq + 1, what };
    let want = header(before);
    let have = bytes.get(..HEADER).ok_or_else(|| damage(Damage::Header))?;
    if have == want {
        return Ok(());
    }
    let sound = have[..8] == *MAGIC && crc32c::crc32c(&have[..60]).to_le_bytes() == have[60..];
    if !sound {
        return Err(damage(Damage::Header));
    }
    let version = |from: usize| u16::from_le_bytes([have[from], have[from + 1]]);
    if (version(8), version(10)) != (FORMAT, WIRE_VERSION) {
        let (format, wire) = (version(8), version(10));
        return Err(BusError::ForeignVersion { file: file.to_path_buf(), format, wire });
    }
    let same_place = have[12..28] == want[12..28];
    Err(damage(if same_place { Damage::Chain } else { Damage::Header }))
}

/// What a scan over a segment's records found.
pub(crate) struct Scan {
    /// Where the last sound record ends.
    pub(crate) end: u64,
    /// Where the log stands there.
    pub(crate) point: Point,
    /// Number and offset of every [`INDEX_EVERY`]th record.
    pub(crate) index: Vec<(u64, u64)>,
    /// What is wrong with the record at `end`; `None` if the file ends there.
    pub(crate) fault: Option<Damage>,
}

/// Scans the records behind the header.
pub(crate) fn scan(bytes: &[u8], before: Point) -> Scan {
    let mut scan = Scan { end: HEADER as u64, point: before, index: Vec::new(), fault: None };
    while scan.fault.is_none() && (scan.end as usize) < bytes.len() {
        scan.fault = next(&bytes[scan.end as usize..], &mut scan, before.seq).err();
    }
    scan
}

fn next(rest: &[u8], scan: &mut Scan, before: u64) -> Result<(), Damage> {
    let payload = frame::frame_payload(rest, MAX_PAYLOAD)?;
    let (seq, at) = check_head(payload, scan.point.seq + 1)?;
    if at < scan.point.at {
        return Err(Damage::Time);
    }
    if (seq - before - 1).is_multiple_of(INDEX_EVERY) {
        scan.index.push((seq, scan.end));
    }
    scan.end += (frame::FRAME_HEAD + payload.len()) as u64;
    scan.point = Point { seq, at, chain: frame::chain(scan.point.chain, payload) };
    Ok(())
}

/// Number and time of a payload that must be entry `seq`.
pub(crate) fn check_head(payload: &[u8], seq: u64) -> Result<(u64, Timestamp), Damage> {
    let entry = frame::parse_head(payload)?;
    if entry.0 == seq { Ok((entry.0, entry.1)) } else { Err(Damage::Sequence) }
}
