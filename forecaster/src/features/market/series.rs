//! The values of one index as they became known, and what of them could be seen at an instant; never anything later.
//!
//! Every value has two times: the index's own, and when everybody knew it. At an instant only what was known by then
//! counts, so a value that came late never changes a row that was made before it came. Of two values for the same time
//! the later one in the log counts, from when it was known.

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};
use schemas::time::NANOS_PER_SEC;
use schemas::{IndexPrice, Timestamp};

use super::ring::Ring;
use super::{LOOKBACK_S, Why};
use crate::history::Offered;

/// Values older than this before the newest are forgotten: the lookback and a margin for questions that come late.
const KEEP_NS: i64 = (LOOKBACK_S + 120) * NANOS_PER_SEC;
/// Distance of the grid's instants, seconds.
pub const STEP_S: i64 = 10;
/// Steps of the grid.
pub const STEPS: usize = (LOOKBACK_S / STEP_S) as usize;
/// Minutes of the lookback.
pub const MINUTES: usize = (LOOKBACK_S / 60) as usize;
/// A value older than this at its grid instant is too old for features of ten seconds, ns.
pub const FINE_AGE_NS: i64 = 15 * NANOS_PER_SEC;
/// A value older than this at its grid instant is too old for features of a minute, ns.
pub const COARSE_AGE_NS: i64 = 60 * NANOS_PER_SEC;
/// Values that a minute needs to have a highest and a lowest.
const MIN_TICKS: u32 = 3;

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    known_at: Timestamp,
    at: Timestamp,
    value: IndexPrice,
    /// Natural logarithm of the value in dollars.
    ln: f64,
}

impl Point {
    fn new(known_at: Timestamp, at: Timestamp, value: IndexPrice) -> Self {
        Self { known_at, at, value, ln: libm::log(value.as_f64()) }
    }
}

// The logarithm follows from the value.
impl<C> Encode<C> for Point {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, c: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(3)?.encode_with(self.known_at, c)?.encode_with(self.at, c)?.encode_with(self.value, c)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Point {
    fn decode(d: &mut Decoder<'b>, c: &mut C) -> Result<Self, DecodeError> {
        if d.array()? != Some(3) {
            return Err(DecodeError::message("a point has three fields"));
        }
        Ok(Self::new(d.decode_with(c)?, d.decode_with(c)?, d.decode_with(c)?))
    }
}

/// The bounded series of one index.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Series {
    #[n(0)]
    points: Ring<Point>,
}

impl Series {
    /// An empty series of at most `max` values.
    pub fn new(max: u32) -> Self {
        Self { points: Ring::new(max as usize) }
    }

    /// Takes a value that everybody knew at `known_at`; says what became of it.
    pub fn offer(&mut self, known_at: Timestamp, at: Timestamp, value: IndexPrice) -> Offered {
        if value.0 <= 0 {
            return Offered::NotPositive;
        }
        let points = self.points.as_slice();
        // The log's clock never goes back; if a caller's does, what is known stays known.
        let known_at = points.last().map_or(known_at, |last| last.known_at.max(known_at));
        // Values known at the same time are sorted by the index's own, whatever their order in the log.
        let later = points.iter().rev().take_while(|p| p.known_at == known_at && p.at > at).count();
        let before = points.len().checked_sub(later + 1).and_then(|i| points.get(i));
        match before {
            Some(before) if before.at > at => return Offered::OutOfOrder,
            Some(before) if before.at == at && before.value == value => return Offered::Replaced,
            _ => {}
        }
        let replaced = before.is_some_and(|before| before.at == at);
        let evicted = self.points.insert_back(later, Point::new(known_at, at, value));
        self.forget();
        match (evicted, replaced) {
            (true, _) => Offered::Evicted,
            (_, true) => Offered::Replaced,
            _ => Offered::Kept,
        }
    }

    /// Forgets what no window can reach; the last value at or before the horizon stays.
    fn forget(&mut self) {
        let points = self.points.as_slice();
        let Some(newest) = points.last() else { return };
        let horizon = newest.at.plus(-KEEP_NS);
        let old = points.iter().skip(1).take_while(|p| p.at <= horizon).count();
        self.points.forget(old);
    }

    /// What could be seen at `at`.
    pub fn view(&self, at: Timestamp) -> View<'_> {
        let points = self.points.as_slice();
        let known = points.partition_point(|p| p.known_at <= at);
        let points = &points[..known];
        let past = points.partition_point(|p| p.at <= at);
        View { points: &points[..past], at }
    }

    /// How many values are kept.
    pub fn len(&self) -> usize {
        self.points.as_slice().len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What of a series could be seen at an instant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    points: &'a [Point],
    at: Timestamp,
}

impl View<'_> {
    /// Logarithm of the newest value and its age, ns.
    pub fn newest(&self) -> Option<(f64, i64)> {
        self.points.last().map(|p| (p.ln, self.at.since(p.at)))
    }
}

