//! Tests of the validator as a whole: records in, verdicts out; never a mock, a sleep or a clock.
#![allow(clippy::unwrap_used, clippy::wildcard_imports, clippy::print_stderr, missing_docs, reason = "tests")]

mod customers;
mod epochs;
mod golden;
mod hostile;
mod quorum;
mod random;
mod registration;
mod rejects;
mod replay;
mod rounds;
mod theorems;
mod world;
