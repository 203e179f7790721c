//! Reads one segment back, block by block, into buffers that are used again; it never mends what it finds.

use std::io::Read;

use schemas::{Raw, Record, Timestamp};

use super::form::{BLOCK, BLOCK_HEADER, BlockHeader, FOOTER, FOOTER_LEN, HEADER_FIXED};
use super::record::{self, Before};
use super::{ArchiveError, ArchiveFrame, Footer, MAX_BLOCK_BYTES, SegmentHeader, Stamp, Totals, conn_of};

/// One record as it is read; lives until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its number and body; `at` is the latest of all receive times and wake-ups so far, so it never goes back.
    pub record: &'a Record<Raw>,
    /// What the edge noted, verbatim.
    pub stamp: Stamp,
    /// A new machine begins here.
    pub fresh: bool,
}

impl Seen<'_> {
    /// The same, owned.
    pub fn to_frame(&self) -> ArchiveFrame {
        ArchiveFrame {
            seq: self.record.seq,
            conn: conn_of(&self.record.body),
            no: self.stamp.no,
            wall: self.stamp.wall,
            mono_ns: self.stamp.mono_ns,
            body: self.record.body.clone(),
        }
    }
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentEnd {
    /// With a footer that fits.
    Sealed(Footer),
    /// Without one: it is being written, or a crash ended it.
    Open {
        /// Bytes of whole parts.
        whole: u64,
        /// Bytes behind them of a block or footer that was never finished; they hold no synced record.
        torn: u64,
    },
}

/// A segment being read.
pub struct SegmentReader<R> {
    input: R,
    name: String,
    header: SegmentHeader,
    offset: u64,
    zstd: zstd::bulk::Decompressor<'static>,
    totals: Totals,
    packed: Vec<u8>,
    block: Vec<u8>,
    /// Where the next record begins in `block`.
    at: usize,
    left: u32,
    block_offset: u64,
    before: Before,
    record: Record<Raw>,
    stamp: Stamp,
    fresh: bool,
    next_seq: u64,
    spare: Vec<u8>,
    end: Option<SegmentEnd>,
}

impl<R: Read> SegmentReader<R> {
    /// Reads the header. `name` is how errors call the segment. `Ok(None)`: the file ends within its header, as a
    /// crash right after its creation leaves it.
    pub fn open(mut input: R, name: &str) -> Result<Option<Self>, ArchiveError> {
        let mut fixed = [0; HEADER_FIXED];
        if fill(&mut input, &mut fixed, name)? < HEADER_FIXED {
            return Ok(None);
        }
        let (mut header, len) = SegmentHeader::decode_fixed(&fixed, name)?;
        let mut rest = vec![0; len + 4];
        if fill(&mut input, &mut rest, name)? < rest.len() {
            return Ok(None);
        }
        let mut bytes = fixed.to_vec();
        bytes.extend_from_slice(&rest);
        let (body, crc) = bytes.split_at(bytes.len() - 4);
        let damaged = |what| ArchiveError::Damaged { segment: name.to_owned(), offset: 0, what };
        if crc32fast::hash(body).to_le_bytes() != crc {
            return Err(damaged("the header's checksum does not fit"));
        }
        rest.truncate(len);
        header.source = String::from_utf8(rest).map_err(|_| damaged("the source is no text"))?;
        let zstd = zstd::bulk::Decompressor::new().map_err(|error| ArchiveError::io("read", name, &error))?;
        Ok(Some(Self {
            input,
            name: name.to_owned(),
            offset: bytes.len() as u64,
            next_seq: header.first_seq,
            header,
            zstd,
            totals: Totals::new(bytes),
            packed: Vec::new(),
            block: Vec::new(),
            at: 0,
            left: 0,
            block_offset: 0,
            before: Before::default(),
            record: Record { seq: 0, at: Timestamp::ZERO, body: Raw::Connected { conn: 0 } },
            stamp: Stamp::default(),
            fresh: false,
            spare: Vec::new(),
            end: None,
        }))
    }

    /// What the segment says of itself.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Time never goes back from here: the last record's `at` of the segment before.
    pub fn resume_at(&mut self, at: Timestamp) {
        self.record.at = self.record.at.max(at);
    }

