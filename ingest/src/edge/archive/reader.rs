//! Reads an archive's segments one after the other as one stream and checks that they follow; it writes nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use schemas::{Digest, Timestamp, Venue};

use super::{Folder, io, one, plan_of, read_plan};
use crate::archive::{ArchiveError, Seen, SegmentEnd, SegmentReader};

/// What was found behind the last whole block of a segment that is not sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The segment.
    pub segment: String,
    /// Bytes of a block that was never finished; 0 if the segment is only not sealed yet.
    pub torn: u64,
}

/// All records of an archive, in order.
pub struct ArchiveReader {
    venue: Venue,
    source: String,
    folder: Folder,
    files: VecDeque<(u32, String)>,
    segment: Option<SegmentReader<BufReader<File>>>,
    last_number: u32,
    chain: Digest,
    next_seq: u64,
    first_seq: u64,
    at: Timestamp,
    tail: Option<Tail>,
}

impl ArchiveReader {
    /// Opens the archive in `dir`, which is a venue's folder or holds exactly one. Segments deleted by retention are
    /// passed over; the chain goes on through the manifest.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ArchiveError> {
        let (venue, root) = one(dir.as_ref())?;
        let folder = Folder::open_to_read(root)?;
        let mut files = folder.files()?;
        files.retain(|number, _| !folder.manifest.gone.contains_key(number));
        for sealed in folder.manifest.kept() {
            if !files.contains_key(&sealed.number) {
                let path = folder.root.join(&sealed.file);
                return Err(ArchiveError::Missing(path.display().to_string()));
            }
        }
        let (mut chain, mut first_seq) = (Digest::default(), 1);
        for sealed in folder.manifest.sealed.iter().filter(|s| folder.manifest.gone.contains_key(&s.number)) {
            chain = parse_chain(&sealed.chain);
            first_seq = sealed.first_seq + sealed.frames;
        }
        let last_number = files.last_key_value().map_or(0, |(number, _)| *number);
        let mut reader = Self {
            venue,
            source: String::new(),
            folder,
            files: files.into_iter().collect(),
            segment: None,
            last_number,
            chain,
            next_seq: first_seq,
            first_seq,
            at: Timestamp::ZERO,
            tail: None,
        };
        reader.next_segment()?;
        Ok(reader)
    }

    /// The venue.
    pub fn venue(&self) -> Venue {
        self.venue
    }

    /// What the segment being read says of where its frames come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Number of the first record that is kept; above 1 if retention deleted older ones.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The chain hash after the last segment that was read to its end.
    pub fn chain(&self) -> Digest {
        self.chain
    }

    /// After the last record: what was found if the newest segment is not sealed.
    pub fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// Records the archive has by its manifest; those of an open segment are not among them.
    pub fn expected(&self) -> u64 {
        self.folder.manifest.kept().map(|sealed| sealed.frames).sum()
    }

    /// The plan that the segment being read names: what the machine was built from that read its frames.
    ///
    /// # Errors
    /// `plan_missing` or `plan_damaged` if it is not what was kept.
    pub fn plan(&self) -> Result<Option<(Digest, Vec<u8>)>, ArchiveError> {
        let Some(plan) = plan_of(&self.source) else { return Ok(None) };
        Ok(Some((plan, read_plan(&self.folder.root, plan)?)))
    }

    /// The next record; lives until the one after is asked for.
    #[allow(clippy::should_implement_trait, reason = "it lends its record: no iterator can")]
    pub fn next(&mut self) -> Result<Option<Seen<'_>>, ArchiveError> {
        self.advance()?;
        Ok(self.seen())
    }

    /// Goes to the next record; `false` if there is none.
    pub fn advance(&mut self) -> Result<bool, ArchiveError> {
        while let Some(segment) = &mut self.segment {
            if segment.advance()? {
                return Ok(true);
            }
            self.end_segment()?;
            self.next_segment()?;
        }
        Ok(false)
    }

    /// The record [`ArchiveReader::advance`] went to.
    pub fn seen(&self) -> Option<Seen<'_>> {
        self.segment.as_ref().map(SegmentReader::seen)
    }

    fn end_segment(&mut self) -> Result<(), ArchiveError> {
        let Some(segment) = self.segment.take() else { return Ok(()) };
        self.at = segment.at();
        self.next_seq += segment.totals().frames();
        let footer = segment.totals().footer();
        self.chain = footer.chain;
        let (number, file) = self.files.pop_front().unwrap_or_default();
        let name = self.folder.root.join(&file).display().to_string();
        let promised = self.folder.manifest.sealed.iter().find(|sealed| sealed.number == number);
        match segment.end() {
            Some(SegmentEnd::Sealed(_))
                if promised.is_some_and(|sealed| sealed.chain != footer.chain.to_string()) =>
            {
                return Err(ArchiveError::Chain { segment: name, what: "the manifest has another hash" });
            }
            Some(SegmentEnd::Open { whole, torn }) => {
                if promised.is_some() || number != self.last_number {
                    let what = "it ends without the footer it had";
                    return Err(ArchiveError::Damaged { segment: name, offset: whole, what });
                }
                self.tail = Some(Tail { segment: name, torn });
            }
            Some(SegmentEnd::Sealed(_)) | None => {}
        }
        Ok(())
    }

    fn next_segment(&mut self) -> Result<(), ArchiveError> {
        let Some((number, file)) = self.files.front().cloned() else { return Ok(()) };
        let path = self.folder.root.join(&file);
        let name = path.display().to_string();
        let input = BufReader::with_capacity(1 << 18, File::open(&path).map_err(|e| io("open", &path, &e))?);
        let Some(mut segment) = SegmentReader::open(input, &name)? else {
            let promised = self.folder.manifest.sealed.iter().any(|sealed| sealed.number == number);
            if promised || number != self.last_number {
                let what = "it ends within its header";
                return Err(ArchiveError::Damaged { segment: name, offset: 0, what });
            }
            let torn = path.metadata().map_or(0, |m| m.len());
            self.tail = Some(Tail { segment: name, torn });
            self.files.clear();
            return Ok(());
        };
        let header = segment.header();
        if header.before != self.chain || header.first_seq != self.next_seq {
            return Err(ArchiveError::Chain { segment: name, what: "its header does not follow" });
        }
        if header.venue != self.venue {
            return Err(ArchiveError::Chain { segment: name, what: "it is another venue's" });
        }
        self.source.clone_from(&header.source);
        segment.resume_at(self.at);
        self.segment = Some(segment);
        Ok(())
    }
}

/// A hash the manifest has checked before.
pub(super) fn parse_chain(hex: &str) -> Digest {
    parse_hex(hex).unwrap_or_default()
}

/// A hash as 64 lower-case hexadecimal digits.
pub(super) fn parse_hex(hex: &str) -> Option<Digest> {
    let digits = hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if hex.len() != 64 || !digits {
        return None;
    }
    let mut out = [0; 32];
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(Digest(out))
}
