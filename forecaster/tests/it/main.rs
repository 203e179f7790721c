//! Tests of the forecaster: data in, expected out; what needs ONNX Runtime or the bundles skips loudly without them.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod bundles;
mod copycat;
mod engine;
mod features;
mod keys;
mod lanes;
mod library;
mod machine;
mod onnx;
mod shipped;
mod signer;
mod support;
