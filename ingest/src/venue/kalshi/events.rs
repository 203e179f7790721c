//! What is not a book: best prices, trades, own fills, lives of markets, fees, index values; nothing here decides an
//! outcome.

use std::collections::BTreeMap;

use schemas::{
    IndexRow, InstrumentKind, InstrumentNo, LifecycleRow, Phase, TapeBody, Timestamp, TopRow, TradeRow,
};

use super::life::{EventFee, EventLife, MarketLife, PriceRange, Told};
use super::machine::Kalshi;
use super::wire::{Average, Fill, IndexValue, Ticker, Trade, WireLevel};
use crate::decimal;
use crate::deed::VenueOutput;
use crate::shelf::Origin;
use crate::truth::fees;

/// Memory of public trades and own fills together: each execution once.
const EXECUTION: u8 = 0;
/// Memory of own fills whose fee was checked, as taker and as maker.
const FEE_OF_TAKER: u8 = 1;
const FEE_OF_MAKER: u8 = 2;
/// Multiplier 1 in 1e-6.
const ONE: u32 = 1_000_000;
/// Decimals of an index value at the venue.
const INDEX_DECIMALS: u8 = 8;

/// What is known of fees: by event first, then by series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fees {
    by_ticker: BTreeMap<String, Fee>,
}

/// A fee rule as far as the venue said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fee {
    pub(crate) kind: Option<String>,
    pub(crate) multiplier: Option<u32>,
}

impl Fees {
    /// Sets what an event or a series charges.
    pub(crate) fn set(&mut self, ticker: &str, fee: Fee) {
        self.by_ticker.insert(ticker.to_owned(), fee);
    }

    /// The event's and the series' rules of a market, the event's first. Tickers are `SERIES-EVENT-MARKET`.
    fn rules(&self, ticker: &str) -> impl Iterator<Item = &Fee> {
        let event = ticker.rsplit_once('-').map_or(ticker, |(event, _)| event);
        let series = ticker.split_once('-').map_or(ticker, |(series, _)| series);
        [event, series].into_iter().filter_map(|name| self.by_ticker.get(name))
    }

    /// Multiplier in 1e-6 and whether the formula of the schedule applies.
    fn of(&self, ticker: &str) -> (u32, bool) {
        let multiplier = self.rules(ticker).find_map(|fee| fee.multiplier).unwrap_or(ONE);
        let kind = self.rules(ticker).find_map(|fee| fee.kind.as_deref()).unwrap_or("quadratic");
        (multiplier, kind.starts_with("quadratic"))
    }
}

/// A side of a quote; without a quantity there is no order.
fn top(level: WireLevel) -> Option<TopRow> {
    (level.qty > 0).then_some(TopRow { price: level.price, qty: Some(level.qty) })
}

