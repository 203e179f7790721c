//! How long messages take per connection, as a histogram of integers with a fixed size; equal times, equal bytes.
//!
//! Buckets are exact below 32 ns and then 32 to every power of two, so a quantile is at most 1/32 above the truth.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{Digest, Snapshot as _, Timestamp, Venue};

/// Buckets per power of two, as a power of two.
const BITS: u32 = 5;
/// Buckets per power of two.
const FINE: u64 = 1 << BITS;
/// Buckets for every non-negative i64.
const BUCKETS: usize = ((64 - BITS as usize) * FINE as usize) + FINE as usize;

/// The bucket of a time.
fn bucket(ns: u64) -> usize {
    if ns < FINE {
        return ns as usize;
    }
    let power = ns.ilog2();
    let fine = (ns >> (power - BITS)) - FINE;
    ((u64::from(power - BITS) + 1) * FINE + fine) as usize
}

/// The largest time of a bucket.
fn upper(bucket: usize) -> u64 {
    let (group, fine) = (bucket as u64 / FINE, bucket as u64 % FINE);
    match group.checked_sub(1) {
        None => fine,
        // (fine + FINE + 1) << power - 1, without leaving 64 bits.
        Some(power) => ((fine + FINE) << power) + ((1 << power) - 1),
    }
}

/// The times of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Latency {
    #[n(0)]
    counts: Vec<u64>,
    #[n(1)]
    count: u64,
    #[n(2)]
    negative: u64,
    #[n(3)]
    least: i64,
    #[n(4)]
    most: i64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, negative: 0, least: i64::MAX, most: i64::MIN }
    }
}

/// A connection's times in a few numbers, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LatencySummary {
    /// Messages with a venue time.
    #[n(0)]
    pub count: u64,
    /// Of these, received before they were sent: skew, see [`super::SkewMeter`]. They count as 0 in the quantiles.
    #[n(1)]
    pub negative: u64,
    /// The shortest, signed.
    #[n(2)]
    pub least: i64,
    /// Half of the messages took at most this.
    #[n(3)]
    pub p50: u64,
    /// 95 of 100 did.
    #[n(4)]
    pub p95: u64,
    /// 99 of 100 did.
    #[n(5)]
    pub p99: u64,
    /// The longest, signed.
    #[n(6)]
    pub most: i64,
}

impl Latency {
    /// Takes one time, ns; never allocates.
    pub fn note(&mut self, ns: i64) {
        self.count += 1;
        self.negative += u64::from(ns < 0);
        self.least = self.least.min(ns);
        self.most = self.most.max(ns);
        self.counts[bucket(u64::try_from(ns).unwrap_or(0))] += 1;
    }

    /// The time that `ppm` millionths of the messages did not exceed, by at most 1/32 too large; `None` without any.
    pub fn quantile(&self, ppm: u32) -> Option<u64> {
        let rank = (u128::from(self.count) * u128::from(ppm)).div_ceil(1_000_000).max(1);
        let mut seen = 0_u128;
        let found = self.counts.iter().position(|count| {
            seen += u128::from(*count);
            seen >= rank
        });
        let longest = u64::try_from(self.most).unwrap_or(0);
        found.filter(|_| self.count > 0).map(|bucket| upper(bucket).min(longest))
    }

    /// In a few numbers; `None` without any message.
    pub fn summary(&self) -> Option<LatencySummary> {
        Some(LatencySummary {
            count: self.count,
            negative: self.negative,
            least: self.least,
            p50: self.quantile(500_000)?,
            p95: self.quantile(950_000)?,
            p99: self.quantile(990_000)?,
            most: self.most,
        })
    }

    /// Adds another connection's times.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.negative += other.negative;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }
}

/// The times of all connections, bounded.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Latencies {
    #[n(0)]
    max: u32,
    #[n(1)]
    connections: BTreeMap<(Venue, u32), Latency>,
    #[n(2)]
    unmeasured: u64,
}

impl Latencies {
    /// Histograms for at most `max` connections.
    pub fn new(max: u32) -> Self {
        Self { max, connections: BTreeMap::new(), unmeasured: 0 }
    }

    /// Takes a message of a connection.
    pub fn note(&mut self, venue: Venue, conn: u32, recv_at: Timestamp, venue_at: Timestamp) {
        let key = (venue, conn);
        if !self.connections.contains_key(&key) && self.connections.len() >= self.max as usize {
            self.unmeasured += 1;
            return;
        }
        self.connections.entry(key).or_default().note(recv_at.since(venue_at));
    }

    /// Every connection with its numbers.
    pub fn summaries(&self) -> impl Iterator<Item = ((Venue, u32), LatencySummary)> {
        self.connections.iter().filter_map(|(key, latency)| Some((*key, latency.summary()?)))
    }

    /// A connection ended: hands out its histogram and makes room.
    pub fn forget(&mut self, venue: Venue, conn: u32) -> Option<Latency> {
        self.connections.remove(&(venue, conn))
    }

    /// Messages of connections beyond the bound.
    pub fn unmeasured(&self) -> u64 {
        self.unmeasured
    }

    /// Equal messages in equal order, equal digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_everything_without_a_hole() {
        assert!(bucket(u64::MAX) < BUCKETS);
        for at in 0..bucket(u64::MAX) {
            assert_eq!(bucket(upper(at)), at);
            assert_eq!(bucket(upper(at) + 1), at + 1);
        }
        assert_eq!(upper(bucket(u64::MAX)), u64::MAX);
    }

    proptest::proptest! {
        #[test]
        fn quantiles_are_at_most_a_thirty_second_above_the_truth(times in proptest::collection::vec(0_i64..10_000_000_000, 1..200), ppm in 1_u32..=1_000_000) {
            let mut latency = Latency::default();
            let mut sorted = times.clone();
            sorted.sort_unstable();
            for ns in &times {
                latency.note(*ns);
            }
            let rank = (times.len() as u128 * u128::from(ppm)).div_ceil(1_000_000) as usize;
            let truth = sorted[rank - 1] as u64;
            let got = latency.quantile(ppm).unwrap();
            proptest::prop_assert!(got >= truth && got <= truth + truth / 32, "{got} for {truth}");
        }
    }
}
