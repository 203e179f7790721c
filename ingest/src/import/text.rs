//! One text file as timed items, line by line, by what each line holds; a line that cannot be read is reported, never
//! guessed.
//!
//! Lines may end in CR LF, be blank, and the last one may lack its end. Frames are kept verbatim, to the byte.

use std::collections::BTreeMap;
use std::ops::Range;

use schemas::{Timestamp, Venue};
use serde_json::value::RawValue;

use super::history::{self, PriceColumns};
use super::{Complaint, Exchange, ImportError, ReaderKind, sniff_frame, sniff_url};

/// Frames of a file that are asked whose they are.
const SNIFFED: u32 = 200;

/// Where a frame's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// In the file, verbatim.
    Range(Range<usize>),
    /// Taken out of a JSON string, or put into canonical form.
    Owned(Vec<u8>),
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A socket was opened.
    Connect,
    /// Something came over the socket.
    Frame(Payload),
}

/// A line and its receive time, where the recording has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Receive time.
    pub at: Option<Timestamp>,
    /// What it holds.
    pub what: What,
}

/// What is in one file.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The file, as errors call it.
    pub name: String,
    data: Vec<u8>,
    /// Its items in the order of its lines.
    pub items: Vec<Item>,
    /// Its REST exchanges.
    pub exchanges: Vec<Exchange>,
    /// Lines that could not be read.
    pub complaints: Vec<Complaint>,
    /// Lines that are no venue's words: what was sent, notes of the recorder.
    pub notes: u64,
    /// Whose frames these are, by what is in them: votes.
    votes: BTreeMap<Venue, u32>,
    /// Canonical rows among the items.
    rows: u64,
    /// Index prices and listed markets among the items.
    prices: u64,
}

impl Recording {
    /// Reads a file that was unpacked before.
    ///
    /// # Errors
    /// `unknown_format` if it is no text.
    pub fn read(name: &str, data: Vec<u8>) -> Result<Self, ImportError> {
        let head = &data[..data.len().min(8_192)];
        if head.contains(&0) {
            return Err(ImportError::UnknownFormat(name.to_owned()));
        }
        let mut recording = Self { name: name.to_owned(), data, ..Self::default() };
        let data = std::mem::take(&mut recording.data);
        if !recording.whole_values(&data) {
            let mut csv = None;
            for (number, range) in lines(&data) {
                recording.line(number, &data, range, &mut csv);
            }
        }
        recording.data = data;
        let unreadable = recording.complaints.iter().filter(|c| c.code == "not_text").count();
        if recording.is_empty() && unreadable > 0 && unreadable == recording.complaints.len() {
            return Err(ImportError::UnknownFormat(name.to_owned()));
        }
        Ok(recording)
    }

    /// A frame's bytes.
    pub fn bytes<'a>(&'a self, payload: &'a Payload) -> &'a [u8] {
        match payload {
            Payload::Range(range) => &self.data[range.clone()],
            Payload::Owned(bytes) => bytes,
        }
    }

