//! `market-1` a second time, written from the document and not from the code: slow, with the standard library's
//! logarithms, a search for every price. `None` is missing.

use std::f64::consts::{LN_2, PI};

use schemas::{MarketEvent, Timestamp};

use crate::world::{Fact, NOW_S, SECOND};

pub(crate) struct Naive {
    at: Timestamp,
    /// (time, dollars) of what was known at `at`, by time.
    ticks: Vec<(Timestamp, f64)>,
    /// (known, bid, ask)
    quotes: Vec<(Timestamp, f64, f64)>,
    strike: f64,
}

impl Naive {
    pub(crate) fn new(facts: &[Fact], at: Timestamp, strike: f64) -> Self {
        let (mut ticks, mut quotes) = (Vec::new(), Vec::new());
        for (known_at, event) in facts.iter().filter(|(known_at, _)| *known_at <= at) {
            match event {
                MarketEvent::Tick(t) if t.feed_at <= at => ticks.push((t.feed_at, t.value.as_f64())),
                MarketEvent::Quote(q) => {
                    quotes.push((*known_at, q.bid.unwrap().0 as f64 / 1e6, q.ask.unwrap().0 as f64 / 1e6));
                }
                _ => {}
            }
        }
        ticks.sort_by_key(|(at, _)| *at);
        Self { at, ticks, quotes, strike }
    }

    fn ago(&self, seconds: i64) -> Timestamp {
        self.at.plus(-seconds * SECOND)
    }

    /// The price so many seconds ago, if it was not older then than `age_s`.
    fn price(&self, seconds: i64, age_s: i64) -> Option<f64> {
        let then = self.ago(seconds);
        let (at, value) = self.ticks.iter().rev().find(|(at, _)| *at <= then)?;
        (then.since(*at) <= age_s * SECOND).then_some(*value)
    }

    fn any(&self, seconds: i64) -> Option<f64> {
        self.price(seconds, i64::MAX / SECOND)
    }

    /// Whether the window is full and at most a tenth of its 10 s instants is too old.
    fn covered(&self, window_s: i64, age_s: i64) -> Option<()> {
        self.any(window_s)?;
        let instants = 0..=window_s / 10;
        let bad = instants.clone().filter(|k| self.price(k * 10, age_s).is_none()).count();
        (bad * 10 <= instants.count()).then_some(())
    }

    fn ret(&self, seconds: i64) -> Option<f64> {
        let age_s = if seconds < 60 { 15 } else { 60 };
        Some((self.any(0)? / self.price(seconds, age_s)?).ln())
    }

    /// Log returns of `length_s` every `step_s` over the window, newest first.
    fn returns(&self, window_s: i64, length_s: i64, age_s: i64) -> Option<Vec<f64>> {
        self.covered(window_s, age_s)?;
        let starts = (0..).map(|k| k * 10).take_while(|back| back + length_s <= window_s);
        starts.map(|back| Some((self.any(back)? / self.any(back + length_s)?).ln())).collect()
    }

    fn realised(&self, window_s: i64, length_s: i64, age_s: i64) -> Option<f64> {
        let r = self.returns(window_s, length_s, age_s)?;
        let mean = r.iter().map(|r| r * r).sum::<f64>() / r.len() as f64;
        Some((mean / length_s as f64).sqrt().max(1e-7))
    }

    fn weighted(&self, window_s: i64, half_life_s: f64) -> Option<f64> {
        let r = self.returns(window_s, 10, 15)?;
        let weight = |k: usize| 0.5_f64.powf(k as f64 * 10.0 / half_life_s);
        let sum: f64 = r.iter().enumerate().map(|(k, r)| weight(k) * r * r).sum();
        let weights: f64 = (0..r.len()).map(weight).sum();
        Some((sum / weights / 10.0).sqrt().max(1e-7))
    }

