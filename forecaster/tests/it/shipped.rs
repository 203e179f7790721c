//! The bundles in `models/`: all load, reproduce their golden pairs and pass every check on the real engine.

use forecaster::Bundle;
use forecaster::Device;
use forecaster::edge::check;
use forecaster::manifest::Kind;
use ndarray::{Array2, ArrayView2, Axis};

use crate::support::{engine, models};

const NAMES: [(&str, Kind); 5] = [
    ("closed-form", Kind::Baseline),
    ("logistic", Kind::Model),
    ("gbt", Kind::Model),
    ("mlp", Kind::Model),
    ("poor", Kind::Poor),
];

fn each(mut test: impl FnMut(&str, &Bundle)) {
    let Some(dir) = models() else { return };
    for (name, kind) in NAMES {
        let bundle = Bundle::load(&dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((bundle.manifest().name.as_str(), bundle.manifest().kind), (name, kind));
        test(name, &bundle);
    }
}

#[test]
fn all_bundles_load_and_differ() {
    let mut ids = Vec::new();
    each(|_, bundle| {
        assert!(bundle.golden().pairs().len() >= 3);
        ids.push(bundle.id());
    });
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.is_empty() || ids.len() == NAMES.len());
}

#[test]
fn golden_pairs_and_batches() {
    let Some(engine) = engine() else { return };
    each(|name, bundle| {
        let mut model = engine.load(bundle, Device::Cpu).unwrap();
        let pairs = bundle.golden().pairs();
        let rows = Array2::from_shape_fn((64, 10), |(i, j)| pairs[i % pairs.len()].input[j]);
        for n in [1, 8, 64] {
            let got = model.predict(rows.slice_axis(Axis(0), ndarray::Slice::from(..n))).unwrap();
            assert_eq!(got.len(), n);
            for (i, p) in got.iter().enumerate() {
                let want = pairs[i % pairs.len()].output[0];
                assert!((p - want).abs() <= 1e-5, "{name}, row {i} of a batch of {n}: {p} instead of {want}");
            }
        }
        for pair in pairs {
            let alone = model.predict(ArrayView2::from_shape((1, 10), &pair.input).unwrap()).unwrap();
            assert!((alone[0] - pair.output[0]).abs() <= 1e-5, "{name}: {} for {pair:?}", alone[0]);
        }
    });
}

#[test]
fn all_checks_pass() {
    let Some(engine) = engine() else { return };
    each(|name, bundle| {
        for finding in check(&engine, bundle).unwrap() {
            assert!(finding.passed, "{name}: {} {}", finding.check, finding.detail);
            println!("{name} {}: {}", finding.check, finding.detail);
        }
    });
}
