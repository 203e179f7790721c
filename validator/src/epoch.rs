//! Epochs: budgets at the start, a Merkle root and the revenue split at the close, votes after it; never a score.
//!
//! An epoch exists once a record falls into it; epochs that nobody saw have no emission. It closes when its time is
//! over and every question that opened in it is settled, in order. Its **book** is the stretch of verdicts since the
//! close before it: the root covers every `Scored`, `Settled` and `Posted` of that stretch in order (the split of the
//! revenue included), so every verdict is under exactly one root and an auditor needs nothing but the stream.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::{
    Asset, EpochSummary, EpochVote, LedgerAccount, Micros, MinerId, Q32, RejectCode, Timestamp, TopicId,
    TxnKind, ValidatorId, Verdict,
};

use crate::admit::{ensure, is_signed};
use crate::ledger::leg;
use crate::merkle::Frontier;
use crate::revenue;
use crate::settle;
use crate::validator::Validator;

/// The epoch an instant belongs to; instants before 1970 belong to epoch 0.
pub fn epoch_of(at: Timestamp, epoch_ns: i64) -> u64 {
    at.0.max(0).div_euclid(epoch_ns.max(1)).unsigned_abs()
}

/// An epoch that is running, or waits for its questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OpenEpoch {
    /// What the pool can pay for questions that open in it; fixed at its start.
    #[n(0)]
    pub(crate) budget: Micros,
    /// The shares of the questions that opened in it; at most one.
    #[n(1)]
    pub(crate) shared: Q32,
    /// Questions opened per topic.
    #[n(2)]
    pub(crate) opened: BTreeMap<TopicId, u32>,
    /// Questions that wait for their outcome.
    #[n(3)]
    pub(crate) waiting: u32,
}

/// What happened since the last close.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Book {
    #[n(0)]
    pub(crate) leaves: Frontier,
    #[n(1)]
    pub(crate) questions: u32,
    #[n(2)]
    pub(crate) paid: Micros,
    #[n(3)]
    pub(crate) burned: Micros,
    /// Weight of each miner in the signals that were sold, Q32 units.
    #[n(4)]
    pub(crate) used: BTreeMap<MinerId, u64>,
}

/// A closed epoch and the votes on it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ClosedEpoch {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) root: [u8; 32],
    #[n(1)]
    pub(crate) votes: BTreeMap<ValidatorId, [u8; 32]>,
    #[n(2)]
    pub(crate) is_final: bool,
}

/// All epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Epochs {
    /// The running one.
    #[n(0)]
    pub(crate) current: u64,
    #[n(1)]
    pub(crate) open: BTreeMap<u64, OpenEpoch>,
    #[n(2)]
    pub(crate) book: Book,
    #[n(3)]
    pub(crate) closed: BTreeMap<u64, ClosedEpoch>,
}

impl Epochs {
    /// The running epoch.
    pub(crate) fn current_open(&self) -> Option<&OpenEpoch> {
        self.open.get(&self.current)
    }

    /// Counts a question in.
    pub(crate) fn opened(&mut self, topic: &TopicId, share: Q32) {
        if let Some(epoch) = self.open.get_mut(&self.current) {
            *epoch.opened.entry(topic.clone()).or_insert(0) += 1;
            epoch.shared.0 += share.0;
            epoch.waiting += 1;
        }
    }

    /// Counts a question out.
    pub(crate) fn settled(&mut self, epoch: u64, paid: i64, burned: i64) {
        if let Some(epoch) = self.open.get_mut(&epoch) {
            epoch.waiting = epoch.waiting.saturating_sub(1);
        }
        self.book.questions += 1;
        self.book.paid.0 += paid;
        self.book.burned.0 += burned;
    }

    /// The oldest epoch, if it ended before `present` and nothing is waited for.
    fn ready(&self, present: u64) -> Option<u64> {
        let (number, epoch) = self.open.first_key_value()?;
        (*number < present && epoch.waiting == 0).then_some(*number)
    }
}

impl Validator {
    /// The end of the running epoch.
    pub(crate) fn epoch_end(&self) -> Option<Timestamp> {
        let length = i128::from(self.network.as_ref()?.rules.epoch_ns);
        let end = (i128::from(self.epochs.current) + 1) * length;
        i64::try_from(end).ok().map(Timestamp)
    }

    /// The epoch of the present; the running one before genesis.
    fn present(&self) -> u64 {
        self.network.as_ref().map_or(self.epochs.current, |n| epoch_of(self.now, n.rules.epoch_ns))
    }