impl Kalshi {
    /// A market that is followed; in a recording, or where all markets are followed, every one.
    fn followed(
        &mut self,
        ticker: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Option<InstrumentNo> {
        if self.config.capture || self.config.all_markets {
            return Some(self.market(ticker, origin, out));
        }
        let no = self.shelf.find(ticker).filter(|no| self.marks[no.0 as usize].wanted);
        self.shelf.counts.foreign += u64::from(no.is_none());
        no
    }

    pub(crate) fn on_ticker(&mut self, ticker: &Ticker<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.followed(ticker.ticker, origin, out) else { return };
        let body = TapeBody::Quote { bid: top(ticker.bid), ask: top(ticker.ask) };
        self.shelf.push(no, body, &origin.at_venue_ms(ticker.ts_ms), out);
    }

    pub(crate) fn on_trade(&mut self, trade: &Trade<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.followed(trade.ticker, origin, out) else { return };
        if !self.is_new(EXECUTION, &trade.id) {
            self.shelf.counts.duplicates += 1;
            return;
        }
        self.shelf.counts.fills += 1;
        let (price, qty, taker) = (trade.price, trade.qty, Some(trade.taker));
        let row = TradeRow { id: trade.id, price, qty, taker, block: trade.block };
        self.shelf.push(no, TapeBody::Trade(row), &origin.at_venue_ms(trade.ts_ms), out);
    }

    pub(crate) fn on_fill(&mut self, fill: &Fill<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.followed(fill.ticker, origin, out) else { return };
        let tag = if fill.is_taker { FEE_OF_TAKER } else { FEE_OF_MAKER };
        if self.is_new(tag, &fill.id) {
            self.check_fee(fill);
        }
        if !self.is_new(EXECUTION, &fill.id) {
            return;
        }
        self.shelf.counts.fills += 1;
        let origin = fill.ts_ms.map_or(*origin, |ms| origin.at_venue_ms(ms));
        let row = TradeRow { id: fill.id, price: fill.price, qty: fill.qty, taker: fill.taker, block: false };
        self.shelf.push(no, TapeBody::Trade(row), &origin, out);
    }

    /// The fee of a fill against the schedule, to $0.0001. A maker pays a quarter or nothing; a flat fee is not judged.
    fn check_fee(&mut self, fill: &Fill<'_>) {
        let Some(text) = fill.fee else { return };
        let (multiplier, known) = self.fees.of(&String::from_utf8_lossy(fill.ticker));
        if !known {
            return;
        }
        let rate = if fill.is_taker { fees::KALSHI_TAKER } else { fees::KALSHI_MAKER };
        let due = fees::kalshi_trade_fee(rate, multiplier, fill.qty, fill.price);
        let paid = decimal::parse(text, 4);
        let free = !fill.is_taker && paid == Some(0);
        if paid == Some(due) || free {
            self.shelf.counts.fees_ok += 1;
        } else {
            self.shelf.counts.fees_bad += 1;
        }
    }

    pub(crate) fn on_market(&mut self, life: &MarketLife, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let mut origin = *origin;
        origin.times.venue_at = life.venue_at;
        let told = Told {
            ticker: &life.ticker,
            said: &life.said,
            phase: life.phase,
            payout: life.payout,
            closes_at: life.closes_at,
            detail: (&life.detail).into(),
            whole: false,
        };
        self.tell_life(told, &origin, out);
        if let Some(ranges) = &life.ranges {
            self.set_grid(&life.ticker, ranges, &origin, out);
        }
    }

    /// A row for what is news of a market's life.
    pub(crate) fn tell_life(&mut self, told: Told<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let no = self.shelf.find(told.ticker.as_bytes()).unwrap_or(InstrumentNo::NONE);
        match self.lives.take(told) {
            Some(row) => self.shelf.push(no, TapeBody::Lifecycle(Box::new(row)), origin, out),
            None => self.shelf.counts.duplicates += 1,
        }
    }

    /// The price grid of a followed market; its book keeps every level (trap 5).
    pub(crate) fn set_grid(
        &mut self,
        ticker: &str,
        ranges: &[PriceRange],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(no) = self.shelf.find(ticker.as_bytes()) else { return };
        let mark = &mut self.marks[no.0 as usize];
        if mark.grid == ranges {
            return;
        }
        let finest = |grid: &[PriceRange]| grid.iter().map(|range| range.step).min();
        let old = finest(&mark.grid);
        mark.grid = ranges.to_vec();
        if let Some(new) = finest(ranges) {
            self.shelf.push(no, TapeBody::TickSize { old, new }, origin, out);
        }
    }

    pub(crate) fn on_event(&mut self, life: &EventLife, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.tell_event(&life.event, Phase::Created, "event_lifecycle", &life.detail, origin, out);
    }

    pub(crate) fn on_fee(&mut self, fee: &EventFee, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.fees.set(&fee.event, Fee { kind: fee.kind.clone(), multiplier: fee.multiplier });
        self.tell_event(&fee.event, Phase::Changed, "event_fee_update", &fee.detail, origin, out);
    }

    /// A row about an event or the exchange itself.
    pub(crate) fn tell_event(
        &mut self,
        event: &str,
        phase: Phase,
        said: &str,
        detail: &str,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let row = LifecycleRow {
            market: event.to_owned(),
            phase,
            said: said.to_owned(),
            payout: None,
            closes_at: None,
            detail: detail.to_owned(),
        };
        self.shelf.push(InstrumentNo::NONE, TapeBody::Lifecycle(Box::new(row)), origin, out);
    }

    pub(crate) fn on_index(
        &mut self,
        at: usize,
        value: &IndexValue<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let ids = &self.config.index_ids;
        let wanted = self.config.capture || ids.iter().any(|id| id == "all" || id.as_bytes() == value.index);
        if !wanted {
            self.shelf.counts.foreign += 1;
            return;
        }
        let no =
            self.instrument(value.index, InstrumentKind::Index, INDEX_DECIMALS, QTY_OF_AN_INDEX, origin, out);
        self.keep_index(at, no);
        let mut origin = origin.at_venue_ms(value.source_ms);
        origin.times.publish_at = Some(Timestamp::from_millis(value.received_ms));
        self.shelf.mark_live(no, &origin, out);
        let row = |average: Option<Average>, settling| {
            let (value, window_s, window_end) = match average {
                None => (value.value, 0, None),
                // The venue's windows of a minute end a millisecond late: the nearest second is meant.
                Some(a) => {
                    let length = (a.end_ms - a.start_ms + 500) / 1_000;
                    (
                        a.value,
                        u32::try_from(length).unwrap_or(u32::MAX),
                        Some(Timestamp::from_millis(a.end_ms)),
                    )
                }
            };
            TapeBody::Index(IndexRow { value, window_s, window_end, carried_forward: false, settling })
        };
        self.shelf.push(no, row(None, false), &origin, out);
        for (average, settling) in [(value.trailing, false), (value.settling, true)] {
            if average.is_some() {
                self.shelf.push(no, row(average, settling), &origin, out);
            }
        }
    }

    /// Remembers which subscription an index comes from.
    fn keep_index(&mut self, at: usize, no: InstrumentNo) {
        if let Some(sub) = self.subs.get_mut(at).filter(|sub| !sub.members.contains(&no)) {
            sub.members.push(no);
        }
    }
}

/// Nobody trades an index.
const QTY_OF_AN_INDEX: u8 = 0;
