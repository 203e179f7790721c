//! Feature set `updown-1` against hand-computed values and against a slow second implementation.
#![allow(
    clippy::disallowed_methods,
    reason = "the second implementation takes its logarithms from elsewhere"
)]

use forecaster::features::NoRow;
use forecaster::features::updown::{NAMES, Target, row};
use forecaster::history::History;
use forecaster::history::Offered::{Evicted, Kept, NotPositive, OutOfOrder, Replaced};
use proptest::prelude::*;
use schemas::{IndexPrice, Timestamp};

use crate::support::{START_S, price, secs};

const MINUTE: i64 = 60_000_000_000;

fn target(at: Timestamp) -> Target {
    Target { strike: price(100.0), opens_at: at, starts_at: secs(START_S), resolves_at: secs(START_S + 300) }
}

fn history(ticks: impl IntoIterator<Item = (Timestamp, IndexPrice)>) -> History {
    let mut h = History::new(100_000);
    for (at, value) in ticks {
        h.offer(at, value);
    }
    h
}

/// A price that grows by the factor e^(rate per second) and is `end` at `START_S + 60`, one tick a second.
fn growing(end: f64, rate: f64, seconds: i64) -> History {
    let at = START_S + 60;
    history((0..=seconds).rev().map(|back| (secs(at - back), price(end * (-(back as f64) * rate).exp()))))
}

fn close(got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for ((name, g), w) in NAMES.iter().zip(got).zip(want) {
        let off = (f64::from(*g) - w).abs();
        assert!(off <= 1e-9 + w.abs() * 2e-6, "{name}: got {g}, want {w}");
    }
}

#[test]
fn hand_computed_constant_growth() {
    // ln(S/K) = ln(1.001) = 0.0009995003330835; a 60 s return is 60 * 1e-6 = 6e-5, so the volatility is
    // 6e-5 / sqrt(60) = 7.745966692e-6 and z = 0.0009995 / (7.745966692e-6 * sqrt(240)) = 8.329…, clipped to 8.
    let h = growing(100.1, 1e-6, 3700);
    let got = row(&h, &target(secs(START_S + 60)), 120_000_000_000, 5_000_000_000).unwrap();
    let vol = 7.745_966_692_414_834e-6;
    close(&got, &[0.000_999_500_333_083_5, 240.0, vol, vol, 6e-5, 3e-4, 9e-4, 8.0, 8.0, 60.0]);
    // Ten times the growth: z = 0.0009995 / (7.745966692e-5 * 15.4919334) = 0.8329169.
    let h = growing(100.1, 1e-5, 3700);
    let got = row(&h, &target(secs(START_S + 60)), 120_000_000_000, 5_000_000_000).unwrap();
    close(
        &got,
        &[
            0.000_999_500_333_083_5,
            240.0,
            vol * 10.0,
            vol * 10.0,
            6e-4,
            3e-3,
            9e-3,
            0.832_916_944,
            0.832_916_944,
            60.0,
        ],
    );
}

#[test]
fn hand_computed_single_jump() {
    // 100 for an hour, 101 from 30 s before the opening: the jump is in the returns that end 0, 10, 20 and 30 s
    // back (at exactly 30 s back the price is already 101): 4 of 85, and 4 of 355.
    let at = START_S + 60;
    let h = history(
        (0..=3700).rev().map(|back| (secs(at - back), price(if back <= 30 { 101.0 } else { 100.0 }))),
    );
    let got = row(&h, &target(secs(at)), 0, MINUTE).unwrap();
    let r = 1.01_f64.ln();
    let (v15, v60) = ((4.0 * r * r / 85.0 / 60.0).sqrt(), (4.0 * r * r / 355.0 / 60.0).sqrt());
    let z = |v: f64| (r / (v * 240.0_f64.sqrt())).min(8.0);
    close(&got, &[r, 240.0, v15, v60, r, r, r, z(v15), z(v60), 60.0]);
}

#[test]
fn a_still_index_has_the_floor_volatility() {
    let h = history((0..=600).map(|s| (secs(START_S - 540 + s), price(100.0))));
    let got = row(&h, &target(secs(START_S + 60)), 0, MINUTE).unwrap();
    close(&got, &[0.0, 240.0, 1e-7, 1e-7, 0.0, 0.0, 0.0, 0.0, 0.0, 60.0]);
}

#[test]
fn windows_fall_back_to_the_longest_history() {
    // 200 s of history: every window longer than that uses 200 s.
    let h = growing(100.0, 1e-5, 200);
    let got = row(&h, &target(secs(START_S + 60)), 120_000_000_000, MINUTE).unwrap();
    let vol = 7.745_966_692_414_834e-5;
    close(&got, &[0.0, 240.0, vol, vol, 6e-4, 2e-3, 2e-3, 0.0, 0.0, 60.0]);
}

