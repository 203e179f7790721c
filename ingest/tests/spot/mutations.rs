//! Every field of recorded book frames, deleted, renamed, nulled and retyped: the frame is quarantined and the book it
//! may have changed is lost, or the field is one that does not matter. A live book is never silently another one.

use ingest::venue::VenueMachine;
use ingest::venue::binance::{Binance, BinanceConfig};
use ingest::venue::coinbase::{Coinbase, CoinbaseConfig};
use ingest::venue::kraken::{Kraken, KrakenConfig};
use schemas::Timestamp;
use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::{Line, recording};

/// What was done to which field, and the document after it.
struct Mutant {
    what: String,
    document: Value,
}

fn retyped(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str::<i64>(text).map_or_else(|_| json!(7), Value::from),
        Value::Number(number) => json!(number.to_string()),
        Value::Bool(_) => json!("true"),
        Value::Null => json!(0),
        Value::Array(_) => json!({"0": 1}),
        Value::Object(_) => json!([1]),
    }
}

/// All mutants of a document: of every member of an object, and of every member of an array of scalars.
fn mutants(document: &Value) -> Vec<Mutant> {
    let mut found = Vec::new();
    visit(document, "", &mut |path, changed| found.push((path.to_owned(), changed)), &|value| value);
    found.into_iter().map(|(what, document)| Mutant { what, document }).collect()
}

fn visit(value: &Value, path: &str, found: &mut dyn FnMut(&str, Value), wrap: &dyn Fn(Value) -> Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let path = format!("{path}/{key}");
                let with = |name: Option<&str>, new: Value| {
                    let mut members: Map<String, Value> = members.clone();
                    members.remove(key);
                    name.map(|name| members.insert(name.to_owned(), new));
                    wrap(Value::Object(members))
                };
                found(&format!("deleted {path}"), with(None, Value::Null));
                found(&format!("renamed {path}"), with(Some(&format!("{key}x")), member.clone()));
                found(&format!("nulled {path}"), with(Some(key), Value::Null));
                found(&format!("retyped {path}"), with(Some(key), retyped(member)));
                visit(member, &path, found, &|new| with(Some(key), new));
            }
        }
        Value::Array(members) => {
            let tuple = members.iter().any(|member| !member.is_array() && !member.is_object());
            // Long lists of levels are all alike.
            for (at, member) in members.iter().enumerate().filter(|(at, _)| *at < 3 || at + 3 > members.len())
            {
                let path = format!("{path}/{at}");
                let with = |new: Value| {
                    let mut members = members.clone();
                    members[at] = new;
                    wrap(Value::Array(members))
                };
                if tuple {
                    let mut fewer = members.clone();
                    fewer.remove(at);
                    found(&format!("deleted {path}"), wrap(Value::Array(fewer)));
                }
                found(&format!("nulled {path}"), with(Value::Null));
                found(&format!("retyped {path}"), with(retyped(member)));
                visit(member, &path, found, &with);
            }
        }
        _ => {}
    }
}

/// Compares a machine that was given a mutant with one that was given the frame itself.
fn check<M: VenueMachine>(what: &str, before: &M, truth: &M, mutated: &M, ignorable: &[&str]) {
    let (counts, then) = (mutated.shelf().counts, before.shelf().counts);
    let noticed = counts.quarantined > then.quarantined || counts.gaps > then.gaps;
    let ignored = ignorable.iter().any(|field| what.ends_with(field));
    assert!(noticed || ignored, "{what}: neither noticed nor ignorable");
    for (no, slot) in mutated.shelf().slots() {
        let Some(right) = truth.shelf().slot(no) else { continue };
        assert!(!slot.state.is_live() || slot.book == right.book, "{what}: a live book is another one");
    }
}

/// Mutates every `step`th frame of a kind; says how many mutants there were.
fn mutate<M: VenueMachine + Clone>(
    machine: M,
    lines: &[Line],
    bodies: &[Line],
    wanted: impl Fn(&str) -> bool,
    ignorable: &[&str],
) -> usize {
    let mut driver = Driver::new(machine, lines[0].at.plus(-1));
    let mut tried = 0;
    let mut seen = 0_usize;
    for line in lines {
        driver.advance(line.at);
        driver.answer(bodies);
        let text = String::from_utf8_lossy(&line.body);
        if wanted(&text) {
            seen += 1;
            // The first ones, and then one in a while.
            if seen <= 3 || seen.is_multiple_of(97) {
                let before = driver.machine.clone();
                driver.frame(&line.body);
                let truth = std::mem::replace(&mut driver.machine, before.clone());
                for mutant in mutants(&serde_json::from_str(&text).unwrap()) {
                    driver.machine = before.clone();
                    driver.frame(mutant.document.to_string().as_bytes());
                    check(&mutant.what, &before, &truth, &driver.machine, ignorable);
                    tried += 1;
                }
                driver.asked.retain(|(request, _)| *request <= 4);
                driver.machine = truth;
                continue;
            }
        }
        driver.frame(&line.body);
        driver.answer(bodies);
    }
    assert_eq!(driver.machine.shelf().counts.gaps, 0, "the recording itself went on unharmed");
    tried
}

