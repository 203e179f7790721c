//! Models that nobody here wrote, from six packages: imported, checked truthfully, compared with Python's runtime.
//!
//! The packages are fetched into the user's cache and never committed. Without network, pip or the native library the
//! tests say so loudly and pass.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests that stand where node stands"
)]

mod fetch;
mod python;

use std::path::PathBuf;

use forecaster::Device;
use forecaster::bundle::golden::{Case, TOLERANCE};
use forecaster::bundle::{BundleLimits, ModelFacts, Parts, Policy};
use forecaster::edge::import::{ImportOptions, Imported, import};
use forecaster::edge::{Engines, Search};
use forecaster::engine::{Data, Dim, Dtype, Tensor};
use forecaster::manifest::{Manifest, OutputKind, Source};

/// The library by the usual discovery, or `None` after saying so loudly.
fn engines() -> Option<Engines> {
    match Search::here(None, std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from)).find() {
        Ok(path) => Some(Engines::open(&path).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}

/// Imports a package's model and compares golden cases and a batch of two with Python; `None` after a loud skip.
fn imported(package: &fetch::Package, options: &ImportOptions) -> Option<Imported> {
    let (engines, model) = (engines()?, fetch::model(package)?);
    let limits = BundleLimits::default();
    let done = import(&engines, &model, options, &limits).unwrap_or_else(|e| panic!("{}: {e}", package.name));
    for note in &done.notes {
        eprintln!("{}: {} {} ({})", package.name, note.code, note.cause, note.cure);
    }
    eprintln!("{}\nhosted: {:?}", done.parts.manifest, done.hosted);
    // What was written is read back as it is, from a folder and from an archive.
    let dir = tempfile::tempdir().unwrap();
    done.parts.write(dir.path()).unwrap();
    assert_eq!(Parts::read(dir.path(), &limits).unwrap(), done.parts);
    assert_eq!(forecaster::Bundle::from_tar(&done.parts.to_tar().unwrap()).unwrap().id(), done.bundle.id());
    let manifest = done.bundle.manifest();
    let mut runs: Vec<Vec<Tensor>> =
        done.bundle.golden().cases().iter().map(|c| c.run_inputs(manifest)).collect();
    if manifest.limits.max_batch > 1 {
        runs.push(two_rows(manifest, &runs[0]));
    }
    let wanted = python::run(&model, &runs)?;
    let mut model = engines.load(&done.bundle, Device::Cpu).unwrap();
    for (inputs, outputs) in runs.into_iter().zip(wanted) {
        let got = model.session().run(&inputs).unwrap();
        let worst = Case { inputs, outputs }.difference(&got).unwrap();
        eprintln!("{}: largest difference from Python {worst:e}", package.name);
        assert!(worst <= f64::from(TOLERANCE), "{}: {worst}", package.name);
    }
    for case in done.bundle.golden().cases() {
        let got = model.session().run(&case.run_inputs(manifest)).unwrap();
        assert!(case.difference(&got).unwrap() <= f64::from(TOLERANCE));
    }
    Some(done)
}

/// Inputs of two rows: free dimensions as long as in `one`, numbers of another pattern.
fn two_rows(manifest: &Manifest, one: &[Tensor]) -> Vec<Tensor> {
    let input = |section: &forecaster::manifest::InputSection| {
        let like = one.iter().find(|t| t.name == section.name).unwrap();
        let size = |(dim, n): (&Dim, &usize)| if dim.is_batch() { 2 } else { *n };
        let shape: Vec<usize> = section.shape.iter().zip(&like.shape).map(size).collect();
        let count = shape.iter().product();
        let zero = section.source == Source::State;
        let at = |i: usize| if zero { 0 } else { (i * 7 + 3) % 8 };
        let data = match section.dtype {
            _ if section.source == Source::Constant => like.data.clone(),
            Dtype::F32 => Data::F32((0..count).map(|i| at(i) as f32 / 8.0).collect()),
            Dtype::I32 => Data::I32((0..count).map(|i| at(i) as i32).collect()),
            Dtype::I64 => Data::I64((0..count).map(|i| at(i) as i64).collect()),
            other => panic!("no package has {other:?}"),
        };
        Tensor::new(&section.name, shape, data).unwrap()
    };
    manifest.inputs.iter().map(input).collect()
}

fn codes(done: &Imported) -> Vec<&'static str> {
    done.notes.iter().map(|n| n.code).collect()
}

fn batch() -> Dim {
    Dim::Named("batch".to_owned())
}

