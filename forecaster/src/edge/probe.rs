//! What `oraculo doctor` shows about inference on this machine; it looks and reports, it never repairs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::engines::Engines;
use super::library::Search;
use super::ort_engine::OrtEngine;
use crate::bundle::Bundle;
use crate::engine::{Device, LoadOptions, ProviderReport};
use crate::error::ForecasterError;

/// Largest profile that is read, bytes.
const MAX_PROFILE: u64 = 64 << 20;

/// The library as found and opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its file.
    pub library: PathBuf,
    /// Its version.
    pub version: String,
    /// Its own description of its build.
    pub build_info: String,
    /// The execution providers it was built with.
    pub providers: Vec<&'static str>,
}

/// Finds and opens the library.
pub fn probe(search: &Search) -> Result<Probe, ForecasterError> {
    let engine = OrtEngine::open(&search.find()?)?;
    Ok(Probe {
        library: engine.library().to_owned(),
        version: engine.version(),
        build_info: engine.build_info().to_owned(),
        providers: engine.providers(),
    })
}

/// How much of a model runs where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderShare {
    /// Graph nodes (after ONNX Runtime's own optimisation) on this provider.
    pub nodes: u64,
    /// Time they took in all profiled runs, microseconds.
    pub micros: u64,
}

/// Which provider runs how much of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderTable {
    /// What was asked for and chosen.
    pub report: ProviderReport,
    /// Provider to share, by ONNX Runtime's names.
    pub shares: BTreeMap<String, ProviderShare>,
}

/// One entry of ONNX Runtime's profile; most of it is not of interest.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    dur: u64,
    #[serde(default)]
    args: BTreeMap<String, serde_json::Value>,
}

/// Runs the golden rows (or a row of zeros) with profiling and says which provider ran which nodes. Writes the
/// profile into `scratch`, which must be a folder, and removes it again.
pub fn provider_table(
    engines: &Engines,
    bundle: &Bundle,
    device: Device,
    scratch: &Path,
) -> Result<ProviderTable, ForecasterError> {
    let profile = Some(scratch.join("profile"));
    let options = LoadOptions { device, profile, ..LoadOptions::default() };
    let mut model = engines.load_with(bundle, &options)?;
    let report = model.report().clone();
    let pairs = bundle.golden().pairs();
    let mut rows: Vec<f32> = pairs.iter().flat_map(|p| p.input.iter().copied()).collect();
    let width = model.width();
    rows.resize(rows.len().max(width), 0.0);
    model.predict_into(&rows, rows.len() / width.max(1), &mut Vec::new())?;
    let Some(path) = model.session().end_profile() else {
        return Err(ForecasterError::Run(format!("engine `{}` has no profile", model.engine().name())));
    };
    let text = read(&path)?;
    let shares = shares(&text).map_err(|e| ForecasterError::Run(format!("profile: {e}")))?;
    Ok(ProviderTable { report, shares })
}

fn read(path: &Path) -> Result<String, ForecasterError> {
    let fault = |source| ForecasterError::Io { what: format!("reading {}", path.display()), source };
    let mut text = String::new();
    File::open(path).map_err(fault)?.take(MAX_PROFILE).read_to_string(&mut text).map_err(fault)?;
    std::fs::remove_file(path).map_err(fault)?;
    Ok(text)
}

/// Sums the profile's node events by provider; a node counts once however often it ran.
fn shares(profile: &str) -> Result<BTreeMap<String, ProviderShare>, serde_json::Error> {
    let events: Vec<Event> = serde_json::from_str(profile)?;
    let mut seen: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for event in events.into_iter().filter(|e| e.cat == "Node") {
        if let Some(provider) = event.args.get("provider").and_then(|p| p.as_str()).filter(|p| !p.is_empty())
        {
            *seen.entry(provider.to_owned()).or_default().entry(event.name).or_default() += event.dur;
        }
    }
    let share = |nodes: BTreeMap<String, u64>| ProviderShare {
        nodes: nodes.len() as u64,
        micros: nodes.values().sum(),
    };
    Ok(seen.into_iter().map(|(provider, nodes)| (provider, share(nodes))).collect())
}