#[test]
fn kraken_frames() {
    let Some(lines) = recording("KRAKEN.ws.50.0") else { return };
    for kind in ["\"as\":", "\"a\":[", "\"b\":[", "]]},{"] {
        let wanted = |text: &str| text.starts_with('[') && text.contains(kind) && text.len() < 40_000;
        let tried = mutate(Kraken::new(KrakenConfig::capture()), &lines, &[], wanted, &["/3/0/3"]);
        assert!(tried > 30, "{kind}: {tried}");
        eprintln!("kraken {kind}: {tried} mutants");
    }
}

#[test]
fn coinbase_frames() {
    let Some(lines) = recording("COINBASE.ws.28.0") else { return };
    for kind in ["\"snapshot\"", "\"l2update\""] {
        let wanted = |text: &str| text.contains(kind);
        let tried = mutate(Coinbase::new(CoinbaseConfig::capture()), &lines, &[], wanted, &[]);
        assert!(tried > 50, "{kind}: {tried}");
        eprintln!("coinbase {kind}: {tried} mutants");
    }
}

#[test]
fn binance_frames() {
    for name in ["BINANCE", "BINANCE_FUTURES"] {
        let Some(lines) = recording(&format!("{name}.ws.1.0")) else { return };
        let Some(bodies) = recording(&format!("{name}.http.0.0")) else { return };
        let wanted = |text: &str| text.contains("depthUpdate");
        // The envelope's name is not needed; null or a number there is still a frame that cannot be read.
        let ignorable = ["deleted /stream", "renamed /stream"];
        let tried = mutate(Binance::new(BinanceConfig::capture()), &lines, &bodies, wanted, &ignorable);
        assert!(tried > 200, "{name}: {tried}");
        eprintln!("{name}: {tried} mutants");
    }
}

#[test]
fn binance_snapshots() {
    for name in ["BINANCE", "BINANCE_FUTURES"] {
        let Some(lines) = recording(&format!("{name}.ws.1.0")) else { return };
        let Some(bodies) = recording(&format!("{name}.http.0.0")) else { return };
        let mut driver = Driver::new(Binance::new(BinanceConfig::capture()), lines[0].at.plus(-1));
        let asked = lines.iter().position(|line| {
            driver.advance(line.at);
            driver.frame(&line.body);
            !driver.asked.is_empty()
        });
        assert!(asked.is_some());
        let (request, path) = driver.asked.remove(0);
        let symbol = path.split("symbol=").nth(1).unwrap();
        let body = bodies.iter().find(|line| line.url.as_ref().unwrap().ends_with(symbol)).unwrap();
        let before = driver.machine.clone();
        driver.reply(request, 200, &body.body);
        let truth = driver.machine.clone();
        assert_eq!(truth.shelf().live(), 1, "the true answer makes the book live");
        for mutant in mutants(&serde_json::from_slice(&body.body).unwrap()) {
            driver.machine = before.clone();
            driver.reply(request, 200, mutant.document.to_string().as_bytes());
            check(&mutant.what, &before, &truth, &driver.machine, &[]);
            assert_eq!(driver.machine.shelf().live(), 0, "{}", mutant.what);
        }
    }
}

#[test]
fn what_is_not_json_is_quarantined() {
    let texts: [&[u8]; 7] = [b"", b" ", b"{", b"null", b"[1,2]", b"{\"a\":}", b"\xff\xfe"];
    for text in texts {
        let machines: [Box<dyn FnOnce() -> u64>; 3] = [
            Box::new(|| quarantined(Kraken::new(KrakenConfig::capture()), text)),
            Box::new(|| quarantined(Coinbase::new(CoinbaseConfig::capture()), text)),
            Box::new(|| quarantined(Binance::new(BinanceConfig::capture()), text)),
        ];
        for machine in machines {
            assert_eq!(machine(), 1, "{text:?}");
        }
    }
}

fn quarantined<M: VenueMachine>(machine: M, text: &[u8]) -> u64 {
    let mut driver = Driver::new(machine, Timestamp::from_secs(1));
    driver.start();
    driver.frame(text);
    driver.machine.shelf().counts.quarantined
}
