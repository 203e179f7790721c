//! What LightGBM, XGBoost and scikit-learn convert to, made at test time; it skips loudly without Python and its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use forecaster::engine::Engine as _;
use forecaster::trees::TreeEngine;
use serde::Deserialize;

use crate::support::{TOLERANCE, agree, answers, distance, engines, rows, trees};

#[derive(Deserialize)]
struct Entry {
    name: String,
    input: String,
    output: String,
    answers: usize,
}

/// The models' folder, made once per version of the script, or `None` with the reason said loudly.
fn models() -> Option<PathBuf> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let venv = match Command::new("python3").arg(scripts.join("bench_venv.py")).output() {
        Ok(venv) if venv.status.success() => venv,
        Ok(venv) => {
            eprintln!("SKIPPED: no Python environment: {}", said(&venv));
            return None;
        }
        Err(error) => {
            eprintln!("SKIPPED: python3: {error}");
            return None;
        }
    };
    let python = PathBuf::from(String::from_utf8(venv.stdout).unwrap().trim());
    let script = scripts.join("bench_models.py");
    let version = blake3::hash(&std::fs::read(&script).unwrap()).to_hex();
    let dir = python.parent()?.parent()?.join(format!("converted-{}", &version[..12]));
    if !dir.join("index.json").is_file() {
        let made = Command::new(&python).arg(&script).arg("converted").arg(&dir).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
    }
    Some(dir)
}

fn floats(path: &Path) -> Vec<f32> {
    std::fs::read(path).unwrap().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn converted_models_answer_as_in_python() {
    let Some(dir) = models() else { return };
    let index: Vec<Entry> = serde_json::from_slice(&std::fs::read(dir.join("index.json")).unwrap()).unwrap();
    assert!(index.len() >= 17);
    let rows_in = floats(&dir.join("rows"));
    let engines = engines();
    for entry in index {
        let model = std::fs::read(dir.join(format!("{}.onnx", entry.name))).unwrap();
        let options = rows(&entry.input, &entry.output, 6, entry.answers);
        let refused = TreeEngine.load(&model, &options).err();
        assert!(refused.is_none(), "{}: {refused:?}", entry.name);
        let mut session = trees(&model, &options);
        let got = answers(session.as_mut(), &rows_in, 6, 256);
        let far = distance(&floats(&dir.join(format!("{}.want", entry.name))), &got);
        assert!(far <= TOLERANCE, "{}: {far:e} from Python", entry.name);
        if let Some(engines) = &engines {
            let far = agree(engines, &model, &options, &rows_in[..6 * 500], 6);
            assert!(far <= TOLERANCE, "{}: {far:e} from ONNX Runtime", entry.name);
        }
    }
}
