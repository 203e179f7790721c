//! Random ensembles: the walker, ONNX Runtime and a recursive walker say the same; it never picks friendly numbers.

use proptest::prelude::*;

use crate::ensembles::{MODES, N, Op, Spec};
use crate::support::{TOLERANCE, agree, answers, engines, rows, same_outputs, trees};

const WIDTH: usize = 4;

/// Numbers that thresholds and features share, so that every comparison meets equality.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => (-6_i8..6).prop_map(|n| f32::from(n) * 0.5),
        2 => -3.0_f32..3.0,
        1 => prop::sample::select(vec![0.0_f32, -0.0, 1e-45, f32::INFINITY, f32::NEG_INFINITY]),
    ]
}

fn feature_value() -> impl Strategy<Value = f32> {
    prop_oneof![9 => number(), 1 => Just(f32::NAN)]
}

/// What a tree is made of: for each inner node a mode, a feature, a threshold and a policy; for each leaf weights.
type Parts = (Vec<(usize, i64, f32, bool, u16)>, Vec<f32>);

fn parts(max_branches: usize, modes: usize) -> impl Strategy<Value = Parts> {
    let branch = (0..modes, 0..WIDTH as i64, number(), any::<bool>(), any::<u16>());
    let branches = prop::collection::vec(branch, 1..=max_branches);
    branches.prop_flat_map(|b| {
        let leaves = b.len() + 1;
        (Just(b), prop::collection::vec(-1.0_f32..1.0, leaves))
    })
}

/// Grows a tree: each branch replaces a random leaf.
fn grow((branches, weights): Parts, targets: usize, several: bool) -> Vec<N> {
    let mut tree = vec![N::L(vec![])];
    let mut leaves = vec![0_usize];
    for (mode, feature, value, missing, pick) in branches {
        let at = leaves.swap_remove(pick as usize % leaves.len());
        let (yes, no) = (tree.len(), tree.len() + 1);
        tree[at] = N::B { mode: MODES[mode], feature, value, missing, yes, no };
        tree.extend([N::L(vec![]), N::L(vec![])]);
        leaves.extend([yes, no]);
    }
    for (n, (at, weight)) in leaves.into_iter().zip(weights).enumerate() {
        let mut list = vec![((n % targets) as i64, weight)];
        if several {
            list = (0..targets as i64).map(|t| (t, weight * (1.0 + t as f32))).collect();
        }
        tree[at] = N::L(list);
    }
    tree
}

fn spec(max_branches: usize) -> impl Strategy<Value = Spec> {
    let op = prop::sample::select(vec![Op::Regressor, Op::Classifier, Op::V5]);
    let words = (
        prop::sample::select(vec!["SUM", "AVERAGE", "MIN", "MAX"]),
        prop::sample::select(vec!["NONE", "LOGISTIC", "SOFTMAX"]),
    );
    let shape = (1_usize..4, any::<bool>(), any::<bool>(), prop::sample::select(vec![1_usize, 6]));
    (op, words, shape).prop_flat_map(move |(op, (aggregate, post), (targets, several, based, modes))| {
        let targets = if op == Op::Classifier { targets.max(2) } else { targets };
        let trees = prop::collection::vec(parts(max_branches, modes), 1..12);
        let base = prop::collection::vec(-1.0_f32..1.0, targets);
        (trees, base).prop_map(move |(trees, base)| Spec {
            op,
            trees: trees.into_iter().map(|t| grow(t, targets, several && op != Op::V5)).collect(),
            targets,
            width: WIDTH,
            base: if based && op != Op::V5 { base } else { vec![] },
            aggregate: if op == Op::Classifier { "SUM" } else { aggregate },
            post: if op == Op::V5 { "NONE" } else { post },
        })
    })
}

fn inputs() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(feature_value(), 40 * WIDTH)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// At most 31 leaves: blocks of rows go through bits.
    #[test]
    fn small_trees_answer_as_onnx_runtime(spec in spec(30), rows_in in inputs()) {
        against_ort(&spec, &rows_in);
    }

    /// More leaves than bits: blocks of rows are walked.
    #[test]
    fn large_trees_answer_as_onnx_runtime(spec in spec(90), rows_in in inputs()) {
        against_ort(&spec, &rows_in);
    }

    #[test]
    fn sums_are_those_of_a_recursive_walker(spec in spec(60), rows_in in inputs()) {
        let spec = Spec { op: Op::Regressor, aggregate: "SUM", post: "NONE", base: vec![], ..spec };
        let mut session = trees(&spec.bytes(), &rows("x", "y", WIDTH, spec.targets));
        let got = answers(session.as_mut(), &rows_in, WIDTH, 40);
        let want = rows_in.chunks_exact(WIDTH).flat_map(|row| spec.naive(row));
        for (got, want) in got.iter().zip(want) {
            prop_assert!((f64::from(*got) - want).abs() <= 1e-5, "{got} {want}");
        }
    }
}

fn against_ort(spec: &Spec, rows_in: &[f32]) {
    let Some(engines) = engines() else { return };
    let model = spec.bytes();
    let options = rows("x", spec.output(), WIDTH, spec.targets);
    let far = agree(&engines, &model, &options, rows_in, WIDTH);
    assert!(far <= TOLERANCE, "{far:e}");
    same_outputs(&engines, &model, "x", rows_in, WIDTH);
}