    /// Open, high, low, close of each full minute of the window.
    fn candles(&self, minutes: i64) -> Option<Vec<[f64; 4]>> {
        self.covered(minutes * 60, 60)?;
        let mut out = Vec::new();
        for minute in 0..minutes {
            let (from, to) = (self.ago((minute + 1) * 60), self.ago(minute * 60));
            let inside: Vec<f64> =
                self.ticks.iter().filter(|(at, _)| *at > from && *at <= to).map(|(_, v)| *v).collect();
            let (open, close) = (self.any((minute + 1) * 60)?, self.any(minute * 60)?);
            let high = inside.iter().copied().fold(open, f64::max);
            let low = inside.iter().copied().fold(open, f64::min);
            if inside.len() >= 3 {
                out.push([open, high, low, close]);
            }
        }
        ((minutes - out.len() as i64) * 10 <= minutes).then_some(out)
    }

    fn garman_klass(&self, minutes: i64) -> Option<f64> {
        let candles = self.candles(minutes)?;
        let one =
            |[o, h, l, c]: &[f64; 4]| 0.5 * (h / l).ln().powi(2) - (2.0 * LN_2 - 1.0) * (c / o).ln().powi(2);
        let mean = candles.iter().map(one).sum::<f64>() / candles.len() as f64;
        Some((mean / 60.0).sqrt().max(1e-7))
    }

    fn parkinson(&self) -> Option<f64> {
        let candles = self.candles(15)?;
        let mean =
            candles.iter().map(|[_, h, l, _]| (h / l).ln().powi(2)).sum::<f64>() / candles.len() as f64;
        Some((mean / (4.0 * LN_2) / 60.0).sqrt().max(1e-7))
    }

    fn range(&self, window_s: i64) -> Option<(f64, f64)> {
        self.covered(window_s, 60)?;
        let from = self.ago(window_s);
        let first = self.any(window_s)?;
        let inside = self.ticks.iter().filter(|(at, _)| *at > from).map(|(_, v)| *v);
        Some(inside.fold((first, first), |(high, low), v| (high.max(v), low.min(v))))
    }

    fn mid(&self, seconds: i64) -> Option<(Timestamp, f64, f64)> {
        let then = self.ago(seconds);
        let (known, bid, ask) = self.quotes.iter().rev().find(|(known, ..)| *known <= then)?;
        (then.since(*known) <= 60 * SECOND).then_some((*known, (bid + ask) / 2.0, ask - bid))
    }

    /// Every feature that the test's records can give.
    pub(crate) fn all(&self) -> Vec<(String, Option<f64>)> {
        let mut out: Vec<(String, Option<f64>)> = Vec::new();
        let mut put = |name: &str, value: Option<f64>| out.push((name.to_owned(), value));
        for seconds in [10, 30, 60, 120, 300, 900, 1800, 3600] {
            put(&format!("ret_{seconds}s"), self.ret(seconds));
        }
        let spread = |range: (f64, f64)| (range.0 / range.1).ln();
        put("range_300s", self.range(300).map(spread));
        put("range_900s", self.range(900).map(spread));
        let place = |(high, low): (f64, f64)| {
            let now = self.any(0).unwrap();
            if high > low { (now / low).ln() / (high / low).ln() } else { 0.5 }
        };
        put("range_pos_900s", self.range(900).map(place));
        put("rv_60s", self.realised(60, 10, 15));
        put("rv_300s", self.realised(300, 10, 15));
        put("rv_900s", self.realised(900, 60, 60));
        put("rv_3600s", self.realised(3600, 60, 60));
        put("ewma_60s", self.weighted(360, 60.0));
        put("ewma_300s", self.weighted(1800, 300.0));
        put("ewma_900s", self.weighted(3600, 900.0));
        put("gk_900s", self.garman_klass(15));
        put("gk_3600s", self.garman_klass(60));
        put("parkinson_900s", self.parkinson());
        let r = self.returns(900, 10, 15);
        let sum = |r: &[f64]| r.iter().map(|r| r * r).sum::<f64>();
        let bipower = |r: &[f64]| PI / 2.0 * r.windows(2).map(|p| (p[0] * p[1]).abs()).sum::<f64>();
        let share =
            |r: &Vec<f64>| if sum(r) > 0.0 { (1.0 - bipower(r) / sum(r)).clamp(0.0, 1.0) } else { 0.0 };
        put("jump_share_900s", r.as_ref().map(share));
        let auto = |r: &Vec<f64>| {
            if sum(r) > 0.0 { r.windows(2).map(|p| p[0] * p[1]).sum::<f64>() / sum(r) } else { 0.0 }
        };
        put("autocorr_900s", r.as_ref().map(auto));
        put(
            "vol_ratio",
            Some((self.realised(300, 10, 15), self.realised(3600, 60, 60)))
                .and_then(|(a, b)| Some((a? / b?).ln())),
        );
        self.strike_and_market(&mut put);
        self.calendar(&mut put);
        for i in 0..32 {
            let step = 31 - i;
            let r = self
                .covered(320, 15)
                .and_then(|()| Some((self.any(step * 10)? / self.any(step * 10 + 10)?).ln()));
            put(&format!("path_{i:02}"), r);
        }
        out
    }

