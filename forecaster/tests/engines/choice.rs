//! Which engine runs what, and what each refuses with which reason.

use forecaster::engine::LoadOptions;
use forecaster::{Device, EngineChoice, EngineKind, ForecasterError};

use crate::models::{file, mlp, mlp_io, row_io};
use crate::onnx::{Msg, node, value_info};
use crate::support::{with_ort, without_ort};

/// One tree of one split: enough to be of `ai.onnx.ml`.
pub fn tree() -> Vec<u8> {
    let ints =
        |name: &str, v: &[u64]| v.iter().fold(Msg::default().text(1, name).int(20, 7), |m, x| m.int(8, *x));
    let floats = |name: &str, v: &[f32]| {
        let raw: Vec<u8> = v.iter().flat_map(|x| x.to_le_bytes()).collect();
        Msg::default().text(1, name).int(20, 6).bytes(7, &raw)
    };
    let strings =
        |name: &str, v: &[&str]| v.iter().fold(Msg::default().text(1, name).int(20, 8), |m, s| m.text(9, s));
    let attributes = [
        Msg::default().text(1, "n_targets").int(20, 2).int(3, 1),
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0]),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("target_treeids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_ids", &[0, 0]),
        floats("target_weights", &[0.25, 0.75]),
    ];
    let tree = attributes.iter().fold(node("TreeEnsembleRegressor", &["x"], &["p"]), |m, a| m.msg(5, a));
    let tree = tree.text(7, "ai.onnx.ml");
    let mut f = file(
        vec![tree],
        Vec::new(),
        vec![value_info("x", 1, &[None, Some(2)])],
        vec![value_info("p", 1, &[None, Some(1)])],
    );
    f.opsets.push(("ai.onnx.ml", 3));
    f.bytes()
}

fn options() -> LoadOptions {
    LoadOptions { rows: Some(mlp_io()), ..LoadOptions::default() }
}

fn refused(found: Result<Box<dyn forecaster::engine::Session>, ForecasterError>) -> (&'static str, String) {
    let error = found.err().unwrap();
    (error.code(), error.to_string())
}

#[test]
fn auto_without_a_library_is_rten_except_for_trees() {
    let engines = without_ort();
    assert!(!engines.kinds().contains(&EngineKind::Ort) && engines.kinds().contains(&EngineKind::Rten));
    let session = engines.session(&mlp(), EngineChoice::Auto, &options()).unwrap();
    assert_eq!(session.engine(), EngineKind::Rten);
    // What rten lacks is not taken for a fault of the model: the library is missing.
    let rows = Some(row_io("x", 2, "p"));
    let tree_options = LoadOptions { rows, ..LoadOptions::default() };
    if !engines.kinds().contains(&EngineKind::Trees) {
        let (code, text) = refused(engines.session(&tree(), EngineChoice::Auto, &tree_options));
        assert_eq!(code, "engine_not_available");
        assert!(text.contains("make ort"), "{text}");
    }
    let (code, text) = refused(engines.session(&tree(), EngineChoice::Only(EngineKind::Rten), &tree_options));
    assert_eq!(code, "engine_not_available");
    assert!(text.contains("TreeEnsembleRegressor"), "{text}");
    // A named engine is that one or an error; a GPU is ONNX Runtime's business.
    let (code, text) = refused(engines.session(&mlp(), EngineChoice::Only(EngineKind::Ort), &options()));
    assert_eq!(code, "engine_not_available");
    assert!(text.contains("not found"), "{text}");
    let cuda = LoadOptions { device: Device::CudaOrFail, ..options() };
    assert_eq!(refused(engines.session(&mlp(), EngineChoice::Auto, &cuda)).0, "engine_not_available");
    let (code, text) = refused(engines.session(&mlp(), EngineChoice::Only(EngineKind::Rten), &cuda));
    assert_eq!(code, "device_not_available");
    assert!(text.contains("CPU only"), "{text}");
}

#[test]
fn auto_with_a_library_is_ort() {
    let Some(engines) = with_ort() else { return };
    let session = engines.session(&mlp(), EngineChoice::Auto, &options()).unwrap();
    assert_eq!(session.engine(), EngineKind::Ort);
    assert_eq!(session.io().inputs[0].name, "x");
    let rten = engines.session(&mlp(), EngineChoice::Only(EngineKind::Rten), &options()).unwrap();
    assert_eq!((rten.engine(), rten.io()), (EngineKind::Rten, session.io()));
    // Auto on a machine without a GPU: the CPU, with the exact reason in the report.
    let auto = LoadOptions { device: Device::Auto, ..options() };
    let report = engines.session(&mlp(), EngineChoice::Auto, &auto).unwrap().report().clone();
    assert!(report.chosen == forecaster::Provider::Cuda || report.reason.is_some(), "{report:?}");
}
