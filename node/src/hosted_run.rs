//! One hosted miner at work: follows the journal, asks its caged model, seals and reveals. Never judges and never sells.
//!
//! To the network it is a miner like one that runs elsewhere: what it says enters by the intake, what it hears it reads
//! from the durable journal. Its model's answers are journalled as every other miner's are, so a restart finds them there
//! and repeats nothing it cannot repeat to the bit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::hosted::HostedState;
use forecaster::bundle::Bundle;
use forecaster::edge::{Engines, Lane, LaneConfig};
use forecaster::signer::MinerKey;
use forecaster::{
    FeatureChoice, Forecaster, ForecasterError, ForecasterInput, ForecasterOutput, MinerConfig, Strategy,
    WorkerFault,
};
use schemas::inference::Answer;
use schemas::{
    BundleId, Entry, HostFee, InferenceResult, Intake, Machine as _, Micros, MinerJoined, Record, RejectCode,
    Stream, Verdict,
};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::kernel::{Cmd, KernelHandle};

/// How often the journal is looked at when nothing new was there.
const POLL: Duration = Duration::from_millis(50);
/// How many records before its start a miner reads, for its history of prices.
const LOOK_BACK: u64 = 50_000;

/// A hosted miner that has joined.
pub struct Runner {
    machine: Forecaster,
    key: MinerKey,
    bundle: BundleId,
    lane: Lane,
    kernel: KernelHandle,
    network: [u8; 32],
    clock: Clock,
    /// The next record to read.
    next: u64,
    /// Up to here it only remembers; what was due is done then.
    caught_up_at: u64,
}

/// A lane of its own for a bundle, so that its bomb delays nobody; answers go to the journal.
pub fn lane(
    engines: &Engines,
    bundle: Arc<Bundle>,
    kernel: KernelHandle,
    state: Arc<Mutex<HostedState>>,
) -> Result<Lane, ForecasterError> {
    let on_result = move |result: InferenceResult| {
        let now = match &result.answer {
            Answer::Failed(code) if *code == WorkerFault::BreakerOpen.code() => {
                HostedState::Broken(code.clone())
            }
            Answer::Failed(_) => return submit(&kernel, result),
            Answer::Probability(_) => HostedState::Live,
        };
        *state.lock().unwrap_or_else(PoisonError::into_inner) = now;
        submit(&kernel, result);
    };
    Lane::start(engines, vec![bundle], LaneConfig::default(), Box::new(on_result))
}

fn submit(kernel: &KernelHandle, result: InferenceResult) {
    if !kernel.blocking_send(Cmd::Inference(result)) {
        tracing::debug!("a hosted answer came after the kernel stopped");
    }
}

impl Runner {
    /// Joins the network, or finds that it has joined before.
    #[allow(clippy::too_many_arguments, reason = "each is another part of the node")]
    pub async fn join(
        key: MinerKey,
        bundle: &Bundle,
        lane: Lane,
        kernel: KernelHandle,
        network: [u8; 32],
        symbol: &str,
        (fee, stake): (HostFee, Micros),
        clock: Clock,
    ) -> Result<Self> {
        let manifest = bundle.manifest();
        let joined = MinerJoined {
            miner: key.id(),
            name: format!("hosted.{}", bundle.id().short()),
            kind: manifest.kind.name().to_owned(),
            stake,
            host: Some(fee),
            signature: None,
            account: None,
        };
        let (reply, receipt) = oneshot::channel();
        let body = Box::new(Intake::Miner(joined));
        if !kernel.send(Cmd::Intake { body, reply: Some(reply) }).await {
            bail!("the kernel has stopped");
        }
        let receipt = receipt.await.context("the kernel took no new miner")?;
        let refusal = receipt.verdicts.iter().find_map(|v| match v {
            Verdict::Rejected { code, .. } if *code != RejectCode::DuplicateMiner => Some(*code),
            _ => None,
        });
        if let Some(code) = refusal {
            bail!("the validator does not let the miner in: {code}");
        }
        let strategy = Strategy::Model { bundle: bundle.id() };
        let topic = manifest.topic.as_deref().context("the bundle names no topic")?;
        let config = MinerConfig::new(key.id(), topic, symbol, strategy);
        let features = FeatureChoice::of(manifest);
        let max_input_age_ns = crate::genesis::MAX_INPUT_AGE_NS;
        let config = MinerConfig { max_input_age_ns, features, ..config };
        Ok(Self {
            machine: Forecaster::new(config),
            key,
            bundle: bundle.id(),
            lane,
            kernel,
            network,
            clock,
            next: receipt.seq.saturating_sub(LOOK_BACK).max(1),
            caught_up_at: receipt.seq,
        })
    }

