//! One symbol of the made-up Binance: its true book, its update ids, its trades. Never a negative level, never crossed.

use std::collections::{BTreeMap, VecDeque};

use crate::world::dice::Dice;

/// One unit of price or quantity on the wire: 1e-8.
pub const UNIT: i64 = 100_000_000;
/// Changes that can be undone for a snapshot of the past.
const HISTORY: usize = 4_096;
/// Levels of a side at which the generator only takes away.
const DEEPEST: usize = 60;

/// A true book: price to quantity, both in 1e-8; no level is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpotBook {
    /// Bids; the best is the last.
    pub bids: BTreeMap<i64, i64>,
    /// Asks; the best is the first.
    pub asks: BTreeMap<i64, i64>,
}

impl SpotBook {
    /// Best bid and its quantity.
    pub fn best_bid(&self) -> Option<(i64, i64)> {
        self.bids.last_key_value().map(|(p, q)| (*p, *q))
    }

    /// Best ask and its quantity.
    pub fn best_ask(&self) -> Option<(i64, i64)> {
        self.asks.first_key_value().map(|(p, q)| (*p, *q))
    }

    /// Sets a level; a quantity of 0 removes it.
    pub fn set(&mut self, bid: bool, price: i64, qty: i64) {
        let side = if bid { &mut self.bids } else { &mut self.asks };
        if qty == 0 {
            side.remove(&price);
        } else {
            side.insert(price, qty);
        }
    }
}

/// What a symbol is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolSpec {
    /// Such as `BTCUSDT`.
    pub symbol: String,
    /// Where it starts, 1e-8.
    pub mid: i64,
    /// The price step, 1e-8.
    pub tick: i64,
    /// The quantity step, 1e-8.
    pub lot: i64,
}

impl SymbolSpec {
    /// A symbol around a whole price with a step of 0.01 and lots of 0.00001.
    pub fn new(symbol: &str, mid: i64) -> Self {
        Self { symbol: symbol.to_owned(), mid: mid * UNIT, tick: UNIT / 100, lot: 1_000 }
    }
}

/// One trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpotTrade {
    /// The venue's number within the symbol; here one aggregate holds one trade, and both have this number.
    pub id: u64,
    /// The symbol.
    pub symbol: String,
    /// 1e-8.
    pub price: i64,
    /// 1e-8.
    pub qty: i64,
    /// Whether the buyer's order rested.
    pub buyer_is_maker: bool,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// One change of one level; it has an update id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelChange {
    /// The update id.
    pub id: u64,
    /// Whether it is a bid.
    pub bid: bool,
    /// 1e-8.
    pub price: i64,
    /// Quantity before, 1e-8.
    pub before: i64,
    /// Quantity after, 1e-8.
    pub after: i64,
}

/// A minute of trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kline {
    /// First millisecond.
    pub open_ms: i64,
    /// Open, high, low, close, 1e-8.
    pub prices: [i64; 4],
    /// Base volume, and that of taker buys, 1e-8.
    pub volume: [i64; 2],
    /// Quote volume, and that of taker buys, 1e-16.
    pub quote: [i128; 2],
    /// First and last trade id.
    pub ids: [u64; 2],
}

/// A symbol and everything that is true of it.
#[derive(Debug)]
pub struct Symbol {
    /// What it is.
    pub spec: SymbolSpec,
    /// The present price step, 1e-8.
    pub tick: i64,
    /// The true book.
    pub book: SpotBook,
    /// The last update id.
    pub last_id: u64,
    /// Changes that are true and in no depth event yet.
    pub unsent: Vec<LevelChange>,
    /// All trades.
    pub trades: Vec<SpotTrade>,
    /// Minutes with trades, by their first millisecond.
    pub klines: BTreeMap<i64, Kline>,
    history: VecDeque<LevelChange>,
}

impl Symbol {
    /// A symbol with thirty levels a side.
    pub fn new(spec: SymbolSpec, dice: &mut Dice) -> Self {
        let mut book = SpotBook::default();
        for step in 1..=30 {
            let qty = |dice: &mut Dice| dice.between(1, 500_000) * spec.lot;
            let (bid, ask) = (qty(dice), qty(dice));
            book.set(true, spec.mid - step * spec.tick, bid);
            book.set(false, spec.mid + step * spec.tick, ask);
        }
        let last_id = 1_000_000 + dice.between(0, 1_000_000) as u64;
        Self {
            tick: spec.tick,
            spec,
            book,
            last_id,
            unsent: Vec::new(),
            trades: Vec::new(),
            klines: BTreeMap::new(),
            history: VecDeque::new(),
        }
    }

