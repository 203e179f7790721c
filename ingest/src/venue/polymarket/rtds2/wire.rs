//! Frames of RTDS v2: answers to operations and values; it never takes an absent number for 0, but for `dropped`.
//!
//! The public client treats `dropped` and `snapshot` as optional; where they are absent nothing was dropped and the
//! frame is an update.

use crate::scan::Scan;
use crate::venue::polymarket::index::{Payload, millis, put};
use crate::venue::polymarket::market_wire::WireError;

/// The version that is understood.
const VERSION: i64 = 1;
/// The channels of prices.
const CHANNELS: [&str; 4] = ["price.crypto", "price.crypto.twap", "price.equity", "price.equity.twap"];

/// One frame.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    Control(Reply<'a>),
    Data(Data<'a>),
    /// Another channel.
    Foreign,
}

/// The answer to an operation.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) op: &'a str,
    pub(super) rid: Option<&'a str>,
    pub(super) code: Option<&'a str>,
}

/// Values of a stream.
#[derive(Debug)]
pub(super) struct Data<'a> {
    pub(super) channel: &'a str,
    pub(super) seq: u64,
    pub(super) dropped: u64,
    pub(super) ms: i64,
    pub(super) snapshot: bool,
    pub(super) payload: Payload<'a>,
}

impl Data<'_> {
    /// Seconds of the average; the twap channels must tell it.
    pub(super) fn window_s(&self) -> Result<u32, WireError> {
        if !matches!(self.channel, "price.crypto.twap" | "price.equity.twap") {
            return Ok(0);
        }
        let window = self.payload.window.ok_or(WireError::Missing("window_seconds"))?;
        let window = u32::try_from(window).ok().filter(|window| *window > 0);
        window.ok_or(WireError::Bad("window_seconds"))
    }
}

#[derive(Default)]
struct Fields<'a> {
    op: Option<&'a str>,
    rid: Option<&'a str>,
    code: Option<&'a str>,
    channel: Option<&'a str>,
    version: Option<i64>,
    seq: Option<i64>,
    dropped: Option<i64>,
    ms: Option<i64>,
    snapshot: Option<bool>,
    payload: Option<&'a [u8]>,
}

fn word<'a>(scan: &mut Scan<'a>) -> Result<&'a str, WireError> {
    std::str::from_utf8(scan.plain()?).map_err(|_| WireError::Bad("a word"))
}

/// Reads one frame.
pub(super) fn read(bytes: &[u8]) -> Result<Frame<'_>, WireError> {
    let mut all = Fields::default();
    let mut scan = Scan::new(bytes);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"op" => put(&mut all.op, word(&mut scan)?, "op")?,
            b"rid" if scan.starts(b'"') => put(&mut all.rid, word(&mut scan)?, "rid")?,
            b"code" if scan.starts(b'"') => put(&mut all.code, word(&mut scan)?, "code")?,
            b"channel" if !scan.null()? => put(&mut all.channel, word(&mut scan)?, "channel")?,
            b"channel" => {}
            b"v" => put(&mut all.version, scan.integer()?, "v")?,
            b"seq" => put(&mut all.seq, scan.integer()?, "seq")?,
            b"dropped" => put(&mut all.dropped, scan.integer()?, "dropped")?,
            b"ts" => put(&mut all.ms, millis(&mut scan, "ts")?, "ts")?,
            b"snapshot" => put(&mut all.snapshot, scan.boolean()?, "snapshot")?,
            b"payload" => put(&mut all.payload, scan.raw()?, "payload")?,
            _ => scan.skip()?,
        }
    }
    scan.end()?;
    all.frame()
}

impl<'a> Fields<'a> {
    fn frame(&self) -> Result<Frame<'a>, WireError> {
        if let Some(op) = self.op {
            return Ok(Frame::Control(Reply { op, rid: self.rid, code: self.code }));
        }
        let channel = self.channel.ok_or(WireError::Missing("channel"))?;
        if !CHANNELS.contains(&channel) {
            return Ok(Frame::Foreign);
        }
        if self.version.ok_or(WireError::Missing("v"))? != VERSION {
            return Err(WireError::Bad("v"));
        }
        let count = |value: i64, name| u64::try_from(value).map_err(|_| WireError::Bad(name));
        let raw = self.payload.ok_or(WireError::Missing("payload"))?;
        Ok(Frame::Data(Data {
            channel,
            seq: count(self.seq.ok_or(WireError::Missing("seq"))?, "seq")?,
            dropped: count(self.dropped.unwrap_or(0), "dropped")?,
            ms: self.ms.ok_or(WireError::Missing("ts"))?,
            snapshot: self.snapshot.unwrap_or(false),
            payload: Payload::read(&mut Scan::new(raw))?,
        }))
    }
}
