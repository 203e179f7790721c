//! A model on a day of prices: what it would have said at every question of its topic, and how that scores. Pays nobody.
//!
//! Point in time: a row sees only ticks that had been received when the question opened, and a question is left out
//! where the strike was not known by then. Scores are the validator's own; the reference is `closed-form/1`.

use std::collections::BTreeMap;

use anyhow::Result;
use forecaster::edge::Model;
use forecaster::edge::lane::gate_output;
use forecaster::features::updown::{self, NoRow, Target};
use forecaster::history::History;
use forecaster::{Bundle, ForecasterError};
use ingest::reference::{self, Ticks};
use schemas::time::NANOS_PER_SEC;
use schemas::{Ppm, Timestamp};
use serde::Serialize;
use sim::Day;
use sim::day::DayMarket;
use validator::score::{log_score, squared_error};

use crate::genesis::{HORIZONS_S, MAX_INPUT_AGE_NS, topic_id};

/// Ticks a history holds: more than an hour of seconds with several values each.
const HISTORY: u32 = 20_000;
/// Squared errors of the validator are in units of 1e-12.
const SQUARED: f64 = 1e12;

/// What came of a day.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryRun {
    /// Questions of the bundle's topic.
    pub questions: u64,
    /// Questions that were answered and scored.
    pub answered: u64,
    /// Questions that were not, by reason.
    pub abstained: BTreeMap<&'static str, u64>,
    /// Mean Brier loss of the answers; 0 is best.
    pub brier: Option<f64>,
    /// Mean log loss of the answers, nats.
    pub log_loss: Option<f64>,
    /// The same questions by the reference.
    pub reference_brier: Option<f64>,
    /// The same.
    pub reference_log_loss: Option<f64>,
}

/// Sums of losses.
#[derive(Default)]
struct Losses {
    brier: f64,
    log: f64,
}

impl Losses {
    fn add(&mut self, p: Ppm, up: bool) {
        self.brier += squared_error(p, up) as f64 / SQUARED;
        self.log += log_score(p, up).as_f64();
    }

    fn means(&self, n: u64) -> (Option<f64>, Option<f64>) {
        let mean = |sum: f64| (n > 0).then(|| sum / n as f64);
        (mean(self.brier), mean(self.log))
    }
}

/// Why this bundle cannot be tried on a day of prices; `None` when it can.
pub fn unfit(bundle: &Bundle) -> Option<String> {
    let manifest = bundle.manifest();
    let Some(topic) = &manifest.topic else { return Some("the bundle names no topic".to_owned()) };
    if horizons(topic).next().is_none() {
        return Some(format!("there are no recorded prices for the topic `{topic}`"));
    }
    match manifest.feature_set() {
        Some(set) if set.name == updown::FEATURE_SET => None,
        Some(set) => Some(format!("the dry run makes rows of {}, not of {}", updown::FEATURE_SET, set.name)),
        None => Some("the bundle has no [features]".to_owned()),
    }
}

fn horizons(topic: &str) -> impl Iterator<Item = u32> + '_ {
    HORIZONS_S.into_iter().filter(move |h| topic_id(*h).0.starts_with(topic))
}

/// Asks the model every question of its topic on this day.
pub fn run(model: &mut Model, bundle: &Bundle, day: &Day) -> Result<DryRun> {
    let topic = bundle.manifest().topic.clone().unwrap_or_default();
    let mut questions: Vec<(Timestamp, &DayMarket)> = day
        .markets
        .iter()
        .flat_map(|m| horizons(&topic).map(move |h| (m.starts_at.plus(i64::from(h) * NANOS_PER_SEC), m)))
        .filter(|(opens_at, market)| *opens_at < market.ends_at)
        .collect();
    questions.sort_by_key(|(opens_at, market)| (*opens_at, market.starts_at));
    let (mut history, mut ticks) = (History::new(HISTORY), Ticks::new());
    let (mut out, mut own, mut other, mut next) =
        (DryRun::default(), Losses::default(), Losses::default(), 0);
    for (opens_at, market) in questions {
        let received = day.received_by(opens_at);
        for tick in &day.ticks()[next..received] {
            let at = Timestamp::from_millis(tick.feed_ms);
            history.offer(at, tick.full);
            ticks.insert(at, tick.full);
        }
        next = received;
        forget(&mut ticks, opens_at);
        out.questions += 1;
        match answer(model, (&history, &ticks), opens_at, market)? {
            Ok((p, reference, up)) => {
                out.answered += 1;
                own.add(p, up);
                other.add(reference, up);
            }
            Err(reason) => *out.abstained.entry(reason).or_default() += 1,
        }
    }
    (out.brier, out.log_loss) = own.means(out.answered);
    (out.reference_brier, out.reference_log_loss) = other.means(out.answered);
    Ok(out)
}

/// Keeps what the reference looks back to.
fn forget(ticks: &mut Ticks, now: Timestamp) {
    let horizon = now.plus(-2_000 * NANOS_PER_SEC);
    while ticks.first_key_value().is_some_and(|(at, _)| *at < horizon) {
        ticks.pop_first();
    }
}

/// The model's answer, the reference's and what happened; or why there is none.
fn answer(
    model: &mut Model,
    (history, ticks): (&History, &Ticks),
    opens_at: Timestamp,
    market: &DayMarket,
) -> Result<Result<(Ppm, Ppm, bool), &'static str>> {
    let Some(up) = market.official else { return Ok(Err("no clear outcome")) };
    let Some(strike) = market.strike.filter(|_| market.strike_known_at <= opens_at) else {
        return Ok(Err("strike not known yet"));
    };
    let target = Target { strike, opens_at, starts_at: market.starts_at, resolves_at: market.ends_at };
    let row = match updown::row(history, &target, 0, MAX_INPUT_AGE_NS) {
        Ok(row) => row,
        Err(reason) => return Ok(Err(name(reason))),
    };
    let mut numbers = Vec::with_capacity(1);
    model.predict_into(&row, 1, &mut numbers)?;
    let Some(p) = numbers.first() else { return Ok(Err("no answer")) };
    let p = match gate_output(*p, model.range()) {
        Ok(p) => p,
        Err(ForecasterError::OutputNotFinite) => return Ok(Err("answer not finite")),
        Err(_) => return Ok(Err("answer out of range")),
    };
    let tau_s = market.ends_at.since(opens_at) as f64 / NANOS_PER_SEC as f64;
    let reference = reference::value_at(ticks, opens_at).and_then(|(_, spot)| {
        reference::probability_up(spot, strike, reference::sigma(ticks, opens_at)?, tau_s)
    });
    Ok(reference.map(|reference| (p, reference, up)).ok_or("no reference"))
}

const fn name(reason: NoRow) -> &'static str {
    match reason {
        NoRow::NoTick => "no tick",
        NoRow::ShortHistory => "short history",
        NoRow::StaleInput => "stale input",
        NoRow::NotFinite(_) => "feature not finite",
    }
}
