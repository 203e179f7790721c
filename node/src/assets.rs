//! Where model bundles and the ONNX Runtime library are on this machine. Never loads them.
#![allow(clippy::disallowed_methods, reason = "node reads the environment, once, here")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use forecaster::edge::Search;
use forecaster::edge::sandbox::WorkerCommand;

/// The source tree this binary was built from: the last place to look, for people who run it from a clone.
const SOURCE_TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn candidates(name: &str) -> Vec<PathBuf> {
    let mut out = vec![PathBuf::from(name)];
    if let Ok(exe) = std::env::current_exe() {
        out.extend(exe.ancestors().skip(1).take(4).map(|dir| dir.join(name)));
    }
    out.push(Path::new(SOURCE_TREE).join(name));
    out
}

/// The folder of model bundles: `wanted`, or `models/` near the working directory or the binary.
pub fn models_dir(wanted: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = wanted {
        if dir.is_dir() {
            return Ok(dir.to_owned());
        }
        bail!("--models {}: no such folder", dir.display());
    }
    match candidates("models").into_iter().find(|dir| dir.join("closed-form/forecaster.toml").is_file()) {
        Some(dir) => Ok(dir),
        None => bail!("no models/ folder found; name it with --models DIR (a clone of the project has one)"),
    }
}

/// What `ORT_DYLIB_PATH` says.
fn ort_env() -> Option<PathBuf> {
    std::env::var_os("ORT_DYLIB_PATH").filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// Where to look for ONNX Runtime: `wanted`, the environment, beside the binary or the working directory, and
/// last in the source tree.
pub fn ort_search(wanted: Option<PathBuf>) -> Search {
    let search = Search::here(wanted, ort_env());
    match search.find() {
        Ok(_) => search,
        Err(_) => Search { cwd: Some(PathBuf::from(SOURCE_TREE)), ..search },
    }
}

/// How this program starts the caged process of a hosted model: itself, with the hidden sub-command.
pub fn worker() -> Result<WorkerCommand> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    Ok(WorkerCommand { program, args: vec!["inference-worker".into()] })
}
