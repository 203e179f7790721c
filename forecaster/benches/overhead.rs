//! What a call of our engines costs beside a raw call of ONNX Runtime's C interface; interleaved, with rotating rows.
//!
//! Prints the least and the middle time per call in microseconds, and the ratio to the raw call.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(unreachable_pub, reason = "it shares the builders of the tests")]

use std::path::PathBuf;
use std::time::Instant;

use forecaster::edge::raw_ort::raw_runner;
use forecaster::edge::{Engines, Search};
use forecaster::engine::LoadOptions;
use forecaster::{EngineChoice, EngineKind};

#[path = "../tests/engines/models.rs"]
mod models;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/it/onnx.rs"]
mod onnx;

/// Distinct rows.
const ROWS: usize = 8192;
/// How often each variant is measured in turn.
const ROUNDS: usize = 400;

/// Times of one variant, nanoseconds per call.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    /// Times `calls` calls and keeps their mean.
    fn measure(&mut self, calls: usize, mut call: impl FnMut(usize)) {
        let start = Instant::now();
        (0..calls).for_each(&mut call);
        self.0.push(start.elapsed().as_nanos() as f64 / calls as f64);
    }

    fn least_and_middle(mut self) -> (f64, f64) {
        self.0.sort_by(f64::total_cmp);
        (self.0[0], self.0[self.0.len() / 2])
    }
}

fn main() {
    #[allow(clippy::disallowed_methods, reason = "the benchmark stands where node stands")]
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let engines = match Search::here(None, env).find() {
        Ok(library) => Engines::open(&library).unwrap(),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            return;
        }
    };
    println!("mlp 64-128-128-1, one thread; microseconds per call: least, middle");
    for batch in [1_usize, 8, 64, 512] {
        measure(&engines, batch);
    }
}

fn measure(engines: &Engines, batch: usize) {
    let (model, io) = (models::mlp(), models::mlp_io());
    let rows = models::rows(ROWS, models::WIDTH);
    let chunk = |i: usize| {
        let start = (i * batch) % (ROWS - batch + 1) * models::WIDTH;
        &rows[start..start + batch * models::WIDTH]
    };
    let options = LoadOptions { rows: Some(io.clone()), max_batch: batch, ..LoadOptions::default() };
    let mut raw = raw_runner(engines, &model, &io, chunk(0), batch).unwrap();
    let load = |kind| engines.session(&model, EngineChoice::Only(kind), &options).unwrap();
    let (mut ort, mut rten) = (load(EngineKind::Ort), load(EngineKind::Rten));
    let mut out = Vec::with_capacity(batch);
    let calls = (512 / batch).max(2);
    let (mut a, mut b, mut c) = (Times::default(), Times::default(), Times::default());
    let mut next = 0;
    for _ in 0..ROUNDS {
        next += calls;
        a.measure(calls, |i| {
            raw.set_rows(chunk(next + i));
            raw.run().unwrap();
        });
        b.measure(calls, |i| {
            out.clear();
            ort.run_rows(chunk(next + i), batch, &mut out).unwrap();
        });
        assert_eq!(raw.answers(), out.as_slice(), "the same rows give the same bits");
        c.measure(calls, |i| {
            out.clear();
            rten.run_rows(chunk(next + i), batch, &mut out).unwrap();
        });
    }
    let raw = a.least_and_middle();
    for (name, (least, middle)) in
        [("raw C", raw), ("ort", b.least_and_middle()), ("rten", c.least_and_middle())]
    {
        println!(
            "b{batch:<5} {name:<6} {:>9.3} {:>9.3}   x {:.3} {:.3}",
            least / 1e3,
            middle / 1e3,
            least / raw.0,
            middle / raw.1
        );
    }
}
