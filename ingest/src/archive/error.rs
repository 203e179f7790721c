//! What can be wrong with an archive, as a closed list of stable codes; nothing here is ever mended in silence.

/// Why an archive cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The disk refused.
    #[error("cannot {doing} {path}: {text}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: String,
        /// The system's words.
        text: String,
    },
    /// There is no archive here.
    #[error("{0} holds no archive")]
    NoArchive(String),
    /// More than one venue's archive is here and none was named.
    #[error("{path} holds archives of several venues ({venues}): name one of them, e.g. {path}/{first}")]
    SeveralVenues {
        /// The folder.
        path: String,
        /// Their names.
        venues: String,
        /// One of them.
        first: String,
    },
    /// Another process writes to it.
    #[error("{0} is in use by another process")]
    Locked(String),
    /// The file does not begin like a segment.
    #[error("{0} is no archive segment")]
    NotASegment(String),
    /// A segment of a version this build does not know.
    #[error("{segment} has version {found}, this build reads version {known}")]
    Version {
        /// The segment.
        segment: String,
        /// Its version.
        found: u16,
        /// Ours.
        known: u16,
    },
    /// Bytes changed, or are missing where none may be missing.
    #[error("{segment} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The segment.
        segment: String,
        /// Where the damaged part (header, block, footer) begins.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A segment is whole but does not follow from the one before.
    #[error("{segment} does not continue the chain: {what}")]
    Chain {
        /// The segment.
        segment: String,
        /// What does not fit.
        what: &'static str,
    },
    /// A segment the manifest promises is not there.
    #[error("{0} is missing; the manifest has it")]
    Missing(String),
    /// The manifest was changed.
    #[error("line {line} of {path} is damaged: {what}")]
    Manifest {
        /// The manifest.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// What does not fit.
        what: &'static str,
    },
    /// The plan a segment names is not there: which machine read its frames is not known.
    #[error("{0} is missing; a segment names it, and no other machine may read its frames")]
    PlanMissing(String),
    /// A plan was changed: it is not the one the frames were recorded with.
    #[error("{0} was changed: its hash is not the one in its name")]
    PlanDamaged(String),
    /// A record larger than a block may be.
    #[error("a record of {0} bytes; a block holds at most {MAX}", MAX = super::MAX_BLOCK_BYTES)]
    TooLarge(usize),
    /// A write failed before; what is on disk is whole up to there and has to be opened again.
    #[error("the archive stopped at a failed write")]
    Stopped,
}

impl ArchiveError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "archive_io",
            Self::NoArchive(_) => "no_archive",
            Self::SeveralVenues { .. } => "several_venues",
            Self::Locked(_) => "archive_locked",
            Self::NotASegment(_) => "not_a_segment",
            Self::Version { .. } => "archive_version",
            Self::Damaged { .. } => "archive_damaged",
            Self::Chain { .. } => "archive_chain",
            Self::Missing(_) => "segment_missing",
            Self::Manifest { .. } => "manifest_damaged",
            Self::PlanMissing(_) => "plan_missing",
            Self::PlanDamaged(_) => "plan_damaged",
            Self::TooLarge(_) => "record_too_large",
            Self::Stopped => "archive_stopped",
        }
    }

    /// From the system.
    pub(crate) fn io(doing: &'static str, path: &str, error: &std::io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), text: error.to_string() }
    }
}
