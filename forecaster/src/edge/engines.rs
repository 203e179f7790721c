//! All engines of this process and the choice among them; it never falls back to another engine silently.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::library::Search;
use super::model::Model;
use super::ort_engine::OrtEngine;
use super::rten_engine::RtenEngine;
use crate::bundle::{Bundle, BundleLimits, ModelFacts};
use crate::engine::{Device, Engine, EngineChoice, EngineKind, LoadOptions, Session};
use crate::error::ForecasterError;
use crate::trees::TreeEngine;

/// Whether the warning about a missing ONNX Runtime was given; once in a process is enough.
static WARNED: AtomicBool = AtomicBool::new(false);

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

    /// The engines with ONNX Runtime if the search finds it.
    ///
    /// A library that somebody named (`--ort-lib`, `ORT_DYLIB_PATH`) and that is not there or does not open is an error:
    /// whoever names one does not want another engine in its place. So is one that is found and cannot be opened.
    pub fn find(search: &Search, choice: EngineChoice) -> Result<Self, ForecasterError> {
        let named = search.arg.is_some() || search.env.is_some();
        let library = match search.find() {
            Ok(path) => Ok(OrtEngine::open(&path)?),
            Err(error) if named => return Err(error),
            Err(error) => Err(error),
        };
        Ok(Self::new(library, choice))
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

    /// The engines that this build and this machine have, in the order in which `auto` takes them.
    pub fn kinds(&self) -> Vec<EngineKind> {
        EngineKind::ALL.into_iter().filter(|kind| self.engine(*kind).is_ok()).collect()
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
        let kind = match choice {
            EngineChoice::Only(kind) => kind,
            EngineChoice::Auto => self.auto(model, options)?,
        };
        self.engine(kind)?.load(model, options)
    }

    /// What `auto` means for a model: our own walker for a tree ensemble, else ONNX Runtime, else rten with a warning.
    ///
    /// A GPU is asked for through ONNX Runtime alone, and only ONNX Runtime has a profile.
    fn auto(&self, model: &[u8], options: &LoadOptions) -> Result<EngineKind, ForecasterError> {
        let ort_only =
            matches!(options.device, Device::Cuda | Device::CudaOrFail) || options.profile.is_some();
        if !ort_only && TreeEngine::takes(model) {
            return Ok(EngineKind::Trees);
        }
        let missing = match self.ort() {
            Ok(_) => return Ok(EngineKind::Ort),
            Err(error) if ort_only => return Err(error),
            Err(error) => error,
        };
        let facts = ModelFacts::scan(model, &BundleLimits::default())?;
        if facts.operators.iter().any(|(domain, _)| domain == "ai.onnx.ml") {
            // rten has none of these: the missing library is what is wrong.
            return Err(missing);
        }
        if !WARNED.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason = %missing, "ONNX Runtime is not there: models run on rten, slower and in pure Rust");
        }
        Ok(EngineKind::Rten)
    }

    /// An engine by its kind, or why it is not there.
    fn engine(&self, kind: EngineKind) -> Result<&dyn Engine, ForecasterError> {
        match kind {
            EngineKind::Ort => Ok(self.ort()?),
            EngineKind::Rten => Ok(&RtenEngine),
            EngineKind::Trees => Ok(&TreeEngine),
        }
    }
}
