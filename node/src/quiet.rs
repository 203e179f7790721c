//! Keeps ONNX Runtime quiet: this program reports to nobody. Never touches anything else of the environment.
#![allow(clippy::disallowed_methods, reason = "node reads the environment")]

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What ONNX Runtime reads while it is opened. Without it, releases since 1.29 start a thread that keeps a database in the
/// home folder and reports to their maker; its own switch comes too late, after the thread has started.
const VARIABLE: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Starts this same process again with the variable set, unless it is: a running process cannot change its own environment
/// safely. Comes back only if there is nothing to do, or with the error of a start that failed.
pub fn ensure() -> Option<std::io::Error> {
    if env::var_os(VARIABLE.0).is_some() {
        return None;
    }
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    match env::current_exe() {
        Ok(program) => Some(Command::new(program).arg0(name).args(args).env(VARIABLE.0, VARIABLE.1).exec()),
        Err(error) => Some(error),
    }
}
