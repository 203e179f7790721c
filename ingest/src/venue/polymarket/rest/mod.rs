//! REST answers of Gamma, the CLOB and the Data API as typed facts, and the rules of asking; it never guesses a winner.
//!
//! Numbers are read from their own digits, never through a float. A field that matters and is absent or of another kind
//! is an error with a stable code.

pub mod clob;
pub mod data;
pub mod gamma;
pub mod limits;
pub mod listing;

use schemas::Timestamp;
use serde_json::value::RawValue;

use crate::decimal;

/// Longest text of a stranger that is repeated in an error, characters.
const MAX_QUOTED: usize = 120;
/// Seconds at 2100-01-01; later times are refused.
const MAX_SECS: i64 = 4_102_444_800;

/// Why an answer could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    BadJson(String),
    /// JSON, but a field is absent or of another type.
    #[error("unexpected shape: {0}")]
    BadShape(String),
    /// A field holds what cannot be.
    #[error("{field} is unusable: {text}")]
    BadField {
        /// The field.
        field: &'static str,
        /// What it held.
        text: String,
    },
    /// Lists that belong together have different lengths.
    #[error("{field} has {got} entries, {want} are due")]
    Misaligned {
        /// The list.
        field: &'static str,
        /// Entries due.
        want: usize,
        /// Entries found.
        got: usize,
    },
    /// A market whose outcomes are not two tokens that pay 1 or 0.
    #[error("not a binary market: {0}")]
    NotBinary(String),
}

impl RestError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadJson(_) => "bad_json",
            Self::BadShape(_) => "bad_shape",
            Self::BadField { .. } => "bad_field",
            Self::Misaligned { .. } => "misaligned",
            Self::NotBinary(_) => "not_binary",
        }
    }

    fn json(error: &serde_json::Error) -> Self {
        let text = quoted(&error.to_string());
        if error.is_data() { Self::BadShape(text) } else { Self::BadJson(text) }
    }

    fn field(field: &'static str, text: &str) -> Self {
        Self::BadField { field, text: quoted(text) }
    }

    fn missing(field: &'static str) -> Self {
        Self::BadShape(format!("no {field}"))
    }
}

/// The result of reading an answer.
pub type RestResult<T> = Result<T, RestError>;

fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

/// Reads JSON into a wire form.
fn from_json<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> RestResult<T> {
    serde_json::from_slice(bytes).map_err(|error| RestError::json(&error))
}

/// A number, or a string that holds one, as an integer of 10^-`decimals`.
fn number(raw: &RawValue, field: &'static str, decimals: u8) -> RestResult<i64> {
    let text = raw.get().trim_matches('"');
    decimal::parse(text.as_bytes(), decimals).ok_or_else(|| RestError::field(field, raw.get()))
}

/// [`number`] of a field that may be absent or `null`.
fn optional(raw: Option<&RawValue>, field: &'static str, decimals: u8) -> RestResult<Option<i64>> {
    raw.map(|raw| number(raw, field, decimals)).transpose()
}

/// A JSON list inside a JSON string.
fn inner_list(text: &str, field: &'static str) -> RestResult<Vec<String>> {
    serde_json::from_str(text).map_err(|_| RestError::field(field, text))
}

/// `2026-06-08T00:05:00Z`, or `2026-06-08 00:05:00+00` as closing times are written.
fn instant(text: &str, field: &'static str) -> RestResult<Timestamp> {
    let plain = text.strip_suffix("+00").map(|head| format!("{}Z", head.replacen(' ', "T", 1)));
    let secs = super::rfc3339_secs(plain.as_deref().unwrap_or(text));
    secs.map(Timestamp::from_secs).ok_or_else(|| RestError::field(field, text))
}

fn optional_instant(text: Option<&str>, field: &'static str) -> RestResult<Option<Timestamp>> {
    text.filter(|text| !text.is_empty()).map(|text| instant(text, field)).transpose()
}

/// Seconds since the epoch as a number or a string, or a time in words.
fn epoch(raw: &RawValue, field: &'static str) -> RestResult<Timestamp> {
    let text = raw.get().trim_matches('"');
    if text.contains(['T', ' ']) {
        return instant(text, field);
    }
    let secs = decimal::parse(text.as_bytes(), 0).filter(|secs| (1..=MAX_SECS).contains(secs));
    secs.map(Timestamp::from_secs).ok_or_else(|| RestError::field(field, text))
}

fn condition_id(text: &str) -> RestResult<String> {
    let hex =
        text.strip_prefix("0x").filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hex.map(|_| text.to_owned()).ok_or_else(|| RestError::field("condition id", text))
}

/// Token ids: decimal strings of up to 78 digits, no two alike.
fn tokens(list: &[String]) -> RestResult<()> {
    let decimal = |t: &String| (1..=78).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
    let twice = |(at, token): (usize, &String)| list[..at].contains(token);
    if !list.iter().all(decimal) || list.iter().enumerate().any(twice) {
        return Err(RestError::field("token ids", &list.join(",")));
    }
    Ok(())
}
