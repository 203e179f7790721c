//! The guards flag what is apart, shifted, ahead or crossed, and nothing else.

use ingest::guard::{
    Latencies, OutlierConfig, OutlierGuard, OutlierVerdict, SkewConfig, SkewMeter, SkewSign, Skews,
};
use proptest::prelude::*;
use schemas::{Timestamp, Venue};

use crate::{price, secs};

fn guard(values: &[&str]) -> OutlierGuard {
    let mut guard = OutlierGuard::new(OutlierConfig::default());
    for (source, value) in values.iter().enumerate() {
        guard.note(source as u32, price(value), secs(100));
    }
    guard
}

#[test]
fn fewer_than_three_fresh_sources_say_nothing() {
    let mut two = guard(&["65000"]);
    assert_eq!(two.note(1, price("1"), secs(100)), OutlierVerdict::NoVerdict { fresh: 2 });
    // The third is there but eleven seconds old.
    let mut old = guard(&["65000", "65001"]);
    assert_eq!(old.note(2, price("1"), secs(111)), OutlierVerdict::NoVerdict { fresh: 1 });
    assert_eq!((two.flags(), old.flags()), (0, 0));
}

#[test]
fn what_is_apart_is_an_outlier_and_what_is_shifted_is_a_shift() {
    let judge = |value: &str| guard(&["65000", "65010"]).note(2, price(value), secs(101));
    let median = price("65000");
    assert_eq!(judge("65005"), OutlierVerdict::Agrees { median: price("65005") });
    assert_eq!(judge("64675"), OutlierVerdict::Agrees { median });
    assert_eq!(judge("64674"), OutlierVerdict::Outlier { median });
    assert_eq!(judge("6500.5"), OutlierVerdict::DecimalShift { median, power: 1 });
    assert_eq!(judge("0.000065"), OutlierVerdict::DecimalShift { median, power: 9 });
    assert_eq!(judge("0"), OutlierVerdict::Outlier { median });
    let median = price("65010");
    assert_eq!(judge("650050"), OutlierVerdict::DecimalShift { median, power: -1 });
    assert_eq!(judge("130000"), OutlierVerdict::Outlier { median });
}

#[test]
fn the_median_of_an_even_number_and_a_bounded_number_of_sources() {
    let mut camps = guard(&["100", "100", "200"]);
    let median = price("150");
    assert_eq!(camps.note(3, price("200"), secs(100)), OutlierVerdict::Outlier { median });
    let config = OutlierConfig { max_sources: 2, ..OutlierConfig::default() };
    let mut small = OutlierGuard::new(config);
    for source in 0..3 {
        small.note(source, price("100"), secs(100));
    }
    // The third is judged against two and not kept.
    assert_eq!(small.note(0, price("100"), secs(100)), OutlierVerdict::NoVerdict { fresh: 2 });
    // A value that comes late does not displace the newer one.
    let mut late = guard(&["100", "100", "100"]);
    assert!(late.note(2, price("7"), secs(99)).is_flag());
    assert_eq!(late.judge(0, price("100"), secs(100)), OutlierVerdict::Agrees { median: price("100") });
}

proptest! {
    #[test]
    fn a_shift_of_one_source_is_always_told(dollars in 1_i64..1_000_000, power in 1_u32..6, noise in -1_000_i128..1_000) {
        let value = schemas::IndexPrice(i128::from(dollars) * 1_000_000_000_000_000_000);
        let near = schemas::IndexPrice(value.0 + value.0 * noise / 1_000_000);
        let mut guard = OutlierGuard::new(OutlierConfig::default());
        guard.note(0, value, secs(1));
        guard.note(1, value, secs(1));
        let small = guard.note(2, schemas::IndexPrice(near.0 / 10_i128.pow(power)), secs(1));
        let want = OutlierVerdict::DecimalShift { median: value, power: power as i8 };
        prop_assert_eq!(small, want);
        let large = guard.note(2, schemas::IndexPrice(near.0 * 10_i128.pow(power)), secs(1));
        prop_assert_eq!(large, OutlierVerdict::DecimalShift { median: value, power: -(power as i8) });
    }
}

const MS: i64 = 1_000_000;

fn sent(recv_s: i64, after_ms: i64) -> (Timestamp, Timestamp) {
    (secs(recv_s), secs(recv_s).plus(-after_ms * MS))
}

#[test]
fn a_clock_ahead_of_ours_is_said_once_and_cleared_after_a_window() {
    let config = SkewConfig { part_ns: 10_000 * MS, parts: 3, tolerance_ns: 50 * MS };
    let mut meter = SkewMeter::new(config);
    let mut note = |recv_s, after_ms| {
        let (recv, venue) = sent(recv_s, after_ms);
        meter.note(recv, venue)
    };
    assert_eq!(note(100, 200), None);
    assert_eq!(note(101, -50), None, "as far as the tolerance goes");
    assert_eq!(note(102, -51), Some(SkewSign::Ahead { by_ns: 51 * MS }));
    assert_eq!(note(103, -90), None, "said");
    assert_eq!(note(129, 200), None, "the window still holds it");
    assert_eq!(note(130, 200), Some(SkewSign::Cleared));
    assert_eq!((meter.alarms(), meter.is_alarmed(), meter.least_ns()), (1, false, Some(200 * MS)));
}

#[test]
fn drift_is_the_change_of_the_minimum() {
    let mut skews = Skews::new(SkewConfig { part_ns: 10_000 * MS, parts: 2, tolerance_ns: 0 }, 1);
    for (recv_s, after_ms) in [(100, 30), (105, 20), (110, 25), (150, 28)] {
        let (recv, venue) = sent(recv_s, after_ms);
        assert_eq!(skews.note(Venue::Kalshi, 1, recv, venue), None);
    }
    let meter = skews.get(Venue::Kalshi, 1).unwrap();
    assert_eq!(meter.drift_ns(), Some((8 * MS, 50_000 * MS)));
    assert_eq!(skews.least_ns(Venue::Kalshi), Some(28 * MS));
    assert_eq!(skews.note(Venue::Kalshi, 2, secs(1), secs(9)), None, "beyond the bound");
    assert_eq!(skews.unmeasured(), 1);
}

#[test]
fn latencies_are_kept_per_connection() {
    let run = || {
        let mut latencies = Latencies::new(2);
        for n in 0..1_000 {
            let (recv, venue) = sent(100, n);
            latencies.note(Venue::Kalshi, 1, recv, venue);
        }
        latencies.note(Venue::Polymarket, 1, secs(1), secs(2));
        latencies.note(Venue::Polymarket, 2, secs(1), secs(1));
        latencies
    };
    let latencies = run();
    let all: Vec<_> = latencies.summaries().collect();
    assert_eq!(all.len(), 2);
    let kalshi = all.iter().find(|((venue, _), _)| *venue == Venue::Kalshi).unwrap().1;
    assert_eq!((kalshi.count, kalshi.negative, kalshi.least, kalshi.most), (1_000, 0, 0, 999 * MS));
    for (got, want) in [(kalshi.p50, 499), (kalshi.p95, 949), (kalshi.p99, 989)] {
        assert!(got >= want * 1_000_000 && got <= want * 1_000_000 * 33 / 32, "{got} for {want}");
    }
    let ahead = all.iter().find(|((venue, _), _)| *venue == Venue::Polymarket).unwrap().1;
    assert_eq!((ahead.negative, ahead.least, ahead.p50), (1, -1_000 * MS, 0));
    assert_eq!(latencies.unmeasured(), 1);
    assert_eq!(latencies.digest(), run().digest());
}
