//! The training kit and a newcomer's path, with the real program, real Python packages and the real ONNX Runtime; skips
//! loudly where the packages cannot be had.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn oraculo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oraculo")).args(args).current_dir(root()).output().unwrap()
}

fn texts(out: &Output) -> (String, String) {
    (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
}

fn ok(out: &Output) -> String {
    let (stdout, stderr) = texts(out);
    assert!(out.status.success(), "{stdout}\n{stderr}");
    stdout
}

/// Python with the kit; `None`, said aloud, where the packages cannot be installed.
fn kit(test: &str) -> Option<PathBuf> {
    let out = oraculo(&["automl", "--python"]);
    let (stdout, stderr) = texts(&out);
    if stderr.contains("training_pip") || stderr.contains("training_python") {
        eprintln!("SKIPPED {test}: {stderr}");
        return None;
    }
    assert!(out.status.success(), "{stderr}");
    Some(PathBuf::from(stdout.trim()))
}

fn has_onnx_runtime(test: &str) -> bool {
    let found = node::assets::ort_search(None).find();
    if let Err(error) = &found {
        eprintln!("SKIPPED {test}: {error} (run `make ort`)");
    }
    found.is_ok()
}

fn json(line: &str) -> serde_json::Value {
    let line = line.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

#[test]
fn the_kits_own_tests_pass() {
    let Some(python) = kit("the_kits_own_tests_pass") else { return };
    let out = Command::new(python)
        .args(["-m", "unittest", "discover", "-s", "tests", "-t", "."])
        .current_dir(root().join("forecaster/training"))
        .output()
        .unwrap();
    let (_, stderr) = texts(&out);
    assert!(out.status.success(), "{stderr}");
    assert!(stderr.contains("Ran ") && !stderr.contains("Ran 0 tests"), "{stderr}");
}

#[test]
fn what_the_kit_writes_is_a_bundle_for_every_model() {
    let test = "what_the_kit_writes_is_a_bundle_for_every_model";
    let Some(python) = kit(test) else { return };
    if !has_onnx_runtime(test) {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name).display().to_string();
    let data = path("data.npz");
    ok(&oraculo(&["features", "export", "--sim", "3", "--days", "4", "--out", &data]));
    for model in ["logistic", "lightgbm", "mlp", "gru"] {
        let out = path(&format!("bundles/{model}"));
        let args =
            ["-m", "oraculo_training", "train", "--json", "--model", model, "--data", &data, "--out", &out];
        let report = json(&ok(&Command::new(&python).args(args).output().unwrap()));
        assert_eq!(report["winner"], model);
        let brier = report["test"]["brier"].as_f64().unwrap();
        assert!((0.05..0.25).contains(&brier), "{model}: {brier}");
        let bundle = forecaster::Bundle::load(Path::new(&out)).unwrap();
        assert_eq!(bundle.manifest().name, model);
    }
    // Golden pairs, batches, ranges and determinism on the engine that serves.
    let report = json(&ok(&oraculo(&["doctor", "--models", &path("bundles"), "--device", "cpu", "--json"])));
    assert_eq!(report["models"].as_array().unwrap().len(), 4);
    assert_eq!(report["ok"], true, "{report}");
}

#[test]
fn automl_gives_the_same_bundle_for_the_same_seed() {
    let test = "automl_gives_the_same_bundle_for_the_same_seed";
    if kit(test).is_none() || !has_onnx_runtime(test) {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let reports: Vec<_> = ["one", "two"]
        .map(|name| {
            let out = tmp.path().join(name).display().to_string();
            let args = [
                "automl",
                "--topic",
                "btc-usd.up-5m",
                "--sim",
                "5",
                "--days",
                "4",
                "--models",
                "logistic,mlp",
                "--seed",
                "9",
                "--license",
                "CC0-1.0",
                "--name",
                "same",
                "--out",
                &out,
                "--json",
            ];
            json(&ok(&oraculo(&args)))
        })
        .into();
    for key in ["winner", "candidates", "test", "provenance", "split"] {
        assert_eq!(reports[0][key], reports[1][key], "{key}");
    }
    assert_eq!(reports[0]["license"], "CC0-1.0");
    assert_eq!(reports[0]["test_opened"], 1);
    let [one, two] =
        ["one", "two"].map(|name| forecaster::Bundle::load(&tmp.path().join(name)).unwrap().id());
    assert_eq!(one, two);
}

#[test]
fn bad_input_gets_a_clear_error() {
    let tmp = tempfile::tempdir().unwrap();
    let nowhere = tmp.path().join("nowhere.npz").display().to_string();
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["automl", "--sim", "1", "--candles", "x"], "cannot be used with"),
        (vec!["automl", "--sim", "1", "--days", "1"], "2..=366"),
        (vec!["automl", "--python", "--interpreter", "/nowhere/python3"], "training_python"),
        (vec!["model", "init", "Not A Name"], "a-z 0-9"),
        (vec!["model", "init", "x", "--template", "oracle"], "logistic, mlp, gbt, gru"),
        (vec!["demo", "--bundle", &nowhere], "--bundle"),
        (vec!["demo", "--bundle", "models/logistic"], "another `name`"),
        (vec!["demo", "--until-scored", "nobody"], "--bundle DIR"),
    ];
    for (args, want) in cases {
        // An empty cache, or an environment that is there would hide that there is no Python.
        let out = Command::new(env!("CARGO_BIN_EXE_oraculo"))
            .args(&args)
            .env("ORACULO_CACHE", tmp.path())
            .current_dir(root())
            .output()
            .unwrap();
        let (stdout, stderr) = texts(&out);
        assert!(!out.status.success(), "{args:?} succeeded: {stdout}");
        assert!(stderr.contains(want), "{args:?}: {stderr}");
    }
    if kit("bad_input_gets_a_clear_error").is_some() {
        for (args, want) in
            [(vec!["automl"], "--candles FILE"), (vec!["automl", "--data", &nowhere], "features export")]
        {
            let (_, stderr) = texts(&oraculo(&args));
            assert!(stderr.contains("training_data") && stderr.contains(want), "{args:?}: {stderr}");
        }
    }
}

#[test]
fn every_new_command_has_help_with_an_example() {
    for command in [vec!["automl"], vec!["model", "init"]] {
        let stdout = ok(&oraculo(&[command.as_slice(), &["--help"]].concat()));
        assert!(stdout.contains("Example"), "{command:?}: {stdout}");
    }
}

#[test]
fn a_newcomer_has_a_scored_prediction_within_two_minutes() {
    let test = "a_newcomer_has_a_scored_prediction_within_two_minutes";
    if kit(test).is_none() || !has_onnx_runtime(test) {
        return;
    }
    let out = Command::new(root().join("scripts/newcomer.sh"))
        .args(["--json"])
        .env("ORACULO", env!("CARGO_BIN_EXE_oraculo"))
        .output()
        .unwrap();
    let report = json(&ok(&out));
    // The script itself fails above two minutes; every step must have been taken.
    let steps: Vec<&str> = report["steps_s"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(steps, ["check", "demo", "deploy", "environment", "init", "train"]);
}
