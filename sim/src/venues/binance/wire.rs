//! The frames that Binance sends, in the key order of the recorded session. Never decides what is sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::market::{Kline, LevelChange, SpotBook, SpotTrade, Symbol, UNIT};

/// A price or quantity of 1e-8 with eight decimals.
pub fn eight(out: &mut String, value: i64) {
    let _ = write!(out, "{}.{:08}", value / UNIT, value % UNIT);
}

fn eight_text(value: i64) -> String {
    let mut out = String::with_capacity(20);
    eight(&mut out, value);
    out
}

/// A value of 1e-16 with eight decimals, cut.
fn quote_text(value: i128) -> String {
    eight_text((value / i128::from(UNIT)) as i64)
}

fn levels<'a>(out: &mut String, levels: impl Iterator<Item = (&'a i64, &'a i64)>) {
    out.push('[');
    for (place, (price, qty)) in levels.enumerate() {
        out.push_str(if place == 0 { "[\"" } else { ",[\"" });
        eight(out, *price);
        out.push_str("\",\"");
        eight(out, *qty);
        out.push_str("\"]");
    }
    out.push(']');
}

/// A depth event of changes with contiguous ids: the last quantity of each level, bids falling, asks rising.
/// `corrupt` adds a bid above the best ask.
pub fn depth(symbol: &Symbol, changes: &[LevelChange], now_ms: i64, corrupt: bool) -> String {
    let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
    for change in changes {
        if change.bid { &mut bids } else { &mut asks }.insert(change.price, change.after);
    }
    if corrupt && let Some((ask, _)) = symbol.book.best_ask() {
        bids.insert(ask + symbol.tick, UNIT);
    }
    let first = changes.first().map_or(symbol.last_id, |change| change.id);
    let last = changes.last().map_or(symbol.last_id, |change| change.id);
    let name = &symbol.spec.symbol;
    let mut out = String::with_capacity(256);
    let _ = write!(out, r#"{{"e":"depthUpdate","E":{now_ms},"s":"{name}","U":{first},"u":{last},"b":"#);
    levels(&mut out, bids.iter().rev());
    out.push_str(r#","a":"#);
    levels(&mut out, asks.iter());
    out.push('}');
    out
}

/// The body of `GET /api/v3/depth`, at most `limit` levels a side.
pub fn snapshot(book: &SpotBook, last_id: u64, limit: usize) -> String {
    let mut out = format!(r#"{{"lastUpdateId":{last_id},"bids":"#);
    levels(&mut out, book.bids.iter().rev().take(limit));
    out.push_str(r#","asks":"#);
    levels(&mut out, book.asks.iter().take(limit));
    out.push('}');
    out
}

/// An aggregate trade; here it holds one trade.
pub fn agg_trade(trade: &SpotTrade) -> String {
    format!(
        r#"{{"e":"aggTrade","E":{at},"s":"{}","a":{id},"p":"{}","q":"{}","f":{id},"l":{id},"T":{at},"m":{},"M":true}}"#,
        trade.symbol,
        eight_text(trade.price),
        eight_text(trade.qty),
        trade.buyer_is_maker,
        at = trade.at_ms,
        id = trade.id,
    )
}

/// A trade.
pub fn trade(trade: &SpotTrade) -> String {
    format!(
        r#"{{"e":"trade","E":{at},"s":"{}","t":{},"p":"{}","q":"{}","T":{at},"m":{},"M":true}}"#,
        trade.symbol,
        trade.id,
        eight_text(trade.price),
        eight_text(trade.qty),
        trade.buyer_is_maker,
        at = trade.at_ms,
    )
}

/// The best prices.
pub fn book_ticker(symbol: &Symbol) -> String {
    let ((bid, bid_qty), (ask, ask_qty)) =
        (symbol.book.best_bid().unwrap_or((0, 0)), symbol.book.best_ask().unwrap_or((0, 0)));
    format!(
        r#"{{"u":{},"s":"{}","b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
        symbol.last_id,
        symbol.spec.symbol,
        eight_text(bid),
        eight_text(bid_qty),
        eight_text(ask),
        eight_text(ask_qty),
    )
}

/// A one-minute candle; `closed` is `x`.
pub fn kline(symbol: &str, kline: &Kline, now_ms: i64, closed: bool) -> String {
    let [open, high, low, close] = kline.prices.map(eight_text);
    let [volume, taker] = kline.volume.map(eight_text);
    let [quote, taker_quote] = kline.quote.map(quote_text);
    let [first, last] = kline.ids;
    format!(
        concat!(
            r#"{{"e":"kline","E":{now},"s":"{symbol}","k":{{"t":{from},"T":{to},"s":"{symbol}","i":"1m","#,
            r#""f":{first},"L":{last},"o":"{open}","c":"{close}","h":"{high}","l":"{low}","v":"{volume}","#,
            r#""n":{count},"x":{closed},"q":"{quote}","V":"{taker}","Q":"{taker_quote}","B":"0"}}}}"#
        ),
        now = now_ms,
        symbol = symbol,
        from = kline.open_ms,
        to = kline.open_ms + 59_999,
        first = first,
        last = last,
        open = open,
        close = close,
        high = high,
        low = low,
        volume = volume,
        count = last - first + 1,
        closed = closed,
        quote = quote,
        taker = taker,
        taker_quote = taker_quote,
    )
}
