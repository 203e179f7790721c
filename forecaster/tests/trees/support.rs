//! Runs a model in both engines; it never hides which rows were asked.

use std::path::PathBuf;

use forecaster::edge::{Engines, Search};
use forecaster::engine::{Data, Engine as _, EngineChoice, EngineKind, LoadOptions, RowIo, Session, Tensor};
use forecaster::trees::TreeEngine;

/// Greatest difference to ONNX Runtime.
pub const TOLERANCE: f32 = 2e-6;

/// The library by the usual discovery, or `None` after saying so loudly.
pub fn engines() -> Option<Engines> {
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    match Search::here(None, env).find() {
        Ok(path) => Some(Engines::open(&path).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}

/// Rows through `output`, `width` features in and `answers` numbers out.
pub fn rows(input: &str, output: &str, width: usize, answers: usize) -> LoadOptions {
    let rows = RowIo {
        input: input.to_owned(),
        row_shape: vec![width],
        output: output.to_owned(),
        answer_width: answers,
        constants: Vec::new(),
    };
    LoadOptions { rows: Some(rows), max_batch: 4096, ..LoadOptions::default() }
}

pub fn ort(engines: &Engines, model: &[u8], options: &LoadOptions) -> Box<dyn Session> {
    engines.session(model, EngineChoice::Only(EngineKind::Ort), options).unwrap()
}

pub fn trees(model: &[u8], options: &LoadOptions) -> Box<dyn Session> {
    assert!(TreeEngine::takes(model));
    TreeEngine.load(model, options).unwrap()
}

/// Rows through a session in runs of `batch`.
pub fn answers(session: &mut dyn Session, rows: &[f32], width: usize, batch: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for chunk in rows.chunks(batch * width) {
        session.run_rows(chunk, chunk.len() / width, &mut out).unwrap();
    }
    out
}

/// The greatest difference; two NaNs or the same infinities do not differ.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let one = |(a, b): (&f32, &f32)| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if a == b => 0.0,
        _ if !a.is_finite() || !b.is_finite() => f32::INFINITY,
        _ => (a - b).abs() / a.abs().max(1.0),
    };
    a.iter().zip(b).map(one).fold(0.0, f32::max)
}

/// All outputs of both engines for the same rows must agree: shapes and integers exactly, floats within the tolerance.
pub fn same_outputs(engines: &Engines, model: &[u8], input: &str, rows: &[f32], width: usize) {
    let options = LoadOptions::default();
    let (mut ort, mut trees) = (ort(engines, model, &options), trees(model, &options));
    let tensor = Tensor::new(input, vec![rows.len() / width, width], Data::F32(rows.to_vec())).unwrap();
    let want = ort.run(std::slice::from_ref(&tensor)).unwrap();
    let got = trees.run(&[tensor]).unwrap();
    assert_eq!(want.len(), got.len());
    for (want, got) in want.iter().zip(&got) {
        assert_eq!((&want.name, &want.shape), (&got.name, &got.shape));
        match (&want.data, &got.data) {
            (Data::F32(a), Data::F32(b)) => {
                let distance = distance(a, b);
                assert!(distance <= TOLERANCE, "{}: {distance:e}\n{a:?}\n{b:?}", want.name);
            }
            (a, b) => assert_eq!(a, b, "{}", want.name),
        }
    }
}

/// Same rows, every batch size that takes another way through the walker.
pub fn agree(engines: &Engines, model: &[u8], options: &LoadOptions, rows: &[f32], width: usize) -> f32 {
    let (mut ort, mut trees) = (ort(engines, model, options), trees(model, options));
    let want = answers(ort.as_mut(), rows, width, 4096);
    let batches = [1, 3, 5, 8, 16, 21, 4096];
    batches
        .iter()
        .map(|batch| distance(&want, &answers(trees.as_mut(), rows, width, *batch)))
        .fold(0.0, f32::max)
}
