//! What the twin of Binance promises, over real loopback sockets; never asserts how fast something is.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "tests are an edge")]

mod books;
mod client;
mod faults;
mod shapes;
mod streams;
