//! Every field of real and documented frames deleted, renamed, nulled and changed in type: the frame means the same or
//! is quarantined, and no live book ever differs from the truth.

use std::collections::BTreeMap;

use ingest::venue::VenueMachine as _;
use ingest::venue::kalshi::{Kalshi, KalshiConfig};
use schemas::{Digest, Machine as _, Raw, Record, TapeBody, Timestamp};
use serde_json::Value;

use crate::messages::{INDEX, INDEX_5HZ, TICKER, trade};
use crate::support::session;

/// Fields that nothing of ours depends on, and why a frame without them means the same.
const IGNORABLE: &[(&str, &str)] = &[
    ("orderbook_delta", "msg.market_id"),    // markets are named by ticker
    ("orderbook_delta", "msg.ts"),           // deprecated by the venue
    ("orderbook_snapshot", "msg.market_id"), // as above
    ("ok", "id"),                            // the recording's client's own
    ("ok", "msg"),                           // a list for people
    ("ok", "msg.market_tickers"),            // a list for people
    ("subscribed", "id"),                    // the recording's client's own
    ("ticker", "msg.market_id"),
    ("ticker", "msg.price_dollars"), // the trade channel tells trades
    ("ticker", "msg.volume_fp"),
    ("ticker", "msg.open_interest_fp"),
    ("ticker", "msg.dollar_volume"),
    ("ticker", "msg.dollar_open_interest"),
    ("ticker", "msg.last_trade_size_fp"),
    ("ticker", "msg.ts"),   // deprecated
    ("ticker", "msg.time"), // deprecated
    ("trade", "msg.ts"),    // deprecated
    // Three fields tell the taker's side; any one of them is enough, and they must agree.
    ("trade", "msg.taker_side"),
    ("trade", "msg.taker_outcome_side"),
    ("trade", "msg.taker_book_side"),
];

/// Fields that may be absent by the venue's own document: deleting or renaming them is legal and means something.
const OPTIONAL: &[(&str, &str)] = &[
    ("orderbook_delta", "msg.ts_ms"), // the row then has no venue time
    ("cfbenchmarks_value", "msg.last_60s_windowed_average_15min"), // outside a quarter hour's last minute
];

/// The venue's own way to say that a side is empty: alone it cannot be told from a loss. A renamed side is.
const EMPTY_SIDE: &[&str] = &["msg.yes_dollars_fp", "msg.no_dollars_fp"];

fn listed(list: &[(&str, &str)], kind: &str, path: &str) -> bool {
    list.iter().any(|(k, p)| *k == kind && *p == path)
}

/// Every path of a value, e.g. `msg.yes_dollars_fp.0.1`.
fn paths(value: &Value, at: &str, out: &mut Vec<String>) {
    let join = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                out.push(join(key));
                paths(inner, &join(key), out);
            }
        }
        Value::Array(items) => {
            // The first and the last item stand for all.
            for place in [0, items.len().saturating_sub(1)] {
                if let Some(inner) = items.get(place) {
                    out.push(join(&place.to_string()));
                    paths(inner, &join(&place.to_string()), out);
                }
            }
        }
        _ => {}
    }
}

fn other_type(value: &Value) -> Value {
    match value {
        Value::String(text) => text.parse::<f64>().map_or_else(|_| Value::from(7), Value::from),
        Value::Number(number) => Value::from(number.to_string()),
        Value::Bool(_) => Value::from("true"),
        Value::Array(_) => Value::from("x"),
        Value::Object(_) => Value::from(vec![1]),
        Value::Null => Value::from(1),
    }
}

/// The four mutations of one field; renaming and deleting an array's item are the same.
fn mutations(frame: &Value, path: &str) -> Vec<(&'static str, Value)> {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let pointer = if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
    let mut all = Vec::new();
    for how in ["deleted", "renamed", "nulled", "retyped"] {
        let mut changed = frame.clone();
        match changed.pointer_mut(&pointer).unwrap() {
            Value::Object(map) => match how {
                "deleted" => drop(map.remove(key)),
                "renamed" => {
                    let value = map.remove(key).unwrap();
                    map.insert(format!("{key}_v2"), value);
                }
                "nulled" => drop(map.insert(key.to_owned(), Value::Null)),
                _ => {
                    let value = other_type(&map[key]);
                    map.insert(key.to_owned(), value);
                }
            },
            Value::Array(items) => {
                let place: usize = key.parse().unwrap();
                match how {
                    "deleted" => drop(items.remove(place)),
                    "nulled" => items[place] = Value::Null,
                    "retyped" => items[place] = other_type(&items[place]),
                    _ => continue,
                }
            }
            _ => unreachable!(),
        }
        all.push((how, changed));
    }
    all
}

struct Replay {
    machine: Kalshi,
    seq: u64,
}

impl Replay {
    fn new() -> Self {
        let mut replay = Self { machine: Kalshi::new(KalshiConfig::capture()), seq: 0 };
        replay.give(Raw::TimeAdvanced { to: Timestamp::ZERO });
        replay.give(Raw::Connected { conn: 1 });
        replay
    }