    /// Reads what is new; `false` when the kernel is gone, else whether there was anything.
    async fn read(&mut self) -> Option<bool> {
        let (reply, entries) = oneshot::channel();
        if !self.kernel.send(Cmd::Read { from: self.next, reply }).await {
            return None;
        }
        let entries = entries.await.ok()?;
        for entry in &entries {
            let before = self.next <= self.caught_up_at;
            self.next = entry.record.seq + 1;
            let outputs = self.hear(entry);
            let outputs = match (before, self.next > self.caught_up_at) {
                (true, false) => Vec::new(),
                (true, true) => self.machine.due(),
                (false, _) => outputs,
            };
            self.act(outputs).await;
        }
        Some(!entries.is_empty())
    }

    /// A record as the machine's input; what it cannot use it does not hear.
    fn hear(&mut self, entry: &Entry) -> Vec<ForecasterOutput> {
        let body = &entry.record.body;
        let input = match entry.stream {
            Stream::Market => schemas::decode(body).map(ForecasterInput::Market),
            Stream::Intake => schemas::decode(body).map(ForecasterInput::Intake),
            Stream::Forecasts => schemas::decode(body).map(ForecasterInput::Inference),
            Stream::Raw | Stream::Verdicts => return Vec::new(),
        };
        let mut out = Vec::new();
        match input {
            Ok(input) => self.machine.apply(&entry.record.with(input), &mut out),
            Err(error) => tracing::error!(seq = entry.record.seq, "a record is not understood: {error}"),
        }
        out
    }

    /// Nobody writes a record for this machine's wakes, so it looks at the clock itself.
    async fn wake(&mut self) {
        let now = self.clock.now();
        if self.next <= self.caught_up_at || self.machine.wake_at().is_none_or(|at| at > now) {
            return;
        }
        let mut out = Vec::new();
        let body = ForecasterInput::Intake(Intake::TimeAdvanced { to: now });
        self.machine.apply(&Record { seq: self.next, at: now, body }, &mut out);
        self.act(out).await;
    }

    async fn act(&self, outputs: Vec<ForecasterOutput>) {
        for output in outputs {
            let intake = match output {
                ForecasterOutput::Infer(request) => {
                    let (miner, question, bundle) = (request.miner, request.question, request.bundle);
                    if let Err(error) = self.lane.submit(request) {
                        let answer = error.answer();
                        let result = InferenceResult { miner, question, bundle, answer };
                        self.kernel.send(Cmd::Inference(result)).await;
                    }
                    continue;
                }
                ForecasterOutput::Commit { question, forecast } => {
                    Intake::Commitment(self.key.commit(&self.network, self.bundle, question, &forecast))
                }
                ForecasterOutput::Reveal { question, forecast } => {
                    Intake::Reveal(self.key.reveal(&self.network, self.bundle, question, &forecast))
                }
                ForecasterOutput::Abstain { question, reason } => {
                    tracing::info!(question = %question.short(), reason = reason.code(), "a hosted miner abstains");
                    continue;
                }
            };
            self.kernel.send(Cmd::Intake { body: Box::new(intake), reply: None }).await;
        }
    }
}

/// Follows the journal until the place is given up or the kernel stops.
pub async fn follow(mut runner: Runner, mut stopped: watch::Receiver<()>) {
    loop {
        match runner.read().await {
            None => break,
            Some(true) => {}
            Some(false) => {
                runner.wake().await;
                tokio::select! {
                    // An error means that the place is gone.
                    _ = stopped.changed() => break,
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
        if stopped.has_changed().is_err() {
            break;
        }
    }
    // Its lane waits for the thread, which waits for the worker.
    drop(tokio::task::spawn_blocking(move || drop(runner)));
}
