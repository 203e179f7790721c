//! Tests of the spot venues' machines: recorded traffic, mutated frames, unreliable delivery, outages and the
//! documented forms of the current protocols; they never reach another machine.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests; a skip is said loudly")]

mod allocations;
mod binance;
mod coinbase;
mod driver;
mod kraken;
mod mutations;
mod outages;
mod recorded;
mod unreliable;

use std::path::PathBuf;

use schemas::Timestamp;

/// One line of a recording, its receive time first.
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    /// The URL of a REST exchange; `None` for a frame.
    pub(crate) url: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The lines of a recording that were received; `None`, said loudly, where the recordings are absent.
pub(crate) fn recording(name: &str) -> Option<Vec<Line>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/crypto-ws")
        .join(format!("cryptofeed_sample_data__{name}"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return None;
    };
    Some(text.lines().filter_map(line).collect())
}

/// `t: {…}` and `URL -> t: {…}`; what was sent and when the socket opened is left out.
fn line(text: &str) -> Option<Line> {
    let (head, body) = text.split_once(": ")?;
    let (url, at) = match head.split_once(" -> ") {
        Some((url, at)) => (Some(url.to_owned()), at),
        None => (None, head),
    };
    let nanos = ingest::decimal::parse(at.as_bytes(), 9)?;
    Some(Line { at: Timestamp(nanos), url, body: body.as_bytes().to_vec() })
}
