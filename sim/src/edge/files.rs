//! Finds and reads the two files of a recorded day; never interprets what they say.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::day::Day;
use crate::error::SimError;
use crate::recorded;

/// Pattern of the markets file.
pub const MARKETS: &str = "*BTC-5m-markets-*.jsonl.gz";
/// Pattern of the prices file.
pub const PRICES: &str = "*BTCUSD-prices-*.csv.gz";
/// Largest file that is read, bytes after decompression.
const MAX_BYTES: u64 = 1 << 30;

impl Day {
    /// Loads the recorded day in `dir`: one file `*BTC-5m-markets-*.jsonl.gz` and one `*BTCUSD-prices-*.csv.gz` of
    /// any date, gzipped or plain.
    ///
    /// # Errors
    /// A file is missing, ambiguous, unreadable or corrupt; see [`SimError`].
    pub fn recorded(dir: &Path) -> Result<Self, SimError> {
        let markets = read(&find(dir, MARKETS, "BTC-5m-markets-", ".jsonl")?)?;
        let prices = read(&find(dir, PRICES, "BTCUSD-prices-", ".csv")?)?;
        recorded::day(&markets, &prices)
    }
}

/// A file's name and its text.
#[derive(Debug)]
pub struct DayFile {
    /// The name without its folder.
    pub name: String,
    /// The text.
    pub text: String,
}

fn find(dir: &Path, pattern: &'static str, infix: &str, suffix: &str) -> Result<PathBuf, SimError> {
    let unreadable = |source| SimError::DayUnreadable { path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let stem = name.strip_suffix(".gz").unwrap_or(&name);
        if stem.ends_with(suffix) && stem.contains(infix) {
            found.push(entry.path());
        }
    }
    match found.len() {
        0 => Err(SimError::DayFileMissing { pattern, dir: dir.to_owned() }),
        1 => Ok(found.remove(0)),
        count => Err(SimError::DayFileAmbiguous { pattern, dir: dir.to_owned(), count }),
    }
}

fn read(path: &Path) -> Result<DayFile, SimError> {
    let unreadable = |source| SimError::DayUnreadable { path: path.to_owned(), source };
    let file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "gz") {
        MultiGzDecoder::new(file).take(MAX_BYTES).read_to_string(&mut text)
    } else {
        file.take(MAX_BYTES).read_to_string(&mut text)
    }
    .map_err(unreadable)?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(DayFile { name, text })
}
