//! Tests of the whole house: structure, the binary, days end to end. Never a live venue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests drive real processes")]

mod archive;
mod browser;
mod cli;
mod hostile;
mod house;
mod model_cli;
mod record;
mod record_plan;
mod record_streams;
mod roles;
mod support;
mod tidy;
