//! Bundles as strangers make them: the hostile corpus, the archive, signatures and imports; it never needs a network.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

#[path = "../corpus/mod.rs"]
mod corpus;
mod hostile;
