//! Trades, candles and best prices of Binance as rows; no book changes here.

use schemas::{BookSide, CandleRow, TapeBody, Timestamp, TopRow, TradeRow};

use super::wire::{Fields, Result, amount, candle, decide, integer, must};
use super::{Binance, Dialect};
use crate::decimal;
use crate::deed::VenueOutput;
use crate::scan::Scan;
use crate::shelf::Origin;

/// The text at a place.
fn text<'a>(place: Option<&Scan<'a>>, what: &'static str) -> Result<&'a [u8]> {
    must(place, what)?.clone().plain()
}

impl Binance {
    /// A frame whose structure is sound.
    pub(super) fn on_fields(
        &mut self,
        fields: &Fields<'_>,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        if let Some(error) = fields.answer {
            return self.on_answer(error, fields, origin, out);
        }
        let event = match fields.event {
            Some(event) => event,
            // Spot sends best prices without a name.
            None if fields.bid_qty.is_some() && fields.ask_qty.is_some() => b"bookTicker",
            None => return must(None, "a frame that does not say what it is"),
        };
        if !matches!(event, b"depthUpdate" | b"trade" | b"aggTrade" | b"bookTicker" | b"kline") {
            self.session.shelf.counts.foreign += 1;
            return Ok(());
        }
        let Some(at) = self.symbol(must(fields.symbol, "no s")?) else {
            self.session.shelf.counts.foreign += 1;
            return Ok(());
        };
        match event {
            b"depthUpdate" => return self.on_depth(at, fields, bytes, origin, out),
            b"bookTicker" => self.on_top(at, fields, origin, out)?,
            b"kline" => self.on_candle(at, fields, origin, out)?,
            _ => self.on_trade(at, fields, event == b"aggTrade", origin, out)?,
        }
        self.session.link.data(self.session.now);
        Ok(())
    }

    /// The answer to a request over the socket. An error may mean that nothing is subscribed: another connection tries
    /// again, later and later.
    fn on_answer(
        &mut self,
        error: bool,
        fields: &Fields<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        must(fields.event.is_none().then_some(()), "an answer that is an event")?;
        if error {
            self.session.shelf.counts.venue_errors += 1;
            self.give_up(schemas::GapReason::ChannelError, origin, out);
        }
        Ok(())
    }

    fn on_trade(
        &mut self,
        at: usize,
        fields: &Fields<'_>,
        aggregated: bool,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let dialect = if fields.ignore { Dialect::Spot } else { Dialect::Futures };
        self.dialect.get_or_insert(dialect);
        let id = if aggregated { &fields.asks } else { &fields.trade };
        let id = integer(id.as_ref(), "no trade id")?;
        let (price, qty) = (text(fields.price.as_ref(), "no p")?, text(fields.qty.as_ref(), "no q")?);
        let maker_bought = must(fields.maker_bought.as_ref(), "no m")?.clone().boolean()?;
        let happened = integer(fields.trade_at.as_ref(), "no T")?;
        let sent = must(fields.event_at, "no E")?;
        let listing = &mut self.session.listings[at];
        let (for_price, for_qty) = decide(&mut listing.decimals, price, qty);
        let price = must(decimal::parse(price, for_price), "not a price of this symbol")?;
        let qty = must(decimal::parse(qty, for_qty), "not a quantity of this symbol")?;
        if *self.symbols[at].aggregated.get_or_insert(aggregated) != aggregated {
            self.session.shelf.counts.foreign += 1;
            return Ok(());
        }
        if id <= listing.last_trade {
            self.session.shelf.counts.duplicates += 1;
            return Ok(());
        }
        listing.last_trade = id;
        let Some(no) = self.introduce(at, origin, out) else { return Ok(()) };
        let mut origin = origin.at_venue_ms(happened);
        origin.times.publish_at = Some(Timestamp::from_millis(sent));
        let taker = Some(if maker_bought { BookSide::Ask } else { BookSide::Bid });
        let id = u128::from(id.unsigned_abs()).to_be_bytes();
        self.session.shelf.counts.fills += 1;
        self.session.shelf.push(
            no,
            TapeBody::Trade(TradeRow { id, price, qty, taker, block: false }),
            &origin,
            out,
        );
        Ok(())
    }

    fn on_top(
        &mut self,
        at: usize,
        fields: &Fields<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let named = if fields.event.is_some() { Dialect::Futures } else { Dialect::Spot };
        let dialect = *self.dialect.get_or_insert(named);
        let price = text(fields.bids.as_ref(), "no b")?;
        let qty = text(fields.bid_qty.as_ref(), "no B")?;
        let (for_price, for_qty) = decide(&mut self.session.listings[at].decimals, price, qty);
        let top = |price, qty| -> Result<TopRow> {
            let price = amount(price, for_price, "not a price of this symbol")?;
            Ok(TopRow { price, qty: Some(amount(qty, for_qty, "not a quantity of this symbol")?) })
        };
        let bid = top(fields.bids.as_ref(), fields.bid_qty.as_ref())?;
        let ask = top(fields.asks.as_ref(), fields.ask_qty.as_ref())?;
        let mut origin = *origin;
        origin.venue_seq = integer(fields.last.as_ref(), "no u")?.unsigned_abs();
        if dialect == Dialect::Futures {
            origin = origin.at_venue_ms(integer(fields.trade_at.as_ref(), "no T")?);
            origin.times.publish_at = Some(Timestamp::from_millis(must(fields.event_at, "no E")?));
        }
        if let Some(no) = self.introduce(at, &origin, out) {
            self.session.shelf.push(no, TapeBody::Quote { bid: Some(bid), ask: Some(ask) }, &origin, out);
        }
        Ok(())
    }

    fn on_candle(
        &mut self,
        at: usize,
        fields: &Fields<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let sent = must(fields.event_at, "no E")?;
        let candle = candle(&mut must(fields.candle.as_ref(), "no k")?.clone())?;
        let length = candle.end_ms.saturating_sub(candle.start_ms).saturating_add(1);
        let interval_s =
            (length > 0 && length % 1_000 == 0).then(|| u32::try_from(length / 1_000).ok()).flatten();
        let interval_s = must(interval_s, "not an interval")?;
        if self.dialect.is_none() {
            // A candle looks alike on both venues; the first other frame tells which one it is.
            self.session.shelf.counts.foreign += 1;
            return Ok(());
        }
        let [open, high, low, close, volume] = candle.values;
        let (for_price, for_qty) = decide(&mut self.session.listings[at].decimals, open, volume);
        let price = |text| must(decimal::parse(text, for_price), "not a price of this symbol").map(Some);
        let row = CandleRow {
            start: Timestamp::from_millis(candle.start_ms),
            interval_s,
            open: price(open)?,
            high: price(high)?,
            low: price(low)?,
            close: price(close)?,
            volume: must(decimal::parse(volume, for_qty), "not a quantity of this symbol")?,
            closed: candle.closed,
        };
        if let Some(no) = self.introduce(at, origin, out) {
            self.session.shelf.push(no, TapeBody::Candle(Box::new(row)), &origin.at_venue_ms(sent), out);
        }
        Ok(())
    }
}