    /// Changes one level at random and keeps the change for the next depth event.
    pub fn change(&mut self, dice: &mut Dice) {
        let bid = dice.between(0, 1) == 0;
        let side = if bid { &self.book.bids } else { &self.book.asks };
        let shrink = side.len() > 2 && (side.len() >= DEEPEST || dice.between(0, 99) < 45);
        if shrink {
            let at = dice.between(0, side.len() as i64 - 1) as usize;
            let (price, qty) = side.iter().nth(at).map_or((0, 0), |(p, q)| (*p, *q));
            let lots = qty / self.spec.lot;
            let after = if dice.between(0, 1) == 0 { 0 } else { dice.between(0, lots - 1) * self.spec.lot };
            self.set(bid, price, after);
            return;
        }
        let (best_bid, best_ask) = (self.book.best_bid(), self.book.best_ask());
        let away = dice.between(-2, 20) * self.tick;
        let price = match (bid, best_bid, best_ask) {
            (true, Some((best, _)), _) => best - away,
            (true, None, ask) => ask.map_or(self.spec.mid, |(p, _)| p) - self.tick,
            (false, _, Some((best, _))) => best + away,
            (false, bid, None) => bid.map_or(self.spec.mid, |(p, _)| p) + self.tick,
        };
        let low = best_bid.map_or(0, |(p, _)| p) + self.tick;
        let high = best_ask.map_or(i64::MAX, |(p, _)| p) - self.tick;
        let price = if bid { price.min(high) } else { price.max(low) }.max(self.tick);
        let qty = dice.between(1, 500_000) * self.spec.lot;
        self.set(bid, price, qty);
    }

    /// Sets one level under the next update id.
    fn set(&mut self, bid: bool, price: i64, after: i64) {
        let side = if bid { &self.book.bids } else { &self.book.asks };
        let before = side.get(&price).copied().unwrap_or(0);
        self.book.set(bid, price, after);
        self.last_id += 1;
        let change = LevelChange { id: self.last_id, bid, price, before, after };
        self.unsent.push(change);
        self.history.push_back(change);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// A trade with a part of the best level of a side; the level's change waits for the next depth event.
    pub fn trade(&mut self, dice: &mut Dice, now_ms: i64) -> Option<SpotTrade> {
        let buyer_is_maker = dice.between(0, 1) == 0;
        let best = if buyer_is_maker { self.book.best_bid() } else { self.book.best_ask() };
        let (price, there) = best?;
        let qty = dice.between(1, there / self.spec.lot) * self.spec.lot;
        self.set(buyer_is_maker, price, there - qty);
        let id = self.trades.len() as u64 + 1;
        let symbol = self.spec.symbol.clone();
        let trade = SpotTrade { id, symbol, price, qty, buyer_is_maker, at_ms: now_ms };
        self.book_kline(&trade);
        self.trades.push(trade.clone());
        Some(trade)
    }

    fn book_kline(&mut self, trade: &SpotTrade) {
        let open_ms = trade.at_ms.div_euclid(60_000) * 60_000;
        let fresh =
            Kline { open_ms, prices: [trade.price; 4], volume: [0; 2], quote: [0; 2], ids: [trade.id; 2] };
        let kline = self.klines.entry(open_ms).or_insert(fresh);
        let [_, high, low, close] = &mut kline.prices;
        (*high, *low, *close) = ((*high).max(trade.price), (*low).min(trade.price), trade.price);
        let quote = i128::from(trade.price) * i128::from(trade.qty);
        kline.volume[0] += trade.qty;
        kline.quote[0] += quote;
        if !trade.buyer_is_maker {
            kline.volume[1] += trade.qty;
            kline.quote[1] += quote;
        }
        kline.ids[1] = trade.id;
    }

    /// The book as it was `ids` update ids ago (as far as history reaches) and its update id then.
    pub fn back(&self, ids: usize) -> (SpotBook, u64) {
        let (mut book, mut id) = (self.book.clone(), self.last_id);
        for change in self.history.iter().rev().take(ids) {
            book.set(change.bid, change.price, change.before);
            id = change.id - 1;
        }
        (book, id)
    }

    /// The update ids go back by so many, as after a restart of the venue; the book stays.
    pub fn rewind(&mut self, ids: u64) {
        let by = ids.min(self.last_id - 1);
        self.last_id -= by;
        self.unsent.iter_mut().for_each(|change| change.id = change.id.saturating_sub(by));
        self.history.clear();
    }
}
