//! How long calls take: in turns with others, rows rotating, least and median; it never averages over interruptions.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Nanoseconds of calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(pub(super) Vec<u64>);

impl Times {
    pub(super) fn min(&self) -> f64 {
        self.0.iter().copied().min().map_or(f64::NAN, |n| n as f64)
    }

    pub(super) fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        match sorted.len() {
            0 => f64::NAN,
            n => sorted[((n - 1) as f64 * q) as usize] as f64,
        }
    }

    pub(super) fn p50(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// Calls `call` with a running number for about `seconds`, at least three times. Short calls are timed in groups, because
/// reading the clock costs a hundredth of them.
pub(super) fn slice(
    turn: &mut usize,
    batch: usize,
    seconds: f64,
    mut call: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<u64>> {
    let group = (16 / batch).max(1);
    let (end, mut nanos) = (Duration::from_secs_f64(seconds), Vec::new());
    call(*turn)?;
    let started = Instant::now();
    while nanos.len() < 3 || started.elapsed() < end {
        let from = Instant::now();
        for _ in 0..group {
            call(*turn)?;
            *turn += 1;
        }
        nanos.push(from.elapsed().as_nanos() as u64 / group as u64);
    }
    Ok(nanos)
}
