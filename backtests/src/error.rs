//! What can go wrong when a run becomes tables; never a panic on somebody's file.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// A record's body is not wire form v1.
    #[error("record {seq} on {stream} does not decode: {source}")]
    Body {
        /// Sequence of the record.
        seq: u64,
        /// Name of its stream.
        stream: &'static str,
        /// What was wrong.
        source: schemas::WireError,
    },
    /// A table could not be written.
    #[error("writing {path}: {detail}")]
    Write {
        /// The file.
        path: String,
        /// What was wrong.
        detail: String,
    },
    /// A recorded table could not be read.
    #[error("reading {path}: {detail}")]
    Read {
        /// The file.
        path: String,
        /// What was wrong.
        detail: String,
    },
}

impl BacktestError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Body { .. } => "body_malformed",
            Self::Write { .. } => "table_write_failed",
            Self::Read { .. } => "table_read_failed",
        }
    }
}
