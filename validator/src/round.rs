//! One question from its opening to its settlement: who is at risk, who sealed, who revealed; it never scores.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{
    CommitHash, Commitment, Micros, MinerId, NoSignalReason, Ppm, Q32, Question, QuestionId, Reveal,
    ScoringRule, Timestamp, Verdict,
};

use crate::accounts::Offer;
use crate::admit::Admitted;
use crate::blend;
use crate::limits::RESOLUTION_WINDOW_NS;
use crate::validator::Validator;
use crate::weights::Voice;

/// One miner's part in a question.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Entry {
    /// The snapshot taken when the question opened.
    #[n(0)]
    pub(crate) at_risk: Micros,
    /// Its first admitted commitment.
    #[n(1)]
    pub(crate) seal: Option<CommitHash>,
    /// What it revealed.
    #[n(2)]
    pub(crate) p: Option<Ppm>,
}

/// An open question with the rules that were in force when it opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Round {
    #[n(0)]
    pub(crate) question: Question,
    /// The epoch that budgets it.
    #[n(1)]
    pub(crate) epoch: u64,
    #[n(2)]
    pub(crate) scoring: ScoringRule,
    #[n(3)]
    pub(crate) missing_fee: Ppm,
    /// `kappa * w_q`: the largest loss as a part of the stake at risk.
    #[n(4)]
    pub(crate) rate: Q32,
    #[n(5)]
    pub(crate) price: Micros,
    /// Miners with stake at risk.
    #[n(6)]
    pub(crate) entries: BTreeMap<MinerId, Entry>,
    /// Whether the signal was issued, or refused for want of forecasts.
    #[n(7)]
    pub(crate) answered: bool,
}

impl Round {
    /// When something happens to it by time alone.
    pub(crate) fn due(&self) -> Timestamp {
        if self.answered {
            self.question.resolves_at.plus(RESOLUTION_WINDOW_NS)
        } else {
            self.question.reveal_closes_at
        }
    }

    /// All stake at risk on it.
    pub(crate) fn total_at_risk(&self) -> Micros {
        Micros(self.entries.values().map(|e| e.at_risk.0).sum())
    }

    /// The experts that are awake.
    pub(crate) fn voices(&self) -> BTreeMap<MinerId, Voice> {
        let voice = |(m, e): (&MinerId, &Entry)| e.p.map(|p| (*m, Voice { p, at_risk: e.at_risk }));
        self.entries.iter().filter_map(voice).collect()
    }

    /// Whether every sealed forecast is open.
    fn all_revealed(&self) -> bool {
        self.entries.values().all(|e| e.seal.is_none() || e.p.is_some())
    }
}

impl Validator {
    /// Keeps the seal.
    pub(crate) fn commit(&mut self, commitment: Admitted<Commitment>) {
        let Commitment { miner, question, hash, .. } = commitment.into_inner();
        let Some(round) = self.rounds.get_mut(&question) else { return };
        if let Some(entry) = round.entries.get_mut(&miner) {
            entry.seal = Some(hash);
            self.seals.insert(hash, miner);
        }
    }

    /// Keeps the forecast; the last open seal issues the signal.
    pub(crate) fn reveal(&mut self, reveal: Admitted<(Reveal, Ppm)>, out: &mut Vec<Verdict>) {
        let (Reveal { miner, question, .. }, p) = reveal.into_inner();
        let Some(round) = self.rounds.get_mut(&question) else { return };
        if let Some(entry) = round.entries.get_mut(&miner) {
            entry.p = Some(p);
        }
        if !round.answered && round.all_revealed() {
            self.answer(question, out);
        }
    }

    /// Does what is due by now: signals first, then questions that nobody resolved become void.
    pub(crate) fn due_rounds(&mut self, out: &mut Vec<Verdict>) {
        while let Some((at, id)) = self.due.first().copied() {
            if at > self.now {
                return;
            }
            match self.rounds.get(&id) {
                Some(round) if !round.answered => self.answer(id, out),
                Some(_) => self.settle(id, None, out),
                None => {
                    self.due.remove(&(at, id));
                }
            }
        }
    }

    /// Issues the signal of a question, or says why there is none.
    fn answer(&mut self, id: QuestionId, out: &mut Vec<Verdict>) {
        let Some(round) = self.rounds.get_mut(&id) else { return };
        self.due.remove(&(round.due(), id));
        round.answered = true;
        self.due.insert((round.due(), id));
        let voices = round.voices();
        let question = &round.question;
        let Some(topic) = self.topics.get_mut(&question.topic) else { return };
        if voices.is_empty() {
            out.push(Verdict::NoSignal {
                topic: question.topic.clone(),
                question: id,
                slot: question.market_starts_at,
                reason: NoSignalReason::NoForecasts,
            });
            return;
        }
        topic.weights.admit(&voices, round.total_at_risk());
        topic.issued += 1;
        let signal = blend::signal(question, &voices, &topic.weights, topic.issued, self.now);
        let contributors = signal.contributors.iter().map(|c| (c.miner, c.weight)).collect();
        topic.offers.insert((signal.slot, signal.id), Offer { price: round.price, contributors });
        while topic.offers.len() > self.limits.max_signals_per_topic as usize {
            topic.offers.pop_first();
        }
        out.push(Verdict::Signal(signal));
    }
}
