//! The validator machine: intake records in, verdicts out; it never reads a clock, a socket or a price.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use schemas::id::TxnId;
use schemas::verdict::What;
use schemas::{
    Asset, CommitHash, Digest, Intake, LedgerAccount, Machine, MarketId, Micros, MinerId, MinerJoined,
    NetworkRules, Posting, Question, QuestionId, Record, RejectCode, Snapshot, Timestamp, TopicId,
    TopicRules, Txn, TxnKind, ValidatorId, Verdict,
};

use crate::accounts::Accounts;
use crate::epoch::Epochs;
use crate::error::Error;
use crate::ledger::{Ledger, txn_id};
use crate::limits::Limits;
use crate::registry::{Miner, Network, Seat, Topic};
use crate::report::Case;
use crate::round::Round;
use crate::weights::Weights;

/// The whole state; two validators that read the same intake are equal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Validator {
    #[n(0)]
    pub(crate) limits: Limits,
    /// The latest instant any record has shown.
    #[n(1)]
    pub(crate) now: Timestamp,
    #[n(2)]
    pub(crate) network: Option<Network>,
    #[n(3)]
    pub(crate) topics: BTreeMap<TopicId, Topic>,
    #[n(4)]
    pub(crate) miners: BTreeMap<MinerId, Miner>,
    #[n(5)]
    pub(crate) rounds: BTreeMap<QuestionId, Round>,
    /// When rounds want attention by time alone.
    #[n(6)]
    pub(crate) due: BTreeSet<(Timestamp, QuestionId)>,
    /// Who sealed what on open questions.
    #[n(7)]
    pub(crate) seals: BTreeMap<CommitHash, MinerId>,
    #[n(8)]
    pub(crate) cases: BTreeMap<MarketId, Case>,
    #[n(9)]
    pub(crate) case_ends: BTreeSet<(Timestamp, MarketId)>,
    #[n(10)]
    pub(crate) ledger: Ledger,
    #[n(11)]
    pub(crate) accounts: Accounts,
    #[n(12)]
    pub(crate) epochs: Epochs,
    /// Transactions the ledger refused although the checks before it passed; always zero.
    #[n(13)]
    pub(crate) faults: u64,
}

