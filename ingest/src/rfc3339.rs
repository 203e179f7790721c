//! RFC 3339 instants as venues write them, read without allocating; no offset but UTC, and nothing is ever rounded.

use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

/// `2021-04-17T16:43:37.075687Z` as an instant; 0 to 9 digits of a second, `Z` or `+00:00`.
///
/// `None` for every other form, other offsets, leap seconds and days that do not exist in the years 1970 to 2099.
pub fn parse(text: &[u8]) -> Option<Timestamp> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    for (at, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if head[at] != mark {
            return None;
        }
    }
    let (year, month, day) = (digits(&head[..4])?, digits(&head[5..7])?, digits(&head[8..10])?);
    let (hour, minute, second) = (digits(&head[11..13])?, digits(&head[14..16])?, digits(&head[17..])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let tail = tail.strip_suffix(b"Z").or_else(|| tail.strip_suffix(b"+00:00"))?;
    let nanos = match tail {
        [] => 0,
        [b'.', part @ ..] if (1..=9).contains(&part.len()) => {
            digits(part)? * 10_i64.pow(9 - u32::try_from(part.len()).ok()?)
        }
        _ => return None,
    };
    let secs = days(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Timestamp(secs.checked_mul(NANOS_PER_SEC)?.checked_add(nanos)?))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Days since 1970-01-01 of a day of the Gregorian calendar, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = *LENGTHS.get(usize::try_from(month - 1).ok()?)? + i64::from(leap && month == 2);
    if !(1970..2100).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_month = (153 * month + 2) / 5;
    // 719,468 days from 0000-03-01 to 1970-01-01.
    Some(365 * year + year / 4 - year / 100 + year / 400 + before_month + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_venues_write_and_nothing_else() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2021-04-17T16:43:37.075687Z", Some(1_618_677_817_075_687_000)),
            ("2000-02-29T23:59:59+00:00", Some(951_868_799_000_000_000)),
            ("2024-12-31T00:00:00.000000001Z", Some(1_735_603_200_000_000_001)),
            ("2026-08-09T01:45:46.229855Z", Some(1_786_239_946_229_855_000)),
            ("2026-08-15T01:40:00+00:00", Some(1_786_758_000_000_000_000)),
            ("2024-02-29T23:59:59.000000001Z", Some(1_709_251_199_000_000_001)),
            ("2023-02-29T00:00:00Z", None),
            ("2100-01-01T00:00:00Z", None),
            ("2021-04-17T16:43:37", None),
            ("2021-04-17T16:43:37.Z", None),
            ("2021-04-17T16:43:37.0756870001Z", None),
            ("2021-04-17T16:43:37+02:00", None),
            ("2021-04-17 16:43:37Z", None),
            ("2021-13-01T00:00:00Z", None),
            ("2021-00-01T00:00:00Z", None),
            ("2021-04-17T24:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), want.map(Timestamp), "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = days(1969, 12, 31).unwrap_or(-1);
        for year in 1970..2100 {
            for month in 1..=12 {
                for day in (1..=31).filter_map(|day| days(year, month, day)) {
                    assert_eq!(day, last + 1, "{year}-{month}");
                    last = day;
                }
            }
        }
    }
}
