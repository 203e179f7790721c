//! The hostile corpus through pre-scan and worker: each refused or contained with its code, in two seconds, and the host
//! lives.

use std::time::{Duration, Instant};

use forecaster::bundle::{BundleLimits, Policy};
use forecaster::edge::SandboxEngine;
use forecaster::engine::Engine as _;
use forecaster::{Bundle, ForecasterError};

use crate::corpus::{Expected, corpus, local, manifest};
use crate::support::{engine, options};

/// What the issue allows for a verdict.
const VERDICT: Duration = Duration::from_secs(2);

/// The code with which a worker refuses or contains a model, or `none` when it is harmless there.
fn in_worker(engine: &SandboxEngine, model: &[u8]) -> &'static str {
    let mut session = match engine.load(model, &options()) {
        Ok(session) => session,
        Err(error) => return error.code(),
    };
    match session.run_rows(&[0.3; 10], 1, &mut Vec::new()) {
        Ok(()) => "none",
        Err(error) => error.code(),
    }
}

fn scan(policy: Policy, manifest: &str, model: &[u8]) -> Result<Bundle, ForecasterError> {
    Bundle::from_parts_with(policy, manifest, model.to_vec(), None, &BundleLimits::default())
}

#[test]
fn each_is_refused_or_contained_with_its_code_in_two_seconds() {
    let Some(engine) = engine() else { return };
    let hosted = corpus().into_iter().map(|h| (h, Policy::Hosted));
    // What only the hosted policy refuses comes as far as the worker, which must stop it.
    let all: Vec<_> = hosted.chain(local().into_iter().map(|h| (h, Policy::Local))).collect();
    assert!(all.len() >= 50, "{} models", all.len());
    let (mut scanned, mut contained) = (0, 0);
    for (hostile, policy) in &all {
        let started = Instant::now();
        let text = manifest(&hostile.bytes);
        let mut judge = "pre-scan";
        let code = match scan(*policy, &text, &hostile.bytes) {
            Err(error) => {
                scanned += 1;
                error.code()
            }
            Ok(bundle) => {
                contained += 1;
                judge = "worker";
                in_worker(&engine, bundle.model())
            }
        };
        let took = started.elapsed();
        assert!(took <= VERDICT, "{}: {code} after {took:?}", hostile.name);
        assert_ne!(code, "none", "{} was let through", hostile.name);
        if let Expected::StaticallyRefused(check) = hostile.expected {
            assert_eq!((judge, code), ("pre-scan", check.code()), "{}", hostile.name);
        }
        eprintln!("{:<36} {judge:<9} {code:<22} {:>5} ms", hostile.name, took.as_millis());
    }
    eprintln!("{} hostile models: {scanned} refused by the pre-scan, {contained} by the worker", all.len());
}

/// Without the pre-scan the worker must hold on its own.
#[test]
fn the_worker_alone_contains_all_of_them() {
    let Some(engine) = engine() else { return };
    for hostile in corpus().into_iter().chain(local()) {
        let started = Instant::now();
        let code = in_worker(&engine, &hostile.bytes);
        let took = started.elapsed();
        assert!(took <= VERDICT, "{}: {code} after {took:?}", hostile.name);
        assert_ne!(code, "worker_violation", "{} came as far as a system call it may not make", hostile.name);
        eprintln!("{:<36} {code:<22} {:>5} ms", hostile.name, took.as_millis());
    }
}
