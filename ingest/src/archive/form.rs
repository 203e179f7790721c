//! The fixed parts of a segment: header, block header, footer; every one has a checksum of its own.

use schemas::{Digest, Timestamp, Venue};

use super::ArchiveError;

/// Begins every segment.
pub(super) const MAGIC: [u8; 8] = *b"ORAC-RAW";
/// The version of the form.
pub(super) const VERSION: u16 = 1;
/// Begins every block.
pub(super) const BLOCK: [u8; 4] = *b"OBLK";
/// Begins the footer.
pub(super) const FOOTER: [u8; 4] = *b"OEND";
/// Bytes of a block's header.
pub(super) const BLOCK_HEADER: usize = 32;
/// Bytes of a footer.
pub(super) const FOOTER_LEN: usize = 108;
/// Bytes of a header before its source text, with a checksum of their own: a wrong length must not look like a torn end.
pub(super) const HEADER_FIXED: usize = 58;

/// Most bytes of a block before compression; a length above it is damage, not a reason to allocate.
pub const MAX_BLOCK_BYTES: usize = 256 << 20;

/// What a segment says of itself at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The venue its frames come from.
    pub venue: Venue,
    /// Where they come from and who reads them, e.g. `live` or `import/history`; at most 65,535 bytes.
    pub source: String,
    /// Number of its first record.
    pub first_seq: u64,
    /// Chain hash of everything before; zero for the first segment.
    pub before: Digest,
}

impl SegmentHeader {
    /// As bytes, checksum included.
    pub(super) fn encode(&self) -> Vec<u8> {
        let source = &self.source.as_bytes()[..self.source.len().min(usize::from(u16::MAX))];
        let mut out = Vec::with_capacity(HEADER_FIXED + source.len() + 4);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(source.len() as u16).to_le_bytes());
        let venue = Venue::ALL.iter().position(|v| *v == self.venue).expect("ALL has every venue");
        out.extend_from_slice(&[venue as u8, 0]);
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.before.0);
        let fixed = crc32fast::hash(&out);
        out.extend_from_slice(&fixed.to_le_bytes());
        out.extend_from_slice(source);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// From the fixed part; the source text follows. Gives the header without its source, and the source's length.
    pub(super) fn decode_fixed(
        bytes: &[u8; HEADER_FIXED],
        segment: &str,
    ) -> Result<(Self, usize), ArchiveError> {
        if bytes[..8] != MAGIC {
            return Err(ArchiveError::NotASegment(segment.to_owned()));
        }
        let found = u16::from_le_bytes([bytes[8], bytes[9]]);
        if found != VERSION {
            return Err(ArchiveError::Version { segment: segment.to_owned(), found, known: VERSION });
        }
        let damaged = |what| ArchiveError::Damaged { segment: segment.to_owned(), offset: 0, what };
        if crc32fast::hash(&bytes[..54]) != u32_at(bytes, 54) {
            return Err(damaged("the header's checksum does not fit"));
        }
        let len = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
        let Some(venue) = Venue::ALL.get(usize::from(bytes[12])).copied() else {
            return Err(damaged("unknown venue"));
        };
        let header =
            Self { venue, source: String::new(), first_seq: u64_at(bytes, 14), before: digest_at(bytes, 22) };
        Ok((header, len))
    }
}

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub packed_len: u32,
    pub raw_len: u32,
    pub frames: u32,
    pub first_seq: u64,
    pub packed_crc: u32,
}

