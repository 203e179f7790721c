//! Frames of Kraken's WebSocket v1, as old captures hold them; nothing of it is subscribed unless a capture speaks it.
//!
//! Data frames are arrays `[channelID, payload, (payload,) channel name, pair]`; prices and volumes are strings with a
//! fixed number of places per pair, so that a pair's first text tells its decimals. Everything else is an object with
//! an `event`.

use schemas::{BookSide, Digest, TapeBody, Timestamp, TopRow, TradeRow};

use super::{Blame, Change, Kraken, must};
use crate::decimal;
use crate::deed::VenueOutput;
use crate::scan::{Scan, ScanError};
use crate::shelf::Origin;

type Result<T> = std::result::Result<T, ScanError>;

/// Decimals of price and quantity, once known.
type Decimals = Option<(u8, u8)>;

/// The text that subscribes books or ends their subscription.
pub(super) fn book_text(subscribe: bool, pairs: &[String], depth: usize) -> String {
    let event = if subscribe { "subscribe" } else { "unsubscribe" };
    serde_json::json!({"event": event, "pair": pairs, "subscription": {"name": "book", "depth": depth}})
        .to_string()
}

/// What a book's payloads hold beside the levels.
#[derive(Default)]
struct Book {
    snapshot_sides: u32,
    update_sides: u32,
    sum: Option<u32>,
}

/// The string at hand with its price's or quantity's decimals, which it decides if it is the first.
fn price_and_qty(scan: &mut Scan<'_>, decimals: &mut Decimals) -> Result<(i64, i64)> {
    let mut texts = [&b""[..]; 2];
    for text in &mut texts {
        if !scan.item()? {
            return Err(scan.error("a price and a volume were expected"));
        }
        *text = scan.plain()?;
    }
    let [price, qty] = texts;
    let (for_price, for_qty) = *decimals.get_or_insert((decimal::places(price), decimal::places(qty)));
    let read = |text, decimals| decimal::parse(text, decimals).filter(|value| *value >= 0);
    match (read(price, for_price), read(qty, for_qty)) {
        (Some(price), Some(qty)) => Ok((price, qty)),
        _ => Err(scan.error("not a price or volume of this pair")),
    }
}

/// A string of seconds with up to nine places.
fn seconds(scan: &mut Scan<'_>) -> Result<Timestamp> {
    if !scan.item()? {
        return Err(scan.error("a time was expected"));
    }
    let text = scan.plain()?;
    must(decimal::parse(text, 9).filter(|nanos| *nanos > 0).map(Timestamp), "a time was expected")
}

/// `[["price","volume","seconds"],...]`; a fourth `"r"` says that the level is published again.
fn levels(
    scan: &mut Scan<'_>,
    side: BookSide,
    decimals: &mut Decimals,
    into: &mut Vec<Change>,
) -> Result<()> {
    scan.array()?;
    while scan.item()? {
        scan.array()?;
        let (price, qty) = price_and_qty(scan, decimals)?;
        let at = Some(seconds(scan)?);
        while scan.item()? {
            scan.skip()?;
        }
        into.push(Change { side, price, qty, at });
    }
    Ok(())
}

fn book(payload: &[u8], into: &mut Book, decimals: &mut Decimals, changes: &mut Vec<Change>) -> Result<()> {
    let mut scan = Scan::new(payload);
    scan.object()?;
    while let Some(key) = scan.key()? {
        let side = match key {
            b"as" | b"a" => BookSide::Ask,
            b"bs" | b"b" => BookSide::Bid,
            b"c" => {
                let sum = scan.quoted_integer()?;
                into.sum = Some(must(u32::try_from(sum).ok(), "a checksum was expected")?);
                continue;
            }
            _ => {
                scan.skip()?;
                continue;
            }
        };
        let sides = if key.len() == 2 { &mut into.snapshot_sides } else { &mut into.update_sides };
        *sides += 1;
        levels(&mut scan, side, decimals, changes)?;
    }
    scan.end()
}

/// `["price",wholeLots,"lots"]` of a ticker.
fn top(scan: &mut Scan<'_>, decimals: &mut Decimals) -> Result<TopRow> {
    scan.array()?;
    let mut texts = [&b""[..]; 2];
    for at in 0..3 {
        if !scan.item()? {
            return Err(scan.error("three members were expected"));
        }
        match at {
            0 => texts[0] = scan.plain()?,
            1 => scan.skip()?,
            _ => texts[1] = scan.plain()?,
        }
    }
    while scan.item()? {
        scan.skip()?;
    }
    let [price, qty] = texts;
    let (for_price, for_qty) = *decimals.get_or_insert((decimal::places(price), decimal::places(qty)));
    let price = must(decimal::parse(price, for_price), "not a price of this pair")?;
    let qty = Some(must(decimal::parse(qty, for_qty), "not a volume of this pair")?);
    Ok(TopRow { price, qty })
}

