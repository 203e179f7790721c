//! Recorded snapshots and polled quotes, one canonical JSON line per frame, into the same books and rows as live
//! frames; it never asks a venue for anything.
//!
//! A snapshot row is `{"market_id":"…","ts":ms,"side":"UP"|"DOWN","bids":[["0.45","12.5"],…],"asks":[…]}`; its
//! instrument is `market_id:side`. A quote row is `{"ts":ms,"slug":"…","bid":"0.41"|null,"ask":"0.43"|null}`. All
//! fields must be there. A crossed snapshot loses its book; a crossed quote comes from polling (both sides were not
//! read at one instant) and is said as it is. Both are counted.

use schemas::{
    BookSide, Digest, GapReason, Instrument, InstrumentKind, InstrumentNo, Machine, Raw, Record, TapeBody,
    Timestamp, TopRow, Venue,
};

use super::market::PolymarketConfig;
use super::market_wire::{ONE, PRICE_DECIMALS, QTY_DECIMALS, WireError};
use crate::deed::VenueOutput;
use crate::link::Link;
use crate::scan::Scan;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;

/// Milliseconds at 2100-01-01; later times are refused.
const MAX_MILLIS: i64 = 4_102_444_800_000;

/// A reader of recorded rows.
#[derive(Clone, Debug)]
pub struct History {
    venue: Venue,
    shelf: Shelf,
    link: Link,
    next_conn: u32,
    now: Timestamp,
    /// Venue time of each instrument's newest row, ms.
    last_ms: Vec<i64>,
    /// Levels of the row that is being read: side, price, quantity.
    levels: Vec<(BookSide, i64, i64)>,
    /// The native name that is being looked up.
    name: Vec<u8>,
}

/// A price that was told, or told to be absent.
struct Told(Option<i64>);

/// One row without its levels.
#[derive(Default)]
struct Row<'a> {
    ms: Option<i64>,
    market: Option<&'a [u8]>,
    side: Option<&'a [u8]>,
    bids: bool,
    asks: bool,
    slug: Option<&'a [u8]>,
    bid: Option<Told>,
    ask: Option<Told>,
}

impl History {
    /// A reader that has seen nothing, for rows of this venue.
    pub fn new(venue: Venue) -> Self {
        Self {
            venue,
            shelf: Shelf::default(),
            link: Link::new(PolymarketConfig::capture().link),
            next_conn: 0,
            now: Timestamp::ZERO,
            last_ms: Vec::new(),
            levels: Vec::new(),
            name: Vec::new(),
        }
    }

    fn on_frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.frames += 1;
        self.link.data(self.now);
        let mut levels = std::mem::take(&mut self.levels);
        let said = read(bytes, &mut levels).and_then(|row| self.say(&row, &levels, origin, out));
        self.levels = levels;
        if said.is_err() {
            self.shelf.counts.quarantined += 1;
        }
    }

    fn say(
        &mut self,
        row: &Row<'_>,
        levels: &[(BookSide, i64, i64)],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), WireError> {
        let ms = row.ms.ok_or(WireError::Missing("ts"))?;
        let origin = origin.at_venue_ms(ms);
        if let Some(slug) = row.slug {
            let bid = row.bid.as_ref().ok_or(WireError::Missing("bid"))?.0;
            let ask = row.ask.as_ref().ok_or(WireError::Missing("ask"))?.0;
            let no = self.instrument(slug, None, &origin, out)?;
            if self.in_order(no, ms) {
                self.quote(no, bid, ask, &origin, out);
            }
            return Ok(());
        }
        let market = row.market.ok_or(WireError::Missing("market_id"))?;
        let side = row.side.ok_or(WireError::Missing("side"))?;
        for (there, name) in [(row.bids, "bids"), (row.asks, "asks")] {
            if !there {
                return Err(WireError::Missing(name));
            }
        }
        let no = self.instrument(market, Some(side), &origin, out)?;
        if self.in_order(no, ms) {
            self.snapshot(no, levels, &origin, out);
        }
        Ok(())
    }

    /// Rows of one instrument come in the order of their times.
    fn in_order(&mut self, no: InstrumentNo, ms: i64) -> bool {
        let Some(last) = self.last_ms.get_mut(no.0 as usize) else { return false };
        if ms < *last {
            self.shelf.counts.stale_dropped += 1;
            return false;
        }
        *last = ms;
        true
    }

    fn instrument(
        &mut self,
        market: &[u8],
        side: Option<&[u8]>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<InstrumentNo, WireError> {
        self.name.clear();
        self.name.extend_from_slice(market);
        if let Some(side) = side {
            self.name.push(b':');
            self.name.extend_from_slice(side);
        }
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| WireError::Bad("a name"))
        };
        let (native, market, venue) = (text(&self.name)?, text(market)?, self.venue);
        let no = self.shelf.intern(&self.name, origin, out, || Instrument {
            venue,
            native,
            market,
            kind: InstrumentKind::Binary,
            price_decimals: PRICE_DECIMALS,
            qty_decimals: QTY_DECIMALS,
        });
        self.last_ms.resize(self.shelf.len(), 0);
        Ok(no)
    }

    fn quote(
        &mut self,
        no: InstrumentNo,
        bid: Option<i64>,
        ask: Option<i64>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        if bid.zip(ask).is_some_and(|(bid, ask)| bid > ask) {
            self.shelf.counts.crossed += 1;
        }
        let row = |price: Option<i64>| price.map(|price| TopRow { price, qty: None });
        self.shelf.push(no, TapeBody::Quote { bid: row(bid), ask: row(ask) }, origin, out);
    }

    fn snapshot(
        &mut self,
        no: InstrumentNo,
        levels: &[(BookSide, i64, i64)],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        self.shelf.clear(no, origin, out);
        for (side, price, qty) in levels {
            self.shelf.load(no, *side, *price, *qty, origin, out);
        }
        let Some(slot) = self.shelf.slot(no) else { return };
        let held = slot.book.side(BookSide::Bid).len() + slot.book.side(BookSide::Ask).len();
        let wanted = levels.iter().filter(|(_, _, qty)| *qty > 0).count();
        let reason = if slot.book.crossed() {
            self.shelf.counts.crossed += 1;
            GapReason::Crossed
        } else if held != wanted {
            self.shelf.counts.quarantined += 1;
            GapReason::Unreadable
        } else {
            return self.shelf.loaded(no, origin, out);
        };
        self.shelf.clear(no, origin, out);
        self.shelf.lose(no, reason, origin, out);
    }
}

