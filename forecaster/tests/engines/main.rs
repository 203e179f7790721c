//! Engines: the same model on each of them, what they refuse, what they cost; without ONNX Runtime its part skips loudly.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, unreachable_pub, reason = "tests")]

mod agreement;
mod allocations;
mod choice;
mod models;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../it/onnx.rs"]
mod onnx;
mod support;
