//! What one call costs: our engines, the C interface and Python in turns, each model, each batch size.

use anyhow::Result;
use forecaster::EngineChoice;
use forecaster::edge::Engines;
use forecaster::engine::{EngineKind, Session};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::clocks::{Times, slice};
use super::peer::Peer;
use super::raw::Raw;
use super::workloads::Workload;

/// Batch sizes of a model; a transformer of a million parameters is not asked about thousands of rows.
pub(super) fn batches(name: &str) -> &'static [usize] {
    match name {
        "tfm" => &[1, 8, 64],
        "gru" => &[1, 8, 64, 512],
        "lgbm" | "lgbmc" => &[1, 8, 64, 4096],
        _ => &[1, 8, 64, 512, 4096],
    }
}

/// The contenders at one model and batch size.
struct Bout<'a> {
    workload: &'a Workload,
    batch: usize,
    ort: Box<dyn Session>,
    /// What `auto` takes, where that is not ONNX Runtime.
    own: Option<Box<dyn Session>>,
    raw: Raw,
    out: Vec<f32>,
    turn: usize,
}

/// Nanoseconds a call.
#[derive(Default)]
struct Found {
    ort: Times,
    own: Times,
    raw: Times,
    python: Times,
    lleaves: Times,
}

impl<'a> Bout<'a> {
    fn open(engines: &Engines, workload: &'a Workload, batch: usize) -> Result<Self> {
        let own = workload.session(engines, EngineChoice::Auto)?;
        Ok(Self {
            workload,
            batch,
            ort: workload.session(engines, EngineChoice::Only(EngineKind::Ort))?,
            own: (own.engine() != EngineKind::Ort).then_some(own),
            raw: Raw::open(engines, workload, batch)?,
            out: Vec::with_capacity(batch * workload.io.answer_width),
            turn: 0,
        })
    }

    fn ours(&mut self, own: bool, seconds: f64) -> Result<Vec<u64>> {
        let Self { workload, batch, ort, own: other, out, turn, .. } = self;
        let session = match other {
            Some(other) if own => other,
            _ => ort,
        };
        slice(turn, *batch, seconds, |turn| {
            out.clear();
            Ok(session.run_rows(workload.batch(turn, *batch), *batch, out)?)
        })
    }

    fn raw(&mut self, seconds: f64) -> Result<Vec<u64>> {
        let Self { workload, batch, raw, turn, .. } = self;
        slice(turn, *batch, seconds, |turn| raw.run(workload.batch(turn, *batch)))
    }

    /// One round: everybody has a turn. The order changes from round to round.
    fn round(&mut self, peer: &mut Peer, found: &mut Found, round: usize, seconds: f64) -> Result<()> {
        for who in 0..5 {
            match (who + round) % 5 {
                0 => found.ort.0.extend(self.ours(false, seconds)?),
                1 if self.own.is_some() => found.own.0.extend(self.ours(true, seconds)?),
                2 => found.raw.0.extend(self.raw(seconds)?),
                3 => {
                    let name = &self.workload.name;
                    found.python.0.extend(peer.slice("ort", name, self.batch, seconds)?);
                }
                4 if self.workload.name == "lgbm" => {
                    found.lleaves.0.extend(peer.slice("lleaves", "lgbm", self.batch, seconds)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The greatest difference between our own engine and ONNX Runtime, over all rows.
    fn difference(&mut self) -> Result<Option<f32>> {
        let Some(own) = &mut self.own else { return Ok(None) };
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for rows in self.workload.rows.chunks(self.batch * self.workload.width()) {
            let n = rows.len() / self.workload.width();
            own.run_rows(rows, n, &mut a)?;
            self.ort.run_rows(rows, n, &mut b)?;
        }
        Ok(Some(a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)))
    }
}

/// Measures every model at every batch size: `{model: {batch: figures}}`, times in nanoseconds a call.
pub(super) fn run(
    engines: &Engines,
    workloads: &[Workload],
    peer: &mut Peer,
    rounds: usize,
    bar: &ProgressBar,
) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    for workload in workloads {
        let mut by_batch = Map::new();
        for batch in batches(&workload.name) {
            bar.set_message(format!("{} at {batch}", workload.name));
            let mut bout = Bout::open(engines, workload, *batch)?;
            let mut found = Found::default();
            for round in 0..rounds {
                bout.round(peer, &mut found, round, 0.06)?;
            }
            let difference = bout.difference()?;
            by_batch.insert(batch.to_string(), figures(&found, difference));
            bar.inc(1);
        }
        out.insert(workload.name.clone(), Value::Object(by_batch));
    }
    Ok(out)
}

fn figures(found: &Found, difference: Option<f32>) -> Value {
    let times = |t: &Times| {
        (!t.0.is_empty()).then(|| json!({"min_ns": t.min(), "p50_ns": t.p50(), "calls": t.0.len()}))
    };
    let best = if found.own.0.is_empty() { &found.ort } else { &found.own };
    let ratio = |a: &Times, b: &Times| (!a.0.is_empty() && !b.0.is_empty()).then(|| a.min() / b.min());
    let medians = |a: &Times, b: &Times| (!a.0.is_empty() && !b.0.is_empty()).then(|| a.p50() / b.p50());
    json!({
        "ort": times(&found.ort), "trees": times(&found.own), "raw_c": times(&found.raw),
        "python": times(&found.python), "lleaves": times(&found.lleaves),
        "overhead": ratio(&found.ort, &found.raw), "overhead_p50": medians(&found.ort, &found.raw),
        "python_over_ours": ratio(&found.python, best), "python_over_ours_p50": medians(&found.python, best),
        "ort_over_trees": ratio(&found.ort, &found.own), "ort_over_trees_p50": medians(&found.ort, &found.own),
        "lleaves_over_trees": ratio(&found.lleaves, &found.own), "max_difference": difference,
    })
}
