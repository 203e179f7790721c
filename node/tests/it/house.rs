//! Whole days through the whole house: sold, settled, replayed, tampered with, backtested. Never a mock.

use std::fs;

use node::replay;
use node::run_dir::RunDir;

use crate::support::{has_onnx_runtime, oraculo, recorded_day, run_day, texts};

#[test]
fn a_small_day_is_sold_settled_and_replayed() {
    if !has_onnx_runtime("a_small_day_is_sold_settled_and_replayed") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("run");
    let end = run_day(11, 8, &dir);
    let s = &end.summary;
    assert_eq!(end.stalls, 0, "time waited for everything");
    assert_eq!(s.markets.total, 8);
    assert!(s.markets.provable >= 6, "most markets can be proved: {:?}", s.markets);
    assert_eq!(s.markets.agree, s.markets.provable, "every provable outcome is the venue's");
    assert_eq!(s.markets.provable + s.markets.unprovable, s.markets.total);
    assert!(s.signals.issued >= 15, "three horizons of the provable markets: {:?}", s.signals);
    assert_eq!(
        (s.signals.sold, s.signals.received, s.signals.holes),
        (s.signals.issued, s.signals.issued, 0)
    );
    assert_eq!(s.ledger.sum_micros, 0);
    assert_eq!(s.epochs.closed, s.epochs.agreed, "the three validators agree on every root");
    assert!(s.epochs.closed >= 2);
    let miner = |name: &str| s.miners.iter().find(|m| m.name == name).unwrap();
    assert!(miner("poor").stake_after < miner("poor").stake_before);
    assert!(s.miners.iter().all(|m| m.n > 0 && m.rejected == 0 && m.missing == 0), "{:?}", s.miners);

    let replayed = replay::replay(&RunDir::open(&dir).unwrap(), &mut |_| Ok(()), &mut |_| {}).unwrap();
    replay::check(&replayed).unwrap();
    assert_eq!(replayed.report.digest.to_string(), s.digest);
    assert_eq!(replayed.machines.tally.sold, s.signals.sold, "replay counts the same sales");
    backtest_equals_live(&dir, s);
    one_flipped_byte_is_named(&dir);
}

/// `oraculo backtest` computes the live run's scores again from tables.
fn backtest_equals_live(dir: &std::path::Path, live: &node::summary::Summary) {
    let out = oraculo(&["backtest", dir.to_str().unwrap(), "--json"]);
    let (stdout, stderr) = texts(&out);
    assert!(out.status.success(), "{stderr}");
    let evaluation: backtests::Evaluation = serde_json::from_str(&stdout).unwrap();
    assert_eq!(evaluation.sum_micros, 0);
    assert_eq!(evaluation.postings, live.ledger.postings);
    for (horizon, want) in &live.scores {
        let got = &evaluation.topics[&format!("btc-usd.up-5m.{horizon}s")];
        assert_eq!(got.n, want.n, "{horizon}");
        let close = |a: f64, b: Option<f64>| (a - b.unwrap()).abs() < 1e-9;
        assert!(close(got.brier, want.brier), "{horizon}: {} {:?}", got.brier, want.brier);
        assert!(close(got.log, want.log), "{horizon}: {} {:?}", got.log, want.log);
        assert!(close(got.baseline_brier, want.baseline_brier), "{horizon}");
    }
    for miner in &live.miners {
        let got = evaluation.miners.values().find(|m| m.name == miner.name).unwrap();
        assert_eq!(got.delta_micros, miner.stake_after - miner.stake_before, "{}", miner.name);
        assert_eq!((got.n, got.missing), (miner.n, miner.missing));
    }
    if cfg!(feature = "backtests") {
        for table in ["questions", "predictions", "scores", "signals", "ledger"] {
            let bytes = fs::read(dir.join(format!("tables/{table}.parquet"))).unwrap();
            assert_eq!(&bytes[..4], b"PAR1", "{table}");
        }
    }
}

/// Any byte of the journal, flipped: `replay --check` refuses and names the record.
fn one_flipped_byte_is_named(dir: &std::path::Path) {
    let segment = fs::read_dir(dir.join("journal"))
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "seg"))
        .expect("a segment file");
    let clean = fs::read(&segment).unwrap();
    for at in [100, clean.len() / 3, clean.len() / 2, clean.len() - 2] {
        let mut bytes = clean.clone();
        bytes[at] ^= 0x10;
        fs::write(&segment, &bytes).unwrap();
        let out = oraculo(&["replay", "--check", dir.to_str().unwrap()]);
        let (stdout, stderr) = texts(&out);
        assert_eq!(out.status.code(), Some(1), "byte {at}: {stdout}");
        let named = stderr.split_once("entry ").map(|(_, rest)| rest.chars().next());
        assert!(named.flatten().is_some_and(|c| c.is_ascii_digit()), "byte {at} names the record: {stderr}");
    }
    fs::write(&segment, &clean).unwrap();
    let out = oraculo(&["replay", "--check", dir.to_str().unwrap(), "--json"]);
    assert!(out.status.success(), "{}", texts(&out).1);
}

#[test]
fn the_same_seed_scores_the_same() {
    if !has_onnx_runtime("the_same_seed_scores_the_same") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let run = |name: &str| run_day(5, 3, &tmp.path().join(name)).summary;
    let (a, b) = (run("a"), run("b"));
    let miners = |s: &node::summary::Summary| serde_json::to_value(&s.miners).unwrap();
    assert_eq!(miners(&a), miners(&b));
    assert_eq!(serde_json::to_value(&a.scores).unwrap(), serde_json::to_value(&b.scores).unwrap());
}

#[test]
fn the_recorded_day_is_proved() {
    let test = "the_recorded_day_is_proved";
    let Some(data) = recorded_day(test) else { return };
    if !has_onnx_runtime(test) {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("run");
    let args = [
        "demo",
        "--data",
        data.to_str().unwrap(),
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--dir",
        dir.to_str().unwrap(),
    ];
    let out = oraculo(&args);
    let (stdout, stderr) = texts(&out);
    assert!(out.status.success(), "{stderr}");
    let s: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    for (key, want) in [
        ("total", 292),
        ("provable", 280),
        ("agree", 280),
        ("unprovable", 12),
        ("no_strike", 4),
        ("no_closing_tick", 8),
    ] {
        assert_eq!(s["markets"][key], want, "{key}: {s}");
    }
    for horizon in ["60", "150", "240"] {
        let row = &s["scores"][horizon];
        assert!(row["n"].as_u64().unwrap() >= 270, "{row}");
        assert!(row["brier"].as_f64().unwrap() < 0.25, "{row}");
        assert!(row["log"].as_f64().unwrap() < std::f64::consts::LN_2, "{row}");
    }
    assert_eq!(s["signals"]["sold"], s["signals"]["issued"]);
    assert_eq!(s["signals"]["holes"], 0);
    assert_eq!(s["ledger"]["sum_micros"], 0);
    for miner in s["miners"].as_array().unwrap() {
        let change = miner["stake_after"].as_i64().unwrap() - miner["stake_before"].as_i64().unwrap();
        match miner["kind"].as_str().unwrap() {
            "poor" => assert!(change < 0, "{miner}"),
            "copycat" => assert!(change <= 0, "{miner}"),
            _ => {}
        }
    }
    let out = oraculo(&["replay", "--check", dir.to_str().unwrap(), "--json"]);
    let (stdout, stderr) = texts(&out);
    assert!(out.status.success(), "{stderr}");
    let replayed: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(replayed["digest"], s["digest"]);
}
