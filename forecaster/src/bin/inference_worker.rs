//! The process in which one stranger's model runs; it talks over descriptor 0 only and takes no arguments.

use std::process::ExitCode;

fn main() -> ExitCode {
    forecaster::edge::sandbox::worker::run()
}
