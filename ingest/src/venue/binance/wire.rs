//! Binance's JSON forms: stream frames with or without the envelope, and the depth snapshot; no state is kept here.

use schemas::BookSide;

use crate::decimal;
use crate::scan::Scan;
pub(super) use crate::venue::spot::{Result, must};

/// Decimals of price and quantity, once known.
pub(super) type Decimals = Option<(u8, u8)>;

/// One level of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) side: BookSide,
    pub(super) price: i64,
    pub(super) qty: i64,
}

/// Where the values of a frame's known keys begin. The same letter means different things in different events.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) stream: Option<&'a [u8]>,
    pub(super) event: Option<&'a [u8]>,
    pub(super) symbol: Option<&'a [u8]>,
    /// `E`: when it was sent, ms.
    pub(super) event_at: Option<i64>,
    /// `T`: when it happened, ms.
    pub(super) trade_at: Option<Scan<'a>>,
    /// `U`, `u` and `pu`.
    pub(super) first: Option<Scan<'a>>,
    pub(super) last: Option<Scan<'a>>,
    pub(super) previous: Option<Scan<'a>>,
    /// `b`, `B`, `a`, `A`.
    pub(super) bids: Option<Scan<'a>>,
    pub(super) bid_qty: Option<Scan<'a>>,
    pub(super) asks: Option<Scan<'a>>,
    pub(super) ask_qty: Option<Scan<'a>>,
    /// `p`, `q`, `t`, `m`; `M` is only sent for spot.
    pub(super) price: Option<Scan<'a>>,
    pub(super) qty: Option<Scan<'a>>,
    pub(super) trade: Option<Scan<'a>>,
    pub(super) maker_bought: Option<Scan<'a>>,
    pub(super) ignore: bool,
    /// `k`.
    pub(super) candle: Option<Scan<'a>>,
    /// The answer to a request, and whether it is an error.
    pub(super) answer: Option<bool>,
}

impl<'a> Fields<'a> {
    /// Reads a whole frame; what was read before an error stays.
    pub(super) fn read(&mut self, bytes: &'a [u8]) -> Result<()> {
        let mut scan = Scan::new(bytes);
        self.object(&mut scan, true)?;
        scan.end()
    }

    fn object(&mut self, scan: &mut Scan<'a>, outer: bool) -> Result<()> {
        scan.object()?;
        while let Some(key) = scan.key()? {
            let place = match key {
                b"e" => {
                    self.event = Some(scan.plain()?);
                    continue;
                }
                b"s" => {
                    self.symbol = Some(scan.plain()?);
                    continue;
                }
                b"E" => {
                    self.event_at = Some(scan.integer()?);
                    continue;
                }
                b"stream" if outer => {
                    self.stream = Some(scan.plain()?);
                    continue;
                }
                b"data" if outer => {
                    self.object(scan, false)?;
                    continue;
                }
                b"T" => &mut self.trade_at,
                b"U" => &mut self.first,
                b"u" => &mut self.last,
                b"pu" => &mut self.previous,
                b"b" => &mut self.bids,
                b"B" => &mut self.bid_qty,
                b"a" => &mut self.asks,
                b"A" => &mut self.ask_qty,
                b"p" => &mut self.price,
                b"q" => &mut self.qty,
                b"t" => &mut self.trade,
                b"m" => &mut self.maker_bought,
                b"k" => &mut self.candle,
                _ => {
                    self.other(key, outer);
                    scan.skip()?;
                    continue;
                }
            };
            *place = Some(scan.clone());
            scan.skip()?;
        }
        Ok(())
    }

    fn other(&mut self, key: &[u8], outer: bool) {
        match key {
            b"M" => self.ignore = true,
            b"error" | b"code" if outer => self.answer = Some(true),
            b"result" if outer => {
                self.answer.get_or_insert(false);
            }
            _ => {}
        }
    }

    /// Whether the frame can be about a book.
    pub(super) fn may_be_depth(&self) -> bool {
        let stream = self.stream.is_none_or(|stream| stream.windows(6).any(|part| part == b"@depth"));
        stream && self.event.is_none_or(|event| event == b"depthUpdate")
    }
}

