//! What the channel says beside books: executions, best prices, new and resolved markets; none of it changes a book.

use schemas::{BookSide, InstrumentNo, LifecycleRow, Phase, Ppm, TapeBody, TopRow, TradeRow, id};

use super::{PLACEHOLDER_ASK, PLACEHOLDER_BID, Polymarket};
use crate::deed::VenueOutput;
use crate::shelf::Origin;
use crate::venue::polymarket::market_wire::{Listed, NOBODY, Trade};

impl Polymarket {
    /// An execution.
    ///
    /// The venue gives no id; ours is a hash of token, side, price, size, time, transaction, and of the execution's
    /// number among equal ones of the same frame. So equal fills within one frame are several trades, and the same
    /// frame sent again is a repeat. Equal fills in two frames cannot be told from a repeat and count once.
    pub(super) fn on_trade(&mut self, trade: &Trade<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let origin = origin.at_venue_ms(trade.ms);
        let Some(no) = self.resolve(trade.asset, trade.market, &origin, out) else { return };
        let plain = trade_id(trade, 0);
        let times = self.frame_trades.entry(plain).or_default();
        let id = if *times == 0 { plain } else { trade_id(trade, *times) };
        *times += 1;
        if !self.trade_ids.insert(id) {
            self.shelf.counts.duplicates += 1;
            return;
        }
        self.trade_order.push_back(id);
        if self.trade_order.len() > self.config.trade_window.max(1)
            && let Some(oldest) = self.trade_order.pop_front()
        {
            self.trade_ids.remove(&oldest);
        }
        self.shelf.counts.fills += 1;
        let row = TradeRow { id, price: trade.price, qty: trade.qty, taker: Some(trade.taker), block: false };
        self.shelf.push(no, TapeBody::Trade(row), &origin, out);
    }

    /// Best prices told beside the book; placeholder orders are nobody's.
    pub(super) fn on_top(
        &mut self,
        no: InstrumentNo,
        bid: i64,
        ask: i64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        if bid != NOBODY && ask != NOBODY && bid >= ask {
            self.shelf.counts.crossed += 1;
        }
        let empty = bid <= PLACEHOLDER_BID && (ask == NOBODY || ask >= PLACEHOLDER_ASK);
        let row =
            |price| Some(price).filter(|p| *p != NOBODY && !empty).map(|price| TopRow { price, qty: None });
        self.shelf.push(no, TapeBody::Quote { bid: row(bid), ask: row(ask) }, origin, out);
    }

    /// A market was listed; it is not subscribed to by itself.
    pub(super) fn on_listed(&mut self, listed: &Listed<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let origin = origin.at_venue_ms(listed.ms);
        let (Some(tokens), Some(outcomes)) = (names(listed.assets), names(listed.outcomes)) else {
            self.shelf.counts.quarantined += 1;
            return;
        };
        if tokens.is_empty() || tokens.len() != outcomes.len() {
            self.shelf.counts.quarantined += 1;
            return;
        }
        let fees = listed.fee_schedule.map(serde_json::from_slice::<serde_json::Value>).transpose();
        let (Ok(fees), Some(market)) = (fees, text(listed.market)) else {
            self.shelf.counts.quarantined += 1;
            return;
        };
        let detail = serde_json::json!({
            "fee_schedule": fees,
            "fees_enabled": listed.fees_enabled,
            "outcomes": outcomes,
            "slug": listed.slug.and_then(text),
            "tick_size": listed.tick.map(|tick| crate::decimal::print(tick, 6)),
            "tokens": tokens,
        });
        let row = LifecycleRow {
            market,
            phase: Phase::Created,
            said: "new_market".to_owned(),
            payout: None,
            closes_at: None,
            detail: detail.to_string(),
        };
        let no = self.first(&tokens);
        self.shelf.push(no, TapeBody::Lifecycle(Box::new(row)), &origin, out);
    }

    /// A market was resolved; the payout is what its first outcome pays.
    pub(super) fn on_resolved(
        &mut self,
        market: &[u8],
        assets: &[u8],
        winner: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let tokens = names(assets).unwrap_or_default();
        let won = tokens.iter().position(|token| token.as_bytes() == winner);
        let (Some(won), Some(market), 2) = (won, text(market), tokens.len()) else {
            self.shelf.counts.quarantined += 1;
            return;
        };
        let row = LifecycleRow {
            market,
            phase: Phase::Final,
            said: "market_resolved".to_owned(),
            payout: Some(if won == 0 { Ppm::ONE } else { Ppm(0) }),
            closes_at: None,
            detail: serde_json::json!({ "tokens": tokens, "winner": tokens[won] }).to_string(),
        };
        let no = self.first(&tokens);
        self.shelf.push(no, TapeBody::Lifecycle(Box::new(row)), origin, out);
    }

    fn first(&mut self, tokens: &[String]) -> InstrumentNo {
        let first = tokens.first().and_then(|token| self.shelf.find(token.as_bytes()));
        first.unwrap_or(InstrumentNo::NONE)
    }
}

fn trade_id(trade: &Trade<'_>, nth: u32) -> [u8; 16] {
    let side = [u8::from(trade.taker == BookSide::Ask)];
    let (price, qty, ms) = (trade.price.to_be_bytes(), trade.qty.to_be_bytes(), trade.ms.to_be_bytes());
    let parts: [&[u8]; 7] = [trade.asset, &side, &price, &qty, &ms, trade.transaction, &nth.to_be_bytes()];
    let whole = id::derive("oraculo/polymarket/trade/1", &parts);
    whole.first_chunk::<16>().copied().unwrap_or_default()
}

fn names(json: &[u8]) -> Option<Vec<String>> {
    serde_json::from_slice(json).ok()
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}
