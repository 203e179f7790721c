//! Three validators: agreement, disagreement, lateness and void.

use schemas::{Determination, Intake, Micros, RejectCode, Timestamp, ValidatorSeat, Verdict, VoidReason};

use crate::world::*;

/// Reports by validators 0, 1, 2 in this order; which determination is agreed on, after how many reports.
fn check(reports: &[(u8, Determination)], want: Option<(usize, Determination)>) {
    let mut w = World::new(1);
    let q = question(0);
    w.ask(&q, &[(1, 700_000)]);
    w.at = q.resolves_at;
    let mut agreed = None;
    for (n, (i, determination)) in reports.iter().enumerate() {
        let said = w.put(Intake::Report(report(*i, &q.market, q.resolves_at, *determination)));
        assert_eq!(refusal(&said), None);
        for verdict in said {
            if let Verdict::Resolved { determination, closes_at, .. } = verdict {
                assert_eq!((agreed, closes_at), (None, q.resolves_at), "resolved once");
                agreed = Some((n + 1, determination));
            }
        }
    }
    assert_eq!(agreed, want, "{reports:?}");
    assert_eq!(w.v.open_questions().count(), usize::from(want.is_none()));
}

#[test]
fn two_thirds_of_the_stake_decide() {
    let void = Determination::Void(VoidReason::NoClosingTick);
    let other = Determination::Void(VoidReason::NoStrike);
    check(&[(0, UP)], None);
    check(&[(0, UP), (1, UP)], Some((2, UP)));
    check(&[(0, UP), (1, UP), (2, UP)], Some((2, UP)));
    check(&[(0, UP), (1, DOWN)], None);
    check(&[(0, UP), (1, DOWN), (2, DOWN)], Some((3, DOWN)));
    check(&[(2, void), (0, void)], Some((2, void)));
    check(&[(2, void), (0, other), (1, UP)], None);
}

#[test]
fn the_same_outcome_with_another_closing_value_is_another_determination() {
    let odd = Determination::Determined { up: true, closing: schemas::IndexPrice(8) };
    check(&[(0, UP), (1, odd)], None);
}

#[test]
fn evidence_of_who_differed_is_kept() {
    let mut w = World::new(0);
    let q = question(0);
    w.go(300);
    for (i, said) in [(0, UP), (1, DOWN), (2, UP)] {
        w.put(Intake::Report(report(i, &q.market, q.resolves_at, said)));
    }
    let of =
        |i| w.v.seats().find(|(id, _)| **id == validator_id(i)).map(|(_, s)| (s.agreed, s.differed)).unwrap();
    assert_eq!([of(0), of(1), of(2)], [(1, 0), (0, 1), (1, 0)]);
}

#[test]
fn reports_are_forgotten_after_a_day_and_not_before() {
    let mut w = World::new(0);
    let q = question(0);
    let own = report(0, &q.market, q.resolves_at, UP);
    w.go(300).put(Intake::Report(own.clone()));
    assert_eq!(
        refusal(&w.go(300 + 86_399).put(Intake::Report(own.clone()))),
        Some(RejectCode::DuplicateReport)
    );
    assert_eq!(refusal(&w.go(300 + 86_400).put(Intake::Report(own))), Some(RejectCode::UnknownMarket));
    assert!(w.v.seats().all(|(_, seat)| seat.held == 0));
}

#[test]
fn a_market_with_two_topics_settles_all_its_questions_at_once() {
    let mut w = World::new(2);
    let mut late = topic();
    late.id = schemas::TopicId::new("btc-usd.up-5m.150s").unwrap();
    late.horizon_s = 150;
    w.put(Intake::Topic(late.clone()));
    let (early, late) = (question(0), question_of(&late, 0, 600_000));
    w.ask(&early, &[(1, 700_000), (2, 400_000)]);
    w.ask(&late, &[(1, 900_000), (2, 100_000)]);
    let said = w.resolve(&early, UP);
    let order: Vec<_> = said
        .iter()
        .filter_map(|v| if let Verdict::Scored(s) = v { Some((s.question, s.miner)) } else { None })
        .collect();
    assert_eq!(order.len(), 4);
    assert!(order.is_sorted());
    assert_eq!(said.iter().filter(|v| matches!(v, Verdict::Posted(_))).count(), 2);
}

#[test]
fn a_wrong_end_of_a_market_with_questions_is_refused() {
    let mut w = World::new(1);
    let q = question(0);
    w.ask(&q, &[(1, 700_000)]);
    let early = report(0, &q.market, Timestamp::from_secs(T0 + 10), UP);
    assert_eq!(refusal(&w.go(200).put(Intake::Report(early.clone()))), Some(RejectCode::ReportTooEarly));
    assert_eq!(refusal(&w.go(400).put(Intake::Report(early))), Some(RejectCode::UnknownMarket));
}

#[test]
fn a_quorum_is_two_thirds_of_the_stake_not_of_the_heads() {
    // Stakes, and how many validators from the first on it takes.
    let table: [(&[i64], usize); 6] =
        [(&[67, 33], 1), (&[66, 34], 2), (&[59, 41], 2), (&[1, 1, 1, 1], 3), (&[2, 1], 1), (&[1, 1, 98], 3)];
    for (stakes, want) in table {
        let seat = |(i, stake): (usize, &i64)| ValidatorSeat {
            id: validator_id(i as u8),
            name: format!("v{i}"),
            stake: Micros(*stake),
        };
        let validators = stakes.iter().enumerate().map(seat).collect();
        let mut w = World::empty();
        w.put(Intake::Genesis(schemas::NetworkRules { validators, ..network() }));
        let ends = Timestamp::from_secs(T0);
        let mut resolved = |i: usize| {
            let said = w.put(Intake::Report(report(i as u8, &market("m"), ends, UP)));
            said.iter().any(|v| matches!(v, Verdict::Resolved { .. }))
        };
        let needed = (0..stakes.len()).find(|i| resolved(*i)).map(|i| i + 1);
        assert_eq!(needed, Some(want), "{stakes:?}");
    }
}
