//! The contract of every part: records on streams, machines that read them; never a clock, a thread or a socket.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::time::Timestamp;

/// One thing that happened. `seq` orders, `at` explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<T> {
    /// Position in the total order of the journal, from 1, without holes.
    pub seq: u64,
    /// When the sequencer stamped it; never goes back.
    pub at: Timestamp,
    /// What happened.
    pub body: T,
}

impl<T> Record<T> {
    /// The same record with another body.
    pub fn with<U>(&self, body: U) -> Record<U> {
        Record { seq: self.seq, at: self.at, body }
    }
}

/// A channel of records. All streams of a process share one sequence, so any set of them merges in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Stream {
    /// What the venue's sockets said, verbatim, stored before it is parsed ([`crate::Raw`]).
    #[n(0)]
    Raw,
    /// Decoded facts ([`crate::MarketEvent`]).
    #[n(1)]
    Market,
    /// Everything the validator must know ([`crate::Intake`]).
    #[n(2)]
    Intake,
    /// What the validator decided ([`crate::Verdict`]).
    #[n(3)]
    Verdicts,
    /// What models answered ([`crate::InferenceResult`]).
    #[n(4)]
    Forecasts,
}

impl Stream {
    /// All streams, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Market, Self::Intake, Self::Verdicts, Self::Forecasts];

    /// The stable name, as used in file listings, Redis keys and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Market => "market",
            Self::Intake => "intake",
            Self::Verdicts => "verdicts",
            Self::Forecasts => "forecasts",
        }
    }
}

/// A record as the journal keeps it: its stream and its body in wire form v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stream it belongs to.
    pub stream: Stream,
    /// Sequence, time and the encoded body.
    pub record: Record<Vec<u8>>,
}

/// BLAKE3 of a state or of a history.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of several digests in order.
    pub fn combine(parts: &[Self]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&part.0);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", hex::encode(&self.0[..4]))
    }
}

/// A deterministic part: equal records in, equal records and digest out.
pub trait Machine {
    /// What it reads.
    type Input;
    /// What it says: records to append and deeds for an edge to do.
    type Output;

    /// Takes one record and pushes what follows from it.
    fn apply(&mut self, record: &Record<Self::Input>, out: &mut Vec<Self::Output>);

    /// Asks for a `TimeAdvanced` record at or after this instant.
    fn wake_at(&self) -> Option<Timestamp> {
        None
    }

    /// Equal history, equal digest.
    fn digest(&self) -> Digest;
}

/// A state that can be stored beside a sequence number and loaded again: start-up is snapshot + tail.
pub trait Snapshot: Sized {
    /// The whole state, deterministic.
    fn save(&self) -> Vec<u8>;
    /// The state again; bytes of another version are an error and the caller replays from the start.
    fn load(bytes: &[u8]) -> Result<Self, crate::WireError>;
}

impl<T> Snapshot for T
where
    T: Encode<()> + for<'b> Decode<'b, ()>,
{
    fn save(&self) -> Vec<u8> {
        crate::encode(self)
    }

    fn load(bytes: &[u8]) -> Result<Self, crate::WireError> {
        crate::decode(bytes)
    }
}
