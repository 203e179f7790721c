//! The bodies of all frames but those of books: best prices, trades, fills, index values, answers; as strict as theirs.

use schemas::{BookSide, IndexPrice};

use super::{
    Average, Body, DOLLAR, Fill, IndexValue, Kind, PRICE_DECIMALS, Result, Ticker, Trade, WireLevel, counter,
    millis, name, need, outcome, qty, sid,
};
use crate::scan::Scan;
use crate::venue::kalshi::life::{EventFee, EventLife, MarketLife};

#[cold]
pub(super) fn rare<'a>(kind: Kind, scan: &mut Scan<'a>) -> Result<Body<'a>> {
    match kind {
        Kind::Subscribed => subscribed(scan),
        Kind::Error => error(scan),
        Kind::Fill => fill(scan).map(Body::Fill),
        Kind::Index => index(scan, false).map(Body::Index),
        Kind::Index5 => index(scan, true).map(Body::Index),
        Kind::Market => described(scan, MarketLife::decode).map(Box::new).map(Body::Market),
        Kind::Event => described(scan, EventLife::decode).map(Box::new).map(Body::Event),
        Kind::Fee => described(scan, EventFee::decode).map(Box::new).map(Body::Fee),
        Kind::Ok => scan.skip().map(|()| Body::Ok),
        Kind::Unsubscribed => scan.skip().map(|()| Body::Unsubscribed),
        Kind::IndexList => scan.skip().map(|()| Body::IndexList),
        Kind::Foreign => scan.skip().map(|()| Body::Foreign),
        _ => Err(scan.error("a type nobody has described")),
    }
}

fn described<T>(
    scan: &mut Scan<'_>,
    decode: impl FnOnce(&[u8]) -> std::result::Result<T, &'static str>,
) -> Result<T> {
    let raw = scan.raw()?;
    decode(raw).map_err(|what| scan.error(what))
}

/// A price from 0 to 1 dollar.
fn price_or_bound(scan: &mut Scan<'_>) -> Result<i64> {
    let value = scan.decimal(PRICE_DECIMALS)?;
    if (0..=DOLLAR).contains(&value) { Ok(value) } else { Err(scan.error("a price from 0 to 1")) }
}

fn book_side(scan: &mut Scan<'_>) -> Result<BookSide> {
    match scan.plain()? {
        b"bid" => Ok(BookSide::Bid),
        b"ask" => Ok(BookSide::Ask),
        _ => Err(scan.error("bid or ask")),
    }
}

/// A UUID's bytes.
fn uuid(scan: &mut Scan<'_>) -> Result<[u8; 16]> {
    let text = scan.plain()?;
    parse_uuid(text).ok_or_else(|| scan.error("a UUID"))
}

/// A UUID's bytes from its 36 characters.
pub fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut id = [0_u8; 16];
    let mut digits = 0;
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let value = (*byte as char).to_digit(16)? as u8;
        *id.get_mut(digits / 2)? |= if digits % 2 == 0 { value << 4 } else { value };
        digits += 1;
    }
    (text.len() == 36 && digits == 32).then_some(id)
}

pub(super) fn ticker<'a>(scan: &mut Scan<'a>) -> Result<Ticker<'a>> {
    let (mut ticker, mut ts_ms) = (None, None);
    let (mut bid, mut ask, mut bid_qty, mut ask_qty) = (None, None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"market_ticker" => ticker = Some(name(scan)?),
            b"yes_bid_dollars" => bid = Some(price_or_bound(scan)?),
            b"yes_ask_dollars" => ask = Some(price_or_bound(scan)?),
            b"yes_bid_size_fp" => bid_qty = Some(qty(scan)?),
            b"yes_ask_size_fp" => ask_qty = Some(qty(scan)?),
            b"ts_ms" => ts_ms = Some(millis(scan)?),
            _ => scan.skip()?,
        }
    }
    let bid = WireLevel {
        price: need(scan, bid, "yes_bid_dollars")?,
        qty: need(scan, bid_qty, "yes_bid_size_fp")?,
    };
    let ask = WireLevel {
        price: need(scan, ask, "yes_ask_dollars")?,
        qty: need(scan, ask_qty, "yes_ask_size_fp")?,
    };
    Ok(Ticker { ticker: need(scan, ticker, "market_ticker")?, bid, ask, ts_ms: need(scan, ts_ms, "ts_ms")? })
}

