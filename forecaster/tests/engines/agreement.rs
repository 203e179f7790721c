//! ONNX Runtime and rten on the same models: shapes, types and numbers.

use forecaster::engine::{Data, LoadOptions, Session, Tensor};
use forecaster::{EngineChoice, EngineKind};

use crate::models::{BATCH, WIDTH, file, mlp, mlp_io, rows};
use crate::onnx::{node, tensor, value_info};
use crate::support::{with_ort, without_ort};

fn load(engines: &forecaster::edge::Engines, model: &[u8], kind: EngineKind, rows: bool) -> Box<dyn Session> {
    let rows = rows.then(mlp_io);
    let options = LoadOptions { rows, max_batch: 64, ..LoadOptions::default() };
    engines.session(model, EngineChoice::Only(kind), &options).unwrap()
}

/// Largest difference of two lists of equal length.
fn widest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn rows_agree_at_every_batch_size() {
    let Some(engines) = with_ort() else { return };
    let (mut ort, mut rten) =
        (load(&engines, &mlp(), EngineKind::Ort, true), load(&engines, &mlp(), EngineKind::Rten, true));
    let rows = rows(64, WIDTH);
    let run = |session: &mut Box<dyn Session>, n: usize| {
        let mut out = Vec::new();
        session.run_rows(&rows[..n * WIDTH], n, &mut out).unwrap();
        out
    };
    let all = run(&mut ort, 64);
    for n in (1..=64).chain([3, 64, 1]) {
        let (a, b) = (run(&mut ort, n), run(&mut rten, n));
        assert!(widest(&a, &b) <= 1e-6, "batch {n}");
        assert!(widest(&a, &all[..n]) <= 1e-6, "batch {n} against the whole");
    }
    assert!(all.iter().any(|p| (p - all[0]).abs() > 1e-3), "the answers differ from row to row");
    for session in [&mut ort, &mut rten] {
        let mut out = Vec::new();
        assert!(session.run_rows(&rows[..5], 1, &mut out).is_err(), "a row of another width");
        assert!(session.run_rows(&[], 0, &mut out).is_err(), "no rows");
    }
}

#[test]
fn types_come_back_as_declared() {
    // i64 → Add → i64 and f64 → Neg → f64: rten computes with i32 and f32 and gives back what the file declares.
    let nodes = vec![node("Add", &["i", "i"], &["j"]), node("Neg", &["d"], &["e"])];
    let inputs = vec![value_info("i", 7, &[BATCH, Some(2)]), value_info("d", 11, &[BATCH])];
    let outputs = vec![value_info("j", 7, &[BATCH, Some(2)]), value_info("e", 11, &[BATCH])];
    let model = file(nodes, Vec::new(), inputs, outputs).bytes();
    let give = |i: Vec<i64>| {
        [
            Tensor::new("i", vec![1, 2], Data::I64(i)).unwrap(),
            Tensor::new("d", vec![3], Data::F64(vec![0.5, -1.25, 4.0])).unwrap(),
        ]
    };
    let want = vec![
        Tensor::new("j", vec![1, 2], Data::I64(vec![2, -6])).unwrap(),
        Tensor::new("e", vec![3], Data::F64(vec![-0.5, 1.25, -4.0])).unwrap(),
    ];
    let mut rten = load(&without_ort(), &model, EngineKind::Rten, false);
    assert_eq!(rten.run(&give(vec![1, -3])).unwrap(), want);
    let error = rten.run(&give(vec![1, 1 << 40])).unwrap_err();
    assert!(error.to_string().contains("1099511627776"), "{error}");
    let Some(engines) = with_ort() else { return };
    let mut ort = load(&engines, &model, EngineKind::Ort, false);
    assert_eq!(ort.run(&give(vec![1, -3])).unwrap(), want);
}

#[test]
fn an_output_that_is_another_shape_than_declared() {
    // Declares [batch, 1] and gives the sum over the batch.
    let nodes = vec![node("MatMul", &["x", "w"], &["s"]), node("ReduceSum", &["s", "axes"], &["p"])];
    let weights = tensor("w", &[WIDTH as u64, 1], &[0.01; WIDTH]);
    let axes = crate::onnx::tensor_i64("axes", &[0]);
    let (x, p) = ([BATCH, Some(WIDTH as u64)], [BATCH, Some(1)]);
    let model =
        file(nodes, vec![weights, axes], vec![value_info("x", 1, &x)], vec![value_info("p", 1, &p)]).bytes();
    let rows = rows(2, WIDTH);
    let mut all = vec![load(&without_ort(), &model, EngineKind::Rten, true)];
    all.extend(with_ort().map(|engines| load(&engines, &model, EngineKind::Ort, true)));
    for session in &mut all {
        let mut out = Vec::new();
        session.run_rows(&rows[..WIDTH], 1, &mut out).unwrap();
        assert_eq!(out.len(), 1);
        let error = session.run_rows(&rows, 2, &mut out).unwrap_err();
        assert_eq!(error.code(), "c09_shape", "{error}");
        assert_eq!(out.len(), 1, "nothing is appended");
        session.run_rows(&rows[..WIDTH], 1, &mut out).unwrap();
        assert_eq!(out[0].to_bits(), out[1].to_bits());
    }
}
