//! Finding the library: order, explicit names, and an error that says what to do.

use std::path::{Path, PathBuf};

use forecaster::edge::{OrtEngine, Search};

use crate::support::engine;

const NAME: &str = "libonnxruntime.so.1.31.1";

fn put(path: &Path) -> PathBuf {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "not really a library").unwrap();
    path.to_owned()
}

#[test]
fn the_order_of_discovery() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let arg = put(&root.join("a/my.so"));
    let env = put(&root.join("b").join(NAME));
    let beside = put(&root.join("install/lib").join(NAME));
    let vendor = put(&root.join("repo/vendor/onnxruntime").join(NAME));
    let mut search = Search {
        arg: Some(arg.clone()),
        env: Some(root.join("b")),
        exe: Some(root.join("install/bin/oraculo")),
        cwd: Some(root.join("repo/some/where")),
    };
    assert_eq!(search.find().unwrap(), arg);
    search.arg = None;
    assert_eq!(search.find().unwrap(), env, "a folder is searched for the library");
    search.env = None;
    assert_eq!(search.find().unwrap(), beside);
    search.exe = None;
    assert_eq!(search.find().unwrap(), vendor, "the walk up from the current folder");
    search.cwd = None;
    search.exe = Some(root.join("repo/target/debug/oraculo"));
    assert_eq!(search.find().unwrap(), vendor, "the walk up from the executable");
}

#[test]
fn a_missing_library_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    // Something is in vendor/, but another library was asked for: it is not taken in its place.
    put(&root.join("vendor/onnxruntime").join(NAME));
    let missing = root.join("missing.so");
    for search in [
        Search { arg: Some(missing.clone()), cwd: Some(root.to_owned()), ..Search::default() },
        Search { env: Some(missing.clone()), cwd: Some(root.to_owned()), ..Search::default() },
    ] {
        let error = search.find().unwrap_err();
        assert_eq!(error.code(), "ort_library_not_found");
        let want = format!(
            "ONNX Runtime library not found; run `make ort` to fetch it, or pass `--ort-lib FILE` or set \
             ORT_DYLIB_PATH (looked at: {})",
            missing.display()
        );
        assert_eq!(error.to_string(), want);
    }
    let nowhere = Search { exe: Some(root.join("x/bin/oraculo")), ..Search::default() };
    let text = nowhere.find();
    // The walk up from the executable reaches root/vendor, which is there.
    assert_eq!(text.unwrap(), root.join("vendor/onnxruntime").join(NAME));
}

#[test]
fn an_unusable_library_is_an_error_and_there_is_one_per_process() {
    let dir = tempfile::tempdir().unwrap();
    let junk = put(&dir.path().join(NAME));
    let error = OrtEngine::open(&junk).unwrap_err();
    // With `cargo test` another test of this process may have opened the real one before.
    assert!(matches!(error.code(), "ort_library_unusable" | "ort_library_fixed"), "{error}");
    assert!(error.to_string().contains(&junk.display().to_string()), "{error}");
    let Some(engine) = engine() else { return };
    assert_eq!(
        OrtEngine::open(engine.ort().unwrap().library()).unwrap().library(),
        engine.ort().unwrap().library()
    );
    assert_eq!(OrtEngine::open(&junk).unwrap_err().code(), "ort_library_fixed");
}
