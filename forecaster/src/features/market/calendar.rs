//! Family calendar: the time of day and week, and how long it is until times at which much is traded. All UTC.

use std::f64::consts::TAU;

use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

use super::{Frame, spec};
use crate::features::{Source, Spec};

const DAY_S: i64 = 86_400;
/// 1970-01-01 was a Thursday; weeks are counted from Monday.
const THURSDAY_S: i64 = 3 * DAY_S;

const fn wave(name: &'static str, formula: &'static str) -> Spec {
    spec(name, formula, "1", [-1.0, 1.0], Source::Clock, "never")
}

const fn minutes(name: &'static str, formula: &'static str, most: f64) -> Spec {
    spec(name, formula, "min", [0.0, most], Source::Clock, "never")
}

/// The features.
pub const SPECS: [Spec; 9] = [
    wave("day_sin", "sin(2π · second of the day / 86400)"),
    wave("day_cos", "cos(2π · second of the day / 86400)"),
    wave("week_sin", "sin(2π · second of the week / 604800), from Monday 00:00"),
    wave("week_cos", "cos(2π · second of the week / 604800), from Monday 00:00"),
    spec("weekend", "1 on Saturday and Sunday, else 0", "1", [0.0, 1.0], Source::Clock, "never"),
    minutes("min_to_quarter", "minutes until the next full quarter of an hour, above 0", 15.0),
    minutes("min_to_hour", "minutes until the next full hour, above 0", 60.0),
    minutes(
        "min_to_funding",
        "minutes until the next 00:00, 08:00 or 16:00 (funding of perpetual futures), above 0",
        480.0,
    ),
    minutes("min_to_midnight", "minutes until the next 00:00, above 0", 1440.0),
];

/// Computes them.
pub(super) fn put(at: Timestamp, frame: &mut Frame, from: usize) {
    let second = |period_s: i64, shift_s: i64| {
        at.plus(shift_s * NANOS_PER_SEC).0.rem_euclid(period_s * NANOS_PER_SEC) as f64 / NANOS_PER_SEC as f64
    };
    let day = second(DAY_S, 0) / DAY_S as f64;
    let week = second(7 * DAY_S, THURSDAY_S) / (7 * DAY_S) as f64;
    let until = |period_s: i64| (period_s as f64 - second(period_s, 0)) / 60.0;
    let values = [
        libm::sin(TAU * day),
        libm::cos(TAU * day),
        libm::sin(TAU * week),
        libm::cos(TAU * week),
        if week * 7.0 >= 5.0 { 1.0 } else { 0.0 },
        until(900),
        until(3600),
        until(28_800),
        until(DAY_S),
    ];
    for (i, value) in values.into_iter().enumerate() {
        frame.put(from + i, Ok(value));
    }
}
