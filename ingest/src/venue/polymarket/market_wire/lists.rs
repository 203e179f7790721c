//! Levels and changes of a message, and the texts they are made of; nothing is rounded and nothing defaulted.

use schemas::BookSide;

use super::{Change, NOBODY, ONE, PRICE_DECIMALS, QTY_DECIMALS, Result, Span, UNTOLD, WireError, WireLevel};
use crate::decimal;
use crate::scan::Scan;

#[inline]
pub(super) fn once(seen: &mut bool, name: &'static str) -> Result<()> {
    if std::mem::replace(seen, true) { Err(WireError::Twice(name)) } else { Ok(()) }
}

#[inline]
pub(super) fn side(text: &[u8]) -> Result<BookSide> {
    match text {
        b"BUY" => Ok(BookSide::Bid),
        b"SELL" => Ok(BookSide::Ask),
        _ => Err(WireError::Bad("side")),
    }
}

/// A level's price: more than nothing and less than a dollar.
#[inline]
fn price(text: &[u8]) -> Result<i64> {
    let price = decimal::parse(text, PRICE_DECIMALS).filter(|p| (1..ONE).contains(p));
    price.ok_or(WireError::Bad("price"))
}

#[inline]
fn size(text: &[u8]) -> Result<i64> {
    decimal::parse(text, QTY_DECIMALS).filter(|q| *q >= 0).ok_or(WireError::Bad("size"))
}

pub(super) fn step(text: &[u8], name: &'static str) -> Result<i64> {
    decimal::parse(text, PRICE_DECIMALS).filter(|p| (1..ONE).contains(p)).ok_or(WireError::Bad(name))
}

/// A best price: empty is untold, 0 and 1 are a side without orders.
#[inline]
pub(super) fn best(text: &[u8], name: &'static str) -> Result<i64> {
    if text.is_empty() {
        return Ok(UNTOLD);
    }
    match decimal::parse(text, PRICE_DECIMALS) {
        Some(0 | ONE) => Ok(NOBODY),
        Some(price) if (1..ONE).contains(&price) => Ok(price),
        _ => Err(WireError::Bad(name)),
    }
}

/// A string and where it stands.
#[inline]
fn spanned<'a>(scan: &mut Scan<'a>) -> Result<(&'a [u8], Span)> {
    let text = scan.plain()?;
    let at = scan.at() - 1 - text.len();
    Ok((text, Span { at: at as u32, len: text.len() as u32 }))
}

pub(super) fn levels(scan: &mut Scan<'_>, into: &mut Vec<WireLevel>) -> Result<()> {
    into.clear();
    scan.array()?;
    while scan.item()? {
        let (mut at_price, mut at_size) = (None, None);
        scan.object()?;
        while let Some(key) = scan.key()? {
            let (slot, name) = match key {
                b"price" => (&mut at_price, "price"),
                b"size" => (&mut at_size, "size"),
                _ => {
                    scan.skip()?;
                    continue;
                }
            };
            if slot.replace(spanned(scan)?).is_some() {
                return Err(WireError::Twice(name));
            }
        }
        let (price_bytes, price_text) = at_price.ok_or(WireError::Missing("price"))?;
        let (qty_bytes, qty_text) = at_size.ok_or(WireError::Missing("size"))?;
        into.push(WireLevel { price: price(price_bytes)?, qty: size(qty_bytes)?, price_text, qty_text });
    }
    Ok(())
}

pub(super) fn changes(scan: &mut Scan<'_>, into: &mut Vec<Change>) -> Result<()> {
    into.clear();
    scan.array()?;
    while scan.item()? {
        into.push(change(scan)?);
    }
    Ok(())
}

/// One entry of `price_changes`.
#[inline]
fn change(scan: &mut Scan<'_>) -> Result<Change> {
    const NONE: i64 = -1;
    let (mut asset, mut taken, mut at_price, mut qty) = (Span::default(), None, NONE, NONE);
    let (mut hash, mut best_bid, mut best_ask) = (Span::default(), None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        let again = match key {
            b"asset_id" => std::mem::replace(&mut asset, spanned(scan)?.1).len > 0,
            b"price" => std::mem::replace(&mut at_price, price(scan.plain()?)?) != NONE,
            b"size" => std::mem::replace(&mut qty, size(scan.plain()?)?) != NONE,
            b"side" => taken.replace(side(scan.plain()?)?).is_some(),
            b"hash" if scan.null()? => false,
            b"hash" => std::mem::replace(&mut hash, spanned(scan)?.1).len > 0,
            b"best_bid" => best_bid.replace(told(scan, "best_bid")?).is_some(),
            b"best_ask" => best_ask.replace(told(scan, "best_ask")?).is_some(),
            _ => {
                scan.skip()?;
                false
            }
        };
        if again {
            return Err(WireError::Twice("a field of price_changes"));
        }
    }
    let side = taken.ok_or(WireError::Missing("side"))?;
    let whole = |there: bool, name| if there { Ok(()) } else { Err(WireError::Missing(name)) };
    whole(asset.len > 0, "asset_id")?;
    whole(at_price != NONE, "price")?;
    whole(qty != NONE, "size")?;
    let (best_bid, best_ask) = (best_bid.unwrap_or(UNTOLD), best_ask.unwrap_or(UNTOLD));
    Ok(Change { asset, side, price: at_price, qty, hash, best_bid, best_ask })
}

#[inline]
fn told(scan: &mut Scan<'_>, name: &'static str) -> Result<i64> {
    if scan.null()? { Ok(UNTOLD) } else { best(scan.plain()?, name) }
}
