//! New versions under load: nothing lost, nothing doubled, nothing mixed; a version that is not right never serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use forecaster::Bundle;
use forecaster::bundle::BundleLimits;
use forecaster::edge::{Lane, LaneConfig};
use schemas::BundleId;
use schemas::inference::Answer;

use crate::support::{Fake, bundle, config, engines, golden, number, parts, request, row, sigmoid};

/// How many reloads; the benchmark counts as many at a higher rate.
const RELOADS: u64 = 1000;

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

/// Callers that ask without pause until told to stop. Each answer must fit the version that it names.
fn callers(lane: &Lane, ids: [BundleId; 2], stop: &AtomicBool) -> (u64, u64, Vec<u64>) {
    let (asked, mixed) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        let ask = || {
            let mut seat = lane.seat(ids[0]).unwrap();
            let mut times = Vec::new();
            let mut n = 0_u16;
            while !stop.load(Ordering::Relaxed) {
                n = n.wrapping_add(1);
                let x = 0.5 + f32::from(n % 100) / 100.0;
                let rows = [row(x), row(-x), row(0.0)].concat();
                let at = Instant::now();
                let got = seat.ask_blocking(&rows, None).unwrap();
                times.push(u64::try_from(at.elapsed().as_nanos()).unwrap());
                let sign = if got.bundle == ids[0] { 1.0 } else { -1.0 };
                let want = [sigmoid(sign * x), sigmoid(-sign * x), 0.5];
                let right = (0..3).all(|i| (got.row(i).unwrap()[0] - want[i]).abs() < 1e-5);
                mixed.fetch_add(u64::from(!right || !ids.contains(&got.bundle)), Ordering::Relaxed);
                asked.fetch_add(1, Ordering::Relaxed);
            }
            times
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(ask)).collect();
        times.extend(threads.into_iter().flat_map(|t| t.join().unwrap()));
    });
    times.sort_unstable();
    (asked.into_inner(), mixed.into_inner(), times)
}

