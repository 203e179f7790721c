//! Every formula of `market-1`: values that were computed in another way, and by hand.

use forecaster::features::{Needs, NoRow, market};

use crate::naive::Naive;
use crate::world::{Fact, NOW_S, SECOND, lenient, needing, price, quote, row, secs, state, tick, walk};

/// Every feature that the second implementation knows agrees with it, missing ones included.
fn check(name: &str, facts: &[Fact], at_ns: i64) -> usize {
    let at = secs(NOW_S).plus(at_ns);
    let mut state = state(facts);
    let got = row(&mut state, at, &lenient()).unwrap();
    let want = Naive::new(facts, at, price(62_950.0).as_f64()).all();
    for (feature, want) in &want {
        let index = market::SET.position(feature).unwrap_or_else(|| panic!("no feature {feature}"));
        let there = row(&mut state, at, &needing(&[feature]));
        match want {
            None => assert!(there.is_err(), "{name}: {feature} should be missing, is {}", got[index]),
            Some(want) => {
                assert!(there.is_ok(), "{name}: {feature} should be {want}: {there:?}");
                let off = (f64::from(got[index]) - want).abs();
                assert!(off <= 2e-7 * want.abs() + 2e-12, "{name}: {feature} is {}, not {want}", got[index]);
            }
        }
    }
    want.iter().filter(|(_, want)| want.is_some()).count()
}

#[test]
fn every_formula_agrees_with_a_second_implementation() {
    let without = |facts: Vec<Fact>, from: i64, to: i64| -> Vec<Fact> {
        facts
            .into_iter()
            .filter(|(known, _)| *known < secs(NOW_S - from) || *known > secs(NOW_S - to))
            .collect()
    };
    let known = market::WIDTH - market::book::SPECS.len() - market::spot::SPECS.len();
    for seed in 0..4 {
        assert_eq!(check("whole", &walk(seed, 3700), SECOND), known, "nothing is missing");
        assert_eq!(check("between seconds", &walk(seed, 3700), 333_000_000), known);
    }
    // What is missing is missing in both.
    check("an hour and no more", &walk(9, 3599), SECOND);
    check("20 minutes", &walk(5, 1200), SECOND);
    check("a minute", &walk(6, 61), SECOND);
    check("a gap of 40 s", &without(walk(7, 3700), 200, 160), SECOND);
    check("a gap of 3 min", &without(walk(8, 3700), 400, 220), SECOND);
    check("20 s old", &without(walk(9, 3700), 20, -9), SECOND);
    check(
        "a minute candle's closes",
        &walk(3, 3700).into_iter().filter(|(k, _)| k.secs() % 60 == 0).collect::<Vec<_>>(),
        SECOND,
    );
}

#[test]
fn hand_computed_values() {
    // 100 dollars for an hour, 101 from 30 s before the instant on; strike 62,950; known at once.
    let facts: Vec<Fact> = (0..=3700)
        .rev()
        .map(|back| tick(secs(NOW_S - back), secs(NOW_S - back), if back <= 30 { 101.0 } else { 100.0 }))
        .collect();
    let r = 1.01_f64.ln();
    let cases = [
        ("ret_10s", 0.0),
        // The price at exactly 30 s back is 101 already.
        ("ret_30s", 0.0),
        ("ret_60s", r),
        ("range_300s", r),
        ("range_pos_900s", 1.0),
        // One of 30 ten-second returns is r; four of 85 overlapping minutes are.
        ("rv_300s", (r * r / 30.0 / 10.0).sqrt()),
        ("rv_900s", (4.0 * r * r / 85.0 / 60.0).sqrt()),
        // One of 15 candles: H/L = C/O = 1.01.
        ("gk_900s", (r * r * (0.5 - (2.0 * 2.0_f64.ln() - 1.0)) / 15.0 / 60.0).sqrt()),
        ("parkinson_900s", (r * r / (4.0 * 2.0_f64.ln()) / 15.0 / 60.0).sqrt()),
        // A single jump has no neighbour that moved.
        ("jump_share_900s", 1.0),
        ("autocorr_900s", 0.0),
        // 101 is r above 100, three steps back.
        ("path_28", r),
        ("path_29", 0.0),
        // 13:37 on a Monday.
        ("day_sin", (2.0 * std::f64::consts::PI * 817.0 / 1440.0).sin()),
        ("week_cos", (2.0 * std::f64::consts::PI * 817.0 / 10_080.0).cos()),
        ("weekend", 0.0),
        ("min_to_quarter", 8.0),
        ("min_to_hour", 23.0),
        ("min_to_funding", 143.0),
        ("min_to_midnight", 623.0),
        ("tau_s", 180.0),
        ("tau_share", 0.6),
    ];
    let got = row(&mut state(&facts), secs(NOW_S), &lenient()).unwrap();
    for (name, want) in cases {
        let got = f64::from(got[market::SET.position(name).unwrap()]);
        assert!((got - want).abs() <= 2e-7 * f64::abs(want) + 1e-12, "{name}: {got}, not {want}");
    }
}

#[test]
fn quotes_that_say_nothing_are_missing() {
    let at = secs(NOW_S);
    let base = || walk(1, 200).into_iter().filter(|(_, e)| !matches!(e, schemas::MarketEvent::Quote(_)));
    let mid = market::SET.position("mkt_mid").unwrap() as u8;
    let cases = [
        ("none", vec![], Err(NoRow::Missing(mid))),
        ("a minute old", vec![quote(at.plus(-60 * SECOND), 400_000, 500_000)], Ok(0.45)),
        ("older", vec![quote(at.plus(-60 * SECOND - 1), 400_000, 500_000)], Err(NoRow::Stale(mid))),
        ("crossed", vec![quote(at.plus(-SECOND), 500_000, 400_000)], Err(NoRow::Missing(mid))),
        ("above a dollar", vec![quote(at.plus(-SECOND), 900_000, 1_400_000)], Err(NoRow::Missing(mid))),
        ("not known yet", vec![quote(at.plus(1), 400_000, 500_000)], Err(NoRow::Missing(mid))),
        // Known at the same time: the last in the log counts.
        ("twice", vec![quote(at, 100_000, 200_000), quote(at, 400_000, 500_000)], Ok(0.45)),
    ];
    for (name, quotes, want) in cases {
        let facts: Vec<Fact> = base().chain(quotes).collect();
        let got = row(&mut state(&facts), at, &needing(&["mkt_mid"]));
        assert_eq!(got.map(|row| row[usize::from(mid)]), want, "{name}");
    }
}

#[test]
fn names_are_unique_and_families_have_their_sizes() {
    let set = market::SET;
    assert_eq!((set.width(), set.name, set.lookback_s), (96, "market-1", 3600));
    for (i, name) in set.names.iter().enumerate() {
        assert_eq!(set.position(name), Some(i), "{name} is there twice");
    }
    let path: Vec<usize> = (0..32).map(|i| set.position(&format!("path_{i:02}")).unwrap()).collect();
    assert_eq!(path, (64..96).collect::<Vec<_>>(), "a path is one piece of the row");
    assert!(set.specs.iter().all(|s| s.least < s.most && !s.formula.is_empty() && !s.missing.is_empty()));
    assert_eq!(Needs::all(&set).len(), 96);
}
