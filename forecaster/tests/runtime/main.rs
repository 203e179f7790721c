//! Tests of the runtime: lanes, batch sizes, deadlines, reloads, cadence, trials, the store; real engines where it matters.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod cadence;
mod gate;
mod lanes;
#[path = "../it/onnx.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod onnx;
mod reload;
mod store;
mod support;
mod trial;