/// The integer at a place.
#[inline]
pub(super) fn integer(place: Option<&Scan<'_>>, what: &'static str) -> Result<i64> {
    must(place, what)?.clone().integer()
}

/// The decimal in a string at a place.
#[inline]
pub(super) fn amount(place: Option<&Scan<'_>>, decimals: u8, what: &'static str) -> Result<i64> {
    let value = must(place, what)?.clone().decimal(decimals)?;
    must((value >= 0).then_some(value), what)
}

/// `[["price","quantity"],...]`. The first text decides the decimals where they are not known.
pub(super) fn levels(
    scan: &mut Scan<'_>,
    side: BookSide,
    decimals: &mut Decimals,
    into: &mut Vec<Change>,
) -> Result<()> {
    scan.array()?;
    while scan.item()? {
        let mut texts = [&b""[..]; 2];
        scan.array()?;
        for text in &mut texts {
            if !scan.item()? {
                return Err(scan.error("a price and a quantity were expected"));
            }
            *text = scan.plain()?;
        }
        while scan.item()? {
            scan.skip()?;
        }
        let [price, qty] = texts;
        let (for_price, for_qty) = decide(decimals, price, qty);
        match (decimal::parse(price, for_price), decimal::parse(qty, for_qty)) {
            (Some(price @ 0..), Some(qty @ 0..)) => into.push(Change { side, price, qty }),
            _ => return Err(scan.error("not a price or quantity of this symbol")),
        }
    }
    Ok(())
}

/// The decimals of a symbol, which its first texts decide: they are written with all places.
#[inline]
pub(super) fn decide(decimals: &mut Decimals, price: &[u8], qty: &[u8]) -> (u8, u8) {
    *decimals.get_or_insert_with(|| (decimal::places(price), decimal::places(qty)))
}

/// The answer of the depth request; its levels go into `changes`.
pub(super) struct Depth {
    pub(super) last: i64,
    /// Futures only, ms.
    pub(super) event_at: Option<i64>,
    pub(super) trade_at: Option<i64>,
}

/// Reads the answer of the depth request.
pub(super) fn depth(bytes: &[u8], decimals: &mut Decimals, changes: &mut Vec<Change>) -> Result<Depth> {
    let (mut last, mut event_at, mut trade_at) = (None, None, None);
    let mut sides = 0;
    let mut scan = Scan::new(bytes);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"lastUpdateId" => last = Some(scan.integer()?),
            b"E" => event_at = Some(scan.integer()?),
            b"T" => trade_at = Some(scan.integer()?),
            b"bids" | b"asks" => {
                let side = if key == b"bids" { BookSide::Bid } else { BookSide::Ask };
                levels(&mut scan, side, decimals, changes)?;
                sides += 1;
            }
            _ => scan.skip()?,
        }
    }
    scan.end()?;
    must((sides == 2).then_some(()), "a side is missing")?;
    Ok(Depth { last: must(last, "no lastUpdateId")?, event_at, trade_at })
}

/// A `k` object.
pub(super) struct Candle<'a> {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) closed: bool,
    /// Open, high, low, close, volume: texts.
    pub(super) values: [&'a [u8]; 5],
}

/// Reads a `k` object.
pub(super) fn candle<'a>(scan: &mut Scan<'a>) -> Result<Candle<'a>> {
    let (mut start, mut end, mut closed) = (None, None, None);
    let mut values: [Option<&[u8]>; 5] = [None; 5];
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"t" => start = Some(scan.integer()?),
            b"T" => end = Some(scan.integer()?),
            b"x" => closed = Some(scan.boolean()?),
            b"o" => values[0] = Some(scan.plain()?),
            b"h" => values[1] = Some(scan.plain()?),
            b"l" => values[2] = Some(scan.plain()?),
            b"c" => values[3] = Some(scan.plain()?),
            b"v" => values[4] = Some(scan.plain()?),
            _ => scan.skip()?,
        }
    }
    let mut texts = [&b""[..]; 5];
    for (text, value) in texts.iter_mut().zip(values) {
        *text = must(value, "a value of the candle is missing")?;
    }
    Ok(Candle {
        start_ms: must(start, "no start")?,
        end_ms: must(end, "no end")?,
        closed: must(closed, "open or closed")?,
        values: texts,
    })
}