/// A view on the grid `at`, `at` − 10 s, `at` − 20 s …, and in minutes that end at `at`. Reused from row to row.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Logarithm of the last value at or before each instant; newest first.
    ln: [f64; STEPS + 1],
    /// How many of the instants before each are too old for fine features,
    fine: [u16; STEPS + 2],
    /// and how many for coarse ones.
    coarse: [u16; STEPS + 2],
    /// Instants that the history reaches.
    reach: usize,
    /// Highest, lowest and number of values of each minute, newest first; both include the value at its start.
    minutes: [(f64, f64, u32); MINUTES],
    /// Age of the newest value, ns; `None` without any.
    pub age: Option<i64>,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            ln: [0.0; STEPS + 1],
            fine: [0; STEPS + 2],
            coarse: [0; STEPS + 2],
            reach: 0,
            minutes: [(0.0, 0.0, 0); MINUTES],
            age: None,
        }
    }
}

impl Grid {
    /// Fills the grid from a view.
    pub fn fill(&mut self, view: View<'_>) {
        self.age = view.newest().map(|(_, age)| age);
        self.reach = 0;
        let mut left = view.points;
        for k in 0..=STEPS {
            let instant = view.at.plus(-(k as i64) * STEP_S * NANOS_PER_SEC);
            let past = left.iter().rev().take_while(|p| p.at > instant).count();
            left = &left[..left.len() - past];
            let Some(point) = left.last() else { break };
            let age = instant.since(point.at);
            self.ln[k] = point.ln;
            self.fine[k + 1] = self.fine[k] + u16::from(age > FINE_AGE_NS);
            self.coarse[k + 1] = self.coarse[k] + u16::from(age > COARSE_AGE_NS);
            self.reach = k + 1;
        }
        self.fill_minutes(view);
    }

    fn fill_minutes(&mut self, view: View<'_>) {
        let full = self.reach.saturating_sub(1) / 6;
        for (minute, slot) in self.minutes.iter_mut().enumerate().take(full) {
            let open = self.ln[(minute + 1) * 6];
            *slot = (open, open, 0);
        }
        let reach_ns = full as i64 * 60 * NANOS_PER_SEC;
        for point in view.points.iter().rev().take_while(|p| view.at.since(p.at) < reach_ns) {
            let minute = (view.at.since(point.at) / (60 * NANOS_PER_SEC)) as usize;
            let (high, low, count) = &mut self.minutes[minute];
            // Plain comparisons: the numbers are never NaN.
            if point.ln > *high {
                *high = point.ln;
            }
            if point.ln < *low {
                *low = point.ln;
            }
            *count += 1;
        }
    }

    /// Whether the newest value is there and not older than the bound.
    pub fn fresh(&self, max_age_ns: i64) -> Result<(), Why> {
        match self.age {
            None => Err(Why::Missing),
            Some(age) if age > max_age_ns => Err(Why::Stale),
            Some(_) => Ok(()),
        }
    }

    /// Logarithm of the value `back_s` (a multiple of ten) seconds ago, not older then than the bound.
    pub fn back(&self, back_s: usize, fine: bool) -> Result<f64, Why> {
        let k = back_s / STEP_S as usize;
        if k >= self.reach {
            return Err(Why::TooShort);
        }
        let bad = if fine { &self.fine } else { &self.coarse };
        if k > 0 && bad[k + 1] > bad[k] { Err(Why::Stale) } else { Ok(self.ln[k]) }
    }

    /// The logarithms of the last `window_s` seconds, newest first, ends included; at most a tenth may be too old.
    pub fn window(&self, window_s: usize, fine: bool) -> Result<&[f64], Why> {
        let steps = window_s / STEP_S as usize;
        if steps >= self.reach {
            return Err(Why::TooShort);
        }
        let bad = if fine { &self.fine } else { &self.coarse };
        if usize::from(bad[steps + 1]) * 10 > steps + 1 { Err(Why::Stale) } else { Ok(&self.ln[..=steps]) }
    }

    /// Highest and lowest logarithm of the last `minutes` minutes.
    pub fn range(&self, minutes: usize) -> Result<(f64, f64), Why> {
        self.window(minutes * 60, false)?;
        let ends = |(high, low): (f64, f64), m: &(f64, f64, u32)| (high.max(m.0), low.min(m.1));
        Ok(self.minutes[..minutes].iter().fold((f64::NEG_INFINITY, f64::INFINITY), ends))
    }

    /// Open, high, low and close (logarithms) of the last `minutes` minutes that have at least three values; at most a
    /// tenth may have less.
    pub fn candles(&self, minutes: usize) -> Result<impl Iterator<Item = [f64; 4]> + '_, Why> {
        self.window(minutes * 60, false)?;
        let full = |m: &(f64, f64, u32)| m.2 >= MIN_TICKS;
        let there = self.minutes[..minutes].iter().filter(|m| full(m)).count();
        if (minutes - there) * 10 > minutes {
            return Err(Why::Stale);
        }
        let candles = self.minutes[..minutes].iter().enumerate().filter(move |(_, m)| full(m));
        Ok(candles.map(|(i, m)| [self.ln[(i + 1) * 6], m.0, m.1, self.ln[i * 6]]))
    }
}
