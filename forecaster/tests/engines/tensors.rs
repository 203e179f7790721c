//! Whole tensors through a bundle: constants, state from run to run, shapes, transforms; on every engine of the machine.

use forecaster::edge::{CheckOptions, Engines, Model, check_with};
use forecaster::engine::{Data, LoadOptions, Tensor};
use forecaster::{Check, EngineChoice, EngineKind};

use crate::models::{BATCH, file};
use crate::onnx::{node, value_info};
use crate::support::{Spec, bundle, with_ort, without_ort};

/// `next = state + x * gain`, `y = next`: a counter with a constant.
fn counter() -> forecaster::Bundle {
    let nodes = vec![
        node("Mul", &["x", "gain"], &["step"]),
        node("Add", &["state", "step"], &["next"]),
        node("Identity", &["next"], &["y"]),
    ];
    let two = [BATCH, Some(2)];
    let inputs = vec![value_info("x", 1, &two), value_info("state", 1, &two), value_info("gain", 1, &[])];
    let outputs = vec![value_info("y", 1, &two), value_info("next", 1, &two)];
    let tables = r#"
[[inputs]]
name = "x"
dtype = "f32"
shape = ["batch", 2]
source = "caller"
[[inputs]]
name = "state"
dtype = "f32"
shape = ["batch", 2]
source = "state"
[[inputs]]
name = "gain"
dtype = "f32"
shape = []
source = "constant"
value = [10.0]
[[outputs]]
name = "y"
kind = "categorical"
transform = "softmax"
shape = ["batch", 2]
[[state]]
input = "state"
output = "next"
"#;
    let model = file(nodes, Vec::new(), inputs, outputs).bytes();
    bundle(&model, &Spec { tables, topic: None, max_batch: 8 }).unwrap()
}

/// Every engine that is here and runs whole tensors.
fn everywhere(bundle: &forecaster::Bundle) -> Vec<Model> {
    let options = LoadOptions::default();
    let load = |engines: Engines, kind| {
        engines.choosing(EngineChoice::Only(kind)).load_with(bundle, &options).unwrap()
    };
    let mut out = vec![load(without_ort(), EngineKind::Rten)];
    out.extend(with_ort().map(|engines| load(engines, EngineKind::Ort)));
    out
}

fn x(rows: &[[f32; 2]]) -> [Tensor; 1] {
    [Tensor::new("x", vec![rows.len(), 2], Data::F32(rows.concat())).unwrap()]
}

/// The softmax of two numbers.
fn softmax(a: f32, b: f32) -> [f32; 2] {
    let p = 1.0 / (1.0 + (b - a).exp());
    [p, 1.0 - p]
}

fn check(model: &mut Model, rows: &[[f32; 2]], want: &[[f32; 2]]) {
    let got = model.run_tensors(&x(rows)).unwrap();
    assert_eq!((got.len(), got[0].name.as_str(), got[0].shape.as_slice()), (1, "y", &[rows.len(), 2][..]));
    let Data::F32(numbers) = &got[0].data else { panic!("{got:?}") };
    for (a, b) in numbers.iter().zip(want.concat()) {
        assert!((a - b).abs() < 1e-6, "{numbers:?} {want:?}");
    }
    assert!(model.decode(&numbers[..2]).is_ok());
}

#[test]
fn a_state_stays_until_it_is_reset() {
    for mut model in everywhere(&counter()) {
        check(&mut model, &[[0.1, 0.0]], &[softmax(1.0, 0.0)]);
        check(&mut model, &[[0.1, 0.0]], &[softmax(2.0, 0.0)]);
        check(&mut model, &[[0.0, 0.3]], &[softmax(2.0, 3.0)]);
        let error = model.run_tensors(&x(&[[0.1, 0.0], [0.2, 0.0]])).unwrap_err();
        assert_eq!(error.code(), "input_tensor");
        assert!(error.to_string().contains("reset"), "{error}");
        model.reset();
        check(&mut model, &[[0.1, 0.0], [0.0, 0.2]], &[softmax(1.0, 0.0), softmax(0.0, 2.0)]);
        // A state that the caller gives takes the place of the kept one.
        let given = Tensor::new("state", vec![1, 2], Data::F32(vec![5.0, 0.0])).unwrap();
        let mut inputs = x(&[[0.0, 0.0]]).to_vec();
        inputs.push(given);
        let Data::F32(numbers) = model.run_tensors(&inputs).unwrap().remove(0).data else { panic!() };
        assert!((numbers[0] - softmax(5.0, 0.0)[0]).abs() < 1e-6);
        check(&mut model, &[[0.0, 0.0]], &[softmax(5.0, 0.0)]);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for mut model in everywhere(&counter()) {
        let mut refused = |inputs: &[Tensor], part: &str| {
            let error = model.run_tensors(inputs).unwrap_err();
            assert_eq!(error.code(), "input_tensor", "{error}");
            assert!(error.to_string().contains(part), "{error}");
        };
        refused(&[], "`x`: it is not given");
        refused(&[x(&[[0.0, 0.0]]), x(&[[0.0, 0.0]])].concat(), "given twice");
        let tensor = |name: &str, shape: &[usize], data| Tensor::new(name, shape.to_vec(), data).unwrap();
        refused(&[tensor("z", &[1], Data::F32(vec![0.0]))], "none of this name");
        refused(&[tensor("x", &[1, 3], Data::F32(vec![0.0; 3]))], "[batch, 2]");
        refused(&[tensor("x", &[2], Data::F32(vec![0.0; 2]))], "[batch, 2]");
        refused(&[tensor("x", &[1, 2], Data::F64(vec![0.0; 2]))], "f64");
    }
}

#[test]
fn the_checks_know_a_state() {
    let engines = with_ort().unwrap_or_else(without_ort);
    let report = check_with(&engines, &counter(), &CheckOptions::default()).unwrap();
    let passed = |check: Check| {
        let found = report.findings.iter().find(|f| f.check == check);
        found.map(|f| f.passed)
    };
    assert_eq!(passed(Check::State), Some(true), "{:?}", report.findings);
    assert_eq!(passed(Check::Shape), Some(true), "{:?}", report.findings);
    assert_eq!(passed(Check::Golden), Some(false), "there are no golden cases");
    assert_eq!(passed(Check::SecondEngine), Some(true), "{:?}", report.findings);
    assert_eq!(passed(Check::BatchInvariance), Some(true), "{:?}", report.findings);
}
