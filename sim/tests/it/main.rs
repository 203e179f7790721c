//! What a day and its twin promise, over real loopback sockets; never asserts how fast something is.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "tests are an edge")]

mod client;
mod day;
mod faults;
mod gamma;
mod pace;
mod twin;
mod world;
