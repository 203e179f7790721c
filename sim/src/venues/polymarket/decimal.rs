//! Fixed-point numbers as the venue writes them; integers of 1e-6 in, decimal text out, never a float.

use std::fmt::Write as _;

/// One dollar, or one share, in the units of this twin.
pub const ONE: i64 = 1_000_000;

/// Appends `value` (1e-6) without trailing zeros; `bare` leaves the zero before the point away (`.48`), as the venue's
/// own documents do now and then.
pub fn push(out: &mut String, value: i64, bare: bool) {
    let (whole, fraction) = (value / ONE, value % ONE);
    if whole != 0 || fraction == 0 || !bare {
        write!(out, "{whole}").expect("writing to a String cannot fail");
    }
    if fraction != 0 {
        let (mut digits, mut width) = (fraction, 6);
        while digits % 10 == 0 {
            digits /= 10;
            width -= 1;
        }
        write!(out, ".{digits:0width$}").expect("writing to a String cannot fail");
    }
}

/// The text of `value` (1e-6), with its leading zero.
pub fn text(value: i64) -> String {
    let mut out = String::with_capacity(10);
    push(&mut out, value, false);
    out
}

/// The text of a scaled integer with exactly `places` decimals, e.g. (6103586, 2) is `61035.86`.
pub fn scaled(value: i64, places: usize) -> String {
    let unit = 10_i64.pow(places as u32);
    if places == 0 {
        return value.to_string();
    }
    format!("{}.{:0places$}", value / unit, value % unit)
}

/// Appends a byte string in lower-case hex.
pub fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(out, "{byte:02x}").expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_venue_does() {
        for (value, full, bare) in [
            (0, "0", "0"),
            (500_000, "0.5", ".5"),
            (480_000, "0.48", ".48"),
            (1_000, "0.001", ".001"),
            (1_000_000, "1", "1"),
            (219_217_767, "219.217767", "219.217767"),
            (150_000_000, "150", "150"),
        ] {
            assert_eq!(text(value), full);
            let mut out = String::new();
            push(&mut out, value, true);
            assert_eq!(out, bare);
        }
        assert_eq!(scaled(6_103_586, 2), "61035.86");
        assert_eq!(scaled(6_103_500_000_001, 8), "61035.00000001");
        assert_eq!(scaled(7, 0), "7");
    }
}
