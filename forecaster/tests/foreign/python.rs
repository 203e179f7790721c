//! The same model in Python's onnxruntime, from the original file; it never compares anything itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use forecaster::engine::Tensor;

use crate::fetch::{cache, works};

/// What both sides run.
const PACKAGES: [&str; 2] = ["onnxruntime==1.31.1", "numpy"];
/// One at a time, so that two tests do not make the same environment.
static MAKING: Mutex<()> = Mutex::new(());

const SCRIPT: &str = r#"
import json, sys
import numpy as np
import onnxruntime as ort
TYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8, "bool": np.bool_}
NAMES = {np.dtype(t): name for name, t in TYPES.items()}
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
names = [o.name for o in session.get_outputs()]
runs = []
for run in json.load(open(sys.argv[2])):
    feed = {t["name"]: np.array(t["data"], dtype=TYPES[t["dtype"]]).reshape(t["shape"]) for t in run}
    values = session.run(names, feed)
    runs.append([{"name": n, "shape": list(v.shape), "dtype": NAMES[v.dtype], "data": v.ravel().tolist()}
                 for n, v in zip(names, values)])
json.dump(runs, open(sys.argv[3], "w"))
"#;

/// An environment with the pinned runtime; `None` after a loud skip.
fn python() -> Option<PathBuf> {
    let _one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let venv = cache()?.join("venv");
    let python = venv.join("bin/python");
    let check = "import numpy, onnxruntime as o; assert o.__version__ == '1.31.1'";
    let there = |p: &Path| Command::new(p).args(["-c", check]).output().is_ok_and(|o| o.status.success());
    if there(&python) {
        return Some(python);
    }
    let made = works(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        && works(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
    made.then_some(python)
}

/// Runs the model once for each list of inputs.
pub fn run(model: &Path, runs: &[Vec<Tensor>]) -> Option<Vec<Vec<Tensor>>> {
    let python = python()?;
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in.json"), dir.path().join("out.json"));
    std::fs::write(&input, serde_json::to_vec(runs).unwrap()).unwrap();
    let done = Command::new(python).args(["-c", SCRIPT]).arg(model).args([&input, &output]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap())
}