    fn strike_and_market(&self, put: &mut impl FnMut(&str, Option<f64>)) {
        let nanos = |from: Timestamp, to: Timestamp| to.since(from) as f64 / 1e9;
        let close = Timestamp::from_secs(NOW_S + 180);
        let tau = nanos(self.at, close).max(1.0);
        put("tau_s", Some(tau));
        put("sqrt_tau", Some(tau.sqrt()));
        put("elapsed_s", Some(nanos(Timestamp::from_secs(NOW_S - 120), self.at)));
        put("tau_share", Some((tau / 300.0).clamp(0.0, 1.0)));
        let moneyness = self.any(0).map(|s| (s / self.strike).ln());
        put("log_moneyness", moneyness);
        let z = |vol: Option<f64>| Some((moneyness? / (vol? * tau.sqrt())).clamp(-8.0, 8.0));
        put("z_rv_300s", z(self.realised(300, 10, 15)));
        let z_900 = z(self.realised(900, 60, 60));
        put("z_rv_900s", z_900);
        put("z_rv_3600s", z(self.realised(3600, 60, 60)));
        put("z_ewma_300s", z(self.weighted(1800, 300.0)));
        put("z_gk_900s", z(self.garman_klass(15)));
        let p = z_900.map(phi);
        put("p_rv_900s", p);
        let now = self.mid(0);
        let mid = now.map(|(_, mid, _)| mid);
        put("mkt_mid", mid);
        put("mkt_logit", mid.map(|m| (m.clamp(0.005, 0.995) / (1.0 - m.clamp(0.005, 0.995))).ln()));
        put("mkt_spread", now.map(|(_, _, spread)| spread));
        put("mkt_age_s", now.map(|(known, ..)| nanos(known, self.at)));
        for seconds in [30, 60, 90] {
            put(&format!("mkt_ret_{seconds}s"), mid.and_then(|mid| Some(mid - self.mid(seconds)?.1)));
        }
        put("mkt_edge", mid.and_then(|mid| Some(mid - p?)));
    }

    fn calendar(&self, put: &mut impl FnMut(&str, Option<f64>)) {
        let s = self.at.0 as f64 / 1e9;
        let (day, week) = (s % 86_400.0 / 86_400.0, (s - 4.0 * 86_400.0) % 604_800.0 / 604_800.0);
        put("day_sin", Some((2.0 * PI * day).sin()));
        put("day_cos", Some((2.0 * PI * day).cos()));
        put("week_sin", Some((2.0 * PI * week).sin()));
        put("week_cos", Some((2.0 * PI * week).cos()));
        put("weekend", Some(f64::from(u8::from(week >= 5.0 / 7.0))));
        put("min_to_quarter", Some((900.0 - s % 900.0) / 60.0));
        put("min_to_hour", Some((3600.0 - s % 3600.0) / 60.0));
        put("min_to_funding", Some((28_800.0 - s % 28_800.0) / 60.0));
        put("min_to_midnight", Some((86_400.0 - s % 86_400.0) / 60.0));
    }
}

/// The normal distribution by its power series and, far out, its continued fraction.
fn phi(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - phi(-z);
    }
    let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
    if z < 4.0 {
        let (mut term, mut sum) = (z, z);
        for k in 1..200 {
            term *= z * z / f64::from(2 * k + 1);
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let tail = (1..200).rev().fold(0.0, |acc, k| f64::from(k) / (z + acc));
    1.0 - density / (z + tail)
}
