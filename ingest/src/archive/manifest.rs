//! The manifest of an archive: one line per sealed and per deleted segment, each line chained with the one before; it
//! deletes nothing itself.

use std::collections::BTreeMap;

use schemas::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use super::ArchiveError;

/// A segment that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Its number, from 1.
    pub number: u32,
    /// Its file, relative to the manifest.
    pub file: String,
    /// Number of its first record.
    pub first_seq: u64,
    /// Its records.
    pub frames: u64,
    /// Its length on disk, bytes.
    pub bytes: u64,
    /// Earliest known receive time, ns since the Unix epoch; 0 if none.
    pub from_ns: i64,
    /// Latest known receive time, ns since the Unix epoch; 0 if none.
    pub to_ns: i64,
    /// Chain before it, hex.
    pub before: String,
    /// Chain after it, hex.
    pub chain: String,
}

/// A tombstone: a segment that was deleted on purpose. Its hashes stay in its [`Sealed`] line, so the chain holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its number.
    pub number: u32,
    /// Why: `age` or `size`.
    pub why: String,
    /// The clock of whoever deleted it, ns since the Unix epoch.
    pub at_ns: i64,
}

/// How long segments are kept. The newest sealed segment always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments whose latest frame is older than this go, ns. A segment without receive times has no age.
    pub max_age_ns: Option<i64>,
    /// The oldest segments go until the rest is at most this many bytes on disk.
    pub max_bytes: Option<u64>,
}

/// A line of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A segment was sealed.
    Sealed(Sealed),
    /// A segment was deleted.
    Gone(Gone),
}

/// What a manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// All segments that were ever sealed, in order.
    pub sealed: Vec<Sealed>,
    /// Those that were deleted since, by number.
    pub gone: BTreeMap<u32, Gone>,
    /// Bytes of whole lines.
    pub whole: usize,
    /// Bytes behind them of a line that was never finished.
    pub torn: usize,
    sum: Digest,
}

impl Manifest {
    /// Reads a manifest. `path` is how errors call it. A last line without its end is a torn tail, not an error.
    pub fn parse(text: &[u8], path: &str) -> Result<Self, ArchiveError> {
        let mut manifest = Self::default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = text[..whole].split_inclusive(|byte| *byte == b'\n');
        for (at, line) in lines.enumerate() {
            let damaged = |what| ArchiveError::Manifest { path: path.to_owned(), line: at + 1, what };
            let line = std::str::from_utf8(&line[..line.len() - 1]).map_err(|_| damaged("no text"))?;
            let (json, sum) = line.rsplit_once(' ').ok_or_else(|| damaged("no checksum"))?;
            if manifest.sum_with(json).1 != sum {
                return Err(damaged("its checksum does not follow from the line before"));
            }
            let entry = serde_json::from_str(json).map_err(|_| damaged("unknown form"))?;
            manifest.check(&entry).map_err(damaged)?;
            manifest.sum = manifest.sum_with(json).0;
            manifest.take(entry);
        }
        manifest.whole = whole;
        manifest.torn = text.len() - whole;
        Ok(manifest)
    }

    /// The line to append for this entry; the manifest has it from here on.
    pub fn line(&mut self, entry: Entry) -> String {
        let json = serde_json::to_string(&entry).expect("the form has no maps and no floats");
        let (sum, short) = self.sum_with(&json);
        self.sum = sum;
        self.take(entry);
        let line = format!("{json} {short}\n");
        self.whole += line.len();
        line
    }

    /// Segments that should be on disk.
    pub fn kept(&self) -> impl Iterator<Item = &Sealed> {
        self.sealed.iter().filter(|sealed| !self.gone.contains_key(&sealed.number))
    }

    /// Where the next segment starts: its number, its first record's number, the chain before it.
    pub fn next(&self) -> (u32, u64, Digest) {
        self.sealed.last().map_or_else(
            || (1, 1, Digest::default()),
            |last| (last.number + 1, last.first_seq + last.frames, unhex(&last.chain).unwrap_or_default()),
        )
    }

    /// What retention asks to delete at `now`, oldest first. Only a row of oldest segments can go: a hole never opens.
    pub fn due(&self, retention: &Retention, now: Timestamp) -> Vec<Gone> {
        let kept: Vec<_> = self.kept().collect();
        let mut bytes: u64 = kept.iter().map(|sealed| sealed.bytes).sum();
        let mut due = Vec::new();
        for sealed in kept.iter().take(kept.len().saturating_sub(1)) {
            let age = now.since(Timestamp(sealed.to_ns));
            let old = sealed.to_ns != 0 && retention.max_age_ns.is_some_and(|max| age > max);
            let large = retention.max_bytes.is_some_and(|max| bytes > max);
            if !old && !large {
                break;
            }
            let why = if old { "age" } else { "size" }.to_owned();
            due.push(Gone { number: sealed.number, why, at_ns: now.0 });
            bytes -= sealed.bytes;
        }
        due
    }

    fn check(&self, entry: &Entry) -> Result<(), &'static str> {
        match entry {
            Entry::Sealed(sealed) => {
                let (number, first_seq, chain) = self.next();
                if sealed.number != number || sealed.first_seq != first_seq {
                    return Err("the segment does not follow the one before");
                }
                if unhex(&sealed.before) != Some(chain) || unhex(&sealed.chain).is_none() {
                    return Err("its hashes do not follow");
                }
                Ok(())
            }
            Entry::Gone(gone) => {
                let oldest = self.kept().next().map(|sealed| sealed.number);
                if oldest == Some(gone.number) { Ok(()) } else { Err("only the oldest segment can go") }
            }
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Sealed(sealed) => self.sealed.push(sealed),
            Entry::Gone(gone) => {
                self.gone.insert(gone.number, gone);
            }
        }
    }

    fn sum_with(&self, json: &str) -> (Digest, String) {
        let sum = Digest::combine(&[self.sum, Digest::of(json.as_bytes())]);
        let short = sum.to_string()[..16].to_owned();
        (sum, short)
    }
}

fn unhex(text: &str) -> Option<Digest> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(Digest(out))
}
