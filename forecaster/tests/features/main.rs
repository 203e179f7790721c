//! The feature library: every formula against a slow second implementation, what is seen when, the gate, the machine.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "the second implementation takes its logarithms and waves from elsewhere"
)]

mod document;
mod formulas;
mod gate;
mod live;
mod naive;
mod streams;
mod tape;
mod world;
