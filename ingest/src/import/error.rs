//! What can be wrong with a recording, as closed lists of stable codes; a line that cannot be read never ends an import.

use schemas::Venue;

use crate::archive::ArchiveError;

/// Why an import cannot be done at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Neither text nor anything packed that is known.
    #[error("{0} is neither text nor a known packed or table format")]
    UnknownFormat(String),
    /// Packed data that does not unpack.
    #[error("{file} does not unpack: {text}")]
    BadPack {
        /// The file.
        file: String,
        /// Why.
        text: String,
    },
    /// Nothing in any file could be read.
    #[error("nothing could be read: {0}")]
    NothingRead(String),
    /// The files are another venue's.
    #[error("{file} holds frames of {found}, not of {asked}; use --venue {found}")]
    WrongVenue {
        /// The file.
        file: String,
        /// What it holds.
        found: Venue,
        /// What was asked for.
        asked: Venue,
    },
    /// Files that no one machine can read together.
    #[error("{0} cannot be read together with the other files: import it alone")]
    Mixed(String),
    /// A table that cannot be read.
    #[error("{0}")]
    Table(String),
    /// The archive refused.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl ImportError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat(_) => "unknown_format",
            Self::BadPack { .. } => "bad_pack",
            Self::NothingRead(_) => "nothing_read",
            Self::WrongVenue { .. } => "wrong_venue",
            Self::Mixed(_) => "mixed_recordings",
            Self::Table(_) => "bad_table",
            Self::Archive(error) => error.code(),
        }
    }
}

/// A line that could not be read: reported, counted, passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The line, from 1.
    pub line: usize,
    /// The stable code: `not_json`, `bad_time`, `no_payload`, `bad_exchange`, `bad_row`, `not_text`, `unknown_line`.
    pub code: &'static str,
}
