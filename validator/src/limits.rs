//! Bounds of everything a stranger can fill; this module never holds data, only its limits.

use minicbor::{Decode, Encode};

/// How old the end of a market may be when it is reported, and how long an unresolved question waits before it is
/// void, ns: one day.
pub const RESOLUTION_WINDOW_NS: i64 = 86_400 * schemas::time::NANOS_PER_SEC;

/// How long a sold unit is remembered and its slot can be delivered again, ns: seven days.
pub const UNIT_RETENTION_NS: i64 = 7 * 86_400 * schemas::time::NANOS_PER_SEC;

/// The largest amount one record may bring (stake, payment, price, emission): 1e15 micro-units, a billion units.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

/// The largest weight of a question: 1000, in Q32.
pub const MAX_WEIGHT: i64 = 1_000 << 32;

/// Longest text that is free in form (names for people, payment ids, the venue's market ids), bytes.
pub const MAX_TEXT: usize = 128;

/// Bounds of the validator's state; a record that would exceed one is refused with `limit_reached`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// Questions that are open or wait for their outcome.
    #[n(0)]
    pub max_open_questions: u32,
    /// Miners that ever joined.
    #[n(1)]
    pub max_miners: u32,
    /// Topics.
    #[n(2)]
    pub max_topics: u32,
    /// Validator seats in genesis.
    #[n(3)]
    pub max_validators: u32,
    /// Customer accounts.
    #[n(4)]
    pub max_accounts: u32,
    /// Subscriptions, ended ones included.
    #[n(5)]
    pub max_subscriptions: u32,
    /// Topics in one subscription.
    #[n(6)]
    pub max_subscription_topics: u32,
    /// Payment ids remembered; they are never forgotten, because a forgotten one could be booked twice.
    #[n(7)]
    pub max_payments: u32,
    /// Sold units remembered within [`UNIT_RETENTION_NS`].
    #[n(8)]
    pub max_paid_units: u32,
    /// Newest signals of a topic that can be sold.
    #[n(9)]
    pub max_signals_per_topic: u32,
    /// Reports of one validator that are held at a time, within [`RESOLUTION_WINDOW_NS`].
    #[n(10)]
    pub max_reports_per_validator: u32,
    /// Closed epochs that can still be voted on.
    #[n(11)]
    pub max_closed_epochs: u32,
    /// Newest transaction ids the ledger compares a new one with (the causes are checked before that).
    #[n(12)]
    pub max_recent_txns: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_open_questions: 1_024,
            max_miners: 1_024,
            max_topics: 256,
            max_validators: 64,
            max_accounts: 100_000,
            max_subscriptions: 100_000,
            max_subscription_topics: 64,
            max_payments: 1_000_000,
            max_paid_units: 1_000_000,
            max_signals_per_topic: 4_096,
            max_reports_per_validator: 16_384,
            max_closed_epochs: 256,
            max_recent_txns: 1_024,
        }
    }
}

/// Whether one more entry fits into a collection of `len`.
pub(crate) fn has_room(len: usize, max: u32) -> bool {
    len < max as usize
}

/// Whether a text for people is neither empty nor too long and holds no control characters.
pub(crate) fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}
