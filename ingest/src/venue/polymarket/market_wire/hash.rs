//! The venue's hash of a book, computed over the strings as received; it allocates nothing.

use sha1::{Digest as _, Sha1};

use super::{Book, Scratch, Tail, WireLevel};

/// Whether the venue's SHA-1 of a `book` fits; `None` where the message lacks what the hash covers.
///
/// SHA-1 of the compact JSON with the keys market, asset_id, timestamp, hash (empty), bids, asks, min_order_size,
/// tick_size, neg_risk and last_trade_price, over the strings as received (py-clob-client-v2, utilities).
pub fn hash_fits(book: &Book<'_>, scratch: &Scratch, frame: &[u8]) -> Option<bool> {
    let (tail, hash, market) = (book.tail?, book.hash?, book.market?);
    let sum = book_sum(market, book, &tail, scratch, frame);
    let mut text = [0_u8; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(sum) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    Some(hash.eq_ignore_ascii_case(&text))
}

fn book_sum(market: &[u8], book: &Book<'_>, tail: &Tail<'_>, scratch: &Scratch, frame: &[u8]) -> [u8; 20] {
    let mut sum = Sha1::new();
    put(&mut sum, &[br#"{"market":""#, market, br#"","asset_id":""#, book.asset]);
    put(&mut sum, &[br#"","timestamp":""#, book.stamp, br#"","hash":"","bids":["#]);
    put_levels(&mut sum, &scratch.bids, frame);
    put(&mut sum, &[br#"],"asks":["#]);
    put_levels(&mut sum, &scratch.asks, frame);
    let neg_risk: &[u8] = if tail.neg_risk { b"true" } else { b"false" };
    put(&mut sum, &[br#"],"min_order_size":""#, tail.min_order_size, br#"","tick_size":""#, tail.tick_size]);
    put(&mut sum, &[br#"","neg_risk":"#, neg_risk, br#","last_trade_price":""#, tail.last_trade_price]);
    put(&mut sum, &[br#""}"#]);
    sum.finalize().into()
}

fn put(sum: &mut Sha1, parts: &[&[u8]]) {
    for part in parts {
        sum.update(part);
    }
}

fn put_levels(sum: &mut Sha1, levels: &[WireLevel], frame: &[u8]) {
    for (at, level) in levels.iter().enumerate() {
        let open: &[u8] = if at == 0 { br#"{"price":""# } else { br#",{"price":""# };
        put(sum, &[open, level.price_text.of(frame), br#"","size":""#, level.qty_text.of(frame), br#""}"#]);
    }
}
