//! Reads the recorded Polymarket day and the message fixtures from the shared folder; it never changes a value.

use std::io::Read as _;
use std::path::PathBuf;

use serde_json::Value;

/// A folder of recorded data, or `None` with a loud note.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/polymarket")).join(name);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: recorded data is absent: {}", path.display());
    None
}

/// A message fixture by the rest of its name.
pub(crate) fn fixture(name: &str) -> Option<String> {
    let path = folder("nautilus_test_data")?.join(format!("nautilus__{name}.json"));
    Some(std::fs::read_to_string(path).unwrap())
}

fn gunzip(name: &str) -> Option<String> {
    let file = std::fs::File::open(folder("")?.join(name)).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    Some(text)
}

/// One market of the recorded day.
pub(crate) struct RecordedMarket {
    pub(crate) start_s: i64,
    pub(crate) end_s: i64,
    pub(crate) slug: String,
    /// The strike as the decimal Gamma would show.
    pub(crate) strike: Option<String>,
    /// Official result: what one Up token paid.
    pub(crate) up_paid: String,
    pub(crate) token_ids: Vec<String>,
    /// The Gamma market object, taken after the end.
    pub(crate) raw: Value,
}

/// The 292 markets of 2026-06-08, by start.
pub(crate) fn markets() -> Option<Vec<RecordedMarket>> {
    let text = gunzip("Ligengxin96_polymarket-data-samples__BTC-5m-markets-2026-06-08.jsonl.gz")?;
    let string = |v: &Value| v.as_str().unwrap().to_owned();
    let parse = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let atoms = row["strike_value"].as_str().map(|s| schemas::IndexPrice::from_atoms(s).unwrap());
        RecordedMarket {
            start_s: row["start_sec"].as_i64().unwrap(),
            end_s: row["end_sec"].as_i64().unwrap(),
            slug: string(&row["slug"]),
            strike: atoms.map(|a| a.to_string()),
            up_paid: string(&row["outcome_prices"][0]),
            token_ids: row["token_ids"].as_array().unwrap().iter().map(string).collect(),
            raw: row["raw"].clone(),
        }
    };
    let mut markets: Vec<RecordedMarket> = text.lines().map(parse).collect();
    markets.sort_by_key(|m| m.start_s);
    Some(markets)
}

/// One index value of the recorded day.
pub(crate) struct RecordedTick {
    pub(crate) recv_ms: i64,
    /// The row as an RTDS update, digits verbatim.
    pub(crate) frame: String,
    /// The row as a point of a history dump.
    pub(crate) point: String,
}

/// The Chainlink values of 2026-06-08, by their own time.
pub(crate) fn ticks() -> Option<Vec<RecordedTick>> {
    let text = gunzip("Ligengxin96_polymarket-data-samples__BTCUSD-prices-2026-06-08.csv.gz")?;
    let parse = |line: &str| {
        let [feed, value, full, server, recv] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        RecordedTick {
            recv_ms: recv.parse().unwrap(),
            frame: format!(
                r#"{{"topic":"crypto_prices_chainlink","type":"update","timestamp":{server},"payload":{{"symbol":"btc/usd","timestamp":{feed},"value":{value},"full_accuracy_value":"{full}"}}}}"#
            ),
            point: format!(r#"{{"timestamp":{feed},"value":{value}}}"#),
        }
    };
    Some(text.lines().skip(1).map(parse).collect())
}

/// A Gamma event around a market object; the strike's digits stay as they are.
pub(crate) fn event(slug: &str, strike: Option<&str>, market: &Value) -> String {
    let metadata = strike.map_or_else(|| "{}".to_owned(), |s| format!(r#"{{"priceToBeat":{s}}}"#));
    format!(r#"[{{"id":"1","slug":"{slug}","title":"t","eventMetadata":{metadata},"markets":[{market}]}}]"#)
}

/// The market object as it looked while the market was open.
pub(crate) fn opened(raw: &Value) -> Value {
    let mut market = raw.clone();
    for (key, value) in [
        ("closed", Value::Bool(false)),
        ("acceptingOrders", Value::Bool(true)),
        ("outcomePrices", Value::from(r#"["0.505", "0.495"]"#)),
        ("bestBid", Value::from(0.5)),
        ("bestAsk", Value::from(0.51)),
        ("umaResolutionStatus", Value::Null),
    ] {
        market[key] = value;
    }
    market
}
