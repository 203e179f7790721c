//! One question from its opening to its settlement, step by step.

use schemas::signal::NoSignalReason;
use schemas::{Intake, Machine, Micros, Ppm, Q32, ScoreStatus, Timestamp, Verdict, verdict::What};

use crate::world::*;

#[test]
fn open_commit_reveal_signal_resolve_settle() {
    let mut w = World::new(3);
    let q = question(0);
    let said = w.ask(&q, &[(1, 800_000), (2, 300_000)]);
    let [Verdict::Accepted { what: What::Reveal, .. }, Verdict::Accepted { .. }, Verdict::Signal(signal)] =
        &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!(
        (signal.topic_seq, signal.slot, signal.issued_at),
        (1, q.market_starts_at, q.commit_closes_at)
    );
    assert_eq!(signal.market_view.as_ref().map(|m| m.mid), q.market_mid);
    let weights: i64 = signal.contributors.iter().map(|c| c.weight.0).sum();
    assert_eq!(weights + signal.reference_weight.0, Q32::ONE.0);
    assert!(signal.contributors.is_sorted_by_key(|c| c.miner));

    let said = w.resolve(&q, UP);
    let kinds: Vec<&str> = said.iter().map(kind).collect();
    let settled = ["scored", "settled"].repeat(3);
    assert_eq!(kinds, [vec!["accepted", "accepted", "resolved"], settled, vec!["posted"]].concat());
    // kappa * w = rho / 12; scores 0.96, 0.51, reference 0.75; the third is missing and pays phi = 0.002.
    let rate = ((50_000_i128 << 32) / 1_000_000 * ((1_i128 << 32) / 12)) >> 32;
    let expect = |points: f64| (STAKE as f64 * rate as f64 / 4_294_967_296.0 * points).floor() as i64;
    let mut want = vec![
        (miner_id(1), expect(0.96 - 0.75), ScoreStatus::Scored),
        (miner_id(2), expect(0.51 - 0.75), ScoreStatus::Scored),
        (miner_id(3), expect(-0.002), ScoreStatus::Missing),
    ];
    want.sort_by_key(|(miner, ..)| *miner);
    let scored = said.iter().filter_map(|v| if let Verdict::Scored(s) = v { Some(s) } else { None });
    let got: Vec<_> = scored.zip(w.settlements()).map(|(s, t)| (t.miner, t.delta.0, s.status)).collect();
    for ((miner, delta, status), (m, d, s)) in want.into_iter().zip(got) {
        assert_eq!((miner, status), (m, s));
        assert!((delta - d).abs() <= 1, "{delta} {d}");
    }
    assert!(
        w.settlements().iter().all(|s| s.stake_after.0 == STAKE + s.delta.0 && s.at_risk == Micros(STAKE))
    );
    assert_eq!(w.v.open_questions().count(), 0);
}

fn kind(v: &Verdict) -> &'static str {
    match v {
        Verdict::Accepted { .. } => "accepted",
        Verdict::Resolved { .. } => "resolved",
        Verdict::Scored(_) => "scored",
        Verdict::Settled(_) => "settled",
        Verdict::Posted(_) => "posted",
        _ => "other",
    }
}

#[test]
fn the_signal_waits_for_every_seal_until_the_reveal_window_ends() {
    let mut w = World::new(2);
    let q = question(0);
    w.at = q.opens_at;
    w.put(Intake::Question(q.clone()));
    assert_eq!(w.v.wake_at(), Some(q.reveal_closes_at));
    let made: Vec<_> = [1, 2].iter().map(|i| predict(&q, *i, 600_000)).collect();
    for (commitment, _) in &made {
        w.put(Intake::Commitment(commitment.clone()));
    }
    w.at = q.commit_closes_at;
    w.put(Intake::Reveal(made[0].1.clone()));
    assert!(w.signals().is_empty());
    w.at = q.reveal_closes_at;
    w.tick();
    let signals = w.signals();
    assert_eq!(signals.len(), 1);
    assert_eq!(signals[0].contributors.len(), 1);
    assert!(w.v.wake_at().unwrap() > w.at);
    assert_eq!(refusal(&w.put(Intake::Reveal(made[1].1.clone()))), Some(schemas::RejectCode::RevealTooLate));
}

