//! A made-up day from a seed: same seed, same day, bit for bit. Never claims to be the real market.

pub mod dice;
mod feed;
mod markets;
mod path;

use schemas::Timestamp;

use crate::day::{Day, DayParts};
use crate::quote::QuoteModel;

/// Seconds of ticks after the last market's end.
const TAIL_S: i64 = 60;

/// What a made-up day is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldConfig {
    /// Everything random follows from it.
    pub seed: u64,
    /// Start of the first market; rounded up to a multiple of the interval.
    pub start: Timestamp,
    /// How long markets are listed, seconds; at least one market is made.
    pub length_s: u64,
    /// Length of a market, seconds.
    pub interval_s: u32,
    /// Seconds of ticks before the first market.
    pub history_s: u32,
    /// Where the price starts, dollars.
    pub level: u32,
    /// Volatility per year in the long run, percent.
    pub annual_vol_pct: u32,
    /// Single seconds without a tick, ppm.
    pub missing_ppm: u32,
    /// Gaps of 10 to 60 seconds a day.
    pub gaps_per_day: u32,
    /// Asset, lower-case letters and digits (others are left out; none at all is `btc`): symbol `<asset>/usd`, slugs `<asset>-updown-<minutes>m-<start>`.
    pub asset: String,
}

impl Default for WorldConfig {
    /// A day like 2026-06-08 was for Bitcoin.
    fn default() -> Self {
        Self {
            seed: 0,
            start: Timestamp::from_secs(1_780_876_800),
            length_s: 86_400,
            interval_s: 300,
            history_s: 900,
            level: 63_000,
            annual_vol_pct: 50,
            missing_ppm: 20_000,
            gaps_per_day: 12,
            asset: "btc".to_owned(),
        }
    }
}

impl Day {
    /// Makes up a day. Pure: the same configuration gives the same day on every machine. About 100 bytes of memory
    /// per second of the day.
    pub fn simulated(mut config: WorldConfig) -> Self {
        config.asset = plain(&config.asset);
        let interval = i64::from(config.interval_s.max(60));
        let start = config.start.secs().div_euclid(interval) * interval;
        let start = if Timestamp::from_secs(start) < config.start { start + interval } else { start };
        let count = (config.length_s as i64 / interval).max(1);
        let end = start + count * interval;
        let from = start - i64::from(config.history_s);
        let path = path::walk(&config, from, end + TAIL_S);
        let ticks = feed::relay(&config, &path);
        let markets = (0..count)
            .map(|i| markets::make(&config, start + i * interval, interval, &path, &ticks))
            .collect();
        Self::assemble(DayParts {
            slug_prefix: markets::slug_prefix(&config, interval),
            symbol: config.asset + "/usd",
            interval_s: interval as u32,
            markets,
            ticks,
            quotes: Some(QuoteModel { seed: config.seed }),
        })
    }
}

/// What may stand in symbols, slugs and frames without escaping.
fn plain(asset: &str) -> String {
    let ok = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let asset: String = asset.chars().filter(ok).take(16).collect();
    if asset.is_empty() { "btc".to_owned() } else { asset }
}
