//! Trades, candles, best prices, increments and heartbeats of Advanced Trade; no book changes here.

use schemas::{BookSide, CandleRow, GapReason, TapeBody, Timestamp, TopRow};

use super::Coinbase;
use super::wire::{Result, Trade, amount, amount_at, must, time_at};
use crate::decimal;
use crate::deed::VenueOutput;
use crate::scan::Scan;
use crate::shelf::Origin;

/// Length of the venue's candles, seconds.
const CANDLE_S: u32 = 300;

/// The places of the values of these keys in an object, and nothing else of it.
fn values<'a, const N: usize>(scan: &mut Scan<'a>, keys: [&[u8]; N]) -> Result<[Option<Scan<'a>>; N]> {
    let mut values = [const { None }; N];
    scan.object()?;
    while let Some(key) = scan.key()? {
        if let Some(at) = keys.iter().position(|known| *known == key) {
            values[at] = Some(scan.clone());
        }
        scan.skip()?;
    }
    Ok(values)
}

fn plain<'a>(place: Option<&Scan<'a>>, what: &'static str) -> Result<&'a [u8]> {
    must(place, what)?.clone().plain()
}

impl Coinbase {
    /// The product at a place with its decimals. One that is not followed is `None`; an error before its book has come,
    /// which decides the decimals.
    fn known(&mut self, place: Option<&Scan<'_>>) -> Result<Option<(usize, (u8, u8))>> {
        let Some(at) = self.product(plain(place, "no product")?) else {
            self.session.shelf.counts.foreign += 1;
            return Ok(None);
        };
        let listing = &mut self.session.listings[at];
        listing.decimals = listing.decimals.or(self.products[at].increments);
        Ok(Some((at, must(listing.decimals, "before the book")?)))
    }

    pub(super) fn on_trades(
        &mut self,
        scan: &mut Scan<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let [trades] = values(scan, [b"trades"])?;
        self.trades.clear();
        self.each(must(trades, "no trades")?, |coinbase, scan| {
            let keys: [&[u8]; 6] = [b"product_id", b"trade_id", b"price", b"size", b"side", b"time"];
            let [product, id, price, size, side, at] = values(scan, keys)?;
            let Some((product, decimals)) = coinbase.known(product.as_ref())? else { return Ok(()) };
            // The side is the maker's.
            let taker = match plain(side.as_ref(), "no side")? {
                b"BUY" => BookSide::Ask,
                b"SELL" => BookSide::Bid,
                _ => return must(None, "a side was expected"),
            };
            let trade = Trade {
                product,
                id: must(id, "no trade id")?.quoted_integer()?,
                price: amount_at(price.as_ref(), decimals.0)?,
                qty: amount_at(size.as_ref(), decimals.1)?,
                taker,
                at: time_at(at.as_ref())?,
            };
            coinbase.trades.push(trade);
            Ok(())
        })?;
        self.say_trades(origin, out);
        Ok(())
    }

    pub(super) fn on_candles(
        &mut self,
        scan: &mut Scan<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let [candles] = values(scan, [b"candles"])?;
        self.each(must(candles, "no candles")?, |coinbase, scan| {
            let keys: [&[u8]; 7] = [b"product_id", b"start", b"open", b"high", b"low", b"close", b"volume"];
            let [product, start, open, high, low, close, volume] = values(scan, keys)?;
            let Some((at, (for_price, for_qty))) = coinbase.known(product.as_ref())? else { return Ok(()) };
            let price = |place: Option<Scan<'_>>| amount_at(place.as_ref(), for_price).map(Some);
            let start = must(start, "no start")?.quoted_integer()?;
            let row = CandleRow {
                start: Timestamp::from_secs(start),
                interval_s: CANDLE_S,
                open: price(open)?,
                high: price(high)?,
                low: price(low)?,
                close: price(close)?,
                volume: amount_at(volume.as_ref(), for_qty)?,
                // The venue never says that a candle is final.
                closed: false,
            };
            if let Some(no) = coinbase.introduce(at, origin, out) {
                coinbase.session.link.data(coinbase.session.now);
                coinbase.session.shelf.push(no, TapeBody::Candle(Box::new(row)), origin, out);
            }
            Ok(())
        })
    }

    /// Best prices. They are sent beside the book channel at a moment of their own, so that they cannot be compared.
    pub(super) fn on_tickers(
        &mut self,
        scan: &mut Scan<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let [tickers] = values(scan, [b"tickers"])?;
        self.each(must(tickers, "no tickers")?, |coinbase, scan| {
            let keys: [&[u8]; 5] =
                [b"product_id", b"best_bid", b"best_bid_quantity", b"best_ask", b"best_ask_quantity"];
            let [product, bid, bid_qty, ask, ask_qty] = values(scan, keys)?;
            let Some((at, (for_price, for_qty))) = coinbase.known(product.as_ref())? else { return Ok(()) };
            let top = |price: Option<Scan<'_>>, qty: Option<Scan<'_>>| -> Result<Option<TopRow>> {
                let price = amount_at(price.as_ref(), for_price)?;
                let qty = qty.map(|mut qty| amount(qty.plain()?, for_qty)).transpose()?;
                Ok(Some(TopRow { price, qty }))
            };
            let (bid, ask) = (top(bid, bid_qty)?, top(ask, ask_qty)?);
            if let Some(no) = coinbase.introduce(at, origin, out) {
                coinbase.session.link.data(coinbase.session.now);
                coinbase.session.shelf.push(no, TapeBody::Quote { bid, ask }, origin, out);
            }
            Ok(())
        })
    }

    /// The increments of products, which give the decimals of their books.
    pub(super) fn on_status(&mut self, scan: &mut Scan<'_>) -> Result<()> {
        let [products] = values(scan, [b"products"])?;
        self.each(must(products, "no products")?, |coinbase, scan| {
            let [id, price, size] = values(scan, [b"id", b"quote_increment", b"base_increment"])?;
            let Some(at) = coinbase.product(plain(id.as_ref(), "no id")?) else { return Ok(()) };
            let places = |place: Option<Scan<'_>>, what| -> Result<u8> {
                let text = plain(place.as_ref(), what)?;
                let places = decimal::places(text);
                must(decimal::parse(text, places).map(|_| places), what)
            };
            let price = places(price, "no quote_increment")?;
            coinbase.products[at].increments = Some((price, places(size, "no base_increment")?));
            Ok(())
        })
    }

    /// A counter that skips says that something was missed, even where the frames' numbers do not.
    pub(super) fn on_heartbeat(
        &mut self,
        scan: &mut Scan<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let [counter] = values(scan, [b"heartbeat_counter"])?;
        let mut counter = must(counter, "no counter")?;
        // Written as a string in older documents.
        let counter = if counter.starts(b'"') { counter.quoted_integer()? } else { counter.integer()? };
        if let Some(last) = self.heartbeat.replace(counter)
            && counter > last + 1
        {
            self.give_up(GapReason::SequenceSkipped, origin, out);
        }
        Ok(())
    }
}