#[test]
fn a_power_forecaster_with_its_data_outside() {
    let Some(model) = fetch::model(&fetch::POWER) else { return };
    let scaler = PathBuf::from(model.to_str().unwrap().replace("_model.onnx", "_scaler.npz"));
    let options = ImportOptions { scaler: Some(scaler), ..ImportOptions::default() };
    let Some(done) = imported(&fetch::POWER, &options) else { return };
    // As it is, nobody takes it.
    let refused = ModelFacts::scan(&std::fs::read(&model).unwrap(), &BundleLimits::default());
    assert_eq!(refused.unwrap_err().code(), "c03_external_data");
    let codes = codes(&done);
    for code in ["c03_external_data", "c09_shape", "c14_nan_policy", "manifest_normalise"] {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
    assert!(done.inlined > 0);
    let manifest = done.bundle.manifest();
    assert_eq!(manifest.normalise.mean.as_ref().unwrap().len(), 21);
    assert_eq!(manifest.inputs[0].shape, [batch(), Dim::Fixed(288), Dim::Fixed(21)]);
    assert_eq!(manifest.outputs[0].shape, [batch(), Dim::Fixed(288)], "the file declares [1, 288]");
}

#[test]
fn a_voice_detector_with_state() {
    let Some(done) = imported(&fetch::SILERO, &ImportOptions::default()) else { return };
    let manifest = done.bundle.manifest();
    assert_eq!((manifest.state[0].input.as_str(), manifest.state[0].output.as_str()), ("state", "stateN"));
    let sr = manifest.inputs.iter().find(|i| i.name == "sr").unwrap();
    assert_eq!((sr.source, sr.value.as_deref()), (Source::Constant, Some([16_000.0].as_slice())));
    assert_eq!(manifest.outputs[0].shape, [batch(), Dim::Fixed(1)]);
    assert!(done.bundle.facts().nesting > 0, "it is full of `If`");
}

#[test]
fn a_file_type_classifier() {
    let Some(done) = imported(&fetch::MAGIKA, &ImportOptions::default()) else { return };
    let manifest = done.bundle.manifest();
    assert_eq!(manifest.inputs[0].dtype, Dtype::I32);
    assert_eq!(manifest.inputs[0].shape, [batch(), Dim::Fixed(2048)]);
    assert_eq!(manifest.outputs[0].kind, OutputKind::Categorical);
    assert_eq!(manifest.outputs[0].shape, [batch(), Dim::Fixed(214)]);
}

#[test]
fn a_quantised_model_of_contrib_operators() {
    let Some(done) = imported(&fetch::DKSPLIT, &ImportOptions::default()) else { return };
    assert!(codes(&done).contains(&"c04_domain"));
    assert_eq!(done.hosted.as_ref().unwrap().code, "c04_domain");
    let manifest = done.bundle.manifest();
    assert_eq!(manifest.outputs[0].shape, [batch(), Dim::Named("seq_len".to_owned()), Dim::Fixed(2)]);
}

#[test]
fn a_voice_detector_with_four_caches() {
    let Some(done) = imported(&fetch::OSC, &ImportOptions::default()) else { return };
    let pairs: Vec<(&str, &str)> =
        done.bundle.manifest().state.iter().map(|s| (s.input.as_str(), s.output.as_str())).collect();
    let want = [
        ("in_cache0", "out_cache0"),
        ("in_cache1", "out_cache1"),
        ("in_cache2", "out_cache2"),
        ("in_cache3", "out_cache3"),
    ];
    assert_eq!(pairs, want);
    assert_eq!(done.bundle.manifest().outputs.len(), 1);
}

#[test]
fn an_image_classifier_with_unnamed_dimensions() {
    let Some(done) = imported(&fetch::RAPIDOCR, &ImportOptions::default()) else { return };
    let manifest = done.bundle.manifest();
    assert_eq!(manifest.model.opset, 11);
    assert_eq!(manifest.outputs[0].shape, [batch(), Dim::Fixed(2)]);
    // What it was found with is within the policy of a host.
    let host = done.parts.clone().check(Policy::Hosted, &BundleLimits::default());
    assert_eq!(host.is_ok(), done.hosted.is_none());
}

#[test]
fn three_opsets_of_one_model_agree() {
    let (Some(engines), Some(model)) = (engines(), fetch::model(&fetch::SILERO)) else { return };
    let mut first: Option<Case> = None;
    let files =
        [("silero_vad.onnx", 16), ("silero_vad_16k_op15.onnx", 15), ("silero_vad_op18_ifless.onnx", 18)];
    for (file, opset) in files {
        // A window of 32 ms and the 4 ms before it.
        let dims = vec![("sequence".to_owned(), 576), ("input_1".to_owned(), 576)];
        let options = ImportOptions { dims, ..ImportOptions::default() };
        let path = model.with_file_name(file);
        let done = import(&engines, &path, &options, &BundleLimits::default()).unwrap();
        let manifest = done.bundle.manifest();
        assert_eq!((manifest.model.opset, manifest.state.len()), (opset, 1), "{file}");
        let mut loaded = engines.load(&done.bundle, Device::Cpu).unwrap();
        let inputs = match &first {
            Some(case) => case.inputs.clone(),
            None => done.bundle.golden().cases()[0].run_inputs(manifest),
        };
        let outputs = loaded.session().run(&inputs).unwrap();
        match &first {
            None => first = Some(Case { inputs, outputs }),
            Some(case) => {
                let worst = case.difference(&outputs).unwrap();
                eprintln!("{file}: largest difference between opsets {worst:e}");
                assert!(worst <= 1e-4, "{file}: {worst}");
            }
        }
    }
}
