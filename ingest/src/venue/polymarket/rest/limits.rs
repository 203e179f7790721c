//! The venue's request limits as data, and a token bucket in integers; it never sleeps and never reads a clock.
//!
//! Limits of 2026-05, requests per 10 s. Cloudflare delays what is above them before it refuses.

use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

/// The length of time that [`LIMITS`] count over.
pub const WINDOW_NS: i64 = 10 * NANOS_PER_SEC;

/// One limit: requests per [`WINDOW_NS`] to a host's paths that begin so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Number of the host, as in deeds.
    pub host: u8,
    /// Beginning of the path; empty for the whole host.
    pub path: &'static str,
    /// Requests.
    pub requests: u32,
}

/// All limits; a request counts against each that fits.
pub const LIMITS: [Limit; 7] = [
    Limit { host: crate::deed::HOST_MAIN, path: "", requests: 9_000 },
    Limit { host: crate::deed::HOST_GAMMA, path: "", requests: 4_000 },
    Limit { host: crate::deed::HOST_GAMMA, path: "/markets", requests: 300 },
    Limit { host: crate::deed::HOST_GAMMA, path: "/events", requests: 500 },
    Limit { host: crate::deed::HOST_DATA, path: "", requests: 1_000 },
    Limit { host: crate::deed::HOST_DATA, path: "/trades", requests: 200 },
    Limit { host: crate::deed::HOST_DATA, path: "/positions", requests: 150 },
];

/// A bucket that fills evenly and holds a window's worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// Nanoseconds per token.
    per_token: i64,
    capacity: i64,
    /// Nanoseconds' worth of tokens in the bucket.
    filled: i64,
    at: Timestamp,
}

impl TokenBucket {
    /// `requests` per `window_ns`, full at the start.
    pub fn new(requests: u32, window_ns: i64) -> Self {
        let per_token = (window_ns.max(1) / i64::from(requests.max(1))).max(1);
        let capacity = per_token.saturating_mul(i64::from(requests.max(1)));
        Self { per_token, capacity, filled: capacity, at: Timestamp::ZERO }
    }

    /// When a token is there; `now` if one is.
    pub fn ready_at(&self, now: Timestamp) -> Timestamp {
        now.plus((self.per_token - self.level(now)).max(0))
    }

    /// Takes a token; `false`, and nothing taken, if none is there.
    #[must_use]
    pub fn take(&mut self, now: Timestamp) -> bool {
        let level = self.level(now);
        self.at = self.at.max(now);
        self.filled = level;
        let there = level >= self.per_token;
        if there {
            self.filled -= self.per_token;
        }
        there
    }

    fn level(&self, now: Timestamp) -> i64 {
        let passed = now.since(self.at).max(0);
        self.filled.saturating_add(passed).min(self.capacity)
    }
}

/// The buckets of all limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    buckets: Vec<(Limit, TokenBucket)>,
}

impl Default for Buckets {
    fn default() -> Self {
        Self { buckets: LIMITS.iter().map(|l| (*l, TokenBucket::new(l.requests, WINDOW_NS))).collect() }
    }
}

impl Buckets {
    /// Takes a token of every limit that fits; else the instant to try again.
    pub fn take(&mut self, host: u8, path: &str, now: Timestamp) -> Result<(), Timestamp> {
        let fits = |limit: &Limit| limit.host == host && path.starts_with(limit.path);
        let mine = self.buckets.iter().filter(|(limit, _)| fits(limit));
        if let Some(at) = mine.map(|(_, bucket)| bucket.ready_at(now)).max().filter(|at| *at > now) {
            return Err(at);
        }
        for (_, bucket) in self.buckets.iter_mut().filter(|(limit, _)| fits(limit)) {
            let taken = bucket.take(now);
            debug_assert!(taken, "it was ready");
        }
        Ok(())
    }
}
