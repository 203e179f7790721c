//! Frames of Kraken's WebSocket v2: objects with a `channel`, or with the `method` of a request they answer.
//!
//! Prices and quantities are JSON numbers whose text may be shorter than the pair's precision, so that a book can be
//! read and summed only once the `instrument` channel has named it.

use schemas::{BookSide, CandleRow, TapeBody, TopRow, TradeRow};

use super::{Blame, Change, Kraken, must};
use crate::decimal;
use crate::deed::VenueOutput;
use crate::rfc3339;
use crate::scan::{Scan, ScanError};
use crate::shelf::Origin;

type Result<T> = std::result::Result<T, ScanError>;

/// Subscribes the reference data: precisions of all pairs.
pub(super) const INSTRUMENTS: &str =
    r#"{"method":"subscribe","params":{"channel":"instrument","snapshot":true}}"#;

/// The text that subscribes books or ends their subscription.
pub(super) fn book_text(subscribe: bool, pairs: &[String], depth: usize) -> String {
    let method = if subscribe { "subscribe" } else { "unsubscribe" };
    serde_json::json!({"method": method, "params": {"channel": "book", "symbol": pairs, "depth": depth}})
        .to_string()
}

/// The text that subscribes another channel.
pub(super) fn channel_text(channel: &str, pairs: &[String]) -> String {
    let mut params = serde_json::json!({"channel": channel, "symbol": pairs, "snapshot": true});
    if channel == "ohlc" {
        params["interval"] = 1.into();
    }
    serde_json::json!({"method": "subscribe", "params": params}).to_string()
}

/// A JSON number as an integer of 10^-`decimals`, exponents included; never rounded.
fn number(scan: &mut Scan<'_>, decimals: u8) -> Result<i64> {
    let text = scan.number()?;
    let value = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        None => decimal::parse(text, decimals),
        Some(at) => {
            let exponent = text[at + 1..].strip_prefix(b"+").unwrap_or_else(|| &text[at + 1..]);
            let places = decimal::parse(exponent, 0).and_then(|e| e.checked_add(i64::from(decimals)));
            let places = places.and_then(|places| u8::try_from(places).ok());
            places.and_then(|places| decimal::parse(&text[..at], places))
        }
    };
    value.filter(|value| *value >= 0).ok_or_else(|| scan.error("not a price or quantity of this pair"))
}

/// `[{"price":1.5,"qty":2.0},...]`
fn levels(scan: &mut Scan<'_>, side: BookSide, decimals: (u8, u8), into: &mut Vec<Change>) -> Result<()> {
    scan.array()?;
    while scan.item()? {
        let (mut price, mut qty) = (None, None);
        scan.object()?;
        while let Some(key) = scan.key()? {
            match key {
                b"price" => price = Some(number(scan, decimals.0)?),
                b"qty" => qty = Some(number(scan, decimals.1)?),
                _ => scan.skip()?,
            }
        }
        let (price, qty) = (must(price, "no price")?, must(qty, "no quantity")?);
        into.push(Change { side, price, qty, at: None });
    }
    Ok(())
}

fn time(scan: &mut Scan<'_>) -> Result<schemas::Timestamp> {
    let text = scan.plain()?;
    rfc3339::parse(text).ok_or_else(|| scan.error("a time was expected"))
}

/// What a frame says about itself.
#[derive(Default)]
struct Head<'a> {
    event: Option<&'a [u8]>,
    channel: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    data: Option<Scan<'a>>,
    method: Option<&'a [u8]>,
    success: Option<bool>,
    result: Option<&'a [u8]>,
    /// v1's `status`.
    status: Option<&'a [u8]>,
    symbol: Option<&'a [u8]>,
    error: bool,
}

impl<'a> Head<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut head = Self::default();
        let mut scan = Scan::new(bytes);
        scan.object()?;
        while let Some(key) = scan.key()? {
            match key {
                b"event" => head.event = Some(scan.plain()?),
                b"channel" => head.channel = Some(scan.plain()?),
                b"type" => head.kind = Some(scan.plain()?),
                b"method" => head.method = Some(scan.plain()?),
                b"success" => head.success = Some(scan.boolean()?),
                b"result" => head.result = Some(scan.raw()?),
                b"status" => head.status = Some(scan.raw()?),
                b"symbol" => head.symbol = Some(scan.raw()?),
                b"error" => head.error = !scan.null()? && scan.skip().is_ok(),
                b"data" => {
                    head.data = Some(scan.clone());
                    scan.skip()?;
                }
                _ => scan.skip()?,
            }
        }
        scan.end()?;
        Ok(head)
    }
}