#[test]
fn what_gives_no_row() {
    let at = START_S + 60;
    let second = 1_000_000_000;
    let long = || growing(100.0, 1e-6, 3700);
    let opens = |s: i64| target(secs(s));
    let cases: Vec<(&str, History, Target, Result<(), NoRow>)> = vec![
        ("enough", growing(100.0, 1e-6, 120), opens(at), Ok(())),
        ("a second short", growing(100.0, 1e-6, 119), opens(at), Err(NoRow::ShortHistory)),
        ("no tick", History::new(10), opens(at), Err(NoRow::NoTick)),
        ("all ticks later", long(), opens(at - 4000), Err(NoRow::NoTick)),
        ("5 s old", long(), opens(at + 5), Ok(())),
        ("6 s old", long(), opens(at + 6), Err(NoRow::StaleInput)),
        ("no strike", long(), Target { strike: IndexPrice(0), ..opens(at) }, Err(NoRow::NotFinite(0))),
        ("negative strike", long(), Target { strike: IndexPrice(-1), ..opens(at) }, Err(NoRow::NotFinite(0))),
    ];
    for (name, history, target, want) in cases {
        let got = row(&history, &target, 120 * second, 5 * second).map(|_| ());
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn time_left_is_at_least_a_second() {
    let t = Target { resolves_at: secs(START_S + 60), ..target(secs(START_S + 60)) };
    assert_eq!(row(&growing(100.0, 1e-6, 3700), &t, 0, MINUTE).unwrap()[1], 1.0);
}

#[test]
fn ticks_after_the_opening_change_nothing() {
    let mut h = growing(100.0, 1e-6, 3700);
    let t = target(secs(START_S + 60));
    let before = row(&h, &t, 0, MINUTE).unwrap();
    for s in 61..70 {
        h.offer(secs(START_S + s), price(200.0));
    }
    assert_eq!(row(&h, &t, 0, MINUTE).unwrap(), before);
}

#[test]
fn the_ring_drops_by_rule_and_says_so() {
    let mut h = History::new(3);
    let mut offer = |s: i64, dollars: f64| h.offer(secs(s), price(dollars));
    let got = [
        offer(10, 1.0),
        offer(10, 2.0),
        offer(9, 1.0),
        offer(11, 0.0),
        offer(12, 1.0),
        offer(13, 1.0),
        offer(14, 1.0),
    ];
    assert_eq!(got, [Kept, Replaced, OutOfOrder, NotPositive, Kept, Kept, Evicted]);
    assert_eq!((h.len(), h.oldest().unwrap().at), (3, secs(12)));
    // What no window reaches goes without being counted; the tick at the horizon stays.
    assert_eq!(h.offer(secs(10_000), price(1.0)), Kept);
    assert_eq!((h.len(), h.oldest().unwrap().at), (2, secs(14)));
}

/// The definition, word by word, in quadratic time.
fn slow(ticks: &[(Timestamp, IndexPrice)], t: &Target) -> Vec<f64> {
    let at = |instant: Timestamp| {
        let known = ticks.iter().filter(|(when, _)| *when <= instant);
        known.max_by_key(|(when, _)| *when).map(|(_, v)| v.0 as f64 / 1e18).unwrap()
    };
    let oldest = ticks.iter().map(|(when, _)| *when).min().unwrap();
    let have = (t.opens_at.0 - oldest.0) as f64 / 1e9;
    let back = |s: f64| Timestamp(t.opens_at.0 - (s * 1e9).round() as i64);
    let s = at(t.opens_at);
    let vol = |window: f64| {
        let window = window.min(have);
        let mut squares = Vec::new();
        let mut end = 0.0;
        while end + 60.0 <= window + 1e-9 {
            squares.push((at(back(end)) / at(back(end + 60.0))).ln().powi(2));
            end += 10.0;
        }
        (squares.iter().sum::<f64>() / squares.len() as f64 / 60.0).sqrt().max(1e-7)
    };
    let ret = |window: f64| (s / at(back(window.min(have)))).ln();
    let m = (s / (t.strike.0 as f64 / 1e18)).ln();
    let tau = ((t.resolves_at.0 - t.opens_at.0) as f64 / 1e9).max(1.0);
    let z = |v: f64| (m / (v * tau.sqrt())).clamp(-8.0, 8.0);
    let elapsed = (t.opens_at.0 - t.starts_at.0) as f64 / 1e9;
    vec![
        m,
        tau,
        vol(900.0),
        vol(3600.0),
        ret(60.0),
        ret(300.0),
        ret(900.0),
        z(vol(900.0)),
        z(vol(3600.0)),
        elapsed,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn equals_the_slow_implementation(
        steps in prop::collection::vec((0_i64..20_000, -300_i64..300), 40..700),
        late_ms in 0_i64..4_000,
        strike in 60_000.0_f64..66_000.0,
    ) {
        let (mut at, mut dollars) = (START_S * 1000, 63_000.0_f64);
        let mut ticks = Vec::new();
        for (ms, move_bp) in steps {
            at += ms;
            dollars *= 1.0 + move_bp as f64 * 1e-6;
            ticks.push((Timestamp::from_millis(at), price(dollars)));
        }
        let opens_at = Timestamp::from_millis(at + late_ms);
        // The newest of two ticks with one time counts, as it does in the ring.
        ticks.reverse();
        ticks.dedup_by_key(|(when, _)| *when);
        ticks.reverse();
        let t = Target {
            strike: price(strike),
            opens_at,
            starts_at: opens_at.plus(-MINUTE),
            resolves_at: opens_at.plus(4 * MINUTE),
        };
        let h = history(ticks.iter().copied());
        // The ring forgets what no window can reach; what the windows see must be the same.
        match row(&h, &t, 120_000_000_000, MINUTE) {
            Ok(got) => close(&got, &slow(&ticks, &t)),
            Err(no) => prop_assert_eq!(no, NoRow::ShortHistory),
        }
    }
}
