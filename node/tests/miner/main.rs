//! Miners that run elsewhere, against a real node: real processes, sockets and kills; nothing is mocked.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod demo;
mod hands;
mod kills;
mod load;
mod rig;
