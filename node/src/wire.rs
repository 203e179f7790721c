//! Which machine reads which stream, for live and replay alike. Never a socket, a clock or a second loop.
//!
//! A part sees only its streams: the validator is handed `Intake` alone, so it cannot read prices; the view is
//! handed `Verdict` alone, so it cannot issue; a forecaster gets no verdicts, so it cannot judge.

use std::sync::Arc;

use api::{Push, SharedBoard, SharedView};
use bus::{BusError, Outbox, Wiring};
use forecaster::{Forecaster, ForecasterInput, ForecasterOutput};
use ingest::{FactInput, Feed, FeedOutput, ReportDraft, Resolver, Scheduler};
use schemas::{
    Digest, Entry, Forecast, InferenceRequest, InferenceResult, Intake, Machine, MarketEvent, QuestionId,
    Raw, Record, Snapshot, Stream, Timestamp, Verdict,
};
use validator::Validator;

use crate::tally::Tally;

/// What an edge is asked to do.
#[derive(Debug)]
pub enum Deed {
    /// Connect, send, close or fetch at the venue.
    Feed(ingest::Deed),
    /// Run a model.
    Infer(InferenceRequest),
    /// Miner `miner` (its index) seals a forecast: sign and submit.
    Commit {
        /// Index of the miner in the plan.
        miner: usize,
        /// The question.
        question: QuestionId,
        /// The forecast.
        forecast: Forecast,
    },
    /// Miner `miner` opens its forecast: sign and submit.
    Reveal {
        /// Index of the miner in the plan.
        miner: usize,
        /// The question.
        question: QuestionId,
        /// The forecast.
        forecast: Forecast,
    },
    /// Validator `validator` (its index) reports how a market ended: sign and submit.
    Report {
        /// Index of the validator in the plan.
        validator: usize,
        /// What it says.
        draft: ReportDraft,
    },
    /// Validator `validator` signs an epoch's root.
    Vote {
        /// Index of the validator in the plan.
        validator: usize,
        /// The epoch.
        epoch: u64,
        /// The root.
        root: [u8; 32],
    },
    /// Subscribers must hear of this.
    Push(Arc<Push>),
    /// Miners that run elsewhere may look at the board.
    Ring,
    /// A verdict of another process came: whoever waits for it here must hear of it.
    Answer(Box<Verdict>),
}

/// All machines of a process; a process of one role has only some of them.
pub struct Machines {
    /// Frames to market events.
    pub feed: Option<Feed>,
    /// Opens questions.
    pub scheduler: Option<Scheduler>,
    /// One per validator: says how markets ended.
    pub resolvers: Vec<Resolver>,
    /// One per hosted miner.
    pub miners: Vec<Forecaster>,
    /// Each computes everything; the first one's verdicts are recorded.
    pub validators: Vec<Validator>,
    /// What customers see; shared with the API's readers.
    pub view: Option<SharedView>,
    /// What miners that run elsewhere may read; a memory of facts and verdicts, like the tally no part of the digest.
    pub board: Option<SharedBoard>,
    /// Counts for people; no machine and no part of the digest.
    pub tally: Tally,
}

type Out = Outbox<Deed>;

/// What a miner wants done, as a deed of the miner with this index.
fn miner_deed(miner: usize, output: ForecasterOutput) -> Option<Deed> {
    match output {
        ForecasterOutput::Infer(request) => Some(Deed::Infer(request)),
        ForecasterOutput::Commit { question, forecast } => Some(Deed::Commit { miner, question, forecast }),
        ForecasterOutput::Reveal { question, forecast } => Some(Deed::Reveal { miner, question, forecast }),
        // Nothing to do: the abstention is in the machine's state and the fee in the ledger.
        ForecasterOutput::Abstain { .. } => None,
    }
}

impl Machines {
    fn raw(&mut self, record: &Record<Raw>, out: &mut Out) {
        let Some(feed) = &mut self.feed else { return };
        let mut said = Vec::new();
        feed.apply(record, &mut said);
        for output in said {
            match output {
                FeedOutput::Market(event) => out.records.push((Stream::Market, schemas::encode(&event))),
                FeedOutput::Deed(deed) => out.deeds.push(Deed::Feed(deed)),
            }
        }
    }

