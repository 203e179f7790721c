//! Calendar text to seconds and back, UTC only (the proleptic Gregorian calendar); never reads a clock.

/// Seconds in a day.
const DAY: i64 = 86_400;

/// Days since 1970-01-01 of a civil date.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The civil date of a day since 1970-01-01: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Year, month, day, hour, minute, second of a Unix second.
fn parts(secs: i64) -> (i64, i64, i64, i64, i64, i64) {
    let (year, month, day) = civil_from_days(secs.div_euclid(DAY));
    let rest = secs.rem_euclid(DAY);
    (year, month, day, rest / 3_600, rest / 60 % 60, rest % 60)
}

/// `2026-06-08T00:05:00Z`.
pub fn rfc3339(secs: i64) -> String {
    let (year, month, day, hour, minute, second) = parts(secs);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `2026-06-08 00:05:16+00`, the form of Gamma's `closedTime`.
pub fn gamma_closed_time(secs: i64) -> String {
    let text = rfc3339(secs);
    text.replace('T', " ").replace('Z', "+00")
}

/// `2026-06-08`.
pub fn date(secs: i64) -> String {
    rfc3339(secs)[..10].to_owned()
}

/// `June 8, 12:05AM`, for titles (UTC).
pub fn title_time(secs: i64) -> (String, String) {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (_, m, d, h, min, _) = parts(secs);
    let half = if h < 12 { "AM" } else { "PM" };
    let hour = if h % 12 == 0 { 12 } else { h % 12 };
    (format!("{} {d}", MONTHS[(m - 1) as usize]), format!("{hour}:{min:02}{half}"))
}

/// The Unix second of `2026-06-08T00:05:16Z`, `2026-06-08T00:05:16.123Z` or `2026-06-08 00:05:16+00`; other
/// offsets than UTC are refused.
pub fn parse(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let is = |at: usize, any: &[u8]| text.as_bytes().get(at).is_some_and(|b| any.contains(b));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"T ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let days = days_from_civil(year, month, day);
    let real_day = civil_from_days(days) == (year, month, day);
    (in_range && real_day && ["Z", "+00", "+00:00"].contains(&zone))
        .then(|| days * DAY + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_venue_forms_parse_and_print() {
        for (text, want) in [
            ("2026-06-08T00:00:00Z", Some(1_780_876_800)),
            ("2026-06-08 00:00:16+00", Some(1_780_876_816)),
            ("2026-06-07T00:02:58.730402Z", Some(1_780_790_578)),
            ("1970-01-01T00:00:00+00:00", Some(0)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-06-08T24:00:00Z", None),
            ("2026-06-08T00:00:00+02:00", None),
            ("2026-06-08", None),
            ("", None),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
        assert_eq!(rfc3339(1_780_876_800), "2026-06-08T00:00:00Z");
        assert_eq!(gamma_closed_time(1_780_876_816), "2026-06-08 00:00:16+00");
        assert_eq!(title_time(1_780_876_800), ("June 8".to_owned(), "12:00AM".to_owned()));
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in (-200 * 365..200 * 365).step_by(17) {
            let secs = day * DAY + 43_210;
            assert_eq!(parse(&rfc3339(secs)), (rfc3339(secs).len() == 20).then_some(secs));
        }
    }
}
