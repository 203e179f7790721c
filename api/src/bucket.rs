//! Token buckets in bounded memory; time is passed in, never read here.

use std::collections::{BTreeMap, BTreeSet};

use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

/// How much may come at once, and how fast it grows back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests at once.
    pub burst: u32,
    /// Requests per second after that.
    pub per_second: u32,
}

/// One bucket; it counts in billionths of a request so that no time is lost to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    billionths: i128,
    at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Self { billionths: i128::from(rate.burst) * i128::from(NANOS_PER_SEC), at: now }
    }

    /// Takes one request, or says how many nanoseconds to wait. A clock that goes back adds nothing.
    pub fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), i64> {
        let grown = i128::from(now.since(self.at).max(0)) * i128::from(rate.per_second);
        let cap = i128::from(rate.burst) * i128::from(NANOS_PER_SEC);
        self.billionths = (self.billionths + grown).min(cap);
        self.at = self.at.max(now);
        let one = i128::from(NANOS_PER_SEC);
        if self.billionths >= one {
            self.billionths -= one;
            return Ok(());
        }
        let speed = i128::from(rate.per_second.max(1));
        let wait = (one - self.billionths + speed - 1) / speed;
        Err(i64::try_from(wait).unwrap_or(i64::MAX))
    }
}

/// A bucket per key; the one unused for longest makes room for a new one.
#[derive(Clone, Debug)]
pub struct Buckets<K> {
    rate: Rate,
    capacity: usize,
    by_key: BTreeMap<K, Bucket>,
    by_use: BTreeSet<(Timestamp, K)>,
    evicted: u64,
}

impl<K: Ord + Clone> Buckets<K> {
    /// No buckets yet, and never more than `capacity`.
    pub fn new(rate: Rate, capacity: usize) -> Self {
        Self { rate, capacity: capacity.max(1), by_key: BTreeMap::new(), by_use: BTreeSet::new(), evicted: 0 }
    }

    /// Takes one request of `key`, or says how many nanoseconds to wait.
    pub fn take(&mut self, key: &K, now: Timestamp) -> Result<(), i64> {
        if let Some(bucket) = self.by_key.get_mut(key) {
            self.by_use.remove(&(bucket.at, key.clone()));
            let answer = bucket.take(self.rate, now);
            self.by_use.insert((bucket.at, key.clone()));
            return answer;
        }
        while self.by_key.len() >= self.capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.by_key.remove(&oldest);
            self.evicted += 1;
        }
        let mut bucket = Bucket::full(self.rate, now);
        let answer = bucket.take(self.rate, now);
        self.by_use.insert((bucket.at, key.clone()));
        self.by_key.insert(key.clone(), bucket);
        answer
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// How many made room for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_burst_then_rate() {
        let rate = Rate { burst: 2, per_second: 4 };
        let mut bucket = Bucket::full(rate, Timestamp::ZERO);
        let at = |ms: i64| Timestamp::from_millis(ms);
        let asks =
            [(0, true), (0, true), (0, false), (249, false), (250, true), (250, false), (10_000, true)];
        for (ms, ok) in asks {
            assert_eq!(bucket.take(rate, at(ms)).is_ok(), ok, "at {ms} ms");
        }
        assert_eq!(bucket.take(rate, at(5_000)), Ok(()), "burst is full again, time went back");
        let wait = bucket.take(rate, at(5_000)).unwrap_err();
        assert_eq!(wait, 250_000_000);
    }

    #[test]
    fn buckets_are_bounded_and_forget_the_idle_one() {
        let mut buckets = Buckets::new(Rate { burst: 1, per_second: 1 }, 2);
        let at = |s: i64| Timestamp::from_secs(s);
        assert!(buckets.take(&"a", at(0)).is_ok());
        assert!(buckets.take(&"b", at(0)).is_ok());
        assert!(buckets.take(&"a", at(0)).is_err());
        assert!(buckets.take(&"a", at(2)).is_ok());
        assert!(buckets.take(&"c", at(2)).is_ok());
        assert_eq!((buckets.len(), buckets.evicted()), (2, 1));
        assert!(buckets.take(&"a", at(2)).is_err(), "the busy one stayed");
    }
}
