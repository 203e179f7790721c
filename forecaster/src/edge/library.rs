//! Finds the ONNX Runtime library on this machine; it never loads it and never downloads anything.
//!
//! Order: `--ort-lib`, `ORT_DYLIB_PATH`, `lib/` beside the executable's folder, then `vendor/onnxruntime/` in the
//! current folder, the executable's folder or one above them. What was named explicitly must exist: another library
//! is never taken in its place.

#![allow(clippy::disallowed_methods, reason = "an edge: it asks the operating system where things are")]

use std::path::{Path, PathBuf};

use crate::error::ForecasterError;

/// The version that is fetched, tested and pinned.
pub const PINNED_VERSION: &str = "1.31.1";
/// How many folders are walked up in search of `vendor/`.
const MAX_UP: usize = 12;

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Value of `--ort-lib`, a file or a folder.
    pub arg: Option<PathBuf>,
    /// Value of `ORT_DYLIB_PATH`, a file or a folder.
    pub env: Option<PathBuf>,
    /// The running executable.
    pub exe: Option<PathBuf>,
    /// The current folder.
    pub cwd: Option<PathBuf>,
}

impl Search {
    /// The usual places of this process, with the values of `--ort-lib` and `ORT_DYLIB_PATH` if there are any.
    pub fn here(arg: Option<PathBuf>, env: Option<PathBuf>) -> Self {
        let env = env.filter(|p| !p.as_os_str().is_empty());
        Self { arg, env, exe: std::env::current_exe().ok(), cwd: std::env::current_dir().ok() }
    }

    /// The library's path, or an error that lists every place that was looked at.
    pub fn find(&self) -> Result<PathBuf, ForecasterError> {
        let mut looked_at = Vec::new();
        let named = self.arg.as_ref().or(self.env.as_ref());
        let places = named.map_or_else(|| self.places(), |p| vec![p.clone()]);
        for place in places {
            if let Some(found) = inside(&place) {
                return Ok(found);
            }
            looked_at.push(place);
        }
        Err(ForecasterError::LibraryNotFound { looked_at })
    }

    /// The places nobody named, in order, each once.
    fn places(&self) -> Vec<PathBuf> {
        let exe_dir = self.exe.as_deref().and_then(Path::parent);
        let mut out: Vec<PathBuf> =
            exe_dir.and_then(Path::parent).map(|p| p.join("lib")).into_iter().collect();
        for start in [self.cwd.as_deref(), exe_dir].into_iter().flatten() {
            for folder in start.ancestors().take(MAX_UP) {
                let place = folder.join("vendor").join("onnxruntime");
                if !out.contains(&place) {
                    out.push(place);
                }
            }
        }
        out
    }
}

/// The file itself, or the library inside a folder; the pinned version first.
fn inside(place: &Path) -> Option<PathBuf> {
    if place.is_file() {
        return Some(place.to_owned());
    }
    let names = [
        format!("libonnxruntime.so.{PINNED_VERSION}"),
        format!("libonnxruntime.{PINNED_VERSION}.dylib"),
        "libonnxruntime.so".to_owned(),
        "libonnxruntime.so.1".to_owned(),
        "libonnxruntime.dylib".to_owned(),
        "onnxruntime.dll".to_owned(),
    ];
    names.iter().map(|name| place.join(name)).find(|path| path.is_file())
}
