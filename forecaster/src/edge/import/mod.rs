//! Turns any ONNX file into a bundle: data inlined, inputs and outputs derived, shapes as they really are; it never
//! changes what the model computes.
//!
//! What it decided is in the manifest it writes, what it noticed in [`Imported::notes`], each with code, cause and cure.

mod draft;
mod files;
mod plan;
mod probe;
pub mod scaler;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Engines;
use crate::bundle::{Bundle, BundleLimits, ModelFacts, Parts, Policy};
use crate::engine::{EngineChoice, LoadOptions};
use crate::error::{Check, ForecasterError};
use draft::Draft;
use probe::Setting;
pub use scaler::Scaler;

/// What the caller knows about the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportOptions {
    /// Name of the bundle; else the file's.
    pub name: Option<String>,
    /// Topic it forecasts; else it is no forecaster.
    pub topic: Option<String>,
    /// SPDX licence expression.
    pub license: Option<String>,
    /// A scaler's file, npz or JSON.
    pub scaler: Option<PathBuf>,
    /// Feature set and the features of it that the model sees, in its order; none named means all.
    pub features: Option<(String, Vec<String>)>,
    /// Sizes of free dimensions to try.
    pub dims: Vec<(String, u32)>,
    /// Values of inputs that never change.
    pub constants: Vec<(String, f64)>,
}

/// Something the import noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The check it belongs to.
    pub code: &'static str,
    /// What was found.
    pub cause: String,
    /// What was done or can be done.
    pub cure: String,
}

impl Note {
    fn new(check: Check, cause: String, cure: &str) -> Self {
        Self { code: check.code(), cause, cure: cure.to_owned() }
    }
}

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The bundle's files.
    pub parts: Parts,
    /// The checked bundle.
    pub bundle: Bundle,
    /// What was noticed.
    pub notes: Vec<Note>,
    /// Why a host would refuse the bundle; `None` when its pre-scan passes.
    pub hosted: Option<Note>,
    /// How many tensors were outside the file.
    pub inlined: usize,
}

/// Imports an ONNX file, or the only one of a folder. Everything it reads is in that folder.
pub fn import(
    engines: &Engines,
    source: &Path,
    options: &ImportOptions,
    limits: &BundleLimits,
) -> Result<Imported, ForecasterError> {
    let path = files::find(source)?;
    let files::Source { original, model, inlined } = files::read(&path, limits)?;
    let mut notes = Vec::new();
    if let Err(ForecasterError::Bundle { check: Check::ExternalData, detail }) =
        ModelFacts::scan(&original, limits)
    {
        let cause = format!("{detail}; {} tensors in all", inlined.len());
        notes.push(Note::new(Check::ExternalData, cause, "inlined: the bundle's model is one file"));
    }
    let facts = ModelFacts::scan(&model, limits)?;
    let plan = plan::inputs(&facts)?;
    let choice = EngineChoice::Auto;
    let mut session = engines.session(&model, choice, &LoadOptions::default())?;
    let said = Setting {
        dims: options.dims.iter().map(|(name, size)| (name.clone(), *size as usize)).collect(),
        constants: options.constants.clone(),
        ..Setting::default()
    };
    let setting = probe::search(session.as_mut(), &plan, &said)?;
    let learnt = probe::learn(session.as_mut(), &plan, &setting)?;
    let scaler = options.scaler.as_deref().map(Scaler::read).transpose()?;
    let mut draft = Draft { facts: &facts, plan: &plan, setting: &setting, learnt: &learnt, options, notes };
    let manifest = draft.manifest(&path, &model, scaler.as_ref())?;
    draft.nan(session.as_mut())?;
    draft.operators();
    let golden = draft.golden(engines, session.as_mut(), &manifest, &model, limits)?;
    let notes = draft.notes;
    let parts = Parts {
        manifest: manifest.to_toml(),
        model_file: manifest.model.file.clone(),
        model,
        golden: Some(golden),
        signature: None,
        readme: None,
    };
    let bundle = parts.clone().check(Policy::Local, limits)?;
    let hosted = match parts.clone().check(Policy::Hosted, limits) {
        Ok(_) => None,
        Err(error) => Some(Note {
            code: error.code(),
            cause: error.to_string(),
            cure: "run it on your own machine, or export it without what is named".to_owned(),
        }),
    };
    Ok(Imported { parts, bundle, notes, hosted, inlined: inlined.len() })
}
