//! The frames have the keys and value forms of the recorded session and objects; skipped loudly without them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use sim::venues::kalshi::VenueConfig;

use crate::client::{Client, spawn};

fn recorded(name: &str) -> Option<String> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/kalshi"));
    match std::fs::read_to_string(dir.join(name)) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("SKIPPED: {name} in {}: {error}", dir.display());
            None
        }
    }
}

/// The form of a value: digits become `0` with their count before the point dropped, letters of hex ids `x`.
fn form(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => match key {
            "market_ticker" | "market_tickers" | "ticker" | "side" | "channel" => "name".to_owned(),
            // The fraction has as many digits as it needs: none ends in 0.
            "ts" => {
                assert!(
                    text.ends_with('Z')
                        && !text.ends_with("0Z")
                        && text.len() > "0000-00-00T00:00:00.Z".len(),
                    "{text}"
                );
                "time".to_owned()
            }
            "market_id" => text.split('-').map(|part| part.len().to_string()).collect::<Vec<_>>().join("-"),
            _ => {
                let zeros: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
                match zeros.split_once('.') {
                    Some((whole, part)) => {
                        format!("{}0.{part}", &whole[..whole.len().min(1)].replace('0', ""))
                    }
                    _ => zeros,
                }
            }
        },
        Value::Number(number) => format!("number {}", number.is_i64() || number.is_u64()),
        Value::Bool(_) => "bool".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Array(items) => {
            items.first().map_or_else(|| "[]".to_owned(), |item| format!("[{}]", form(key, item)))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{k}:{}", form(k, v))).collect();
            format!("{{{}}}", fields.join(","))
        }
    }
}

/// The top-level keys of a frame in the order in which they were written.
fn order(text: &str) -> Vec<String> {
    let msg = text.find("\"msg\"").unwrap_or(text.len());
    ["type", "id", "sid", "seq", "msg"]
        .into_iter()
        .filter_map(|key| {
            text[..(msg + 5).min(text.len())].find(&format!("\"{key}\"")).map(|at| (at, key.to_owned()))
        })
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect()
}

/// All forms and key orders by type.
fn shapes(frames: impl Iterator<Item = String>) -> BTreeMap<String, BTreeSet<(Vec<String>, String)>> {
    let mut out: BTreeMap<String, BTreeSet<(Vec<String>, String)>> = BTreeMap::new();
    for text in frames {
        let frame: Value = serde_json::from_str(&text).unwrap();
        let kind = frame["type"].as_str().unwrap().to_owned();
        // Signs differ from message to message; a minus is the only one.
        out.entry(kind).or_default().insert((order(&text), form("", &frame).replace(":-0", ":0")));
    }
    out
}

#[tokio::test]
async fn the_frames_are_those_of_the_recorded_session() {
    let name = "jfreun123_kalshi-market-maker__ws-session_2026-07-01_first3900lines.jsonl";
    let Some(text) = recorded(name) else { return };
    let real = shapes(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
    let twin = spawn(VenueConfig::default());
    // The recorded books have two sides; so have these.
    let tickers = twin.tickers()[..5].to_vec();
    let mut client = Client::connect(&twin).await;
    let sid = client.subscribe("orderbook_delta", &tickers[..1]).await;
    let add = json!({"sid": sid, "action": "add_markets", "market_tickers": tickers[1..]});
    client.say("update_subscription", add).await;
    client.say("subscribe", json!({"channels": ["fill"]})).await;
    let mut frames: Vec<String> = Vec::new();
    for _ in 0..7 {
        frames.push(client.hear_text().await.unwrap());
    }
    for _ in 0..300 {
        twin.step(1).await;
    }
    while frames.iter().filter(|f| f.contains("orderbook_delta\",\"sid")).count() < 40 {
        frames.push(client.hear_text().await.unwrap());
    }
    let ours = shapes(frames.into_iter());
    let kinds: Vec<&String> = real.keys().collect();
    assert_eq!(kinds, ["ok", "orderbook_delta", "orderbook_snapshot", "subscribed"]);
    for (kind, shapes) in &ours {
        assert_eq!(Some(shapes), real.get(kind), "{kind}");
    }
    assert_eq!(ours.len(), real.len());
    twin.shutdown().await;
}

#[tokio::test]
async fn the_market_object_has_the_fields_of_a_real_one() {
    let Some(text) = recorded("thesneakattack_kalshi-whale-poc__sample_market_response_2026-08.json") else {
        return;
    };
    let real: Value = serde_json::from_str(&text).unwrap();
    let twin = spawn(VenueConfig::default());
    let ours = twin.with(|venue, _| sim::venues::kalshi::object::market(venue, &venue.world.markets[0]));
    let keys = |value: &Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&ours), keys(&real));
    for (key, value) in real.as_object().unwrap() {
        let both = !value.is_null() && !ours[key].is_null() && !value.is_object();
        if both
            && !["title", "rules_primary", "rules_secondary", "early_close_condition"].contains(&key.as_str())
        {
            let same = std::mem::discriminant(value) == std::mem::discriminant(&ours[key]);
            assert!(same, "{key}: {} is not {value}", ours[key]);
            if key.ends_with("_dollars") || key.ends_with("_fp") {
                assert_eq!(form(key, &ours[key]), form(key, value), "{key}");
            }
        }
    }
    assert_eq!(form("price_ranges", &ours["price_ranges"]), form("price_ranges", &real["price_ranges"]));
    twin.shutdown().await;
}

#[test]
fn the_rest_order_book_is_that_of_the_recorded_exchange() {
    let Some(text) = recorded("jfreun123_kalshi-market-maker__rest-orderbooks_2026-07-01.jsonl") else {
        return;
    };
    let exchange: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let body = exchange["response_body"].as_str().unwrap();
    let real: Value = serde_json::from_str(body).unwrap();
    let level = |pair: &Value| (crate::client::fixed(&pair[0], 6), crate::client::fixed(&pair[1], 2));
    let side = |key: &str| real["orderbook_fp"][key].as_array().unwrap().iter().map(level).collect();
    let book = sim::venues::kalshi::Book { yes: side("yes_dollars"), no: side("no_dollars") };
    let ours = format!(r#"{{"orderbook_fp":{}}}"#, sim::venues::kalshi::wire::orderbook_fp(&book));
    assert_eq!(ours, body, "the same book is written byte for byte");
}