impl BlockHeader {
    pub(super) fn encode(&self) -> [u8; BLOCK_HEADER] {
        let mut out = [0; BLOCK_HEADER];
        out[..4].copy_from_slice(&BLOCK);
        out[4..8].copy_from_slice(&self.packed_len.to_le_bytes());
        out[8..12].copy_from_slice(&self.raw_len.to_le_bytes());
        out[12..16].copy_from_slice(&self.frames.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        out[24..28].copy_from_slice(&self.packed_crc.to_le_bytes());
        let crc = crc32fast::hash(&out[..28]);
        out[28..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` if the checksum does not fit.
    pub(super) fn decode(bytes: &[u8; BLOCK_HEADER]) -> Option<Self> {
        (crc32fast::hash(&bytes[..28]) == u32_at(bytes, 28)).then(|| Self {
            packed_len: u32_at(bytes, 4),
            raw_len: u32_at(bytes, 8),
            frames: u32_at(bytes, 12),
            first_seq: u64_at(bytes, 16),
            packed_crc: u32_at(bytes, 24),
        })
    }
}

/// What a sealed segment says of itself at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Blocks.
    pub blocks: u32,
    /// Records.
    pub frames: u64,
    /// Bytes of all records before compression.
    pub raw_bytes: u64,
    /// Earliest receive time that is known; 0 if none is.
    pub from: Timestamp,
    /// Latest receive time that is known; 0 if none is.
    pub to: Timestamp,
    /// BLAKE3 of all records before compression.
    pub records: Digest,
    /// BLAKE3 of the segment's header (which has the chain before) and `records`: what the next segment starts from.
    pub chain: Digest,
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut out = [0; FOOTER_LEN];
        out[..4].copy_from_slice(&FOOTER);
        out[4..8].copy_from_slice(&self.blocks.to_le_bytes());
        out[8..16].copy_from_slice(&self.frames.to_le_bytes());
        out[16..24].copy_from_slice(&self.raw_bytes.to_le_bytes());
        out[24..32].copy_from_slice(&self.from.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.to.0.to_le_bytes());
        out[40..72].copy_from_slice(&self.records.0);
        out[72..104].copy_from_slice(&self.chain.0);
        let crc = crc32fast::hash(&out[..104]);
        out[104..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` if the checksum does not fit.
    pub(super) fn decode(bytes: &[u8; FOOTER_LEN]) -> Option<Self> {
        (crc32fast::hash(&bytes[..104]) == u32_at(bytes, 104)).then(|| Self {
            blocks: u32_at(bytes, 4),
            frames: u64_at(bytes, 8),
            raw_bytes: u64_at(bytes, 16),
            from: Timestamp(u64_at(bytes, 24) as i64),
            to: Timestamp(u64_at(bytes, 32) as i64),
            records: digest_at(bytes, 40),
            chain: digest_at(bytes, 72),
        })
    }
}

/// Counts and hash of a segment while it is written or read.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    header: Vec<u8>,
    hasher: blake3::Hasher,
    blocks: u32,
    frames: u64,
    raw_bytes: u64,
    from: Timestamp,
    to: Timestamp,
}

impl Totals {
    pub(super) fn new(header: Vec<u8>) -> Self {
        Self { header, ..Self::default() }
    }

    pub(super) fn block(&mut self, raw: &[u8], frames: u64) {
        self.hasher.update(raw);
        self.blocks += 1;
        self.frames += frames;
        self.raw_bytes += raw.len() as u64;
    }

    #[inline]
    pub(super) fn wall(&mut self, wall: Timestamp) {
        if wall != Timestamp::ZERO {
            self.from = if self.from == Timestamp::ZERO { wall } else { self.from.min(wall) };
            self.to = self.to.max(wall);
        }
    }

    /// Records in whole blocks.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The footer that seals what was seen so far.
    pub fn footer(&self) -> Footer {
        let records = Digest(*self.hasher.finalize().as_bytes());
        Footer {
            blocks: self.blocks,
            frames: self.frames,
            raw_bytes: self.raw_bytes,
            from: self.from,
            to: self.to,
            records,
            chain: Digest::combine(&[Digest::of(&self.header), records]),
        }
    }

    /// The same as bytes, to be put behind the last whole block of a segment that a crash left open.
    pub fn sealing_bytes(&self) -> Vec<u8> {
        self.footer().encode().to_vec()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn digest_at(bytes: &[u8], at: usize) -> Digest {
    Digest(bytes[at..at + 32].try_into().expect("thirty-two bytes"))
}
