//! Everything that can go wrong in this crate, one closed list; never a string in place of an error.

use std::io;
use std::path::PathBuf;

/// An error of a day file or of a twin.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// No file of the day's folder matches.
    #[error("no file matches `{pattern}` (also without .gz) in {}", dir.display())]
    DayFileMissing {
        /// What was looked for.
        pattern: &'static str,
        /// Where.
        dir: PathBuf,
    },
    /// Several files match, so the day is ambiguous.
    #[error("{count} files match `{pattern}` in {}; a day's folder holds one", dir.display())]
    DayFileAmbiguous {
        /// What was looked for.
        pattern: &'static str,
        /// Where.
        dir: PathBuf,
        /// How many match.
        count: usize,
    },
    /// A file or folder cannot be read, or its gzip stream is broken.
    #[error("cannot read {}: {source}", path.display())]
    DayUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The prices file does not begin with the known header.
    #[error("{file}: the header is `{found}`, expected `{expected}`")]
    PricesHeader {
        /// The file's name.
        file: String,
        /// Its first line, at most 200 characters.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A row of the prices file cannot be used.
    #[error("{file} line {line}: {what}")]
    PricesRow {
        /// The file's name.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A line of the markets file cannot be used.
    #[error("{file} line {line}: {what}")]
    MarketsRow {
        /// The file's name.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file of the day holds no row.
    #[error("{file} holds no row")]
    DayEmpty {
        /// The file's name.
        file: String,
    },
    /// A twin needs a running tokio runtime.
    #[error("a twin must be spawned from within a tokio runtime")]
    NoRuntime,
    /// The twin's address cannot be bound.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl SimError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DayFileMissing { .. } => "sim_day_file_missing",
            Self::DayFileAmbiguous { .. } => "sim_day_file_ambiguous",
            Self::DayUnreadable { .. } => "sim_day_unreadable",
            Self::PricesHeader { .. } => "sim_prices_header",
            Self::PricesRow { .. } => "sim_prices_row",
            Self::MarketsRow { .. } => "sim_markets_row",
            Self::DayEmpty { .. } => "sim_day_empty",
            Self::NoRuntime => "sim_no_runtime",
            Self::Bind { .. } => "sim_bind",
        }
    }
}
