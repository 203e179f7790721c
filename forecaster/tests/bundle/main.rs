//! Bundles as strangers make them: manifests, the hostile corpus, archives, signatures, imports; it never needs a
//! network.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod archive;
#[path = "../corpus/mod.rs"]
mod corpus;
mod costs;
mod docs;
mod golden;
mod hostile;
mod imports;
mod manifests;
mod ports;
mod seals;
mod support;
