//! Frames of Coinbase Pro, as old captures hold them; nothing of it is subscribed unless a capture speaks it.
//!
//! Its books have no numbers. A trade sends, in this order and with one and the same `time`: the match, the book
//! change, the ticker. So a ticker's best prices are those of our book at that moment iff the newest change in the book
//! carries the ticker's own time; otherwise the two channels speak of different moments (the first ticker after a
//! subscription tells the last trade, which may be minutes old) and nothing can be said.

use schemas::{BookSide, GapReason, TapeBody, TopRow};

use super::wire::{Change, Head, Result, Trade, amount, amount_at, larger, must, time_at};
use super::{Blame, Coinbase};
use crate::decimal;
use crate::deed::VenueOutput;
use crate::scan::Scan;
use crate::shelf::Origin;

/// The text that subscribes books or ends their subscription.
pub(super) fn book_text(kind: &str, products: &[String]) -> String {
    serde_json::json!({"type": kind, "product_ids": products, "channels": ["level2"]}).to_string()
}

/// The texts of `["price","size"]`.
fn pair<'a>(scan: &mut Scan<'a>) -> Result<(&'a [u8], &'a [u8])> {
    let mut texts = [&b""[..]; 2];
    for text in &mut texts {
        if !scan.item()? {
            return Err(scan.error("a price and a size were expected"));
        }
        *text = scan.plain()?;
    }
    while scan.item()? {
        scan.skip()?;
    }
    Ok((texts[0], texts[1]))
}

/// The most places of any price and size of a side.
fn places(mut scan: Scan<'_>) -> Result<(u8, u8)> {
    let mut most = (0, 0);
    scan.array()?;
    while scan.item()? {
        scan.array()?;
        let (price, size) = pair(&mut scan)?;
        most = larger(most, (decimal::places(price), decimal::places(size)));
    }
    Ok(most)
}

/// The side of a change or of a maker.
fn side(text: &[u8]) -> Result<BookSide> {
    match text {
        b"buy" => Ok(BookSide::Bid),
        b"sell" => Ok(BookSide::Ask),
        _ => must(None, "a side was expected"),
    }
}

impl Coinbase {
    /// A frame with a `type` and no channel.
    pub(super) fn on_pro(
        &mut self,
        kind: &[u8],
        head: &Head<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        if !matches!(kind, b"snapshot" | b"l2update" | b"ticker" | b"match" | b"last_match") {
            self.blame = Blame::Nothing;
            match kind {
                b"error" => self.on_error(origin, out),
                b"subscriptions" | b"heartbeat" => {}
                _ => self.session.shelf.counts.foreign += 1,
            }
            return Ok(());
        }
        let of_book = matches!(kind, b"snapshot" | b"l2update");
        if !of_book {
            self.blame = Blame::Nothing;
        }
        self.legacy = true;
        let Some(at) = self.product(must(head.product, "no product")?) else {
            self.blame = Blame::Nothing;
            self.session.shelf.counts.foreign += 1;
            return Ok(());
        };
        if of_book {
            self.blame = Blame::One(at);
        }
        match kind {
            b"snapshot" => self.pro_snapshot(at, head, origin, out),
            b"l2update" => self.pro_update(at, head, origin, out),
            b"ticker" => self.pro_ticker(at, head, origin, out),
            _ => self.pro_match(at, head, origin, out),
        }
    }

    fn pro_snapshot(
        &mut self,
        at: usize,
        head: &Head<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let (bids, asks) = (must(head.bids.clone(), "no bids")?, must(head.asks.clone(), "no asks")?);
        let known = self.session.listings[at].decimals;
        let decimals = match known {
            Some(decimals) => decimals,
            None => larger(places(bids.clone())?, places(asks.clone())?),
        };
        self.changes.clear();
        for (side, mut scan) in [(BookSide::Bid, bids), (BookSide::Ask, asks)] {
            scan.array()?;
            while scan.item()? {
                scan.array()?;
                let (price, size) = pair(&mut scan)?;
                let (price, qty) = (amount(price, decimals.0)?, amount(size, decimals.1)?);
                self.changes.push(Change { side, price, qty, at: None });
            }
        }
        self.session.listings[at].decimals = Some(decimals);
        self.load(at, origin, out);
        Ok(())
    }

    fn pro_update(
        &mut self,
        at: usize,
        head: &Head<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let time = time_at(head.time.as_ref())?;
        let mut scan = must(head.changes.as_ref(), "no changes")?.clone();
        self.changes.clear();
        if let Some(decimals) = self.session.listings[at].decimals {
            scan.array()?;
            while scan.item()? {
                scan.array()?;
                must(scan.item()?.then_some(()), "a side was expected")?;
                let side = side(scan.plain()?)?;
                let (price, size) = pair(&mut scan)?;
                let (price, qty) = (amount(price, decimals.0)?, amount(size, decimals.1)?);
                self.changes.push(Change { side, price, qty, at: None });
            }
        }
        let mut origin = *origin;
        origin.times.venue_at = Some(time);
        if self.update(at, &origin, out) {
            self.products[at].book_at = Some(time);
        }
        Ok(())
    }

    fn pro_ticker(
        &mut self,
        at: usize,
        head: &Head<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let time = time_at(head.time.as_ref())?;
        let (for_price, _) = must(self.session.listings[at].decimals, "a ticker before the book")?;
        let bid = amount_at(head.best_bid.as_ref(), for_price)?;
        let ask = amount_at(head.best_ask.as_ref(), for_price)?;
        let Some(no) = self.introduce(at, origin, out) else { return Ok(()) };
        let mut origin = *origin;
        origin.times.venue_at = Some(time);
        let top = |price| Some(TopRow { price, qty: None });
        self.session.link.data(self.session.now);
        self.session.shelf.push(no, TapeBody::Quote { bid: top(bid), ask: top(ask) }, &origin, out);
        if self.products[at].book_at != Some(time) {
            return Ok(());
        }
        let best = |side| {
            self.session.shelf.slot(no).and_then(|slot| slot.book.best(side)).map_or(0, |level| level.price)
        };
        if (best(BookSide::Bid), best(BookSide::Ask)) == (bid, ask) {
            self.session.shelf.counts.tops_ok += 1;
        } else {
            self.session.shelf.counts.tops_bad += 1;
            self.lose(at, GapReason::TopMismatch, &origin, out);
        }
        Ok(())
    }

    fn pro_match(
        &mut self,
        at: usize,
        head: &Head<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let (for_price, for_qty) = must(self.session.listings[at].decimals, "a match before the book")?;
        let trade = Trade {
            product: at,
            id: must(head.trade.as_ref(), "no trade id")?.clone().integer()?,
            price: amount_at(head.price.as_ref(), for_price)?,
            qty: amount_at(head.size.as_ref(), for_qty)?,
            // The side is the maker's.
            taker: match side(must(head.side.as_ref(), "no side")?.clone().plain()?)? {
                BookSide::Bid => BookSide::Ask,
                BookSide::Ask => BookSide::Bid,
            },
            at: time_at(head.time.as_ref())?,
        };
        self.trades.clear();
        self.trades.push(trade);
        self.say_trades(origin, out);
        Ok(())
    }
}
