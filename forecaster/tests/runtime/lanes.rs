//! Lanes: every accepted request gets one answer by one version; refusals are typed, panics contained.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use forecaster::ForecasterError;
use forecaster::edge::lane::{Outcome, Source};
use forecaster::edge::{Lane, LaneConfig, Lanes};
use schemas::inference::Answer;
use schemas::{BundleId, InferenceResult, Ppm};

use crate::support::{FAIL, Fake, PANIC, bundle, config, engines, request, row, sigmoid};

fn start(sources: Vec<Arc<dyn Source>>, config: LaneConfig) -> (Lane, Receiver<InferenceResult>) {
    let (sent, got) = channel();
    let lane = Lane::start_with(sources, config, Box::new(move |r| drop(sent.send(r)))).unwrap();
    (lane, got)
}

fn code<T>(result: Result<T, ForecasterError>) -> &'static str {
    result.map_or_else(|e| e.code(), |_| "ok")
}

#[test]
fn a_call_with_several_rows_gets_all_answers_from_one_version() {
    let Some(engines) = engines() else { return };
    let b = bundle("1.0.0", 1.0);
    let lane = Lane::start(&engines, vec![Arc::clone(&b)], config(64), Box::new(|_| {})).unwrap();
    let rows: Vec<f32> = (0..150).flat_map(|n| row(n as f32 / 50.0)).collect();
    let got = lane.predict(b.id(), &rows, None).unwrap();
    assert_eq!((got.bundle, got.width, got.outcomes.len()), (b.id(), 1, 150));
    for n in 0..150 {
        assert!((got.row(n).unwrap()[0] - sigmoid(n as f32 / 50.0)).abs() < 1e-6, "{n}");
    }
    assert_eq!(got.row(150), Err(Outcome::NoRow));
    let mut seat = lane.seat(b.id()).unwrap();
    for n in 0..10 {
        let x = n as f32 / 10.0;
        let p = seat.ask_blocking(&row(x), None).unwrap().row(0).unwrap()[0];
        assert!((p - sigmoid(x)).abs() < 1e-6);
    }
    assert_eq!(code(lane.predict(b.id(), &rows[..9], None)), "row_width");
    assert_eq!(code(lane.predict(BundleId([9; 32]), &rows[..10], None)), "unknown_bundle");
    let counters = lane.shutdown();
    assert_eq!((counters.accepted, counters.answered, counters.refused), (11, 160, 2));
    assert_eq!(counters.sizes.iter().sum::<u64>(), counters.batches);
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused_at_once() {
    let slow = Fake { cost: (Duration::from_millis(20), Duration::ZERO), max_batch: 1, ..Fake::new(1, 0.1) };
    let (lane, got) = start(vec![slow.clone().source()], config(64));
    let ask = |n: u64, ms: u64| {
        let deadline = Instant::now() + Duration::from_millis(ms);
        code(lane.submit_with_deadline(request(slow.id, n, vec![1.0; 3]), deadline))
    };
    // One run takes 20 ms: with nothing waiting 5 ms cannot be met and 10 s can.
    assert_eq!(ask(0, 5), "deadline_unreachable");
    assert_eq!(ask(1, 10_000), "ok");
    // With ten more in front, 100 ms cannot be met.
    for n in 2..12 {
        lane.submit(request(slow.id, n, vec![1.0; 3])).unwrap();
    }
    assert_eq!(ask(12, 100), "deadline_unreachable");
    assert_eq!(ask(13, 10_000), "ok");
    let error = lane.predict(slow.id, &[1.0; 3], Some(Instant::now())).unwrap_err();
    assert!(
        matches!(error, ForecasterError::DeadlineUnreachable { need_us: 20_000.., left_us: 0 }),
        "{error}"
    );
    let counters = lane.shutdown();
    assert_eq!((counters.deadline_unreachable, counters.accepted, counters.answered), (3, 12, 12));
    assert_eq!(got.iter().count(), 12);
}

#[test]
fn a_deadline_that_passes_in_the_queue_is_not_run() {
    // Measured as quick, then slow: what the estimate could not know.
    let mut model = Fake::new(1, 0.1);
    model.max_batch = 1;
    let plans = tempfile::tempdir().unwrap();
    let file = plans.path().join("plans.json");
    let config = LaneConfig { plans: Some(file), ..config(64) };
    drop(start(vec![model.clone().source()], config.clone()));
    model.cost.0 = Duration::from_millis(30);
    let (lane, got) = start(vec![model.clone().source()], config);
    lane.submit(request(model.id, 0, vec![1.0; 3])).unwrap();
    let deadline = Instant::now() + Duration::from_millis(10);
    for n in 1..4 {
        lane.submit_with_deadline(request(model.id, n, vec![1.0; 3]), deadline).unwrap();
    }
    let counters = lane.shutdown();
    let late = got.iter().filter(|r| r.answer == Answer::Failed("deadline_passed".to_owned())).count();
    assert!((1..=3).contains(&late), "{counters:?}");
    assert_eq!((counters.deadline_passed, counters.answered), (late as u64, 4 - late as u64));
}

#[test]
fn a_panic_is_contained_and_the_model_loaded_anew() {
    let model = Fake { max_batch: 1, ..Fake::new(1, 0.5) };
    let other = Fake::new(2, 0.25);
    let (lane, _got) = start(vec![model.clone().source(), other.clone().source()], config(64));
    let error = lane.predict(model.id, &[PANIC, 0.0, 0.0], None).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string()),
        ("model_panicked", "the model panicked: told to panic".to_owned())
    );
    assert_eq!(lane.predict(model.id, &[1.0; 3], None).unwrap().values, [0.5]);
    assert_eq!(lane.predict(other.id, &[1.0; 3], None).unwrap().values, [0.25]);
    assert_eq!(code(lane.predict(model.id, &[FAIL, 0.0, 0.0], None)), "run_failed");
    assert_eq!(lane.predict(model.id, &[1.0; 3], None).unwrap().values, [0.5]);
    let counters = lane.shutdown();
    assert_eq!((counters.panics, counters.failed_runs, counters.answered, counters.failed), (1, 2, 3, 2));
}

