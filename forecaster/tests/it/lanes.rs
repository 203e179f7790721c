//! A lane end to end: every accepted request gets one answer, every refusal is typed and counted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel, sync_channel};

use forecaster::Bundle;
use forecaster::edge::lane::{gate_input, gate_output};
use forecaster::edge::{Lane, LaneConfig};
use schemas::inference::Answer;
use schemas::{BundleId, InferenceRequest, InferenceResult, Ppm};

use crate::bundles::{MANIFEST, WEIGHTS, bundle};
use crate::onnx::{File, node};
use crate::support::{engine, miner, question_id};

fn request(b: &Bundle, n: u8, row: Vec<f32>) -> InferenceRequest {
    InferenceRequest { miner: miner(1), question: question_id(n), bundle: b.id(), row }
}

fn row(x: f32) -> Vec<f32> {
    let mut row = vec![0.0; 10];
    row[7] = x;
    row
}

fn start(bundles: &[Bundle], queue: usize) -> Option<(Lane, Receiver<InferenceResult>)> {
    let engine = engine()?;
    let (sent, got) = channel();
    let config = LaneConfig { queue, ..LaneConfig::default() };
    let bundles = bundles.iter().cloned().map(Arc::new).collect();
    let lane = Lane::start(&engine, bundles, config, Box::new(move |r| sent.send(r).unwrap())).unwrap();
    Some((lane, got))
}

fn sigmoid(x: f64) -> Ppm {
    Ppm::from_f64(1.0 / (1.0 + libm::exp(-x))).unwrap()
}

#[test]
fn two_models_many_rows_and_a_drain() {
    let (a, mut minus) = (bundle(MANIFEST, File::linear(WEIGHTS).bytes(), None).unwrap(), WEIGHTS);
    minus[7] = -1.0;
    let b = bundle(MANIFEST, File::linear(minus).bytes(), None).unwrap();
    let Some((lane, got)) = start(&[a.clone(), b.clone()], 256) else { return };
    assert_eq!(lane.reports().len(), 2);
    for n in 0..100 {
        let which = if n % 2 == 0 { &a } else { &b };
        lane.submit(request(which, n, row(f32::from(n) / 50.0))).unwrap();
    }
    // Shut down at once: what is queued is answered first.
    let counters = lane.shutdown();
    assert_eq!((counters.accepted, counters.answered, counters.failed), (100, 100, 0));
    assert!((2..=100).contains(&counters.batches), "{counters:?}");
    let results: Vec<InferenceResult> = got.iter().collect();
    assert_eq!(results.len(), 100);
    for r in results {
        let n = r.question.0[0];
        let (sign, id) = if n % 2 == 0 { (1.0, a.id()) } else { (-1.0, b.id()) };
        let Answer::Probability(p) = r.answer else { panic!("{r:?}") };
        assert_eq!((r.bundle, r.miner), (id, miner(1)));
        assert!(p.0.abs_diff(sigmoid(sign * f64::from(n) / 50.0).0) <= 2, "{n} {p:?}");
    }
}

#[test]
fn a_bad_row_does_not_disturb_its_neighbours() {
    let a = bundle(MANIFEST, File::linear(WEIGHTS).bytes(), None).unwrap();
    let Some((lane, got)) = start(std::slice::from_ref(&a), 64) else { return };
    let mut infinite = row(1.0);
    infinite[3] = f32::INFINITY;
    let rows = [row(0.0), row(f32::NAN), vec![0.0; 9], infinite, row(0.0)];
    for (n, row) in rows.into_iter().enumerate() {
        lane.submit(request(&a, n as u8, row)).unwrap();
    }
    let unknown = InferenceRequest { bundle: BundleId([1; 32]), ..request(&a, 9, row(0.0)) };
    let error = lane.submit(unknown).unwrap_err();
    assert_eq!(error.code(), "unknown_bundle");
    assert_eq!(error.answer(), Answer::Failed("unknown_bundle".to_owned()));
    let counters = lane.shutdown();
    assert_eq!((counters.answered, counters.failed, counters.refused), (2, 3, 1));
    let mut answers: Vec<(u8, Answer)> = got.iter().map(|r| (r.question.0[0], r.answer)).collect();
    answers.sort_by_key(|(n, _)| *n);
    let failed = |code: &str| Answer::Failed(code.to_owned());
    let want = [
        Answer::Probability(Ppm::HALF),
        failed("input_not_finite"),
        failed("row_width"),
        failed("input_not_finite"),
        Answer::Probability(Ppm::HALF),
    ];
    assert_eq!(answers.into_iter().map(|(_, a)| a).collect::<Vec<_>>(), want);
}

