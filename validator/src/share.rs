//! Exact division of a whole by weights (largest remainder); this module never creates or loses a unit.

/// Divides `total` in proportion to `weights`: floors first, then one unit each by largest remainder, ties to the
/// earlier index. The parts sum to `total`; if all weights are zero every part is zero.
pub fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|w| u128::from(*w)).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    // total < 2^64 and each weight < 2^64: the product fits 128 bits.
    let exact = |w: &u64| u128::from(total) * u128::from(*w);
    let mut parts: Vec<u64> = weights.iter().map(|w| (exact(w) / sum) as u64).collect();
    let left = total - parts.iter().sum::<u64>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(exact(&weights[*i]) % sum), *i));
    for i in order.into_iter().take(left as usize) {
        parts[i] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn remainders_go_to_the_largest_then_to_the_first() {
        let table: [(u64, &[u64], &[u64]); 6] = [
            (10, &[1, 1, 1], &[4, 3, 3]),
            (100, &[100_000, 50_000, 100_000, 750_000], &[10, 5, 10, 75]),
            (7, &[2, 1], &[5, 2]),
            (5, &[0, 0], &[0, 0]),
            (5, &[], &[]),
            (u64::MAX, &[u64::MAX, 0], &[u64::MAX, 0]),
        ];
        for (total, weights, want) in table {
            assert_eq!(apportion(total, weights), want, "{total} by {weights:?}");
        }
    }

    proptest! {
        #[test]
        fn exact_and_within_one_unit(total: u64, weights in prop::collection::vec(any::<u64>(), 1..20)) {
            let parts = apportion(total, &weights);
            let sum: u128 = weights.iter().map(|w| u128::from(*w)).sum();
            prop_assert_eq!(parts.iter().map(|p| u128::from(*p)).sum::<u128>(),
                if sum == 0 { 0 } else { u128::from(total) });
            for (part, weight) in parts.iter().zip(&weights) {
                let floor = (u128::from(total) * u128::from(*weight)).checked_div(sum).unwrap_or(0);
                prop_assert!((floor..=floor + 1).contains(&u128::from(*part)));
            }
        }
    }
}
