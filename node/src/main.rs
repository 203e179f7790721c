//! `oraculo`: parses the command line, runs one command, exits with its code. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use node::cmd::Cli;

fn main() -> ExitCode {
    if let Some(error) = node::quiet::ensure() {
        node::cmd::complain(&anyhow::Error::new(error).context("ONNX Runtime may report to its maker"));
    }
    let cli = Cli::parse();
    node::telemetry::init(&cli.log);
    match node::cmd::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            node::cmd::complain(&error);
            ExitCode::from(1)
        }
    }
}
