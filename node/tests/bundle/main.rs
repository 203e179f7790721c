//! `oraculo model import`, `pack`, `sign` and `show` as a miner types them; what needs ONNX Runtime skips loudly.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn oraculo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oraculo")).args(args).output().unwrap()
}

/// The JSON object on the last line of stdout.
fn json(args: &[&str]) -> Value {
    let out = oraculo(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// What a failed command says.
fn refused(args: &[&str]) -> String {
    let out = oraculo(args);
    assert_eq!(out.status.code(), Some(1), "{args:?}");
    String::from_utf8(out.stderr).unwrap()
}

fn models() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn pack_sign_show() {
    let dir = tempfile::tempdir().unwrap();
    let mlp = models().join("mlp");
    let (a, b, key) = (dir.path().join("a.tar"), dir.path().join("b.tar"), dir.path().join("key"));
    let id = json(&["model", "show", text(&mlp), "--json"])["bundle"].clone();
    assert_eq!(json(&["model", "pack", text(&mlp), "--out", text(&a), "--json"])["bundle"], id);
    json(&["model", "pack", text(&mlp), "--out", text(&b), "--json"]);
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap(), "the same bytes each time");
    assert!(refused(&["model", "pack", text(&mlp), "--out", text(&a)]).contains("not overwritten"));
    // A key that others may read is not used.
    std::fs::write(&key, "07".repeat(32)).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refused(&["model", "sign", text(&a), "--key", text(&key)]).contains("chmod 600"));
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let signed = json(&["model", "sign", text(&a), "--key", text(&key), "--json"]);
    assert_eq!(signed["bundle"], id, "a signature does not change what is signed");
    let shown = json(&["model", "show", text(&a), "--json"]);
    assert_eq!(shown["signed_by"], signed["signed_by"]);
    assert!(json(&["model", "show", text(&b), "--json"])["signed_by"].is_null());
    // Signing again replaces the signature, in a folder as in a file.
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    for name in ["forecaster.toml", "model.onnx", "golden.json"] {
        std::fs::copy(mlp.join(name), folder.join(name)).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(json(&["model", "sign", text(&folder), "--key", text(&key), "--json"]), signed);
    }
    assert_eq!(json(&["model", "show", text(&folder), "--json"])["signed_by"], signed["signed_by"]);
    // Another version under the old signature is refused with its code.
    let manifest = std::fs::read_to_string(folder.join("forecaster.toml")).unwrap();
    std::fs::write(folder.join("forecaster.toml"), manifest.replace("1.0.0", "1.0.1")).unwrap();
    assert!(refused(&["model", "show", text(&folder)]).contains("bundle_signature"));
}

#[test]
fn a_shipped_model_is_imported_again() {
    let dir = tempfile::tempdir().unwrap();
    let (out, model) = (dir.path().join("out"), models().join("mlp/model.onnx"));
    let args =
        ["model", "import", text(&model), "--out", text(&out), "--topic", "btc-usd.up-5m", "--features"];
    let args = [&args[..], &["updown-1", "--license", "MIT", "--name", "again", "--json"]].concat();
    let tried = oraculo(&args);
    if String::from_utf8_lossy(&tried.stderr).contains("ONNX Runtime library not found") {
        eprintln!("SKIPPED: this test needs ONNX Runtime");
        return;
    }
    let text_out = String::from_utf8(tried.stdout).unwrap();
    let report: Value = serde_json::from_str(text_out.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&tried.stderr)));
    assert_eq!(report["hosted"], true);
    assert_eq!(report["golden"]["pairs"], 6);
    assert_eq!(report["manifest"]["outputs"][0]["kind"], "probability");
    let shown = json(&["model", "show", text(&out), "--json"]);
    assert_eq!(shown["bundle"], report["bundle"]);
    assert_eq!(shown["manifest"]["model"]["sha256"], report["manifest"]["model"]["sha256"]);
    assert!(refused(&args).contains("is not empty"), "nothing is overwritten");
}
