//! Numbers and times as Kalshi writes them, as exact integers; a float is never made of one.

use schemas::Timestamp;
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::decimal;

/// Dollars in 1e-6, from a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars(pub i64);

/// Contracts in 1e-2, from a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub i64);

/// A multiplier in 1e-6, from a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor(pub u32);

/// A number's own text, e.g. a strike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verbatim(pub String);

/// An instant, from RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<std::borrow::Cow<'de, str>, D::Error> {
    // An owned string is needed where the text is read from a value or holds escapes.
    String::deserialize(deserializer).map(Into::into)
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        decimal::parse(text.as_bytes(), 6).map(Self).ok_or_else(|| D::Error::custom("dollars in a string"))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        decimal::parse(text.as_bytes(), 2).map(Self).ok_or_else(|| D::Error::custom("contracts in a string"))
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let scaled =
            decimal::parse(number.to_string().as_bytes(), 6).and_then(|value| u32::try_from(value).ok());
        scaled.map(Self).ok_or_else(|| D::Error::custom("a multiplier of at most 6 decimals"))
    }
}

impl<'de> Deserialize<'de> for Verbatim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not by way of a float: the digits count.
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        let number = raw.get().bytes().next().is_some_and(|b| b == b'-' || b.is_ascii_digit());
        if number { Ok(Self(raw.get().to_owned())) } else { Err(D::Error::custom("a number")) }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        rfc3339(&text).map(Self).ok_or_else(|| D::Error::custom("a time in RFC 3339, UTC"))
    }
}

/// An instant from RFC 3339 in UTC with up to nine decimals of a second.
pub(crate) fn rfc3339(text: &str) -> Option<Timestamp> {
    let body = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (whole, fraction) = body.split_once('.').unwrap_or((body, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    let bytes = whole.as_bytes();
    let shape = b"0000-00-00T00:00:00";
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return None;
    }
    let part = |from: usize, to: usize| whole.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let legal = (1..=12).contains(&month) && (1..=length).contains(&day);
    if !legal || hour > 23 || minute > 59 || second > 59 || !(1970..2100).contains(&year) {
        return None;
    }
    // Days since 1970-01-01 with the year starting in March, so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp::from_secs(seconds).plus(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_instants_exactly_or_not_at_all() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-08-15T01:40:00Z", Some(1_786_758_000_000_000_000)),
            ("2024-02-29T23:59:59.000000001Z", Some(1_709_251_199_000_000_001)),
            ("2026-08-09T01:45:46.229855Z", Some(1_786_239_946_229_855_000)),
            ("2026-08-15T01:40:00+00:00", Some(1_786_758_000_000_000_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-08-15T01:40:00", None),
            ("2026-08-15T01:40:00+02:00", None),
            ("2026-13-15T01:40:00Z", None),
            ("2026-08-15 01:40:00Z", None),
            ("2026-08-15T01:40:00.Z", None),
            ("", None),
        ] {
            assert_eq!(rfc3339(text).map(|at| at.0), want, "{text}");
        }
    }
}
