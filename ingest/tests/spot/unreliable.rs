//! Frames dropped, doubled and swapped on their way from a small venue: a live book is always one that the venue had,
//! and after the faults end it is the venue's own.

use std::collections::{BTreeMap, BTreeSet};

use ingest::book::{Book, Level};
use ingest::venue::VenueMachine;
use ingest::venue::binance::{Binance, BinanceConfig, Dialect};
use ingest::venue::kraken::{Kraken, KrakenConfig, checksum};
use proptest::prelude::*;
use schemas::BookSide::{Ask, Bid};
use schemas::{BookSide, Timestamp};

use crate::driver::Driver;

const SECOND: i64 = 1_000_000_000;
const DEPTH: usize = 10;

/// What happens to a frame.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Drop,
    Double,
    /// It is delivered after the next one.
    Late,
}

/// One change at the venue and its frame's fate; and whether requests are answered now.
#[derive(Clone, Debug)]
struct Step {
    changes: Vec<(BookSide, i64, i64)>,
    fault: Fault,
    answers: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bid = (1_i64..30, 0_i64..5).prop_map(|(price, qty)| (Bid, price, qty));
    let ask = (31_i64..60, 0_i64..5).prop_map(|(price, qty)| (Ask, price, qty));
    let changes = proptest::collection::vec(prop_oneof![bid, ask], 1..4);
    let fault = prop_oneof![
        6 => Just(Fault::None), 1 => Just(Fault::Drop), 1 => Just(Fault::Double), 1 => Just(Fault::Late)
    ];
    let step = (changes, fault, any::<bool>());
    proptest::collection::vec(
        step.prop_map(|(changes, fault, answers)| Step { changes, fault, answers }),
        1..60,
    )
}

/// Puts frames on the wire with their faults.
fn deliver<M: VenueMachine>(driver: &mut Driver<M>, late: &mut Option<String>, frame: String, fault: Fault) {
    match fault {
        Fault::None => driver.frame(frame.as_bytes()),
        Fault::Drop => {}
        Fault::Double => {
            driver.frame(frame.as_bytes());
            driver.frame(frame.as_bytes());
        }
        Fault::Late => {
            if let Some(before) = late.replace(frame) {
                driver.frame(before.as_bytes());
            }
            return;
        }
    }
    if let Some(frame) = late.take() {
        driver.frame(frame.as_bytes());
    }
}

/// The first book of a machine, if it is live.
fn live<M: VenueMachine>(driver: &Driver<M>) -> Option<Book> {
    let (_, slot) = driver.machine.shelf().slots().next()?;
    slot.state.is_live().then(|| slot.book.clone())
}

/// Binance: a book, the number of its newest change, and the number of the last event.
struct Exchange {
    dialect: Dialect,
    book: Book,
    last: i64,
    previous: i64,
    past: BTreeSet<u64>,
}