impl Validator {
    /// A validator that has seen nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            now: Timestamp(i64::MIN),
            network: None,
            topics: BTreeMap::new(),
            miners: BTreeMap::new(),
            rounds: BTreeMap::new(),
            due: BTreeSet::new(),
            seals: BTreeMap::new(),
            cases: BTreeMap::new(),
            case_ends: BTreeSet::new(),
            ledger: Ledger::default(),
            accounts: Accounts::default(),
            epochs: Epochs::default(),
            faults: 0,
        }
    }

    /// Does what time alone brings about: signals, voids, forgetting, the next epoch.
    fn advance(&mut self, out: &mut Vec<Verdict>) {
        self.due_rounds(out);
        self.forget_cases();
        self.forget_units();
        self.roll_epoch(out);
    }

    /// Does what a record asks for.
    fn take(&mut self, body: &Intake, out: &mut Vec<Verdict>) {
        let reject = |what, code| Verdict::Rejected { what, miner: None, question: None, code };
        let started = self.network.is_some();
        let refused = match body {
            Intake::Usage(usage) => return self.usage(usage, out),
            Intake::TimeAdvanced { .. } => return,
            Intake::Genesis(rules) => self.genesis(rules, out).err().map(|c| reject(What::Registry, c)),
            _ if !started => Some(self.refuse(body, RejectCode::NoGenesis)),
            Intake::Topic(rules) => self.list_topic(rules, out).err().map(|c| self.refuse(body, c)),
            Intake::Miner(joined) => self.join(joined, out).err().map(|c| self.refuse(body, c)),
            Intake::Question(q) => self.open_question(q, out).err().map(|c| self.refuse(body, c)),
            Intake::Report(report) => self.report(report, out).err().map(|c| self.refuse(body, c)),
            Intake::Account(command) => self.account(command, out).err().map(|c| self.refuse(body, c)),
            Intake::Vote(vote) => self.vote(vote, out).err().map(|c| self.refuse(body, c)),
            Intake::Commitment(c) => match self.admit_commitment(c) {
                Ok(admitted) => {
                    out.push(accepted(What::Commitment, c.miner, c.question));
                    self.commit(admitted);
                    None
                }
                Err(code) => Some(self.refuse(body, code)),
            },
            Intake::Reveal(r) => match self.admit_reveal(r) {
                Ok(admitted) => {
                    out.push(accepted(What::Reveal, r.miner, r.question));
                    self.reveal(admitted, out);
                    None
                }
                Err(code) => Some(self.refuse(body, code)),
            },
        };
        out.extend(refused);
    }

    /// The refusal of a record; a miner is named only if its key is known.
    fn refuse(&self, body: &Intake, code: RejectCode) -> Verdict {
        let known = |miner: &MinerId| self.miners.contains_key(miner).then_some(*miner);
        let (what, miner, question) = match body {
            Intake::Commitment(c) => (What::Commitment, known(&c.miner), Some(c.question)),
            Intake::Reveal(r) => (What::Reveal, known(&r.miner), Some(r.question)),
            Intake::Report(_) => (What::Report, None, None),
            Intake::Account(_) | Intake::Usage(_) => (What::Account, None, None),
            Intake::Vote(_) => (What::Vote, None, None),
            Intake::Question(q) => (What::Registry, None, Some(q.id)),
            Intake::Miner(m) => (What::Registry, known(&m.miner), None),
            Intake::Genesis(_) | Intake::Topic(_) | Intake::TimeAdvanced { .. } => {
                (What::Registry, None, None)
            }
        };
        Verdict::Rejected { what, miner, question, code }
    }

    /// Books a transaction whose id follows from its kind and cause; a refusal here is counted, it means a bug.
    pub(crate) fn book(&mut self, kind: TxnKind, cause: &[u8], legs: Vec<Posting>) -> Result<Txn, Error> {
        let id: TxnId = txn_id(kind, cause);
        let booked = self.ledger.post(kind, id, legs, self.limits.max_recent_txns);
        if booked.is_err() {
            self.faults += 1;
        }
        booked
    }

    /// Publishes a booked transaction under the epoch's root.
    pub(crate) fn publish(&mut self, txn: Txn, out: &mut Vec<Verdict>) {
        self.publish_leaf(Verdict::Posted(txn), out);
    }

    /// Publishes a verdict under the epoch's root.
    pub(crate) fn publish_leaf(&mut self, verdict: Verdict, out: &mut Vec<Verdict>) {
        self.epochs.book.leaves.push(&schemas::encode(&verdict));
        out.push(verdict);
    }

    /// All balances, ordered by asset and account.
    pub const fn balances(&self) -> &BTreeMap<(Asset, LedgerAccount), Micros> {
        self.ledger.balances()
    }

    /// The ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Postings booked so far.
    pub const fn posting_count(&self) -> u64 {
        self.ledger.posting_count()
    }

    /// The sum of all balances of an asset: always zero.
    pub fn sum(&self, asset: Asset) -> i128 {
        self.ledger.sum(asset)
    }

    /// A miner's stake, micro-units.
    pub fn miner_stake(&self, miner: &MinerId) -> Micros {
        stake_of(&self.ledger, miner)
    }

    /// The stake of all miners, micro-units.
    pub fn total_stake(&self) -> Micros {
        Micros(self.miners.keys().map(|miner| self.miner_stake(miner).0).sum())
    }

    /// All miners as they joined.
    pub fn miners(&self) -> impl Iterator<Item = &MinerJoined> {
        self.miners.values().map(|miner| &miner.joined)
    }

    /// All topics' rules in force.
    pub fn topics(&self) -> impl Iterator<Item = &TopicRules> {
        self.topics.values().map(|topic| &topic.rules)
    }

    /// The online weights of a topic.
    pub fn weights(&self, topic: &TopicId) -> Option<&Weights> {
        self.topics.get(topic).map(|topic| &topic.weights)
    }

    /// Questions that are open or wait for their outcome.
    pub fn open_questions(&self) -> impl Iterator<Item = &Question> {
        self.rounds.values().map(|round| &round.question)
    }

    /// The network's rules, once it has started.
    pub fn rules(&self) -> Option<&NetworkRules> {
        self.network.as_ref().map(|network| &network.rules)
    }

    /// The validators' seats and how their reports fared.
    pub fn seats(&self) -> impl Iterator<Item = (&ValidatorId, &Seat)> {
        self.network.iter().flat_map(|network| &network.seats)
    }

    /// The number of the running epoch.
    pub const fn epoch(&self) -> u64 {
        self.epochs.current
    }

    /// The root of a closed epoch that can still be voted on.
    pub fn epoch_root(&self, epoch: u64) -> Option<[u8; 32]> {
        self.epochs.closed.get(&epoch).map(|closed| closed.root)
    }

    /// The latest instant any record has shown.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Transactions the ledger refused although all checks before it passed: anything but zero is a bug.
    pub const fn faults(&self) -> u64 {
        self.faults
    }
}

/// A miner's stake.
pub(crate) fn stake_of(ledger: &Ledger, miner: &MinerId) -> Micros {
    ledger.balance(&LedgerAccount::MinerStake(*miner), Asset::Stake)
}

/// The admission of a prediction's step.
const fn accepted(what: What, miner: MinerId, question: QuestionId) -> Verdict {
    Verdict::Accepted { what, miner: Some(miner), question: Some(question) }
}

impl Machine for Validator {
    type Input = Intake;
    type Output = Verdict;

    fn apply(&mut self, record: &Record<Intake>, out: &mut Vec<Verdict>) {
        let shown = match record.body {
            Intake::TimeAdvanced { to } => record.at.max(to),
            _ => record.at,
        };
        self.now = self.now.max(shown);
        if self.network.is_some() {
            self.advance(out);
        }
        self.take(&record.body, out);
        self.close_epochs(out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let due = self.due.first().map(|(at, _)| *at);
        [due, self.epoch_end()].into_iter().flatten().filter(|at| *at > self.now).min()
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