    /// Neither a frame nor an exchange.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.exchanges.is_empty()
    }

    /// Frames and REST bodies.
    pub fn frames(&self) -> u64 {
        let frames = self.items.iter().filter(|item| matches!(item.what, What::Frame(_))).count();
        (frames + self.exchanges.len()) as u64
    }

    /// Whether it has receive times.
    pub fn is_timed(&self) -> bool {
        self.items.iter().any(|item| item.at.is_some())
    }

    /// Whose frames these are: most votes win.
    pub fn venue(&self) -> Option<Venue> {
        self.votes.iter().max_by_key(|(_, votes)| **votes).map(|(venue, _)| *venue)
    }

    /// Whether an address said so, not only the look of frames.
    pub fn is_sure(&self) -> bool {
        self.votes.values().max().is_some_and(|votes| *votes >= SNIFFED)
    }

    /// Which kind of machine reads it.
    pub fn reader(&self) -> ReaderKind {
        if self.prices > 0 {
            ReaderKind::Index
        } else if self.rows > 0 {
            ReaderKind::Rows
        } else {
            ReaderKind::Wire
        }
    }

    /// The first time the venue itself names in a frame, ms; orders files without receive times.
    pub fn first_venue_ms(&self) -> Option<i64> {
        let frames = self.items.iter().filter_map(|item| match &item.what {
            What::Frame(payload) => Some(self.bytes(payload)),
            What::Connect => None,
        });
        frames.take(5_000).find_map(|frame| {
            ["\"ts_ms\":", "\"timestamp\":\"", "\"E\":"]
                .iter()
                .find_map(|key| number_after(frame, key.as_bytes()))
        })
    }

    fn line(&mut self, number: usize, data: &[u8], range: Range<usize>, csv: &mut Option<PriceColumns>) {
        let line = &data[range.clone()];
        let Ok(text) = std::str::from_utf8(line) else { return self.complain(number, "not_text") };
        if let Some(columns) = csv {
            return match columns.line(text, &history::symbol(&self.name)) {
                Some((at, frame)) => self.price(at, frame),
                None => self.complain(number, "bad_row"),
            };
        }
        let result = match line[0] {
            b'{' => self.object(text, &range),
            b'[' => match serde_json::from_str::<&RawValue>(text) {
                Ok(_) => {
                    self.frame(None, Payload::Range(range.clone()), line);
                    Ok(())
                }
                Err(_) => Err("not_json"),
            },
            _ if text == "PONG" => {
                self.items.push(Item { at: None, what: What::Frame(Payload::Range(range.clone())) });
                Ok(())
            }
            _ if text.starts_with("configuration: ") => {
                self.notes += 1;
                Ok(())
            }
            _ => match PriceColumns::header(text) {
                Some(columns) => {
                    *csv = Some(columns);
                    Ok(())
                }
                None => self.capture_line(text, &range),
            },
        };
        if let Err(code) = result {
            self.complain(number, code);
        }
    }

    /// `URL <-> t`, `URL <- t: …`, `URL -> t: …`, `t: …`.
    fn capture_line(&mut self, text: &str, range: &Range<usize>) -> Result<(), &'static str> {
        let (first, rest) = text.split_once(' ').ok_or("unknown_line")?;
        if let Some(time) =
            first.strip_suffix(':').filter(|time| time.starts_with(|c: char| c.is_ascii_digit()))
        {
            let at = seconds(time).ok_or("bad_time")?;
            if rest.is_empty() {
                return Err("no_payload");
            }
            let payload = Payload::Range(range.end - rest.len()..range.end);
            self.frame(Some(at), payload, rest.as_bytes());
            return Ok(());
        }
        if !first.contains("://") {
            return Err("unknown_line");
        }
        if let Some(venue) = sniff_url(first) {
            *self.votes.entry(venue).or_default() += SNIFFED;
        }
        let (arrow, rest) = rest.split_once(' ').ok_or("unknown_line")?;
        let (time, payload) = rest.split_once(": ").unwrap_or_else(|| (rest.trim_end_matches(':'), ""));
        let at = seconds(time.trim()).ok_or("bad_time")?;
        match arrow {
            "<->" => self.items.push(Item { at: Some(at), what: What::Connect }),
            "<-" => self.notes += 1,
            "->" if payload.is_empty() => return Err("no_payload"),
            "->" => self.exchanges.push(Exchange {
                at: Some(at),
                url: first.to_owned(),
                post: false,
                status: 200,
                body: payload.as_bytes().to_vec(),
            }),
            _ => return Err("unknown_line"),
        }
        Ok(())
    }

    fn object(&mut self, text: &str, range: &Range<usize>) -> Result<(), &'static str> {
        let keys: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| "not_json")?;
        let at = if keys.contains_key("url") || keys.contains_key("frame") { received(&keys)? } else { None };
        if keys.contains_key("url") && keys.contains_key("status") && keys.contains_key("response_body") {
            let exchange = exchange(&keys, at).ok_or("bad_exchange")?;
            if let Some(venue) = sniff_url(&exchange.url) {
                *self.votes.entry(venue).or_default() += 1;
            }
            self.exchanges.push(exchange);
            return Ok(());
        }
        if let Some(frame) =
            keys.get("frame").filter(|_| keys.contains_key("recv_ms") || keys.contains_key("recv_ns"))
        {
            let bytes = text_or_json(frame).ok_or("not_json")?;
            let payload = Payload::Owned(bytes.clone());
            self.frame(at, payload, &bytes);
            return Ok(());
        }
        if keys.contains_key("condition_id") && keys.contains_key("token_ids") && keys.contains_key("raw") {
            self.prices += 1;
            *self.votes.entry(Venue::Polymarket).or_default() += 1;
            self.items.push(Item { at: None, what: What::Frame(Payload::Range(range.clone())) });
            return Ok(());
        }
        if let Some(at) = row_time(&keys) {
            self.rows += 1;
            self.items.push(Item { at: Some(at), what: What::Frame(Payload::Range(range.clone())) });
            return Ok(());
        }
        self.frame(None, Payload::Range(range.clone()), text.as_bytes());
        Ok(())
    }

    fn frame(&mut self, at: Option<Timestamp>, payload: Payload, bytes: &[u8]) {
        if self.items.len() + 1 < SNIFFED as usize
            && let Some(venue) = sniff_frame(bytes)
        {
            *self.votes.entry(venue).or_default() += 1;
        }
        self.items.push(Item { at, what: What::Frame(payload) });
    }

    fn price(&mut self, at: Option<Timestamp>, frame: Vec<u8>) {
        self.prices += 1;
        self.votes.entry(Venue::Polymarket).or_insert(1);
        self.items.push(Item { at, what: What::Frame(Payload::Owned(frame)) });
    }

    /// A file that is one JSON value over many lines, or several of them: `false`, and nothing read, if it is not.
    fn whole_values(&mut self, data: &[u8]) -> bool {
        let Some((_, first)) = lines(data).next() else { return false };
        let begins = matches!(data[first.start], b'{' | b'[');
        if !begins || serde_json::from_slice::<serde::de::IgnoredAny>(&data[first.clone()]).is_ok() {
            return false;
        }
        let values = serde_json::Deserializer::from_slice(&data[first.start..]).into_iter::<&RawValue>();
        let Ok(values) = values.collect::<Result<Vec<_>, _>>() else { return false };
        for value in values {
            let bytes = value.get().as_bytes();
            self.frame(None, Payload::Owned(bytes.to_vec()), bytes);
        }
        true
    }

    fn complain(&mut self, line: usize, code: &'static str) {
        self.complaints.push(Complaint { line, code });
    }
}

