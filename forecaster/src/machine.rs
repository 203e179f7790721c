//! One miner as a deterministic machine: ticks and questions in, deeds out; it never runs a model or signs itself.
//!
//! A question is answered in steps that all follow from records: the question opens (`Infer`), the model's answer
//! returns (`Commit`), the commit window ends (`Reveal`), the own reveal is seen in the log (forgotten). What the
//! log says is the only truth about what was done, so after a crash [`Forecaster::due`] lists the deeds that the
//! log has no trace of.
//!
//! A copycat also listens to the other miners and counts what they seal and open by the validator's rules; a miner
//! with a model keeps nothing of them.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::inference::Answer;
use schemas::{
    BundleId, Commitment, Digest, Forecast, InferenceRequest, InferenceResult, Intake, Machine, MarketEvent,
    Question, QuestionId, Record, Reveal, Snapshot as _, Timestamp,
};

use crate::config::{MinerConfig, Strategy};
use crate::features::{FeatureSet, NoRow, Query, Stream, market};
use crate::memory::Memory;
use crate::signer;

/// What a miner reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForecasterInput {
    /// A decoded venue fact.
    Market(MarketEvent),
    /// A record everybody sees.
    Intake(Intake),
    /// A model's answer.
    Inference(InferenceResult),
}

/// What a miner wants done. Deeds, not records: replay throws them away.
#[derive(Clone, Debug, PartialEq)]
pub enum ForecasterOutput {
    /// Ask the model.
    Infer(InferenceRequest),
    /// Seal, sign and submit.
    Commit {
        /// For which question.
        question: QuestionId,
        /// What is sealed.
        forecast: Forecast,
    },
    /// Open, sign and submit.
    Reveal {
        /// For which question.
        question: QuestionId,
        /// What was sealed.
        forecast: Forecast,
    },
    /// There will be no prediction; nothing to do but count.
    Abstain {
        /// For which question.
        question: QuestionId,
        /// Why.
        reason: AbstainReason,
    },
}

/// Why a miner has no prediction for a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbstainReason {
    /// No tick of the index at or before the opening.
    NoTick,
    /// Too little history before the opening.
    ShortHistory,
    /// The newest tick was too old.
    StaleInput,
    /// This feature was NaN or infinite.
    NotFinite(&'static str),
    /// Nothing was ever seen that this feature could be computed from.
    FeatureMissing(&'static str),
    /// What this feature is computed from was too old or had holes.
    FeatureStale(&'static str),
    /// The history did not reach back over this feature's window.
    FeatureShortHistory(&'static str),
    /// This feature was outside its legal range.
    OutOfRange(&'static str),
    /// The question is about another index.
    WrongSymbol,
    /// The record came outside the commit window.
    WindowClosed,
    /// Too many questions are open.
    TooManyOpen,
    /// The model's answer did not come within the commit window.
    LateInference,
    /// The model failed with this code.
    ModelFailed(String),
    /// The model's answer is no probability.
    InvalidForecast,
}

impl AbstainReason {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoTick => "no_tick",
            Self::ShortHistory => "short_history",
            Self::StaleInput => "stale_input",
            Self::NotFinite(_) => "feature_not_finite",
            Self::FeatureMissing(_) => "feature_missing",
            Self::FeatureStale(_) => "feature_stale",
            Self::FeatureShortHistory(_) => "feature_short_history",
            Self::OutOfRange(_) => "feature_out_of_range",
            Self::WrongSymbol => "wrong_symbol",
            Self::WindowClosed => "window_closed",
            Self::TooManyOpen => "too_many_open",
            Self::LateInference => "late_inference",
            Self::ModelFailed(_) => "model_failed",
            Self::InvalidForecast => "invalid_forecast",
        }
    }
}

impl AbstainReason {
    /// Why a set gave no row.
    pub fn no_row(no: NoRow, set: &FeatureSet) -> Self {
        let feature = no.feature(set).unwrap_or("unknown");
        match no {
            NoRow::NoTick => Self::NoTick,
            NoRow::ShortHistory => Self::ShortHistory,
            NoRow::StaleInput => Self::StaleInput,
            NoRow::NotFinite(_) => Self::NotFinite(feature),
            NoRow::Missing(_) => Self::FeatureMissing(feature),
            NoRow::Stale(_) => Self::FeatureStale(feature),
            NoRow::TooShort(_) => Self::FeatureShortHistory(feature),
            NoRow::OutOfRange(_) => Self::OutOfRange(feature),
        }
    }

    /// The feature it names, if it names one.
    pub const fn feature(&self) -> Option<&'static str> {
        match self {
            Self::NotFinite(name)
            | Self::FeatureMissing(name)
            | Self::FeatureStale(name)
            | Self::FeatureShortHistory(name)
            | Self::OutOfRange(name) => Some(name),
            _ => None,
        }
    }
}

/// What was dropped, by kind; bounds are kept by dropping, and every drop is counted here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counters {
    /// Ticks older than the newest.
    #[n(0)]
    pub ticks_out_of_order: u64,
    /// Ticks whose value is not positive.
    #[n(1)]
    pub ticks_not_positive: u64,
    /// Ticks that had to go although they were still in the lookback.
    #[n(2)]
    pub ticks_evicted: u64,
    /// Answers that nobody waits for.
    #[n(3)]
    pub answers_unasked: u64,
    /// Questions that are open already.
    #[n(4)]
    pub questions_repeated: u64,
    /// Miners, markets and questions a copycat had no room to remember.
    #[n(5)]
    pub reveals_forgotten: u64,
}

