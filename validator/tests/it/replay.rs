//! Same records, same verdicts, same digest; a snapshot anywhere changes nothing.

use schemas::{Digest, Intake, Machine, Record, Snapshot, Verdict};
use validator::{Limits, Validator};

use crate::world::*;

fn run(from: Validator, log: &[Record<Intake>]) -> (Vec<Verdict>, Digest) {
    let (mut v, mut out) = (from, Vec::new());
    for record in log {
        v.apply(record, &mut out);
    }
    let digest = v.digest();
    (out, digest)
}

fn story() -> World {
    let mut w = World::new(3);
    w.put(open());
    w.put(top_up(10_000, "p-1"));
    w.put(Intake::Account(schemas::AccountCommand::Subscribe(subscription("s"))));
    for k in 0..14 {
        let q = question(k * 300);
        w.ask(&q, &[(1, 800_000), (2, 650_000)]);
        let signal = w.signals().last().cloned().unwrap();
        w.put(Intake::Usage(usage("s", &signal)));
        w.put(Intake::Usage(usage("nobody", &signal)));
        w.resolve(&q, if k % 3 == 0 { DOWN } else { UP });
    }
    w
}

#[test]
fn three_validators_agree_bit_for_bit() {
    let w = story();
    for _ in 0..3 {
        let (out, digest) = run(Validator::new(Limits::default()), &w.log);
        assert_eq!(out, w.verdicts);
        assert_eq!(digest, w.v.digest());
    }
}

#[test]
fn snapshot_and_tail_equal_the_uninterrupted_run() {
    let w = story();
    let mut v = Validator::new(Limits::default());
    let mut out = Vec::new();
    for (n, record) in w.log.iter().enumerate() {
        if n % 7 == 0 {
            let loaded = Validator::load(&v.save()).unwrap();
            assert_eq!(loaded, v);
            let (tail, digest) = run(loaded, &w.log[n..]);
            assert_eq!((&w.verdicts[out.len()..], digest), (&tail[..], w.v.digest()), "at record {n}");
        }
        v.apply(record, &mut out);
    }
}

#[test]
fn another_history_is_another_digest() {
    let w = story();
    let (_, digest) = run(Validator::new(Limits::default()), &w.log[..w.log.len() - 1]);
    assert_ne!(digest, w.v.digest());
}

#[test]
fn it_never_asks_for_a_time_that_was_served() {
    let w = story();
    let mut v = Validator::new(Limits::default());
    let mut out = Vec::new();
    for record in &w.log {
        v.apply(record, &mut out);
        assert!(v.wake_at().is_none_or(|at| at > record.at));
    }
    let end = w.at;
    let mut steps = 0;
    while let Some(to) = v.wake_at().filter(|at| at.since(end) < 40 * 3_600_000_000_000) {
        v.apply(&Record { seq: 0, at: to, body: Intake::TimeAdvanced { to } }, &mut out);
        assert!(v.wake_at().is_none_or(|at| at > to));
        steps += 1;
    }
    assert!((38..50).contains(&steps), "{steps}");
}