#[test]
fn an_answer_that_is_no_probability_is_not_published() {
    // p = log(z): NaN below zero, out of range above e, fine between.
    let mut f = File::linear(WEIGHTS);
    f.nodes = vec![node("MatMul", &["features", "w"], &["s"]), node("Log", &["s"], &["p_up"])];
    let a = bundle(MANIFEST, f.bytes(), None).unwrap();
    let Some((lane, got)) = start(std::slice::from_ref(&a), 64) else { return };
    for (n, x) in [-1.0, 5.0, 1.0, 0.0].into_iter().enumerate() {
        lane.submit(request(&a, n as u8, row(x))).unwrap();
    }
    drop(lane);
    let mut answers: Vec<(u8, Answer)> = got.iter().map(|r| (r.question.0[0], r.answer)).collect();
    answers.sort_by_key(|(n, _)| *n);
    let failed = |code: &str| Answer::Failed(code.to_owned());
    let want = [
        failed("output_not_finite"),
        failed("output_range"),
        Answer::Probability(Ppm(0)),
        failed("output_not_finite"),
    ];
    assert_eq!(answers.into_iter().map(|(_, a)| a).collect::<Vec<_>>(), want);
}

#[test]
fn a_full_queue_is_refused_and_counted() {
    let a = bundle(MANIFEST, File::linear(WEIGHTS).bytes(), None).unwrap();
    let Some(engine) = engine() else { return };
    // The callback holds the thread at the first answer until the test lets it go.
    let (reached, at_first) = sync_channel(1);
    let (release, go) = sync_channel::<()>(0);
    let on_result = Box::new(move |_: InferenceResult| {
        if reached.try_send(()).is_ok() {
            // Ends with an error when the test lets go.
            assert!(go.recv().is_err());
        }
    });
    let config = LaneConfig { queue: 2, ..LaneConfig::default() };
    let lane = Lane::start(&engine, vec![Arc::new(a.clone())], config, on_result).unwrap();
    lane.submit(request(&a, 0, row(0.0))).unwrap();
    at_first.recv().unwrap();
    let sent: Vec<&str> =
        (1..6).map(|n| lane.submit(request(&a, n, row(0.0))).map_or_else(|e| e.code(), |()| "ok")).collect();
    assert_eq!(sent, ["ok", "ok", "queue_full", "queue_full", "queue_full"]);
    drop(release);
    let counters = lane.shutdown();
    assert_eq!((counters.accepted, counters.queue_full, counters.answered), (3, 3, 3));
}

#[test]
fn a_bundle_that_does_not_load_stops_the_start() {
    let Some(engine) = engine() else { return };
    let mut f = File::linear(WEIGHTS);
    f.nodes[1] = node("Sigmoid", &["nowhere"], &["p_up"]);
    let bad = Arc::new(bundle(MANIFEST, f.bytes(), None).unwrap());
    let error = Lane::start(&engine, vec![bad], LaneConfig::default(), Box::new(|_| {})).err().unwrap();
    assert_eq!(error.code(), "session_refused");
}

#[test]
fn gates() {
    assert!(gate_input(&[0.0; 10], 10).is_ok());
    let mut bad = [0.0; 10];
    bad[9] = f32::NAN;
    assert_eq!(gate_input(&bad, 10).unwrap_err().to_string(), "feature 9 is not finite");
    assert_eq!(gate_output(0.123_456_7, [0.0, 1.0]).unwrap(), Ppm(123_457));
    for (p, range, code) in [
        (f32::NAN, [0.0, 1.0], "output_not_finite"),
        (f32::INFINITY, [0.0, 1.0], "output_not_finite"),
        (1.1, [0.0, 1.0], "output_range"),
        (-0.1, [0.0, 1.0], "output_range"),
        (0.05, [0.1, 0.9], "output_range"),
    ] {
        assert_eq!(gate_output(p, range).unwrap_err().code(), code);
    }
}