    /// Moves on to the epoch of the present, if that is a later one: closes first, then starts.
    pub(crate) fn roll_epoch(&mut self, out: &mut Vec<Verdict>) {
        if self.present() <= self.epochs.current {
            return;
        }
        self.close_epochs(out);
        // An epoch without questions that waits behind another one has nothing of its own to close.
        if self.epochs.current_open().is_some_and(|epoch| epoch.opened.is_empty()) {
            self.epochs.open.remove(&self.epochs.current);
        }
        self.start_epoch(out);
    }

    /// Starts the epoch of the present: emission into the pool, and the budget that is not promised already.
    pub(crate) fn start_epoch(&mut self, out: &mut Vec<Verdict>) {
        let Some(network) = &self.network else { return };
        let number = self.present();
        let emission = network.rules.emission_per_epoch.0;
        let stake = |account, amount| leg(account, Asset::Stake, amount);
        let legs =
            vec![stake(LedgerAccount::Issuance, -emission), stake(LedgerAccount::EmissionPool, emission)];
        if emission > 0
            && let Ok(txn) = self.book(TxnKind::Emission, &number.to_be_bytes(), legs)
        {
            self.publish(txn, out);
        }
        let promised: i64 = self.rounds.values().map(|r| settle::bound(r.total_at_risk(), r.rate).0).sum();
        let pool = self.ledger.balance(&LedgerAccount::EmissionPool, Asset::Stake).0;
        let budget = Micros((pool - promised).max(0));
        self.epochs.current = number;
        self.epochs.open.insert(number, OpenEpoch { budget, ..OpenEpoch::default() });
    }

    /// Closes every epoch that is ready, in order.
    pub(crate) fn close_epochs(&mut self, out: &mut Vec<Verdict>) {
        let present = self.present();
        while let Some(number) = self.epochs.ready(present) {
            self.close_epoch(number, out);
        }
    }

    /// Splits the revenue, takes the root and starts a new book.
    fn close_epoch(&mut self, number: u64, out: &mut Vec<Verdict>) {
        let revenue = self.split_revenue(number, out);
        self.epochs.open.remove(&number);
        let book = std::mem::take(&mut self.epochs.book);
        let root = book.leaves.root();
        let closed = ClosedEpoch { root, votes: BTreeMap::new(), is_final: false };
        self.epochs.closed.insert(number, closed);
        while self.epochs.closed.len() > self.limits.max_closed_epochs as usize {
            self.epochs.closed.pop_first();
        }
        out.push(Verdict::EpochClosed(EpochSummary {
            epoch: number,
            root,
            questions: book.questions,
            paid: book.paid,
            burned: book.burned,
            pool_left: self.ledger.balance(&LedgerAccount::EmissionPool, Asset::Stake),
            revenue,
        }));
    }

    /// Hands the revenue to platform, data, validators and miners; returns how much it was.
    fn split_revenue(&mut self, number: u64, out: &mut Vec<Verdict>) -> Micros {
        let revenue = self.ledger.balance(&LedgerAccount::Revenue, Asset::Usd);
        let Some(network) = self.network.as_ref().filter(|_| revenue.0 > 0) else { return Micros(0) };
        let legs = revenue::split(revenue, &network.rules, &self.epochs.book.used, |id| {
            self.miners.get(id)?.joined.host.as_ref()
        });
        match self.book(TxnKind::RevenueSplit, &number.to_be_bytes(), legs) {
            Ok(txn) => self.publish(txn, out),
            Err(_) => return Micros(0),
        }
        revenue
    }

    /// Takes a vote; 2/3 of all stake on one root make the epoch final, once.
    pub(crate) fn vote(&mut self, vote: &EpochVote, out: &mut Vec<Verdict>) -> Result<(), RejectCode> {
        let network = self.network.as_ref().ok_or(RejectCode::NoGenesis)?;
        ensure(network.seats.contains_key(&vote.validator), RejectCode::UnknownValidator)?;
        let epoch = self.epochs.closed.get_mut(&vote.epoch).ok_or(RejectCode::UnknownEpoch)?;
        ensure(!epoch.votes.contains_key(&vote.validator), RejectCode::DuplicateVote)?;
        let message = EpochVote::signing_bytes(vote.epoch, &vote.root);
        ensure(is_signed(&vote.validator.0, &message, &vote.signature), RejectCode::BadSignature)?;
        epoch.votes.insert(vote.validator, vote.root);
        out.push(Verdict::Accepted { what: schemas::verdict::What::Vote, miner: None, question: None });
        let same = epoch.votes.iter().filter(|(_, root)| **root == vote.root).map(|(id, _)| id);
        if !epoch.is_final && network.is_quorum(same) {
            epoch.is_final = true;
            out.push(Verdict::EpochFinal { epoch: vote.epoch, root: vote.root });
        }
        Ok(())
    }
}
