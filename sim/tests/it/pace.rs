//! Virtual time waits for what is in flight and for nothing else.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use schemas::Timestamp;
use sim::{Pace, Speed};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// Lets every other task of this thread run until it waits.
async fn others() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn time_stands_still_until_the_slow_one_leaves() {
    let pace = Pace::new(at(1_000), Speed::Max);
    pace.enter();
    pace.enter();
    let moving = tokio::spawn({
        let pace = pace.clone();
        async move { pace.advance_to(at(2_000)).await }
    });
    for busy in [2, 1] {
        others().await;
        assert_eq!((pace.busy(), pace.now(), moving.is_finished()), (busy, at(1_000), false));
        pace.leave();
    }
    moving.await.unwrap();
    assert_eq!((pace.now(), pace.stalls(), pace.extra_leaves()), (at(2_000), 0, 0));
}

#[tokio::test]
async fn the_hook_serves_wakes_before_the_clock_shows_the_instant() {
    let pace = Pace::new(at(0), Speed::Max);
    let seen: Arc<Mutex<Vec<(i64, i64)>>> = Arc::default();
    pace.set_hook(Box::new({
        let (pace, seen) = (pace.clone(), Arc::clone(&seen));
        move |t| {
            let (pace, seen) = (pace.clone(), Arc::clone(&seen));
            Box::pin(async move {
                let note = |what: i64| seen.lock().unwrap().push((what, pace.now().millis()));
                note(t.millis());
                for wake in [300, 700, 200, 5_000] {
                    pace.reach(at(wake));
                    note(wake);
                }
            })
        }
    }));
    pace.advance_to(at(1_000)).await;
    // A wake never moves the clock back or past the target.
    assert_eq!(*seen.lock().unwrap(), [(1_000, 0), (300, 300), (700, 700), (200, 700), (5_000, 1_000)]);
    assert_eq!(pace.now(), at(1_000));
}

#[tokio::test]
async fn what_the_hook_sets_off_settles_before_the_clock_moves() {
    let pace = Pace::new(at(0), Speed::Max);
    pace.set_hook(Box::new({
        let pace = pace.clone();
        move |_| {
            let hold = pace.hold();
            Box::pin(async move {
                // A deed that outlives the hook.
                tokio::spawn(async move {
                    others().await;
                    drop(hold);
                });
            })
        }
    }));
    let moving = tokio::spawn({
        let pace = pace.clone();
        async move { pace.advance_to(at(9)).await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!((pace.now(), pace.busy()), (at(0), 1));
    moving.await.unwrap();
    assert_eq!((pace.now(), pace.busy(), pace.stalls()), (at(9), 0, 0));
}

#[tokio::test]
async fn a_unit_that_never_leaves_is_a_counted_stall() {
    let pace = Pace::with_patience(at(0), Speed::Max, Duration::from_millis(5));
    pace.enter();
    pace.advance_to(at(10)).await;
    assert_eq!((pace.now(), pace.stalls(), pace.busy()), (at(10), 1, 0));
    pace.leave();
    assert_eq!((pace.extra_leaves(), pace.busy()), (1, 0));
    pace.advance_to(at(20)).await;
    assert_eq!((pace.now(), pace.stalls()), (at(20), 1));
}

#[tokio::test]
async fn without_lockstep_nobody_is_waited_for() {
    let pace = Pace::free(at(0), Speed::Max);
    pace.enter();
    assert_eq!((pace.busy(), pace.is_lockstep()), (0, false));
    pace.run_to(at(60_000)).await;
    assert_eq!((pace.now(), pace.stalls()), (at(60_000), 0));
}

#[tokio::test]
async fn steps_are_small_and_in_order() {
    // (speed, most virtual ms in one step)
    for (speed, most) in [(Speed::Max, 5_000), (Speed::Factor(10_000.0), 5_000), (Speed::Factor(50.0), 1_000)]
    {
        let pace = Pace::new(at(0), speed);
        let steps: Arc<Mutex<Vec<i64>>> = Arc::default();
        let sink = Arc::clone(&steps);
        pace.set_hook(Box::new(move |t| {
            sink.lock().unwrap().push(t.millis());
            Box::pin(async {})
        }));
        pace.run_to(at(12_345 / 10)).await;
        pace.run_to(at(12_345 / 10)).await;
        let steps = steps.lock().unwrap().clone();
        assert!(
            steps.iter().zip(steps.iter().skip(1)).all(|(a, b)| a <= b && b - a <= most),
            "{speed:?} {steps:?}"
        );
        assert_eq!(steps.last(), Some(&1_234));
    }
}

#[tokio::test]
async fn a_factor_never_runs_ahead_of_the_wall() {
    let pace = Pace::new(at(0), Speed::Factor(100.0));
    pace.anchor();
    let began = Instant::now();
    pace.run_to(at(3_000)).await;
    // A wait below the timer's grain of 1 ms is left to the next step.
    assert!(began.elapsed() >= Duration::from_millis(29));
    for senseless in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Pace::new(at(0), Speed::Factor(senseless)).speed(), Speed::Max);
    }
}
