//! The hostile corpus against the pre-scan: every model is refused with exactly its code, or is there to be contained.

use forecaster::Bundle;
use forecaster::bundle::{BundleLimits, Policy};

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
        let got = verdict(model, Policy::Hosted);
        if got != want {
            wrong.push(format!("{}: {got} instead of {want}", model.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
