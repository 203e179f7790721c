//! A row with a number that is not finite is an abstention: any position, any kind, every engine, lane and cadence.

use std::sync::Arc;

use forecaster::edge::lane::{BundleSource, Outcome, Source};
use forecaster::edge::{Cadence, Calibration, Lane, Plans};
use forecaster::{Device, EngineChoice, EngineKind};
use proptest::prelude::*;

use crate::support::{bundle, config, engines, row, sigmoid};

/// Every engine of this build that runs the linear model.
fn sources() -> Vec<(EngineKind, Arc<dyn Source>)> {
    let Some(engines) = engines() else { return Vec::new() };
    let source = |kind| {
        let engines = engines.clone().choosing(EngineChoice::Only(kind));
        Arc::new(BundleSource::new(&engines, bundle("1.0.0", 1.0), Device::Cpu)) as Arc<dyn Source>
    };
    let found: Vec<_> = EngineKind::ALL
        .into_iter()
        .map(|kind| (kind, source(kind)))
        .filter(|(kind, source)| {
            let loads = source.load();
            if let Err(error) = &loads {
                eprintln!("SKIPPED for {}: {error}", kind.name());
            }
            loads.is_ok()
        })
        .collect();
    assert!(found.iter().any(|(kind, _)| *kind == EngineKind::Ort));
    found
}

fn bad() -> impl Strategy<Value = f32> {
    prop_oneof![
        Just(f32::NAN),
        Just(-f32::NAN),
        Just(f32::from_bits(0x7f80_0001)),
        Just(f32::INFINITY),
        Just(f32::NEG_INFINITY),
    ]
}

#[test]
fn rows_that_are_not_finite_are_abstentions() {
    let models: Vec<_> = sources()
        .into_iter()
        .map(|(kind, source)| {
            let lane = Lane::start_with(vec![Arc::clone(&source)], config(64), Box::new(|_| {})).unwrap();
            let cadence = Cadence::start(&source, &config(1).calibration, &Plans::in_memory()).unwrap();
            (kind, source.id(), lane, std::cell::RefCell::new(cadence))
        })
        .collect();
    let spoil = prop::collection::btree_map((0..40_usize, 0..10_usize), bad(), 0..30);
    proptest!(ProptestConfig::with_cases(64), |(spoil in spoil, absent in 0..40_usize)| {
        let mut rows: Vec<f32> = (0..40).flat_map(|n| row(n as f32 / 20.0)).collect();
        for ((r, c), x) in &spoil {
            rows[r * 10 + c] = *x;
        }
        let spoilt = |r: usize| spoil.keys().any(|(at, _)| *at == r);
        for (kind, id, lane, cadence) in &models {
            let got = lane.predict(*id, &rows, None).unwrap();
            let mut cadence = cadence.borrow_mut();
            let sweep = cadence.predict(40, |r, out| {
                out.copy_from_slice(&rows[r * 10..(r + 1) * 10]);
                if r == absent { Err(()) } else { Ok(()) }
            }).unwrap();
            for r in 0..40 {
                let want = if spoilt(r) { Err(Outcome::InputNotFinite) } else { Ok(sigmoid(r as f32 / 20.0)) };
                let close = |got: Result<&[f32], Outcome>, want: Result<f32, Outcome>| match (got, want) {
                    (Ok(p), Ok(q)) => (p[0] - q).abs() < 1e-5,
                    (got, want) => got.err() == want.err(),
                };
                prop_assert!(close(got.row(r), want), "{} lane {r}", kind.name());
                prop_assert_eq!(got.values[r].is_nan(), want.is_err());
                let want = if r == absent { Err(Outcome::NoRow) } else { want };
                prop_assert!(close(sweep.market(r), want), "{} cadence {r}", kind.name());
                prop_assert_eq!(sweep.missing[0] >> r & 1 == 1, want.is_err());
            }
        }
    });
    for (kind, _, lane, _) in models {
        let counters = lane.shutdown();
        println!("{}: {} abstentions, {} answers", kind.name(), counters.failed, counters.answered);
        assert_eq!(counters.abstained[1], counters.failed, "{counters:?}");
    }
}

#[test]
fn a_pass_over_many_markets_fills_in_order_and_packs_what_is_whole() {
    let Some(engines) = engines() else { return };
    let source: Arc<dyn Source> = Arc::new(BundleSource::new(&engines, bundle("1.0.0", 1.0), Device::Cpu));
    let mut cadence = Cadence::start(&source, &Calibration::default(), &Plans::in_memory()).unwrap();
    for markets in [0, 1, 63, 64, 65, 1000] {
        let mut next = 0;
        let sweep = cadence
            .predict(markets, |m, out| {
                assert_eq!((m, out.len()), (next, 10));
                next += 1;
                out.copy_from_slice(&row(m as f32 / 500.0));
                if m % 3 == 1 { Err(forecaster::features::NoRow::NoTick) } else { Ok(()) }
            })
            .unwrap();
        assert_eq!((sweep.values.len(), sweep.outcomes.len()), (markets, markets));
        assert_eq!(sweep.abstentions(), (0..markets).filter(|m| m % 3 == 1).count());
        for m in (0..markets).filter(|m| m % 3 != 1) {
            assert!((sweep.market(m).unwrap()[0] - sigmoid(m as f32 / 500.0)).abs() < 1e-6);
        }
        assert_eq!(next, markets);
    }
}
