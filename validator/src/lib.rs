//! Admission, proper scores, settlement, ledger, epochs and aggregation; never a socket, a clock, a thread or a price.
//!
//! One machine, [`Validator`], reads the `intake` stream and writes the `verdicts` stream. Several validators that read
//! the same intake hold bit-identical states, so a score or a payout is never claimed: anybody can compute it again.
//! All decisions are made by log order (`at` of the newest record); every number that leaves a formula is an integer.

pub mod accounts;
pub mod admit;
pub mod blend;
pub mod epoch;
pub mod error;
pub mod ledger;
pub mod limits;
pub mod merkle;
mod question;
mod registry;
mod report;
pub mod revenue;
mod round;
pub mod score;
pub mod settle;
pub mod share;
mod validator;
pub mod weights;

pub use error::Error;
pub use ledger::Ledger;
pub use limits::Limits;
pub use registry::Seat;
pub use score::{brier, log_score};
pub use validator::Validator;
pub use weights::Weights;
