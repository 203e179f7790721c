//! Imports of small models on the real engine: external data, scalers, features, state, and what is refused.

use std::path::Path;

use forecaster::bundle::BundleLimits;
use forecaster::edge::import::{ImportOptions, Imported, import};
use forecaster::manifest::{OutputKind, Source, Transform};
use forecaster::{Device, ForecasterError};
use ndarray::Array2;

use crate::corpus::onnx::{File, Msg, node, tensor, value_info};
use crate::support::{code, engines};

/// Weights that are in a file beside the model.
fn outside(location: &str, extra: &[(&str, &str)]) -> Msg {
    let entry = |k: &str, v: &str| Msg::default().text(1, k).text(2, v);
    let head = Msg::default().int(1, 10).int(1, 1).int(2, 1).text(8, "w");
    let head = head.msg(13, &entry("location", location)).int(14, 1);
    extra.iter().fold(head, |t, (k, v)| t.msg(13, &entry(k, v)))
}

fn file(change: impl FnOnce(&mut File)) -> Vec<u8> {
    let mut f = File::linear([0.5; 10]);
    change(&mut f);
    f.bytes()
}

fn run(path: &Path, options: &ImportOptions) -> Option<Result<Imported, ForecasterError>> {
    Some(import(&engines()?, path, options, &BundleLimits::default()))
}

fn updown() -> ImportOptions {
    ImportOptions {
        topic: Some("btc-usd.up-5m".to_owned()),
        license: Some("MIT".to_owned()),
        features: Some(("updown-1".to_owned(), vec![])),
        ..ImportOptions::default()
    }
}

#[test]
fn data_beside_the_model_is_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    let weights: Vec<u8> =
        [[9.0_f32; 4].as_slice(), &[0.5; 10]].concat().iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(dir.path().join("model.data"), &weights).unwrap();
    std::fs::write(
        &path,
        file(|f| f.initializers[0] = outside("model.data", &[("offset", "16"), ("length", "40")])),
    )
    .unwrap();
    let Some(done) = run(&path, &updown()) else { return };
    let done = done.unwrap();
    assert_eq!(done.inlined, 1);
    assert!(done.notes.iter().any(|n| n.code == "c03_external_data"));
    assert!(done.hosted.is_none(), "{:?}", done.hosted);
    // It computes what the same model in one file computes.
    let whole = dir.path().join("whole");
    std::fs::create_dir(&whole).unwrap();
    std::fs::write(whole.join("one.onnx"), file(|_| ())).unwrap();
    let other = run(&whole, &updown()).unwrap().unwrap();
    assert!(other.notes.is_empty(), "{:?}", other.notes);
    assert_eq!(other.parts.model, file(|_| ()), "nothing to inline, nothing changed");
    assert_eq!(done.bundle.golden().pairs(), other.bundle.golden().pairs());
    let answer = done.bundle.manifest().answer();
    assert_eq!((answer.kind, answer.transform), (OutputKind::Probability, Transform::Identity));
    let rows = Array2::from_shape_fn((5, 10), |(i, j)| (i + j) as f32 / 10.0);
    let predict =
        |d: &Imported| engines().unwrap().load(&d.bundle, Device::Cpu).unwrap().predict(rows.view()).unwrap();
    assert_eq!(predict(&done), predict(&other));
}

#[test]
fn nothing_outside_the_folder_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("m");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(dir.path().join("secret"), [0; 40]).unwrap();
    std::fs::write(folder.join("short"), [0; 39]).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(dir.path().join("secret"), folder.join("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), folder.join("up")).unwrap();
    }
    let secret = dir.path().join("secret");
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("../secret", vec![]),
        (secret.to_str().unwrap(), vec![]),
        ("a/../../secret", vec![]),
        ("link", vec![]),
        ("up/secret", vec![]),
        ("missing", vec![]),
        (".", vec![]),
        ("short", vec![("length", "40")]),
        ("short", vec![("offset", "40")]),
        ("short", vec![("offset", "18446744073709551615"), ("length", "40")]),
    ];
    for (location, extra) in cases {
        std::fs::write(folder.join("model.onnx"), file(|f| f.initializers[0] = outside(location, &extra)))
            .unwrap();
        let Some(got) = run(&folder.join("model.onnx"), &updown()) else { return };
        assert_eq!(code(got), "c03_external_data", "{location} {extra:?}");
    }
    // The right file of the wrong length: the tensor lies.
    std::fs::write(folder.join("model.onnx"), file(|f| f.initializers[0] = outside("short", &[]))).unwrap();
    assert_eq!(code(run(&folder.join("model.onnx"), &updown()).unwrap()), "c02_tensor");
    std::fs::write(folder.join("second.onnx"), file(|_| ())).unwrap();
    assert_eq!(code(run(&folder, &updown()).unwrap()), "c01_file", "two models in a folder");
}

