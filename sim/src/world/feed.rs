//! What the relay makes of the price: missing seconds, gaps, delays. Never invents a value.

use schemas::IndexPrice;

use super::WorldConfig;
use super::dice::Dice;
use super::path::Path;
use crate::day::Tick;

/// Median delay from the feed's time to the relay's, ms, its spread (log) and its memory from second to second.
const DELAY_MS: f64 = 1_000.0;
const DELAY_LOG_SD: f64 = 0.12;
const DELAY_MEMORY: f64 = 0.96;
/// Median and spread (log) of the last leg, ms.
const LEG_MS: f64 = 212.0;
const LEG_LOG_SD: f64 = 0.15;
/// Length of a gap, seconds.
const GAP_S: (i64, i64) = (10, 60);

/// The exact value of a price: ten decimals, so 15 digits, in units of 1e-18.
pub(super) fn exact(price: f64) -> IndexPrice {
    IndexPrice(i128::from(libm::round(price * 1e10) as i64) * 100_000_000)
}

/// As the venue prints an exact value: the shortest decimal of the nearest f64.
fn printed(value: IndexPrice) -> Box<str> {
    let nearest: f64 = value.to_string().parse().expect("an index price prints as a decimal");
    nearest.to_string().into()
}

/// The ticks of a path, by feed time; receive times never go back.
pub(super) fn relay(config: &WorldConfig, path: &Path) -> Vec<Tick> {
    let mut miss = Dice::new(config.seed, 4);
    let mut late = Dice::new(config.seed, 5);
    let missing = f64::from(config.missing_ppm) / 1e6;
    let gap = f64::from(config.gaps_per_day) / 86_400.0;
    let fresh = libm::sqrt(1.0 - DELAY_MEMORY * DELAY_MEMORY);
    let mut mood = late.normal();
    let (mut silent_until, mut server, mut recv) = (i64::MIN, i64::MIN, i64::MIN);
    let mut out = Vec::with_capacity(path.index.len());
    for (second, &price) in (path.from..).zip(&path.index) {
        mood = DELAY_MEMORY * mood + fresh * late.normal();
        let delay = (DELAY_MS * libm::exp(DELAY_LOG_SD * mood)) as i64;
        let leg = (LEG_MS * libm::exp(LEG_LOG_SD * late.normal())) as i64;
        if miss.unit() < gap {
            silent_until = second + miss.between(GAP_S.0, GAP_S.1);
        }
        if miss.unit() < missing || second < silent_until {
            continue;
        }
        let feed_ms = second * 1_000;
        server = (feed_ms + delay).max(server + 1);
        recv = (server + leg).max(recv + 1);
        let full = exact(price);
        out.push(Tick { feed_ms, server_ms: server, recv_ms: recv, value: printed(full), full });
    }
    out
}
