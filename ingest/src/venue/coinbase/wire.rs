//! The forms that Advanced Trade and Coinbase Pro share; no state is kept here.

use schemas::{BookSide, Timestamp, TradeRow};

use crate::decimal;
use crate::rfc3339;
use crate::scan::Scan;
pub(super) use crate::venue::spot::{Change, Result, must};

/// One trade of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trade {
    pub(super) product: usize,
    pub(super) id: i64,
    pub(super) price: i64,
    pub(super) qty: i64,
    pub(super) taker: BookSide,
    pub(super) at: Timestamp,
}

impl Trade {
    pub(super) fn row(&self) -> TradeRow {
        let id = u128::from(self.id.unsigned_abs()).to_be_bytes();
        TradeRow { id, price: self.price, qty: self.qty, taker: Some(self.taker), block: false }
    }
}

/// What a frame says about itself, and where the values of its known keys begin.
#[derive(Default)]
pub(super) struct Head<'a> {
    /// Pro, and errors of both.
    pub(super) kind: Option<&'a [u8]>,
    pub(super) product: Option<&'a [u8]>,
    pub(super) time: Option<Scan<'a>>,
    pub(super) asks: Option<Scan<'a>>,
    pub(super) bids: Option<Scan<'a>>,
    pub(super) changes: Option<Scan<'a>>,
    pub(super) best_bid: Option<Scan<'a>>,
    pub(super) best_ask: Option<Scan<'a>>,
    pub(super) trade: Option<Scan<'a>>,
    pub(super) side: Option<Scan<'a>>,
    pub(super) size: Option<Scan<'a>>,
    pub(super) price: Option<Scan<'a>>,
    /// Advanced Trade.
    pub(super) channel: Option<&'a [u8]>,
    pub(super) sequence: Option<i64>,
    pub(super) timestamp: Option<Scan<'a>>,
    pub(super) events: Option<Scan<'a>>,
}

impl<'a> Head<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut head = Self::default();
        let mut scan = Scan::new(bytes);
        scan.object()?;
        while let Some(key) = scan.key()? {
            let place = match key {
                b"type" => {
                    head.kind = Some(scan.plain()?);
                    continue;
                }
                b"channel" => {
                    head.channel = Some(scan.plain()?);
                    continue;
                }
                b"product_id" => {
                    head.product = Some(scan.plain()?);
                    continue;
                }
                b"sequence_num" => {
                    head.sequence = Some(scan.integer()?);
                    continue;
                }
                b"time" => &mut head.time,
                b"asks" => &mut head.asks,
                b"bids" => &mut head.bids,
                b"changes" => &mut head.changes,
                b"best_bid" => &mut head.best_bid,
                b"best_ask" => &mut head.best_ask,
                b"trade_id" => &mut head.trade,
                b"side" => &mut head.side,
                b"size" => &mut head.size,
                b"price" => &mut head.price,
                b"timestamp" => &mut head.timestamp,
                b"events" => &mut head.events,
                _ => {
                    scan.skip()?;
                    continue;
                }
            };
            *place = Some(scan.clone());
            scan.skip()?;
        }
        scan.end()?;
        Ok(head)
    }
}

/// The time in the string at hand.
#[inline]
pub(super) fn time(scan: &mut Scan<'_>) -> Result<Timestamp> {
    let text = scan.plain()?;
    rfc3339::parse(text).ok_or_else(|| scan.error("a time was expected"))
}

/// The time at a place.
#[inline]
pub(super) fn time_at(place: Option<&Scan<'_>>) -> Result<Timestamp> {
    time(&mut must(place, "no time")?.clone())
}

/// A price or quantity; never negative.
#[inline]
pub(super) fn amount(text: &[u8], decimals: u8) -> Result<i64> {
    let value = decimal::parse(text, decimals).filter(|value| *value >= 0);
    must(value, "not a price or quantity of this product")
}

/// The price or quantity at a place.
#[inline]
pub(super) fn amount_at(place: Option<&Scan<'_>>, decimals: u8) -> Result<i64> {
    amount(must(place, "a price or quantity is missing")?.clone().plain()?, decimals)
}

/// The larger of both pairs, member by member.
pub(super) fn larger(a: (u8, u8), b: (u8, u8)) -> (u8, u8) {
    (a.0.max(b.0), a.1.max(b.1))
}
