//! Hand-made ensembles for every mode, aggregate and post transform, and what stands around them in converted files.

use forecaster::edge::Engines;
use forecaster::engine::{Device, Engine as _, EngineChoice, EngineKind, LoadOptions};
use forecaster::trees::TreeEngine;

use crate::ensembles::{MODES, N, Op, Spec, branch, int, leaf};
use crate::onnx::{Msg, node, tensor, tensor_i64, value_info};
use crate::support::{TOLERANCE, agree, answers, engines, ort, rows, same_outputs, trees};

/// Every pair of awkward numbers.
fn awkward() -> Vec<f32> {
    let values = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-45,
        -1e-45,
        0.0,
        -0.0,
        0.5,
        1.0,
        1.5,
        2.0,
        -1.0,
    ];
    values.iter().flat_map(|a| values.iter().flat_map(move |b| [*a, *b])).collect()
}

fn check(engines: &Engines, spec: &Spec, rows_in: &[f32]) {
    let model = spec.bytes();
    let options = rows("x", spec.output(), spec.width, spec.targets);
    let far = agree(engines, &model, &options, rows_in, spec.width);
    assert!(far <= TOLERANCE, "{far:e} {spec:?}");
    same_outputs(engines, &model, "x", rows_in, spec.width);
}

#[test]
fn every_comparison_at_every_edge() {
    let Some(engines) = engines() else { return };
    let values = [f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0, 1e-45, f32::MAX, f32::MIN, f32::NAN];
    for op in [Op::Regressor, Op::V5] {
        for mode in MODES {
            for value in values {
                for missing in [false, true] {
                    let tree = vec![
                        N::B { mode, feature: 0, value, missing, yes: 1, no: 2 },
                        leaf(1.0),
                        branch("BRANCH_LEQ", 1, 0.5, 3, 4),
                        leaf(2.0),
                        leaf(4.0),
                    ];
                    check(&engines, &Spec { op, ..Spec::regressor(vec![tree], 2) }, &awkward());
                }
            }
        }
    }
}

#[test]
fn aggregates_base_values_and_targets() {
    let Some(engines) = engines() else { return };
    let tree = |a: f32| {
        vec![
            branch("BRANCH_LEQ", 0, 0.7, 1, 2),
            N::L(vec![(0, a), (2, -1.0)]),
            branch("BRANCH_GT", 1, 0.2, 3, 4),
            N::L(vec![(1, 2.5 * a)]),
            N::L(vec![(0, 0.25), (1, -a), (2, a)]),
        ]
    };
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"] {
        for post in ["NONE", "LOGISTIC", "SOFTMAX"] {
            for base in [vec![], vec![0.5, -1.0, 2.0]] {
                let trees = vec![tree(0.1), tree(-3.0), tree(0.7)];
                let spec = Spec { targets: 3, aggregate, post, base, ..Spec::regressor(trees, 2) };
                check(&engines, &spec, &awkward());
            }
            for base in [vec![], vec![0.5]] {
                let one = |a| {
                    let fix = |n: N| if let N::L(w) = n { leaf(w[0].1) } else { n };
                    tree(a).into_iter().map(fix).collect()
                };
                let trees = vec![one(0.1), one(-3.0), one(0.7)];
                check(&engines, &Spec { aggregate, post, base, ..Spec::regressor(trees, 2) }, &awkward());
            }
        }
    }
}

