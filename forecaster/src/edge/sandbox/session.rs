//! One stranger's model in its worker: runs as frames, restarts after a pause, and a breaker; it never blocks for longer
//! than its limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::breaker::{Breaker, Wait};
use super::cage::CageReport;
use super::child::Child;
use super::engine::{Shared, left};
use super::wire::{self, Failed, Loaded, Wanted, WantedRows, kind};
use crate::engine::{
    EngineChoice, EngineKind, IoSpec, LoadOptions, Provider, ProviderReport, RowIo, Session, Tensor,
};
use crate::error::{Check, ForecasterError, WorkerFault};

/// Room for the words of an error where an answer was expected.
const MIN_ANSWER: usize = 4 << 10;

/// A model in a worker process. It belongs to the thread that runs it; only that thread waits for the worker.
pub struct SandboxSession {
    shared: Arc<Shared>,
    model: Arc<[u8]>,
    wanted: Wanted,
    rows: Option<RowIo>,
    max_batch: usize,
    child: Option<Child>,
    cage: CageReport,
    engine: EngineKind,
    io: IoSpec,
    report: ProviderReport,
    breaker: Breaker,
    /// What the breaker's instants count from.
    born: Instant,
    restarts: u64,
    frame: Vec<u8>,
}

impl SandboxSession {
    /// Starts a worker and loads the model in it, within the load limit.
    pub(super) fn open(
        shared: Arc<Shared>,
        model: &[u8],
        choice: EngineChoice,
        options: &LoadOptions,
    ) -> Result<Self, ForecasterError> {
        let limit = shared.config.limits.max_model_bytes;
        if model.len() > limit {
            let detail = format!("the model has {} bytes, allowed are {limit}", model.len());
            return Err(ForecasterError::check(Check::Size, detail));
        }
        let wanted = wanted(choice, options)?;
        let model: Arc<[u8]> = Arc::from(model);
        let (child, cage, loaded) = start(&shared, &wanted, &model)?;
        let report = ProviderReport {
            requested: options.device,
            chosen: Provider::Cpu,
            reason: loaded.reason.clone(),
        };
        Ok(Self {
            engine: engine(&loaded),
            io: loaded.io,
            report,
            cage,
            child: Some(child),
            breaker: Breaker::new(shared.config.breaker),
            born: Instant::now(),
            restarts: 0,
            rows: options.rows.clone(),
            max_batch: options.max_batch.max(1),
            frame: Vec::new(),
            shared,
            model,
            wanted,
        })
    }

    /// What is in force around the worker.
    pub const fn cage(&self) -> &CageReport {
        &self.cage
    }

    /// How often the worker was started again.
    pub const fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The worker's process, while it lives.
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The worker, started again if it is gone and may be.
    fn child(&mut self) -> Result<&mut Child, ForecasterError> {
        if self.child.is_none() {
            self.breaker.admit(self.born.elapsed()).map_err(|wait| match wait {
                Wait::Pause(left) => ForecasterError::worker(
                    WorkerFault::Restarting,
                    format!("it is started again in {} ms", left.as_millis()),
                ),
                Wait::Open(left) => ForecasterError::worker(
                    WorkerFault::BreakerOpen,
                    format!("it failed too often and is off for {} s", left.as_secs().max(1)),
                ),
            })?;
            let started = start(&self.shared, &self.wanted, &self.model);
            let (child, cage, loaded) = started.inspect_err(|_| self.breaker.failed(self.born.elapsed()))?;
            (self.cage, self.io, self.engine) = (cage, loaded.io.clone(), engine(&loaded));
            self.restarts += 1;
            self.child = Some(child);
        }
        Ok(self.child.as_mut().expect("it was started above"))
    }

    /// Sends the frame and takes the answer, of this kind and size; a worker that fails at that is gone.
    fn exchange(&mut self, want: u32, max: usize) -> Result<u32, ForecasterError> {
        let limit = self.shared.config.limits.run;
        let frame = std::mem::take(&mut self.frame);
        let late = WorkerFault::RunTimeout;
        let answered = self.child().and_then(|child| {
            let started = Instant::now();
            child.send(&frame, limit, late)?;
            // The clock runs on between sending and hearing, but the usual run asks the system for nothing twice.
            let limit = if frame.len() > MIN_ANSWER << 4 { left(limit, started) } else { limit };
            child.receive(limit, late, max.max(MIN_ANSWER))
        });
        self.frame = frame;
        let head = answered.inspect_err(|error| self.mourn(error))?;
        if head.kind == kind::FAILED {
            return Err(self.refused());
        }
        if head.kind != want || head.len > max {
            return Err(self.garbage("not the answer that was asked for"));
        }
        self.breaker.succeeded();
        Ok(head.count)
    }

    /// Counts a failure of the worker; pauses and open breakers are no new ones.
    fn mourn(&mut self, error: &ForecasterError) {
        if self.child.take().is_some() {
            self.breaker.failed(self.born.elapsed());
            tracing::warn!(code = error.code(), %error, "a caged worker is gone");
        }
    }

    /// The worker says that the model failed. It lives on, unless it is out of memory.
    fn refused(&mut self) -> ForecasterError {
        let failed = self.child.as_ref().and_then(|c| minicbor::decode::<Failed>(c.body()).ok());
        let Some(failed) = failed else { return self.garbage("an error that is none") };
        let error = translate(&failed);
        if matches!(error, ForecasterError::Worker { .. }) {
            self.mourn(&error);
        }
        error
    }

