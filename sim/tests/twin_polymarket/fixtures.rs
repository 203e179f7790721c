//! The twin's frames and objects beside public recordings: the same keys, the same forms of values.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::PathBuf;

use serde_json::Value;
use sim::edge::polymarket::PolymarketTwinConfig;

use crate::client::{Client, get, objects, spawn};

fn shared() -> Option<PathBuf> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/polymarket"));
    let dir = if dir.is_dir() { dir } else { PathBuf::from("/work/shared/data/polymarket") };
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("SKIPPED: no recordings in {}", dir.display());
    None
}

fn fixture(dir: &std::path::Path, name: &str) -> Value {
    let text =
        std::fs::read_to_string(dir.join(format!("nautilus_test_data/nautilus__{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The form of a value: its type, and for text whether it reads as a decimal, `0x` hex or a date.
fn form(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::String(text) if text.is_empty() => "empty",
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => "decimal",
        Value::String(text) if text.starts_with("0x") => "hex",
        Value::String(text) if text.starts_with("[\"") => "nested array",
        Value::String(text) if text.len() >= 10 && text.as_bytes()[4] == b'-' => "date",
        Value::String(_) => "text",
    }
}

/// Every path of an object with the form found there; arrays count as their elements.
fn forms(value: &Value, path: &str, out: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| forms(value, &format!("{path}.{key}"), out));
        }
        Value::Array(items) => items.iter().for_each(|item| forms(item, &format!("{path}[]"), out)),
        _ => {
            out.entry(path.to_owned()).or_default().insert(form(value));
        }
    }
}

fn forms_of(values: &[Value]) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut out = BTreeMap::new();
    values.iter().for_each(|value| forms(value, "", &mut out));
    out
}

