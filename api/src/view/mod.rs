//! The view: a pure fold of verdicts into what may be read; it judges nothing and reads nothing but verdicts.

mod fold;
mod query;
mod state;
mod track;

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use schemas::{
    AccountId, Digest, Machine, MinerId, Question, QuestionId, Record, RejectCode, Snapshot, SubscriptionId,
    Timestamp, TopicId, Verdict,
};

use crate::push::Push;
pub use query::{Event, MarketKnown};
pub use state::{
    AccountState, Dropped, Entitlement, EpochState, Held, LedgerSums, Notice, OutcomeRecord, Position,
    SubscriptionState, TopicState, ViewLimits,
};
pub(crate) use track::BINS;
pub use track::{Bin, MinerRecord, MinerTopicRecord, Track};

/// Everything the API can answer from, and nothing it must not know.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct View {
    #[n(0)]
    limits: ViewLimits,
    /// The newest record.
    #[n(1)]
    seq: u64,
    /// Its time.
    #[n(2)]
    at: Timestamp,
    /// Identifies this history; derived from its first record, 16 hex digits.
    #[n(3)]
    epoch: String,
    #[n(4)]
    topics: BTreeMap<TopicId, TopicState>,
    #[n(5)]
    miners: BTreeMap<MinerId, MinerRecord>,
    #[n(6)]
    questions: BTreeMap<QuestionId, Question>,
    /// Open questions by when they end, to find the oldest.
    #[n(7)]
    by_end: BTreeSet<(Timestamp, QuestionId)>,
    #[n(8)]
    notices: BTreeMap<Position, Notice>,
    #[n(9)]
    accounts: BTreeMap<AccountId, AccountState>,
    #[n(10)]
    subscriptions: BTreeMap<SubscriptionId, SubscriptionState>,
    #[n(11)]
    ledger: LedgerSums,
    #[n(12)]
    epochs: BTreeMap<u64, EpochState>,
    #[n(13)]
    rejections: BTreeMap<RejectCode, u64>,
    #[n(14)]
    charges_refused: u64,
    #[n(15)]
    dropped: Dropped,
}

impl View {
    /// Before the first verdict.
    pub fn new(limits: ViewLimits) -> Self {
        Self {
            limits,
            seq: 0,
            at: Timestamp::ZERO,
            epoch: String::new(),
            topics: BTreeMap::new(),
            miners: BTreeMap::new(),
            questions: BTreeMap::new(),
            by_end: BTreeSet::new(),
            notices: BTreeMap::new(),
            accounts: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            ledger: LedgerSums::default(),
            epochs: BTreeMap::new(),
            rejections: BTreeMap::new(),
            charges_refused: 0,
            dropped: Dropped::default(),
        }
    }
}

impl Machine for View {
    type Input = Verdict;
    type Output = Push;

    fn apply(&mut self, record: &Record<Verdict>, out: &mut Vec<Push>) {
        self.fold(record, out);
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
