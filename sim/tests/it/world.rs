//! Made-up days: repeatable, lifelike, and blind to the future.

use schemas::{Digest, Timestamp};
use sim::{Day, WorldConfig, gamma};

fn day(seed: u64, hours: u64) -> Day {
    Day::simulated(WorldConfig { seed, length_s: hours * 3_600, ..WorldConfig::default() })
}

/// Everything a day says, as bytes.
fn digest(day: &Day) -> Digest {
    let mut parts = vec![format!("{} {} {}", day.symbol, day.slug_prefix, day.interval_s)];
    parts.extend(day.ticks().iter().map(|t| format!("{t:?}")));
    for m in &day.markets {
        parts.push(format!("{m:?}"));
        parts.push(gamma::event(day, m, m.starts_at.plus(100_000_000_000)).unwrap());
    }
    Digest::of(parts.join("\n").as_bytes())
}

#[test]
fn same_seed_same_day_on_every_machine() {
    assert_eq!(digest(&day(7, 2)), digest(&day(7, 2)));
    assert_ne!(digest(&day(7, 2)), digest(&day(8, 2)));
    insta::assert_snapshot!(digest(&day(7, 2)), @"51577172f71c117425f15e51d7ad7e6c4799af3e96e5b2cf18a0e03bdd514e8d");
}

/// Squared and fourth power of the returns over `step` seconds on a grid of `step` seconds.
fn moments(day: &Day, step: i64) -> (f64, f64) {
    let at = |second: i64| {
        let i = day.ticks().binary_search_by_key(&(second * 1_000), |t| t.feed_ms).ok()?;
        Some(libm::log(day.ticks()[i].full.as_f64()))
    };
    let (from, to) = (day.ticks()[0].feed_ms / 1_000, day.ticks().last().unwrap().feed_ms / 1_000);
    let returns: Vec<f64> =
        (from..to - step).step_by(step as usize).filter_map(|s| Some(at(s + step)? - at(s)?)).collect();
    let mean = |power: i32| returns.iter().map(|r| r.powi(power)).sum::<f64>() / returns.len() as f64;
    (mean(2), mean(4))
}

#[test]
fn a_made_up_day_looks_like_a_real_one() {
    let mut vols = Vec::new();
    for seed in 0..6 {
        let day = day(seed, 24);
        let (second, fourth) = moments(&day, 60);
        let vol = libm::sqrt(second * 31_557_600.0 / 60.0);
        assert!((0.25..0.95).contains(&vol), "seed {seed}: annual volatility {vol}");
        assert!(fourth / second / second > 3.3, "seed {seed}: kurtosis {}", fourth / second / second);
        vols.push(vol);
        let expected = 86_400 + 900 + 60;
        let share = day.ticks().len() as f64 / f64::from(expected);
        assert!((0.96..0.99).contains(&share), "seed {seed}: share of seconds {share}");
        let mut lags: Vec<i64> = day.ticks().iter().map(|t| t.recv_ms - t.feed_ms).collect();
        lags.sort_unstable();
        let (low, median, high) = (lags[lags.len() / 10], lags[lags.len() / 2], lags[lags.len() * 9 / 10]);
        assert!(low > 900 && (1_100..1_350).contains(&median) && high < 1_700, "{low} {median} {high}");
        let longest = day.ticks().windows(2).map(|w| w[1].feed_ms - w[0].feed_ms).max().unwrap();
        assert!((10_000..130_000).contains(&longest), "seed {seed}: longest gap {longest} ms");
        let ups = day.markets.iter().filter(|m| m.official == Some(true)).count();
        assert!((100..188).contains(&ups), "seed {seed}: {ups} of {} are Up", day.markets.len());
    }
    let mean = vols.iter().sum::<f64>() / vols.len() as f64;
    assert!((0.40..0.60).contains(&mean), "annual volatility {vols:?}");
}

#[test]
fn volatility_clusters_and_returns_have_a_little_memory() {
    let (mut clustered, mut memory) = (0.0, 0.0);
    for seed in 0..4 {
        let day = day(seed, 24);
        let ticks = day.ticks();
        let step = |w: &[sim::Tick]| libm::log(w[1].full.as_f64() / w[0].full.as_f64());
        let returns: Vec<f64> = ticks.windows(2).map(step).collect();
        let scale = returns.iter().map(|r| r * r).sum::<f64>();
        memory += returns.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / scale;
        let calm: Vec<f64> =
            returns.chunks_exact(60).map(|c| libm::sqrt(c.iter().map(|r| r * r).sum::<f64>())).collect();
        let mean = calm.iter().sum::<f64>() / calm.len() as f64;
        let cov = calm.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>();
        clustered += cov / calm.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>();
    }
    assert!(memory / 4.0 > 0.15 && memory / 4.0 < 0.5, "one-second memory {}", memory / 4.0);
    assert!(clustered / 4.0 > 0.2, "clustering of one-minute volatility {}", clustered / 4.0);
}

