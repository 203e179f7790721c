//! A token bucket as arithmetic on time that is given to it; it never sleeps.

use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

/// Tokens of a request that the venue does not list.
pub const DEFAULT_COST: u32 = 10;

/// Tokens that refill with time; counted in billionths, so that nothing is lost to rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    rate: u32,
    capacity: u32,
    /// 1e-9 tokens.
    level: i128,
    at: Timestamp,
}

impl TokenBucket {
    /// A full bucket: `rate` tokens per second, `capacity` at most.
    pub fn new(rate: u32, capacity: u32) -> Self {
        let level = i128::from(capacity) * i128::from(NANOS_PER_SEC);
        Self { rate, capacity, level, at: Timestamp::ZERO }
    }

    /// Another rate and capacity, e.g. after `/account/limits`.
    pub fn resize(&mut self, rate: u32, capacity: u32) {
        (self.rate, self.capacity) = (rate, capacity);
        self.level = self.level.min(i128::from(capacity) * i128::from(NANOS_PER_SEC));
    }

    fn refill(&mut self, now: Timestamp) {
        let passed = now.since(self.at).max(0);
        let full = i128::from(self.capacity) * i128::from(NANOS_PER_SEC);
        self.level = (self.level + i128::from(passed) * i128::from(self.rate)).min(full);
        self.at = self.at.max(now);
    }

    /// Takes `cost` tokens if they are there. A cost above the capacity is taken from a full bucket, which then owes.
    pub fn take(&mut self, cost: u32, now: Timestamp) -> bool {
        self.refill(now);
        let needed = i128::from(cost.min(self.capacity)) * i128::from(NANOS_PER_SEC);
        if self.level < needed {
            return false;
        }
        self.level -= i128::from(cost) * i128::from(NANOS_PER_SEC);
        true
    }

    /// The earliest instant at which `cost` tokens are there; `MAX` if never.
    pub fn ready_at(&self, cost: u32) -> Timestamp {
        let needed = i128::from(cost.min(self.capacity)) * i128::from(NANOS_PER_SEC) - self.level;
        if needed <= 0 {
            return self.at;
        }
        if self.rate == 0 {
            return Timestamp::MAX;
        }
        let rate = i128::from(self.rate);
        i64::try_from((needed + rate - 1) / rate).map_or(Timestamp::MAX, |wait| self.at.plus(wait))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn basic_tier_gives_twenty_reads_a_second() {
        let mut bucket = TokenBucket::new(200, 200);
        let start = Timestamp::from_secs(1_000);
        assert_eq!((0..30).filter(|_| bucket.take(DEFAULT_COST, start)).count(), 20);
        assert_eq!(bucket.ready_at(DEFAULT_COST), start.plus(50_000_000));
        assert!(!bucket.take(DEFAULT_COST, start.plus(49_999_999)));
        assert!(bucket.take(DEFAULT_COST, start.plus(50_000_000)));
        // A cost above the capacity is taken from a full bucket, which without a rate never fills again.
        let mut dry = TokenBucket::new(0, 5);
        assert!(dry.take(DEFAULT_COST, start));
        assert_eq!(dry.ready_at(DEFAULT_COST), Timestamp::MAX);
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_allows(waits in proptest::collection::vec(0_i64..400_000_000, 1..200), cost in 1_u32..50) {
            let (mut bucket, mut now, mut taken) = (TokenBucket::new(200, 400), Timestamp::from_secs(9), 0_i128);
            let start = now;
            for wait in waits {
                now = now.plus(wait);
                if bucket.take(cost, now) {
                    taken += i128::from(cost);
                } else {
                    prop_assert!(bucket.ready_at(cost) > now);
                    let ready = bucket.ready_at(cost);
                    prop_assert!(bucket.clone().take(cost, ready));
                }
                let allowed = 400_i128 * 1_000_000_000 + i128::from(now.since(start)) * 200;
                prop_assert!(taken * 1_000_000_000 <= allowed);
            }
        }
    }
}
