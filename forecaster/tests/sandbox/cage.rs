//! The cage itself: which layers hold on this machine, and that nothing gets out.

use std::path::PathBuf;

use forecaster::WorkerFault;
use forecaster::edge::SandboxEngine;
use forecaster::edge::sandbox::{WorkerCommand, escape};

use crate::support::{code, config, engine, worker};

#[test]
fn every_attempt_to_get_out_is_refused_or_deadly() {
    let Some(engine) = engine() else { return };
    let victim = PathBuf::from("/tmp/oraculo-escape-victim");
    std::fs::write(&victim, b"still here").unwrap();
    let attempts = engine.attempts();
    assert_eq!(attempts.len(), escape::NAMES.len());
    for attempt in &attempts {
        assert!(attempt.contained, "{}: {}", attempt.name, attempt.outcome);
    }
    // What no runtime has a reason for kills; the rest is answered with an error.
    for deadly in
        ["tcp_connect", "tcp_listen", "udp_send", "unix_connect", "execute", "signal_parent", "open_process"]
    {
        let outcome = attempts.iter().find(|a| a.name == deadly).map(|a| a.outcome.as_str());
        assert_eq!(outcome, Some(WorkerFault::Violation.code()), "{deadly}");
    }
    assert_eq!(std::fs::read(&victim).unwrap(), b"still here");
    for made in ["/tmp/oraculo-escape", "/tmp/oraculo-escape-link"] {
        assert!(!PathBuf::from(made).exists(), "{made}");
    }
    std::fs::remove_file(victim).unwrap();
}

#[test]
fn an_attempt_that_nobody_knows_counts_as_a_hole() {
    // The worker says `succeeded` for what it does not know, so that a typo never looks like a wall.
    assert!(!escape::NAMES.contains(&"no_such_attempt"));
}

#[test]
fn every_layer_says_whether_it_holds() {
    let Some(engine) = engine() else { return };
    let report = engine.cage().unwrap();
    let names: Vec<&str> = report.layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "environment",
            "descriptors",
            "one_thread",
            "user",
            "parent_death",
            "limits",
            "no_new_privs",
            "landlock",
            "seccomp"
        ]
    );
    for layer in report.missing() {
        // Landlock is the kernel's to have; everything else must hold wherever the tests run.
        assert_eq!(layer.name, "landlock", "{layer:?}");
        eprintln!("NOT IN FORCE on this kernel: {}: {}", layer.name, layer.detail);
    }
    assert_eq!(engine.last_cage(), Some(report));
}

/// A worker that inherited a variable: one layer is missing.
#[test]
fn an_incomplete_cage_is_reported_and_strict_refuses_it() {
    let Some(mut config) = config() else { return };
    let WorkerCommand { program, .. } = worker();
    config.worker = WorkerCommand {
        program: PathBuf::from("/usr/bin/env"),
        args: vec!["SECRET=1".into(), program.into_os_string()],
    };
    let report = SandboxEngine::new(config.clone()).cage().unwrap();
    assert!(!report.is_complete());
    assert!(report.missing().any(|l| l.name == "environment" && l.detail.contains("1 variables")));
    config.strict = true;
    let refused = SandboxEngine::new(config).cage().map(|_| ());
    assert!(refused.as_ref().is_err_and(|e| e.to_string().contains("environment")));
    assert_eq!(code(refused), "cage_incomplete");
}
