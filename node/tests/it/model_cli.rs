//! `oraculo model check|bench|predict` and `gpu-check` as a miner sees them: real processes, shipped bundles. Pure Rust
//! where that is enough, so that they run without any native library.

use std::path::Path;

use serde_json::Value;

use crate::support::{oraculo, texts};

fn bundle(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name).display().to_string()
}

/// Runs a command and reads the last line of stdout as JSON.
fn run(args: &[&str]) -> (bool, Value, String) {
    let out = oraculo(args);
    let (stdout, stderr) = texts(&out);
    let value = stdout.lines().last().and_then(|l| serde_json::from_str(l).ok()).unwrap_or(Value::Null);
    (out.status.success(), value, stderr)
}

#[test]
fn check_passes_a_sound_bundle_and_scores_it() {
    let (ok, report, stderr) = run(&["model", "check", &bundle("mlp"), "--engine", "rten", "--json"]);
    assert!(ok && report["ok"] == true, "{report} {stderr}");
    assert_eq!(report["engine"], "rten");
    let findings = report["findings"].as_array().unwrap();
    for found in findings {
        for key in ["code", "detail", "cause", "cure"] {
            assert!(found[key].as_str().is_some_and(|t| !t.is_empty()), "{found}");
        }
    }
    let dry = &report["dry_run"];
    assert!(dry["answered"].as_u64().unwrap() > 500, "{dry}");
    // A sound model on a day of its own kind is near the closed form, and both beat a coin's 0.25.
    let (brier, reference) = (dry["brier"].as_f64().unwrap(), dry["reference_brier"].as_f64().unwrap());
    assert!(brier < 0.25 && reference < 0.25 && (brier - reference).abs() < 0.05, "{dry}");
    assert!(report["latency"].as_array().unwrap().len() >= 9, "{report}");
}

#[test]
fn check_says_what_is_wrong_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["forecaster.toml", "model.onnx", "golden.json"] {
        std::fs::copy(Path::new(&bundle("mlp")).join(file), dir.path().join(file)).unwrap();
    }
    let path = dir.path().display().to_string();
    let golden = std::fs::read_to_string(dir.path().join("golden.json")).unwrap();
    let spoiled = golden.replacen("\"output\": [0.", "\"output\": [0.1", 1);
    assert_ne!(golden, spoiled);
    std::fs::write(dir.path().join("golden.json"), spoiled).unwrap();
    let (ok, report, stderr) = run(&["model", "check", &path, "--engine", "rten", "--quick", "--json"]);
    assert!(!ok && report["ok"] == false, "{report} {stderr}");
    let failed: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["passed"] == false)
        .filter_map(|f| f["code"].as_str())
        .collect();
    assert_eq!(failed, ["c10_golden"], "{report}");
    // What the static checks refuse comes with its code, too.
    std::fs::write(dir.path().join("model.onnx"), "junk").unwrap();
    let (ok, report, _) = run(&["model", "check", &path, "--json"]);
    assert!(!ok && report["findings"][0]["code"] == "c01_sha256", "{report}");
}

#[test]
fn predict_rows_and_refuse_what_is_not_finite() {
    let golden = std::fs::read_to_string(Path::new(&bundle("mlp")).join("golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let (row, want) = (&golden["pairs"][0]["input"], golden["pairs"][0]["output"][0].as_f64().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rows.json");
    // 1e39 is beyond f32: it becomes infinite on the way in and must not reach the model.
    let text = format!("{{\"rows\":[{row},[1e39,0,0,0,0,0,0,0,0,0],[1,2]]}}");
    std::fs::write(&file, text).unwrap();
    let path = file.display().to_string();
    let (ok, report, stderr) =
        run(&["model", "predict", &bundle("mlp"), "--input", &path, "--engine", "rten", "--json"]);
    assert!(!ok, "a refused row is an exit code: {stderr}");
    let answers = report["answers"].as_array().unwrap();
    assert!((answers[0]["answer"][0].as_f64().unwrap() - want).abs() < 1e-5, "{report}");
    assert_eq!(
        (&answers[1]["error"], &answers[2]["error"]),
        (&"input_not_finite".into(), &"row_width".into())
    );
}

#[test]
fn bench_measures_what_it_is_told() {
    let args = ["model", "bench", &bundle("mlp"), "--engine", "rten", "--batches", "1,8", "--json"];
    let (ok, report, stderr) = run(&args);
    assert!(ok, "{stderr}");
    let sizes: Vec<_> =
        report["latency"].as_array().unwrap().iter().map(|l| l["batch"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [1, 8], "{report}");
    let (ok, _, stderr) = run(&["model", "bench", &bundle("mlp"), "--engine", "rten", "--batches", "0"]);
    assert!(!ok && stderr.contains("max_batch"), "{stderr}");
    let (ok, _, stderr) = run(&["model", "bench", &bundle("mlp"), "--engine", "tflite"]);
    assert!(!ok && stderr.contains("auto, ort, trees, rten"), "{stderr}");
}

#[test]
fn gpu_check_fails_loudly_without_a_gpu() {
    if cfg!(feature = "cuda") && Path::new("/dev/nvidia0").exists() {
        eprintln!("SKIPPED: this machine has a GPU, so the refusal cannot be tested");
        return;
    }
    let (ok, _, stderr) = run(&["gpu-check", "--json"]);
    let reason = if cfg!(feature = "cuda") { "CUDA" } else { "built without CUDA" };
    assert!(!ok && stderr.contains(reason), "{stderr}");
}
