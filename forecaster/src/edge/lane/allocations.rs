//! How much the lane's own code allocates once it is warm: nothing. Drives the worker without its thread.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use schemas::{BundleId, InferenceRequest, MinerId, QuestionId};

use super::inbox::{Inbox, Job, Work};
use super::worker::Worker;
use super::{Rows, Seat, Source};
use crate::bundle::golden::Pair;
use crate::edge::calibrate::{Calibration, Plan, Plans};
use crate::edge::reload::Prepared;
use crate::engine::{Device, EngineKind, ProviderReport};
use crate::error::ForecasterError;

/// Answers the first number of each row.
struct First(ProviderReport);

impl Rows for First {
    fn width(&self) -> usize {
        4
    }
    fn answer_width(&self) -> usize {
        1
    }
    fn max_batch(&self) -> usize {
        32
    }
    fn range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }
    fn report(&self) -> &ProviderReport {
        &self.0
    }
    fn predict_into(&mut self, rows: &[f32], _: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        out.extend(rows.chunks_exact(4).map(|row| row[0]));
        Ok(())
    }
}

impl Source for First {
    fn id(&self) -> BundleId {
        BundleId([1; 32])
    }
    fn load(&self) -> Result<Box<dyn Rows>, ForecasterError> {
        Ok(Box::new(First(self.0.clone())))
    }
    fn takes(&self) -> String {
        "takes four numbers and answers one".to_owned()
    }
    fn golden(&self) -> &[Pair] {
        &[]
    }
    fn deadline(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn worker() -> (Arc<Inbox>, Worker) {
    let inbox = Arc::new(Inbox::new(1024, Arc::default()));
    let report = ProviderReport::cpu_only(EngineKind::Trees, Device::Cpu).unwrap();
    let source: Arc<dyn Source> = Arc::new(First(report));
    let plan: Plan =
        serde_json::from_str(r#"{"batch":32,"costs":[{"rows":1,"nanos":10},{"rows":32,"nanos":100}]}"#)
            .unwrap();
    let prepared = Prepared { bundle: source.id(), model: source.load().unwrap(), plan };
    let how = (Calibration::default(), Arc::new(Plans::in_memory()));
    let worker = Worker::new(Arc::clone(&inbox), vec![(source, prepared)], how, Box::new(|_| {}));
    (inbox, worker)
}

/// All seats ask, the worker takes its turns, all seats have their answer.
fn round(seats: &mut [Seat], worker: &mut Worker, x: f32) {
    let mut cx = Context::from_waker(Waker::noop());
    let count = seats.len();
    for half in 0..2 {
        // Asking is the first poll of a future; so that no future has to be kept, the answer is read by a second one.
        for (i, seat) in seats.iter_mut().enumerate() {
            let spoilt = if i % 9 == 0 { f32::NAN } else { x };
            let rows = [x, 0.0, 0.0, spoilt, x / 2.0, 0.0, 0.0, 0.0];
            if half == 0 {
                let deadline = Some(Instant::now() + Duration::from_mins(1));
                let mut future = pin!(seat.ask(&rows, deadline));
                assert!(future.as_mut().poll(&mut cx).is_pending());
            } else {
                let Poll::Ready(done) = seat.poll_answer(&cx) else { panic!("no answer") };
                done.unwrap();
                let answer = seat.answer();
                assert_eq!(answer.row(0).is_ok(), i % 9 != 0);
                assert_eq!(answer.row(1).unwrap(), [x / 2.0]);
            }
        }
        if half == 0 {
            (0..count.div_ceil(16)).for_each(|_| assert!(worker.turn()));
        }
    }
}

#[test]
fn a_warm_lane_and_its_callers_allocate_nothing() {
    let (inbox, mut worker) = worker();
    let mut seats: Vec<Seat> = (0..100).map(|_| Seat::new(Arc::clone(&inbox), 0, 4)).collect();
    (0..3).for_each(|_| round(&mut seats, &mut worker, 0.5));
    let counted = allocation_counter::measure(|| {
        for n in 0..10_u8 {
            round(&mut seats, &mut worker, f32::from(n) / 10.0);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert_eq!(inbox.shared.read().answered, 13 * (200 - 12));
}

#[test]
fn a_batch_of_requests_allocates_nothing() {
    let (inbox, mut worker) = worker();
    let queue = |n: u8| {
        for i in 0..n {
            let row = vec![0.25; 4];
            let (miner, question) = (MinerId([1; 32]), QuestionId([i; 32]));
            let request = InferenceRequest { miner, question, bundle: BundleId([1; 32]), row };
            let job = Job { work: Work::Request(request), rows: 1, at: Instant::now(), deadline: None };
            inbox.push(0, job).unwrap();
        }
    };
    queue(32);
    assert!(worker.turn());
    queue(32);
    let counted = allocation_counter::measure(|| assert!(worker.turn()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert_eq!(inbox.shared.read().answered, 64);
}
