//! Kalshi's machine against recorded frames, the traps of venues.md, a small truthful venue and mutations; these tests
//! never reach another machine.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests; a skip is said loudly")]

mod errors;
mod messages;
mod mutation;
mod recorded;
mod rest;
#[cfg(feature = "edge")]
mod sign;
mod support;
mod traps;
mod truth;