    fn facts(&mut self, record: &Record<FactInput>, out: &mut Out) {
        let mut questions = Vec::new();
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.apply(record, &mut questions);
        }
        for question in questions {
            out.records.push((Stream::Intake, schemas::encode(&Intake::Question(question))));
        }
        for (validator, resolver) in self.resolvers.iter_mut().enumerate() {
            let mut drafts = Vec::new();
            resolver.apply(record, &mut drafts);
            out.deeds.extend(drafts.into_iter().map(|draft| Deed::Report { validator, draft }));
        }
    }

    fn forecast(&mut self, record: &Record<ForecasterInput>, out: &mut Out) {
        for (miner, machine) in self.miners.iter_mut().enumerate() {
            let mut said = Vec::new();
            machine.apply(record, &mut said);
            out.deeds.extend(said.into_iter().filter_map(|output| miner_deed(miner, output)));
        }
    }

    /// What the miners asked for before the process stopped and the journal has no trace of.
    pub fn due(&self) -> Vec<Deed> {
        let of = |(miner, machine): (usize, &Forecaster)| {
            machine.due().into_iter().filter_map(move |output| miner_deed(miner, output)).collect::<Vec<_>>()
        };
        self.miners.iter().enumerate().flat_map(of).collect()
    }

    fn judge(&mut self, record: &Record<Intake>, out: &mut Out) {
        for (index, validator) in self.validators.iter_mut().enumerate() {
            let mut verdicts = Vec::new();
            validator.apply(record, &mut verdicts);
            for verdict in verdicts {
                if let Verdict::EpochClosed(epoch) = &verdict {
                    out.deeds.push(Deed::Vote { validator: index, epoch: epoch.epoch, root: epoch.root });
                }
                if index == 0 {
                    out.records.push((Stream::Verdicts, schemas::encode(&verdict)));
                }
            }
        }
    }

    /// Writes a market fact on the board.
    fn post(&self, record: &Record<MarketEvent>, out: &mut Out) {
        let Some(board) = &self.board else { return };
        if board.write().expect("no reader panics while holding the board").market(record) {
            out.deeds.push(Deed::Ring);
        }
    }

    fn publish(&mut self, record: &Record<Verdict>, out: &mut Out) {
        if let Some(board) = &self.board
            && board.write().expect("no reader panics while holding the board").verdict(record)
        {
            out.deeds.push(Deed::Ring);
        }
        let Some(view) = &self.view else { return };
        let mut pushes = Vec::new();
        view.write().expect("no reader panics while holding the view").apply(record, &mut pushes);
        out.deeds.extend(pushes.into_iter().map(|push| Deed::Push(Arc::new(push))));
        if self.validators.is_empty() && is_answer(&record.body) {
            out.deeds.push(Deed::Answer(Box::new(record.body.clone())));
        }
    }

    fn intake_wake(&self) -> Option<Timestamp> {
        let resolvers = self.resolvers.iter().filter_map(Machine::wake_at);
        let miners = self.miners.iter().filter_map(Machine::wake_at);
        let validators = self.validators.iter().filter_map(Machine::wake_at);
        let scheduler = self.scheduler.iter().filter_map(Machine::wake_at);
        scheduler.chain(resolvers).chain(miners).chain(validators).min()
    }

    fn view_digest(&self) -> Option<Digest> {
        Some(self.view.as_ref()?.read().expect("no writer panics while holding the view").digest())
    }
}

/// Whether somebody may wait for this verdict on a submission.
fn is_answer(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Charged(_)
            | Verdict::MinerListed(_)
            | Verdict::ChargeRefused { .. }
            | Verdict::Accepted { .. }
            | Verdict::Rejected { .. }
    )
}

fn decode<T: for<'b> minicbor::Decode<'b, ()>>(entry: &Entry) -> Result<Record<T>, BusError> {
    let body = schemas::decode(&entry.record.body).map_err(|source| BusError::Body {
        seq: entry.record.seq,
        stream: entry.stream,
        source,
    })?;
    Ok(entry.record.with(body))
}

impl Wiring for Machines {
    type Deed = Deed;

    fn apply(&mut self, entry: &Entry, out: &mut Out) -> Result<(), BusError> {
        match entry.stream {
            Stream::Raw => self.raw(&decode(entry)?, out),
            Stream::Market => {
                let record: Record<MarketEvent> = decode(entry)?;
                self.tally.market(&record.body);
                self.post(&record, out);
                self.forecast(&record.with(ForecasterInput::Market(record.body.clone())), out);
                self.facts(
                    &Record { seq: record.seq, at: record.at, body: FactInput::Market(record.body) },
                    out,
                );
            }
            Stream::Intake => {
                let record: Record<Intake> = decode(entry)?;
                self.judge(&record, out);
                self.forecast(&record.with(ForecasterInput::Intake(record.body.clone())), out);
                self.facts(
                    &Record { seq: record.seq, at: record.at, body: FactInput::Intake(record.body) },
                    out,
                );
            }
            Stream::Verdicts => {
                let record: Record<Verdict> = decode(entry)?;
                self.tally.verdict(&record.body);
                self.publish(&record, out);
            }
            Stream::Forecasts => {
                let record: Record<InferenceResult> = decode(entry)?;
                self.forecast(&record.with(ForecasterInput::Inference(record.body.clone())), out);
            }
        }
        Ok(())
    }

    fn wake(&self) -> Option<(Timestamp, Stream)> {
        let feed = self.feed.as_ref().and_then(Machine::wake_at).map(|at| (at, Stream::Raw));
        let rest = self.intake_wake().map(|at| (at, Stream::Intake));
        feed.into_iter().chain(rest).min()
    }

    fn time_advanced(stream: Stream, to: Timestamp) -> Vec<u8> {
        match stream {
            Stream::Raw => schemas::encode(&Raw::TimeAdvanced { to }),
            _ => schemas::encode(&Intake::TimeAdvanced { to }),
        }
    }

