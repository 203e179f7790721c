//! A small venue that tells the truth over a line that loses, doubles and turns frames round; whatever the line did,
//! the machine's books end in the truth, and a live book is never wrong for long.

use std::collections::{BTreeMap, BTreeSet};

use ingest::venue::VenueMachine as _;
use ingest::venue::kalshi::KalshiConfig;
use proptest::prelude::*;
use schemas::BookSide;
use serde_json::Value;

use crate::support::{Bench, delta, snapshot, subscribed};

const TICKERS: [&str; 3] = ["A", "B", "C"];

/// What the line does to a frame.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Drop,
    Duplicate,
    /// After its successor.
    Turn,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    market: usize,
    yes: bool,
    /// Cents.
    price: i64,
    /// Hundredths of a contract.
    delta: i64,
    fault: Fault,
    /// Milliseconds before it.
    wait: i64,
}

/// The truth.
struct Venue {
    levels: BTreeMap<(usize, bool, i64), i64>,
    sid: u32,
    seq: u64,
    line: Vec<String>,
}

impl Venue {
    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn snapshot(&mut self, market: usize) -> String {
        let side = |yes: bool| -> Vec<(String, String)> {
            let of = self.levels.iter().filter(|((m, y, _), _)| *m == market && *y == yes);
            of.map(|((_, _, price), qty)| (cents(*price), hundredths(*qty))).collect()
        };
        let (yes, no) = (side(true), side(false));
        let seq = self.next();
        let refs = |side: &[(String, String)]| -> Vec<(String, String)> { side.to_vec() };
        let (yes, no) = (refs(&yes), refs(&no));
        let yes: Vec<(&str, &str)> = yes.iter().map(|(p, q)| (p.as_str(), q.as_str())).collect();
        let no: Vec<(&str, &str)> = no.iter().map(|(p, q)| (p.as_str(), q.as_str())).collect();
        snapshot(self.sid, seq, TICKERS[market], &yes, &no)
    }

