//! The settlement indices that Kalshi streams (`cfbenchmarks_value`): one tick a second and their averages.
//!
//! Never floating point: values are 1e-8 dollars. The 60-second average covers the ticks of `[t − 60 s, t)`; the
//! quarter-hour average covers `(close − 60 s, close]` and exists only in that minute (AsyncAPI 2.0.0).

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::units::eight_decimals;
use crate::world::dice::Dice;

/// Milliseconds of both windows.
const WINDOW_MS: i64 = 60_000;
/// Milliseconds between two closes of the quarter-hour average.
const QUARTER_MS: i64 = 900_000;

/// One index.
#[derive(Debug)]
pub struct Index {
    /// Its id, such as `BRTI`.
    pub id: String,
    /// The present value, 1e-8 dollars.
    pub value: i64,
    last_ms: i64,
    ticks: VecDeque<(i64, i64)>,
    dice: Dice,
}

/// One tick, true and in the venue's form.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexTick {
    /// The index.
    pub id: String,
    /// Its own time, milliseconds since 1970.
    pub at_ms: i64,
    /// The value, 1e-8 dollars (a whole number of cents).
    pub value: i64,
    /// The payload `msg`.
    pub msg: Value,
}

impl Index {
    /// An index that starts at a value of 1e-8 dollars.
    pub fn new(seed: u64, id: &str, value: i64) -> Self {
        let purpose = id.bytes().fold(0x6366, |acc, b| super::units::mix(acc ^ u64::from(b)));
        Self {
            id: id.to_owned(),
            value,
            last_ms: i64::MIN,
            ticks: VecDeque::new(),
            dice: Dice::new(seed, purpose),
        }
    }

    /// The tick of a time; none if that time has been ticked or passed (the venue ignores such ticks).
    pub fn tick(&mut self, at_ms: i64) -> Option<IndexTick> {
        if at_ms <= self.last_ms {
            return None;
        }
        self.last_ms = at_ms;
        // At most 0.01 % a second, in whole cents.
        let cents = self.value / 1_000_000;
        let reach = (cents / 10_000).max(1);
        self.value = (cents + self.dice.between(-reach, reach)).max(1) * 1_000_000;
        while self.ticks.front().is_some_and(|(at, _)| *at < at_ms - WINDOW_MS) {
            self.ticks.pop_front();
        }
        let trailing = self.average(at_ms - WINDOW_MS, at_ms);
        self.ticks.push_back((at_ms, self.value));
        let msg = self.payload(at_ms, trailing);
        Some(IndexTick { id: self.id.clone(), at_ms, value: self.value, msg })
    }

    /// Mean and number of the ticks in `[from, to)`.
    fn average(&self, from: i64, to: i64) -> (i64, i64) {
        let inside = self.ticks.iter().filter(|(at, _)| (from..to).contains(at));
        let (sum, count) = inside.fold((0_i128, 0_i64), |(sum, n), (_, v)| (sum + i128::from(*v), n + 1));
        if count == 0 { (self.value, 0) } else { ((sum / i128::from(count)) as i64, count) }
    }

    fn payload(&self, at_ms: i64, trailing: (i64, i64)) -> Value {
        let text = format!("{}.{:02}", self.value / 100_000_000, self.value / 1_000_000 % 100);
        let data = json!({"type": "value", "id": self.id, "time": at_ms, "value": text}).to_string();
        let mut msg = json!({
            "index_id": self.id,
            "received_at": at_ms + 20,
            "data": data,
            "avg_60s_data": window(trailing, at_ms - WINDOW_MS, at_ms),
        });
        let close = (at_ms + QUARTER_MS - 1).div_euclid(QUARTER_MS) * QUARTER_MS;
        if at_ms > close - WINDOW_MS {
            let from = close - WINDOW_MS + 1;
            let average = self.average(from, at_ms + 1);
            msg["last_60s_windowed_average_15min"] = window(average, from, at_ms + 1);
        }
        msg
    }
}

fn window((value, size): (i64, i64), from: i64, to: i64) -> Value {
    json!({
        "value": eight_decimals(value),
        "window_size": size,
        "window_start_ts_ms": from,
        "window_end_ts_exclusive": to,
    })
}