    fn digest(&self) -> Digest {
        let mut parts: Vec<Digest> = self.feed.iter().map(Machine::digest).collect();
        parts.extend(self.scheduler.iter().map(Machine::digest));
        parts.extend(self.resolvers.iter().map(Machine::digest));
        parts.extend(self.miners.iter().map(Machine::digest));
        parts.extend(self.validators.iter().map(Machine::digest));
        parts.extend(self.view_digest());
        Digest::combine(&parts)
    }

    fn save(&self) -> Vec<(String, Vec<u8>)> {
        let mut states = Vec::new();
        states.extend(self.feed.iter().map(|m| ("feed".to_owned(), m.save())));
        states.extend(self.scheduler.iter().map(|m| ("scheduler".to_owned(), m.save())));
        states.extend(self.resolvers.iter().enumerate().map(|(i, m)| (format!("resolver.{i}"), m.save())));
        states.extend(self.miners.iter().enumerate().map(|(i, m)| (format!("miner.{i}"), m.save())));
        states.extend(self.validators.iter().enumerate().map(|(i, m)| (format!("validator.{i}"), m.save())));
        states.push(("tally".to_owned(), self.tally.save()));
        let view = |v: &SharedView| ("view".to_owned(), v.read().expect("no writer panics").save());
        states.extend(self.view.as_ref().map(view));
        let board = |b: &SharedBoard| ("board".to_owned(), b.read().expect("no writer panics").save());
        states.extend(self.board.as_ref().map(board));
        states
    }

    fn load(&mut self, states: &[(String, Vec<u8>)]) -> Result<(), BusError> {
        if let Some(machine) = &mut self.feed {
            *machine = state(states, "feed")?;
        }
        if let Some(machine) = &mut self.scheduler {
            *machine = state(states, "scheduler")?;
        }
        for (i, machine) in self.resolvers.iter_mut().enumerate() {
            *machine = state(states, &format!("resolver.{i}"))?;
        }
        for (i, machine) in self.miners.iter_mut().enumerate() {
            *machine = state(states, &format!("miner.{i}"))?;
        }
        for (i, machine) in self.validators.iter_mut().enumerate() {
            *machine = state(states, &format!("validator.{i}"))?;
        }
        self.tally = state(states, "tally")?;
        if let Some(view) = &self.view {
            *view.write().expect("no reader panics") = state(states, "view")?;
        }
        if let Some(board) = &self.board {
            *board.write().expect("no reader panics") = state(states, "board")?;
        }
        Ok(())
    }

    /// Where everything runs in one process, facts, verdicts and questions are derived, never submitted.
    fn external(entry: &Entry) -> bool {
        match entry.stream {
            Stream::Market | Stream::Verdicts => false,
            Stream::Intake => !is_question(&entry.record.body),
            Stream::Raw | Stream::Forecasts => true,
        }
    }
}

/// Whether an encoded intake record is a question, from its variant number alone.
fn is_question(body: &[u8]) -> bool {
    let mut decoder = minicbor::Decoder::new(body);
    decoder.array().is_ok() && decoder.u32().is_ok_and(|variant| variant == QUESTION)
}

/// Wire form v1's number of [`Intake::Question`].
const QUESTION: u32 = 3;

fn state<T: Snapshot>(states: &[(String, Vec<u8>)], name: &str) -> Result<T, BusError> {
    let (_, bytes) = states
        .iter()
        .find(|(n, _)| n == name)
        .ok_or_else(|| BusError::StateNames { name: name.to_owned() })?;
    T::load(bytes).map_err(|source| BusError::State { name: name.to_owned(), source })
}

/// The wiring of a kernel: the machines, and which streams come from outside.
pub trait Wired: Wiring<Deed = Deed> + Send + 'static {
    /// The machines.
    fn machines(&self) -> &Machines;
}

impl Wired for Machines {
    fn machines(&self) -> &Machines {
        self
    }
}

/// The machines of a role that hears of facts or verdicts from other processes instead of deriving them.
pub struct Remote(pub Machines);

impl Wired for Remote {
    fn machines(&self) -> &Machines {
        &self.0
    }
}

impl Wiring for Remote {
    type Deed = Deed;

    fn apply(&mut self, entry: &Entry, out: &mut Out) -> Result<(), BusError> {
        self.0.apply(entry, out)
    }

    fn wake(&self) -> Option<(Timestamp, Stream)> {
        self.0.wake()
    }

    fn time_advanced(stream: Stream, to: Timestamp) -> Vec<u8> {
        Machines::time_advanced(stream, to)
    }

    fn digest(&self) -> Digest {
        self.0.digest()
    }

    fn save(&self) -> Vec<(String, Vec<u8>)> {
        self.0.save()
    }

    fn load(&mut self, states: &[(String, Vec<u8>)]) -> Result<(), BusError> {
        self.0.load(states)
    }

    fn external(_: &Entry) -> bool {
        true
    }
}
