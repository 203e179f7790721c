//! Customers: their commands, subscriptions and the units they are charged for.

use minicbor::{Decode, Encode};

use crate::fixed::Micros;
use crate::id::{AccountId, SignalId, SubscriptionId, UnitId, derive};
use crate::time::Timestamp;
use crate::topic::TopicId;

/// What may be read, by whom, from when to when, at which price at most.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Subscription {
    /// Its id, chosen by the customer, unique.
    #[n(0)]
    pub id: SubscriptionId,
    /// Who pays.
    #[n(1)]
    pub account: AccountId,
    /// The topics it covers.
    #[n(2)]
    pub topics: Vec<TopicId>,
    /// Valid from here
    #[n(3)]
    pub from: Timestamp,
    /// until before here.
    #[n(4)]
    pub until: Timestamp,
    /// Signals that cost more are not delivered.
    #[n(5)]
    pub max_price: Micros,
}

impl Subscription {
    /// Whether it covers this topic at this instant.
    pub fn covers(&self, topic: &TopicId, at: Timestamp) -> bool {
        self.from <= at && at < self.until && self.topics.contains(topic)
    }
}

/// A change to an account. Idempotent by the ids inside.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AccountCommand {
    /// Opens an account.
    #[n(0)]
    Open {
        /// The account.
        #[n(0)]
        account: AccountId,
    },
    /// Money came in over a rail.
    #[n(1)]
    TopUp {
        /// The account.
        #[n(0)]
        account: AccountId,
        /// How much; positive.
        #[n(1)]
        amount: Micros,
        /// The rail's payment id; a repeat changes nothing.
        #[n(2)]
        payment: String,
    },
    /// Starts a subscription.
    #[n(2)]
    Subscribe(#[n(0)] Subscription),
    /// Ends a subscription now.
    #[n(3)]
    Cancel {
        /// The subscription.
        #[n(0)]
        subscription: SubscriptionId,
    },
}

/// A signal is about to be delivered: charge it, once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Usage {
    /// Under which subscription.
    #[n(0)]
    pub subscription: SubscriptionId,
    /// Of which topic.
    #[n(1)]
    pub topic: TopicId,
    /// Which slot.
    #[n(2)]
    pub slot: Timestamp,
    /// Which signal.
    #[n(3)]
    pub signal: SignalId,
}

/// The billable unit of a (subscription, topic, slot): REST, WebSocket, replay and reconnect are one unit.
pub fn unit_id(subscription: &SubscriptionId, topic: &TopicId, slot: Timestamp) -> UnitId {
    UnitId(derive("oraculo/unit/1", &[subscription.0.as_bytes(), topic.0.as_bytes(), &slot.0.to_be_bytes()]))
}