/// All the recording has the twin has, in the same form; more only where named. The fixture's hand-made hashes
/// (`0xhash001`) and a fixture's empty texts have no form.
fn same_shape(what: &str, twin: &[Value], recorded: &Value, more: &[&str]) {
    assert!(!twin.is_empty(), "{what}: the twin said none");
    let recorded = forms_of(std::slice::from_ref(recorded));
    for said in twin {
        let ours = forms_of(std::slice::from_ref(said));
        let ours_keys: BTreeSet<_> = ours.keys().map(String::as_str).collect();
        let wanted: BTreeSet<_> = recorded.keys().map(String::as_str).chain(more.iter().copied()).collect();
        assert_eq!(ours_keys, wanted, "{what}");
        for (path, form) in &recorded {
            let loose = path.ends_with("hash") || form.contains("empty") || ours[path].contains("empty");
            assert!(loose || ours[path] == *form, "{what} {path}: {:?} beside {form:?}", ours[path]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn market_channel_frames_have_the_keys_and_forms_of_the_fixtures() {
    let Some(dir) = shared() else { return };
    let twin = spawn(PolymarketTwinConfig { markets: 3, ..Default::default() });
    let mut client = Client::subscribed(&twin, &twin.assets(), true).await;
    twin.list_market();
    twin.change_tick(0);
    twin.step(400).await;
    twin.resolve(1, 1_000_000);
    assert!(twin.quiesce().await);
    client.catch_up().await;
    let extra = [".hash", ".last_trade_price", ".min_order_size", ".neg_risk", ".tick_size"];
    let fees = [
        ".fees_enabled",
        ".fee_schedule.rate",
        ".fee_schedule.exponent",
        ".fee_schedule.taker_only",
        ".fee_schedule.rebate_rate",
    ];
    for (kind, name, more) in [
        ("book", "ws_market_book_msg", extra.as_slice()),
        ("price_change", "ws_market_price_change_msg", &[]),
        ("last_trade_price", "ws_market_last_trade_msg", &[".transaction_hash"]),
        ("tick_size_change", "ws_market_tick_size_msg", &[]),
        ("best_bid_ask", "ws_market_best_bid_ask_msg", &[]),
        ("new_market", "ws_market_new_market_msg", &fees),
        ("market_resolved", "ws_market_resolved_msg", &[]),
    ] {
        same_shape(kind, &client.of_kind(kind), &fixture(&dir, name), more);
    }
    // The fixture of two tokens in one message is what the twin always sends.
    let pairs = client.of_kind("price_change");
    let two = fixture(&dir, "ws_quotes");
    assert_eq!(two["price_changes"].as_array().unwrap().len(), 2);
    assert!(pairs.iter().all(|p| p["price_changes"].as_array().unwrap().len() % 2 == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_answers_have_the_keys_and_forms_of_the_fixtures() {
    let Some(dir) = shared() else { return };
    let twin = spawn(PolymarketTwinConfig { markets: 3, ..Default::default() });
    twin.step(400).await;
    let token = twin.assets()[0].clone();
    let (_, book) = get(&twin, &format!("/book?token_id={token}")).await;
    let extra = [".last_trade_price", ".min_order_size", ".neg_risk", ".tick_size"];
    same_shape("/book", &[book], &fixture(&dir, "clob_book_response"), &extra);
    let (_, fee) = get(&twin, &format!("/fee-rate?token_id={token}")).await;
    same_shape("/fee-rate", &[fee], &fixture(&dir, "clob_fee_rate_response_nonzero"), &[]);
    let (_, trades) = get(&twin, "/trades").await;
    let recorded = fixture(&dir, "data_api_trades_response")[0].clone();
    same_shape("/trades", trades.as_array().unwrap(), &recorded, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gamma_objects_have_only_keys_and_forms_that_were_recorded() {
    let Some(dir) = shared() else { return };
    let gz = dir.join("Ligengxin96_polymarket-data-samples__BTC-5m-markets-2026-06-08.jsonl.gz");
    let mut lines = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(gz).unwrap()).read_to_string(&mut lines).unwrap();
    let mut markets: Vec<Value> = lines
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            row["raw"].as_str().map_or_else(|| row["raw"].clone(), |raw| serde_json::from_str(raw).unwrap())
        })
        .collect();
    let mut events = fixture(&dir, "gamma_event").as_array().unwrap().clone();
    for event in &events {
        markets.extend(event["markets"].as_array().unwrap().iter().cloned());
    }
    markets.push(fixture(&dir, "gamma_market"));
    events.extend(markets.iter().flat_map(|m| m["events"].as_array().cloned().unwrap_or_default()));
    let twin = spawn(PolymarketTwinConfig { markets: 12, ..Default::default() });
    twin.step(100).await;
    twin.resolve(5, 0);
    let (_, ours) = get(&twin, "/markets?limit=50&closed=false").await;
    let (_, closed) = get(&twin, "/markets?closed=true").await;
    let (_, our_events) = get(&twin, "/events?limit=50").await;
    let all: Vec<Value> = [&ours, &closed].iter().flat_map(|v| v.as_array().unwrap().clone()).collect();
    assert_eq!((ours.as_array().unwrap().len(), closed.as_array().unwrap().len()), (11, 1));
    for (what, said, recorded) in
        [("market", &all, &markets), ("event", our_events.as_array().unwrap(), &events)]
    {
        let recorded = forms_of(recorded);
        let keys: BTreeSet<_> =
            recorded.keys().map(|path| path.split(['.', '[']).nth(1).unwrap().to_owned()).collect();
        for (path, forms) in forms_of(said) {
            let key = path.split(['.', '[']).nth(1).unwrap().to_owned();
            assert!(keys.contains(&key), "{what}: {key} was never recorded");
            let nested =
                path.starts_with(".events") || path.starts_with(".markets") || forms.contains("empty");
            if let Some(known) = recorded.get(&path).filter(|_| !nested) {
                assert!(forms.is_subset(known), "{what} {path}: {forms:?} beside {known:?}");
            }
        }
    }
    // A frame of the socket is no array here; `objects` would hide it.
    assert_eq!(objects("{}").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn real_time_prices_have_the_keys_and_forms_of_the_fixtures() {
    let Some(dir) = shared() else { return };
    let twin = spawn(PolymarketTwinConfig::default());
    twin.step_rtds(10).await;
    let mut socket = crate::client::Socket::open(&twin.rtds_ws_url).await;
    socket.say(crate::rtds::subscribe("crypto_prices", r#"{"symbol":"btcusdt"}"#)).await;
    let history = socket.json().await;
    twin.step_rtds(2).await;
    let update = socket.json().await;
    same_shape("history", &[history], &fixture(&dir, "rtds_crypto_prices_subscribe"), &[]);
    same_shape("update", &[update], &fixture(&dir, "rtds_crypto_prices_update"), &[]);
}
