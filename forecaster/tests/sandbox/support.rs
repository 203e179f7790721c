//! Where the worker and the library are, and how the corpus' models are loaded; it never hides what a test is about.

use std::path::PathBuf;

use forecaster::edge::sandbox::{SandboxConfig, WorkerCommand};
use forecaster::edge::{SandboxEngine, Search};
use forecaster::engine::{LoadOptions, RowIo};

/// The worker that Cargo built beside this test.
pub fn worker() -> WorkerCommand {
    WorkerCommand { program: PathBuf::from(env!("CARGO_BIN_EXE_oraculo-inference-worker")), args: Vec::new() }
}

/// ONNX Runtime by the usual discovery, or `None` after saying so loudly.
pub fn library() -> Option<PathBuf> {
    match Search::here(None, std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from)).find() {
        Ok(path) => Some(path),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}

/// The defaults with the test's worker.
pub fn config() -> Option<SandboxConfig> {
    Some(SandboxConfig::new(worker(), Some(library()?)))
}

pub fn engine() -> Option<SandboxEngine> {
    Some(SandboxEngine::new(config()?))
}

/// How every model of the corpus is loaded: `features` `[n, 10]` to `p_up` `[n, 1]`.
pub fn options() -> LoadOptions {
    let rows = RowIo {
        input: "features".to_owned(),
        row_shape: vec![10],
        output: "p_up".to_owned(),
        answer_width: 1,
        constants: Vec::new(),
    };
    LoadOptions { rows: Some(rows), max_batch: 64, ..LoadOptions::default() }
}

/// The code of what must be an error.
pub fn code<T>(result: Result<T, forecaster::ForecasterError>) -> &'static str {
    match result {
        Ok(_) => "none",
        Err(error) => error.code(),
    }
}
