//! What sockets fan out; a push says that something happened, the view has it too.

use schemas::{AccountId, Micros, NoSignalReason, QuestionId, Signal, Timestamp, TopicId};

use crate::view::OutcomeRecord;

/// One thing that follows from a verdict and that a socket may have to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// A signal was issued.
    Signal {
        /// The signal.
        signal: Signal,
    },
    /// A question got no signal.
    NoSignal {
        /// The topic.
        topic: TopicId,
        /// The question.
        question: QuestionId,
        /// The slot.
        slot: Timestamp,
        /// Why.
        reason: NoSignalReason,
    },
    /// A question's market ended.
    Outcome {
        /// How.
        outcome: OutcomeRecord,
    },
    /// An account's prepaid balance changed.
    Balance {
        /// The account.
        account: AccountId,
        /// Prepaid, micro-USD.
        prepaid: Micros,
    },
}

impl Push {
    /// The topic it is about, if it is about one.
    pub fn topic(&self) -> Option<&TopicId> {
        match self {
            Self::Signal { signal } => Some(&signal.topic),
            Self::NoSignal { topic, .. } => Some(topic),
            Self::Outcome { outcome } => Some(&outcome.topic),
            Self::Balance { .. } => None,
        }
    }
}