#[test]
fn a_model_that_does_not_come_back_is_down_and_the_lane_lives() {
    let model = Fake { loads: 1, ..Fake::new(1, 0.5) };
    let other = Fake::new(2, 0.25);
    let (lane, _got) = start(vec![model.clone().source(), other.clone().source()], config(64));
    assert_eq!(code(lane.predict(model.id, &[PANIC, 0.0, 0.0], None)), "model_panicked");
    assert_eq!(code(lane.predict(model.id, &[1.0; 3], None)), "model_down");
    assert_eq!(lane.predict(other.id, &[1.0; 3], None).unwrap().values, [0.25]);
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_future_that_is_dropped_leaves_a_seat_that_works() {
    let model = Fake { cost: (Duration::from_millis(5), Duration::ZERO), ..Fake::new(1, 0.5) };
    let (lane, _got) = start(vec![model.clone().source()], config(64));
    let mut seat = lane.seat(model.id).unwrap();
    let waker = Waker::from(Arc::new(Nobody));
    {
        let mut future = Box::pin(seat.ask(&[1.0; 3], None));
        assert!(matches!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
    }
    assert_eq!(seat.ask_blocking(&[0.5; 3], None).unwrap().values, [0.25]);
    let mut future = Box::pin(lane.predict_async(model.id, &[1.0; 3], None));
    let got = loop {
        if let Poll::Ready(got) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            break got.unwrap();
        }
        std::thread::yield_now();
    };
    drop(future);
    assert_eq!(got.values, [0.5]);
    assert_eq!(lane.shutdown().accepted, 3);
}

#[test]
fn many_models_share_the_threads_there_are() {
    let models: Vec<Fake> = (0..7).map(|n| Fake::new(n, f32::from(n) / 10.0)).collect();
    let sources = models.iter().cloned().map(Fake::source).collect();
    let (sent, got) = channel();
    let lanes = Lanes::start_with(sources, 3, &config(256), move |r| drop(sent.send(r))).unwrap();
    assert_eq!((lanes.threads(), lanes.reports().len(), lanes.plans().len()), (3, 7, 7));
    for n in 0..70 {
        lanes.submit(request(models[n as usize % 7].id, n, vec![1.0; 3])).unwrap();
    }
    assert_eq!(code(lanes.submit(request(BundleId([99; 32]), 0, vec![1.0; 3]))), "unknown_bundle");
    let counters = lanes.shutdown();
    assert_eq!((counters.answered, counters.refused), (70, 1));
    for r in &got {
        let weight = f64::from(r.bundle.0[0]) / 10.0;
        assert_eq!(r.answer, Answer::Probability(Ppm::from_f64(weight).unwrap()));
    }
}

#[test]
fn the_batch_size_is_the_one_that_was_measured() {
    // A run costs 200 µs and a row 1 µs: the largest batch is best. Rows alone cost 200 µs: one is as good as many.
    let us = Duration::from_micros;
    let batches = Fake { cost: (us(200), us(1)), ..Fake::new(1, 0.1) };
    let alone = Fake { cost: (Duration::ZERO, us(200)), ..Fake::new(2, 0.1) };
    let mut config = config(4096);
    config.calibration.budget = Duration::from_millis(200);
    let (lane, _got) = start(vec![batches.clone().source(), alone.clone().source()], config);
    let sizes: Vec<usize> = lane.plans().into_iter().map(|(_, plan)| plan.batch).collect();
    assert_eq!(sizes[0], 64, "{:?}", lane.plans());
    assert!(sizes[1] <= 4, "{:?}", lane.plans());
    let many = vec![0.5; 3 * 1000];
    assert_eq!(lane.predict(batches.id, &many, None).unwrap().outcomes.len(), 1000);
    assert_eq!(lane.shutdown().batches, 1000_u64.div_ceil(64));
}
