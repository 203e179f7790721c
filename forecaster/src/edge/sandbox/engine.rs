//! The engine that runs every model in a caged process; it never loads one into this process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::SandboxConfig;
use super::cage::CageReport;
use super::child::Child;
use super::escape::{self, Attempt};
use super::session::SandboxSession;
use super::wire::{self, Failed, Setup, kind};
use crate::engine::{Device, Engine, EngineChoice, EngineKind, LoadOptions, Session};
use crate::error::{ForecasterError, WorkerFault};

/// Starts workers. Cheap to clone.
#[derive(Clone)]
pub struct SandboxEngine {
    pub(super) shared: Arc<Shared>,
}

/// What all sessions of an engine share.
pub(super) struct Shared {
    pub(super) config: SandboxConfig,
    last: Mutex<Option<CageReport>>,
}

impl SandboxEngine {
    /// An engine; nothing is started before a model is loaded.
    pub fn new(config: SandboxConfig) -> Self {
        Self { shared: Arc::new(Shared { config, last: Mutex::new(None) }) }
    }

    /// The configuration.
    pub fn config(&self) -> &SandboxConfig {
        &self.shared.config
    }

    /// What was in force around the worker that was caged last.
    pub fn last_cage(&self) -> Option<CageReport> {
        self.shared.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a worker, looks at its cage and ends it.
    pub fn cage(&self) -> Result<CageReport, ForecasterError> {
        Ok(self.shared.caged(None, Instant::now())?.1)
    }

    /// Tries every escape, each in a worker of its own.
    pub fn attempts(&self) -> Vec<Attempt> {
        let one = |name: &&'static str| {
            let outcome = self.attempt(name);
            let contained = outcome == escape::REFUSED || outcome == WorkerFault::Violation.code();
            Attempt { name, contained, outcome }
        };
        escape::NAMES.iter().map(one).collect()
    }

    fn attempt(&self, name: &str) -> String {
        let limit = self.shared.config.limits.load;
        let tried = self.shared.caged(Some(name), Instant::now()).and_then(|(mut child, _)| {
            let mut go = Vec::new();
            wire::begin(&mut go, kind::WANTED, 0);
            child.send(&go, limit, WorkerFault::LoadTimeout)?;
            child.receive(limit, WorkerFault::LoadTimeout, wire::MAX_TALK)?;
            minicbor::decode::<Failed>(child.body())
                .map_err(|_| child.give_up(WorkerFault::Garbage, "no outcome".to_owned()))
        });
        match tried {
            Ok(failed) => wire::tame(&failed.code),
            Err(error) => error.code().to_owned(),
        }
    }

    /// A session with its own type, for those who want to look at the worker.
    pub fn open(&self, model: &[u8], options: &LoadOptions) -> Result<SandboxSession, ForecasterError> {
        SandboxSession::open(Arc::clone(&self.shared), model, self.shared.config.choice, options)
    }

    /// Loads a model on the engine its manifest names; what the operator's configuration names comes first.
    pub fn load_as(
        &self,
        model: &[u8],
        choice: EngineChoice,
        options: &LoadOptions,
    ) -> Result<Box<dyn Session>, ForecasterError> {
        // A graphics card has no walls between processes worth the name.
        if matches!(options.device, Device::Cuda | Device::CudaOrFail) {
            return Err(ForecasterError::Device {
                device: options.device.name(),
                reason: "a caged model runs on the CPU only".to_owned(),
            });
        }
        let choice = match self.shared.config.choice {
            EngineChoice::Auto => choice,
            only @ EngineChoice::Only(_) => only,
        };
        Ok(Box::new(SandboxSession::open(Arc::clone(&self.shared), model, choice, options)?))
    }
}

impl Shared {
    /// A worker that has shut its cage, before it has seen any model.
    pub(super) fn caged(
        &self,
        attempt: Option<&str>,
        started: Instant,
    ) -> Result<(Child, CageReport), ForecasterError> {
        let (config, limits) = (&self.config, &self.config.limits);
        let mut child = Child::start(&config.worker)?;
        let library = config.library.as_ref().map(|path| {
            path.canonicalize()
                .ok()
                .and_then(|p| p.to_str().map(str::to_owned))
                .ok_or_else(|| ForecasterError::LibraryNotFound { looked_at: vec![path.clone()] })
        });
        let setup = Setup {
            library: library.transpose()?,
            memory_bytes: limits.memory_bytes,
            cpu_s: limits.cpu_s,
            uid: config.uid,
            attempt: attempt.map(str::to_owned),
            max_model_bytes: limits.max_model_bytes as u64,
        };
        let late = WorkerFault::LoadTimeout;
        child.send(&wire::talk(kind::SETUP, &setup), left(limits.load, started), late)?;
        let head = child.receive(left(limits.load, started), late, wire::MAX_TALK)?;
        let report: CageReport = match head.kind {
            kind::CAGED => minicbor::decode(child.body())
                .map_err(|_| child.give_up(WorkerFault::Garbage, "no report of the cage".to_owned()))?,
            kind::FAILED => {
                let failed: Option<Failed> = minicbor::decode(child.body()).ok();
                let text = failed.map_or_else(String::new, |f| format!("{}: {}", f.code, f.text));
                return Err(child.give_up(WorkerFault::NotStarted, wire::tame(&text)));
            }
            _ => return Err(child.give_up(WorkerFault::Garbage, "no report of the cage".to_owned())),
        };
        let complete = self.judge(&report);
        complete.inspect_err(|_| drop(child.give_up(WorkerFault::CageIncomplete, String::new())))?;
        Ok((child, report))
    }

    /// Says loudly what is not in force, once; with `strict` it is an error every time.
    fn judge(&self, report: &CageReport) -> Result<(), ForecasterError> {
        let missing: Vec<String> = report.missing().map(|l| format!("{} ({})", l.name, l.detail)).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.replace(report.clone()).as_ref() == Some(report);
        if report.is_complete() {
            return Ok(());
        }
        let missing = missing.join("; ");
        if self.config.strict {
            return Err(ForecasterError::worker(
                WorkerFault::CageIncomplete,
                format!("not in force here: {missing}"),
            ));
        }
        if !known {
            tracing::warn!(%missing, "THE CAGE OF STRANGERS' MODELS IS NOT COMPLETE on this machine");
        }
        Ok(())
    }
}

/// What is left of a limit; never zero, so that the socket says at once that it is late.
pub(super) fn left(limit: Duration, started: Instant) -> Duration {
    limit.saturating_sub(started.elapsed()).max(Duration::from_millis(1))
}

impl Engine for SandboxEngine {
    /// The engine inside the worker; `auto` is ONNX Runtime until a model is loaded.
    fn kind(&self) -> EngineKind {
        match self.shared.config.choice {
            EngineChoice::Only(kind) => kind,
            EngineChoice::Auto => EngineKind::Ort,
        }
    }

    fn load(&self, model: &[u8], options: &LoadOptions) -> Result<Box<dyn Session>, ForecasterError> {
        self.load_as(model, self.shared.config.choice, options)
    }
}
