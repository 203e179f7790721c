//! Bundles in parts, so that a test can spoil one; it never hides what a test is about.

use forecaster::bundle::{BundleLimits, Parts, Policy};
use forecaster::edge::{Engines, Search};
use forecaster::{Bundle, ForecasterError};

use crate::corpus::manifest;
use crate::corpus::onnx::File;

/// The sound model.
pub fn model() -> Vec<u8> {
    File::linear([1.0; 10]).bytes()
}

/// A sound bundle's files.
pub fn parts() -> Parts {
    let model = model();
    Parts {
        manifest: manifest(&model),
        model_file: "model.onnx".to_owned(),
        model,
        golden: None,
        signature: None,
        readme: None,
    }
}

/// The code of a result, or `ok`.
pub fn code<T>(result: Result<T, ForecasterError>) -> &'static str {
    result.map_or_else(|e| e.code(), |_| "ok")
}

/// A manifest's text with the model's hash, and the model, checked under the local policy.
pub fn bundle(text: &str, model: &[u8]) -> Result<Bundle, ForecasterError> {
    bundle_as(Policy::Local, text, model)
}

/// The same under a policy.
pub fn bundle_as(policy: Policy, text: &str, model: &[u8]) -> Result<Bundle, ForecasterError> {
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(model));
    let text = text.replace("SHA256", &hash);
    Bundle::from_parts_with(policy, &text, model.to_vec(), None, &BundleLimits::default())
}

/// The library by the usual discovery, or `None` after saying so loudly.
pub fn engines() -> Option<Engines> {
    match Search::here(None, std::env::var_os("ORT_DYLIB_PATH").map(std::path::PathBuf::from)).find() {
        Ok(path) => Some(Engines::open(&path).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}
