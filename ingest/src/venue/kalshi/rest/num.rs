//! Numbers and times as Kalshi writes them, as exact integers; a float is never made of one.

use schemas::Timestamp;
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::{decimal, rfc3339};

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
        rfc3339::parse(text.as_bytes()).map(Self).ok_or_else(|| D::Error::custom("a time in RFC 3339, UTC"))
    }
}
