//! Tests of the words: golden wire forms, id vectors and round trips. Never touches the network.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "tests")]

mod golden;
mod round_trip;
mod samples;
mod tape;
