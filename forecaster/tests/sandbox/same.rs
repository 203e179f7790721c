//! A caged model answers exactly what the same model answers in this process.

use std::path::PathBuf;

use forecaster::Bundle;
use forecaster::edge::{Engines, SandboxEngine};
use forecaster::engine::{Data, Device, Engine as _, EngineChoice, LoadOptions, Tensor};

use crate::support::{code, config, engine, library, options};

fn models() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"))
}

#[test]
fn shipped_bundles_answer_to_the_bit() {
    let (Some(library), Some(engine)) = (library(), engine()) else { return };
    let (here, caged) = (Engines::open(&library).unwrap(), Engines::caged(engine));
    for name in ["closed-form", "logistic", "gbt", "mlp"] {
        let bundle = Bundle::load(&models().join(name)).unwrap();
        let (mut a, mut b) =
            (here.load(&bundle, Device::Cpu).unwrap(), caged.load(&bundle, Device::Cpu).unwrap());
        assert_eq!(a.engine(), b.engine(), "{name}");
        let pairs = bundle.golden().pairs();
        for n in [1, 3, bundle.manifest().limits.max_batch as usize * 2 + 1] {
            let rows: Vec<f32> = (0..n).flat_map(|i| pairs[i % pairs.len()].input.clone()).collect();
            let (mut want, mut got) = (Vec::new(), Vec::new());
            a.predict_into(&rows, n, &mut want).unwrap();
            b.predict_into(&rows, n, &mut got).unwrap();
            assert_eq!(got, want, "{name} {n}");
        }
    }
}

#[test]
fn whole_tensors_go_in_and_out() {
    let (Some(library), Some(engine)) = (library(), engine()) else { return };
    let model = crate::corpus::onnx::File::linear([0.5; 10]).bytes();
    let here = Engines::open(&library).unwrap();
    let mut a = here.session(&model, EngineChoice::Auto, &LoadOptions::default()).unwrap();
    let mut b = engine.load(&model, &LoadOptions::default()).unwrap();
    assert_eq!(a.io(), b.io());
    let input = Tensor::new("features", vec![2, 10], Data::F32((0..20).map(|i| i as f32 / 7.0).collect()));
    let input = [input.unwrap()];
    assert_eq!(a.run(&input).unwrap(), b.run(&input).unwrap());
    // An error inside is the same error, and the worker lives on.
    let wrong = [Tensor::new("features", vec![1, 3], Data::F32(vec![0.0; 3])).unwrap()];
    assert_eq!(code(a.run(&wrong)), "run_failed");
    assert_eq!(code(b.run(&wrong)), "run_failed");
    assert_eq!(a.run(&input).unwrap(), b.run(&input).unwrap());
}

#[test]
fn rows_that_do_not_fit_are_refused_before_they_leave() {
    let Some(engine) = engine() else { return };
    let model = crate::corpus::onnx::File::linear([0.5; 10]).bytes();
    let mut session = engine.load(&model, &options()).unwrap();
    let mut out = Vec::new();
    for (rows, n) in [(10, 2), (0, 0), (650, 65), (9, 1)] {
        assert_eq!(code(session.run_rows(&vec![0.0; rows], n, &mut out)), "row_width", "{rows} {n}");
    }
    session.run_rows(&[0.0; 640], 64, &mut out).unwrap();
    assert_eq!(out, [0.5; 64]);
}

#[test]
fn a_session_may_move_to_another_thread_and_its_first_thread_may_end() {
    let Some(config) = config() else { return };
    let model = crate::corpus::onnx::File::linear([0.5; 10]).bytes();
    let load = move || SandboxEngine::new(config).load(&model, &options()).unwrap();
    let mut session = std::thread::spawn(load).join().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut out = Vec::new();
    session.run_rows(&[0.0; 10], 1, &mut out).unwrap();
    assert_eq!(out, [0.5]);
}

#[test]
fn a_graphics_card_is_refused_with_the_reason() {
    let Some(engine) = engine() else { return };
    let model = crate::corpus::onnx::File::linear([0.5; 10]).bytes();
    for device in [Device::Cuda, Device::CudaOrFail] {
        let refused = engine.load(&model, &LoadOptions { device, ..options() }).map(|_| ());
        assert_eq!(code(refused), "device_not_available");
    }
}
