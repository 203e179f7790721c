//! What a snapshot holds and how it looks as bytes; this module never touches a file.

use std::path::PathBuf;

use minicbor::{Decode, Encode};
use schemas::wire::WIRE_VERSION;
use schemas::{Digest, Entry, Timestamp};

use crate::frame;

const MAGIC: &[u8; 8] = b"ORACSNAP";
const FORMAT: u16 = 1;
const HEAD: usize = 8 + 2 + 2 + 8 + 8 + 32;

/// The states of all machines after one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// The last entry the states have seen.
    pub seq: u64,
    /// Its time.
    pub at: Timestamp,
    /// BLAKE3 of its payload: ties the snapshot to one history.
    pub entry_hash: Digest,
    /// Digest of the machines.
    pub digest: Digest,
    /// The named states.
    pub states: Vec<(String, Vec<u8>)>,
}

/// Why a snapshot was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotFault {
    /// The file could not be read.
    Unreadable,
    /// It is larger than allowed.
    Oversized,
    /// It ends too early, or goes on for too long.
    Length,
    /// It is no snapshot.
    Magic,
    /// It was written by another version.
    ForeignVersion,
    /// The hash of its content does not fit.
    Hash,
    /// Its content does not decode.
    Malformed,
    /// It is of a later entry than the log has: the log lost entries.
    AheadOfLog,
    /// It is of another history.
    OtherHistory,
    /// A machine does not take its state.
    NotLoaded,
    /// The machines have another digest after loading it.
    DigestDiffers,
}

impl SnapshotFault {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Oversized => "oversized",
            Self::Length => "length",
            Self::Magic => "magic",
            Self::ForeignVersion => "foreign_version",
            Self::Hash => "hash",
            Self::Malformed => "malformed",
            Self::AheadOfLog => "ahead_of_log",
            Self::OtherHistory => "other_history",
            Self::NotLoaded => "not_loaded",
            Self::DigestDiffers => "digest_differs",
        }
    }
}

/// A snapshot that was passed over, and why; an older one or the whole log serves instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotNote {
    /// The entry the snapshot is of, by its name.
    pub seq: u64,
    /// The file; empty if it has none.
    pub file: PathBuf,
    /// Why.
    pub fault: SnapshotFault,
}

#[derive(Encode, Decode)]
struct Body {
    #[n(0)]
    at: Timestamp,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    entry_hash: [u8; 32],
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    digest: [u8; 32],
    #[n(3)]
    states: Vec<State>,
}

#[derive(Encode, Decode)]
struct State {
    #[n(0)]
    name: String,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    bytes: Vec<u8>,
}

impl SavedState {
    /// Whether the snapshot is of this entry of this history.
    pub fn is_of(&self, entry: &Entry) -> bool {
        self.seq == entry.record.seq && self.entry_hash == frame::entry_hash(entry)
    }

    /// Header (magic, format, wire version, seq, length, BLAKE3 over all that and the content) and content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let states =
            self.states.iter().map(|(name, bytes)| State { name: name.clone(), bytes: bytes.clone() });
        let body = schemas::encode(&Body {
            at: self.at,
            entry_hash: self.entry_hash.0,
            digest: self.digest.0,
            states: states.collect(),
        });
        let mut out = Vec::with_capacity(HEAD + body.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&WIRE_VERSION.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        let hash = seal(&out, &body);
        out.extend_from_slice(&hash.0);
        out.extend_from_slice(&body);
        out
    }

    /// The snapshot of entry `seq` in `bytes`.
    pub fn from_bytes(seq: u64, bytes: &[u8]) -> Result<Self, SnapshotFault> {
        let (head, body) = bytes.split_at_checked(HEAD).ok_or(SnapshotFault::Length)?;
        let number =
            |from: usize, to: usize| head[from..to].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        if &head[..8] != MAGIC {
            return Err(SnapshotFault::Magic);
        }
        if (number(8, 10), number(10, 12)) != (u64::from(FORMAT), u64::from(WIRE_VERSION)) {
            return Err(SnapshotFault::ForeignVersion);
        }
        if number(20, 28) != body.len() as u64 {
            return Err(SnapshotFault::Length);
        }
        if number(12, 20) != seq || seal(&head[..28], body).0 != head[28..] {
            return Err(SnapshotFault::Hash);
        }
        let body: Body = schemas::decode(body).map_err(|_| SnapshotFault::Malformed)?;
        let states = body.states.into_iter().map(|s| (s.name, s.bytes)).collect();
        let (entry_hash, digest) = (Digest(body.entry_hash), Digest(body.digest));
        Ok(Self { seq, at: body.at, entry_hash, digest, states })
    }
}

fn seal(head: &[u8], body: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    Digest(*hasher.finalize().as_bytes())
}