#[test]
fn no_forecast_no_signal_and_the_sequence_has_no_hole() {
    let mut w = World::new(1);
    let said = w.ask(&question(0), &[]);
    assert!(matches!(&said[..], [Verdict::NoSignal { reason: NoSignalReason::NoForecasts, .. }]));
    for start in [300, 600] {
        w.ask(&question(start), &[(1, 700_000)]);
    }
    assert_eq!(w.signals().iter().map(|s| s.topic_seq).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn any_later_record_ends_a_window() {
    let mut w = World::new(1);
    let q = question(0);
    w.at = q.opens_at;
    w.put(Intake::Question(q.clone()));
    w.put(Intake::TimeAdvanced { to: q.commit_closes_at });
    let (commitment, _) = predict(&q, 1, 500_000);
    assert_eq!(refusal(&w.put(Intake::Commitment(commitment))), Some(schemas::RejectCode::CommitTooLate));
}

#[test]
fn a_wrong_reveal_does_not_use_the_chance_up() {
    let mut w = World::new(1);
    let q = question(0);
    w.at = q.opens_at;
    w.put(Intake::Question(q.clone()));
    let (commitment, reveal) = predict(&q, 1, 500_000);
    w.put(Intake::Commitment(commitment));
    w.at = q.commit_closes_at;
    let mut wrong = reveal.clone();
    wrong.nonce[0] ^= 1;
    assert_eq!(refusal(&w.put(Intake::Reveal(wrong))), Some(schemas::RejectCode::HashMismatch));
    assert_eq!(refusal(&w.put(Intake::Reveal(reveal))), None);
    assert_eq!(w.signals().len(), 1);
}

#[test]
fn a_miner_that_joins_later_is_neither_missing_nor_heard() {
    let mut w = World::new(1);
    let q = question(0);
    w.at = q.opens_at;
    w.put(Intake::Question(q.clone()));
    w.put(join(2, STAKE));
    let (commitment, _) = predict(&q, 2, 990_000);
    assert_eq!(refusal(&w.put(Intake::Commitment(commitment))), Some(schemas::RejectCode::NoStake));
    w.resolve(&q, UP);
    assert_eq!(w.stake(2), STAKE);
    assert!(w.stake(1) < STAKE);
}

#[test]
fn void_moves_nothing_not_even_the_fee() {
    let mut w = World::new(2);
    let q = question(0);
    w.ask(&q, &[(1, 990_000)]);
    let said = w.resolve(&q, schemas::Determination::Void(schemas::VoidReason::NoStrike));
    let statuses: Vec<_> = said
        .iter()
        .filter_map(|v| if let Verdict::Scored(s) = v { Some((s.status, s.up)) } else { None })
        .collect();
    assert_eq!(statuses, [(ScoreStatus::Void, None); 2]);
    assert!(w.settlements().is_empty());
    assert_eq!((w.stake(1), w.stake(2)), (STAKE, STAKE));
}

#[test]
fn a_question_nobody_resolves_is_void_after_a_day_and_the_epoch_closes() {
    let mut w = World::new(1);
    w.ask(&question(0), &[(1, 990_000)]);
    w.go(300 + 86_400 - 1).tick();
    assert_eq!(w.v.open_questions().count(), 1);
    assert_eq!(w.v.wake_at(), Some(Timestamp::from_secs(T0 + 300 + 86_400)));
    w.go(300 + 86_400).tick();
    assert_eq!(w.v.open_questions().count(), 0);
    assert!(w.verdicts.iter().any(|v| matches!(v, Verdict::Scored(s) if s.status == ScoreStatus::Void)));
    assert!(w.verdicts.iter().any(|v| matches!(v, Verdict::EpochClosed(_))));
    assert_eq!(w.stake(1), STAKE);
}

#[test]
fn the_pool_learns_who_is_good() {
    let mut w = World::new(2);
    for k in 0..40 {
        let q = question(k * 300);
        w.ask(&q, &[(1, 800_000), (2, 200_000)]);
        w.resolve(&q, UP);
    }
    let weights = w.v.weights(&topic_id()).unwrap();
    let of = |i| weights.miners()[&miner_id(i)].as_f64();
    assert!(of(1) > 0.9 && of(2) < 0.01, "{weights:?}");
    let signals = w.signals();
    assert!(signals.first().unwrap().p < Ppm(550_000) && signals.last().unwrap().p > Ppm(750_000));
    assert!(w.stake(1) > STAKE && w.stake(2) < STAKE);
}

#[test]
fn a_hash_is_remembered_while_its_question_is_open() {
    let mut w = World::new(2);
    let (first, second) = (question(0), question(30));
    w.ask(&first, &[(1, 500_000)]);
    let (mut copy, _) = predict(&second, 2, 500_000);
    copy.hash = predict(&first, 1, 500_000).0.hash;
    copy.signature = sign_commitment(2, &second, &copy.hash);
    w.at = second.opens_at;
    w.put(Intake::Question(second.clone()));
    assert_eq!(
        refusal(&w.put(Intake::Commitment(copy.clone()))),
        Some(schemas::RejectCode::CommitmentReplayed)
    );
    let later = question(300);
    w.resolve(&first, UP);
    w.at = later.opens_at;
    w.put(Intake::Question(later.clone()));
    copy.question = later.id;
    copy.signature = sign_commitment(2, &later, &copy.hash);
    assert_eq!(refusal(&w.put(Intake::Commitment(copy))), None);
}