/// One direction from the fields that tell it; they must agree.
fn agreed(scan: &Scan<'_>, told: [Option<BookSide>; 3]) -> Result<BookSide> {
    let mut told = told.into_iter().flatten();
    let first = need(scan, told.next(), "taker_outcome_side")?;
    if told.all(|side| side == first) { Ok(first) } else { Err(scan.error("the taker's sides disagree")) }
}

pub(super) fn trade<'a>(scan: &mut Scan<'a>) -> Result<Trade<'a>> {
    let (mut id, mut ticker, mut yes, mut no, mut count) = (None, None, None, None, None);
    let (mut sides, mut block, mut ts_ms) = ([None; 3], None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"trade_id" => id = Some(uuid(scan)?),
            b"market_ticker" => ticker = Some(name(scan)?),
            b"yes_price_dollars" => yes = Some(price_or_bound(scan)?),
            b"no_price_dollars" => no = Some(price_or_bound(scan)?),
            b"count_fp" => count = Some(qty(scan)?),
            b"taker_book_side" => sides[0] = Some(book_side(scan)?),
            b"taker_outcome_side" => sides[1] = Some(outcome(scan)?),
            b"taker_side" => sides[2] = Some(outcome(scan)?),
            b"is_block_trade" => block = Some(scan.boolean()?),
            b"ts_ms" => ts_ms = Some(millis(scan)?),
            _ => scan.skip()?,
        }
    }
    let price = need(scan, yes, "yes_price_dollars")?;
    if price + need(scan, no, "no_price_dollars")? != DOLLAR {
        return Err(scan.error("yes and no prices do not make a dollar"));
    }
    Ok(Trade {
        id: need(scan, id, "trade_id")?,
        ticker: need(scan, ticker, "market_ticker")?,
        price,
        qty: need(scan, count, "count_fp")?,
        taker: agreed(scan, sides)?,
        block: need(scan, block, "is_block_trade")?,
        ts_ms: need(scan, ts_ms, "ts_ms")?,
    })
}

fn fill<'a>(scan: &mut Scan<'a>) -> Result<Fill<'a>> {
    let (mut id, mut ticker, mut yes, mut count, mut is_taker) = (None, None, None, None, None);
    let (mut sides, mut fee, mut ts_ms) = ([None; 3], None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"trade_id" => id = Some(uuid(scan)?),
            b"market_ticker" => ticker = Some(name(scan)?),
            b"yes_price_dollars" => yes = Some(price_or_bound(scan)?),
            b"count_fp" => count = Some(qty(scan)?),
            b"is_taker" => is_taker = Some(scan.boolean()?),
            b"book_side" => sides[0] = Some(book_side(scan)?),
            b"outcome_side" => sides[1] = Some(outcome(scan)?),
            b"fee_cost" => fee = Some(scan.plain()?),
            b"ts_ms" => ts_ms = Some(millis(scan)?),
            _ => scan.skip()?,
        }
    }
    let is_taker = need(scan, is_taker, "is_taker")?;
    let own = if sides == [None; 3] { None } else { Some(agreed(scan, sides)?) };
    let taker = own.map(|side| if is_taker { side } else { other(side) });
    Ok(Fill {
        id: need(scan, id, "trade_id")?,
        ticker: need(scan, ticker, "market_ticker")?,
        price: need(scan, yes, "yes_price_dollars")?,
        qty: need(scan, count, "count_fp")?,
        is_taker,
        taker,
        fee,
        ts_ms,
    })
}

fn other(side: BookSide) -> BookSide {
    match side {
        BookSide::Bid => BookSide::Ask,
        BookSide::Ask => BookSide::Bid,
    }
}

