//! How workers fail, each with its own code; and that a failed one comes back, or stays off when it fails too often.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use forecaster::edge::SandboxEngine;
use forecaster::edge::sandbox::{BreakerConfig, WorkerCommand};
use forecaster::engine::{Engine as _, Session};

use crate::corpus::onnx::File;
use crate::corpus::{corpus, local};
use crate::support::{code, config, options};

fn model() -> Vec<u8> {
    File::linear([0.5; 10]).bytes()
}

/// The model of the corpus with this name.
pub fn hostile(name: &str) -> Vec<u8> {
    let found = corpus().into_iter().chain(local()).find(|h| h.name == name);
    found.unwrap_or_else(|| panic!("the corpus has no `{name}`")).bytes
}

/// A program that is no worker, given as a line of shell; descriptor 0 is the socket.
fn impostor(line: &str) -> WorkerCommand {
    WorkerCommand { program: PathBuf::from("/bin/sh"), args: vec!["-c".into(), line.into()] }
}

#[test]
fn a_program_that_is_no_worker_has_a_code_for_every_way_to_fail() {
    let Some(mut config) = config() else { return };
    config.limits.load = Duration::from_millis(400);
    let check = |line: &str, want: &str| {
        let config = forecaster::edge::sandbox::SandboxConfig { worker: impostor(line), ..config.clone() };
        let started = Instant::now();
        assert_eq!(code(SandboxEngine::new(config).load(&model(), &options())), want, "{line}");
        assert!(started.elapsed() < Duration::from_secs(2), "{line}");
    };
    check("exit 0", "worker_crashed");
    check("kill -SEGV $$", "worker_crashed");
    check("kill -SYS $$", "worker_violation");
    check("kill -XCPU $$", "worker_cpu");
    check("sleep 5", "worker_load_timeout");
    check("exec 1>&0; while :; do printf x; sleep 0.05; done", "worker_load_timeout");
    check("exec 0>&- 1>&- 2>&-; sleep 5", "worker_garbage");
    // A report of a cage that is none; a body of four gigabytes; a frame with something behind it.
    check(r"printf '\020\000\000\000\000\000\000\000\001\000\000\000\377' >&0; sleep 5", "worker_garbage");
    check(r"printf '\020\000\000\000\000\000\000\000\377\377\377\377' >&0; sleep 5", "worker_oversize");
    check(r"printf '\020\000\000\000\000\000\000\000\001\000\000\000xyz' >&0; sleep 5", "worker_garbage");
    check(r"printf '\143\000\000\000\000\000\000\000\000\000\000\000' >&0; sleep 5", "worker_garbage");
}

#[test]
fn a_program_that_is_not_there_is_no_worker() {
    let Some(mut config) = config() else { return };
    config.worker = WorkerCommand { program: PathBuf::from("/no/such/worker"), args: Vec::new() };
    assert_eq!(code(SandboxEngine::new(config).load(&model(), &options())), "worker_not_started");
}

#[test]
fn limits_of_time_and_memory_have_their_codes() {
    let Some(mut config) = config() else { return };
    // Folded at load, seven seconds of it.
    let engine = SandboxEngine::new(config.clone());
    assert_eq!(code(engine.load(&hostile("fold_matmul_6000"), &options())), "worker_load_timeout");
    let run = |engine: &SandboxEngine, name: &str| {
        let mut session = engine.load(&hostile(name), &options()).unwrap();
        code(session.run_rows(&[0.3; 10], 1, &mut Vec::new()))
    };
    assert_eq!(run(&engine, "slow_bounded_loop"), "worker_run_timeout");
    for bomb in ["constant_of_shape_8_gb", "memory_bomb_at_run_time", "memory_bomb_of_a_terabyte"] {
        assert_eq!(run(&engine, bomb), "worker_memory", "{bomb}");
    }
    // The processor's limit ends what the wall clock would let run on.
    config.limits.cpu_s = 1;
    config.limits.run = Duration::from_secs(20);
    let engine = SandboxEngine::new(config);
    assert_eq!(run(&engine, "slow_bounded_loop"), "worker_cpu");
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// Until the code is another one, at most two seconds.
fn after(session: &mut impl Session, first: &str) -> &'static str {
    let started = Instant::now();
    loop {
        let now = code(session.run_rows(&[0.0; 10], 1, &mut Vec::new()));
        if now != first || started.elapsed() > Duration::from_secs(2) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_worker_comes_back_and_one_that_fails_too_often_stays_off() {
    let Some(mut config) = config() else { return };
    config.breaker =
        BreakerConfig { failures: 3, off: Duration::from_millis(300), ..BreakerConfig::default() };
    let engine = SandboxEngine::new(config);
    let mut session = engine.open(&model(), &options()).unwrap();
    let first = session.process().unwrap();
    for round in 1..=2 {
        kill(session.process().unwrap());
        assert_eq!(code(session.run_rows(&[0.0; 10], 1, &mut Vec::new())), "worker_crashed");
        assert_eq!(code(session.run_rows(&[0.0; 10], 1, &mut Vec::new())), "worker_restarting");
        assert_eq!(after(&mut session, "worker_restarting"), "none");
        assert_eq!(session.restarts(), round);
    }
    assert_ne!(session.process().unwrap(), first);
    kill(session.process().unwrap());
    assert_eq!(code(session.run_rows(&[0.0; 10], 1, &mut Vec::new())), "worker_crashed");
    assert_eq!(code(session.run_rows(&[0.0; 10], 1, &mut Vec::new())), "model_breaker_open");
    assert_eq!(after(&mut session, "model_breaker_open"), "none", "after a while it is tried once more");
}

#[test]
fn a_dropped_session_leaves_no_process() {
    let Some(config) = config() else { return };
    let session = SandboxEngine::new(config).open(&model(), &options()).unwrap();
    let process = PathBuf::from(format!("/proc/{}", session.process().unwrap()));
    assert!(process.exists());
    drop(session);
    assert!(!process.exists());
}
