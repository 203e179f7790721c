//! Logs: text on a terminal, JSON lines otherwise; always on stderr, so that stdout carries data alone.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging at `filter` (e.g. `info`, `warn,ingest=debug`). A second call changes nothing.
pub fn init(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    // Tests start several nodes in one process; the first subscriber stays.
    let _ = if terminal { builder.try_init() } else { builder.json().try_init() };
}
