//! `model check`, the part that needs an engine (C09 to C20); it never changes a bundle and never stops at the first
//! finding.
//!
//! What is observed in real models: outputs whose actual shape contradicts the declared one (C09), answers that depend on
//! the batch they come in (C12), NaN that turns into a plausible number (C14). One file per group of checks: [`answers`]
//! compares answers, [`cost`] measures, [`others`] asks other engines and the profile. [`advice`] is what people are told.

pub mod advice;
mod answers;
pub mod cost;
mod others;
mod probes;

use std::path::PathBuf;

use serde::Serialize;

use super::probe::ProviderTable;
use super::{Engines, Model};
use crate::bundle::Bundle;
use crate::engine::{Device, EngineKind, LoadOptions};
use crate::error::{Check, ForecasterError};
pub use advice::Advice;
pub use cost::Latency;
use probes::Probes;

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// Whether it passed.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

impl Finding {
    /// Where it usually comes from and what to do about it.
    pub fn advice(&self) -> Advice {
        advice::of(self.check)
    }
}

/// How thoroughly a bundle is checked.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Where it runs.
    pub device: Device,
    /// A folder for the profile; without one C20 is left out.
    pub scratch: Option<PathBuf>,
    /// Whether every engine and batch size is timed; otherwise only whether the largest batch meets its deadline.
    pub measure: bool,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { device: Device::Cpu, scratch: None, measure: false }
    }
}

/// What a model does with a number that is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NanPolicy {
    /// Every place that was spoiled gave an answer that is not finite.
    Propagates,
    /// At least one place gave a plausible number.
    Swallows,
    /// The engine refused.
    Errors,
    /// It takes no number that could be spoiled.
    None,
}

/// Everything a check found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The engine that ran the checks.
    pub engine: EngineKind,
    /// The findings in the order of their codes.
    pub findings: Vec<Finding>,
    /// What it does with NaN.
    pub nan_policy: NanPolicy,
    /// Times per engine and batch size, when measured.
    pub latency: Vec<Latency>,
    /// Milliseconds from bytes to a session that has answered once.
    pub load_ms: f64,
    /// Which provider ran which part, when there was a folder for the profile and the engine has one.
    pub providers: Option<ProviderTable>,
}

impl CheckReport {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|f| f.passed)
    }
}

/// What is checked, and with what.
struct Subject<'a> {
    engines: &'a Engines,
    bundle: &'a Bundle,
    options: &'a CheckOptions,
    probes: Probes,
    model: Model,
}

impl Subject<'_> {
    /// The same bundle loaded again with other options on the same engine.
    fn again(&self, options: &LoadOptions) -> Result<Model, ForecasterError> {
        self.on(self.model.engine(), options)
    }

    /// The same bundle on another engine.
    fn on(&self, kind: EngineKind, options: &LoadOptions) -> Result<Model, ForecasterError> {
        self.engines.clone().choosing(crate::engine::EngineChoice::Only(kind)).load_with(self.bundle, options)
    }
}

/// Whether a check passed and what was seen; or the engine's error.
type Found = Result<(bool, String), ForecasterError>;

fn finding(check: Check, found: Found) -> Finding {
    match found {
        Ok((passed, detail)) => Finding { check, passed, detail },
        Err(error) => Finding { check, passed: false, detail: error.to_string() },
    }
}

/// Rows that are tried for C15; the other checks take the first of them.
const PROBES: usize = 1000;

/// Runs every dynamic check on the CPU, one thread; an error only when the model does not load at all.
pub fn check(engines: &Engines, bundle: &Bundle) -> Result<Vec<Finding>, ForecasterError> {
    Ok(check_with(engines, bundle, &CheckOptions::default())?.findings)
}

/// The same with options and with everything that was measured.
pub fn check_with(
    engines: &Engines,
    bundle: &Bundle,
    options: &CheckOptions,
) -> Result<CheckReport, ForecasterError> {
    let (model, load_ms, load) = cost::load(engines, bundle, options.device)?;
    let probes = Probes::new(bundle, PROBES);
    let mut subject = Subject { engines, bundle, options, probes, model };
    let mut findings = answers::all(&mut subject);
    let (nan, nan_policy) = answers::nan_policy(&mut subject);
    findings.push(nan);
    findings.push(finding(Check::Range, answers::range(&mut subject)));
    let (latency_finding, latency) = cost::latency(&mut subject);
    findings.push(latency_finding);
    findings.push(load);
    findings.push(finding(Check::SecondEngine, others::second_engine(&mut subject)));
    if !bundle.manifest().state.is_empty() {
        findings.push(finding(Check::State, answers::state(&mut subject)));
    }
    let mut providers = None;
    if let Some(scratch) = &options.scratch {
        let (found, table) = others::providers(&subject, scratch);
        findings.push(found);
        providers = table;
    }
    Ok(CheckReport { engine: subject.model.engine(), findings, nan_policy, latency, load_ms, providers })
}