#[test]
fn classifiers_of_two_and_more_classes() {
    let Some(engines) = engines() else { return };
    let tree = |weights: [Vec<(i64, f32)>; 3]| {
        let [a, b, c] = weights;
        vec![branch("BRANCH_LEQ", 0, 0.7, 1, 2), N::L(a), branch("BRANCH_LT", 1, 0.2, 3, 4), N::L(b), N::L(c)]
    };
    let two = |class: i64, w: [f32; 3]| tree(w.map(|w| vec![(class, w)]));
    let both = |w: [f32; 3]| tree(w.map(|w| vec![(0, 1.0 - w), (1, w)]));
    let three = |w: [f32; 3]| tree([vec![(0, w[0])], vec![(1, w[1])], vec![(0, 0.1), (1, 0.2), (2, w[2])]]);
    let (positive, mixed) = ([0.1, 0.3, 0.4], [-0.4, 0.2, 0.9]);
    for post in ["NONE", "LOGISTIC", "SOFTMAX"] {
        for w in [positive, mixed] {
            let spec = |trees: Vec<Vec<N>>, targets, base: &[f32]| Spec {
                op: Op::Classifier,
                targets,
                post,
                base: base.to_vec(),
                ..Spec::regressor(trees, 2)
            };
            for class in [0, 1] {
                for base in [&[][..], &[0.25], &[0.25, -0.5]] {
                    check(&engines, &spec(vec![two(class, w), two(class, mixed)], 2, base), &awkward());
                }
            }
            for base in [&[][..], &[0.25, -0.5]] {
                check(&engines, &spec(vec![both(w), both(positive)], 2, base), &awkward());
            }
            for base in [&[][..], &[0.25, -0.5, 1.0]] {
                check(&engines, &spec(vec![three(w), three(mixed)], 3, base), &awkward());
            }
        }
    }
}

/// A regressor with these nodes before and behind it.
fn around(front: &[Msg], back: &[Msg], initializers: &[Msg], output: Msg) -> Vec<u8> {
    let spec = Spec::regressor(vec![vec![branch("BRANCH_LEQ", 0, 0.5, 1, 2), leaf(1.5), leaf(-2.0)]], 2);
    let mut file = spec.file();
    let (input, answer) =
        (if front.is_empty() { "x" } else { "front" }, if back.is_empty() { "y" } else { "back" });
    let trees = node("TreeEnsembleRegressor", &[input], &[answer]).text(7, "ai.onnx.ml");
    let trees = spec.attributes().iter().fold(trees, |n, a| n.msg(5, a));
    file.nodes = front.iter().chain([&trees]).chain(back).cloned().collect();
    file.initializers = initializers.to_vec();
    file.outputs = vec![output];
    file.bytes()
}

#[test]
fn what_converters_put_around() {
    let Some(engines) = engines() else { return };
    let rows_in = [0.25, 1.0, 0.75, 1.0, f32::NAN, 0.0];
    let y = |dims: &[Option<u64>]| value_info("y", 1, dims);
    let flat = y(&[None, Some(1)]);
    let shape = tensor_i64("shape", &[-1, 1]);
    let to = |n: i64| int("to", n);
    let cases = [
        around(&[], &[node("Identity", &["back"], &["y"])], &[], flat.clone()),
        around(&[node("Cast", &["x"], &["front"]).msg(5, &to(1))], &[], &[], flat.clone()),
        around(&[node("Flatten", &["x"], &["front"])], &[], &[], flat.clone()),
        around(&[], &[node("Reshape", &["back", "shape"], &["y"])], &[shape], flat.clone()),
        around(&[], &[node("Reshape", &["back", "s"], &["y"])], &[tensor_i64("s", &[-1])], y(&[None])),
        around(
            &[],
            &[node("Mul", &["back", "one"], &["m"]), node("Sigmoid", &["m"], &["y"])],
            &[tensor("one", &[1], &[1.0])],
            flat.clone(),
        ),
        around(
            &[],
            &[node("Div", &["back", "three"], &["m"]), node("Mul", &["half", "m"], &["y"])],
            &[tensor("three", &[1], &[3.0]), tensor("half", &[], &[0.5])],
            flat.clone(),
        ),
        around(&[], &[node("Softmax", &["back"], &["y"])], &[], flat),
    ];
    for model in &cases {
        same_outputs(&engines, model, "x", &rows_in, 2);
    }
    let other = around(
        &[],
        &[node("Mul", &["back", "two"], &["y"])],
        &[tensor("two", &[2], &[2.0, 3.0])],
        y(&[None, Some(1)]),
    );
    assert!(!TreeEngine::takes(&other));
    assert!(!TreeEngine::takes(&crate::onnx::File::linear([1.0; 10]).bytes()));
    assert!(!TreeEngine::takes(b"no model"));
}

