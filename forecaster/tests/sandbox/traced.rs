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
    let mut args: Vec<_> = args.iter().map(Into::into).collect();
    args.push(log.into());
    args.push(worker().program.into_os_string());
    let mut config = config.clone();
    // Being watched is slow; the time is measured elsewhere.
    config.limits.load *= 4;
    config.limits.run *= 2;
    config.worker = WorkerCommand { program: strace.to_owned(), args };
    SandboxEngine::new(config)
}

/// The calls after the lockdown, without reading, writing and the end.
fn after_lockdown(log: &str) -> Option<Vec<&str>> {
    let at = log.rfind(MARKER)?;
    let quiet = ["read(0", "write(0", "exit_group(", "exit(", "mmap(", "munmap(", "mremap(", "+++ ", "--- "];
    let call = |line: &&str| {
        let line = line.split_once(char::is_whitespace).map_or("", |(_, call)| call.trim_start());
        !line.is_empty() && !quiet.iter().any(|q| line.starts_with(q)) && !line.starts_with("<... ")
    };
    Some(log[at..].lines().skip(1).filter(call).collect())
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

/// The proof would be empty if the trace saw nothing.
#[test]
fn the_trace_sees_an_attempt() {
    let (Some(strace), Some(config)) = (strace(), config()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("attempts.trace");
    let attempts = traced(&strace, &log, &config).attempts();
    assert!(attempts.iter().all(|a| a.contained), "{attempts:?}");
    // Each attempt overwrites the file; the last one only allocates, so ask for one that opens.
    let args: Vec<_> = ["-f", "-qq", "-A", "-e", "trace=file,network,process,desc,seccomp", "-o"]
        .iter()
        .map(Into::into)
        .chain([log.clone().into(), worker().program.into_os_string()])
        .collect();
    let config = SandboxConfig { worker: WorkerCommand { program: strace, args }, ..config };
    SandboxEngine::new(config).attempts();
    let text = fs::read_to_string(&log).unwrap();
    for seen in ["\"/etc/passwd\"", "socket(AF_INET", "execve(\"/bin/true\"", "= -1 EPERM"] {
        assert!(text.contains(seen), "{seen} is not in the trace");
    }
}