#[test]
fn a_thousand_reloads_under_load_lose_double_and_mix_nothing() {
    let Some(engines) = engines() else { return };
    let (a, b) = (bundle("1.0.0", 1.0), bundle("2.0.0", -1.0));
    let ids = [a.id(), b.id()];
    let (sent, got) = channel();
    let config = LaneConfig { queue: 4096, ..config(4096) };
    let on_result = Box::new(move |r| drop(sent.send(r)));
    let lane = Lane::start(&engines, vec![Arc::clone(&a)], config, on_result).unwrap();
    let (stop, mut before, mut accepted) = (AtomicBool::new(false), 0, 0_u64);
    let (asked, mixed, times) = std::thread::scope(|scope| {
        let load = scope.spawn(|| callers(&lane, ids, &stop));
        for n in 0..RELOADS {
            // Numbered requests beside the callers: each number must come back once.
            for _ in 0..20 {
                let tag = ids[(n % 2) as usize];
                accepted += u64::from(lane.submit(request(tag, accepted, row(2.0))).is_ok());
            }
            let (served, next) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
            let done = lane.reload(served.id(), Arc::clone(next)).unwrap();
            assert_eq!((done.old, done.new), (served.id(), next.id()));
            if n == 200 {
                before = resident();
            }
        }
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    let grown = resident().saturating_sub(before);
    let counters = lane.shutdown();
    let mut seen = vec![0_u32; usize::try_from(accepted).unwrap()];
    let mut wrong = 0;
    for r in &got {
        seen[usize::try_from(number(r.question)).unwrap()] += 1;
        let want = if r.bundle == ids[0] { 880_797_u32 } else { 119_203 };
        let Answer::Probability(p) = r.answer else { panic!("{r:?}") };
        wrong += u32::from(p.0.abs_diff(want) > 3);
    }
    let lost = seen.iter().filter(|n| **n == 0).count();
    let doubled = seen.iter().filter(|n| **n > 1).count();
    let p99 = times[times.len() * 99 / 100];
    println!(
        "{RELOADS} reloads, {asked} calls and {accepted} requests: lost {lost}, doubled {doubled}, mixed {mixed} and \
         {wrong}; p50 {} ns, p99 {p99} ns; resident +{grown} bytes",
        times[times.len() / 2]
    );
    assert_eq!((lost, doubled, mixed, wrong), (0, 0, 0, 0));
    assert_eq!((counters.reloads, counters.reloads_failed, counters.failed), (RELOADS, 0, 0));
    assert_eq!(counters.answered, asked * 3 + accepted);
    assert!(grown < 64 << 20, "resident memory grew by {grown} bytes");
}

#[test]
fn what_was_queued_before_a_reload_is_answered_by_the_old_version() {
    let slow = |n, weight| Fake {
        max_batch: 4,
        cost: (Duration::from_millis(2), Duration::ZERO),
        ..Fake::new(n, weight)
    };
    let (old, new) = (slow(1, 0.25), slow(2, 0.5));
    let (sent, got) = channel();
    let on_result = Box::new(move |r| drop(sent.send(r)));
    let lane = Lane::start_with(vec![old.clone().source()], config(64), on_result).unwrap();
    for n in 0..22 {
        lane.submit(request(old.id, n, vec![1.0; 3])).unwrap();
    }
    let done = lane.reload_with(old.id, new.clone().source()).unwrap();
    assert_eq!((done.old, done.new), (old.id, new.id));
    // Whoever still names the old version is answered by the new one, which the answer says.
    for n in 22..30 {
        lane.submit(request([old.id, new.id][n as usize % 2], n, vec![1.0; 3])).unwrap();
    }
    drop(lane);
    let mut answers: Vec<_> = got.iter().map(|r| (number(r.question), r.bundle, r.answer)).collect();
    answers.sort_by_key(|(n, ..)| *n);
    assert_eq!(answers.len(), 30);
    // Making the new version ready took some of the queue's time; at the swap nothing of it was left.
    let switch = answers.iter().position(|(_, id, _)| *id == new.id).unwrap();
    assert_eq!(switch, 22, "{answers:?}");
    for (_, id, answer) in answers {
        let want = if id == old.id { 250_000 } else { 500_000 };
        assert_eq!(answer, Answer::Probability(schemas::Ppm(want)));
    }
}

#[test]
fn a_version_that_is_not_right_never_serves() {
    let Some(engines) = engines() else { return };
    let good = bundle("1.0.0", 1.0);
    let lane = Lane::start(&engines, vec![Arc::clone(&good)], config(64), Box::new(|_| {})).unwrap();
    let (manifest, model, _) = parts("test", "2.0.0", 2.0);
    let load = |manifest: &str, golden: &str| {
        Arc::new(Bundle::from_parts(manifest, model.clone(), Some(golden), &BundleLimits::default()).unwrap())
    };
    let wrong = load(&manifest, &golden(2.0, 2e-5));
    let quantity = manifest.replace("kind = \"probability\"", "kind = \"raw\"").replace("topic =", "#");
    let other = load(&quantity, &golden(2.0, 0.0));
    for (bundle, code) in [(wrong, "c10_golden"), (other, "reload_mismatch")] {
        assert_eq!(lane.reload(good.id(), bundle).unwrap_err().code(), code);
        let got = lane.predict(good.id(), &row(1.0), None).unwrap();
        assert_eq!(got.bundle, good.id());
        assert!((got.values[0] - sigmoid(1.0)).abs() < 1e-6);
    }
    let error = lane.reload(BundleId([3; 32]), Arc::clone(&good)).unwrap_err();
    assert_eq!(error.code(), "unknown_bundle");
    let broken = Fake { loads: 0, ..Fake::new(1, 0.5) };
    assert_eq!(lane.reload_with(good.id(), broken.source()).unwrap_err().code(), "reload_mismatch");
    let right = load(&manifest, &golden(2.0, 0.0));
    assert_eq!(lane.reload(good.id(), Arc::clone(&right)).unwrap().new, right.id());
    assert_eq!(lane.plans()[0].0, right.id());
    let counters = lane.shutdown();
    assert_eq!((counters.reloads, counters.reloads_failed), (1, 3));
}

#[test]
fn a_version_that_panics_while_it_is_made_ready_never_serves() {
    struct Bomb(Fake);
    impl forecaster::edge::Source for Bomb {
        fn id(&self) -> BundleId {
            BundleId([66; 32])
        }
        fn load(&self) -> Result<Box<dyn forecaster::edge::Rows>, forecaster::ForecasterError> {
            panic!("a bomb")
        }
        fn takes(&self) -> String {
            self.0.takes()
        }
        fn golden(&self) -> &[forecaster::bundle::golden::Pair] {
            &[]
        }
        fn deadline(&self) -> Duration {
            Duration::from_secs(1)
        }
    }
    let old = Fake::new(1, 0.25);
    let lane = Lane::start_with(vec![old.clone().source()], config(64), Box::new(|_| {})).unwrap();
    let error = lane.reload_with(old.id, Arc::new(Bomb(old.clone()))).unwrap_err();
    assert_eq!(error.code(), "model_panicked");
    assert_eq!(lane.predict(old.id, &[1.0; 3], None).unwrap().values, [0.25]);
}
