//! Writes one segment to anything that takes bytes; it never syncs, rolls or deletes.

use std::io::Write;

use schemas::Raw;

use super::form::BlockHeader;
use super::record::{self, Before};
use super::{ArchiveError, Footer, MAX_BLOCK_BYTES, SegmentHeader, Stamp, Totals};

/// How blocks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// A block ends once it holds this many bytes before compression.
    pub block_bytes: usize,
    /// The level of zstd, 1 to 22.
    pub level: i32,
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self { block_bytes: 256 << 10, level: 3 }
    }
}

/// A segment being written.
pub struct SegmentWriter<W> {
    out: W,
    name: String,
    options: BlockOptions,
    zstd: zstd::bulk::Compressor<'static>,
    totals: Totals,
    next_seq: u64,
    before: Before,
    block: Vec<u8>,
    block_frames: u32,
    packed: Vec<u8>,
    written: u64,
}

impl<W: Write> SegmentWriter<W> {
    /// Writes the header. `name` is how errors call the segment.
    pub fn create(
        mut out: W,
        name: &str,
        header: &SegmentHeader,
        options: BlockOptions,
    ) -> Result<Self, ArchiveError> {
        let io = |error| ArchiveError::io("write", name, &error);
        let block_bytes = options.block_bytes.clamp(1, MAX_BLOCK_BYTES / 2);
        let options = BlockOptions { block_bytes, ..options };
        let zstd = zstd::bulk::Compressor::new(options.level).map_err(io)?;
        let bytes = header.encode();
        out.write_all(&bytes).map_err(io)?;
        let written = bytes.len() as u64;
        Ok(Self {
            out,
            name: name.to_owned(),
            options,
            zstd,
            totals: Totals::new(bytes),
            next_seq: header.first_seq,
            before: Before::default(),
            block: Vec::with_capacity(options.block_bytes + (64 << 10)),
            block_frames: 0,
            packed: Vec::new(),
            written,
        })
    }

    /// Appends a record and gives its number. A block is written when it is full; `true` beside the number says so.
    /// `fresh` marks the first record a new machine reads.
    #[inline]
    pub fn append(&mut self, stamp: &Stamp, fresh: bool, raw: &Raw) -> Result<(u64, bool), ArchiveError> {
        let len = record::payload(raw).len();
        if len > MAX_BLOCK_BYTES {
            return Err(ArchiveError::TooLarge(len));
        }
        record::encode(&mut self.before, stamp, fresh, raw, &mut self.block);
        self.totals.wall(stamp.wall);
        self.block_frames += 1;
        let seq = self.next_seq;
        self.next_seq += 1;
        let full = self.block.len() >= self.options.block_bytes;
        if full {
            self.end_block()?;
        }
        Ok((seq, full))
    }

    /// Compresses and writes what is waiting, however little it is.
    pub fn end_block(&mut self) -> Result<(), ArchiveError> {
        if self.block_frames == 0 {
            return Ok(());
        }
        let io = |error| ArchiveError::io("write", &self.name, &error);
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.block.len()));
        self.zstd.compress_to_buffer(&self.block, &mut self.packed).map_err(io)?;
        let header = BlockHeader {
            packed_len: self.packed.len() as u32,
            raw_len: self.block.len() as u32,
            frames: self.block_frames,
            first_seq: self.next_seq - u64::from(self.block_frames),
            packed_crc: crc32fast::hash(&self.packed),
        };
        let head = header.encode();
        self.out.write_all(&head).map_err(io)?;
        self.out.write_all(&self.packed).map_err(io)?;
        self.written += (head.len() + self.packed.len()) as u64;
        self.totals.block(&self.block, u64::from(self.block_frames));
        self.block.clear();
        self.block_frames = 0;
        self.before = Before::default();
        Ok(())
    }

    /// Ends the last block and writes the footer.
    pub fn finish(mut self) -> Result<(W, Footer), ArchiveError> {
        self.end_block()?;
        let footer = self.totals.footer();
        self.out
            .write_all(&footer.encode())
            .map_err(|error| ArchiveError::io("write", &self.name, &error))?;
        Ok((self.out, footer))
    }

    /// Bytes written so far; the block that is being filled is not among them.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The number the next record gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Records that wait in the block being filled.
    pub fn waiting(&self) -> u32 {
        self.block_frames
    }

    /// Where it writes.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }
}