#[test]
fn markets_settle_by_the_rule_and_strikes_are_ticks() {
    let day = day(3, 24);
    let mut without = 0;
    for m in &day.markets {
        let value = |ms: i64| day.ticks().iter().find(|t| t.feed_ms == ms).map(|t| t.full);
        assert_eq!(m.strike, value(m.starts_at.millis()), "{}", m.slug);
        let Some(strike) = m.strike else {
            without += 1;
            continue;
        };
        let closing = day.ticks().iter().rev().find(|t| t.feed_ms <= m.ends_at.millis()).unwrap();
        assert_eq!(m.official, Some(closing.full >= strike), "{}", m.slug);
        assert!(m.strike_known_at > m.starts_at && m.resolved_at.since(m.ends_at) >= 15_000_000_000);
        assert!(closing.recv_ms < m.resolved_at.millis());
    }
    assert!((1..20).contains(&without), "{without} markets without a strike");
    assert_eq!(day.markets.len(), 288);
}

#[test]
fn ids_and_values_have_the_venues_form() {
    let day = day(1, 2);
    assert_eq!(
        (day.symbol.as_str(), day.slug_prefix.as_str(), day.interval_s),
        ("btc/usd", "btc-updown-5m", 300)
    );
    assert!(day.markets[0].starts_at.millis() - day.ticks()[0].feed_ms >= 600_000);
    for m in &day.markets {
        assert_eq!(m.slug, format!("btc-updown-5m-{}", m.starts_at.secs()));
        let hex = m.condition_id.strip_prefix("0x").unwrap();
        assert!(hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        for token in &m.token_ids {
            assert!((70..=78).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_digit()), "{token}");
        }
        assert_ne!(m.token_ids[0], m.token_ids[1]);
        let object: serde_json::Value = serde_json::from_str(&m.final_json).unwrap();
        assert_eq!(object["eventStartTime"], sim::civil::rfc3339(m.starts_at.secs()));
        assert_eq!(object["endDate"], sim::civil::rfc3339(m.ends_at.secs()));
        assert!(object["resolutionSource"].as_str().unwrap().ends_with("/btc-usd"));
    }
    let digits = |t: &sim::Tick| t.full.0.to_string().trim_end_matches('0').len();
    assert!(
        day.ticks().iter().filter(|t| (13..=17).contains(&digits(t))).count() * 10 > day.ticks().len() * 9
    );
    assert!(day.ticks().windows(2).all(|w| w[0].recv_ms < w[1].recv_ms && w[0].feed_ms < w[1].feed_ms));
}

#[test]
fn a_start_between_markets_is_rounded_up_and_a_day_has_a_market() {
    for (start, length_s, first, count) in
        [(1_780_876_800, 300, 1_780_876_800, 1), (1_780_876_801, 3_000, 1_780_877_100, 10), (0, 0, 0, 1)]
    {
        let start = Timestamp::from_secs(start);
        let day = Day::simulated(WorldConfig { start, length_s, ..WorldConfig::default() });
        assert_eq!((day.markets[0].starts_at, day.markets.len()), (Timestamp::from_secs(first), count));
    }
}

/// A longer day with the same seed begins with the shorter one: whatever is served before the shorter one ends must
/// be equal, so nothing served can depend on what comes later.
#[test]
fn nothing_served_depends_on_the_future() {
    let (short, long) = (day(5, 1), day(5, 3));
    let n = short.ticks().len();
    assert_eq!(short.ticks(), &long.ticks()[..n]);
    let mut quoted = 0;
    for (a, b) in short.markets.iter().zip(&long.markets) {
        assert_eq!(a.final_json, b.final_json);
        for second in (-600..330).step_by(7) {
            let now = a.starts_at.plus(second * 1_000_000_000);
            let served = gamma::event(&short, a, now);
            assert_eq!(served, gamma::event(&long, b, now), "{} at {second}", a.slug);
            quoted += usize::from(served.unwrap().contains("bestBid"));
        }
    }
    assert!(quoted > 1_000);
}

#[test]
fn an_asset_that_would_break_a_frame_is_cleaned() {
    for (asset, symbol) in [("eth", "eth/usd"), ("b\"t\\c/ ", "btc/usd"), ("", "btc/usd"), ("SOL", "btc/usd")]
    {
        let config = WorldConfig { asset: asset.to_owned(), length_s: 300, ..WorldConfig::default() };
        let day = Day::simulated(config);
        assert_eq!(day.symbol, symbol);
        assert_eq!(day.markets[0].slug, format!("{}-{}", day.slug_prefix, day.markets[0].starts_at.secs()));
    }
}

#[test]
fn quotes_are_one_or_two_cents_wide_and_inform() {
    let day = day(9, 24);
    let quotes = day.quotes().unwrap();
    let (mut brier, mut climate, mut n) = (0.0, 0.0, 0.0);
    for m in &day.markets {
        let now = m.starts_at.plus(240_000_000_000);
        let q = quotes.at(&day, m, now).unwrap();
        assert!(
            q.bid >= 1
                && q.ask <= 99
                && (1..=2).contains(&(q.ask - q.bid))
                && (q.bid..=q.ask).contains(&q.last)
        );
        assert_eq!(Some(q), quotes.at(&day, m, now));
        let mid = f64::from(q.bid + q.ask) / 200.0;
        let y = f64::from(u8::from(m.official == Some(true)));
        brier += (mid - y) * (mid - y);
        climate += (0.5 - y) * (0.5 - y);
        n += 1.0;
        assert_eq!(quotes.at(&day, m, m.resolved_at), None);
        // Three hours ahead nobody knows anything.
        let early = quotes.at(&day, &day.markets[day.markets.len() - 1], day.begins_at()).unwrap();
        assert!((40..=60).contains(&early.bid));
    }
    assert!(brier / n < 0.15 && brier < climate, "Brier score of the quotes at 240 s: {}", brier / n);
}
