//! A JSON reader for frames whose shape is known: borrows everything, allocates nothing, never guesses.
//!
//! RFC 8259, with two refusals on purpose: escaped keys, and escapes in values that are read with [`Scan::plain`]; no
//! venue sends either, and a refusal is quarantined where a guess would be silent. Values nobody asks for are checked
//! for their structure and skipped.

use crate::decimal;

/// Deepest nesting that is skipped.
const MAX_DEPTH: u32 = 64;

/// Why a frame could not be read; `at` is the byte it was noticed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanError {
    /// Byte offset.
    pub at: usize,
    /// What was expected or wrong.
    pub what: &'static str,
}

type Result<T> = std::result::Result<T, ScanError>;

/// A cursor over one JSON document.
///
/// ```
/// # use ingest::scan::Scan;
/// let mut scan = Scan::new(br#"{"type":"ok","sid":7,"more":[1,{"a":null}]}"#);
/// let (mut kind, mut sid) = (None, None);
/// scan.object()?;
/// while let Some(key) = scan.key()? {
///     match key {
///         b"type" => kind = Some(scan.plain()?),
///         b"sid" => sid = Some(scan.integer()?),
///         _ => scan.skip()?,
///     }
/// }
/// scan.end()?;
/// assert_eq!((kind, sid), (Some(&b"ok"[..]), Some(7)));
/// # Ok::<(), ingest::scan::ScanError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// An object or array was just opened: no comma comes before its first member.
    fresh: bool,
}

