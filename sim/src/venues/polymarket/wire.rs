//! The frames of the market channel as its server writes them; never decides what happens.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

use super::book::Outcome;
use super::decimal::{ONE, push, push_hex, text};
use super::world::{Change, Market, Trade};

/// Smallest order, shares.
pub const MIN_ORDER: &str = "5";
/// The answer to `PING`.
pub const PONG: &str = "PONG";
/// The answer to a command that cannot be read.
pub const INVALID: &str = "INVALID OPERATION";
/// A frame that no client can parse, for fault injection.
pub const GARBAGE: &str = r#"[{"event_type":"price_change","market":"0x"#;

const NEVER: &str = "writing to a String cannot fail";

/// How numbers and levels are written; documents and versions of the venue differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Prices below one dollar without the zero before the point.
    pub bare: bool,
    /// Levels with the best first, instead of the best last.
    pub best_first: bool,
}

/// What does not fit in a frame, on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// Everything fits.
    #[default]
    None,
    /// `best_bid` or `best_ask` is one tick off (a `book` gets a wrong hash instead).
    BestPrice,
    /// The hash is of something else.
    Hash,
}

fn push_levels(out: &mut String, levels: &[(i64, i64)], style: Style) {
    let mut write_one = |i: usize, &(price, size): &(i64, i64)| {
        out.push_str(if i == 0 { r#"{"price":""# } else { r#",{"price":""# });
        push(out, price, style.bare);
        out.push_str(r#"","size":""#);
        push(out, size, false);
        out.push_str(r#""}"#);
    };
    if style.best_first {
        levels.iter().enumerate().for_each(|(i, level)| write_one(i, level));
    } else {
        levels.iter().rev().enumerate().for_each(|(i, level)| write_one(i, level));
    }
}

/// The book object of CLOB V2 with its hash: SHA-1 over the compact JSON with an empty hash, keys in this very order
/// (venues.md §2, after the official client's utilities).
pub fn book_object(market: &Market, of: Outcome, at_ms: i64, style: Style, flaw: Flaw) -> String {
    let levels = market.book.levels(of);
    let mut out = String::with_capacity(512 + 44 * (levels.bids.len() + levels.asks.len()));
    let token = &market.ids.tokens[of.index()];
    write!(
        out,
        r#"{{"market":"{}","asset_id":"{token}","timestamp":"{at_ms}","hash":""#,
        market.ids.condition
    )
    .expect(NEVER);
    let hole = out.len();
    out.push_str(r#"","bids":["#);
    push_levels(&mut out, &levels.bids, style);
    out.push_str(r#"],"asks":["#);
    push_levels(&mut out, &levels.asks, style);
    let last = match of {
        Outcome::Yes => market.book.last,
        Outcome::No => ONE - market.book.last,
    };
    write!(
        out,
        r#"],"min_order_size":"{MIN_ORDER}","tick_size":"{}","neg_risk":{},"last_trade_price":"{}"}}"#,
        text(market.book.tick),
        market.neg_risk.is_some(),
        text(last)
    )
    .expect(NEVER);
    let mut digest = Sha1::digest(out.as_bytes());
    if flaw != Flaw::None {
        digest[0] ^= 1;
    }
    let mut hash = String::with_capacity(40);
    push_hex(&mut hash, &digest);
    out.insert_str(hole, &hash);
    out
}

/// The hash of a token's book at `at_ms`, 40 hex digits.
pub fn book_hash(market: &Market, of: Outcome, at_ms: i64, style: Style) -> String {
    let object = book_object(market, of, at_ms, style, Flaw::None);
    let at = object.find(r#""hash":""#).map_or(0, |at| at + 8);
    object[at..at + 40].to_owned()
}

/// A `book` frame's object.
pub fn book(market: &Market, of: Outcome, at_ms: i64, style: Style, flaw: Flaw) -> String {
    let mut out = book_object(market, of, at_ms, style, flaw);
    out.insert_str(1, r#""event_type":"book","#);
    out
}

/// A `price_change`: each change is said for YES and, mirrored, for NO. The hash of an entry is that of its token's
/// book after the whole message, with the message's timestamp; the best prices are those after the message. A side
/// without orders has best bid 0 or best ask 1.
pub fn price_change(market: &Market, changes: &[Change], at_ms: i64, style: Style, flaw: Flaw) -> String {
    let mut out = String::with_capacity(160 + 600 * changes.len());
    write!(out, r#"{{"event_type":"price_change","market":"{}","price_changes":["#, market.ids.condition)
        .expect(NEVER);
    // The hash does not depend on how this message writes its numbers: the REST book is the reference.
    let plain = Style { bare: false, ..style };
    let seen = Outcome::BOTH.map(|of| {
        let mut hash = book_hash(market, of, at_ms, plain);
        if flaw == Flaw::Hash {
            let first = if hash.starts_with('0') { "1" } else { "0" };
            hash.replace_range(..1, first);
        }
        (hash, best_prices(market, of, flaw))
    });
    for (i, change) in changes.iter().enumerate() {
        for of in Outcome::BOTH {
            let (price, side) = match of {
                Outcome::Yes => (change.price, change.side),
                Outcome::No => (ONE - change.price, change.side.other()),
            };
            let comma = if i == 0 && of == Outcome::Yes { "" } else { "," };
            write!(out, r#"{comma}{{"asset_id":"{}","price":""#, market.ids.tokens[of.index()]).expect(NEVER);
            push(&mut out, price, style.bare);
            out.push_str(r#"","size":""#);
            push(&mut out, change.size, false);
            let (hash, (bid, ask)) = &seen[of.index()];
            write!(out, r#"","side":"{}","hash":"{hash}","best_bid":""#, side.word()).expect(NEVER);
            push(&mut out, *bid, style.bare);
            out.push_str(r#"","best_ask":""#);
            push(&mut out, *ask, style.bare);
            out.push_str(r#""}"#);
        }
    }
    write!(out, r#"],"timestamp":"{at_ms}"}}"#).expect(NEVER);
    out
}

/// Best bid and ask as the wire says them; a flaw moves the bid by a tick, within what is between bid and ask or not.
fn best_prices(market: &Market, of: Outcome, flaw: Flaw) -> (i64, i64) {
    let (bid, ask) = market.book.top(of);
    let (bid, ask) = (bid.unwrap_or(0), ask.unwrap_or(ONE));
    match flaw {
        Flaw::BestPrice if bid > market.book.tick => (bid - market.book.tick, ask),
        Flaw::BestPrice => (bid + market.book.tick, ask),
        Flaw::None | Flaw::Hash => (bid, ask),
    }
}

/// A `last_trade_price`; it has no trade id.
pub fn last_trade(market: &Market, trade: &Trade, style: Style) -> String {
    let mut out = String::with_capacity(480);
    write!(
        out,
        r#"{{"event_type":"last_trade_price","market":"{}","asset_id":"{}","price":""#,
        market.ids.condition,
        market.ids.tokens[trade.outcome.index()]
    )
    .expect(NEVER);
    push(&mut out, trade.price, style.bare);
    out.push_str(r#"","size":""#);
    push(&mut out, trade.size, false);
    write!(
        out,
        r#"","side":"{}","fee_rate_bps":"0","timestamp":"{}","transaction_hash":"{}"}}"#,
        trade.side.word(),
        trade.at_ms,
        trade.transaction
    )
    .expect(NEVER);
    out
}

/// A `tick_size_change` of one token.
pub fn tick_size_change(market: &Market, of: Outcome, old: i64, new: i64, at_ms: i64) -> String {
    format!(
        r#"{{"event_type":"tick_size_change","market":"{}","asset_id":"{}","old_tick_size":"{}","new_tick_size":"{}","timestamp":"{at_ms}"}}"#,
        market.ids.condition,
        market.ids.tokens[of.index()],
        text(old),
        text(new)
    )
}

/// A `best_bid_ask` of one token.
pub fn best_bid_ask(market: &Market, of: Outcome, at_ms: i64) -> String {
    let (bid, ask) = best_prices(market, of, Flaw::None);
    format!(
        r#"{{"event_type":"best_bid_ask","market":"{}","asset_id":"{}","best_bid":"{}","best_ask":"{}","spread":"{}","timestamp":"{at_ms}"}}"#,
        market.ids.condition,
        market.ids.tokens[of.index()],
        text(bid),
        text(ask),
        text(ask - bid)
    )
}

/// A `new_market`.
pub fn new_market(market: &Market, at_ms: i64) -> String {
    let [yes, no] = &market.ids.tokens;
    let (slug, condition) = (&market.ids.slug, &market.ids.condition);
    let (question, description) = (question(market), description());
    let [first, second] = market.outcomes;
    let mut out = String::with_capacity(2_048);
    write!(
        out,
        concat!(
            r#"{{"event_type":"new_market","id":"{id}","question":"{question}","market":"{condition}","slug":"{slug}","#,
            r#""description":"{description}","assets_ids":["{yes}","{no}"],"outcomes":["{first}","{second}"],"#,
            r#""event_message":{{"id":"{event}","ticker":"{slug}","slug":"{slug}","title":"{question}","description":"{description}"}},"#,
            r#""timestamp":"{at}","tags":["twin"],"condition_id":"{condition}","active":true,"clob_token_ids":["{yes}","{no}"],"#,
            r#""sports_market_type":"","line":"","game_start_time":"","order_price_min_tick_size":"{tick}","group_item_title":"","#,
            r#""fees_enabled":true,"fee_schedule":{{"rate":0.07,"exponent":1,"taker_only":true,"rebate_rate":0.2}}}}"#
        ),
        id = market_id(market),
        event = event_id(market),
        at = at_ms,
        tick = text(market.book.tick),
        question = question,
        condition = condition,
        slug = slug,
        description = description,
        yes = yes,
        no = no,
        first = first,
        second = second,
    )
    .expect(NEVER);
    out
}

/// A `market_resolved`; a split names no winner.
pub fn market_resolved(market: &Market, winner: Option<Outcome>, at_ms: i64) -> String {
    let [yes, no] = &market.ids.tokens;
    let (asset, word) =
        winner.map_or(("", ""), |of| (market.ids.tokens[of.index()].as_str(), market.outcomes[of.index()]));
    format!(
        r#"{{"event_type":"market_resolved","id":"{}","market":"{}","assets_ids":["{yes}","{no}"],"winning_asset_id":"{asset}","winning_outcome":"{word}","timestamp":"{at_ms}","tags":["twin"]}}"#,
        market_id(market),
        market.ids.condition,
    )
}

/// Gamma's number of a market.
pub const fn market_id(market: &Market) -> usize {
    1_000_000 + market.number
}

/// Gamma's number of a market's event: neg-risk markets share one.
pub const fn event_id(market: &Market) -> usize {
    match market.neg_risk {
        Some(_) => 200_000 + market.number / 10 * 10,
        None => 200_000 + market.number,
    }
}

/// The question; nothing in it needs escaping.
pub fn question(market: &Market) -> String {
    format!("Will twin market {} come true?", market.number)
}

/// The rules; nothing in it needs escaping.
pub const fn description() -> &'static str {
    "This market resolves by the seed of its world."
}
