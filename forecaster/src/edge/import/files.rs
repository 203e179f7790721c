//! Finds a model and the data beside it; it never reads outside the model's own folder and never follows a link.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::super::bundle_dir;
use crate::bundle::BundleLimits;
use crate::bundle::inline::{External, inline};
use crate::error::{Check, ForecasterError};

/// Most entries of a folder that are looked at for a model.
const MAX_ENTRIES: usize = 10_000;

/// The model's file: itself, or the only `.onnx` of a folder.
pub(super) fn find(source: &Path) -> Result<PathBuf, ForecasterError> {
    if !source.is_dir() {
        return Ok(source.to_owned());
    }
    let io = |e: std::io::Error| fault(Check::File, format!("{}: {e}", source.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(source).map_err(io)?.take(MAX_ENTRIES) {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e == "onnx") {
            found.push(path);
        }
    }
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(fault(Check::File, format!("{} holds no .onnx file", source.display()))),
        [first, ..] => Err(fault(
            Check::File,
            format!(
                "{} holds {} .onnx files; name one, e.g. {}",
                source.display(),
                found.len(),
                first.display()
            ),
        )),
    }
}

/// A model as it lies there and with its external data inside.
pub(super) struct Source {
    /// The file as it is.
    pub(super) original: Vec<u8>,
    /// The file with everything inside.
    pub(super) model: Vec<u8>,
    /// What was outside.
    pub(super) inlined: Vec<External>,
}

/// Reads a model and the data beside it.
pub(super) fn read(path: &Path, limits: &BundleLimits) -> Result<Source, ForecasterError> {
    let original = bundle_dir::bytes(path, limits.max_model_bytes)?;
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut left = limits.max_model_bytes;
    let mut source = |external: &External| {
        let data = data(&folder, external, left)?;
        left -= data.len() as u64;
        Ok(data)
    };
    let (model, inlined) = inline(&original, limits, &mut source)?;
    Ok(Source { original, model, inlined })
}

/// The bytes of external data: of a plain file in the folder, reached through no link.
fn data(folder: &Path, external: &External, most: u64) -> Result<Vec<u8>, ForecasterError> {
    let refuse = |what: &str| {
        let detail = format!("`{}` has its data in `{}`: {what}", external.tensor, external.location);
        Err(fault(Check::ExternalData, detail))
    };
    let mut path = folder.to_owned();
    for component in Path::new(&external.location).components() {
        let Component::Normal(name) = component else {
            return refuse("only files in the model's own folder are taken");
        };
        path.push(name);
        match fs::symlink_metadata(&path) {
            Err(e) => return refuse(&e.to_string()),
            Ok(meta) if meta.is_symlink() => return refuse("links are not followed"),
            Ok(_) => {}
        }
    }
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) => return refuse(&e.to_string()),
    };
    let Ok(meta) = file.metadata() else { return refuse("its size cannot be told") };
    if !meta.is_file() {
        return refuse("it is no plain file");
    }
    let length = external.length.unwrap_or_else(|| meta.len().saturating_sub(external.offset));
    if external.offset.checked_add(length).is_none_or(|end| end > meta.len()) {
        return refuse("it ends before the data does");
    }
    if length > most {
        return refuse("together with what was read before it is too large");
    }
    let mut out = Vec::new();
    let read = file
        .seek(SeekFrom::Start(external.offset))
        .and_then(|_| file.take(length).read_to_end(&mut out).map(|n| n as u64));
    match read {
        Ok(n) if n == length => Ok(out),
        Ok(_) => refuse("it ends before the data does"),
        Err(e) => refuse(&e.to_string()),
    }
}

fn fault(check: Check, detail: String) -> ForecasterError {
    ForecasterError::check(check, detail)
}