/// Eight times `byte`.
const fn splat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Non-zero iff one of the eight bytes is `"`, `\` or a control character; the lowest set bit is in the first one.
#[inline]
const fn special(word: u64) -> u64 {
    const HIGH: u64 = splat(0x80);
    let quote = zero_bytes(word ^ splat(b'"'));
    let slash = zero_bytes(word ^ splat(b'\\'));
    let control = word.wrapping_sub(splat(0x20)) & !word;
    (quote | slash | control) & HIGH
}

#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(splat(0x01)) & !word
}

impl<'a> Scan<'a> {
    /// A cursor at the start of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, fresh: false }
    }

    /// The byte offset reached.
    pub const fn at(&self) -> usize {
        self.at
    }

    #[cold]
    fn fail<T>(&self, what: &'static str) -> Result<T> {
        Err(ScanError { at: self.at, what })
    }

    /// An error at this place in the caller's words.
    #[cold]
    pub fn error(&self, what: &'static str) -> ScanError {
        ScanError { at: self.at, what }
    }

    /// The next byte that is not white space, not consumed.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte > b' ' => Some(byte),
            _ => self.peek_far(),
        }
    }

    /// The same where white space comes first, which venues do not send.
    #[cold]
    fn peek_far(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn eat(&mut self, byte: u8, what: &'static str) -> Result<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.fail(what)
        }
    }

    /// Opens an object; read its members with [`Scan::key`].
    #[inline]
    pub fn object(&mut self) -> Result<()> {
        self.eat(b'{', "an object was expected")?;
        self.fresh = true;
        Ok(())
    }

    /// Opens an array; read its members with [`Scan::item`].
    #[inline]
    pub fn array(&mut self) -> Result<()> {
        self.eat(b'[', "an array was expected")?;
        self.fresh = true;
        Ok(())
    }

    /// The next key of the open object, its value comes next; `None` closes the object.
    #[inline]
    pub fn key(&mut self) -> Result<Option<&'a [u8]>> {
        if !self.next(b'}')? {
            return Ok(None);
        }
        let key = self.string()?;
        let Text::Plain(key) = key else { return self.fail("a key with an escape") };
        self.eat(b':', "a colon was expected")?;
        Ok(Some(key))
    }

    /// Whether the open array has another member, which comes next; `false` closes the array.
    #[inline]
    pub fn item(&mut self) -> Result<bool> {
        self.next(b']')
    }

    /// Moves to the next member, or over the closing bracket.
    #[inline]
    fn next(&mut self, close: u8) -> Result<bool> {
        let fresh = std::mem::replace(&mut self.fresh, false);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !fresh => {
                self.at += 1;
                // A comma promises a member.
                if self.peek() == Some(close) { self.fail("a comma before the end") } else { Ok(true) }
            }
            Some(_) if fresh => Ok(true),
            _ => self.fail("a comma or the end was expected"),
        }
    }

    /// Nothing but white space is left.
    #[inline]
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { self.fail("text after the end") }
    }

    /// Whether the next value is `null`; consumed if so.
    #[inline]
    pub fn null(&mut self) -> Result<bool> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word(b"null")?;
        Ok(true)
    }

    /// Whether the next value begins with this byte (`"`, `{`, `[`, `t`, ...); not consumed.
    #[inline]
    pub fn starts(&mut self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    /// A boolean.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.peek() {
            Some(b't') => self.word(b"true").map(|()| true),
            Some(b'f') => self.word(b"false").map(|()| false),
            _ => self.fail("true or false was expected"),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word) {
            return self.fail("not a JSON value");
        }
        self.at = end;
        self.fresh = false;
        Ok(())
    }

    /// A string without escapes, its bytes as they stand.
    #[inline]
    pub fn plain(&mut self) -> Result<&'a [u8]> {
        self.fresh = false;
        match self.string()? {
            Text::Plain(text) => Ok(text),
            Text::Escaped(_) => self.fail("an escape where none is expected"),
        }
    }

    /// Any string, unescaped; must be UTF-8.
    pub fn text(&mut self) -> Result<std::borrow::Cow<'a, str>> {
        self.fresh = false;
        let text = self.string()?;
        let owned = match text {
            Text::Plain(raw) => {
                return std::str::from_utf8(raw).map(Into::into).or_else(|_| self.fail("not UTF-8"));
            }
            Text::Escaped(quoted) => serde_json::from_slice::<String>(quoted),
        };
        owned.map(Into::into).or_else(|_| self.fail("a bad escape"))
    }

    #[inline]
    fn string(&mut self) -> Result<Text<'a>> {
        self.eat(b'"', "a string was expected")?;
        let start = self.at;
        let mut at = start;
        let end = loop {
            let Some(chunk) = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) else {
                break self.string_end(at)?;
            };
            let found = special(u64::from_le_bytes(*chunk));
            if found != 0 {
                break at + (found.trailing_zeros() / 8) as usize;
            }
            at += 8;
        };
        self.at = end;
        match self.bytes.get(end) {
            Some(b'"') => {
                self.at = end + 1;
                Ok(Text::Plain(&self.bytes[start..end]))
            }
            Some(b'\\') => self.escaped(start),
            Some(_) => self.fail("a control character in a string"),
            None => self.fail("a string without an end"),
        }
    }

    /// The first special byte among the last seven, or the end of the document.
    fn string_end(&mut self, from: usize) -> Result<usize> {
        let rest = &self.bytes[from.min(self.bytes.len())..];
        let special = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f));
        special.map_or_else(
            || {
                self.at = self.bytes.len();
                self.fail("a string without an end")
            },
            |at| Ok(from + at),
        )
    }

    #[cold]
    fn escaped(&mut self, start: usize) -> Result<Text<'a>> {
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(0..=0x1f) => return self.fail("a control character in a string"),
                Some(_) => self.at += 1,
                None => return self.fail("a string without an end"),
            }
        }
        self.at += 1;
        Ok(Text::Escaped(&self.bytes[start - 1..self.at]))
    }

    /// A number's own digits.
    #[inline]
    pub fn number(&mut self) -> Result<&'a [u8]> {
        self.fresh = false;
        self.peek();
        let start = self.at;
        let digits = |scan: &mut Self| {
            let from = scan.at;
            while scan.bytes.get(scan.at).is_some_and(u8::is_ascii_digit) {
                scan.at += 1;
            }
            scan.at - from
        };
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let first = self.bytes.get(self.at).copied();
        let whole = digits(self);
        if whole == 0 || (whole > 1 && first == Some(b'0')) {
            return self.fail("a number was expected");
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if digits(self) == 0 {
                return self.fail("digits were expected");
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if digits(self) == 0 {
                return self.fail("digits were expected");
            }
        }
        Ok(&self.bytes[start..self.at])
    }

    /// An integer number that fits.
    #[inline]
    pub fn integer(&mut self) -> Result<i64> {
        // The common case in one pass: up to 18 digits without sign, point or exponent.
        self.peek();
        let digits = &self.bytes[self.at.min(self.bytes.len())..];
        let (mut value, mut len) = (0_i64, 0);
        while let Some(digit) = digits.get(len).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
            len += 1;
        }
        let plain = !matches!(digits.get(len), Some(b'.' | b'e' | b'E' | b'-'));
        let zero = digits.first() == Some(&b'0') && len > 1;
        if len > 0 && len <= 18 && plain && !zero {
            self.at += len;
            self.fresh = false;
            return Ok(value);
        }
        let text = self.number()?;
        decimal::parse(text, 0).map_or_else(|| self.fail("an integer was expected"), Ok)
    }

    /// A string that holds an integer, e.g. a time in milliseconds.
    #[inline]
    pub fn quoted_integer(&mut self) -> Result<i64> {
        let text = self.plain()?;
        decimal::parse(text, 0).map_or_else(|| self.fail("an integer in a string was expected"), Ok)
    }

    /// A string that holds a decimal, as an integer of 10^-`decimals`. Never rounds: more digits are an error, except
    /// zeros.
    #[inline]
    pub fn decimal(&mut self, decimals: u8) -> Result<i64> {
        let text = self.plain()?;
        decimal::parse(text, decimals).map_or_else(|| self.fail("a decimal in a string was expected"), Ok)
    }

    /// A number, as an integer of 10^-`decimals`; as strict as [`Scan::decimal`].
    #[inline]
    pub fn decimal_number(&mut self, decimals: u8) -> Result<i64> {
        let text = self.number()?;
        decimal::parse(text, decimals).map_or_else(|| self.fail("a decimal number was expected"), Ok)
    }

    /// Skips one value and returns its text.
    pub fn raw(&mut self) -> Result<&'a [u8]> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Skips one value of any kind.
    #[inline]
    pub fn skip(&mut self) -> Result<()> {
        self.skip_within(MAX_DEPTH)
    }

    fn skip_within(&mut self, depth: u32) -> Result<()> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ())?,
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ())?,
            Some(b'{') => {
                let Some(deeper) = depth.checked_sub(1) else { return self.fail("nested too deeply") };
                self.object()?;
                while self.key()?.is_some() {
                    self.skip_within(deeper)?;
                }
            }
            Some(b'[') => {
                let Some(deeper) = depth.checked_sub(1) else { return self.fail("nested too deeply") };
                self.array()?;
                while self.item()? {
                    self.skip_within(deeper)?;
                }
            }
            Some(b'n') => self.word(b"null")?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            _ => return self.fail("a value was expected"),
        }
        self.fresh = false;
        Ok(())
    }
}