/// The lines that are not blank: number from 1, and where they are without surrounding white space.
fn lines(data: &[u8]) -> impl Iterator<Item = (usize, Range<usize>)> {
    let start = if data.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut from = start;
    data[start..].split_inclusive(|byte| *byte == b'\n').enumerate().filter_map(move |(at, line)| {
        let begin = from;
        from += line.len();
        let before = line.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let after = line[before..].iter().rev().take_while(|b| b.is_ascii_whitespace()).count();
        (before < line.len()).then(|| (at + 1, begin + before..begin + line.len() - after))
    })
}

/// Decimal seconds since the Unix epoch, exactly; digits beyond nanoseconds are dropped.
pub(super) fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut nanos = 0_i64;
    for at in 0..9 {
        nanos = nanos * 10 + i64::from(fraction.as_bytes().get(at).map_or(0, |byte| byte - b'0'));
    }
    usable(whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)?)
}

/// A time from 2000 to 2100; anything else is a wrong unit or no time.
pub(super) fn usable(nanos: i64) -> Option<Timestamp> {
    (946_684_800_000_000_000..4_102_444_800_000_000_000).contains(&nanos).then_some(Timestamp(nanos))
}

fn received(keys: &BTreeMap<String, &RawValue>) -> Result<Option<Timestamp>, &'static str> {
    let number = |key: &str| {
        keys.get(key).map(|value| value.get().trim_matches('"').parse::<i64>().map_err(|_| "bad_time"))
    };
    let nanos = match (number("recv_ns"), number("recv_ms")) {
        (Some(ns), _) => ns?,
        (None, Some(ms)) => ms?.checked_mul(1_000_000).ok_or("bad_time")?,
        (None, None) => return Ok(None),
    };
    usable(nanos).map(Some).ok_or("bad_time")
}

/// The time of a canonical row, `None` if the object is no such row.
fn row_time(keys: &BTreeMap<String, &RawValue>) -> Option<Timestamp> {
    let has = |key: &str| keys.contains_key(key);
    let quote = has("slug") && has("bid") && has("ask");
    let book = has("market_id") && has("side") && has("bids") && has("asks");
    let ts = keys.get("ts").filter(|_| quote || book)?;
    usable(ts.get().parse::<i64>().ok()?.checked_mul(1_000_000)?)
}

fn exchange(keys: &BTreeMap<String, &RawValue>, at: Option<Timestamp>) -> Option<Exchange> {
    let text = |key: &str| keys.get(key).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    Some(Exchange {
        at,
        url: text("url")?,
        post: text("method").is_some_and(|method| method.eq_ignore_ascii_case("POST")),
        status: keys.get("status")?.get().parse().ok()?,
        body: text_or_json(keys.get("response_body")?)?,
    })
}

/// The text of a JSON string, or the JSON of anything else, verbatim.
fn text_or_json(value: &RawValue) -> Option<Vec<u8>> {
    if value.get().starts_with('"') {
        serde_json::from_str::<String>(value.get()).ok().map(String::into_bytes)
    } else {
        Some(value.get().as_bytes().to_vec())
    }
}

fn number_after(frame: &[u8], key: &[u8]) -> Option<i64> {
    let at = frame.windows(key.len()).position(|window| window == key)? + key.len();
    let digits = frame[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&frame[at..at + digits]).ok()?.parse().ok().filter(|ms| *ms > 0)
}
