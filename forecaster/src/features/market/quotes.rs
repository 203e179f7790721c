//! Family market price: what the prediction market itself thinks, and how that moved. Never a trade, only quotes.

use minicbor::{Decode, Encode};
use schemas::fixed::MILLION;
use schemas::time::NANOS_PER_SEC;
use schemas::{Price, Timestamp};

use super::ring::Ring;
use super::{Frame, Why, spec};
use crate::features::{Source, Spec};

/// A quote older than this says nothing, ns.
pub const MAX_AGE_NS: i64 = 60 * NANOS_PER_SEC;
/// Newest quotes that are kept exactly.
const RECENT: usize = 64;
/// Quotes that are kept for the path: the first of each second.
const PATH: usize = 128;
/// How far the path is looked back, seconds.
const BACK_S: [i64; 3] = [30, 60, 90];
/// Logits are taken of prices kept this far from 0 and 1.
const EDGE: f64 = 0.005;

const NONE: &str = "no two-sided quote, or it is over 60 s old";
const THEN: &str = "no two-sided quote now or then, or it was over 60 s old";

/// The features. The mid is that of best bid and ask for Up.
pub const SPECS: [Spec; 8] = [
    spec("mkt_mid", "(bid + ask) / 2", "$", [0.0, 1.0], Source::Quotes, NONE),
    spec(
        "mkt_logit",
        "ln(m / (1 − m)), m the mid kept within 0.005 … 0.995",
        "1",
        [-6.0, 6.0],
        Source::Quotes,
        NONE,
    ),
    spec("mkt_spread", "ask − bid", "$", [0.0, 1.0], Source::Quotes, NONE),
    spec("mkt_age_s", "seconds since the quote was known", "s", [0.0, 60.0], Source::Quotes, NONE),
    spec("mkt_ret_30s", "mid − mid 30 s ago", "$", [-1.0, 1.0], Source::Quotes, THEN),
    spec("mkt_ret_60s", "mid − mid 60 s ago", "$", [-1.0, 1.0], Source::Quotes, THEN),
    spec("mkt_ret_90s", "mid − mid 90 s ago", "$", [-1.0, 1.0], Source::Quotes, THEN),
    spec("mkt_edge", "mkt_mid − p_rv_900s", "1", [-1.0, 1.0], Source::Quotes, "either is missing"),
];

/// Best bid and ask from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    since: Timestamp,
    #[n(1)]
    bid: Option<Price>,
    #[n(2)]
    ask: Option<Price>,
}

impl Known {
    /// Mid and spread in dollars; `None` if a side is empty, crossed or outside 0 … 1.
    fn mid(&self) -> Option<(f64, f64)> {
        let (bid, ask) = (self.bid?.0, self.ask?.0);
        let sound = 0 <= bid && bid <= ask && ask <= MILLION;
        sound.then(|| ((bid + ask) as f64 / 2e6, (ask - bid) as f64 / 1e6))
    }
}

/// The quotes of one market.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Quotes {
    #[n(0)]
    recent: Ring<Known>,
    #[n(1)]
    path: Ring<Known>,
}

impl Default for Quotes {
    fn default() -> Self {
        Self { recent: Ring::new(RECENT), path: Ring::new(PATH) }
    }
}

impl Quotes {
    /// Takes a quote. Of those known at the same time the last in the log counts.
    pub fn offer(&mut self, known_at: Timestamp, bid: Option<Price>, ask: Option<Price>) {
        let known_at = self.recent.last().map_or(known_at, |last| last.since.max(known_at));
        let known = Known { since: known_at, bid, ask };
        match self.recent.last_mut() {
            Some(last) if last.since == known_at => *last = known,
            _ => {
                self.recent.insert_back(0, known);
            }
        }
        match self.path.last_mut() {
            Some(last) if last.since == known_at => *last = known,
            // Whether a quote is kept follows from earlier ones alone: later ones never change what was seen.
            Some(last) if last.since.secs() == known_at.secs() => {}
            _ => {
                self.path.insert_back(0, known);
            }
        }
    }

    /// The quote in force at `at`, if it is fresh.
    fn at(ring: &Ring<Known>, at: Timestamp) -> Result<&Known, Why> {
        let quotes = ring.as_slice();
        let after = quotes.partition_point(|q| q.since <= at);
        let quote = after.checked_sub(1).and_then(|i| quotes.get(i)).ok_or(Why::Missing)?;
        if at.since(quote.since) > MAX_AGE_NS { Err(Why::Stale) } else { Ok(quote) }
    }

    /// Computes the features; `p` is `p_rv_900s`.
    pub(super) fn put(&self, at: Timestamp, p: Result<f64, Why>, frame: &mut Frame, from: usize) {
        let now = Self::at(&self.recent, at).and_then(|q| Ok((q, q.mid().ok_or(Why::Missing)?)));
        let (mid, spread) = (now.map(|(_, (mid, _))| mid), now.map(|(_, (_, spread))| spread));
        frame.put(from, mid);
        let logit = |mid: f64| {
            let m = mid.clamp(EDGE, 1.0 - EDGE);
            libm::log(m / (1.0 - m))
        };
        frame.put(from + 1, mid.map(logit));
        frame.put(from + 2, spread);
        frame.put(from + 3, now.map(|(q, _)| at.since(q.since) as f64 / NANOS_PER_SEC as f64));
        for (i, back_s) in BACK_S.iter().enumerate() {
            let then = Self::at(&self.path, at.plus(-back_s * NANOS_PER_SEC));
            let then = then.and_then(|q| Ok(q.mid().ok_or(Why::Missing)?.0));
            frame.put(from + 4 + i, mid.and_then(|mid| Ok(mid - then?)));
        }
        frame.put(from + 7, mid.and_then(|mid| Ok(mid - p?)));
    }
}