/// A string as it stands in the document.
enum Text<'a> {
    /// Without escapes.
    Plain(&'a [u8]),
    /// With escapes, quotes included.
    Escaped(&'a [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &[u8]) -> Result<()> {
        let mut scan = Scan::new(text);
        scan.skip()?;
        scan.end()
    }

    #[test]
    fn accepts_exactly_what_serde_json_accepts() {
        for text in [
            "{}",
            "[]",
            " [ 1 , -2.5e+3 , \"a\\u00e9\\\"b\" , null , true , {\"k\" : [ {} ] } ] ",
            "0",
            "-0.0",
            "\"12345678\"",
            "\"1234567\\n89abcdefgh\"",
            "[[[]]]",
            "{\"a\":1,\"b\":{}}",
            "",
            "[",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "[,1]",
            "{,}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "nul",
            "truefalse",
            "\"a",
            "{\"a\"}",
            "{\"a\" 1}",
            "[1 2]",
            "{} {}",
            "\"\u{1}\"",
            "[1]]",
            "--1",
            "{1:2}",
            "\"tab\there\"",
            "\"\\",
            "{\"a\":}",
        ] {
            let want = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(whole(text.as_bytes()).is_ok(), want, "{text:?}");
        }
    }

    #[test]
    fn refuses_deep_nesting_instead_of_the_stack() {
        let deep = "[".repeat(100_000);
        assert_eq!(whole(deep.as_bytes()).unwrap_err().what, "nested too deeply");
    }

    #[test]
    fn strings_end_where_they_end_at_every_length() {
        for length in 0..40 {
            let inner = "x".repeat(length);
            let doc = format!("[\"{inner}\",7]");
            let mut scan = Scan::new(doc.as_bytes());
            scan.array().unwrap();
            assert!(scan.item().unwrap());
            assert_eq!(scan.plain().unwrap(), inner.as_bytes());
            assert!(scan.item().unwrap());
            assert_eq!(scan.integer().unwrap(), 7);
            assert!(!scan.item().unwrap());
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_serde_json_on_any_text(text in "[\\[\\]{}\",:0-9a-z\\\\. \\-]{0,24}") {
            let want = serde_json::from_str::<serde_json::Value>(&text);
            // An escaped key is the one thing that is refused on purpose; a number too large for f64 the other way round.
            let escaped = text.contains('\\');
            let huge = want.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
            if !escaped && !huge {
                proptest::prop_assert_eq!(whole(text.as_bytes()).is_ok(), want.is_ok());
            }
        }
    }
}
