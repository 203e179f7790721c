//! The raw archive's writer beside plain zstd: the same frames, the same level, the same blocks, both into memory, so that
//! the disk does not decide.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use ingest::archive::{BlockOptions, SegmentHeader, SegmentReader, SegmentWriter, Stamp};
use schemas::{Digest, Raw, Timestamp, Venue};
use serde_json::{Value, json};

use super::ingest::seconds;
use super::workload::Session;

/// How often each side is measured; the fastest run counts for both.
const ROUNDS: usize = 3;

/// Megabytes of frames per second, written and read back, with and without the archive around zstd.
pub(super) fn run(session: &Session) -> Result<Value> {
    let raws: Vec<Raw> =
        session.messages.iter().map(|bytes| Raw::Frame { conn: 1, bytes: bytes.clone() }).collect();
    let megabytes = session.messages.iter().map(Vec::len).sum::<usize>() as f64 / 1e6;
    let options = BlockOptions::default();
    let (mut ours, mut plain, mut back) = (f64::MAX, f64::MAX, f64::MAX);
    let (mut packed, mut packed_plain) = (0, 0);
    for _ in 0..ROUNDS {
        let (bytes, took) = seconds(|| archived(&raws, options))?;
        ours = ours.min(took);
        packed = bytes.len();
        let (read, took) = seconds(|| read(&bytes))?;
        anyhow::ensure!(read == raws.len(), "{read} of {} frames were read back", raws.len());
        back = back.min(took);
        let (bytes, took) = seconds(|| zstd_only(session, options))?;
        plain = plain.min(took);
        packed_plain = bytes;
    }
    Ok(json!({
        "level": options.level,
        "write_mb_per_s": megabytes / ours,
        "read_mb_per_s": megabytes / back,
        "zstd_mb_per_s": megabytes / plain,
        "vs_zstd": plain / ours,
        "ratio": megabytes * 1e6 / packed as f64,
        "zstd_ratio": megabytes * 1e6 / packed_plain as f64,
    }))
}

fn archived(raws: &[Raw], options: BlockOptions) -> Result<Vec<u8>> {
    let header = SegmentHeader {
        venue: Venue::Kalshi,
        source: "bench".to_owned(),
        first_seq: 1,
        before: Digest::default(),
    };
    let mut writer = SegmentWriter::create(Vec::new(), "bench", &header, options)?;
    for (n, raw) in raws.iter().enumerate() {
        let at = n as u64;
        let wall = Timestamp::from_millis(1_782_873_105_000).plus(at as i64 * 90_000);
        writer.append(&Stamp { no: at + 1, wall, mono_ns: at * 90_000 }, n == 0, raw)?;
    }
    Ok(writer.finish()?.0)
}

fn read(bytes: &[u8]) -> Result<usize> {
    let mut reader = SegmentReader::open(bytes, "bench")?.context("an empty segment")?;
    let mut count = 0;
    while reader.advance()? {
        count += 1;
    }
    Ok(count)
}

/// The frames one after the other with a line feed between, in blocks of the same size.
fn zstd_only(session: &Session, options: BlockOptions) -> Result<usize> {
    let mut compressor = zstd::bulk::Compressor::new(options.level).context("zstd")?;
    let mut block = Vec::with_capacity(options.block_bytes * 2);
    let mut out = Vec::new();
    for message in &session.messages {
        block.extend_from_slice(message);
        block.push(b'\n');
        if block.len() >= options.block_bytes {
            out.write_all(&compressor.compress(&block).context("zstd")?).context("memory")?;
            block.clear();
        }
    }
    out.write_all(&compressor.compress(&block).context("zstd")?).context("memory")?;
    Ok(out.len())
}
