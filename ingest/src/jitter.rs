//! Reconnect delays that look random and are not: a hash of a seed and a counter; no entropy is ever read.

use minicbor::{Decode, Encode};

/// Doublings after which the delay no longer grows.
const MAX_DOUBLINGS: u32 = 32;

/// The counter of draws.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Jitter {
    #[n(0)]
    draws: u64,
}

impl Jitter {
    /// Full jitter: uniform in `1 ..= min(cap, base * 2^failures)` ns.
    pub(crate) fn draw(&mut self, seed: &[u8; 32], base: i64, cap: i64, failures: u32) -> i64 {
        let doubled = i128::from(base.max(1)) << failures.min(MAX_DOUBLINGS);
        let limit = doubled.min(i128::from(cap.max(1)));
        let hash = schemas::id::derive("oraculo/jitter/1", &[seed, &self.draws.to_be_bytes()]);
        self.draws += 1;
        let word = hash.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        1 + ((limit * i128::from(word)) >> 64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_within_their_limit_and_fill_it() {
        for (failures, limit) in [(0, 500), (1, 1_000), (3, 4_000), (9, 30_000), (u32::MAX, 30_000)] {
            let mut jitter = Jitter::default();
            let draws: Vec<i64> = (0..400).map(|_| jitter.draw(&[7; 32], 500, 30_000, failures)).collect();
            let (low, high) = (draws.iter().min().unwrap(), draws.iter().max().unwrap());
            assert!((1..=limit / 20).contains(low), "{failures}: lowest {low}");
            assert!((limit * 19 / 20..=limit).contains(high), "{failures}: highest {high}");
        }
    }

    #[test]
    fn equal_seeds_draw_equal_delays() {
        let draws = |seed: [u8; 32]| {
            let mut jitter = Jitter::default();
            (0..8).map(|n| jitter.draw(&seed, 500, 30_000, n)).collect::<Vec<_>>()
        };
        assert_eq!(draws([1; 32]), draws([1; 32]));
        assert_ne!(draws([1; 32]), draws([2; 32]));
    }
}