    /// The time of the record read last.
    pub fn at(&self) -> Timestamp {
        self.record.at
    }

    /// How it ended; `None` while records are left.
    pub fn end(&self) -> Option<SegmentEnd> {
        self.end
    }

    /// Counts and hash of the blocks read so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The next record, or `None` at the end: [`SegmentReader::end`] then says how it ended.
    #[allow(clippy::should_implement_trait, reason = "it lends its record: no iterator can")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Seen<'_>>, ArchiveError> {
        Ok(if self.advance()? { Some(self.seen()) } else { None })
    }

    /// Reads the next record, to be looked at with [`SegmentReader::seen`]; `false` at the end.
    pub fn advance(&mut self) -> Result<bool, ArchiveError> {
        if self.left == 0 && !self.next_block()? {
            return Ok(false);
        }
        let mut rest = &self.block[self.at..];
        let decoded = record::decode(&mut self.before, &mut rest, &mut self.record.body, &mut self.spare);
        let Some((stamp, fresh)) = decoded else {
            return Err(self.damaged(self.block_offset, "a record cannot be read"));
        };
        self.at = self.block.len() - rest.len();
        self.left -= 1;
        if self.left == 0 && self.at < self.block.len() {
            return Err(self.damaged(self.block_offset, "bytes behind the block's last record"));
        }
        (self.stamp, self.fresh) = (stamp, fresh);
        self.record.seq = self.next_seq;
        self.next_seq += 1;
        self.totals.wall(stamp.wall);
        self.record.at = self.record.at.max(stamp.wall);
        if let Raw::TimeAdvanced { to } = self.record.body {
            self.record.at = self.record.at.max(to);
        }
        Ok(true)
    }

    /// The record read last.
    #[inline]
    pub fn seen(&self) -> Seen<'_> {
        Seen { record: &self.record, stamp: self.stamp, fresh: self.fresh }
    }

    /// Loads the next block that has records; `false` at the end.
    fn next_block(&mut self) -> Result<bool, ArchiveError> {
        if self.end.is_some() {
            return Ok(false);
        }
        let start = self.offset;
        let mut head = [0; FOOTER_LEN];
        let got = self.fill_head(&mut head, 0, 4)?;
        if got < 4 {
            return Ok(self.open_end(start, got as u64));
        }
        match [head[0], head[1], head[2], head[3]] {
            FOOTER => self.footer(start, &mut head),
            BLOCK => self.block(start, &mut head),
            _ => self.zeros_or_damage(start, &head[..4], "neither a block nor a footer"),
        }
    }

    fn block(&mut self, start: u64, head: &mut [u8; FOOTER_LEN]) -> Result<bool, ArchiveError> {
        let got = self.fill_head(head, 4, BLOCK_HEADER)?;
        if got < BLOCK_HEADER {
            return Ok(self.open_end(start, got as u64));
        }
        let bytes: &[u8; BLOCK_HEADER] = head[..BLOCK_HEADER].try_into().expect("the length is fixed");
        let Some(header) = BlockHeader::decode(bytes) else {
            return Err(self.damaged(start, "the block header's checksum does not fit"));
        };
        let (packed_len, raw_len) = (header.packed_len as usize, header.raw_len as usize);
        if raw_len > 2 * MAX_BLOCK_BYTES || packed_len > 2 * MAX_BLOCK_BYTES + (1 << 20) || header.frames == 0
        {
            return Err(self.damaged(start, "the block's lengths are impossible"));
        }
        if header.first_seq != self.next_seq {
            return Err(self.damaged(start, "the block's first number does not follow"));
        }
        let got = self.fill_packed(packed_len)?;
        if got < packed_len {
            return Ok(self.open_end(start, (BLOCK_HEADER + got) as u64));
        }
        if crc32fast::hash(&self.packed) != header.packed_crc {
            return self.unwritten_or_damage(start);
        }
        self.block.clear();
        self.block.reserve(raw_len);
        let unpacked = self.zstd.decompress_to_buffer(&self.packed, &mut self.block);
        if unpacked.ok() != Some(raw_len) {
            return Err(self.damaged(start, "the block does not decompress to its length"));
        }
        self.totals.block(&self.block, u64::from(header.frames));
        self.at = 0;
        self.left = header.frames;
        self.block_offset = start;
        self.before = Before::default();
        Ok(true)
    }

    fn footer(&mut self, start: u64, head: &mut [u8; FOOTER_LEN]) -> Result<bool, ArchiveError> {
        let got = self.fill_head(head, 4, FOOTER_LEN)?;
        if got < FOOTER_LEN {
            return Ok(self.open_end(start, got as u64));
        }
        let Some(footer) = Footer::decode(head) else {
            return Err(self.damaged(start, "the footer's checksum does not fit"));
        };
        if footer != self.totals.footer() {
            return Err(self.damaged(start, "the footer's counts or hashes do not fit the records"));
        }
        if self.fill_head(&mut [0; FOOTER_LEN], 0, 1)? > 0 {
            return Err(self.damaged(start + FOOTER_LEN as u64, "bytes behind the footer"));
        }
        self.end = Some(SegmentEnd::Sealed(footer));
        Ok(false)
    }

    fn open_end(&mut self, whole: u64, torn: u64) -> bool {
        self.end = Some(SegmentEnd::Open { whole, torn });
        false
    }

    /// A file system may have made a file longer without its bytes before the power went: nothing but zeros to the
    /// end is a torn tail, anything else is damage.
    fn zeros_or_damage(&mut self, start: u64, seen: &[u8], what: &'static str) -> Result<bool, ArchiveError> {
        let mut zeros = seen.iter().all(|byte| *byte == 0);
        let mut torn = seen.len() as u64;
        let mut chunk = [0; 4096];
        while zeros {
            match fill(&mut self.input, &mut chunk, &self.name)? {
                0 => return Ok(self.open_end(start, torn)),
                got => {
                    torn += got as u64;
                    zeros = chunk[..got].iter().all(|byte| *byte == 0);
                }
            }
        }
        Err(self.damaged(start, what))
    }

    /// The same for a block whose header arrived and whose body did not: it ends the file, and ends in zeros.
    fn unwritten_or_damage(&mut self, start: u64) -> Result<bool, ArchiveError> {
        const ZEROS: usize = 64;
        let what = "the block's checksum does not fit";
        let tail = &self.packed[self.packed.len().saturating_sub(ZEROS)..];
        if tail.len() == ZEROS && tail.iter().all(|byte| *byte == 0) {
            let seen = BLOCK_HEADER + self.packed.len();
            let end = self.zeros_or_damage(start, &[], what)?;
            if let Some(SegmentEnd::Open { torn, .. }) = &mut self.end {
                *torn += seen as u64;
            }
            return Ok(end);
        }
        Err(self.damaged(start, what))
    }

    fn fill_head(
        &mut self,
        head: &mut [u8; FOOTER_LEN],
        from: usize,
        to: usize,
    ) -> Result<usize, ArchiveError> {
        let got = fill(&mut self.input, &mut head[from..to], &self.name)?;
        self.offset += got as u64;
        Ok(from + got)
    }

    /// Reads the block's body in pieces: a length that lies does not make us allocate all of it.
    fn fill_packed(&mut self, len: usize) -> Result<usize, ArchiveError> {
        const PIECE: usize = 1 << 20;
        let mut got = 0;
        while got < len {
            let piece = (len - got).min(PIECE);
            if self.packed.len() < got + piece {
                self.packed.resize(got + piece, 0);
            }
            let read = fill(&mut self.input, &mut self.packed[got..got + piece], &self.name)?;
            got += read;
            if read < piece {
                break;
            }
        }
        self.packed.truncate(got);
        self.offset += got as u64;
        Ok(got)
    }

    fn damaged(&self, offset: u64, what: &'static str) -> ArchiveError {
        ArchiveError::Damaged { segment: self.name.clone(), offset, what }
    }
}

/// Reads until the buffer is full or the input ends; says how much came.
fn fill(input: &mut impl Read, buffer: &mut [u8], name: &str) -> Result<usize, ArchiveError> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(read) => got += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ArchiveError::io("read", name, &error)),
        }
    }
    Ok(got)
}
