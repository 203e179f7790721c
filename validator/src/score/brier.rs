//! The Brier score of a probability (Brier 1950), exact in integers; it never sees a float.

use schemas::{Ppm, Q32};

/// (p - y)^2 in units of 1e-12, exact; 0 is best. Probabilities above one count as one.
pub fn squared_error(p: Ppm, up: bool) -> u64 {
    let one = u64::from(Ppm::ONE.0);
    let p = u64::from(p.0).min(one);
    let error = if up { one - p } else { p };
    error * error
}

/// 1 - (p - y)^2 in [0, 1], rounded down to 2^-32; 1 is best.
pub fn brier(p: Ppm, up: bool) -> Q32 {
    const ONE: i128 = 1_000_000_000_000;
    Q32::ratio(ONE - i128::from(squared_error(p, up)), ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_and_middle() {
        let table = [
            (0, false, Q32::ONE),
            (0, true, Q32(0)),
            (1_000_000, true, Q32::ONE),
            (500_000, true, Q32::ratio(3, 4)),
            (500_000, false, Q32::ratio(3, 4)),
            (900_000, true, Q32::ratio(99, 100)),
            (u32::MAX, true, Q32::ONE),
        ];
        for (p, up, want) in table {
            assert_eq!(brier(Ppm(p), up), want, "{p} {up}");
        }
    }
}