fn subscribed<'a>(scan: &mut Scan<'a>) -> Result<Body<'a>> {
    let (mut channel, mut number) = (None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"channel" => channel = Some(name(scan)?),
            b"sid" => number = Some(sid(scan)?),
            _ => scan.skip()?,
        }
    }
    Ok(Body::Subscribed { channel: need(scan, channel, "channel")?, sid: need(scan, number, "sid")? })
}

fn error<'a>(scan: &mut Scan<'a>) -> Result<Body<'a>> {
    let mut code = None;
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"code" => code = Some(scan.integer()?),
            _ => scan.skip()?,
        }
    }
    Ok(Body::Error { code: need(scan, code, "code")? })
}

/// An index value's text.
fn value(scan: &mut Scan<'_>) -> Result<IndexPrice> {
    let text = scan.plain()?;
    let value = std::str::from_utf8(text).ok().and_then(IndexPrice::from_decimal);
    value.ok_or_else(|| scan.error("an index value"))
}

fn average(scan: &mut Scan<'_>) -> Result<Average> {
    let (mut mean, mut size, mut start, mut end) = (None, None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"value" => mean = Some(value(scan)?),
            b"window_size" => size = Some(counter(scan)?),
            b"window_start_ts_ms" => start = Some(millis(scan)?),
            b"window_end_ts_exclusive" => end = Some(millis(scan)?),
            _ => scan.skip()?,
        }
    }
    need(scan, size, "window_size")?;
    let (start_ms, end_ms) =
        (need(scan, start, "window_start_ts_ms")?, need(scan, end, "window_end_ts_exclusive")?);
    if start_ms > end_ms {
        return Err(scan.error("a window that ends before it starts"));
    }
    Ok(Average { value: need(scan, mean, "value")?, start_ms, end_ms })
}

fn index<'a>(scan: &mut Scan<'a>, fast: bool) -> Result<IndexValue<'a>> {
    let (mut id, mut data, mut received, mut direct, mut source) = (None, None, None, None, None);
    let (mut trailing, mut settling) = (None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"index_id" => id = Some(name(scan)?),
            b"data" => data = Some(scan.text()?),
            b"received_at" => received = Some(millis(scan)?),
            b"value_usd" if fast => direct = Some(value(scan)?),
            b"source_ts_ms" if fast => source = Some(millis(scan)?),
            b"avg_60s_data" if !fast => trailing = Some(average(scan)?),
            b"last_60s_windowed_average_15min" if !fast => settling = Some(average(scan)?),
            _ => scan.skip()?,
        }
    }
    let id = need(scan, id, "index_id")?;
    let data = need(scan, data, "data")?;
    let (inner, time) = upstream(data.as_bytes(), id).map_err(|error| scan.error(error.what))?;
    if fast {
        let same = need(scan, direct, "value_usd")? == inner && need(scan, source, "source_ts_ms")? == time;
        if !same {
            return Err(scan.error("value_usd and data disagree"));
        }
    } else {
        need(scan, trailing, "avg_60s_data")?;
    }
    let received_ms = need(scan, received, "received_at")?;
    Ok(IndexValue { index: id, value: inner, source_ms: time, received_ms, trailing, settling })
}

/// The frame within `data`: its value and time; it must be about the same index.
fn upstream(text: &[u8], id: &[u8]) -> Result<(IndexPrice, i64)> {
    let mut scan = Scan::new(text);
    let (mut of, mut time, mut inner) = (None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"type" if scan.plain()? != b"value" => return Err(scan.error("data of another type")),
            b"type" => {}
            b"id" => of = Some(name(&mut scan)?),
            b"time" => time = Some(millis(&mut scan)?),
            b"value" => inner = Some(value(&mut scan)?),
            _ => scan.skip()?,
        }
    }
    scan.end()?;
    if of != Some(id) {
        return Err(scan.error("data of another index"));
    }
    Ok((need(&scan, inner, "data.value")?, need(&scan, time, "data.time")?))
}
