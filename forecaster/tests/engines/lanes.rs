//! A lane on a machine without any native library: real bundles, real answers.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use forecaster::Bundle;
use forecaster::edge::{Lane, LaneConfig};
use schemas::inference::Answer;
use schemas::{InferenceRequest, MinerId, QuestionId};

use crate::support::without_ort;

#[test]
fn a_lane_needs_no_native_library() {
    let models = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
    let names = ["closed-form", "logistic", "mlp", "poor"];
    let bundles: Vec<Arc<Bundle>> =
        names.iter().map(|name| Arc::new(Bundle::load(&models.join(name)).unwrap())).collect();
    let (tx, rx) = mpsc::channel();
    let on_result = Box::new(move |result| tx.send(result).unwrap());
    let lane = Lane::start(&without_ort(), bundles.clone(), LaneConfig::default(), on_result).unwrap();
    for (i, bundle) in bundles.iter().enumerate() {
        let row = bundle.golden().pairs()[0].input.clone();
        let question = QuestionId([i as u8; 32]);
        lane.submit(InferenceRequest { miner: MinerId([1; 32]), question, bundle: bundle.id(), row })
            .unwrap();
    }
    lane.shutdown();
    let answers: Vec<_> = rx.iter().collect();
    assert_eq!(answers.len(), names.len());
    for result in answers {
        let bundle = bundles.iter().find(|b| b.id() == result.bundle).unwrap();
        let want = f64::from(bundle.golden().pairs()[0].output[0]);
        let Answer::Probability(p) = result.answer else { panic!("{result:?}") };
        assert!((p.as_f64() - want).abs() < 1e-5, "{bundle:?}: {p:?} {want}");
    }
}
