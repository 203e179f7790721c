//! Tests of the bus: one suite for every log, real files, a real Redis, real crashes.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "tests"
)]

mod crash;
mod driver;
mod file;
mod framing;
mod group;
mod random;
mod redis_log;
mod redis_server;
mod snapshots;
mod suite;
mod toy;
