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
    let mut value: i64 = 0;
    let mut at = 0;
    let mut seen = 0;
    while let Some(&byte) = digits.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
        at += 1;
        seen += 1;
    }
    let mut left = decimals;
    if digits.get(at) == Some(&b'.') {
        at += 1;
        while let Some(&byte) = digits.get(at) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            if left > 0 {
                value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
                left -= 1;
            } else if digit != 0 {
                return None;
            }
            at += 1;
            seen += 1;
        }
    }
    if at != digits.len() || seen == 0 {
        return None;
    }
    if left > 0 && value != 0 {
        value = value.checked_mul(10_i64.checked_pow(u32::from(left))?)?;
    }
    Some(if negative { -value } else { value })
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
