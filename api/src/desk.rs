//! The way from a request into the intake; this module knows nothing about who answers.

use std::future::Future;
use std::pin::Pin;

use schemas::{Intake, Timestamp, Verdict};

/// Where submissions go. An answer means: durable, applied, judged.
pub trait Desk: Send + Sync + 'static {
    /// Appends one record to the intake and waits until it is durable and applied.
    fn submit(&self, intake: Intake) -> Pin<Box<dyn Future<Output = Result<Receipt, DeskError>> + Send>>;
}

/// A submission's place in the journal and what the validator said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Position in the journal.
    pub seq: u64,
    /// When the sequencer stamped it.
    pub at: Timestamp,
    /// The verdicts that followed from it, in order.
    pub verdicts: Vec<Verdict>,
}

/// Why a submission was not taken. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// The queue is full.
    #[error("the queue is full, try again")]
    Overloaded,
    /// The house is closing.
    #[error("the service is closing")]
    Closed,
}

impl DeskError {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Closed => "unavailable",
        }
    }
}