    /// Answers commands; frames go onto the line.
    fn answer(&mut self, command: &Value) {
        let id = command["id"].as_u64().unwrap();
        let named: Vec<usize> = command["params"]["market_tickers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|ticker| TICKERS.iter().position(|t| ticker == t).unwrap())
            .collect();
        let sid = command["params"]["sid"].as_u64();
        match (command["cmd"].as_str().unwrap(), command["params"]["action"].as_str()) {
            ("subscribe", _) => {
                self.sid += 1;
                self.seq = 0;
                self.line.push(subscribed(id, "orderbook_delta", self.sid));
                for market in named {
                    let frame = self.snapshot(market);
                    self.line.push(frame);
                }
            }
            (_, Some("get_snapshot")) if sid == Some(u64::from(self.sid)) => {
                for market in named {
                    let frame = self.snapshot(market);
                    self.line.push(frame);
                }
            }
            ("unsubscribe", _) => {
                let old = command["params"]["sids"][0].as_u64().unwrap();
                self.line.push(format!(r#"{{"type":"unsubscribed","id":{id},"sid":{old}}}"#));
            }
            (_, Some("get_snapshot")) => {
                self.line.push(format!(r#"{{"type":"error","id":{id},"msg":{{"code":7,"msg":"x"}}}}"#));
            }
            other => panic!("{other:?}"),
        }
    }

    fn change(&mut self, change: Change) {
        let key = (change.market, change.yes, change.price);
        let before = self.levels.get(&key).copied().unwrap_or(0);
        let by = change.delta.max(-before);
        if by == 0 {
            return;
        }
        if before + by == 0 {
            self.levels.remove(&key);
        } else {
            self.levels.insert(key, before + by);
        }
        let seq = self.next();
        let side = if change.yes { "yes" } else { "no" };
        let (price, by) = (cents(change.price), hundredths(by));
        self.line.push(delta(self.sid, seq, TICKERS[change.market], side, &price, &by));
    }

    fn side(&self, market: usize, yes: bool) -> BTreeSet<(i64, i64)> {
        let of = self.levels.iter().filter(|((m, y, _), _)| *m == market && *y == yes);
        of.map(|((_, _, price), qty)| (if yes { price * 10_000 } else { 1_000_000 - price * 10_000 }, *qty))
            .collect()
    }
}

fn cents(price: i64) -> String {
    format!("0.{price:02}00")
}

fn hundredths(qty: i64) -> String {
    let sign = if qty < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", qty.abs() / 100, qty.abs() % 100)
}

/// Carries the line's frames to the machine; faults hit the frames that count.
fn carry(venue: &mut Venue, bench: &mut Bench, fault: Fault) {
    let mut frames = std::mem::take(&mut venue.line);
    let hit = frames.iter().rposition(|frame| frame.contains("\"seq\""));
    if let Some(at) = hit {
        match fault {
            Fault::None => {}
            Fault::Drop => drop(frames.remove(at)),
            Fault::Duplicate => frames.insert(at, frames[at].clone()),
            Fault::Turn => {
                // It waits for the next frame on the line.
                let late = frames.remove(at);
                for frame in &frames {
                    bench.frame(frame);
                }
                venue.line.push(late);
                return;
            }
        }
    }
    for frame in &frames {
        bench.frame(frame);
    }
}

fn serve(venue: &mut Venue, bench: &mut Bench) {
    for command in bench.sent() {
        venue.answer(&command);
    }
}

fn change() -> impl Strategy<Value = Change> {
    let fault = prop_oneof![
        20 => Just(Fault::None),
        1 => Just(Fault::Drop),
        1 => Just(Fault::Duplicate),
        1 => Just(Fault::Turn),
    ];
    let parts = (
        0_usize..3,
        any::<bool>(),
        1_i64..50,
        -300_i64..300,
        fault,
        prop_oneof![4 => Just(0_i64), 1 => 0_i64..900],
    );
    parts.prop_map(|(market, yes, price, delta, fault, wait)| Change {
        market,
        yes,
        price,
        delta,
        fault,
        wait,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_the_line_does_the_books_end_in_the_truth(changes in proptest::collection::vec(change(), 1..160)) {
        let mut venue = Venue { levels: BTreeMap::new(), sid: 0, seq: 0, line: Vec::new() };
        let config = KalshiConfig { trade: false, ..KalshiConfig::books(&TICKERS) };
        let mut bench = Bench::connected(config);
        serve(&mut venue, &mut bench);
        carry(&mut venue, &mut bench, Fault::None);
        for change in changes {
            bench.pass(change.wait);
            venue.change(change);
            // The old late frame, if there is one, comes after this one.
            if venue.line.len() == 2 {
                venue.line.swap(0, 1);
            }
            carry(&mut venue, &mut bench, change.fault);
            serve(&mut venue, &mut bench);
        }
        carry(&mut venue, &mut bench, Fault::None);
        // The line is good from here: the next frames show what is missing, and it comes.
        for round in 0..8 {
            for market in 0..TICKERS.len() {
                venue.change(Change { market, yes: true, price: 60, delta: 100, fault: Fault::None, wait: 0 });
            }
            carry(&mut venue, &mut bench, Fault::None);
            serve(&mut venue, &mut bench);
            bench.pass(if round < 2 { 10 } else { 1_500 });
            serve(&mut venue, &mut bench);
        }
        carry(&mut venue, &mut bench, Fault::None);
        for (market, ticker) in TICKERS.iter().enumerate() {
            prop_assert!(bench.live(ticker), "{ticker} {:?} {:?}", bench.state(ticker), bench.counts());
            let bids: BTreeSet<_> = bench.side(ticker, BookSide::Bid).into_iter().collect();
            let asks: BTreeSet<_> = bench.side(ticker, BookSide::Ask).into_iter().collect();
            prop_assert_eq!(bids, venue.side(market, true), "{} bids", ticker);
            prop_assert_eq!(asks, venue.side(market, false), "{} asks", ticker);
        }
        let counts = bench.machine.shelf().counts;
        prop_assert_eq!((counts.quarantined, counts.negative_levels, counts.disconnects), (0, 0, 0));
    }
}
