//! Everything that can go wrong with a log, a driver or a replay, as one closed list; never a bare string.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use schemas::{Entry, Stream, Timestamp, WireError};

/// The first four bytes of a BLAKE3 hash, for people who compare two of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortHash(pub [u8; 4]);

impl ShortHash {
    /// The short hash of an entry: of its sequence number, time, stream and body.
    pub fn of(entry: &Entry) -> Self {
        let hash = crate::frame::entry_hash(entry).0;
        Self([hash[0], hash[1], hash[2], hash[3]])
    }
}

impl fmt::Display for ShortHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ShortHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortHash({self})")
    }
}

/// What is wrong with stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The bytes end inside a record.
    Short,
    /// The length field is impossible.
    Length,
    /// The checksum does not fit.
    Checksum,
    /// The stream number is unknown.
    Stream,
    /// The record carries another sequence number than its place says.
    Sequence,
    /// The record's time lies before its predecessor's.
    Time,
    /// A segment header is not one, or does not fit its file name.
    Header,
    /// A segment's hash chain does not continue its predecessor's.
    Chain,
    /// A segment is missing.
    Missing,
    /// A file is larger than any this program writes.
    Oversized,
}

impl Damage {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::Stream => "stream",
            Self::Sequence => "sequence",
            Self::Time => "time",
            Self::Header => "header",
            Self::Chain => "chain",
            Self::Missing => "missing",
            Self::Oversized => "oversized",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why the bus refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// An appended entry does not continue the sequence.
    #[error("entry {got} does not continue the log: {expected} comes next")]
    OutOfOrder {
        /// The number that comes next.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// An appended entry is older than the last one.
    #[error("entry {seq} is stamped {} ns, before its predecessor's {} ns", got.0, last.0)]
    TimeWentBack {
        /// The entry.
        seq: u64,
        /// Its predecessor's time.
        last: Timestamp,
        /// Its own time.
        got: Timestamp,
    },
    /// A body is larger than allowed; nothing was changed.
    #[error("a body of {bytes} bytes on {} is over the limit of {limit}", stream.name())]
    TooLarge {
        /// The stream it was meant for.
        stream: Stream,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A bounded buffer is full; nothing was changed, and it works again once there is room.
    #[error("{what} is full (limit {limit})")]
    Full {
        /// Which buffer.
        what: &'static str,
        /// Its limit, in the unit the option names.
        limit: u64,
    },
    /// The stream carries only what machines derive; nobody may submit to it.
    #[error("nobody may submit to {}: it is derived", stream.name())]
    DerivedOnly {
        /// The stream.
        stream: Stream,
    },
    /// The log has entries and the machines have not seen them: recover first.
    #[error("the log has entries that the machines have not seen; recover first")]
    NotRecovered,
    /// The driver is running; recovery is for start-up only.
    #[error("the driver is running already; recovery is for start-up")]
    AlreadyRunning,
    /// An earlier failure left this unusable; only opening it again helps.
    #[error("unusable since an earlier failure ({first}); open it again")]
    Failed {
        /// The code of the first failure.
        first: &'static str,
    },
    /// The log was opened for reading only.
    #[error("the log is open for reading only")]
    ReadOnly,
    /// A body is not wire form v1 of its stream's type.
    #[error("entry {seq} on {}: {source}", stream.name())]
    Body {
        /// The entry.
        seq: u64,
        /// Its stream.
        stream: Stream,
        /// What the decoder said.
        source: WireError,
    },
    /// A machine's saved state does not load.
    #[error("the saved state of {name} does not load: {source}")]
    State {
        /// The machine.
        name: String,
        /// What the decoder said.
        source: WireError,
    },
    /// A snapshot lacks a machine's state, or has one nobody asked for.
    #[error("the saved states do not match the machines: {name}")]
    StateNames {
        /// The first name that is missing or unknown.
        name: String,
    },
    /// One input led to more derived records than allowed.
    #[error("entry {seq} led to more than {limit} derived records")]
    CascadeTooLong {
        /// The input.
        seq: u64,
        /// The limit.
        limit: usize,
    },
    /// A machine keeps asking for a time it was given.
    #[error("a machine on {} keeps asking for {} ns, served {times} times", stream.name(), at.0)]
    WakeLoop {
        /// The stream whose `TimeAdvanced` was served.
        stream: Stream,
        /// The instant.
        at: Timestamp,
        /// How often it was served.
        times: u32,
    },
    /// The machines say something else than the log has.
    #[error("entry {seq} on {} differs: the log has {expected:?}, the machines say {actual:?}", stream.name())]
    Diverged {
        /// The first entry that differs.
        seq: u64,
        /// Its stream in the log.
        stream: Stream,
        /// Hash of what the log has.
        expected: ShortHash,
        /// Hash of what the machines say; `None` if they say nothing here.
        actual: Option<ShortHash>,
    },
    /// Stored bytes are damaged; nothing was changed.
    #[error("{} at byte {offset}, entry {seq}: {what}", file.display())]
    Corrupt {
        /// The file (for Redis, the key).
        file: PathBuf,
        /// Where the damaged record starts.
        offset: u64,
        /// The sequence number that belongs there.
        seq: u64,
        /// What is wrong.
        what: Damage,
    },
    /// A file was written by another version.
    #[error("{} has format {format} and wire form {wire}, which this program does not read", file.display())]
    ForeignVersion {
        /// The file.
        file: PathBuf,
        /// Its format version.
        format: u16,
        /// Its wire version.
        wire: u16,
    },
    /// The operating system failed; writers refuse to go on after it.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the directory open.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Somebody with a newer fence writes now.
    #[error("fence {fence} is stale: {newer} writes now")]
    StaleFence {
        /// Our fence.
        fence: u64,
        /// The newer one.
        newer: u64,
    },
    /// A record with this number exists and says something else, or is gone.
    #[error("entry {seq} exists with another payload")]
    Conflict {
        /// The number.
        seq: u64,
    },
    /// Somebody else holds the lease.
    #[error("the lease is held with fence {holder}")]
    LeaseHeld {
        /// The holder's fence.
        holder: u64,
    },
    /// Our lease ended.
    #[error("the lease of fence {fence} is lost")]
    LeaseLost {
        /// Our fence.
        fence: u64,
    },
    /// The transport forgot records that were asked for; the journal still has them.
    #[error("entry {from} is no longer kept here; the first kept is {first}")]
    Trimmed {
        /// What was asked for.
        from: u64,
        /// What there is.
        first: u64,
    },
    /// The transport lost records it had acknowledged.
    #[error("the transport ends at {found} but had acknowledged {expected}")]
    TransportLost {
        /// The last acknowledged id.
        expected: String,
        /// The last id there is.
        found: String,
    },
    /// Redis or the way to it failed; the call may be tried again.
    #[cfg(feature = "edge")]
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// The group this submission was committed with failed.
    #[error("the group commit failed: {0}")]
    Group(Arc<BusError>),
    /// The group commit's thread is gone.
    #[error("the group commit has stopped")]
    Stopped,
}

impl BusError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfOrder { .. } => "out_of_order",
            Self::TimeWentBack { .. } => "time_went_back",
            Self::TooLarge { .. } => "too_large",
            Self::Full { .. } => "full",
            Self::DerivedOnly { .. } => "derived_only",
            Self::NotRecovered => "not_recovered",
            Self::AlreadyRunning => "already_running",
            Self::Failed { .. } => "failed",
            Self::ReadOnly => "read_only",
            Self::Body { .. } => "body",
            Self::State { .. } => "state",
            Self::StateNames { .. } => "state_names",
            Self::CascadeTooLong { .. } => "cascade_too_long",
            Self::WakeLoop { .. } => "wake_loop",
            Self::Diverged { .. } => "diverged",
            Self::Corrupt { .. } => "corrupt",
            Self::ForeignVersion { .. } => "foreign_version",
            Self::Io { .. } => "io",
            Self::Locked { .. } => "locked",
            Self::StaleFence { .. } => "stale_fence",
            Self::Conflict { .. } => "conflict",
            Self::LeaseHeld { .. } => "lease_held",
            Self::LeaseLost { .. } => "lease_lost",
            Self::Trimmed { .. } => "trimmed",
            Self::TransportLost { .. } => "transport_lost",
            #[cfg(feature = "edge")]
            Self::Redis(_) => "redis",
            Self::Group(source) => source.code(),
            Self::Stopped => "stopped",
        }
    }

    /// Whether nothing was changed and the same call may succeed later or with other arguments.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. } | Self::Full { .. } | Self::DerivedOnly { .. } | Self::Body { .. }
        )
    }
}