fn read<'a>(bytes: &'a [u8], levels: &mut Vec<(BookSide, i64, i64)>) -> Result<Row<'a>, WireError> {
    let mut row = Row::default();
    let mut scan = Scan::new(bytes);
    levels.clear();
    scan.object()?;
    while let Some(key) = scan.key()? {
        let (again, name) = match key {
            b"ts" => (row.ms.replace(time(&mut scan)?).is_some(), "ts"),
            b"market_id" => (row.market.replace(scan.plain()?).is_some(), "market_id"),
            b"slug" => (row.slug.replace(scan.plain()?).is_some(), "slug"),
            b"side" => (row.side.replace(token(&mut scan)?).is_some(), "side"),
            b"bids" => {
                side(&mut scan, BookSide::Bid, levels)?;
                (std::mem::replace(&mut row.bids, true), "bids")
            }
            b"asks" => {
                side(&mut scan, BookSide::Ask, levels)?;
                (std::mem::replace(&mut row.asks, true), "asks")
            }
            b"bid" => (row.bid.replace(price_or_null(&mut scan)?).is_some(), "bid"),
            b"ask" => (row.ask.replace(price_or_null(&mut scan)?).is_some(), "ask"),
            _ => {
                scan.skip()?;
                (false, "")
            }
        };
        if again {
            return Err(WireError::Twice(name));
        }
    }
    scan.end()?;
    Ok(row)
}

fn time(scan: &mut Scan<'_>) -> Result<i64, WireError> {
    Some(scan.integer()?).filter(|ms| (1..=MAX_MILLIS).contains(ms)).ok_or(WireError::Bad("ts"))
}

fn token<'a>(scan: &mut Scan<'a>) -> Result<&'a [u8], WireError> {
    Some(scan.plain()?).filter(|side| matches!(*side, b"UP" | b"DOWN")).ok_or(WireError::Bad("side"))
}

fn price_or_null(scan: &mut Scan<'_>) -> Result<Told, WireError> {
    if scan.null()? {
        return Ok(Told(None));
    }
    let price = scan.decimal(PRICE_DECIMALS)?;
    if (0..=ONE).contains(&price) { Ok(Told(Some(price))) } else { Err(WireError::Bad("price")) }
}

fn side(scan: &mut Scan<'_>, side: BookSide, into: &mut Vec<(BookSide, i64, i64)>) -> Result<(), WireError> {
    scan.array()?;
    while scan.item()? {
        scan.array()?;
        let mut pair = [0_i64; 2];
        for (number, decimals) in pair.iter_mut().zip([PRICE_DECIMALS, QTY_DECIMALS]) {
            if !scan.item()? {
                return Err(WireError::Bad("a level"));
            }
            *number = scan.decimal(decimals)?;
        }
        let [price, qty] = pair;
        if scan.item()? || !(1..ONE).contains(&price) || qty < 0 {
            return Err(WireError::Bad("a level"));
        }
        into.push((side, price, qty));
    }
    Ok(())
}

impl Machine for History {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        self.now = self.now.max(record.at);
        let mut origin = Origin { raw_seq: record.seq, ..Origin::default() };
        origin.times.recv_at = record.at;
        match &record.body {
            Raw::Frame { conn, bytes } if self.link.owns(*conn) => self.on_frame(bytes, &origin, out),
            Raw::Connected { conn } if self.link.opened(*conn, self.now) => {}
            Raw::Closed { conn, .. } if self.link.closed(*conn, self.now) => {
                self.shelf.counts.disconnects += 1;
                for at in 0..self.shelf.len() {
                    self.shelf.lose(InstrumentNo(at as u32), GapReason::Disconnected, &origin, out);
                }
            }
            Raw::TimeAdvanced { to } => self.now = self.now.max(*to),
            _ => self.shelf.counts.stray += 1,
        }
        // A recording's clock may stand still: the next connection opens at once.
        let wake = self.link.wake_at();
        let now = if wake < Timestamp::MAX { self.now.max(wake) } else { self.now };
        self.link.run(now, &mut self.next_conn, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.link.wake_at()).filter(|at| *at < Timestamp::MAX)
    }

    fn digest(&self) -> Digest {
        let times: Vec<u8> = self.last_ms.iter().flat_map(|ms| ms.to_be_bytes()).collect();
        Digest::combine(&[self.shelf.digest(), Digest::of(&times)])
    }
}

impl VenueMachine for History {
    fn venue(&self) -> Venue {
        self.venue
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
