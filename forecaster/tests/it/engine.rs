//! The real ONNX Runtime on small models: what loads, what is reported, what is refused.

use forecaster::edge::{check, probe::provider_table};
use forecaster::{Bundle, Check};
use forecaster::{Device, Provider, ProviderReport};
use ndarray::Array2;

use crate::bundles::{MANIFEST, WEIGHTS, bundle};
use crate::onnx::{File, node, tensor_i64, value_info};
use crate::support::engine;

fn linear() -> Bundle {
    bundle(MANIFEST, File::linear(WEIGHTS).bytes(), None).unwrap()
}

fn rows(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 10), |(i, j)| ((i * 31 + j * 7) % 17) as f32 / 17.0 - 0.5)
}

#[test]
fn probabilities_of_a_known_model() {
    let Some(engine) = engine() else { return };
    assert_eq!(engine.ort().unwrap().version(), "1.31.1");
    assert!(engine.ort().unwrap().providers().contains(&"CPUExecutionProvider"));
    let mut model = engine.load(&linear(), Device::Cpu).unwrap();
    // More rows than max_batch (64) are split and stay in order.
    let rows = rows(150);
    let got = model.predict(rows.view()).unwrap();
    assert_eq!(got.len(), 150);
    for (row, p) in rows.rows().into_iter().zip(got) {
        let want = 1.0 / (1.0 + libm::exp(-f64::from(row[0] * 100.0 + row[7])));
        assert!((f64::from(p) - want).abs() < 1e-6, "{p} {want}");
    }
    assert_eq!(model.predict(Array2::zeros((1, 9)).view()).unwrap_err().code(), "row_width");
    assert_eq!(model.predict(Array2::zeros((0, 10)).view()).unwrap(), [0.0_f32; 0]);
}

#[test]
fn the_device_policy_is_never_silent() {
    let Some(engine) = engine() else { return };
    let bundle = linear();
    let report = |d: Device| engine.load(&bundle, d).map(|m| m.report().clone());
    let cpu = ProviderReport { requested: Device::Cpu, chosen: Provider::Cpu, reason: None };
    assert_eq!(report(Device::Cpu).unwrap(), cpu);
    if engine.ort().unwrap().providers().contains(&"CUDAExecutionProvider") && cfg!(feature = "cuda") {
        eprintln!("SKIPPED: this library has CUDA, so the refusals cannot be tested");
        return;
    }
    let why = if cfg!(feature = "cuda") {
        "CUDA execution provider is not enabled in this build"
    } else {
        "this program was built without the Cargo feature `cuda`"
    };
    for device in [Device::Cuda, Device::CudaOrFail] {
        let error = report(device).unwrap_err();
        assert_eq!(error.code(), "device_not_available");
        let text = error.to_string();
        assert!(text.contains(why) && text.contains(&format!("device `{}`", device.name())), "{text}");
    }
    let auto = report(Device::Auto).unwrap();
    assert_eq!((auto.requested, auto.chosen), (Device::Auto, Provider::Cpu));
    assert!(auto.reason.unwrap().contains(why));
}

#[test]
fn device_names() {
    for device in Device::ALL {
        assert_eq!(device.name().parse::<Device>().unwrap(), device);
    }
    assert_eq!("gpu".parse::<Device>().unwrap_err().code(), "device_not_available");
}

#[test]
fn a_model_the_engine_refuses_is_a_typed_error() {
    let Some(engine) = engine() else { return };
    // Sound to the static checks, but the shapes do not fit: 10 columns times 9 rows.
    let mut f = File::linear(WEIGHTS);
    f.initializers[0] = crate::onnx::tensor("w", &[9, 1], &[1.0; 9]);
    let refused = bundle(MANIFEST, f.bytes(), None).unwrap();
    let error = engine.load(&refused, Device::Cpu).err().unwrap();
    assert!(matches!(error.code(), "session_refused" | "run_failed"), "{error}");
    // A node that reads what nobody writes.
    let mut f = File::linear(WEIGHTS);
    f.nodes[1] = node("Sigmoid", &["nowhere"], &["p_up"]);
    let refused = bundle(MANIFEST, f.bytes(), None).unwrap();
    assert_eq!(engine.load(&refused, Device::Cpu).err().unwrap().code(), "session_refused");
}

/// Declares [batch, 1] and gives the mean over the batch: [1, 1].
pub fn lying() -> File {
    let mut f = File::linear(WEIGHTS);
    f.nodes = vec![
        node("MatMul", &["features", "w"], &["s"]),
        node("Sigmoid", &["s"], &["t"]),
        node("ReduceSum", &["t", "axes"], &["p_up"]),
    ];
    f.initializers.push(tensor_i64("axes", &[0]));
    f
}

#[test]
fn dynamic_checks_find_what_they_are_for() {
    let Some(engine) = engine() else { return };
    let failed = |f: &File| {
        let b = bundle(MANIFEST, f.bytes(), None).unwrap();
        let found = check(&engine, &b).unwrap();
        let detail = format!("{found:?}");
        (found.iter().filter(|f| !f.passed).map(|f| f.check).collect::<Vec<_>>(), detail)
    };
    // Without golden pairs a model never passes.
    let (checks, detail) = failed(&File::linear(WEIGHTS));
    assert_eq!(checks, [Check::Golden], "{detail}");
    let (checks, detail) = failed(&lying());
    assert!(checks.contains(&Check::Shape), "{detail}");
    let constant = File::linear([0.0; 10]);
    let (checks, detail) = failed(&constant);
    assert_eq!(checks, [Check::Golden, Check::Range], "{detail}");
    // A logit instead of a probability.
    let mut logit = File::linear([10.0; 10]);
    logit.nodes = vec![node("MatMul", &["features", "w"], &["p_up"])];
    let (checks, detail) = failed(&logit);
    assert!(checks.contains(&Check::Range), "{detail}");
    // A row that depends on its neighbours.
    let mut batchy = lying();
    batchy.nodes[2] = node("Softmax", &["t"], &["p_up"]).msg(5, &axis_0());
    batchy.initializers.pop();
    let (checks, detail) = failed(&batchy);
    assert!(checks.contains(&Check::BatchInvariance), "{detail}");
}

fn axis_0() -> crate::onnx::Msg {
    crate::onnx::Msg::default().text(1, "axis").int(3, 0).int(20, 2)
}

#[test]
fn the_provider_table_counts_nodes() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let table = provider_table(&engine, &linear(), Device::Cpu, dir.path()).unwrap();
    assert_eq!(table.report.chosen, Provider::Cpu);
    let shares: Vec<_> = table.shares.iter().map(|(name, s)| (name.as_str(), s.nodes > 0)).collect();
    assert_eq!(shares, [("CPUExecutionProvider", true)]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the profile is removed");
}

#[test]
fn unused_shapes_are_not_trusted() {
    // `value_info` is there to be read by people; here it lies and nothing happens.
    let mut f = File::linear(WEIGHTS);
    f.graph_extra = crate::onnx::Msg::default().msg(13, &value_info("s", 1, &[None, Some(1)]));
    assert!(bundle(MANIFEST, f.bytes(), None).is_ok());
}