impl Exchange {
    fn event(&mut self, changes: &[(BookSide, i64, i64)]) -> String {
        let first = self.last + if self.dialect == Dialect::Futures { 3 } else { 1 };
        self.previous = self.last;
        self.last = first + changes.len() as i64 - 1;
        // One event tells a level once.
        let levels: BTreeMap<(BookSide, i64), i64> = changes.iter().map(|(s, p, q)| ((*s, *p), *q)).collect();
        for ((side, price), qty) in &levels {
            self.book.set(*side, price * 100, qty * 10);
        }
        self.past.insert(self.book.quick_hash());
        let side = |wanted: BookSide| {
            let levels = levels.iter().filter(|((side, _), _)| *side == wanted);
            let texts: Vec<_> =
                levels.map(|((_, price), qty)| [format!("{price}.00"), format!("{qty}.0")]).collect();
            serde_json::to_string(&texts).unwrap()
        };
        let futures = self.dialect == Dialect::Futures;
        let more = if futures { format!(r#","T":5,"pu":{}"#, self.previous) } else { String::new() };
        format!(
            r#"{{"e":"depthUpdate","E":7,"s":"ABC","U":{first},"u":{}{more},"b":{},"a":{}}}"#,
            self.last,
            side(Bid),
            side(Ask)
        )
    }

    fn snapshot(&self) -> String {
        let side = |side: BookSide| {
            let text = |l: Level| [format!("{}.00", l.price / 100), format!("{}.0", l.qty / 10)];
            serde_json::to_string(&self.book.best_first(side).map(text).collect::<Vec<_>>()).unwrap()
        };
        format!(r#"{{"lastUpdateId":{},"E":9,"T":8,"bids":{},"asks":{}}}"#, self.last, side(Bid), side(Ask))
    }
}

proptest! {
    #[test]
    fn binance_ends_in_truth(futures in any::<bool>(), steps in steps()) {
        let dialect = if futures { Dialect::Futures } else { Dialect::Spot };
        let config = BinanceConfig::new(dialect, vec!["ABC".to_owned()]);
        let mut driver = Driver::new(Binance::new(config), Timestamp::ZERO);
        let mut venue = Exchange { dialect, book: Book::default(), last: 100, previous: 0, past: BTreeSet::new() };
        let mut late = None;
        driver.advance(Timestamp::from_secs(1));
        for Step { changes, fault, answers } in steps {
            let event = venue.event(&changes);
            deliver(&mut driver, &mut late, event, fault);
            if answers {
                for (request, _) in std::mem::take(&mut driver.asked) {
                    let status = if matches!(fault, Fault::Drop) { 503 } else { 200 };
                    driver.reply(request, status, venue.snapshot().as_bytes());
                }
            }
            let to = driver.now.plus(SECOND / 5);
            driver.advance(to);
            let live = live(&driver);
            prop_assert!(live.is_none_or(|book| venue.past.contains(&book.quick_hash())), "a book that never was");
        }
        for _ in 0..200 {
            let event = venue.event(&[(Bid, 5, 1), (Ask, 50, 2)]);
            deliver(&mut driver, &mut late, event, Fault::None);
            for (request, _) in std::mem::take(&mut driver.asked) {
                driver.reply(request, 200, venue.snapshot().as_bytes());
            }
            let to = driver.now.plus(SECOND);
            driver.advance(to);
        }
        prop_assert_eq!(live(&driver), Some(venue.book));
        prop_assert_eq!(driver.machine.shelf().counts.quarantined, 0);
    }
}

/// Kraken: a book of any depth of which subscribers see the best levels.
struct Pair {
    book: Book,
    seen: Book,
    past: BTreeSet<u64>,
    subscribed: bool,
}

impl Pair {
    fn top(&self) -> Book {
        let mut top = self.book.clone();
        top.truncate(Bid, DEPTH);
        top.truncate(Ask, DEPTH);
        top
    }

    /// Levels that came into sight or changed, and those that are gone; none for levels that went out of sight.
    fn update(&mut self, changes: &[(BookSide, i64, i64)]) -> Option<String> {
        for (side, price, qty) in changes {
            self.book.set(*side, price * 5, qty * 50);
        }
        let now = self.top();
        let before = std::mem::replace(&mut self.seen, now.clone());
        self.past.insert(now.quick_hash());
        let side = |side: BookSide| {
            let came = now.side(side).iter().filter(|l| before.qty(side, l.price) != l.qty).copied();
            let went = before.side(side).iter().filter(|l| self.book.qty(side, l.price) == 0);
            came.chain(went.map(|l| Level { price: l.price, qty: 0 })).collect::<Vec<_>>()
        };
        let (bids, asks) = (side(Bid), side(Ask));
        (self.subscribed && !(bids.is_empty() && asks.is_empty()))
            .then(|| Self::frame("update", &bids, &asks, &now))
    }

    fn snapshot(&self) -> String {
        let top = self.top();
        Self::frame("snapshot", top.side(Bid), top.side(Ask), &top)
    }

    fn frame(kind: &str, bids: &[Level], asks: &[Level], book: &Book) -> String {
        let side = |levels: &[Level]| {
            let number = |value| ingest::decimal::print(value, 2);
            let texts =
                levels.iter().map(|l| format!(r#"{{"price":{},"qty":{}}}"#, number(l.price), number(l.qty)));
            texts.collect::<Vec<_>>().join(",")
        };
        let (sum, time) = (checksum(book), "2026-01-02T03:04:05.678901Z");
        format!(
            r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"A/B","bids":[{}],"asks":[{}],"checksum":{sum},"timestamp":"{time}"}}]}}"#,
            side(bids),
            side(asks)
        )
    }

    /// Answers what was subscribed.
    fn serve(&mut self, driver: &mut Driver<Kraken>) {
        for text in std::mem::take(&mut driver.sent) {
            let asked: serde_json::Value = serde_json::from_str(&text).unwrap();
            let channel = asked["params"]["channel"].as_str().unwrap_or("");
            match (asked["method"].as_str(), channel) {
                (Some("subscribe"), "instrument") => driver.frame(
                    br#"{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"A/B","price_precision":2,"qty_precision":2}]}}"#,
                ),
                (Some("subscribe"), "book") => {
                    self.subscribed = true;
                    driver.frame(self.snapshot().as_bytes());
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn kraken_ends_in_truth(steps in steps()) {
        let mut config = KrakenConfig::new(vec!["A/B".to_owned()]);
        config.depth = DEPTH as u32;
        let mut driver = Driver::new(Kraken::new(config), Timestamp::ZERO);
        let (book, seen, past) = (Book::default(), Book::default(), BTreeSet::new());
        let mut venue = Pair { book, seen, past, subscribed: false };
        venue.past.insert(venue.book.quick_hash());
        let mut late = None;
        driver.advance(Timestamp::from_secs(1));
        for Step { changes, fault, answers } in steps {
            if let Some(update) = venue.update(&changes) {
                deliver(&mut driver, &mut late, update, fault);
            }
            if answers {
                venue.serve(&mut driver);
                // The instruments come first, and let the book be subscribed.
                venue.serve(&mut driver);
            }
            let to = driver.now.plus(SECOND / 5);
            driver.advance(to);
            let live = live(&driver);
            prop_assert!(live.is_none_or(|book| venue.past.contains(&book.quick_hash())), "a book that never was");
        }
        for round in 0..200 {
            if let Some(update) = venue.update(&[(Bid, 29, 1 + round % 3), (Ask, 31, 2)]) {
                deliver(&mut driver, &mut late, update, Fault::None);
            }
            venue.serve(&mut driver);
            let to = driver.now.plus(SECOND);
            driver.advance(to);
        }
        prop_assert_eq!(live(&driver), Some(venue.top()));
        prop_assert_eq!(driver.machine.shelf().counts.quarantined, 0);
    }
}
