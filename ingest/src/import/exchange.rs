//! Recorded REST exchanges as the answers to a machine's requests; an answer is given once and never changed.

use schemas::Timestamp;

/// One recorded REST exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When the answer came, where the recording says it.
    pub at: Option<Timestamp>,
    /// The whole address.
    pub url: String,
    /// Whether it was a POST.
    pub post: bool,
    /// HTTP status.
    pub status: u16,
    /// The body, verbatim.
    pub body: Vec<u8>,
}

/// Exchanges that no request has used yet, in the order of their times.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    left: Vec<Exchange>,
}

impl Pool {
    /// From all recordings. Those without a time come first.
    pub fn new(mut exchanges: Vec<Exchange>) -> Self {
        exchanges.sort_by_key(|exchange| exchange.at);
        Self { left: exchanges }
    }

    /// The first exchange that answers this request: the recorded path ends with the one asked for (hosts and version
    /// prefixes differ), and whatever both queries name is equal, except how much was asked for.
    pub fn take(&mut self, path: &str, post: bool) -> Option<Exchange> {
        let at = self.left.iter().position(|e| e.post == post && answers(&e.url, path))?;
        Some(self.left.remove(at))
    }

    /// Those that were never asked for.
    pub fn rest(&mut self) -> Vec<Exchange> {
        std::mem::take(&mut self.left)
    }

    /// The earliest time, if any has one.
    pub fn first_at(&self) -> Option<Timestamp> {
        self.left.iter().find_map(|exchange| exchange.at)
    }
}

fn answers(url: &str, path: &str) -> bool {
    let recorded = url.split_once("://").map_or(url, |(_, rest)| rest);
    let recorded = recorded.find('/').map_or("", |slash| &recorded[slash..]);
    let (recorded, recorded_query) = recorded.split_once('?').unwrap_or((recorded, ""));
    let (asked, asked_query) = path.split_once('?').unwrap_or((path, ""));
    let asked = asked.trim_end_matches('/');
    let suffix = recorded.trim_end_matches('/').strip_suffix(asked);
    if asked.is_empty() || suffix.is_none_or(|before| !asked.starts_with('/') && !before.ends_with('/')) {
        return false;
    }
    asked_query.split('&').filter_map(|pair| pair.split_once('=')).all(|(key, value)| {
        let how_much = matches!(key, "limit" | "depth" | "count" | "page_size");
        let mut same = recorded_query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(k, _)| *k == key);
        how_much || same.all(|(_, recorded)| recorded.eq_ignore_ascii_case(value))
    })
}
