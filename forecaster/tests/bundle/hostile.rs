//! The hostile corpus against the pre-scan: every model is refused with exactly its code, or is there to be contained.

use forecaster::Bundle;
use forecaster::EngineChoice;
use forecaster::bundle::{BundleLimits, Policy};
use forecaster::engine::LoadOptions;

use crate::corpus::{Expected, Hostile, corpus, local, manifest};

/// The code of a model under a policy, or `ok`.
fn verdict(model: &Hostile, policy: Policy) -> &'static str {
    let text = manifest(&model.bytes);
    Bundle::from_parts_with(policy, &text, model.bytes.clone(), None, &BundleLimits::default())
        .map_or_else(|e| e.code(), |_| "ok")
}

#[test]
fn every_model_has_its_code() {
    let models = corpus();
    assert!(models.len() >= 50, "{} models", models.len());
    let mut wrong = Vec::new();
    for model in &models {
        let want = match model.expected {
            Expected::StaticallyRefused(check) => check.code(),
            Expected::Contained => "ok",
        };
        let start = std::time::Instant::now();
        let got = verdict(model, Policy::Hosted);
        // A host must have its verdict in two seconds, whatever it is sent.
        assert!(start.elapsed().as_secs() < 2, "{}", model.name);
        if got != want {
            wrong.push(format!("{}: {got} instead of {want}", model.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Bytes of the corpus with a few of them changed: whatever comes, a verdict and no panic, the same under both policies
/// where the file cannot be read at all.
#[test]
fn changed_bytes_get_a_verdict() {
    let mut state = 1_u64;
    let mut draw = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for model in corpus().into_iter().chain(local()).filter(|m| (1..20_000).contains(&m.bytes.len())) {
        for _ in 0..60 {
            let mut changed = model.clone();
            for _ in 0..=draw(4) {
                let at = draw(changed.bytes.len());
                match draw(3) {
                    0 => changed.bytes[at] = draw(256) as u8,
                    1 => changed.bytes.truncate(at.max(1)),
                    _ => changed.bytes.insert(at, draw(256) as u8),
                }
            }
            let (hosted, own) = (verdict(&changed, Policy::Hosted), verdict(&changed, Policy::Local));
            if own.starts_with("c02_protobuf") || own == "c03_external_data" {
                assert_eq!(hosted, own, "{}", model.name);
            }
            if hosted == "ok" {
                assert_eq!(own, "ok", "{}: a host is never more lenient", model.name);
            }
        }
    }
}

#[test]
fn names_of_strangers_stay_short_and_plain() {
    let name = format!("\u{1b}[2J{}", "x".repeat(1_000_000));
    let mut file = crate::corpus::onnx::File::linear([1.0; 10]);
    file.nodes[0] = crate::corpus::onnx::node(&name, &["features", "w"], &["s"]);
    let bytes = file.bytes();
    let error = crate::support::bundle(&manifest(&bytes), &bytes).unwrap_err();
    assert_eq!(error.code(), "c06_operator");
    let text = error.to_string();
    assert!(text.len() < 8_000 && !text.contains('\u{1b}'), "{} bytes", text.len());
}

#[test]
fn what_is_to_be_contained_is_a_model_that_loads() {
    // Loaded only: each of them would take this process down, or its time, if it were run.
    let Some(engines) = crate::support::engines() else { return };
    let mut count = 0;
    for model in corpus().into_iter().filter(|m| m.expected == Expected::Contained) {
        let got = engines.session(&model.bytes, EngineChoice::Auto, &LoadOptions::default());
        assert!(got.is_ok(), "{}: {:?}", model.name, got.err());
        count += 1;
    }
    assert!(count >= 5);
}

#[test]
fn names_are_distinct() {
    let mut names: Vec<&str> = corpus().iter().map(|m| m.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_own_machine_is_more_lenient() {
    for model in local() {
        assert_eq!(verdict(&model, Policy::Local), "ok", "{}", model.name);
        assert_ne!(verdict(&model, Policy::Hosted), "ok", "{}", model.name);
    }
}
