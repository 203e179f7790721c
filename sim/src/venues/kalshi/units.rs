//! Kalshi's fixed-point texts: dollars, contracts, times, UUIDs. Never floating point.

use std::fmt::Write as _;

use crate::civil;

/// One dollar in price units (1e-6 dollars).
pub const DOLLAR: i64 = 1_000_000;
/// One contract in quantity units (1e-2 contracts).
pub const CONTRACT: i64 = 100;

/// A price of 1e-6 dollars as `0.4100`; six decimals where four do not suffice.
pub fn dollars(out: &mut String, price: i64) {
    let (whole, part) = (price / DOLLAR, price % DOLLAR);
    let _ = if part % 100 == 0 {
        write!(out, "{whole}.{:04}", part / 100)
    } else {
        write!(out, "{whole}.{part:06}")
    };
}

/// The same as a new text.
pub fn dollars_text(price: i64) -> String {
    let mut out = String::with_capacity(8);
    dollars(&mut out, price);
    out
}

/// A quantity of 1e-2 contracts as `-20.50`.
pub fn contracts(out: &mut String, qty: i64) {
    let sign = if qty < 0 { "-" } else { "" };
    let qty = qty.unsigned_abs();
    let _ = write!(out, "{sign}{}.{:02}", qty / 100, qty % 100);
}

/// The same as a new text.
pub fn contracts_text(qty: i64) -> String {
    let mut out = String::with_capacity(12);
    contracts(&mut out, qty);
    out
}

/// A value of 1e-8 dollars with eight decimals, the form of the index averages.
pub fn eight_decimals(value: i64) -> String {
    format!("{}.{:08}", value / 100_000_000, value % 100_000_000)
}

/// Microseconds since 1970 as `2026-07-01T02:31:45.3086Z`: zeros at the end are not written, as in the recorded session.
pub fn rfc3339_us(us: i64) -> String {
    let mut out = civil::rfc3339(us.div_euclid(1_000_000));
    let part = us.rem_euclid(1_000_000);
    if part != 0 {
        out.pop();
        let _ = write!(out, ".{part:06}");
        out.truncate(out.trim_end_matches('0').len());
        out.push('Z');
    }
    out
}

/// A text of UUID shape (version 4, variant 1) that depends on nothing but its two words.
pub fn uuid(high: u64, low: u64) -> String {
    let high = high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000;
    let low = low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// Spreads the bits of a word (the finaliser of splitmix64), for ids.
pub fn mix(word: u64) -> u64 {
    let a = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let b = (a ^ a >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    b ^ b >> 31
}
