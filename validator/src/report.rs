//! How markets end: signed reports of validators, and the quorum that makes one of them the fact; it never looks at prices.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{
    Determination, MarketId, QuestionId, RejectCode, ResolutionReport, Timestamp, TxnKind, ValidatorId,
    Verdict,
};

use crate::admit::{ensure, is_signed};
use crate::limits::{MAX_TEXT, RESOLUTION_WINDOW_NS, has_room};
use crate::round::Round;
use crate::settle;
use crate::validator::Validator;

/// What a validator says: the end of the market and how it ended.
type Claim = (Timestamp, Determination);

/// The reports on one market; forgotten one resolution window after the first.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Case {
    #[n(0)]
    claims: BTreeMap<ValidatorId, Claim>,
    /// What 2/3 of all stake agreed on.
    #[n(1)]
    agreed: Option<Claim>,
}

impl Validator {
    /// Whether a market was resolved within the resolution window.
    pub(crate) fn is_resolved(&self, market: &MarketId) -> bool {
        self.cases.get(market).is_some_and(|case| case.agreed.is_some())
    }

    /// Takes a report; with the quorum the market is resolved and its questions are settled.
    pub(crate) fn report(&mut self, r: &ResolutionReport, out: &mut Vec<Verdict>) -> Result<(), RejectCode> {
        self.check_report(r)?;
        out.push(Verdict::Accepted { what: schemas::verdict::What::Report, miner: None, question: None });
        let claim = (r.closes_at, r.determination);
        if !self.cases.contains_key(&r.market) {
            self.case_ends.insert((self.now.plus(RESOLUTION_WINDOW_NS), r.market.clone()));
        }
        let case =
            self.cases.entry(r.market.clone()).or_insert(Case { claims: BTreeMap::new(), agreed: None });
        case.claims.insert(r.validator, claim);
        let Some(network) = self.network.as_mut() else { return Ok(()) };
        if let Some(seat) = network.seats.get_mut(&r.validator) {
            seat.held += 1;
        }
        if let Some(agreed) = case.agreed {
            count(network, &r.validator, claim == agreed);
            return Ok(());
        }
        if !network.is_quorum(case.claims.iter().filter(|(_, c)| **c == claim).map(|(id, _)| id)) {
            return Ok(());
        }
        case.agreed = Some(claim);
        for (id, own) in &case.claims {
            count(network, id, *own == claim);
        }
        self.resolve(&r.market, claim, out);
        Ok(())
    }

    /// Checks a report, the signature last.
    fn check_report(&self, r: &ResolutionReport) -> Result<(), RejectCode> {
        let network = self.network.as_ref().ok_or(RejectCode::NoGenesis)?;
        let seat = network.seats.get(&r.validator).ok_or(RejectCode::UnknownValidator)?;
        let native = &r.market.native;
        ensure(!native.is_empty() && native.len() <= MAX_TEXT, RejectCode::InvalidName)?;
        ensure(self.now >= r.closes_at, RejectCode::ReportTooEarly)?;
        ensure(self.now.since(r.closes_at) < RESOLUTION_WINDOW_NS, RejectCode::UnknownMarket)?;
        for q in self.rounds.values().map(|round| &round.question).filter(|q| q.market == r.market) {
            ensure(self.now >= q.resolves_at, RejectCode::ReportTooEarly)?;
            ensure(r.closes_at == q.resolves_at, RejectCode::UnknownMarket)?;
        }
        let reported = self.cases.get(&r.market).is_some_and(|case| case.claims.contains_key(&r.validator));
        ensure(!reported, RejectCode::DuplicateReport)?;
        ensure(
            has_room(seat.held as usize, self.limits.max_reports_per_validator),
            RejectCode::LimitReached,
        )?;
        let message = ResolutionReport::signing_bytes(&r.market, r.closes_at, &r.determination, &r.evidence);
        ensure(is_signed(&r.validator.0, &message, &r.signature), RejectCode::BadSignature)
    }

    /// Scores and settles all questions of a resolved market, ascending by question.
    fn resolve(&mut self, market: &MarketId, (closes_at, determination): Claim, out: &mut Vec<Verdict>) {
        out.push(Verdict::Resolved { market: market.clone(), closes_at, determination });
        let up = match determination {
            Determination::Determined { up, .. } => Some(up),
            Determination::Void(_) => None,
        };
        let of_market = self.rounds.iter().filter(|(_, round)| round.question.market == *market);
        let ids: Vec<QuestionId> = of_market.map(|(id, _)| *id).collect();
        for id in ids {
            self.settle(id, up, out);
        }
    }

    /// Scores and settles a question and forgets it; `up` is `None` when it is void.
    pub(crate) fn settle(&mut self, id: QuestionId, up: Option<bool>, out: &mut Vec<Verdict>) {
        let Some(round) = self.rounds.remove(&id) else { return };
        self.due.remove(&(round.due(), id));
        for seal in round.entries.values().filter_map(|e| e.seal) {
            self.seals.remove(&seal);
        }
        self.reserve(&round, false);
        let mut lines = settle::lines(&round, up);
        let legs = settle::legs(&lines);
        let mut txn = None;
        if !legs.is_empty() {
            match self.book(TxnKind::Settle, &id.0, legs) {
                Ok(booked) => txn = Some(booked),
                Err(_) => lines.iter_mut().for_each(|line| line.delta.0 = 0),
            }
        }
        let (paid, burned) = settle::totals(&lines);
        self.epochs.settled(round.epoch, paid, burned);
        for line in lines {
            self.publish_line(line, up.is_none(), out);
        }
        if let Some(txn) = txn {
            self.publish(txn, out);
        }
        if let Some(up) = up {
            self.learn(&round, up);
        }
    }

    /// Publishes a score and, unless the question is void, its settlement.
    fn publish_line(&mut self, line: settle::Line, void: bool, out: &mut Vec<Verdict>) {
        let (question, miner) = (line.score.question, line.score.miner);
        self.publish_leaf(Verdict::Scored(line.score), out);
        if !void {
            let stake_after = self.miner_stake(&miner);
            let (at_risk, delta) = (line.at_risk, line.delta);
            let settlement = schemas::Settlement { question, miner, at_risk, delta, stake_after };
            self.publish_leaf(Verdict::Settled(settlement), out);
        }
    }

    /// Teaches the topic's weights.
    fn learn(&mut self, round: &Round, up: bool) {
        let ledger = &self.ledger;
        let Some(topic) = self.topics.get_mut(&round.question.topic) else { return };
        topic.weights.learn(&round.voices(), round.total_at_risk(), round.question.reference, up);
        topic.weights.retain(|miner| crate::validator::stake_of(ledger, miner).0 > 0);
    }

    /// Forgets markets whose resolution window is over.
    pub(crate) fn forget_cases(&mut self) {
        while let Some((at, market)) = self.case_ends.first().cloned() {
            if at > self.now {
                return;
            }
            let case = self.cases.remove(&market);
            self.case_ends.remove(&(at, market));
            let (Some(case), Some(network)) = (case, self.network.as_mut()) else { continue };
            for id in case.claims.keys() {
                if let Some(seat) = network.seats.get_mut(id) {
                    seat.held = seat.held.saturating_sub(1);
                }
            }
        }
    }
}

/// Keeps whether a validator's report equalled the agreed one.
fn count(network: &mut crate::registry::Network, id: &ValidatorId, agreed: bool) {
    if let Some(seat) = network.seats.get_mut(id) {
        if agreed {
            seat.agreed += 1;
        } else {
            seat.differed += 1;
        }
    }
}