    fn garbage(&mut self, detail: &str) -> ForecasterError {
        let error = ForecasterError::worker(WorkerFault::Garbage, detail);
        self.mourn(&error);
        error
    }
}

fn engine(loaded: &Loaded) -> EngineKind {
    EngineKind::ALL.into_iter().find(|k| k.name() == loaded.engine).unwrap_or(EngineKind::Ort)
}

fn wanted(choice: EngineChoice, options: &LoadOptions) -> Result<Wanted, ForecasterError> {
    let too_large = || ForecasterError::worker(WorkerFault::Oversize, "the constant inputs are too large");
    let small = |n: usize| u32::try_from(n).map_err(|_| too_large());
    let rows = match &options.rows {
        None => None,
        Some(io) => {
            let mut constants = Vec::new();
            wire::put_tensors(&mut constants, &io.constants).ok_or_else(too_large)?;
            Some(WantedRows {
                input: io.input.clone(),
                row_shape: io.row_shape.iter().map(|d| small(*d)).collect::<Result<_, _>>()?,
                output: io.output.clone(),
                answer_width: small(io.answer_width)?,
                constants,
            })
        }
    };
    Ok(Wanted { choice: choice.name().to_owned(), max_batch: small(options.max_batch.max(1))?, rows })
}

/// A caged worker with the model loaded, all within the load limit.
fn start(
    shared: &Shared,
    wanted: &Wanted,
    model: &[u8],
) -> Result<(Child, CageReport, Loaded), ForecasterError> {
    let (limit, started, late) = (shared.config.limits.load, Instant::now(), WorkerFault::LoadTimeout);
    let (mut child, cage) = shared.caged(None, started)?;
    child.send(&wire::talk(kind::WANTED, wanted), left(limit, started), late)?;
    let mut head = Vec::new();
    wire::begin(&mut head, kind::MODEL, 0);
    let length = u32::try_from(model.len()).expect("the limit of a model is far below");
    head[8..].copy_from_slice(&length.to_le_bytes());
    child.send(&head, left(limit, started), late)?;
    child.send(model, left(limit, started), late)?;
    let head = child.receive(left(limit, started), late, wire::MAX_TALK)?;
    match head.kind {
        kind::LOADED => {
            let loaded: Loaded = minicbor::decode(child.body())
                .map_err(|_| child.give_up(WorkerFault::Garbage, "no description of the model".to_owned()))?;
            Ok((child, cage, loaded))
        }
        kind::FAILED => {
            let failed: Failed = minicbor::decode(child.body())
                .map_err(|_| child.give_up(WorkerFault::Garbage, "an error that is none".to_owned()))?;
            Err(translate(&failed))
        }
        _ => Err(child.give_up(WorkerFault::Garbage, "not what follows a model".to_owned())),
    }
}

/// The worker's words as this crate's error; a code nobody knows is an error of the run.
fn translate(failed: &Failed) -> ForecasterError {
    let text = wire::tame(&failed.text);
    let bare = |prefix: &str| text.strip_prefix(prefix).unwrap_or(&text).to_owned();
    if let Some(check) = Check::ALL.iter().find(|c| c.code() == failed.code) {
        return ForecasterError::check(*check, bare(&format!("bundle refused ({check}): ")));
    }
    match failed.code.as_str() {
        code if code == WorkerFault::Memory.code() => ForecasterError::worker(WorkerFault::Memory, text),
        "session_refused" => ForecasterError::Session(bare("model does not load: ")),
        "engine_not_available" => {
            ForecasterError::Engine { engine: "caged", reason: bare("engine is not available: ") }
        }
        _ => ForecasterError::Run(bare("model does not run: ")),
    }
}

impl Session for SandboxSession {
    fn engine(&self) -> EngineKind {
        self.engine
    }

    fn io(&self) -> &IoSpec {
        &self.io
    }

    fn report(&self) -> &ProviderReport {
        &self.report
    }

    fn run_rows(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        let Some((row, answer)) = self.rows.as_ref().map(|io| (io.row_width(), io.answer_width)) else {
            return Err(ForecasterError::Run("loaded without a row input".to_owned()));
        };
        if n == 0 || n > self.max_batch || rows.len() != n * row {
            return Err(ForecasterError::RowWidth { got: rows.len() / n.max(1), want: row });
        }
        let too_large = || ForecasterError::worker(WorkerFault::Oversize, "the rows do not fit a frame");
        wire::floats(&mut self.frame, kind::ROWS, n as u32, rows).ok_or_else(too_large)?;
        let want = n * answer * 4;
        let count = self.exchange(kind::ANSWERS, want)?;
        let body = self.child.as_ref().map_or(&[][..], Child::body);
        if count as usize != n || body.len() != want || wire::read_floats(body, out).is_none() {
            return Err(self.garbage("fewer answers than rows"));
        }
        Ok(())
    }

    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForecasterError> {
        let too_large = || ForecasterError::worker(WorkerFault::Oversize, "the tensors do not fit a frame");
        wire::begin(&mut self.frame, kind::TENSORS, 0);
        wire::put_tensors(&mut self.frame, inputs).ok_or_else(too_large)?;
        wire::end(&mut self.frame).ok_or_else(too_large)?;
        self.exchange(kind::TENSORS, self.shared.config.limits.max_answer_bytes)?;
        let read = self.child.as_ref().and_then(|child| wire::read_tensors(child.body()));
        read.ok_or_else(|| self.garbage("tensors that are none"))
    }

    fn end_profile(&mut self) -> Option<PathBuf> {
        None
    }
}
