//! All engines of this process and the choice among them; it never falls back to another engine silently.

use std::path::Path;
use std::sync::Arc;

use super::model::Model;
use super::ort_engine::OrtEngine;
use crate::bundle::Bundle;
use crate::engine::{Device, Engine, EngineChoice, EngineKind, LoadOptions, Session};
use crate::error::ForecasterError;
use crate::trees::TreeEngine;

/// The engines that can be used here. Cheap to clone.
#[derive(Clone)]
pub struct Engines {
    ort: Result<OrtEngine, Arc<ForecasterError>>,
    choice: EngineChoice,
}

impl Engines {
    /// The engines with ONNX Runtime from this search; `choice` is what `--engine` says.
    ///
    /// A missing library is an error only where ONNX Runtime is needed.
    pub fn new(library: Result<OrtEngine, ForecasterError>, choice: EngineChoice) -> Self {
        Self { ort: library.map_err(Arc::new), choice }
    }

    /// Opens ONNX Runtime from this file; the other engines need nothing.
    pub fn open(library: &Path) -> Result<Self, ForecasterError> {
        Ok(Self::new(Ok(OrtEngine::open(library)?), EngineChoice::Auto))
    }

    /// The same engines with another choice.
    #[must_use]
    pub fn choosing(mut self, choice: EngineChoice) -> Self {
        self.choice = choice;
        self
    }

    /// ONNX Runtime, or why it is not there.
    pub fn ort(&self) -> Result<&OrtEngine, ForecasterError> {
        self.ort.as_ref().map_err(|e| ForecasterError::Engine { engine: "ort", reason: e.to_string() })
    }

    /// Loads a bundle for the calling thread: by `--engine` if that names one, else by the manifest.
    pub fn load(&self, bundle: &Bundle, device: Device) -> Result<Model, ForecasterError> {
        self.load_with(bundle, &LoadOptions { device, ..LoadOptions::default() })
    }

    /// The same with more options; `rows` and `max_batch` come from the manifest.
    pub fn load_with(&self, bundle: &Bundle, options: &LoadOptions) -> Result<Model, ForecasterError> {
        let manifest = bundle.manifest();
        let choice = match self.choice {
            EngineChoice::Auto => manifest.engine.parse()?,
            only @ EngineChoice::Only(_) => only,
        };
        let options = LoadOptions {
            rows: manifest.row_io(),
            max_batch: manifest.limits.max_batch as usize,
            ..options.clone()
        };
        let session = self.session(bundle.model(), choice, &options)?;
        Model::new(bundle, session)
    }

    /// A session of raw bytes under a choice.
    pub fn session(
        &self,
        model: &[u8],
        choice: EngineChoice,
        options: &LoadOptions,
    ) -> Result<Box<dyn Session>, ForecasterError> {
        match choice {
            EngineChoice::Only(EngineKind::Trees) => TreeEngine.load(model, options),
            EngineChoice::Auto if trees(model, options) => TreeEngine.load(model, options),
            EngineChoice::Auto | EngineChoice::Only(EngineKind::Ort) => self.ort()?.load(model, options),
            EngineChoice::Only(kind) => Err(ForecasterError::Engine {
                engine: kind.name(),
                reason: "this build does not have it".to_owned(),
            }),
        }
    }
}

/// Whether `auto` takes the tree walker: an ensemble that it knows, where nobody asks for a GPU or a profile.
fn trees(model: &[u8], options: &LoadOptions) -> bool {
    matches!(options.device, Device::Cpu | Device::Auto)
        && options.profile.is_none()
        && TreeEngine::takes(model)
}
