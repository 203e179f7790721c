//! The same work as the venue machines' hot paths with typed deserialisers, for comparison: decode, look up, check the
//! sequence, change the book, compare the best prices, say the row. Never used outside the benchmark.

use ingest::{Origin, Shelf, VenueOutput, decimal};
use schemas::{BookSide, Instrument, InstrumentKind, Times, Timestamp, Venue};
use serde::Deserialize;

/// Which deserialiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// serde_json with borrowed strings.
    Serde,
    /// sonic-rs with borrowed strings.
    Sonic,
}

#[derive(Deserialize)]
struct KalshiFrame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    sid: u64,
    seq: u64,
    #[serde(borrow)]
    msg: KalshiDelta<'a>,
}

#[derive(Deserialize)]
struct KalshiDelta<'a> {
    market_ticker: &'a str,
    price_dollars: &'a str,
    delta_fp: &'a str,
    side: &'a str,
    ts_ms: i64,
}

#[derive(Deserialize)]
struct PriceChange<'a> {
    event_type: &'a str,
    timestamp: &'a str,
    #[serde(borrow)]
    price_changes: Vec<Change<'a>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    asset_id: &'a str,
    price: &'a str,
    size: &'a str,
    side: &'a str,
    best_bid: &'a str,
    best_ask: &'a str,
}

fn parse<'a, T: Deserialize<'a>>(peer: Peer, bytes: &'a [u8]) -> Option<T> {
    match peer {
        Peer::Serde => serde_json::from_slice(bytes).ok(),
        Peer::Sonic => sonic_rs::from_slice(bytes).ok(),
    }
}

/// Books fed by a deserialiser.
pub(super) struct PeerBooks {
    peer: Peer,
    shelf: Shelf,
    seq: u64,
}

impl PeerBooks {
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, shelf: Shelf::default(), seq: 0 }
    }

    fn origin(at_ms: i64, seq: u64) -> Origin {
        let recv_at = Timestamp::from_millis(at_ms);
        Origin {
            raw_seq: seq,
            venue_seq: seq,
            times: Times { venue_at: Some(recv_at), publish_at: None, recv_at },
        }
    }

    fn instrument(
        &mut self,
        native: &str,
        venue: Venue,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> schemas::InstrumentNo {
        self.shelf.intern(native.as_bytes(), origin, out, || Instrument {
            venue,
            native: native.to_owned(),
            market: native.to_owned(),
            kind: InstrumentKind::Binary,
            price_decimals: 6,
            qty_decimals: 6,
        })
    }

    /// Loads the books of a session's opening, so that everyone starts from the same ones.
    pub(super) fn open(&mut self, opening: &[Vec<u8>], out: &mut Vec<VenueOutput>) -> Option<()> {
        for bytes in opening {
            let frame: serde_json::Value = serde_json::from_slice(bytes).ok()?;
            let origin = Self::origin(1, 0);
            self.seq = frame["seq"].as_u64().unwrap_or(self.seq);
            if let Some(ticker) = frame["msg"]["market_ticker"].as_str() {
                let no = self.instrument(ticker, Venue::Kalshi, &origin, out);
                self.load(no, BookSide::Bid, &frame["msg"]["yes_dollars_fp"], 2, |p| p, &origin, out)?;
                self.load(
                    no,
                    BookSide::Ask,
                    &frame["msg"]["no_dollars_fp"],
                    2,
                    |p| 1_000_000 - p,
                    &origin,
                    out,
                )?;
            } else if let Some(asset) = frame["asset_id"].as_str() {
                let no = self.instrument(asset, Venue::Polymarket, &origin, out);
                self.load(no, BookSide::Bid, &frame["bids"], 6, |p| p, &origin, out)?;
                self.load(no, BookSide::Ask, &frame["asks"], 6, |p| p, &origin, out)?;
            }
        }
        Some(())
    }

    #[allow(clippy::too_many_arguments, reason = "one loader for two forms of a level")]
    fn load(
        &mut self,
        no: schemas::InstrumentNo,
        side: BookSide,
        levels: &serde_json::Value,
        decimals: u8,
        price: impl Fn(i64) -> i64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Option<()> {
        for level in levels.as_array()? {
            let text = |at: usize, key: &str| {
                level.get(at).or_else(|| level.get(key)).and_then(serde_json::Value::as_str)
            };
            let told = decimal::parse(text(0, "price")?.as_bytes(), 6)?;
            let qty = decimal::parse(text(1, "size")?.as_bytes(), decimals)?;
            self.shelf.load(no, side, price(told), qty, origin, out);
        }
        Some(())
    }

    /// One `orderbook_delta`; `None` if it is none or does not fit.
    pub(super) fn kalshi(&mut self, bytes: &[u8], out: &mut Vec<VenueOutput>) -> Option<()> {
        let frame: KalshiFrame<'_> = parse(self.peer, bytes)?;
        if frame.kind != "orderbook_delta" || frame.sid != 1 || (self.seq != 0 && frame.seq != self.seq + 1) {
            return None;
        }
        self.seq = frame.seq;
        let origin = Self::origin(frame.msg.ts_ms, frame.seq);
        let no = self.instrument(frame.msg.market_ticker, Venue::Kalshi, &origin, out);
        let price = decimal::parse(frame.msg.price_dollars.as_bytes(), 6)?;
        let delta = decimal::parse(frame.msg.delta_fp.as_bytes(), 2)?;
        let (side, price) = match frame.msg.side {
            "yes" => (BookSide::Bid, price),
            "no" => (BookSide::Ask, 1_000_000 - price),
            _ => return None,
        };
        if !self.shelf.add(no, side, price, delta, &origin, out) {
            return None;
        }
        self.shelf.slot(no).is_some_and(|slot| !slot.book.crossed()).then_some(())
    }

    /// One `price_change`.
    pub(super) fn polymarket(&mut self, bytes: &[u8], out: &mut Vec<VenueOutput>) -> Option<()> {
        let frame: PriceChange<'_> = parse(self.peer, bytes)?;
        if frame.event_type != "price_change" {
            return None;
        }
        let origin = Self::origin(decimal::parse(frame.timestamp.as_bytes(), 0)?, 0);
        for change in &frame.price_changes {
            let no = self.instrument(change.asset_id, Venue::Polymarket, &origin, out);
            let side = match change.side {
                "BUY" => BookSide::Bid,
                "SELL" => BookSide::Ask,
                _ => return None,
            };
            let price = decimal::parse(change.price.as_bytes(), 6)?;
            let qty = decimal::parse(change.size.as_bytes(), 6)?;
            self.shelf.set(no, side, price, qty, &origin, out);
            let best =
                |side| self.shelf.slot(no).and_then(|slot| slot.book.best(side)).map(|level| level.price);
            let told = |text: &str| decimal::parse(text.as_bytes(), 6);
            if best(BookSide::Bid) != told(change.best_bid) || best(BookSide::Ask) != told(change.best_ask) {
                return None;
            }
        }
        Some(())
    }
}
