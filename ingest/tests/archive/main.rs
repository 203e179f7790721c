//! Tests of the archive: its form, its folder, the importers and the coverage report. Never a live venue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs, reason = "tests")]

mod coverage;
mod form;
mod import;
mod support;

#[cfg(feature = "edge")]
mod disk;