/// How far an open question is.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
enum Phase {
    /// The model was asked with this row.
    #[n(0)]
    Asked(#[n(0)] Vec<f32>),
    /// The forecast is sealed; `true` once the own commitment was seen in the log.
    #[n(1)]
    Committed(#[n(0)] Forecast, #[n(1)] bool),
    /// The forecast is opened; waiting to see the own reveal in the log.
    #[n(2)]
    Revealed(#[n(0)] Forecast),
}

/// A question this miner is answering.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Open {
    #[n(0)]
    commit_closes_at: Timestamp,
    #[n(1)]
    reveal_closes_at: Timestamp,
    #[n(2)]
    phase: Phase,
}

/// One miner.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Forecaster {
    #[n(0)]
    config: MinerConfig,
    #[n(1)]
    stream: Stream,
    #[n(2)]
    open: BTreeMap<QuestionId, Open>,
    #[n(3)]
    memory: Memory,
    #[n(4)]
    counters: Counters,
}

impl Forecaster {
    /// A miner that has seen nothing.
    pub fn new(config: MinerConfig) -> Self {
        Self {
            stream: Stream::new(config.feature_set(), config.max_ticks),
            memory: Memory::new(config.max_remembered),
            config,
            open: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    /// Who this is and how it works.
    pub const fn config(&self) -> &MinerConfig {
        &self.config
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        Counters { reveals_forgotten: self.memory.dropped(), ..self.counters.clone() }
    }

    /// What the feature state had no room for; all zero for `updown-1`, whose drops are in [`Forecaster::counters`].
    pub fn feature_counts(&self) -> market::Counts {
        match &self.stream {
            Stream::UpDown(_) => market::Counts::default(),
            Stream::Market(state) => state.counts(),
        }
    }

    /// The bundle that commitments and reveals name; all zero for a miner that runs no model.
    pub fn bundle(&self) -> BundleId {
        match self.config.strategy {
            Strategy::Model { bundle } => bundle,
            Strategy::Copycat => BundleId::default(),
        }
    }

    /// Deeds that were asked for and that the log has no trace of, in the order of their questions.
    ///
    /// For start-up: a crash may come after the record and before the deed, and replay throws deeds away. Doing
    /// one twice is harmless: commitment and reveal are the same bytes again.
    pub fn due(&self) -> Vec<ForecasterOutput> {
        let deed = |(question, open): (&QuestionId, &Open)| match &open.phase {
            Phase::Asked(row) => Some(ForecasterOutput::Infer(self.request(*question, row.clone()))),
            Phase::Committed(forecast, false) => {
                Some(ForecasterOutput::Commit { question: *question, forecast: forecast.clone() })
            }
            Phase::Committed(_, true) => None,
            Phase::Revealed(forecast) => {
                Some(ForecasterOutput::Reveal { question: *question, forecast: forecast.clone() })
            }
        };
        self.open.iter().filter_map(deed).collect()
    }

    fn request(&self, question: QuestionId, row: Vec<f32>) -> InferenceRequest {
        InferenceRequest { miner: self.config.miner, question, bundle: self.bundle(), row }
    }

    /// What is due by `now`: reveals, answers that came too late, questions that are over.
    fn advance(&mut self, now: Timestamp, out: &mut Vec<ForecasterOutput>) {
        self.memory.expire(now);
        self.open.retain(|question, open| {
            if now >= open.commit_closes_at {
                match &open.phase {
                    Phase::Asked(_) => {
                        out.push(abstain(*question, AbstainReason::LateInference));
                        return false;
                    }
                    Phase::Committed(forecast, _) => {
                        let forecast = forecast.clone();
                        out.push(ForecasterOutput::Reveal {
                            question: *question,
                            forecast: forecast.clone(),
                        });
                        open.phase = Phase::Revealed(forecast);
                    }
                    Phase::Revealed(_) => {}
                }
            }
            now < open.reveal_closes_at
        });
    }

    fn market(&mut self, at: Timestamp, event: &MarketEvent) {
        let symbol = match event {
            MarketEvent::Tick(tick) => &tick.symbol,
            MarketEvent::Listed(market) => &market.symbol,
            _ => &self.config.symbol,
        };
        if *symbol != self.config.symbol {
            return;
        }
        let drops = self.stream.apply(at, event);
        self.counters.ticks_out_of_order += drops.out_of_order;
        self.counters.ticks_not_positive += drops.not_positive;
        self.counters.ticks_evicted += drops.evicted;
    }

    fn intake(&mut self, at: Timestamp, intake: &Intake, out: &mut Vec<ForecasterOutput>) {
        match intake {
            Intake::Question(q) if self.config.covers(&q.topic) => {
                self.question(at, q, out);
            }
            Intake::Commitment(c) if c.miner == self.config.miner => self.seen_own_commitment(c),
            Intake::Reveal(r) if r.miner == self.config.miner => self.seen_own_reveal(r),
            _ => {}
        }
        if self.config.strategy == Strategy::Copycat {
            self.listen(at, intake);
        }
    }

    /// What a copycat takes in about the others. It is no member in its own memory, so it never counts itself.
    fn listen(&mut self, at: Timestamp, intake: &Intake) {
        match intake {
            Intake::Genesis(rules) => self.memory.genesis(rules),
            Intake::Miner(joined) if joined.miner != self.config.miner => self.memory.join(joined.miner),
            Intake::Question(q) if self.config.covers(&q.topic) => self.memory.question(q),
            Intake::Commitment(c) => self.memory.commitment(at, c),
            Intake::Reveal(r) => self.memory.reveal(at, r),
            _ => {}
        }
    }

    /// The log has the commitment. Anybody can put this miner's name on a record, so the signature is looked at.
    fn seen_own_commitment(&mut self, c: &Commitment) {
        if let Some(Open { phase: Phase::Committed(_, seen), .. }) = self.open.get_mut(&c.question) {
            *seen = *seen || signer::is_signed(c);
        }
    }

    /// The last step: the log has the reveal, so the question can be forgotten.
    fn seen_own_reveal(&mut self, r: &Reveal) {
        let mine = |o: &Open| matches!(&o.phase, Phase::Revealed(forecast) if *forecast == r.forecast);
        if self.open.get(&r.question).is_some_and(mine) {
            self.open.remove(&r.question);
        }
    }

    fn question(&mut self, at: Timestamp, q: &Question, out: &mut Vec<ForecasterOutput>) {
        if self.open.contains_key(&q.id) {
            self.counters.questions_repeated += 1;
            return;
        }
        match self.answer(at, q) {
            Err(reason) => out.push(abstain(q.id, reason)),
            Ok((phase, deed)) => {
                out.push(deed);
                let (commit_closes_at, reveal_closes_at) = (q.commit_closes_at, q.reveal_closes_at);
                self.open.insert(q.id, Open { commit_closes_at, reveal_closes_at, phase });
            }
        }
    }

    /// The first step of an answer, or why there is none.
    fn answer(&mut self, at: Timestamp, q: &Question) -> Result<(Phase, ForecasterOutput), AbstainReason> {
        if q.symbol != self.config.symbol {
            return Err(AbstainReason::WrongSymbol);
        }
        if at < q.opens_at || at >= q.commit_closes_at {
            return Err(AbstainReason::WindowClosed);
        }
        if self.open.len() >= self.config.max_open as usize {
            return Err(AbstainReason::TooManyOpen);
        }
        match self.config.strategy {
            Strategy::Model { .. } => {
                let set = self.stream.set();
                let mut row = vec![0.0; set.width()];
                self.stream
                    .row(&Query::from(q), q.opens_at, &self.config.gate(), &mut row)
                    .map_err(|no| AbstainReason::no_row(no, set))?;
                let deed = ForecasterOutput::Infer(self.request(q.id, row.clone()));
                Ok((Phase::Asked(row), deed))
            }
            Strategy::Copycat => {
                let p = self.memory.mean(&q.market).unwrap_or(q.reference);
                let forecast = Forecast::Probability(p);
                let deed = ForecasterOutput::Commit { question: q.id, forecast: forecast.clone() };
                Ok((Phase::Committed(forecast, false), deed))
            }
        }
    }

    fn inference(&mut self, result: &InferenceResult, out: &mut Vec<ForecasterOutput>) {
        let mine = result.miner == self.config.miner && result.bundle == self.bundle();
        let open = self.open.get_mut(&result.question).filter(|o| mine && matches!(o.phase, Phase::Asked(_)));
        let Some(open) = open else {
            self.counters.answers_unasked += u64::from(result.miner == self.config.miner);
            return;
        };
        let question = result.question;
        let reason = match &result.answer {
            Answer::Probability(p) if p.is_valid() => {
                let forecast = Forecast::Probability(*p);
                open.phase = Phase::Committed(forecast.clone(), false);
                out.push(ForecasterOutput::Commit { question, forecast });
                return;
            }
            Answer::Probability(_) => AbstainReason::InvalidForecast,
            Answer::Failed(code) => AbstainReason::ModelFailed(code.clone()),
        };
        self.open.remove(&question);
        out.push(abstain(question, reason));
    }
}

impl Machine for Forecaster {
    type Input = ForecasterInput;
    type Output = ForecasterOutput;

    fn apply(&mut self, record: &Record<ForecasterInput>, out: &mut Vec<ForecasterOutput>) {
        let now = match &record.body {
            ForecasterInput::Intake(Intake::TimeAdvanced { to }) => record.at.max(*to),
            _ => record.at,
        };
        self.advance(now, out);
        match &record.body {
            ForecasterInput::Market(event) => self.market(record.at, event),
            ForecasterInput::Intake(intake) => self.intake(now, intake, out),
            ForecasterInput::Inference(result) => self.inference(result, out),
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let waits = |o: &&Open| !matches!(o.phase, Phase::Revealed(_));
        self.open.values().filter(waits).map(|o| o.commit_closes_at).min()
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}

fn abstain(question: QuestionId, reason: AbstainReason) -> ForecasterOutput {
    ForecasterOutput::Abstain { question, reason }
}
