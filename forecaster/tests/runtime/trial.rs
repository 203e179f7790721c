//! Trials: who is promoted, who must go, and that a challenger's word never gets out.

use std::sync::Arc;
use std::time::Duration;

use forecaster::Bundle;
use forecaster::edge::Lane;
use forecaster::edge::deployed::{Change, Deployed};
use forecaster::edge::shadow::{Fault, Shadow, Side, Trial, TrialRules, Verdict};
use forecaster::edge::store::{Mode, Store, Writer};
use proptest::prelude::*;
use schemas::{Ppm, QuestionId};

use crate::support::{FAIL, Fake, config, number, parts, request};

fn id(n: u64) -> QuestionId {
    request(schemas::BundleId::default(), n, Vec::new()).question
}

const RULES: TrialRules = TrialRules {
    min_resolved: 50,
    min_asked: 20,
    z: 1.64,
    max_error_share: 0.02,
    max_slowdown: 3.0,
    latency_floor_ns: 1_000,
    max_open: 100,
};

/// `n` questions of which every second ends Up; each side says this much for what happens, or nothing.
fn play(n: u64, say: impl Fn(u64, Side) -> (Option<f64>, u64)) -> Trial {
    let mut trial = Trial::new(RULES);
    for q in 0..n {
        let up = q % 2 == 0;
        for side in [Side::Challenger, Side::Incumbent] {
            let (hit, ns) = say(q, side);
            let p = hit.map(|hit| Ppm::from_f64(if up { hit } else { 1.0 - hit }).unwrap());
            trial.answered(id(q), side, p, ns);
        }
        trial.resolved(id(q), up);
    }
    trial
}

#[test]
fn verdicts() {
    let check = |n, say: &dyn Fn(u64, Side) -> (Option<f64>, u64), want: Verdict| {
        let trial = play(n, say);
        assert_eq!(trial.verdict(), want, "{trial:?}");
    };
    let new = |side| side == Side::Challenger;
    let better = |_, side| (Some(if new(side) { 0.7 } else { 0.6 }), 500);
    let worse = |_, side| (Some(if new(side) { 0.5 } else { 0.6 }), 500);
    let same = |q: u64, side| (Some(if new(side) == (q % 4 < 2) { 0.61 } else { 0.6 }), 500);
    check(49, &better, Verdict::Wait);
    check(50, &better, Verdict::Promote);
    check(49, &worse, Verdict::Wait);
    check(50, &worse, Verdict::Reject(Fault::Score));
    check(1000, &same, Verdict::Wait);
    // Better on average, but it fails once in ten times, or is slow.
    let fails = |q: u64, side| (Some(0.7).filter(|_| !new(side) || !q.is_multiple_of(10)), 500);
    check(200, &fails, Verdict::Reject(Fault::Errors));
    check(19, &fails, Verdict::Wait);
    let slow = |_, side| (Some(if new(side) { 0.7 } else { 0.6 }), if new(side) { 5_000 } else { 500 });
    check(200, &slow, Verdict::Reject(Fault::Latency));
    let quick = |_, side| (Some(if new(side) { 0.7 } else { 0.6 }), if new(side) { 900 } else { 10 });
    check(200, &quick, Verdict::Promote);
    // A better Brier score by mostly sure answers that are once wholly wrong is no promotion: the log score says so.
    let sure = |q: u64, side| match (new(side), q % 40) {
        (true, 0) => (Some(0.0), 500),
        (true, _) => (Some(0.9), 500),
        (false, _) => (Some(0.75), 500),
    };
    check(400, &sure, Verdict::Wait);
}

#[test]
fn the_book_is_bounded_and_counts_pairs_only() {
    let mut trial = Trial::new(RULES);
    for q in 0..150 {
        trial.answered(id(q), Side::Challenger, Some(Ppm(700_000)), 1);
    }
    assert_eq!(trial.forgotten(), 50);
    for q in 0..150 {
        // Forgotten, or answered by one side only: no pair.
        trial.resolved(id(q), true);
    }
    assert_eq!((trial.resolved_count(), trial.tally(Side::Challenger).asked), (0, 150));
    trial.answered(id(7), Side::Challenger, Some(Ppm(1_000_000)), 1);
    trial.answered(id(7), Side::Challenger, Some(Ppm(0)), 1);
    trial.answered(id(7), Side::Incumbent, Some(Ppm(500_000)), 1);
    trial.resolved(id(7), true);
    trial.resolved(id(7), false);
    let (old, new) = (trial.tally(Side::Incumbent), trial.tally(Side::Challenger));
    assert_eq!((trial.resolved_count(), new.brier, old.brier), (1, 0.0, 0.25), "the first word counts, once");
    assert!((old.log - libm::log(2.0)).abs() < 1e-12);
}

proptest! {
    #[test]
    fn the_sides_are_treated_alike(hits in prop::collection::vec((0..=1_000_000_u32, 0..=1_000_000_u32), 60..200)) {
        let say = |swap: bool| {
            let hits = hits.clone();
            move |q: u64, side| {
                let (a, b) = hits[q as usize];
                let first = (side == Side::Challenger) != swap;
                (Some(f64::from(if first { a } else { b }) / 1e6), 1)
            }
        };
        let n = hits.len() as u64;
        let (one, two) = (play(n, say(false)).verdict(), play(n, say(true)).verdict());
        // If one is promoted the other, in its place, would be dropped; the log score may turn a promotion into waiting.
        if one == Verdict::Promote {
            prop_assert_eq!(two, Verdict::Reject(Fault::Score));
        }
        if two == Verdict::Wait {
            prop_assert!(one != Verdict::Promote);
        }
    }
}

