//! Ensembles that are no trees, each refused with its code before a row is run; it never runs one.

use forecaster::engine::{Engine as _, LoadOptions};
use forecaster::trees::{MAX_DEPTH, MAX_TREES, TreeEngine};

use crate::ensembles::{N, Op, Spec, branch, floats, int, ints, leaf, text, texts};
use crate::onnx::Msg;

fn sound(op: Op) -> Spec {
    let tree = |w: f32| {
        vec![
            branch("BRANCH_LEQ", 0, 0.5, 1, 2),
            leaf(w),
            branch("BRANCH_LEQ", 1, -0.5, 3, 4),
            leaf(-w),
            N::L(vec![(0, 2.0 * w)]),
        ]
    };
    let targets = if op == Op::Classifier { 2 } else { 1 };
    Spec { op, targets, ..Spec::regressor(vec![tree(1.0), tree(0.5)], 2) }
}

/// The name of an attribute, which is its first field.
fn name(attribute: &Msg) -> &str {
    let length = attribute.0[1] as usize;
    std::str::from_utf8(&attribute.0[2..2 + length]).unwrap()
}

/// The sound ensemble with one attribute in place of another.
fn with(op: Op, replaced: &str, by: Option<Msg>) -> Vec<u8> {
    let spec = sound(op);
    let mut attributes = spec.attributes();
    attributes.retain(|a| name(a) != replaced);
    attributes.extend(by);
    spec.file_with(&attributes).bytes()
}

fn code(model: &[u8]) -> &'static str {
    TreeEngine.load(model, &LoadOptions::default()).err().map_or("ok", |e| e.code())
}

/// Trees that are none: this engine's own refusal, and `takes` stays true so that nobody else runs the file.
fn refused(what: &str, model: &[u8]) {
    assert_eq!(code(model), "c21_trees", "{what}");
    assert!(TreeEngine::takes(model), "{what}");
}

/// Sound as far as anybody knows, but not for this engine.
fn left_to_others(what: &str, model: &[u8]) {
    assert_eq!(code(model), "engine_not_available", "{what}");
    assert!(!TreeEngine::takes(model), "{what}");
}

#[test]
fn the_sound_ones_load() {
    for op in [Op::Regressor, Op::Classifier, Op::V5] {
        assert_eq!(code(&sound(op).bytes()), "ok");
    }
    let size = TreeEngine::size(&sound(Op::Regressor).bytes()).unwrap();
    assert_eq!((size.nodes, size.trees, size.depth), (10, 2, 2));
}

#[test]
fn no_trees() {
    let ten = |f: fn(i64) -> i64| (0..10).map(f).collect::<Vec<_>>();
    let yes = |v: &[i64]| Some(ints("nodes_truenodeids", v));
    let regressor = |replaced, by| with(Op::Regressor, replaced, by);
    refused("own ancestor", &regressor("nodes_truenodeids", yes(&[1, 0, 0, 0, 0, 1, 0, 3, 0, 0])));
    refused("itself", &regressor("nodes_truenodeids", yes(&[0, 0, 3, 0, 0, 1, 0, 3, 0, 0])));
    refused("two parents", &regressor("nodes_truenodeids", yes(&[1, 0, 1, 0, 0, 1, 0, 3, 0, 0])));
    refused("same child twice", &regressor("nodes_truenodeids", yes(&[2, 0, 3, 0, 0, 1, 0, 3, 0, 0])));
    refused("missing child", &regressor("nodes_truenodeids", yes(&[9, 0, 3, 0, 0, 1, 0, 3, 0, 0])));
    refused("negative child", &regressor("nodes_truenodeids", yes(&[-1, 0, 3, 0, 0, 1, 0, 3, 0, 0])));
    refused("far child", &regressor("nodes_truenodeids", yes(&[i64::MIN, 0, 3, 0, 0, 1, 0, 3, 0, 0])));
    refused(
        "node twice",
        &regressor("nodes_nodeids", Some(ints("nodes_nodeids", &[0, 1, 1, 3, 4, 0, 1, 2, 3, 4]))),
    );
    refused("feature -1", &regressor("nodes_featureids", Some(ints("nodes_featureids", &ten(|_| -1)))));
    refused(
        "feature 2^40",
        &regressor("nodes_featureids", Some(ints("nodes_featureids", &ten(|_| 1 << 40)))),
    );
    refused("unknown mode", &regressor("nodes_modes", Some(texts("nodes_modes", &["BRANCH_SIDEWAYS"; 10]))));
    refused("only branches", &regressor("nodes_modes", Some(texts("nodes_modes", &["BRANCH_LEQ"; 10]))));
    refused("no weight", &regressor("target_nodeids", Some(ints("target_nodeids", &[1, 3, 3, 1, 3, 4]))));
    refused(
        "weight of no tree",
        &regressor("target_treeids", Some(ints("target_treeids", &[0, 0, 0, 1, 1, 7]))),
    );
    refused("target 1 of 1", &regressor("target_ids", Some(ints("target_ids", &[0, 0, 0, 0, 0, 1]))));
    refused("no targets", &regressor("n_targets", None));
    refused("absurd targets", &regressor("n_targets", Some(int("n_targets", i64::MAX))));
    refused("negative targets", &regressor("n_targets", Some(int("n_targets", -5))));
    refused("two base values", &regressor("", Some(floats("base_values", &[1.0, 2.0]))));
    refused(
        "unknown aggregate",
        &regressor("aggregate_function", Some(text("aggregate_function", "MEDIAN"))),
    );
    let stumps = Spec { trees: vec![vec![leaf(1.0)]; MAX_TREES + 1], ..sound(Op::Regressor) };
    refused("too many trees", &stumps.bytes());
    refused("no trees", &Spec { trees: vec![], ..sound(Op::Regressor) }.bytes());
}

