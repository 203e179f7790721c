//! Wire form v1 against its golden file: one hex line per body. A changed line is a changed past.

use std::fmt::Write as _;

use crate::samples;

const GOLDEN: &str = include_str!("../golden/wire-v1.txt");

fn rendered() -> String {
    let mut out = String::new();
    let mut line = |group: &str, name: &str, bytes: Vec<u8>| {
        writeln!(out, "{group}.{name} {}", hex::encode(bytes)).unwrap();
    };
    for (name, body) in samples::raws() {
        line("raw", name, schemas::encode(&body));
    }
    for (name, body) in samples::market_events() {
        line("market", name, schemas::encode(&body));
    }
    for (name, body) in samples::intakes() {
        line("intake", name, schemas::encode(&body));
    }
    for (name, body) in samples::verdicts() {
        line("verdicts", name, schemas::encode(&body));
    }
    line("forecasts", "inference", schemas::encode(&samples::inference()));
    line("id", "question", samples::question().id.0.to_vec());
    line("id", "commit_hash", samples::reveal().commit_hash(&[0; 32]).0.to_vec());
    line("id", "rules_hash", samples::rules().hash().to_vec());
    let no_rule = schemas::Determination::Void(schemas::VoidReason::NoRule);
    line("determination", "void_no_rule", schemas::encode(&no_rule));
    for (name, row) in crate::tape::rows() {
        line("tape", name, schemas::encode(&row));
    }
    out
}

#[test]
fn wire_form_v1_has_not_changed() {
    let actual = rendered();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/wire-v1.txt");
        std::fs::write(path, &actual).unwrap();
        return;
    }
    for (want, got) in GOLDEN.lines().zip(actual.lines()) {
        assert_eq!(want, got, "a released wire form must not change: add a field at the end instead");
    }
    assert_eq!(GOLDEN.lines().count(), actual.lines().count(), "bodies were added: run UPDATE_GOLDEN=1");
}
