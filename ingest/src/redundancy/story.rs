//! What was said of one book lately, and how far each leg has confirmed it; it never says anything itself.

use std::collections::VecDeque;

use schemas::{BookSide, InstrumentNo, Timestamp};

/// Changes kept although both legs know them, to find a leg's place again after its snapshot.
const KEEP: usize = 32;
/// A leg that is this many changes behind has to find its place anew.
const MAX_BEHIND: usize = 1_024;

/// One change of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A level's absolute quantity.
    Level {
        /// Side.
        side: BookSide,
        /// Price.
        price: i64,
        /// Quantity.
        qty: i64,
    },
    /// A whole book; two are equal if the books are.
    Book,
}

/// A change that was said.
#[derive(Clone, Copy, Debug)]
struct Said {
    change: Change,
    /// The book's hash after it.
    hash: u64,
    at: Timestamp,
}

/// What a leg's change is to the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The leg is ahead: say it.
    New,
    /// Said before, so many nanoseconds ago.
    Duplicate(i64),
    /// The leg has no place in the story, or just lost it.
    Standby,
}

/// A leg's place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// The instrument's number within the leg.
    pub(crate) inner: Option<InstrumentNo>,
    /// Number of the first change it has not confirmed; `None` while it stands by.
    pub(crate) cursor: Option<u64>,
    /// Since when it stands by with changes that nobody else has said.
    pub(crate) waiting: Option<Timestamp>,
}

/// The story of one book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    log: VecDeque<Said>,
    /// Number of the first change in the log.
    first: u64,
    pub(crate) legs: [Place; 2],
}

impl Story {
    fn end(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// The leg has confirmed everything.
    pub(crate) fn level(&self, leg: usize) -> bool {
        self.legs[leg].cursor == Some(self.end())
    }

    /// The leg has a place.
    pub(crate) fn follows(&self, leg: usize) -> bool {
        self.legs[leg].cursor.is_some()
    }

    /// A leg changed a level. `New` is to be followed by [`Story::said`].
    pub(crate) fn hear(&mut self, leg: usize, change: Change, hash: Option<u64>, now: Timestamp) -> Verdict {
        let Some(cursor) = self.legs[leg].cursor else { return Verdict::Standby };
        let Some(next) = self.log.get((cursor - self.first) as usize) else { return Verdict::New };
        if next.change == change && hash.is_none_or(|hash| hash == next.hash) {
            let behind = now.since(next.at);
            self.legs[leg].cursor = Some(cursor + 1);
            if cursor + 1 == self.end() {
                self.legs[leg].waiting = None;
            }
            self.trim();
            return Verdict::Duplicate(behind);
        }
        self.legs[leg].cursor = None;
        Verdict::Standby
    }

    /// A leg's change was said; `hash` is the book's after it.
    pub(crate) fn said(&mut self, leg: usize, change: Change, hash: u64, now: Timestamp) {
        self.log.push_back(Said { change, hash, at: now });
        self.legs[leg].cursor = Some(self.end());
        self.legs[leg].waiting = None;
        // The other leg is not the only one that speaks: if it stands by, its wait begins anew.
        let other = &mut self.legs[1 - leg];
        other.waiting = other.waiting.map(|_| now);
        self.trim();
    }

    /// The book was truncated after the last change.
    pub(crate) fn rehash(&mut self, hash: u64) {
        if let Some(last) = self.log.back_mut() {
            last.hash = hash;
        }
    }

    /// Looks for the oldest state that equals the leg's book. The oldest, because a leg that is taken to be further
    /// than it is would say old changes anew, while one that is taken to be behind is found out by its next change.
    pub(crate) fn find(&mut self, leg: usize, hash: u64, newest: u64) -> bool {
        let at = self.log.iter().position(|said| said.hash == hash).map(|at| self.first + at as u64 + 1);
        let place = at.or_else(|| (hash == newest).then(|| self.end()));
        self.legs[leg].cursor = place;
        if place.is_some() {
            self.legs[leg].waiting = None;
        }
        place.is_some()
    }

    /// A new story that begins with this leg's book.
    pub(crate) fn restart(&mut self, leg: usize, hash: u64, now: Timestamp) {
        self.first = self.end();
        self.log.clear();
        self.legs[1 - leg].cursor = None;
        self.said(leg, Change::Book, hash, now);
    }

    fn trim(&mut self) {
        let confirmed = self.legs.iter().filter_map(|leg| leg.cursor).min().unwrap_or(u64::MAX);
        while self.log.len() > KEEP && (self.first < confirmed || self.log.len() > MAX_BEHIND) {
            self.log.pop_front();
            self.first += 1;
        }
        for leg in &mut self.legs {
            leg.cursor = leg.cursor.filter(|cursor| *cursor >= self.first);
        }
    }
}
