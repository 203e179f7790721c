//! The logarithmic score in nats, clipped so that it is bounded; it never moves stake, because clipping breaks propriety.

use schemas::{Ppm, Q32};

/// How far a probability stays away from 0 and 1, ppm.
const MARGIN: u32 = 1;

/// -ln of the probability given to what happened, nats; 0 is best, at most 13.8155 (clip at 1e-6 and 1 - 1e-6).
pub fn log_score(p: Ppm, up: bool) -> Q32 {
    let loss = log_loss(p.clamped(MARGIN).as_f64(), up);
    Q32::from_f64(loss).expect("a clipped log loss is finite and below 14")
}

/// -ln of the probability given to what happened, nats, not clipped: infinite if it was zero.
pub fn log_loss(p: f64, up: bool) -> f64 {
    let q = if up { p } else { 1.0 - p };
    -libm::log(q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_symmetric() {
        assert_eq!(log_score(Ppm(0), true), log_score(Ppm(1), true));
        assert!((log_score(Ppm(0), true).as_f64() - 13.815_510_558).abs() < 1e-8);
        assert!((log_score(Ppm::HALF, false).as_f64() - std::f64::consts::LN_2).abs() < 1e-9);
        assert!(log_loss(0.0, true).is_infinite());
    }
}
