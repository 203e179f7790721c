//! The loop of a remote miner: what is heard goes to the machine, what the machine wants is done; it judges nothing.

#![allow(clippy::disallowed_methods, reason = "an edge: it starts tasks and reads a clock")]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::inference::Answer;
use schemas::public;
use schemas::{
    Commitment, Forecast, InferenceResult, Intake, Machine as _, MarketEvent, Question, QuestionId, Record,
    Reveal, Timestamp,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::book::{Book, Promise, Stage, Step};
use super::convert;
use super::feed::{self, Heard};
use super::journal::{Journal, KEPT};
use super::rest::{Failure, Rest};
use super::status::{Event, Status};
use super::submit::{Outcome, Paper, hand_in};
use crate::config::MinerConfig;
use crate::edge::Lane;
use crate::error::ForecasterError;
use crate::machine::{AbstainReason, Forecaster, ForecasterInput, ForecasterOutput};
use crate::signer::MinerKey;

/// Things heard that may wait.
const HEARD: usize = 1_024;
/// Answers of the model that may wait; never fewer than questions may be open.
const ANSWERS: usize = 1_024;
/// Indices listened to; those beyond are not heard.
const INDICES: usize = 256;
/// How often the own record is read.
const LOOK: Duration = Duration::from_secs(5);
/// The longest sleep: the node's clock may run faster than ours.
const NAP: Duration = Duration::from_millis(50);

/// What a remote miner is told.
pub struct RemoteConfig {
    /// The node.
    pub rest: Rest,
    /// The miner's key.
    pub key: MinerKey,
    /// Who it is and what it answers; its bundle must be in the lane.
    pub miner: MinerConfig,
    /// The journal of promises.
    pub journal: PathBuf,
}

/// Where answers of the model come back.
pub type Answers = mpsc::Receiver<InferenceResult>;

/// Hears what happens.
pub type Sink = Box<dyn FnMut(Option<&Event>, &Status) + Send>;

/// A question that was heard in this run.
struct Asked {
    since: Instant,
    commit_closes_at: Timestamp,
    reveal_closes_at: Timestamp,
}

/// A miner that runs beside nobody.
pub struct RemoteMiner {
    rest: Rest,
    key: Arc<MinerKey>,
    machine: Forecaster,
    lane: Arc<Lane>,
    answers: Answers,
    journal: Journal,
    book: Book,
    network: Option<[u8; 32]>,
    papers: JoinSet<Outcome>,
    look: JoinSet<Result<public::Miner, Failure>>,
    asked: BTreeMap<QuestionId, Asked>,
    status: Status,
    sink: Sink,
    /// The time of the newest record; it never goes back.
    at: Timestamp,
    seq: u64,
    /// The newest value of each index.
    newest: BTreeMap<String, Timestamp>,
}

impl RemoteMiner {
    /// The queue between a lane and its miner: give the sender to [`RemoteMiner::answering`].
    pub fn answers() -> (mpsc::Sender<InferenceResult>, Answers) {
        mpsc::channel(ANSWERS)
    }

    /// What a lane does with its answers: it waits for room, which is there, because open questions are bounded.
    pub fn answering(sender: mpsc::Sender<InferenceResult>) -> crate::edge::lane::OnResult {
        Box::new(move |result| {
            if sender.blocking_send(result).is_err() {
                tracing::debug!("an answer came after the miner stopped");
            }
        })
    }

    /// Opens the journal; nothing is sent yet.
    pub fn new(
        config: RemoteConfig,
        lane: Arc<Lane>,
        answers: Answers,
        sink: Sink,
    ) -> Result<Self, ForecasterError> {
        let RemoteConfig { rest, key, miner, journal } = config;
        let journal = Journal::open(&journal, key.id())?;
        let book = Book::new(KEPT, journal.promises());
        let machine = Forecaster::new(miner);
        let status = Status {
            miner: key.id().to_string(),
            bundle: machine.bundle().to_string(),
            open: book.open(),
            ..Status::default()
        };
        Ok(Self {
            rest,
            key: Arc::new(key),
            machine,
            lane,
            answers,
            journal,
            book,
            network: None,
            papers: JoinSet::new(),
            look: JoinSet::new(),
            asked: BTreeMap::new(),
            status,
            sink,
            at: Timestamp::ZERO,
            seq: 0,
            newest: BTreeMap::new(),
        })
    }

    /// Runs until told to stop; returns the last status. An error is one that waiting does not cure: the journal's disk,
    /// or a key that the node does not take any more.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Status, ForecasterError> {
        let (tx, mut heard) = mpsc::channel(HEARD);
        let listener = tokio::spawn(feed::listen(self.rest.clone(), self.machine.config().miner, tx));
        let mut look = tokio::time::interval(LOOK);
        tokio::pin!(stop);
        let ended = loop {
            let nap = self.nap();
            tokio::select! {
                () = &mut stop => break Ok(()),
                Some(outcome) = self.papers.join_next() => match outcome {
                    Ok(outcome) => if let Err(error) = self.handed_in(outcome) { break Err(error) },
                    Err(error) => tracing::error!(%error, "a submission ended badly"),
                },
                Some(result) = self.answers.recv() => if let Err(error) = self.feed(ForecasterInput::Inference(result)) { break Err(error) },
                Some(news) = heard.recv() => if let Err(error) = self.hear(news) { break Err(error) },
                Some(Ok(record)) = self.look.join_next() => self.looked(record),
                _ = look.tick() => self.look_at_record(),
                () = tokio::time::sleep(nap) => {}
            }
            if let Err(error) = self.work() {
                break Err(error);
            }
        };
        listener.abort();
        ended.map(|()| self.status)
    }

    fn hear(&mut self, news: Heard) -> Result<(), ForecasterError> {
        match news {
            Heard::Connected(network) => {
                self.network = convert::hash(&network.hash);
                self.status.network.clone_from(&network.name);
                self.status.connected = true;
                self.status.connections += 1;
                self.tell(&Event::Connected { network: network.name });
                self.look_at_record();
                Ok(())
            }
            Heard::Lost(reason) => {
                self.status.connected = false;
                self.tell(&Event::Lost { reason: reason.clone() });
                refused_key(&reason)
            }
            Heard::Fact(at, event) => {
                self.status.facts += 1;
                self.at = self.at.max(at);
                if let MarketEvent::Tick(tick) = &event
                    && !self.is_news(&tick.symbol, tick.feed_at)
                {
                    return Ok(());
                }
                self.feed(ForecasterInput::Market(event))
            }
            Heard::Question(question) => self.question(*question),
            Heard::Verdict(verdict) => {
                self.verdict(*verdict);
                Ok(())
            }
            Heard::Strange => {
                self.status.strange += 1;
                Ok(())
            }
        }
    }

    /// Whether a value of an index is newer than those heard: after a new connection some come again.
    fn is_news(&mut self, symbol: &str, feed_at: Timestamp) -> bool {
        let known = self.newest.get(symbol).copied();
        let room = known.is_some() || self.newest.len() < INDICES;
        if !room || known.is_some_and(|newest| feed_at <= newest) {
            return false;
        }
        self.newest.insert(symbol.to_owned(), feed_at);
        true
    }

    /// A question that has a promise already is not asked again: the first forecast stands.
    fn question(&mut self, question: Question) -> Result<(), ForecasterError> {
        let known = self.asked.contains_key(&question.id) || self.book.get(&question.id).is_some();
        let now = self.now();
        if known || !self.machine.config().covers(&question.topic) || now >= question.commit_closes_at {
            return Ok(());
        }
        let budget_ms = question.commit_closes_at.since(now) / schemas::time::NANOS_PER_MILLI;
        self.status.questions += 1;
        self.status.budget_ms = Some(budget_ms);
        self.asked.retain(|_, asked| now < asked.reveal_closes_at);
        let asked = Asked {
            since: Instant::now(),
            commit_closes_at: question.commit_closes_at,
            reveal_closes_at: question.reveal_closes_at,
        };
        self.asked.insert(question.id, asked);
        let (id, topic) = (question.id.to_string(), question.topic.to_string());
        self.tell(&Event::Question { question: id, topic, budget_ms });
        self.feed(ForecasterInput::Intake(Intake::Question(question)))
    }

    /// Gives the machine a record and does what it wants.
    fn feed(&mut self, body: ForecasterInput) -> Result<(), ForecasterError> {
        let mut waiting = vec![body];
        while let Some(body) = waiting.pop() {
            self.seq += 1;
            let record = Record { seq: self.seq, at: self.now(), body };
            let mut said = Vec::new();
            self.machine.apply(&record, &mut said);
            for output in said {
                match output {
                    ForecasterOutput::Infer(request) => {
                        let (miner, question, bundle) = (request.miner, request.question, request.bundle);
                        if let Err(error) = self.lane.submit(request) {
                            let answer = Answer::Failed(error.code().to_owned());
                            waiting.push(ForecasterInput::Inference(InferenceResult {
                                miner,
                                question,
                                bundle,
                                answer,
                            }));
                        }
                    }
                    ForecasterOutput::Commit { question, forecast } => self.seal(question, &forecast)?,
                    // The book knows better: it has the promises of before a restart too.
                    ForecasterOutput::Reveal { .. } => {}
                    ForecasterOutput::Abstain { question, reason } => self.abstain(question, &reason),
                }
            }
        }
        Ok(())
    }

    /// On disk before anything is sent.
    fn seal(&mut self, question: QuestionId, forecast: &Forecast) -> Result<(), ForecasterError> {
        let (Some(asked), Forecast::Probability(p)) = (self.asked.get(&question), forecast) else {
            return Ok(());
        };
        let promise = Promise {
            question,
            commit_closes_at: asked.commit_closes_at,
            reveal_closes_at: asked.reveal_closes_at,
            bundle: self.machine.bundle(),
            p: *p,
            stage: Stage::Sealed,
        };
        if self.book.seal(promise.clone()) {
            self.journal.seal(&promise)?;
            self.tell(&Event::Sealed { question: question.to_string(), p_ppm: p.0 });
        }
        Ok(())
    }

    fn abstain(&mut self, question: QuestionId, reason: &AbstainReason) {
        let code = match reason {
            AbstainReason::ModelFailed(code) => code.clone(),
            other => other.code().to_owned(),
        };
        *self.status.abstained.entry(code.clone()).or_default() += 1;
        self.tell(&Event::Abstained { question: question.to_string(), code });
    }

    /// What time alone brings about, and what is to be sent.
    fn work(&mut self) -> Result<(), ForecasterError> {
        let to = self.now();
        if self.machine.wake_at().is_some_and(|at| at <= to) {
            self.feed(ForecasterInput::Intake(Intake::TimeAdvanced { to }))?;
        }
        let Some(network) = self.network else { return Ok(()) };
        for step in self.book.due(to) {
            match step {
                Step::Commit(question) => self.send(&network, question, false),
                Step::Reveal(question) => self.send(&network, question, true),
                Step::Drop(question) => self.drop_promise(question, "window_closed")?,
            }
        }
        self.status.open = self.book.open();
        Ok(())
    }

    /// Signs and sends; the same promise gives the same bytes every time.
    fn send(&mut self, network: &[u8; 32], question: QuestionId, open: bool) {
        let Some(promise) = self.book.get(&question) else { return };
        let forecast = Forecast::Probability(promise.p);
        let (paper, until) = if open {
            let reveal: Reveal = self.key.reveal(network, promise.bundle, question, &forecast);
            (Paper::Reveal(reveal), promise.reveal_closes_at)
        } else {
            let commitment: Commitment = self.key.commit(network, promise.bundle, question, &forecast);
            (Paper::Commitment(commitment), promise.commit_closes_at)
        };
        self.papers.spawn(hand_in(self.rest.clone(), paper, until));
    }

    fn handed_in(&mut self, outcome: Outcome) -> Result<(), ForecasterError> {
        let Outcome { question, stage, failed, attempts } = outcome;
        self.book.idle(&question, stage);
        match failed {
            None => self.acknowledged(question, stage, attempts),
            // An earlier attempt may have arrived all the same: the reveal will tell.
            Some(failure) if failure.code() == "commit_too_late" => {
                let over = self.book.get(&question).map_or(self.at, |p| p.commit_closes_at);
                self.at = self.at.max(over);
                Ok(())
            }
            Some(failure) if failure.is_passing() => Ok(()),
            Some(Failure::Refused { status: status @ (401 | 403), code, detail }) if code != "no_stake" => {
                Err(ForecasterError::ApiRefused { status, code, detail })
            }
            Some(failure) => self.drop_promise(question, failure.code()),
        }
    }

    fn acknowledged(
        &mut self,
        question: QuestionId,
        stage: Stage,
        attempts: u32,
    ) -> Result<(), ForecasterError> {
        if !self.book.advance(&question, stage) {
            return Ok(());
        }
        self.journal.advance(&question, stage, None)?;
        let name = question.to_string();
        if stage == Stage::Revealed {
            self.status.revealed += 1;
            self.tell(&Event::Revealed { question: name, attempts });
            return Ok(());
        }
        let latency = self.asked.get(&question).map(|asked| asked.since.elapsed());
        let latency_ms = latency.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        self.status.committed += 1;
        self.status.latency_ms = latency_ms.or(self.status.latency_ms);
        self.status.latency_max_ms = self.status.latency_max_ms.max(latency_ms);
        self.tell(&Event::Committed { question: name, latency_ms, attempts });
        Ok(())
    }

    fn drop_promise(&mut self, question: QuestionId, code: &str) -> Result<(), ForecasterError> {
        if self.book.advance(&question, Stage::Dropped) {
            self.journal.advance(&question, Stage::Dropped, Some(code))?;
            *self.status.dropped.entry(code.to_owned()).or_default() += 1;
            self.tell(&Event::Dropped { question: question.to_string(), code: code.to_owned() });
        }
        Ok(())
    }

    fn verdict(&mut self, verdict: public::MinerVerdict) {
        let question = verdict.question.unwrap_or_default();
        let event = match verdict.what.as_str() {
            "registration" => Event::Registered,
            "score" => {
                let (score, reference_score) = (verdict.score, verdict.reference_score);
                Event::Scored { question, code: verdict.code, score, reference_score }
            }
            "settlement" => Event::Settled {
                question,
                delta: verdict.delta.unwrap_or_default(),
                stake: verdict.stake.unwrap_or_default(),
            },
            // The answers to the own submissions say the same.
            _ => return,
        };
        self.tell(&event);
        self.look_at_record();
    }

    /// Reads the own record, unless it is being read.
    fn look_at_record(&mut self) {
        if self.status.connected && self.look.is_empty() {
            let (rest, miner) = (self.rest.clone(), self.machine.config().miner);
            self.look.spawn(async move { rest.miner(&miner).await });
        }
    }

    fn looked(&mut self, record: Result<public::Miner, Failure>) {
        match record {
            Ok(record) => self.status.record = Some(record),
            Err(failure) => tracing::debug!(code = failure.code(), "the own record could not be read"),
        }
        (self.sink)(None, &self.status);
    }

    fn tell(&mut self, event: &Event) {
        (self.sink)(Some(event), &self.status);
    }

    /// The node's time; never goes back.
    fn now(&mut self) -> Timestamp {
        if let Some(now) = self.rest.clock().now() {
            self.at = self.at.max(now);
        }
        self.at
    }

    /// Until something is due by the clock alone.
    fn nap(&mut self) -> Duration {
        let now = self.now();
        let due = self.machine.wake_at().into_iter().chain(self.book.wake_at(now)).min();
        let left = due.map_or(i64::MAX, |at| at.since(now).max(1_000_000));
        NAP.min(Duration::from_nanos(u64::try_from(left).unwrap_or(0)))
    }
}

/// A key that the node does not take is not cured by waiting.
fn refused_key(reason: &str) -> Result<(), ForecasterError> {
    for (status, code) in [(401, "unauthenticated"), (403, "scope_missing")] {
        if reason.contains(&format!("HTTP error: {status}")) {
            let (code, detail) = (code.to_owned(), "the node does not take this API key any more".to_owned());
            return Err(ForecasterError::ApiRefused { status, code, detail });
        }
    }
    Ok(())
}