impl Kraken {
    /// A frame that is an object.
    pub(super) fn on_object(
        &mut self,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let head = Head::read(bytes)?;
        let is_snapshot = match head.kind {
            Some(b"snapshot") => Some(true),
            Some(b"update") => Some(false),
            _ => None,
        };
        match (head.channel, head.method, head.event) {
            (Some(b"book"), ..) => {
                let is_snapshot = must(is_snapshot, "neither snapshot nor update")?;
                self.each(head.data, |kraken, scan| kraken.v2_book(is_snapshot, scan, origin, out))
            }
            (Some(channel), ..) => {
                self.blame = Blame::Nothing;
                self.on_channel(channel, head.data, origin, out)
            }
            (None, Some(method), _) => {
                self.blame = Blame::Nothing;
                self.on_answer(method, head.success, [head.result, head.symbol])
            }
            (None, None, Some(event)) => {
                self.blame = Blame::Nothing;
                self.on_event(event, head.status);
                Ok(())
            }
            _ if head.error => {
                self.blame = Blame::Nothing;
                self.session.shelf.counts.venue_errors += 1;
                Ok(())
            }
            _ => must(None, "a frame that does not say what it is"),
        }
    }

    fn on_channel(
        &mut self,
        channel: &[u8],
        data: Option<Scan<'_>>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        match channel {
            b"trade" => self.each(data, |kraken, scan| kraken.v2_trade(scan, origin, out)),
            b"ohlc" => self.each(data, |kraken, scan| kraken.v2_candle(scan, origin, out)),
            b"ticker" => self.each(data, |kraken, scan| kraken.v2_ticker(scan, origin, out)),
            b"instrument" => self.v2_instruments(must(data, "no data")?, origin, out),
            b"heartbeat" | b"status" => Ok(()),
            _ => {
                self.session.shelf.counts.foreign += 1;
                Ok(())
            }
        }
    }

    /// Each member of an array.
    fn each<'a>(
        &mut self,
        data: Option<Scan<'a>>,
        mut read: impl FnMut(&mut Self, &mut Scan<'a>) -> Result<()>,
    ) -> Result<()> {
        let mut scan = must(data, "no data")?;
        scan.array()?;
        while scan.item()? {
            read(self, &mut scan)?;
        }
        Ok(())
    }

    fn v2_book(
        &mut self,
        is_snapshot: bool,
        scan: &mut Scan<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let (mut at, mut sum, mut venue_at) = (None, None, None);
        // Sides that came before the symbol wait here.
        let mut early = [None, None];
        let mut sides = 0;
        self.blame = Blame::Everything;
        self.changes.clear();
        scan.object()?;
        while let Some(key) = scan.key()? {
            let side = match key {
                b"symbol" => {
                    let native = scan.plain()?;
                    at = Some(self.pair(native));
                    self.blame = at.flatten().map_or(Blame::Nothing, Blame::One);
                    continue;
                }
                b"checksum" => {
                    sum = Some(
                        u32::try_from(scan.integer()?).map_err(|_| scan.error("a checksum was expected"))?,
                    );
                    continue;
                }
                b"timestamp" => {
                    venue_at = Some(time(scan)?);
                    continue;
                }
                b"bids" => BookSide::Bid,
                b"asks" => BookSide::Ask,
                _ => {
                    scan.skip()?;
                    continue;
                }
            };
            sides += 1;
            if let Some(decimals) = at.flatten().and_then(|at: usize| self.session.listings[at].decimals) {
                levels(scan, side, decimals, &mut self.changes)?;
            } else {
                early[usize::from(side == BookSide::Ask)] = Some((side, scan.clone()));
                scan.skip()?;
            }
        }
        let Some(at) = must(at, "no symbol")? else {
            self.session.shelf.counts.foreign += 1;
            return Ok(());
        };
        let decimals =
            must(self.session.listings[at].decimals, "the instrument channel has not named this pair")?;
        for (side, mut scan) in early.into_iter().flatten() {
            levels(&mut scan, side, decimals, &mut self.changes)?;
        }
        let sum = must(sum, "no checksum")?;
        let mut origin = *origin;
        origin.times.venue_at = venue_at;
        match (is_snapshot, sides, venue_at) {
            (true, 2, _) => self.load(at, Some(sum), &origin, out),
            (false, 2, Some(_)) => self.update(at, sum, &origin, out),
            _ => return must(None, "a book without both sides or its time"),
        }
        Ok(())
    }

    fn v2_trade(&mut self, scan: &mut Scan<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) -> Result<()> {
        let (mut native, mut price, mut qty, mut id) = (None, None, None, None);
        let (mut taker, mut venue_at) = (None, None);
        scan.object()?;
        while let Some(key) = scan.key()? {
            match key {
                b"symbol" => native = Some(scan.plain()?),
                b"price" => price = Some(scan.clone()),
                b"qty" => qty = Some(scan.clone()),
                b"trade_id" => id = Some(scan.clone().integer()?),
                b"timestamp" => venue_at = Some(time(&mut scan.clone())?),
                b"side" => taker = Some(scan.clone().plain()?),
                _ => {}
            }
            if key != b"symbol" {
                scan.skip()?;
            }
        }
        let Some((at, (for_price, for_qty))) = self.known(must(native, "no symbol")?)? else { return Ok(()) };
        let price = number(&mut must(price, "no price")?, for_price)?;
        let qty = number(&mut must(qty, "no quantity")?, for_qty)?;
        let (id, venue_at) = (must(id, "no trade id")?, must(venue_at, "no time")?);
        let taker = match must(taker, "no side")? {
            b"buy" => BookSide::Bid,
            b"sell" => BookSide::Ask,
            _ => return Err(scan.error("a side was expected")),
        };
        if id <= self.session.listings[at].last_trade {
            self.session.shelf.counts.duplicates += 1;
            return Ok(());
        }
        let Some(no) = self.introduce(at, origin, out) else { return Ok(()) };
        self.session.listings[at].last_trade = id;
        let mut origin = *origin;
        origin.times.venue_at = Some(venue_at);
        let id = u128::from(id.unsigned_abs()).to_be_bytes();
        self.trade(no, TradeRow { id, price, qty, taker: Some(taker), block: false }, &origin, out);
        Ok(())
    }

    /// A followed pair whose decimals are known. One whose are not is an error.
    fn known(&mut self, native: &[u8]) -> Result<Option<(usize, (u8, u8))>> {
        let Some(at) = self.pair(native) else {
            self.session.shelf.counts.foreign += 1;
            return Ok(None);
        };
        let decimals =
            must(self.session.listings[at].decimals, "the instrument channel has not named this pair")?;
        Ok(Some((at, decimals)))
    }

    fn v2_candle(&mut self, scan: &mut Scan<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) -> Result<()> {
        let (mut native, mut start, mut minutes) = (None, None, None);
        // Open, high, low, close, volume.
        let mut values: [Option<Scan<'_>>; 5] = [const { None }; 5];
        scan.object()?;
        while let Some(key) = scan.key()? {
            let value = match key {
                b"symbol" => {
                    native = Some(scan.plain()?);
                    continue;
                }
                b"interval_begin" => {
                    start = Some(time(scan)?);
                    continue;
                }
                b"interval" => {
                    minutes = Some(scan.integer()?);
                    continue;
                }
                b"open" => Some(0),
                b"high" => Some(1),
                b"low" => Some(2),
                b"close" => Some(3),
                b"volume" => Some(4),
                _ => None,
            };
            if let Some(at) = value {
                values[at] = Some(scan.clone());
            }
            scan.skip()?;
        }
        let Some((at, (for_price, for_qty))) = self.known(must(native, "no symbol")?)? else { return Ok(()) };
        let start = must(start, "no start")?;
        let interval_s = minutes.and_then(|minutes| u32::try_from(minutes.checked_mul(60)?).ok());
        let interval_s = must(interval_s, "no interval")?;
        let mut read = [0; 5];
        for (at, value) in values.into_iter().enumerate() {
            let decimals = if at == 4 { for_qty } else { for_price };
            read[at] = number(&mut must(value, "a price or volume is missing")?, decimals)?;
        }
        let [open, high, low, close, volume] = read;
        let Some(no) = self.introduce(at, origin, out) else { return Ok(()) };
        let (open, high, low, close) = (Some(open), Some(high), Some(low), Some(close));
        // The venue never says that a candle is final.
        let row = CandleRow { start, interval_s, open, high, low, close, volume, closed: false };
        self.session.link.data(self.session.now);
        self.session.shelf.push(no, TapeBody::Candle(Box::new(row)), origin, out);
        Ok(())
    }

    fn v2_ticker(&mut self, scan: &mut Scan<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) -> Result<()> {
        let mut native = None;
        // Bid, its quantity, ask, its quantity.
        let mut values: [Option<Scan<'_>>; 4] = [const { None }; 4];
        scan.object()?;
        while let Some(key) = scan.key()? {
            let value = match key {
                b"symbol" => {
                    native = Some(scan.plain()?);
                    continue;
                }
                b"bid" => Some(0),
                b"bid_qty" => Some(1),
                b"ask" => Some(2),
                b"ask_qty" => Some(3),
                _ => None,
            };
            if let Some(at) = value {
                values[at] = Some(scan.clone());
            }
            scan.skip()?;
        }
        let Some((at, (for_price, for_qty))) = self.known(must(native, "no symbol")?)? else { return Ok(()) };
        let mut read = [0; 4];
        for (at, value) in values.into_iter().enumerate() {
            let decimals = if at % 2 == 1 { for_qty } else { for_price };
            read[at] = number(&mut must(value, "a price or quantity is missing")?, decimals)?;
        }
        let Some(no) = self.introduce(at, origin, out) else { return Ok(()) };
        let bid = Some(TopRow { price: read[0], qty: Some(read[1]) });
        let ask = Some(TopRow { price: read[2], qty: Some(read[3]) });
        self.session.link.data(self.session.now);
        self.session.shelf.push(no, TapeBody::Quote { bid, ask }, origin, out);
        Ok(())
    }
}