#[test]
fn a_shadow_is_asked_the_same_and_answers_only_to_the_book() {
    let (active, challenger) = (Fake::new(1, 0.6), Fake::new(2, 0.7));
    let rules = TrialRules { min_asked: 1_000, latency_floor_ns: u64::MAX, ..RULES };
    let shadow = Arc::new(Shadow::start(challenger.clone().source(), config(256), rules).unwrap());
    let (sent, published) = std::sync::mpsc::channel();
    let hears = Arc::clone(&shadow);
    let on_result = Box::new(move |r: schemas::InferenceResult| {
        hears.heard(&r);
        drop(sent.send(r));
    });
    let lane = Lane::start_with(vec![active.clone().source()], config(256), on_result).unwrap();
    let mut verdict = Verdict::Wait;
    for n in 0..60 {
        // Every twentieth row makes the challenger fail, not the active version.
        let row = if n % 20 == 19 { vec![1.0, 0.0, f32::NAN] } else { vec![1.0, 0.0, 0.0] };
        let request = request(active.id, n, row.clone());
        shadow.beside(&request);
        lane.submit(request).unwrap();
        while shadow.trial().tally(Side::Challenger).asked <= n
            || shadow.trial().tally(Side::Incumbent).asked <= n
        {
            std::thread::sleep(Duration::from_micros(50));
        }
        verdict = shadow.resolved(id(n), true);
    }
    assert_eq!(verdict, Verdict::Promote);
    let trial = shadow.trial();
    assert_eq!((trial.resolved_count(), trial.tally(Side::Challenger).failed), (57, 3));
    drop(lane);
    let published: Vec<_> = published.iter().collect();
    assert_eq!(published.len(), 60);
    assert!(published.iter().all(|r| r.bundle == active.id && number(r.question) < 60));
    assert_eq!(shadow.counters().accepted, 60);
    // A challenger whose queue is full has failed; the active version never waits for it.
    let stuck = Fake { cost: (Duration::from_millis(50), Duration::ZERO), max_batch: 1, ..challenger };
    let shadow = Shadow::start(stuck.source(), config(1), rules).unwrap();
    for n in 0..10 {
        shadow.beside(&request(active.id, n, vec![FAIL, 0.0, 0.0]));
    }
    assert!(shadow.trial().tally(Side::Challenger).failed >= 7);
}

/// Puts `name` of this version into the store; its model says `weight`.
fn put(writer: &mut Writer, dir: &std::path::Path, version: &str, weight: f32) -> String {
    let (manifest, model, golden) = parts("test", version, weight);
    let from = dir.join(version);
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("forecaster.toml"), manifest).unwrap();
    std::fs::write(from.join("model.onnx"), model).unwrap();
    std::fs::write(from.join("golden.json"), golden).unwrap();
    writer.put(&from, &mut |_| Ok(())).unwrap().version
}

#[test]
fn a_canary_takes_over_and_is_rolled_back_when_it_gets_worse() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(&dir.path().join("store"));
    let mut writer = store.write().unwrap();
    let (one, two) = (put(&mut writer, dir.path(), "1.0.0", 0.6), put(&mut writer, dir.path(), "2.0.0", 0.9));
    writer.activate("test", &one).unwrap();
    drop(writer);
    // The fake says what its version's weight is; 1.x says 0.6 and 2.x says 0.9.
    let make = |b: Arc<Bundle>| {
        let weight = if b.manifest().version == "1.0.0" { 0.6 } else { 0.9 };
        Fake { id: b.id(), ..Fake::new(0, weight) }.source()
    };
    let (sent, got) = std::sync::mpsc::channel();
    let rules = TrialRules { latency_floor_ns: u64::MAX, ..RULES };
    let on_result = move |r: schemas::InferenceResult| drop(sent.send(r));
    let deployed = Deployed::start(&store, "test", Box::new(make), (config(64), rules), on_result).unwrap();
    let first = deployed.serving();
    let mut asked = 0;
    let mut play = |n: u64, up: bool| {
        let mut changes = Vec::new();
        for _ in 0..n {
            asked += 1;
            deployed.submit(request(first, asked, vec![1.0, 0.0, 0.0])).unwrap();
            let both = |t: &Trial| [Side::Incumbent, Side::Challenger].map(|s| t.tally(s).asked);
            let before = got.recv().unwrap();
            assert_eq!((number(before.question), before.bundle), (asked, deployed.serving()));
            while deployed.trial().is_some_and(|t| both(&t)[0] != both(&t)[1]) {
                std::thread::sleep(Duration::from_micros(50));
            }
            changes.extend(deployed.resolved(id(asked), up).unwrap());
        }
        changes
    };
    assert_eq!(play(10, true), []);
    store.write().unwrap().on_trial("test", &two, Mode::Canary).unwrap();
    let second = store.load("test", &two).unwrap().id();
    assert_eq!(deployed.look().unwrap(), [Change::Beside(second)]);
    // Up happens: 0.9 is better than 0.6. The canary takes over, guarded by the version before.
    let changes = play(50, true);
    let [Change::Promoted(version), Change::Serves(done), Change::Alone, Change::Beside(guard)] =
        &changes[..]
    else {
        panic!("{changes:?}")
    };
    assert_eq!((version, done.old, done.new, *guard), (&two, first, second, first));
    assert_eq!(store.pointer("test").unwrap().active, Some(two));
    // Down happens: 0.9 is worse. The version before comes back.
    let changes = play(50, false);
    let [Change::RolledBack(Fault::Score), Change::Serves(done), Change::Alone] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!((done.old, done.new, deployed.serving()), (second, first, first));
    let pointer = store.pointer("test").unwrap();
    assert_eq!((pointer.active, pointer.candidate), (Some(one), None));
    assert!(deployed.trial().is_none());
}
