//! What workers ask the kernel for once they are caged, as `strace` sees it from outside: no file, network or program.

use std::fs;
use std::path::{Path, PathBuf};

use forecaster::edge::SandboxEngine;
use forecaster::edge::sandbox::{SandboxConfig, WorkerCommand};
use forecaster::engine::Engine as _;

use crate::corpus::{corpus, local};
use crate::support::{config, options, worker};

/// The last step of the lockdown: from here on nothing may be asked for.
const MARKER: &str = "seccomp(SECCOMP_SET_MODE_FILTER";

fn strace() -> Option<PathBuf> {
    let found = ["/usr/bin/strace", "/bin/strace"].map(PathBuf::from).into_iter().find(|p| p.exists());
    if found.is_none() {
        eprintln!("SKIPPED: this test needs strace (scripts/setup_test.sh installs it)");
    }
    found
}

/// The worker under `strace`, which writes its calls to a file.
fn traced(strace: &Path, log: &Path, config: &SandboxConfig) -> SandboxEngine {
    let args = ["-f", "-qq", "-e", "trace=file,network,process,desc,seccomp", "-o"];
    let mut args: Vec<std::ffi::OsString> = args.iter().map(Into::into).collect();
    args.push(log.into());
    args.push(worker().program.into_os_string());
    let mut config = config.clone();
    // Being watched is slow; the time is measured elsewhere.
    config.limits.load *= 4;
    config.limits.run *= 2;
    config.worker = WorkerCommand { program: strace.to_owned(), args };
    SandboxEngine::new(config)
}

/// The calls after the lockdown that should not be there: everything that opens, connects or starts, tried or done, and
/// whatever else is about files, networks or processes unless it was refused.
fn after_lockdown(log: &str) -> Option<Vec<&str>> {
    let at = log.rfind(MARKER)?;
    let quiet = ["read(0", "write(0", "exit_group(", "exit(", "mmap(", "munmap(", "mremap(", "+++ ", "--- "];
    let never =
        ["open", "creat", "exec", "socket", "connect", "bind", "accept", "clone", "fork", "vfork", "ptrace"];
    let bad = |line: &&str| {
        let call = line.split_once(char::is_whitespace).map_or("", |(_, call)| call.trim_start());
        let quiet = call.is_empty() || quiet.iter().any(|q| call.starts_with(q));
        !quiet && (never.iter().any(|n| call.starts_with(n)) || !call.contains("= -1 EPERM"))
    };
    Some(log[at..].lines().skip(1).filter(bad).collect())
}

#[test]
fn no_hostile_model_opens_connects_or_starts_anything() {
    let (Some(strace), Some(config)) = (strace(), config()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut caged, mut asked) = (0, Vec::new());
    for (i, hostile) in corpus().into_iter().chain(local()).enumerate() {
        let log = folder.path().join(format!("{i}.trace"));
        if let Ok(mut session) = traced(&strace, &log, &config).load(&hostile.bytes, &options()) {
            // Whatever it answers: what it asks the kernel for is looked at.
            drop(session.run_rows(&[0.3; 10], 1, &mut Vec::new()));
        }
        let text = fs::read_to_string(&log).unwrap();
        let Some(calls) = after_lockdown(&text) else { panic!("{}: no lockdown in {text}", hostile.name) };
        assert!(text.contains("libonnxruntime"), "{}: the trace sees what is opened before", hostile.name);
        caged += 1;
        asked.extend(calls.iter().map(|call| format!("{}: {call}", hostile.name)));
    }
    assert!(asked.is_empty(), "{asked:#?}");
    eprintln!("{caged} hostile models under strace: nothing opened, connected or started after the lockdown");
}

/// The proof would be empty if the trace did not see what is tried.
#[test]
fn the_trace_sees_an_attempt() {
    let (Some(strace), Some(config)) = (strace(), config()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("attempts.trace");
    let mut engine_config = traced(&strace, &log, &config).config().clone();
    // Each attempt is a process of its own: append.
    engine_config.worker.args.insert(0, "-A".into());
    SandboxEngine::new(engine_config).attempts();
    let text = fs::read_to_string(&log).unwrap();
    for seen in ["\"/etc/passwd\"", "socket(AF_INET", "execve(\"/bin/true\"", "= -1 EPERM"] {
        assert!(text.contains(seen), "{seen} is not in the trace");
    }
    let tried = text.find("\"/etc/passwd\"").unwrap();
    let line = tried + text[tried..].find('\n').unwrap();
    assert!(!after_lockdown(&text[..line]).unwrap().is_empty(), "the sieve lets it through");
}
