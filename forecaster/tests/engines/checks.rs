//! Shipped bundles through every check, with and without ONNX Runtime; spoiled ones fail the check that is meant for it.

use std::path::PathBuf;

use forecaster::edge::check::{NanPolicy, advice};
use forecaster::edge::{CheckOptions, CheckReport, Engines, check_with};
use forecaster::{Bundle, Check, EngineKind};

use crate::models::file;
use crate::onnx::{node, tensor, value_info};
use crate::support::{FEATURES, Spec, bundle, with_ort, without_ort};

fn shipped(name: &str) -> Bundle {
    Bundle::load(&PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models")).join(name)).unwrap()
}

fn report(engines: &Engines, bundle: &Bundle) -> CheckReport {
    let dir = tempfile::tempdir().unwrap();
    let options =
        CheckOptions { scratch: Some(dir.path().to_owned()), measure: true, ..CheckOptions::default() };
    check_with(engines, bundle, &options).unwrap()
}

fn failed(report: &CheckReport) -> Vec<Check> {
    report.findings.iter().filter(|f| !f.passed).map(|f| f.check).collect()
}

#[test]
fn shipped_bundles_pass_without_a_native_library() {
    let engines = without_ort();
    for name in ["closed-form", "logistic", "mlp", "poor"] {
        let report = report(&engines, &shipped(name));
        assert_eq!(
            (report.engine, failed(&report)),
            (EngineKind::Rten, Vec::new()),
            "{:#?}",
            report.findings
        );
        assert!(report.latency.iter().all(|l| l.engine == EngineKind::Rten || l.engine == EngineKind::Trees));
    }
}

#[test]
fn shipped_bundles_pass_with_onnx_runtime() {
    let Some(engines) = with_ort() else { return };
    for name in ["closed-form", "logistic", "gbt", "mlp", "poor"] {
        let bundle = shipped(name);
        let report = report(&engines, &bundle);
        assert_eq!(failed(&report), Vec::new(), "{name}: {:#?}", report.findings);
        let codes: Vec<&str> = report.findings.iter().map(|f| &f.check.code()[..3]).collect();
        for code in ["c09", "c10", "c11", "c12", "c13", "c14", "c15", "c16", "c17", "c18", "c20"] {
            assert!(codes.contains(&code), "{name}: {code} is missing in {codes:?}");
        }
        let sizes = |kind: EngineKind| report.latency.iter().filter(|l| l.engine == kind).count();
        // 1, 2, 4, … 256 rows.
        assert_eq!(sizes(report.engine), 9, "{:?}", report.latency);
        assert!(report.latency.iter().all(|l| l.min_us <= l.p50_us && l.p50_us <= l.p99_us && l.runs >= 9));
        if report.engine == EngineKind::Ort {
            let table = report.providers.unwrap();
            assert_eq!(table.shares.keys().collect::<Vec<_>>(), ["CPUExecutionProvider"]);
        }
    }
}

/// A bundle of ten features whose graph ends in these nodes, from `s = x·w`.
fn ten(nodes: Vec<crate::onnx::Msg>, initializers: Vec<crate::onnx::Msg>) -> Bundle {
    let tables = format!(
        "{FEATURES}\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [\"batch\", 10]\nsource = \"features\"\n\
         [[outputs]]\nname = \"p\"\nkind = \"probability\"\nshape = [\"batch\", 1]\nrange = [0.0, 1.0]\n"
    );
    let (x, p) = ([None, Some(10)], [None, Some(1)]);
    let model = file(nodes, initializers, vec![value_info("x", 1, &x)], vec![value_info("p", 1, &p)]).bytes();
    bundle(&model, &Spec { tables: &tables, topic: None, max_batch: 64 }).unwrap()
}

fn weights(w: [f32; 10]) -> crate::onnx::Msg {
    tensor("w", &[10, 1], &w)
}

#[test]
fn a_spoiled_model_fails_its_check() {
    let engines = with_ort().unwrap_or_else(without_ort);
    let check = |bundle: &Bundle, want: Check| {
        let report = report(&engines, bundle);
        let failed = failed(&report);
        assert!(failed.contains(&want), "{want}: {:#?}", report.findings);
        report
    };
    let matmul = || node("MatMul", &["x", "w"], &["s"]);
    let sound = ten(vec![matmul(), node("Sigmoid", &["s"], &["p"])], vec![weights([0.5; 10])]);
    let report = check(&sound, Check::Golden);
    assert_eq!(failed(&report), [Check::Golden], "{:#?}", report.findings);
    assert_eq!(report.nan_policy, NanPolicy::Propagates);
    let constant = ten(vec![matmul(), node("Sigmoid", &["s"], &["p"])], vec![weights([0.0; 10])]);
    check(&constant, Check::Range);
    let logit = ten(vec![node("MatMul", &["x", "w"], &["p"])], vec![weights([-9.0; 10])]);
    check(&logit, Check::Range);
    let axis = crate::onnx::Msg::default().text(1, "axis").int(3, 0).int(20, 2);
    let neighbours =
        ten(vec![matmul(), node("Softmax", &["s"], &["p"]).msg(5, &axis)], vec![weights([0.5; 10])]);
    check(&neighbours, Check::BatchInvariance);
    // NaN becomes a number: max(NaN, 0) by comparison.
    let zero = tensor("zero", &[1, 1], &[0.0]);
    let swallow = vec![
        matmul(),
        node("Less", &["s", "zero"], &["less"]),
        node("Where", &["less", "zero", "one"], &["t"]),
        node("Sigmoid", &["t"], &["p"]),
    ];
    let swallowing = ten(swallow, vec![weights([0.5; 10]), zero, tensor("one", &[1, 1], &[1.0])]);
    let report = check(&swallowing, Check::Golden);
    assert_eq!(report.nan_policy, NanPolicy::Swallows, "{:#?}", report.findings);
}

#[test]
fn every_check_has_a_cause_and_a_cure() {
    for check in Check::ALL {
        let found = advice::of(*check);
        assert!(found.cause.len() > 10 && found.cure.len() > 6, "{check}: {found:?}");
    }
}
