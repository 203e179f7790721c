//! Every field of every message deleted, renamed, nulled and retyped: the meaning stays, or the message is refused and
//! the books it may have changed are lost; a live book never silently differs.

use ingest::venue::VenueMachine;
use schemas::{TapeBody, TradeRow};
use serde_json::{Value, json};

use crate::{MARKET, NO, T, YES, both, recorded, rows};

/// What may be absent or `null` without another meaning: only a check hangs on it, or nothing at all.
const IGNORABLE: [&str; 11] = [
    "hash",
    "best_bid",
    "best_ask",
    "market",
    "transaction_hash",
    "fee_rate_bps",
    "min_order_size",
    "neg_risk",
    "last_trade_price",
    "id",
    "spread",
];

/// Messages that follow two live books, and whether they change them.
fn messages() -> Vec<Value> {
    let level = |price: &str| json!({ "price": price, "size": "12.5" });
    let change = |asset: &str, side: &str, price: &str, bid: &str, ask: &str| {
        json!({
            "asset_id": asset, "price": price, "size": "40", "side": side, "hash": "ab",
            "best_bid": bid, "best_ask": ask,
        })
    };
    let at = (T + 1).to_string();
    vec![
        json!({"event_type": "price_change", "market": MARKET, "timestamp": at, "price_changes": [
            change(YES, "BUY", "0.51", "0.51", "0.52"), change(NO, "SELL", "0.49", "0.48", "0.49"),
        ]}),
        json!({"event_type": "book", "market": MARKET, "asset_id": YES, "timestamp": at, "hash": "ab",
            "bids": [level("0.4"), level("0.41")], "asks": [level("0.6")], "min_order_size": "5",
            "tick_size": "0.01", "neg_risk": false, "last_trade_price": "0.5"}),
        json!({"event_type": "tick_size_change", "market": MARKET, "asset_id": YES, "timestamp": at,
            "old_tick_size": "0.01", "new_tick_size": "0.001"}),
        json!({"event_type": "last_trade_price", "market": MARKET, "asset_id": YES, "timestamp": at, "price": "0.5",
            "size": "3", "side": "SELL", "fee_rate_bps": "0", "transaction_hash": "0xab"}),
        json!({"event_type": "best_bid_ask", "market": MARKET, "asset_id": YES, "timestamp": at,
            "best_bid": "0.5", "best_ask": "0.52", "spread": "0.02"}),
        json!({"event_type": "market_resolved", "market": MARKET, "assets_ids": [YES, NO], "id": "1",
            "winning_asset_id": YES, "winning_outcome": "Yes", "timestamp": at}),
    ]
}

/// All places of a value, from the root.
fn paths(value: &Value, here: &str, into: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (format!("{here}/{key}"), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(at, value)| (format!("{here}/{at}"), value)).collect()
        }
        _ => Vec::new(),
    };
    for (path, value) in inner {
        into.push(path.clone());
        paths(value, &path, into);
    }
}

/// The four mutations of one place, by name.
fn mutated(message: &Value, path: &str) -> Vec<(&'static str, Value)> {
    let (parent, last) = path.rsplit_once('/').unwrap();
    let edit = |what: &dyn Fn(&mut Value)| {
        let mut copy = message.clone();
        what(copy.pointer_mut(parent).unwrap());
        copy
    };
    let retyped = match message.pointer(path).unwrap() {
        Value::String(text) => {
            text.parse::<f64>().map_or_else(|_| json!({ "x": text }), |number| json!(number))
        }
        Value::Bool(on) => json!(on.to_string()),
        Value::Array(_) => json!({}),
        _ => json!([]),
    };
    let set = |to: Value| {
        let mut copy = message.clone();
        *copy.pointer_mut(path).unwrap() = to;
        copy
    };
    let mut all = vec![("nulled", set(Value::Null)), ("retyped", set(retyped))];
    if message.pointer(parent).unwrap().is_object() {
        all.push(("deleted", edit(&|object| drop(object.as_object_mut().unwrap().remove(last)))));
        all.push((
            "renamed",
            edit(&|object| {
                let map = object.as_object_mut().unwrap();
                let value = map.remove(last).unwrap();
                map.insert(format!("{last}_v2"), value);
            }),
        ));
    }
    all
}

/// What a message says to two live books: rows without trade ids (an optional field is part of them), books, refused.
struct Outcome {
    said: Vec<TapeBody>,
    /// Each book's digest, `None` where it is not live.
    books: Vec<Option<schemas::Digest>>,
    refused: bool,
}

fn outcome(message: &str) -> Outcome {
    let mut rig = both();
    let before = rig.counts();
    let out = rig.frame(message);
    let plain = |body: &TapeBody| match body {
        TapeBody::Trade(trade) => TapeBody::Trade(TradeRow { id: [0; 16], ..*trade }),
        other => other.clone(),
    };
    let books = rig.machine.shelf().slots();
    Outcome {
        said: rows(&out).map(|row| plain(&row.body)).collect(),
        books: books.map(|(_, slot)| slot.state.is_live().then(|| slot.book.digest())).collect(),
        refused: rig.counts().quarantined > before.quarantined,
    }
}

fn check(message: &Value) -> (usize, usize) {
    let want = outcome(&message.to_string());
    assert!(!want.refused && !want.said.is_empty(), "the message itself is refused: {message}");
    let mut places = Vec::new();
    paths(message, "", &mut places);
    let (mut same, mut refused) = (0, 0);
    for path in places {
        for (how, mutant) in mutated(message, &path) {
            let got = outcome(&mutant.to_string());
            let name = path.rsplit('/').next().unwrap();
            if got.said == want.said {
                let untyped = name == "event_type" && matches!(how, "deleted" | "renamed");
                // A `book` tells the price grid, too; nothing changes where the grid is not known.
                let allowed = IGNORABLE.contains(&name) || untyped || name == "winning_outcome";
                assert!(allowed, "{how} {path} is ignored: {mutant}");
                same += 1;
                continue;
            }
            assert!(got.refused || name == "tick_size", "{how} {path} says something else: {:?}", got.said);
            let trades = |bodies: &[TapeBody]| {
                bodies.iter().any(|body| !matches!(body, TapeBody::Clear | TapeBody::State(_)))
            };
            assert!(name == "tick_size" || !trades(&got.said), "{how} {path} is refused and still says rows");
            for (at, book) in got.books.iter().enumerate() {
                let right = book.is_none() || *book == want.books[at];
                assert!(right, "{how} {path}: book {at} is live and differs");
            }
            refused += 1;
        }
    }
    (same, refused)
}

#[test]
fn no_mutation_of_any_field_leaves_a_silently_different_book() {
    let mut all = (0, 0);
    for message in messages() {
        let (same, refused) = check(&message);
        all = (all.0 + same, all.1 + refused);
    }
    assert!(all.0 > 20 && all.1 > 100, "{all:?} mutations are not all there are");
}

#[test]
fn nor_does_one_of_a_recorded_frame() {
    for name in ["ws_market_book_msg", "ws_market_price_change_msg", "ws_market_last_trade_msg", "ws_quotes"]
    {
        let file = format!("nautilus_test_data/nautilus__{name}.json");
        let Some(bytes) = recorded(&file) else { return };
        let mut message: Value = serde_json::from_slice(&bytes).unwrap();
        // The recorded tokens are the ones of the two live books; only the time must follow theirs.
        message["timestamp"] = json!((T + 1).to_string());
        check(&message);
    }
}
