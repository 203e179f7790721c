//! What the twin of Kalshi promises, over real loopback sockets; never asserts how fast something is.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "tests are an edge")]

mod books;
mod channels;
mod client;
mod commands;
mod faults;
mod handshake;
mod recovery;
mod rest;
mod shapes;
