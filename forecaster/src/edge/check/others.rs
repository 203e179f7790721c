//! C18 and C20: what another engine answers and which provider ran what; it never falls back by itself.

use std::path::Path;

use super::answers::widest;
use super::{Finding, Found, Subject, finding};
use crate::edge::probe::{ProviderTable, provider_table};
use crate::engine::{Device, EngineKind, LoadOptions, Provider};
use crate::error::{Check, ForecasterError};

/// How far two engines may be apart.
const TOLERANCE: f32 = 1e-4;
/// Probes both engines answer.
const PROBES: usize = 64;

/// C18: every other engine that can run the model answers the same.
pub(super) fn second_engine(s: &mut Subject<'_>) -> Found {
    let own = s.model.engine();
    let n = s.probes.len().min(PROBES);
    let mine = s.probes.alone(&mut s.model, 0, n)?;
    let (mut agree, mut seen) = (true, Vec::new());
    for kind in EngineKind::ALL.into_iter().filter(|kind| *kind != own) {
        let options = LoadOptions { device: Device::Cpu, ..LoadOptions::default() };
        let theirs = s.on(kind, &options).and_then(|mut other| s.probes.alone(&mut other, 0, n));
        match theirs {
            Ok(theirs) => {
                let worst = widest(0.0, &mine, &theirs);
                agree &= worst <= TOLERANCE;
                seen.push(format!("{} differs by {worst:e} at most", kind.name()));
            }
            Err(error) => seen.push(format!("{} does not run it ({})", kind.name(), error.code())),
        }
    }
    Ok((agree, format!("{n} answers of {}: {}", own.name(), seen.join("; "))))
}

/// C20: which provider ran which nodes, and whether that is what was asked for.
pub(super) fn providers(s: &Subject<'_>, scratch: &Path) -> (Finding, Option<ProviderTable>) {
    if s.model.engine() != EngineKind::Ort {
        let found = format!("engine `{}` runs on the CPU and has no profile", s.model.engine().name());
        return (finding(Check::Providers, Ok((true, found))), None);
    }
    match provider_table(s.engines, s.bundle, s.options.device, scratch) {
        Ok(table) => {
            let found = judged(&table);
            (finding(Check::Providers, Ok(found)), Some(table))
        }
        Err(error) => (finding(Check::Providers, Err::<(bool, String), ForecasterError>(error)), None),
    }
}

/// Whether the nodes ran where they should, and a line that says where they ran.
fn judged(table: &ProviderTable) -> (bool, String) {
    let elsewhere: u64 = table
        .shares
        .iter()
        .filter(|(name, _)| name.as_str() != table.report.chosen.name())
        .map(|(_, share)| share.nodes)
        .sum();
    let whole = elsewhere == 0 && !table.shares.is_empty();
    let passed = match table.report.requested {
        Device::Cpu | Device::CudaOrFail => whole,
        Device::Auto => whole || table.report.reason.is_some(),
        Device::Cuda => table.report.chosen == Provider::Cuda,
    };
    let line = |(name, share): (&String, &crate::edge::probe::ProviderShare)| {
        format!("{name} {} nodes, {} us", share.nodes, share.micros)
    };
    let mut seen: Vec<String> = table.shares.iter().map(line).collect();
    seen.extend(table.report.reason.clone());
    (passed, seen.join("; "))
}
