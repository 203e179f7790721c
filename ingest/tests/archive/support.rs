//! Records to archive and ways to read them back.

use ingest::archive::{ArchiveError, ArchiveFrame, SegmentEnd, SegmentReader, Stamp, conn_of};
use schemas::{Raw, RestReply, Timestamp};

/// 2026-07-01 02:31:45 UTC, ns.
pub(crate) const START: i64 = 1_782_873_105_000_000_000;

/// A record of every kind in turn, its payload no two times the same.
pub(crate) fn sample(n: u64) -> (Stamp, Raw) {
    let stamp = Stamp {
        no: n / 5,
        wall: if n.is_multiple_of(7) { Timestamp::ZERO } else { Timestamp(START + n as i64 * 1_000_003) },
        mono_ns: n * 999_983,
    };
    let text = format!("{{\"type\":\"orderbook_delta\",\"sid\":1,\"seq\":{n}}}");
    let raw = match n % 5 {
        0 => Raw::Connected { conn: 1 + n as u32 },
        1 => Raw::Frame { conn: 3, bytes: text.into_bytes() },
        2 => Raw::Closed { conn: 3, reason: format!("reset {n} Grüße") },
        3 => Raw::Rest(RestReply { request: n as u32, status: 200, bytes: text.into_bytes() }),
        _ => Raw::TimeAdvanced { to: Timestamp(START + n as i64) },
    };
    (stamp, raw)
}

/// The same as an owned record.
pub(crate) fn owned(seq: u64, stamp: &Stamp, raw: &Raw) -> ArchiveFrame {
    ArchiveFrame {
        seq,
        conn: conn_of(raw),
        no: stamp.no,
        wall: stamp.wall,
        mono_ns: stamp.mono_ns,
        body: raw.clone(),
    }
}

/// Reads a segment to its end.
pub(crate) fn read_all(bytes: &[u8]) -> Result<(Vec<ArchiveFrame>, Option<SegmentEnd>), ArchiveError> {
    let mut frames = Vec::new();
    let Some(mut reader) = SegmentReader::open(bytes, "segment")? else { return Ok((frames, None)) };
    while let Some(seen) = reader.next()? {
        frames.push(seen.to_frame());
    }
    let end = reader.end();
    Ok((frames, end))
}
