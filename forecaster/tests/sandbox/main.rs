//! Real workers, real cages, real hostile models; it never loads one of them into this process.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::disallowed_methods, reason = "tests of an edge")]
#![allow(unreachable_pub, reason = "the corpus is shared by several test targets")]

mod beside;
mod cage;
#[path = "../corpus/mod.rs"]
mod corpus;
mod faults;
mod hostile;
mod same;
mod support;
mod traced;
