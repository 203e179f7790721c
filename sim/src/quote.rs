//! Best bid and ask of a made-up market: a noisy opinion formed from the ticks received so far. Never looks ahead.

use schemas::{IndexPrice, Timestamp, id};

use crate::day::{Day, DayMarket, Tick};
use crate::gamma::strike_at;
use crate::world::dice::normal_of;

/// Ticks that the volatility estimate looks back.
const LOOKBACK: usize = 900;
/// Feed time between two returns of the estimate, ms; shorter returns are damped by the feed's smoothing.
const RETURN_MS: i64 = 10_000;
/// Volatility per square root of a second when nothing is known: 50% a year.
const PRIOR_VOL: f64 = 8.9e-5;
/// Weight of the prior, in returns.
const PRIOR_WEIGHT: f64 = 6.0;
/// Standard deviation of the market's error at a fair value of one half.
const NOISE: f64 = 0.03;

/// The quotes of a made-up day; a pure function of seed, market and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteModel {
    pub(crate) seed: u64,
}

/// A market's top of book for Up, in cents (1 ..= 99).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestQuote {
    /// Best bid, cents.
    pub bid: u8,
    /// Best ask, cents; one or two above the bid.
    pub ask: u8,
    /// Price of the last trade, cents.
    pub last: u8,
}

impl QuoteModel {
    /// The quote at `now`; `None` once the market has resolved.
    pub fn at(&self, day: &Day, market: &DayMarket, now: Timestamp) -> Option<BestQuote> {
        if now >= market.resolved_at {
            return None;
        }
        let fair = fair(day, market, now);
        // Two opinions of different persistence: half a minute and three seconds.
        let slow = self.noise(market, b"slow", now.secs() / 30);
        let fast = self.noise(market, b"fast", now.secs() / 3);
        let error = NOISE * 2.0 * libm::sqrt(fair * (1.0 - fair)) * (0.8 * slow + 0.6 * fast);
        let mid = ((fair + error) * 100.0).clamp(1.0, 98.0);
        let wide = self.noise(market, b"wide", now.secs() / 10) > 0.7;
        let bid = libm::floor(mid) as u8;
        let ask = (bid + if wide { 2 } else { 1 }).min(99);
        let last = if self.noise(market, b"last", now.secs() / 5) > 0.0 { ask } else { bid };
        Some(BestQuote { bid, ask, last })
    }

    fn noise(&self, market: &DayMarket, what: &[u8], bucket: i64) -> f64 {
        let seed = self.seed.to_be_bytes();
        let parts: [&[u8]; 4] = [&seed, market.condition_id.as_bytes(), what, &bucket.to_be_bytes()];
        normal_of(&id::derive("sim/quote/1", &parts))
    }
}

/// The market's fair value from the ticks received by `now`: a driftless walk with the recent volatility.
fn fair(day: &Day, market: &DayMarket, now: Timestamp) -> f64 {
    let seen = day.ticks().get(..day.received_by(now)).unwrap_or_default();
    let (Some(last), Some(strike)) = (seen.last(), strike(market, seen, now)) else { return 0.5 };
    let left_s = (market.ends_at.millis() - last.feed_ms).max(0) as f64 / 1e3;
    let distance = libm::log(last.full.as_f64() / strike.as_f64());
    if left_s <= 0.0 {
        return if distance >= 0.0 { 1.0 } else { 0.0 };
    }
    let deviation = volatility(seen) * libm::sqrt(left_s);
    0.5 * libm::erfc(-distance / deviation / std::f64::consts::SQRT_2)
}

/// The published strike, or, while there is none, the first value received for the start or later.
fn strike(market: &DayMarket, seen: &[Tick], now: Timestamp) -> Option<IndexPrice> {
    strike_at(market, now).or_else(|| {
        let start = market.starts_at.millis();
        let from = seen.partition_point(|t| t.recv_ms < start);
        seen.iter().skip(from).find(|t| t.feed_ms >= start).map(|t| t.full)
    })
}

/// Volatility per square root of a second from the last ticks, shrunk towards the prior.
fn volatility(seen: &[Tick]) -> f64 {
    let recent = &seen[seen.len().saturating_sub(LOOKBACK)..];
    let (mut sum, mut seconds) = (PRIOR_VOL * PRIOR_VOL * PRIOR_WEIGHT * 10.0, PRIOR_WEIGHT * 10.0);
    let mut from: Option<&Tick> = None;
    for tick in recent {
        match from {
            Some(before) if tick.feed_ms - before.feed_ms < RETURN_MS => continue,
            Some(before) => {
                let step = libm::log(tick.full.as_f64() / before.full.as_f64());
                sum += step * step;
                seconds += (tick.feed_ms - before.feed_ms) as f64 / 1e3;
            }
            None => {}
        }
        from = Some(tick);
    }
    libm::sqrt(sum / seconds)
}
