//! All engines of this process and the choice among them; it never falls back to another engine silently.

use std::path::Path;
use std::sync::Arc;

use super::model::Model;
use super::ort_engine::OrtEngine;
use super::sandbox::SandboxEngine;
use crate::bundle::Bundle;
use crate::engine::{Device, Engine, EngineChoice, EngineKind, LoadOptions, Session};
use crate::error::ForecasterError;

/// The engines that can be used here. Cheap to clone.
#[derive(Clone)]
pub struct Engines {
    ort: Result<OrtEngine, Arc<ForecasterError>>,
    choice: EngineChoice,
    /// Where strangers' models run instead.
    cage: Option<SandboxEngine>,
}

impl Engines {
    /// The engines with ONNX Runtime from this search; `choice` is what `--engine` says.
    ///
    /// A missing library is an error only where ONNX Runtime is needed.
    pub fn new(library: Result<OrtEngine, ForecasterError>, choice: EngineChoice) -> Self {
        Self { ort: library.map_err(Arc::new), choice, cage: None }
    }

    /// Every model in a caged process of its own; nothing is loaded into this process.
    pub fn caged(cage: SandboxEngine) -> Self {
        let none = ForecasterError::Engine { engine: "ort", reason: "it is inside the cage only".to_owned() };
        Self { cage: Some(cage), ..Self::new(Err(none), EngineChoice::Auto) }
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
        if let Some(cage) = &self.cage {
            return cage.load_as(model, choice, options);
        }
        match choice {
            EngineChoice::Auto | EngineChoice::Only(EngineKind::Ort) => self.ort()?.load(model, options),
            EngineChoice::Only(kind) => Err(ForecasterError::Engine {
                engine: kind.name(),
                reason: "this build does not have it".to_owned(),
            }),
        }
    }
}
