//! Frames of Advanced Trade: an envelope with a channel, a number that counts over all channels of the connection, and
//! events. A number that is skipped means that any book may have missed something.

use schemas::{BookSide, GapReason, Timestamp};

use super::wire::{Change, Head, Result, amount, larger, must, time, time_at};
use super::{Blame, Coinbase};
use crate::decimal;
use crate::deed::VenueOutput;
use crate::scan::Scan;
use crate::shelf::Origin;

/// The text that subscribes a channel or ends its subscription.
pub(super) fn text(kind: &str, channel: &str, products: &[String]) -> String {
    let mut text = serde_json::json!({"type": kind, "channel": channel});
    if channel != "heartbeats" {
        text["product_ids"] = products.into();
    }
    text.to_string()
}

/// What a change says.
struct Update<'a> {
    side: BookSide,
    price: &'a [u8],
    qty: &'a [u8],
    at: Option<Timestamp>,
}

fn update<'a>(scan: &mut Scan<'a>) -> Result<Update<'a>> {
    let (mut side, mut price, mut qty, mut at) = (None, None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"side" => {
                side = match scan.plain()? {
                    b"bid" => Some(BookSide::Bid),
                    b"offer" => Some(BookSide::Ask),
                    _ => None,
                }
            }
            b"price_level" => price = Some(scan.plain()?),
            b"new_quantity" => qty = Some(scan.plain()?),
            b"event_time" => at = Some(time(scan)?),
            _ => scan.skip()?,
        }
    }
    Ok(Update {
        side: must(side, "a side was expected")?,
        price: must(price, "no price_level")?,
        qty: must(qty, "no new_quantity")?,
        // Snapshots write the epoch where they know no time.
        at: Some(must(at, "no event_time")?).filter(|at| *at != Timestamp::ZERO),
    })
}

/// The most places of any price and quantity.
fn places(mut scan: Scan<'_>) -> Result<(u8, u8)> {
    let mut most = (0, 0);
    scan.array()?;
    while scan.item()? {
        let update = update(&mut scan)?;
        most = larger(most, (decimal::places(update.price), decimal::places(update.qty)));
    }
    Ok(most)
}

/// An event of the book channel.
struct Book<'a> {
    snapshot: bool,
    product: &'a [u8],
    updates: Scan<'a>,
}

fn book<'a>(scan: &mut Scan<'a>) -> Result<Book<'a>> {
    let (mut snapshot, mut product, mut updates) = (None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"type" => {
                snapshot = match scan.plain()? {
                    b"snapshot" => Some(true),
                    b"update" => Some(false),
                    _ => None,
                }
            }
            b"product_id" => product = Some(scan.plain()?),
            b"updates" => {
                updates = Some(scan.clone());
                scan.skip()?;
            }
            _ => scan.skip()?,
        }
    }
    Ok(Book {
        snapshot: must(snapshot, "neither snapshot nor update")?,
        product: must(product, "no product")?,
        updates: must(updates, "no updates")?,
    })
}

impl Coinbase {
    /// A frame with a channel.
    pub(super) fn on_channel(
        &mut self,
        channel: &[u8],
        head: &Head<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let sequence = must(head.sequence, "no sequence_num")?;
        if let Some(last) = self.sequence.replace(sequence)
            && sequence != last + 1
        {
            if sequence == last {
                self.session.shelf.counts.duplicates += 1;
                return Ok(());
            }
            let back = sequence < last;
            let reason = if back { GapReason::SequenceBack } else { GapReason::SequenceSkipped };
            self.give_up(reason, origin, out);
            return Ok(());
        }
        if channel != b"l2_data" {
            self.blame = Blame::Nothing;
        }
        let mut origin = *origin;
        origin.venue_seq = sequence.unsigned_abs();
        origin.times.publish_at = Some(time_at(head.timestamp.as_ref())?);
        let events = must(head.events.as_ref(), "no events")?.clone();
        match channel {
            b"l2_data" => self.each(events, |coinbase, scan| coinbase.on_book(scan, &origin, out)),
            b"market_trades" => self.each(events, |coinbase, scan| coinbase.on_trades(scan, &origin, out)),
            b"candles" => self.each(events, |coinbase, scan| coinbase.on_candles(scan, &origin, out)),
            b"ticker" => self.each(events, |coinbase, scan| coinbase.on_tickers(scan, &origin, out)),
            b"status" => {
                self.each(events, Self::on_status)?;
                if self.books_at != Timestamp::MAX {
                    self.subscribe(out);
                }
                Ok(())
            }
            b"heartbeats" => self.each(events, |coinbase, scan| coinbase.on_heartbeat(scan, &origin, out)),
            b"subscriptions" => Ok(()),
            _ => {
                self.session.shelf.counts.foreign += 1;
                Ok(())
            }
        }
    }

    /// Each member of an array.
    pub(super) fn each<'a>(
        &mut self,
        mut scan: Scan<'a>,
        mut read: impl FnMut(&mut Self, &mut Scan<'a>) -> Result<()>,
    ) -> Result<()> {
        scan.array()?;
        while scan.item()? {
            read(self, &mut scan)?;
        }
        Ok(())
    }

    fn on_book(&mut self, scan: &mut Scan<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) -> Result<()> {
        self.blame = Blame::Everything;
        let event = book(scan)?;
        let Some(at) = self.product(event.product) else {
            self.session.shelf.counts.foreign += 1;
            return Ok(());
        };
        self.blame = Blame::One(at);
        let known = self.session.listings[at].decimals;
        let decimals = match (known, event.snapshot) {
            (Some(decimals), _) => decimals,
            (None, true) => {
                larger(places(event.updates.clone())?, self.products[at].increments.unwrap_or_default())
            }
            (None, false) => {
                self.session.shelf.counts.stale_dropped += 1;
                return Ok(());
            }
        };
        self.changes.clear();
        let mut scan = event.updates;
        scan.array()?;
        while scan.item()? {
            let Update { side, price, qty, at } = update(&mut scan)?;
            let (price, qty) = (amount(price, decimals.0)?, amount(qty, decimals.1)?);
            self.changes.push(Change { side, price, qty, at });
        }
        self.session.listings[at].decimals = Some(decimals);
        if event.snapshot {
            self.load(at, origin, out);
        } else {
            self.update(at, origin, out);
        }
        Ok(())
    }
}
