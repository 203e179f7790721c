//! Polymarket: the market channel, the RTDS index streams and the REST objects; this module never sends an order.

pub mod gamma;
pub mod history;
mod index;
pub mod market;
pub mod market_wire;
pub mod rest;
pub mod rtds;
pub mod rtds1_tape;
pub mod rtds2;

pub use history::History;
pub use market::{Polymarket, PolymarketConfig};
pub use rtds1_tape::{RtdsV1, RtdsV1Config};
pub use rtds2::{RtdsV2, RtdsV2Config};

/// Seconds since the Unix epoch of `2026-06-08T00:05:00Z`; a fraction of a second is allowed and dropped.
///
/// `None` for any other form or offset, and for days that do not exist in the years 1970 to 2099.
pub fn rfc3339_secs(text: &str) -> Option<i64> {
    let body = text.strip_suffix('Z')?;
    let (body, fraction) = body.split_once('.').unwrap_or((body, "0"));
    let bytes = body.as_bytes();
    let shape = b"0000-00-00T00:00:00";
    let fits = |(&b, &s): (&u8, &u8)| if s == b'0' { b.is_ascii_digit() } else { b == s };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| body.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_since_epoch(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let length = |m: i64| match m {
        4 | 6 | 9 | 11 => 30,
        2 if leap(year) => 29,
        2 => 28,
        _ => 31,
    };
    if !(1970..2100).contains(&year) || !(1..=12).contains(&month) || !(1..=length(month)).contains(&day) {
        return None;
    }
    let years: i64 = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum();
    let months: i64 = (1..month).map(length).sum();
    Some(years + months + day - 1)
}
