//! The API from outside: real listener, real HTTP and WebSocket clients, the real view; only the validator is scripted.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests start tasks and read the environment")]

mod charging;
mod errors;
mod golden;
mod hosted;
mod keys;
mod matrix;
mod miners;
mod rest;
mod rig;
mod socket;
mod view;
