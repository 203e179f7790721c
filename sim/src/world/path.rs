//! The price itself, once a second: stochastic volatility, fat tails, jumps, a little momentum. Never has gaps.

use super::WorldConfig;
use super::dice::Dice;

/// Seconds in a year of 365.25 days.
const YEAR_S: f64 = 31_557_600.0;
/// Half-lives of the two factors of the log volatility, seconds, and their standard deviations.
const SLOW: (f64, f64) = (4.0 * 3_600.0, 0.25);
const FAST: (f64, f64) = (8.0 * 60.0, 0.40);
/// Jumps a day and their standard deviation.
const JUMPS_PER_DAY: f64 = 10.0;
const JUMP_SD: f64 = 0.0012;
/// Momentum: memory in seconds, and drift in units of the volatility for one standard deviation of momentum.
const MEMORY_S: f64 = 20.0;
const MOMENTUM: f64 = 0.03;
/// Share of the way to the true price that the index goes in one second: what makes 1-s returns correlate.
const INDEX_SPEED: f64 = 0.68;
/// What momentum adds to the volatility in the long run; divided out again.
const MOMENTUM_GAIN: f64 = 1.19;

/// The index at every second of a span.
#[derive(Debug)]
pub(super) struct Path {
    /// The first second.
    pub(super) from: i64,
    /// Dollars, one per second.
    pub(super) index: Vec<f64>,
}

impl Path {
    /// The index at a second of the span.
    pub(super) fn at(&self, second: i64) -> Option<f64> {
        usize::try_from(second - self.from).ok().and_then(|i| self.index.get(i)).copied()
    }
}

/// An Ornstein-Uhlenbeck factor, stepped once a second from its stationary law.
struct Factor {
    value: f64,
    keep: f64,
    kick: f64,
}

impl Factor {
    fn new((half_life_s, sd): (f64, f64), dice: &mut Dice) -> Self {
        let keep = libm::exp(-std::f64::consts::LN_2 / half_life_s);
        Self { value: sd * dice.normal(), keep, kick: sd * libm::sqrt(1.0 - keep * keep) }
    }

    fn step(&mut self, dice: &mut Dice) -> f64 {
        self.value = self.keep * self.value + self.kick * dice.normal();
        self.value
    }
}

/// Walks from second `from` to second `to`, both included.
pub(super) fn walk(config: &WorldConfig, from: i64, to: i64) -> Path {
    let mut vol_dice = Dice::new(config.seed, 1);
    let mut dice = Dice::new(config.seed, 2);
    let mut jump_dice = Dice::new(config.seed, 3);
    let (mut slow, mut fast) = (Factor::new(SLOW, &mut vol_dice), Factor::new(FAST, &mut vol_dice));
    let variance = SLOW.1 * SLOW.1 + FAST.1 * FAST.1;
    let base = f64::from(config.annual_vol_pct) / 100.0 / libm::sqrt(YEAR_S) / MOMENTUM_GAIN;
    let keep = libm::exp(-1.0 / MEMORY_S);
    let kick = libm::sqrt(1.0 - keep * keep);
    let mut price = libm::log(f64::from(config.level.max(1)));
    let mut index = price;
    let mut momentum = 0.0;
    let mut out = Vec::with_capacity(usize::try_from(to - from + 1).unwrap_or(0));
    for _ in from..=to {
        out.push(libm::exp(index));
        // The mean of exp(2x) is exp(2 var): taking var off keeps the long-run variance.
        let vol = base * libm::exp(slow.step(&mut vol_dice) + fast.step(&mut vol_dice) - variance);
        let shock = dice.student5();
        price += vol * (shock + MOMENTUM * momentum);
        momentum = keep * momentum + kick * shock;
        if jump_dice.unit() < JUMPS_PER_DAY / 86_400.0 {
            price += JUMP_SD * jump_dice.normal();
        }
        index += INDEX_SPEED * (price - index);
    }
    Path { from, index: out }
}
