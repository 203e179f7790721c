//! Watches the records of a run and fills the tables; never changes or orders anything.

use std::collections::BTreeMap;

use schemas::verdict::What;
use schemas::{
    Asset, Determination, Entry, Forecast, Intake, Question, QuestionId, Record, Reveal, Score, ScoreStatus,
    Signal, Stream, Txn, Verdict,
};

use crate::error::BacktestError;
use crate::tables::{LedgerRow, PredictionRow, QuestionRow, ScoreRow, SignalRow, Tables};

/// Fills [`Tables`] from the intake and verdict records of a run, in order.
#[derive(Debug, Default)]
pub struct Collector {
    tables: Tables,
    questions: BTreeMap<QuestionId, usize>,
    open: BTreeMap<String, Vec<usize>>,
    signals: BTreeMap<QuestionId, usize>,
    committed: BTreeMap<(QuestionId, schemas::MinerId), i64>,
    reveal: Option<(i64, Reveal)>,
    scores: BTreeMap<(QuestionId, schemas::MinerId), usize>,
}

impl Collector {
    /// An empty collector.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one record.
    ///
    /// # Errors
    /// `body_malformed` when the record is not wire form v1.
    pub fn observe(&mut self, entry: &Entry) -> Result<(), BacktestError> {
        let bad = |source| BacktestError::Body { seq: entry.record.seq, stream: entry.stream.name(), source };
        match entry.stream {
            Stream::Intake => {
                let body = schemas::decode(&entry.record.body).map_err(bad)?;
                self.intake(&entry.record.with(body));
            }
            Stream::Verdicts => {
                let body = schemas::decode(&entry.record.body).map_err(bad)?;
                self.verdict(&entry.record.with(body));
            }
            Stream::Raw | Stream::Market | Stream::Forecasts => {}
        }
        Ok(())
    }

    /// The tables.
    pub fn finish(self) -> Tables {
        self.tables
    }

    fn intake(&mut self, record: &Record<Intake>) {
        // A reveal counts once the validator has admitted it: its verdict follows right after.
        if let Intake::Reveal(reveal) = &record.body {
            self.reveal = Some((record.at.0, reveal.clone()));
        }
    }

    fn verdict(&mut self, record: &Record<Verdict>) {
        match &record.body {
            Verdict::MinerListed(m) => {
                self.tables.miners.insert(m.miner.to_string(), (m.name.clone(), m.kind.clone()));
            }
            Verdict::QuestionOpened(question) => self.opened(question),
            Verdict::Accepted { what: What::Commitment, miner: Some(miner), question: Some(question) } => {
                self.committed.insert((*question, *miner), record.at.0);
            }
            Verdict::Accepted { what: What::Reveal, .. } => self.revealed(),
            Verdict::Signal(signal) => self.signal(signal),
            Verdict::Resolved { market, determination, .. } => {
                self.resolved(&market.to_string(), determination);
            }
            Verdict::Scored(score) => self.scored(score),
            Verdict::Settled(settlement) => {
                if let Some(&row) = self.scores.get(&(settlement.question, settlement.miner)) {
                    self.tables.scores[row].delta_micros = settlement.delta.0;
                    self.tables.scores[row].stake_after_micros = Some(settlement.stake_after.0);
                }
            }
            Verdict::Posted(txn) => self.posted(record.seq, record.at.0, txn),
            _ => {}
        }
    }

    fn opened(&mut self, question: &Question) {
        let row = self.tables.questions.len();
        self.questions.insert(question.id, row);
        self.open.entry(question.market.to_string()).or_default().push(row);
        self.tables.questions.push(QuestionRow {
            question: question.id.to_string(),
            topic: question.topic.to_string(),
            market: question.market.to_string(),
            opens_at: question.opens_at.0,
            resolves_at: question.resolves_at.0,
            strike: question.strike.to_string(),
            reference_ppm: question.reference.0,
            market_mid_ppm: question.market_mid.map(|p| p.0),
            outcome: None,
        });
    }

    fn revealed(&mut self) {
        let Some((at, reveal)) = self.reveal.take() else { return };
        let Forecast::Probability(p) = reveal.forecast else { return };
        self.tables.predictions.push(PredictionRow {
            question: reveal.question.to_string(),
            miner: reveal.miner.to_string(),
            bundle: reveal.bundle.to_string(),
            p_ppm: p.0,
            committed_at: self.committed.remove(&(reveal.question, reveal.miner)),
            revealed_at: at,
        });
    }

    fn signal(&mut self, signal: &Signal) {
        self.signals.insert(signal.question, self.tables.signals.len());
        self.tables.signals.push(SignalRow {
            signal: signal.id.to_string(),
            question: signal.question.to_string(),
            topic: signal.topic.to_string(),
            topic_seq: signal.topic_seq,
            issued_at: signal.issued_at.0,
            slot: signal.slot.0,
            p_ppm: signal.p.0,
            reference_ppm: signal.reference.0,
            dispersion_ppm: signal.dispersion.0,
            market_mid_ppm: signal.market_view.as_ref().map(|m| m.mid.0),
            contributors: signal.contributors.len() as u32,
            up: None,
        });
    }

    fn resolved(&mut self, market: &str, determination: &Determination) {
        let word = match determination {
            Determination::Determined { up: true, .. } => "up",
            Determination::Determined { up: false, .. } => "down",
            Determination::Void(reason) => reason.code(),
        };
        for row in self.open.remove(market).unwrap_or_default() {
            self.tables.questions[row].outcome = Some(word.to_owned());
        }
    }

    fn scored(&mut self, score: &Score) {
        if let Some(&row) = self.signals.get(&score.question) {
            self.tables.signals[row].up = score.up;
        }
        self.scores.insert((score.question, score.miner), self.tables.scores.len());
        self.tables.scores.push(ScoreRow {
            question: score.question.to_string(),
            topic: score.topic.to_string(),
            miner: score.miner.to_string(),
            status: match score.status {
                ScoreStatus::Scored => "scored",
                ScoreStatus::Missing => "missing",
                ScoreStatus::Void => "void",
            },
            p_ppm: score.p.map(|p| p.0),
            score_q32: score.score.0,
            reference_q32: score.reference.0,
            up: score.up,
            delta_micros: 0,
            stake_after_micros: None,
        });
    }

    fn posted(&mut self, seq: u64, at: i64, txn: &Txn) {
        let legs = txn.postings.iter().map(|leg| LedgerRow {
            seq,
            at,
            txn: txn.id.to_string(),
            kind: format!("{:?}", txn.kind).to_lowercase(),
            account: leg.account.to_string(),
            asset: match leg.asset {
                Asset::Usd => "usd",
                Asset::Stake => "stake",
            },
            amount_micros: leg.amount.0,
        });
        self.tables.ledger.extend(legs);
    }
}
