//! Deploying models from the command line: what a store holds, what gets in, what a running lane does about it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forecaster::Bundle;
use forecaster::edge::store::{Store, StoreWatch};
use forecaster::edge::{Engines, Lane, LaneConfig};
use serde_json::Value;

fn oraculo(store: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oraculo"));
    command.arg("model").args(args);
    if !args.contains(&"--help") {
        command.arg("--store").arg(store);
    }
    command.output().unwrap()
}

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

fn has_onnx_runtime() -> bool {
    let found = node::assets::ort_search(None).find();
    if let Err(error) = &found {
        eprintln!("SKIPPED: {error} (run `make ort`)");
    }
    found.is_ok() && model("mlp").is_dir()
}

/// The last line of stdout as JSON.
fn json(out: &Output) -> Value {
    let stdout = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

/// The same model as a new version: only its manifest differs.
fn next_version(dir: &Path) -> PathBuf {
    let to = dir.join("mlp-next");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(model("mlp")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    let manifest = fs::read_to_string(to.join("forecaster.toml")).unwrap();
    let line = manifest.lines().find(|l| l.starts_with("version")).unwrap();
    fs::write(to.join("forecaster.toml"), manifest.replace(line, "version = \"99.0.0\"")).unwrap();
    to
}

#[test]
fn every_sub_command_has_help_with_an_example() {
    for command in ["deploy", "list", "rollback"] {
        let out = oraculo(Path::new("."), &[command, "--help"]);
        assert!(String::from_utf8_lossy(&out.stdout).contains("Example"), "{command}");
    }
}

#[test]
fn deploy_list_rollback_and_a_lane_that_follows() {
    if !has_onnx_runtime() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let (mlp, next) = (model("mlp"), next_version(dir.path()));
    let first = json(&oraculo(&store, &["deploy", mlp.to_str().unwrap(), "--json"]));
    let version = first["version"].as_str().unwrap().to_owned();
    assert_eq!(first["pointer"]["active"], version.as_str());

    let bundle = Arc::new(Bundle::load(&mlp).unwrap());
    assert_eq!(first["bundle"], bundle.id().to_string());
    let engines = Engines::open(&node::assets::ort_search(None).find().unwrap()).unwrap();
    let lane =
        Lane::start(&engines, vec![Arc::clone(&bundle)], LaneConfig::default(), Box::new(|_| {})).unwrap();
    let lane = Arc::new(lane);
    let watch = StoreWatch::new(&Store::at(&store), "mlp");
    let watching = watch.follow(Duration::from_millis(20), Arc::clone(&lane), bundle.id()).unwrap();
    let serves = |id: &str| {
        let started = Instant::now();
        while lane.plans()[0].0.to_string() != id {
            assert!(started.elapsed() < Duration::from_secs(60), "the lane never followed");
            std::thread::sleep(Duration::from_millis(10));
        }
    };

    let second = json(&oraculo(&store, &["deploy", next.to_str().unwrap(), "--json"]));
    serves(second["bundle"].as_str().unwrap());
    let back = json(&oraculo(&store, &["rollback", "--json"]));
    assert_eq!(back["pointer"]["active"], version.as_str());
    serves(&bundle.id().to_string());
    drop(watching);

    let trial = json(&oraculo(&store, &["deploy", next.to_str().unwrap(), "--canary", "--json"]));
    assert_eq!(trial["pointer"]["active"], version.as_str());
    assert_eq!(trial["pointer"]["candidate"]["mode"], "canary");
    let listed = json(&oraculo(&store, &["list", "--json"]));
    assert_eq!(listed["models"][0]["name"], "mlp");
    assert_eq!(listed["models"][0]["versions"].as_array().unwrap().len(), 2);
    let text = String::from_utf8(oraculo(&store, &["list"]).stdout).unwrap();
    assert!(text.contains(&format!("{version}  active")) && text.contains("  canary"), "{text}");
}

#[test]
fn what_is_not_right_is_refused_with_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let check = |args: &[&str], want: &str| {
        let out = oraculo(&store, args);
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success(), "{args:?}");
        assert!(stderr.contains(want), "{args:?}: {stderr}");
    };
    check(&["rollback"], "holds no model");
    check(&["rollback", "mlp"], "oraculo model list");
    check(&["deploy", "x", "--shadow", "--canary"], "cannot be used with");
    if !has_onnx_runtime() {
        return;
    }
    let (mlp, next) = (model("mlp"), next_version(dir.path()));
    let nowhere = dir.path().join("nowhere").display().to_string();
    check(&["deploy", &nowhere], "nowhere");
    check(&["deploy", next.to_str().unwrap(), "--shadow"], "deploy a version first");
    // A bundle whose golden answers are not the model's.
    let golden = fs::read_to_string(next.join("golden.json")).unwrap();
    let at = golden.find("\"output\":").unwrap();
    let from = at + golden[at..].find('[').unwrap() + 1;
    let to = from + golden[from..].find(']').unwrap();
    fs::write(next.join("golden.json"), format!("{}0.0123{}", &golden[..from], &golden[to..])).unwrap();
    check(&["deploy", next.to_str().unwrap()], "c10_golden");
    json(&oraculo(&store, &["deploy", mlp.to_str().unwrap(), "--json"]));
    check(&["rollback"], "no earlier version");
    check(&["rollback", "--to", "7"], "there is no version");
}
