//! Decimal text as integers, exactly or not at all; never a float.

/// Largest number of decimals.
pub const MAX_DECIMALS: u8 = 18;

/// `text` as an integer of 10^-`decimals`.
///
/// Takes `-12.5`, `.48` and `7.`-less forms as venues write them; digits beyond `decimals` must be zeros. `None` for
/// exponents, signs other than a leading `-`, empty text, and what does not fit.
#[inline]
pub fn parse(text: &[u8], decimals: u8) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // Up to 18 digits cannot overflow 64 bits.
    let (value, places) = if digits.len() <= 18 { short(digits)? } else { long(digits, decimals)? };
    let value = match decimals.checked_sub(places) {
        Some(0) => value,
        Some(up) if value == 0 && up <= MAX_DECIMALS => 0,
        Some(up) => value.checked_mul(power(up)?)?,
        None => exactly(value, places - decimals)?,
    };
    Some(if negative { -value } else { value })
}

/// 10^`exponent`, if 64 bits hold it.
#[inline]
fn power(exponent: u8) -> Option<i64> {
    const POWERS: [i64; 19] = {
        let mut powers = [1; 19];
        let mut at = 1;
        while at < powers.len() {
            powers[at] = powers[at - 1] * 10;
            at += 1;
        }
        powers
    };
    POWERS.get(usize::from(exponent)).copied()
}

/// `value` without its last `places` digits, which must be zeros.
fn exactly(value: i64, places: u8) -> Option<i64> {
    let divisor = power(places)?;
    (value % divisor == 0).then(|| value / divisor)
}

/// All digits as one integer and how many stand behind the point.
#[inline]
fn short(digits: &[u8]) -> Option<(i64, u8)> {
    let (mut value, mut point, mut seen) = (0_i64, None, 0_usize);
    for (at, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + i64::from(digit);
            seen += 1;
        } else if byte == b'.' && point.is_none() {
            point = Some(at);
        } else {
            return None;
        }
    }
    let places = point.map_or(0, |at| digits.len() - at - 1);
    (seen > 0).then_some((value, places as u8))
}

/// The same for long texts; zeros beyond `decimals` are dropped before they can overflow.
#[cold]
fn long(digits: &[u8], decimals: u8) -> Option<(i64, u8)> {
    let (mut value, mut places, mut point, mut seen) = (0_i64, 0_u8, false, false);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if byte == b'.' && !point {
            point = true;
        } else if digit > 9 {
            return None;
        } else if point && places == decimals {
            seen = true;
            if digit != 0 {
                return None;
            }
        } else {
            value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
            seen = true;
            places += u8::from(point);
        }
    }
    seen.then_some((value, places))
}

/// How many digits stand behind the point.
pub fn places(text: &[u8]) -> u8 {
    let point = text.iter().position(|&b| b == b'.');
    point.map_or(0, |at| u8::try_from(text.len() - at - 1).unwrap_or(u8::MAX))
}

/// `value` counted in 10^-`decimals` as text, without trailing zeros.
pub fn print(value: i64, decimals: u8) -> String {
    let scale = 10_u64.pow(u32::from(decimals.min(MAX_DECIMALS)));
    let sign = if value < 0 { "-" } else { "" };
    let (whole, part) = (value.unsigned_abs() / scale, value.unsigned_abs() % scale);
    if part == 0 {
        return format!("{sign}{whole}");
    }
    let part = format!("{part:0width$}", width = usize::from(decimals));
    format!("{sign}{whole}.{}", part.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_venues_write() {
        for (text, decimals, want) in [
            ("0.4100", 6, Some(410_000)),
            (".48", 6, Some(480_000)),
            ("-20.50", 2, Some(-2_050)),
            ("1406474.86", 2, Some(140_647_486)),
            ("0.123456", 4, None),
            ("0.120000", 2, Some(12)),
            ("17", 0, Some(17)),
            ("17.0", 0, Some(17)),
            ("0", 18, Some(0)),
            ("", 2, None),
            (".", 2, None),
            ("-", 2, None),
            ("+1", 2, None),
            ("1e5", 2, None),
            (" 1", 2, None),
            ("9223372036854775807", 0, Some(i64::MAX)),
            ("9223372036854775808", 0, None),
            ("99999999999999999999", 2, None),
            ("1", 19, None),
            ("1.5.0", 6, None),
            ("0.000000000000000000000000", 6, Some(0)),
            ("1.000000000000000000000001", 6, None),
            ("12345678901.1234567890", 10, None),
            ("-0.5", 1, Some(-5)),
            ("--5", 1, None),
        ] {
            assert_eq!(parse(text.as_bytes(), decimals), want, "{text} {decimals}");
        }
    }

    #[test]
    fn counts_places_and_prints() {
        assert_eq!((places(b"0.05005"), places(b"7"), places(b".5")), (5, 0, 1));
        assert_eq!(print(-2_050, 2), "-20.5");
        assert_eq!(print(410_000, 6), "0.41");
        assert_eq!(print(7, 0), "7");
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_is_read_again(value in i64::MIN + 1..i64::MAX, decimals in 0_u8..=18) {
            proptest::prop_assert_eq!(parse(print(value, decimals).as_bytes(), decimals), Some(value));
        }
    }
}
