//! What a process of its own costs a model: the same rows in this process and in a caged worker, in turns.
//!
//! Prints the least and the median time of a call for both, and what a call and a row cost more (target T7 of the
//! design: at most 10 µs a call at batch 1 and 0.25 µs a row at batch 64).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs
)]
#![allow(clippy::allow_attributes_without_reason, reason = "a benchmark")]

use std::path::PathBuf;
use std::time::Instant;

use forecaster::Bundle;
use forecaster::edge::sandbox::{SandboxConfig, WorkerCommand};
use forecaster::edge::{Engines, SandboxEngine, Search};
use forecaster::engine::{EngineChoice, EngineKind, LoadOptions, Session};

/// Calls of each kind.
const CALLS: usize = 20_000;
/// Distinct rows; one row repeated would train the branch predictor.
const ROWS: usize = 8_192;

/// Least and median of some times, µs.
fn figures(mut times: Vec<u64>) -> (f64, f64) {
    times.sort_unstable();
    (times[0] as f64 / 1e3, times[times.len() / 2] as f64 / 1e3)
}

fn call(session: &mut dyn Session, rows: &[f32], n: usize, out: &mut Vec<f32>) -> u64 {
    out.clear();
    let started = Instant::now();
    session.run_rows(rows, n, out).unwrap();
    started.elapsed().as_nanos() as u64
}

fn main() {
    let library = match Search::here(None, std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from)).find() {
        Ok(library) => library,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    let program = PathBuf::from(env!("CARGO_BIN_EXE_oraculo-inference-worker"));
    let config = SandboxConfig::new(WorkerCommand { program, args: Vec::new() }, Some(library.clone()));
    let here = Engines::open(&library).unwrap();
    let caged = SandboxEngine::new(config);
    for name in ["mlp", "gbt"] {
        let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models")).join(name);
        let bundle = Bundle::load(&dir).unwrap();
        let options =
            LoadOptions { rows: bundle.manifest().row_io(), max_batch: 64, ..LoadOptions::default() };
        let ort = EngineChoice::Only(EngineKind::Ort);
        let mut a = here.session(bundle.model(), ort, &options).unwrap();
        let mut b = caged.load_as(bundle.model(), ort, &options).unwrap();
        let pairs = bundle.golden().pairs();
        let rows: Vec<f32> = (0..ROWS).flat_map(|i| pairs[i % pairs.len()].input.clone()).collect();
        let width = rows.len() / ROWS;
        for n in [1, 64] {
            let (mut in_process, mut in_cage, mut out) = (Vec::new(), Vec::new(), Vec::new());
            for i in 0..CALLS {
                let at = i * n % (ROWS - n) * width;
                let rows = &rows[at..at + n * width];
                in_process.push(call(a.as_mut(), rows, n, &mut out));
                in_cage.push(call(b.as_mut(), rows, n, &mut out));
            }
            let ((least, median), (caged_least, caged_median)) = (figures(in_process), figures(in_cage));
            println!(
                "{name} b{n}: in process {least:.2} / {median:.2} µs, caged {caged_least:.2} / {caged_median:.2} µs \
                 (least / median); more per call {:.2} / {:.2} µs, per row {:.3} / {:.3} µs",
                caged_least - least,
                caged_median - median,
                (caged_least - least) / n as f64,
                (caged_median - median) / n as f64,
            );
        }
    }
}
