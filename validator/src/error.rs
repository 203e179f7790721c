//! What can go wrong inside the validator's own books; refusals of strangers' records are `RejectCode`s, never these.

use schemas::{Asset, LedgerAccount};

/// Why the ledger refused a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A transaction without postings.
    #[error("a transaction needs postings")]
    EmptyTxn,
    /// The postings do not sum to zero.
    #[error("postings of {asset:?} sum to {sum}, not to zero")]
    Unbalanced {
        /// The asset.
        asset: Asset,
        /// What they sum to.
        sum: i128,
    },
    /// The id was booked before.
    #[error("transaction {0} is booked already")]
    DuplicateTxn(schemas::id::TxnId),
    /// An account that must not be negative would be.
    #[error("account {0} would be overdrawn")]
    Overdrawn(LedgerAccount),
    /// A balance would leave 64 bits.
    #[error("account {0} would overflow")]
    Overflow(LedgerAccount),
}

impl Error {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EmptyTxn => "ledger_empty_txn",
            Self::Unbalanced { .. } => "ledger_unbalanced",
            Self::DuplicateTxn(_) => "ledger_duplicate_txn",
            Self::Overdrawn(_) => "ledger_overdrawn",
            Self::Overflow(_) => "ledger_overflow",
        }
    }
}
