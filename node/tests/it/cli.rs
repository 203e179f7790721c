//! The command line: help with examples, clear errors for bad input, keys and configuration. Never a venue.

use std::fs;

use crate::support::{oraculo, texts};

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "demo",
        "run",
        "record",
        "archive",
        "replay",
        "backtest",
        "keys",
        "doctor",
        "config",
        "bench",
        "schemas",
        "model",
        "gpu-check",
        "automl",
        "features",
        "miner",
    ] {
        let out = oraculo(&[command, "--help"]);
        let (stdout, stderr) = texts(&out);
        assert!(out.status.success(), "{command}: {stderr}");
        assert!(stdout.contains("Example"), "{command} has no example:\n{stdout}");
    }
}

#[test]
fn bad_input_gets_a_clear_error() {
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name).display().to_string();
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir(path("full")).unwrap();
    fs::write(path("full/file"), "x").unwrap();
    fs::create_dir(path("damaged")).unwrap();
    fs::write(path("damaged/run.json"), "{").unwrap();
    fs::write(path("bad.toml"), "listne = 1").unwrap();
    let (empty, full, damaged, nowhere, bad) =
        (path("empty"), path("full"), path("damaged"), path("nowhere"), path("bad.toml"));
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["demo", "--speed", "0"], "is no speed"),
        (vec!["demo", "--speed", "fast"], "is no speed"),
        (vec!["demo", "--for", "10y"], "is no time"),
        (vec!["demo", "--for", "-1"], "unexpected argument"),
        (vec!["demo", "--seed", "x"], "invalid value"),
        (vec!["demo", "--device", "tpu"], "cpu, auto, cuda"),
        (vec!["demo", "--listen", "nowhere"], "invalid socket address"),
        (vec!["demo", "--dir", &full], "is not empty"),
        (vec!["demo", "--data", &nowhere], "cannot read"),
        (vec!["demo", "--data", &empty], "BTC-5m-markets"),
        (vec!["demo", "--dir", &nowhere, "--models", &empty, "--listen", "127.0.0.1:0"], "closed-form"),
        (vec!["replay", &nowhere], "is no run"),
        (vec!["replay", &empty], "is no run"),
        (vec!["replay", &damaged], "is damaged"),
        (vec!["backtest", &empty], "is no run"),
        (vec!["config", "check", &bad], "listne"),
        (vec!["config", "check", &nowhere], "config show"),
        (vec!["keys", "--dir", &empty, "create", "--account", "A B"], "--account"),
        (vec!["keys", "--dir", &empty, "create", "--account", "a", "--scopes", "root"], "is no scope"),
        (vec!["keys", "--dir", &empty, "revoke", "nothing"], "key"),
        (vec!["doctor", "--ort-lib", &nowhere], &nowhere),
        (vec!["run", "--config", &bad], "listne"),
        (vec!["nonsense"], "unrecognized subcommand"),
    ];
    for (args, want) in cases {
        let out = oraculo(&args);
        let (stdout, stderr) = texts(&out);
        assert!(!out.status.success(), "{args:?} succeeded: {stdout}");
        assert!(stderr.contains(want), "{args:?}: want {want:?} in {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
}

#[test]
fn keys_are_shown_once_and_stored_hashed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().to_str().unwrap();
    let (stdout, stderr) = texts(&oraculo(&["keys", "--dir", dir, "create", "--account", "acme"]));
    let secret = stdout.trim();
    assert!(secret.starts_with("orc_live_"), "{stdout}{stderr}");
    let stored = fs::read_to_string(tmp.path().join("keys.json")).unwrap();
    assert!(!stored.contains(secret), "the secret is not on disk");
    let (listed, _) = texts(&oraculo(&["keys", "--dir", dir, "list"]));
    assert!(listed.contains("acme") && !listed.contains(secret), "{listed}");
    let hint = listed.split_whitespace().next().unwrap().to_owned();
    assert!(oraculo(&["keys", "--dir", dir, "revoke", &hint]).status.success());
    let (listed, _) = texts(&oraculo(&["keys", "--dir", dir, "--json", "list"]));
    assert!(!listed.contains(r#""revoked_at":null"#), "{listed}");
}

#[test]
fn the_shown_configuration_is_accepted_again() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("oraculo.toml");
    fs::write(&file, texts(&oraculo(&["config", "show"])).0).unwrap();
    let out = oraculo(&["config", "check", file.to_str().unwrap()]);
    assert!(out.status.success(), "{}", texts(&out).1);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/oraculo.example.toml");
    let out = oraculo(&["config", "check", example]);
    assert!(out.status.success(), "{}", texts(&out).1);
}

#[test]
fn the_published_schemas_are_written() {
    let tmp = tempfile::tempdir().unwrap();
    let out = oraculo(&["schemas", "--out", tmp.path().to_str().unwrap()]);
    assert!(out.status.success(), "{}", texts(&out).1);
    for name in ["signal", "commitment", "reveal", "problem", "openapi"] {
        let text = fs::read_to_string(tmp.path().join(format!("{name}.json"))).unwrap();
        assert!(text.len() > 200, "{name}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}