#[test]
fn auto_takes_the_walker_and_cuda_does_not() {
    let Some(engines) = engines() else { return };
    let model = around(&[], &[], &[], value_info("y", 1, &[None, Some(1)]));
    let options = rows("x", "y", 2, 1);
    let session = engines.session(&model, EngineChoice::Auto, &options).unwrap();
    assert_eq!(session.engine(), EngineKind::Trees);
    let linear = crate::onnx::File::linear([1.0; 10]).bytes();
    let options10 = rows("features", "p_up", 10, 1);
    let session = engines.session(&linear, EngineChoice::Auto, &options10).unwrap();
    assert_eq!(session.engine(), EngineKind::Ort);
    let error = TreeEngine.load(&linear, &options10).err().unwrap();
    assert_eq!(error.code(), "engine_not_available");
    let cuda = LoadOptions { device: Device::CudaOrFail, ..options };
    assert_eq!(TreeEngine.load(&model, &cuda).err().unwrap().code(), "device_not_available");
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let model = around(&[], &[], &[], value_info("y", 1, &[None, Some(1)]));
    let code = |options: LoadOptions| TreeEngine.load(&model, &options).err().map(|e| e.code());
    assert_eq!(code(rows("x", "y", 2, 1)), None);
    assert_eq!(code(rows("other", "y", 2, 1)), Some("session_refused"));
    assert_eq!(code(rows("x", "other", 2, 1)), Some("session_refused"));
    assert_eq!(code(rows("x", "y", 2, 2)), Some("c08_output"));
    assert_eq!(code(rows("x", "y", 0, 1)), Some("c21_trees"));
    let mut session = trees(&model, &rows("x", "y", 2, 1));
    assert_eq!(session.run_rows(&[0.0; 3], 2, &mut Vec::new()).unwrap_err().code(), "row_width");
    let mut no_rows = trees(&model, &LoadOptions::default());
    assert_eq!(no_rows.run_rows(&[0.0; 2], 1, &mut Vec::new()).unwrap_err().code(), "run_failed");
    assert_eq!(answers(session.as_mut(), &[], 2, 1), [0.0_f32; 0]);
}

#[test]
fn running_rows_allocates_nothing() {
    let deep = |leaves: usize| {
        let mut tree = Vec::new();
        for at in 0..leaves - 1 {
            tree.push(branch("BRANCH_LEQ", (at % 3) as i64, at as f32, 2 * at + 1, 2 * at + 2));
            tree.push(leaf(at as f32));
        }
        tree.push(leaf(-1.0));
        tree
    };
    for (trees_in, targets) in [(vec![deep(31), deep(7)], 1), (vec![deep(40)], 1), (vec![deep(31)], 2)] {
        let spec = Spec { targets, ..Spec::regressor(trees_in, 3) };
        let mut session = trees(&spec.bytes(), &rows("x", "y", 3, targets));
        let input: Vec<f32> = (0..67 * 3).map(|i| (i * 37 % 61) as f32).collect();
        let mut out = Vec::with_capacity(67 * targets);
        let counted = allocation_counter::measure(|| {
            session.run_rows(&input, 67, &mut out).unwrap();
            out.clear();
            session.run_rows(&input[..3], 1, &mut out).unwrap();
        });
        assert_eq!(counted.count_total, 0, "{targets}");
    }
}

#[test]
fn a_long_thin_tree_and_many_rows() {
    let Some(engines) = engines() else { return };
    let mut tree = Vec::new();
    for at in 0..500 {
        tree.push(branch(
            "BRANCH_LEQ",
            at % 5,
            at as f32 / 100.0 - 2.0,
            2 * at as usize + 1,
            2 * at as usize + 2,
        ));
        tree.push(leaf(at as f32));
    }
    tree.push(leaf(-1.0));
    let spec = Spec::regressor(vec![tree], 5);
    let input: Vec<f32> = (0..3000 * 5).map(|i| ((i * 7919) % 10_007) as f32 / 1000.0 - 5.0).collect();
    let options = rows("x", "y", 5, 1);
    assert_eq!(agree(&engines, &spec.bytes(), &options, &input, 5), 0.0);
    drop(ort(&engines, &spec.bytes(), &options));
}
