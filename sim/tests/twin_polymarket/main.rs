//! What the Polymarket twin promises, over real loopback sockets: the wire is the venue's, the truth is readable, and
//! each fault shows exactly as it is described. Never asserts how fast something is.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "tests are an edge")]

mod client;
mod faults;
mod fixtures;
mod market;
mod rest;
mod rtds;
mod scale;
