//! Values that have two times: since when they hold, and since when we know; nothing is ever overwritten or removed.

use minicbor::{Decode, Encode};
use schemas::Timestamp;

/// One value as it was told once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Version<T> {
    /// Since when it holds.
    #[n(0)]
    pub valid_from: Timestamp,
    /// Whether the source said since when; if not, `valid_from` is when we heard, the latest it can have begun.
    #[n(1)]
    pub told: bool,
    /// Since when we know.
    #[n(2)]
    pub known_at: Timestamp,
    /// Number of the raw record it follows from; 0 if none.
    #[n(3)]
    pub raw_seq: u64,
    /// The value.
    #[n(4)]
    pub value: T,
}

/// The history of one value. Entries are appended; a correction is an entry with the same `valid_from`, known later.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct History<T> {
    #[n(0)]
    versions: Vec<Version<T>>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { versions: Vec::new() }
    }
}

impl<T> History<T> {
    /// Everything that was told, in the order it was appended.
    pub fn versions(&self) -> &[Version<T>] {
        &self.versions
    }

    /// Whether nothing was ever told.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Appends a version.
    pub fn push(&mut self, version: Version<T>) {
        self.versions.push(version);
    }

    /// What held at `valid` by what was known at `known` (both inclusive): of the versions known by then, the one that
    /// begins last; of those with one beginning, the one known last; of those, the one appended last.
    pub fn as_of(&self, valid: Timestamp, known: Timestamp) -> Option<&Version<T>> {
        self.versions
            .iter()
            .filter(|v| v.known_at <= known && v.valid_from <= valid)
            .max_by_key(|v| (v.valid_from, v.known_at))
    }

    /// What is known to be the newest value by now.
    pub fn newest(&self) -> Option<&Version<T>> {
        self.as_of(Timestamp::MAX, Timestamp::MAX)
    }
}

impl<T: PartialEq> History<T> {
    /// Appends a version unless it only repeats: the same value from the same instant, or what held anyway, told again
    /// without a beginning of its own (a poll). Returns whether it was appended.
    pub fn note(&mut self, version: Version<T>) -> bool {
        let repeats = self.as_of(version.valid_from, version.known_at).is_some_and(|held| {
            held.value == version.value && (!version.told || held.valid_from == version.valid_from)
        });
        if repeats {
            return false;
        }
        self.versions.push(version);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(valid: i64, known: i64, value: u32) -> Version<u32> {
        Version { valid_from: Timestamp(valid), told: true, known_at: Timestamp(known), raw_seq: 0, value }
    }

    #[test]
    fn late_and_corrected_values_are_seen_only_once_known() {
        let mut history = History::default();
        history.push(version(10, 11, 1));
        history.push(version(30, 31, 3));
        // Late: it held from 20, known at 40. Corrected: what held from 30 was wrong, known at 50.
        history.push(version(20, 40, 2));
        history.push(version(30, 50, 33));
        let at = |valid, known| history.as_of(Timestamp(valid), Timestamp(known)).map(|v| v.value);
        assert_eq!(at(9, 99), None);
        assert_eq!(at(25, 39), Some(1));
        assert_eq!(at(25, 40), Some(2));
        assert_eq!(at(35, 49), Some(3));
        assert_eq!(at(35, 50), Some(33));
        assert_eq!(at(35, 10), None);
    }

    #[test]
    fn a_repetition_adds_nothing() {
        let mut history = History::default();
        let polled = |at, value| Version { told: false, ..version(at, at, value) };
        assert!(history.note(version(10, 11, 1)));
        assert!(!history.note(version(10, 20, 1)));
        assert!(!history.note(polled(21, 1)));
        assert!(history.note(polled(22, 2)));
        // Told anew from a later instant: a row that comes late must not reach past it.
        assert!(history.note(version(15, 23, 1)));
        assert_eq!(history.versions().len(), 3);
    }
}
