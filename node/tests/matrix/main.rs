//! The fault matrix: each fault at each venue's twin, over real loopback sockets. Afterwards every book equals the twin's
//! truth, no trade is told twice, none is lost without a gap that says so, and the recording replays to the same digest.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod binance;
mod kalshi;
mod polymarket;
mod redundant;
mod support;