    fn give(&mut self, body: Raw) -> Vec<TapeBody> {
        self.seq += 1;
        let mut out = Vec::new();
        self.machine.apply(&Record { seq: self.seq, at: Timestamp::ZERO, body }, &mut out);
        let row = |said| match said {
            ingest::VenueOutput::Row(row) => Some(row.body),
            ingest::VenueOutput::Deed(_) => None,
        };
        out.into_iter().filter_map(row).collect()
    }

    fn frame(&mut self, text: &str) -> Vec<TapeBody> {
        self.give(Raw::Frame { conn: 1, bytes: text.as_bytes().to_vec() })
    }

    fn books(&self) -> BTreeMap<String, Digest> {
        let live = self.machine.shelf().slots().filter(|(_, slot)| slot.state.is_live());
        live.map(|(_, slot)| (slot.instrument.native.clone(), slot.book.digest())).collect()
    }
}

/// Live books must be books of the truth.
fn assert_true(replay: &Replay, truth: &Replay, what: &str) {
    let truth = truth.books();
    for (ticker, digest) in replay.books() {
        assert_eq!(Some(&digest), truth.get(&ticker), "{ticker} is live and wrong after {what}");
    }
}

#[test]
fn no_mutation_of_a_recorded_frame_makes_a_live_book_wrong() {
    let Some(frames) = session() else { return };
    let (mut before, mut mutated) = (Replay::new(), 0);
    for (at, text) in frames.iter().enumerate().take(420) {
        let chosen = at < 24 || at % 10 == 0 || !text.contains("orderbook_delta\",\"sid");
        let mut after = Replay { machine: before.machine.clone(), seq: before.seq };
        let said = after.frame(text);
        let mut later = Replay { machine: after.machine.clone(), seq: after.seq };
        frames[at + 1..at + 8].iter().for_each(|next| drop(later.frame(next)));
        if chosen {
            let frame: Value = serde_json::from_str(text).unwrap();
            let kind = frame["type"].as_str().unwrap().to_owned();
            let mut all = Vec::new();
            paths(&frame, "", &mut all);
            for path in all {
                for (how, changed) in mutations(&frame, &path) {
                    mutated += 1;
                    let what = format!("{kind} {path} {how} (frame {at})");
                    if EMPTY_SIDE.contains(&path.as_str()) && how == "deleted" {
                        continue;
                    }
                    let mut replay = Replay { machine: before.machine.clone(), seq: before.seq };
                    let told = replay.frame(&changed.to_string());
                    let quarantined =
                        replay.machine.shelf().counts.quarantined > before.machine.shelf().counts.quarantined;
                    if quarantined {
                        assert_true(&replay, &after, &what);
                    } else if listed(OPTIONAL, &kind, &path) {
                        assert!(matches!(how, "deleted" | "renamed"), "{what}");
                        assert_eq!(replay.books(), after.books(), "{what}");
                    } else {
                        // A level taken out of a snapshot is the venue's to say; every other silence is listed.
                        let level = path.matches('.').count() == 2 && how == "deleted";
                        let ignorable = listed(IGNORABLE, &kind, &path)
                            || path.starts_with("msg.market_tickers.")
                            || (kind == "subscribed" && path == "msg");
                        assert!(ignorable || level, "{what} was not noticed");
                        if ignorable {
                            assert_eq!(told, said, "{what}");
                        } else {
                            continue;
                        }
                    }
                    frames[at + 1..at + 8].iter().for_each(|next| drop(replay.frame(next)));
                    assert_true(&replay, &later, &what);
                }
            }
        }
        before = after;
    }
    assert!(mutated > 2_000, "{mutated}");
}

#[test]
fn every_field_of_other_frames_is_needed_or_listed() {
    let frames = [TICKER.to_owned(), trade(11, 1, 7), INDEX.to_owned(), INDEX_5HZ.to_owned()];
    for text in frames {
        let frame: Value = serde_json::from_str(&text).unwrap();
        let kind = frame["type"].as_str().unwrap().to_owned();
        let mut plain = Replay::new();
        let said = plain.frame(&text);
        assert!(!said.is_empty() && plain.machine.shelf().counts.quarantined == 0, "{kind}");
        let mut all = Vec::new();
        paths(&frame, "", &mut all);
        for path in all {
            for (how, changed) in mutations(&frame, &path) {
                let what = format!("{kind} {path} {how}");
                let mut replay = Replay::new();
                let told = replay.frame(&changed.to_string());
                let quarantined = replay.machine.shelf().counts.quarantined > 0;
                if quarantined {
                    assert!(told.iter().all(|body| matches!(body, TapeBody::State(_))), "{what}: {told:?}");
                } else if listed(OPTIONAL, &kind, &path) {
                    assert!(matches!(how, "deleted" | "renamed"), "{what}");
                } else {
                    assert!(listed(IGNORABLE, &kind, &path), "{what} was not noticed");
                    assert_eq!(told, said, "{what}");
                }
            }
        }
    }
}
