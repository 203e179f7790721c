//! The frames have the keys and value forms of the recorded session; skipped loudly without it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use sim::venues::binance::{BinanceConfig, SpotBook, wire};

use crate::client::{Client, eight, spawn};

fn recorded(name: &str) -> Option<String> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/crypto-ws"));
    match std::fs::read_to_string(dir.join(name)) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("SKIPPED: {name} in {}: {error}", dir.display());
            None
        }
    }
}

/// The keys in the order in which they are written, and what kind of value each has.
fn shape(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    let mut keys: Vec<(usize, String)> = Vec::new();
    walk(text, &value, &mut keys);
    keys.sort();
    keys.into_iter().map(|(_, key)| key).collect::<Vec<_>>().join(",")
}

fn walk(text: &str, value: &Value, out: &mut Vec<(usize, String)>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let at = text.find(&format!("\"{key}\":")).unwrap();
        out.push((at, format!("{key}:{}", kind(value))));
        if value.is_object() {
            let inner = &text[at..];
            let mut keys = Vec::new();
            walk(inner, value, &mut keys);
            out.extend(keys.into_iter().map(|(inside, key)| (at + inside, key)));
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(text) if text.split_once('.').is_some_and(|(_, part)| part.len() == 8) => "eight",
        Value::String(_) => "text",
        Value::Number(number) if number.is_u64() => "number",
        Value::Bool(_) => "bool",
        Value::Array(levels) => match levels.first().and_then(|pair| pair.get(0)) {
            None => "levels",
            Some(price) if kind(price) == "eight" => "levels",
            Some(_) => "array",
        },
        Value::Object(_) => "object",
        _ => "other",
    }
}

fn shapes<'a>(frames: impl Iterator<Item = &'a str>) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for text in frames {
        let frame: Value = serde_json::from_str(text).unwrap();
        let stream = frame["stream"].as_str().unwrap();
        let kind = stream.split_once('@').unwrap().1.to_owned();
        out.entry(kind).or_default().insert(shape(text));
    }
    out
}

#[tokio::test]
async fn the_frames_are_those_of_the_recorded_session() {
    let Some(text) = recorded("cryptofeed_sample_data__BINANCE.ws.1.0") else { return };
    let lines = text.lines().filter_map(|line| line.split_once(": ")).map(|(_, json)| json);
    let real = shapes(lines.filter(|json| json.starts_with("{\"stream\"")));
    let twin = spawn(BinanceConfig::default());
    let streams = "btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@kline_1m/btcusdt@aggTrade";
    let mut client = Client::streams(&twin, streams).await;
    twin.step(300).await;
    let frames = client.hear_texts(150).await;
    let ours = shapes(frames.iter().map(String::as_str));
    assert_eq!(real.keys().collect::<Vec<_>>(), ["aggTrade", "bookTicker", "depth@100ms", "kline_1m"]);
    assert_eq!(ours, real);
    twin.shutdown().await;
}

#[test]
fn a_recorded_snapshot_is_written_byte_for_byte() {
    let Some(text) = recorded("cryptofeed_sample_data__BINANCE.http.0.0") else { return };
    let mut seen = 0;
    for body in text.lines().filter_map(|line| line.split_once(": ")).map(|(_, json)| json) {
        let Ok(real) = serde_json::from_str::<Value>(body) else { continue };
        let Some(id) = real["lastUpdateId"].as_u64() else { continue };
        let mut book = SpotBook::default();
        for (bid, key) in [(true, "bids"), (false, "asks")] {
            for pair in real[key].as_array().unwrap() {
                book.set(bid, eight(&pair[0]), eight(&pair[1]));
            }
        }
        assert_eq!(wire::snapshot(&book, id, 5_000), body);
        seen += 1;
    }
    assert_eq!(seen, 4);
}
