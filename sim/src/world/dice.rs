//! Random draws whose bits depend on nothing but the seed; only integers from ChaCha8 and `libm` in between.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A stream of draws.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The draws of `seed` for one purpose; purposes do not disturb each other.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Self(rng)
    }

    /// Uniform in [0, 1), 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        unit_of(self.0.next_u64())
    }

    /// Uniform in `low ..= high`; the bias is below 2^-32 for the small ranges used here.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.unit() * (high - low + 1) as f64) as i64
    }

    /// Standard normal (Box and Muller 1958, the cosine half).
    pub(crate) fn normal(&mut self) -> f64 {
        let (a, b) = (self.unit(), self.unit());
        box_muller(a, b)
    }

    /// Student's t with 5 degrees of freedom, scaled to variance 1.
    pub(crate) fn student5(&mut self) -> f64 {
        let z = self.normal();
        let chi2: f64 = (0..5).map(|_| self.normal()).map(|n| n * n).sum();
        z / libm::sqrt(chi2 / 5.0) * libm::sqrt(3.0 / 5.0)
    }
}

/// A standard normal from 32 hashed bytes.
pub(crate) fn normal_of(bytes: &[u8; 32]) -> f64 {
    let word = |at: usize| bytes[at..at + 8].iter().fold(0_u64, |acc, &b| acc << 8 | u64::from(b));
    box_muller(unit_of(word(0)), unit_of(word(8)))
}

fn unit_of(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn box_muller(a: f64, b: f64) -> f64 {
    libm::sqrt(-2.0 * libm::log(1.0 - a)) * libm::cos(std::f64::consts::TAU * b)
}
