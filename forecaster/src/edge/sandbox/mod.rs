//! Strangers' models, each in a caged process of its own; it never runs one inside this process.
//!
//! [`SandboxEngine`] is an engine like any other: [`SandboxEngine::load`](crate::engine::Engine::load) starts a worker,
//! hands it the model's bytes over a socket pair and gives a session whose runs are frames on that pair. The worker
//! ([`worker::run`]) opens ONNX Runtime first, then locks itself into the [`cage`] and only then sees the model:
//! constant folding, the first thing a model can abuse, happens inside. The parent watches the wall clock, kills what
//! is late, starts it again after a pause and gives up for a while when that happens too often ([`breaker`]).

#![allow(clippy::disallowed_methods, reason = "an edge: processes, sockets, clocks and one thread")]

pub mod breaker;
pub mod cage;
mod child;
mod engine;
pub mod escape;
pub mod filter;
mod session;
mod spawner;
mod wire;
pub mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use breaker::BreakerConfig;
pub use cage::{CageReport, Layer};
pub use engine::SandboxEngine;
pub use escape::Attempt;

use crate::engine::EngineChoice;

/// The one variable a worker is given. Without it ONNX Runtime (from 1.29) starts a thread, opens a database in the
/// home folder and reports to its maker before it has seen a model; the thread would stay outside the cage.
pub(crate) const ONLY_VARIABLE: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// How a worker process is started; descriptor 0 is its socket, its environment is empty but for one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The program; absolute.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// What one worker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Address space, bytes; ONNX Runtime's own library (about 60 MiB) included.
    pub memory_bytes: u64,
    /// Processor time over the worker's whole life, seconds; a worker that has used it up is replaced.
    pub cpu_s: u64,
    /// From the start of the process to the loaded model.
    pub load: Duration,
    /// One run.
    pub run: Duration,
    /// Largest answer of one run, bytes.
    pub max_answer_bytes: usize,
    /// Largest model, bytes.
    pub max_model_bytes: usize,
}

impl Default for SandboxLimits {
    /// 1 GiB, an hour of processor time, 1.5 s to load, 0.5 s a run, 16 MiB an answer, 64 MiB a model.
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            cpu_s: 3_600,
            load: Duration::from_millis(1_500),
            run: Duration::from_millis(500),
            max_answer_bytes: 16 << 20,
            max_model_bytes: 64 << 20,
        }
    }
}

/// Configuration of [`SandboxEngine`].
#[derive(Clone, Debug, PartialEq)]
pub struct SandboxConfig {
    /// How a worker is started.
    pub worker: WorkerCommand,
    /// The ONNX Runtime library the worker opens before it is caged; without one only the pure-Rust engines work.
    pub library: Option<PathBuf>,
    /// Which engine runs the model inside the worker.
    pub choice: EngineChoice,
    /// What one worker may use.
    pub limits: SandboxLimits,
    /// When a failing model is given up for a while.
    pub breaker: BreakerConfig,
    /// User and group a worker takes when it was started by root.
    pub uid: u32,
    /// Whether a worker whose cage lacks a layer is refused.
    pub strict: bool,
}

impl SandboxConfig {
    /// Default limits; `nobody` (65534) for workers started by root; not strict.
    pub fn new(worker: WorkerCommand, library: Option<PathBuf>) -> Self {
        Self {
            worker,
            library,
            choice: EngineChoice::Auto,
            limits: SandboxLimits::default(),
            breaker: BreakerConfig::default(),
            uid: 65_534,
            strict: false,
        }
    }
}