#[test]
fn lists_of_different_lengths() {
    let spec = sound(Op::Regressor);
    for attribute in spec.attributes() {
        let name = name(&attribute);
        let needed = name.starts_with("nodes_") && name != "nodes_missing_value_tracks_true";
        if needed || name.starts_with("target_") {
            refused(name, &with(Op::Regressor, name, None));
        }
    }
    let long = ints("nodes_missing_value_tracks_true", &[0; 11]);
    refused("too many policies", &with(Op::Regressor, "nodes_missing_value_tracks_true", Some(long)));
    for attribute in sound(Op::V5).attributes() {
        let name = name(&attribute);
        if !matches!(name, "nodes_missing_value_tracks_true" | "aggregate_function" | "post_transform") {
            refused(name, &with(Op::V5, name, None));
        }
    }
}

#[test]
fn branches_and_leaves_of_version_5() {
    let v5 = |name: &str, values: &[i64]| with(Op::V5, name, Some(ints(name, values)));
    refused("root out of range", &v5("tree_roots", &[0, 4]));
    refused("one tree twice", &v5("tree_roots", &[0, 0]));
    refused("a tree inside another", &v5("tree_roots", &[0, 1]));
    refused("root negative", &v5("tree_roots", &[-1]));
    refused("leaf out of range", &v5("nodes_truenodeids", &[6, 1, 3, 4]));
    refused("branch out of range", &v5("nodes_falsenodeids", &[4, 2, 3, 5]));
    refused("loop", &v5("nodes_falsenodeids", &[0, 2, 3, 5]));
    refused("target", &v5("leaf_targetids", &[0, 0, 0, 0, 0, 1]));
}

#[test]
fn left_to_other_engines() {
    let post = |post| with(Op::Regressor, "post_transform", Some(text("post_transform", post)));
    left_to_others("probit", &post("PROBIT"));
    left_to_others("softmax zero", &post("SOFTMAX_ZERO"));
    left_to_others("version 5", &with(Op::V5, "post_transform", Some(int("post_transform", 1))));
    let three = Spec {
        trees: [sound(Op::Regressor).trees, sound(Op::Regressor).trees].concat(),
        ..sound(Op::Regressor)
    };
    let mut attributes = three.attributes();
    let runs: Vec<i64> = (0..20).map(|n| [0, 1, 0, 1][n / 5]).collect();
    attributes.retain(|a| name(a) != "nodes_treeids");
    attributes.push(ints("nodes_treeids", &runs));
    left_to_others("interleaved", &three.file_with(&attributes).bytes());
    left_to_others("unknown attribute", &with(Op::Regressor, "", Some(int("new_meaning", 1))));
    left_to_others(
        "one class",
        &with(Op::Classifier, "classlabels_int64s", Some(ints("classlabels_int64s", &[1]))),
    );
}

#[test]
fn too_deep() {
    let long = |depth: usize| {
        let mut tree = Vec::new();
        for at in 0..depth {
            tree.push(branch("BRANCH_LEQ", 0, at as f32, 2 * at + 1, 2 * at + 2));
            tree.push(leaf(1.0));
        }
        tree.push(leaf(0.0));
        Spec::regressor(vec![tree], 1).bytes()
    };
    assert_eq!(code(&long(MAX_DEPTH)), "ok");
    refused("deep", &long(MAX_DEPTH + 1));
}

#[test]
fn every_cut_file_is_refused_and_no_flipped_byte_panics() {
    let mut file = sound(Op::Classifier).file();
    let model = file.bytes();
    // Behind the graph only the operator sets follow, which say nothing that matters here.
    file.opsets.clear();
    for end in 0..file.bytes().len() {
        assert_ne!(code(&model[..end]), "ok", "{end}");
    }
    for at in 0..model.len() {
        for bit in [1, 0x10, 0x80] {
            let mut spoilt = model.clone();
            spoilt[at] ^= bit;
            if let Ok(mut session) =
                TreeEngine.load(&spoilt, &crate::support::rows("x", "probabilities", 2, 2))
            {
                session.run_rows(&[0.1; 40], 20, &mut Vec::new()).unwrap();
            }
        }
    }
}