impl Kraken {
    /// A data frame.
    pub(super) fn on_array(
        &mut self,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let mut parts = [&b""[..]; 5];
        let mut count = 0;
        let mut scan = Scan::new(bytes);
        scan.array()?;
        while scan.item()? {
            let part = scan.raw()?;
            *must(parts.get_mut(count), "too many members")? = part;
            count += 1;
        }
        scan.end()?;
        if count < 4 {
            return Err(scan.error("too few members"));
        }
        Scan::new(parts[0]).integer()?;
        let channel = Scan::new(parts[count - 2]).plain()?;
        let native = Scan::new(parts[count - 1]).plain()?;
        let payloads = &parts[1..count - 2];
        self.legacy = true;
        let depth = channel.strip_prefix(b"book-");
        if depth.is_none() {
            self.blame = Blame::Nothing;
        }
        let Some(at) = self.pair(native) else {
            self.session.shelf.counts.foreign += 1;
            return Ok(());
        };
        match (channel, depth) {
            (_, Some(depth)) => {
                self.blame = Blame::One(at);
                let depth = decimal::parse(depth, 0).and_then(|depth| usize::try_from(depth).ok());
                self.depths[at] = must(depth, "a depth was expected")?;
                self.v1_book(at, payloads, origin, out)
            }
            (b"trade", _) => self.v1_trades(at, payloads[0], origin, out),
            (b"ticker", _) => self.v1_ticker(at, payloads[0], origin, out),
            _ => {
                self.session.shelf.counts.foreign += 1;
                Ok(())
            }
        }
    }

    fn v1_book(
        &mut self,
        at: usize,
        payloads: &[&[u8]],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let mut decimals = self.session.listings[at].decimals;
        let mut read = Book::default();
        self.changes.clear();
        for payload in payloads {
            book(payload, &mut read, &mut decimals, &mut self.changes)?;
        }
        match (read.snapshot_sides, read.update_sides, read.sum) {
            (2, 0, sum) => {
                self.session.listings[at].decimals = decimals;
                self.load(at, sum, origin, out);
                Ok(())
            }
            (0, 1 | 2, Some(sum)) => {
                self.update(at, sum, origin, out);
                Ok(())
            }
            _ => must(None, "neither a snapshot nor an update with its checksum"),
        }
    }

    fn v1_trades(
        &mut self,
        at: usize,
        payload: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let mut scan = Scan::new(payload);
        let mut index = 0_u32;
        scan.array()?;
        while scan.item()? {
            let start = scan.at();
            scan.array()?;
            let (price, qty) = price_and_qty(&mut scan, &mut self.session.listings[at].decimals)?;
            let time = seconds(&mut scan)?;
            scan.item()?;
            let taker = match scan.plain()? {
                b"b" => BookSide::Bid,
                b"s" => BookSide::Ask,
                _ => return Err(scan.error("a side was expected")),
            };
            while scan.item()? {
                scan.skip()?;
            }
            // v1 gives trades no id: a hash of what they say and of their place in the frame.
            let said = [
                self.session.listings[at].native.as_bytes(),
                &index.to_be_bytes(),
                &payload[start..scan.at()],
            ]
            .concat();
            let mut id = [0; 16];
            id.copy_from_slice(&Digest::of(&said).0[..16]);
            index += 1;
            let Some(no) = self.introduce(at, origin, out) else { continue };
            let mut origin = *origin;
            origin.times.venue_at = Some(time);
            self.trade(no, TradeRow { id, price, qty, taker: Some(taker), block: false }, &origin, out);
        }
        scan.end()
    }

    fn v1_ticker(
        &mut self,
        at: usize,
        payload: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let mut scan = Scan::new(payload);
        let (mut bid, mut ask) = (None, None);
        scan.object()?;
        while let Some(key) = scan.key()? {
            match key {
                b"a" => ask = Some(top(&mut scan, &mut self.session.listings[at].decimals)?),
                b"b" => bid = Some(top(&mut scan, &mut self.session.listings[at].decimals)?),
                _ => scan.skip()?,
            }
        }
        scan.end()?;
        let (bid, ask) = (must(bid, "no bid")?, must(ask, "no ask")?);
        if let Some(no) = self.introduce(at, origin, out) {
            self.session.link.data(self.session.now);
            self.session.shelf.push(no, TapeBody::Quote { bid: Some(bid), ask: Some(ask) }, origin, out);
        }
        Ok(())
    }
}