#[test]
fn a_scaler_becomes_part_of_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("up.onnx");
    std::fs::write(&path, file(|_| ())).unwrap();
    let scaler = |text: &str| {
        let json = dir.path().join("scaler.json");
        std::fs::write(&json, text).unwrap();
        let options = ImportOptions { scaler: Some(json), ..updown() };
        run(&path, &options)
    };
    let means = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    let sound = format!(r#"{{"mean_": {means}, "scale_": [1, 2, 3, 4, 5, 6, 7, 8, 9, 0], "kind": "x"}}"#);
    let Some(done) = scaler(&sound) else { return };
    let normalise = done.unwrap().bundle.manifest().normalise.clone();
    assert_eq!(normalise.kind, "zscore");
    assert_eq!(normalise.scale.unwrap()[9], 1.0, "a column that never changes");
    assert_eq!(code(scaler(&format!(r#"{{"mean": {means}}}"#)).unwrap()), "import");
    assert_eq!(code(scaler(r#"{"mean": [1], "scale": [1, 2]}"#).unwrap()), "import");
    assert_eq!(code(scaler(r#"{"mean": [1], "scale": [2]}"#).unwrap()), "manifest_normalise");
    assert_eq!(code(scaler("not json").unwrap()), "import");
}

#[test]
fn shapes_are_learnt_and_log_odds_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Odds & Ends.onnx");
    // Declares one row and gives as many as it gets; its answer is a log-odds.
    let odds = file(|f| {
        f.nodes = vec![node("MatMul", &["features", "w"], &["p_up"])];
        f.initializers[0] = tensor("w", &[10, 1], &[5.0; 10]);
        f.outputs[0] = value_info("p_up", 1, &[Some(1), Some(1)]);
    });
    std::fs::write(&path, odds).unwrap();
    let Some(done) = run(&path, &updown()) else { return };
    let done = done.unwrap();
    let manifest = done.bundle.manifest();
    assert_eq!(manifest.name, "odds---ends");
    assert!(manifest.outputs[0].shape[0].is_batch());
    assert_eq!(manifest.outputs[0].transform, Transform::Sigmoid);
    let codes: Vec<&str> = done.notes.iter().map(|n| n.code).collect();
    assert_eq!(codes, ["c09_shape", "c15_range"]);
    // Without a topic it is whatever it is, and the caller gives the inputs.
    let done = run(&path, &ImportOptions::default()).unwrap().unwrap();
    assert_eq!(done.bundle.manifest().outputs[0].kind, OutputKind::Raw);
    assert_eq!(done.bundle.manifest().inputs[0].source, Source::Caller);
    assert_eq!(done.bundle.golden().cases().len(), 3);
}

#[test]
fn models_that_cannot_be_imported_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.onnx");
    let put = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();
    put(b"no model at all");
    let Some(got) = run(&path, &updown()) else { return };
    assert_eq!(code(got), "c02_protobuf");
    put(&file(|f| f.inputs[0] = value_info("features", 10, &[None, Some(10)])));
    assert_eq!(code(run(&path, &updown()).unwrap()), "import", "half floats");
    put(&file(|_| ()));
    let nine =
        ImportOptions { features: Some(("updown-1".to_owned(), vec!["tau_s".to_owned()])), ..updown() };
    assert_eq!(code(run(&path, &nine).unwrap()), "manifest_input", "one feature for ten columns");
    let unknown = ImportOptions { features: Some(("nobody-1".to_owned(), vec![])), ..updown() };
    assert_eq!(code(run(&path, &unknown).unwrap()), "manifest_features");
    assert_eq!(code(run(&dir.path().join("missing.onnx"), &updown()).unwrap()), "c01_file");
}
