//! Epochs: emission, budget, roots recomputed by an outsider from the verdicts alone, the revenue split, votes.

use schemas::{
    Asset, EpochSummary, Intake, LedgerAccount, Machine, Micros, Ppm, RejectCode, TopicRules, Txn, TxnKind,
    Verdict,
};
use validator::merkle;

use crate::world::*;

fn summaries(w: &World) -> Vec<EpochSummary> {
    let closed = |v: &Verdict| if let Verdict::EpochClosed(s) = v { Some(s.clone()) } else { None };
    w.verdicts.iter().filter_map(closed).collect()
}

fn txns(w: &World, kind: TxnKind) -> Vec<Txn> {
    let posted = |v: &Verdict| if let Verdict::Posted(t) = v { Some(t.clone()) } else { None };
    w.verdicts.iter().filter_map(posted).filter(|t| t.kind == kind).collect()
}

/// Three epochs with questions, gains, losses and sales.
fn busy() -> World {
    let mut w = World::new(3);
    w.put(open());
    w.put(top_up(1_000_000, "p-1"));
    w.put(Intake::Account(schemas::AccountCommand::Subscribe(subscription("s"))));
    for k in 0..30 {
        let q = question(k * 300);
        w.ask(&q, &[(1, 800_000), (2, 650_000), (3, 300_000)]);
        if k % 2 == 0 {
            let signal = w.signals().last().cloned().unwrap();
            w.put(Intake::Usage(usage("s", &signal)));
        }
        w.resolve(&q, if k % 3 == 0 { DOWN } else { UP });
    }
    w
}

#[test]
fn an_outsider_gets_the_same_roots_from_the_verdicts() {
    let w = busy();
    let (mut leaves, mut roots) = (Vec::new(), Vec::new());
    for verdict in &w.verdicts {
        match verdict {
            Verdict::Scored(_) | Verdict::Settled(_) | Verdict::Posted(_) => {
                leaves.push(merkle::leaf_hash(&schemas::encode(verdict)));
            }
            Verdict::EpochClosed(summary) => {
                roots.push((merkle::root(&leaves), leaves.len()));
                assert_eq!(summary.root, roots.last().unwrap().0);
                leaves.clear();
            }
            _ => {}
        }
    }
    assert_eq!(roots.len(), 2);
    assert!(roots.iter().all(|(_, n)| *n > 70), "{roots:?}");
}

#[test]
fn the_summary_adds_up() {
    let w = busy();
    let [first, second] = &summaries(&w)[..] else { panic!("two epochs are over") };
    assert_eq!((first.epoch + 1, first.questions, second.questions), (second.epoch, 12, 12));
    let settled = w.settlements();
    let of_first = &settled[..36];
    let paid: i64 = of_first.iter().map(|s| s.delta.0.max(0)).sum();
    let burned: i64 = of_first.iter().map(|s| -s.delta.0.min(0)).sum();
    assert_eq!((first.paid.0, first.burned.0), (paid, burned));
    // The last market ends with the epoch, so the next emission is in the pool when the epoch closes.
    assert_eq!(first.pool_left.0, 20 * STAKE - paid);
    assert_eq!(second.pool_left.0, 30 * STAKE - paid - second.paid.0);
    assert_eq!(first.revenue, Micros(6_000));
    assert_eq!(txns(&w, TxnKind::Emission).len(), 3);
}

#[test]
fn revenue_goes_ten_five_ten_seventyfive_and_miners_share_by_use() {
    let w = busy();
    let split = &txns(&w, TxnKind::RevenueSplit)[0];
    let of = |account: LedgerAccount| {
        split.postings.iter().find(|p| p.account == account).map_or(0, |p| p.amount.0)
    };
    assert_eq!(of(LedgerAccount::Platform), 600);
    assert_eq!(of(LedgerAccount::DataFees), 300);
    assert_eq!((0..3).map(|i| of(LedgerAccount::ValidatorPayable(validator_id(i)))).sum::<i64>(), 600);
    let used = |i| {
        let sold = w.signals().into_iter().take(12).step_by(2);
        let of = |c: schemas::Contributor| if c.miner == miner_id(i) { c.weight.0 } else { 0 };
        sold.flat_map(|s| s.contributors).map(of).sum::<i64>()
    };
    let parts: Vec<i64> = (1..=3).map(|i| of(LedgerAccount::MinerPayable(miner_id(i)))).collect();
    assert_eq!(parts.iter().sum::<i64>(), 4_500);
    let all: i64 = (1..=3).map(used).sum();
    for (i, part) in (1..=3).zip(parts) {
        let exact = 4_500.0 * used(i) as f64 / all as f64;
        assert!((part as f64 - exact).abs() < 1.0, "{i}: {part} {exact}");
    }
}

#[test]
fn an_idle_network_closes_every_epoch_it_sees_and_skips_what_nobody_saw() {
    let mut w = World::new(0);
    w.go(3_600).tick();
    w.go(7_200).tick();
    w.go(36_000).tick();
    w.go(39_600).tick();
    let first = summaries(&w)[0].epoch;
    assert_eq!(summaries(&w).iter().map(|s| s.epoch - first).collect::<Vec<_>>(), [0, 1, 2, 10]);
    assert_eq!(w.v.ledger().balance(&LedgerAccount::EmissionPool, Asset::Stake).0, 5 * 10 * STAKE);
}

#[test]
fn an_epoch_waits_for_its_questions_and_closes_in_order() {
    let mut w = World::new(1);
    let first = question(3_300);
    w.ask(&first, &[(1, 800_000)]);
    w.go(7_300).tick();
    w.go(11_000).tick();
    assert!(summaries(&w).is_empty());
    assert!(w.v.wake_at().unwrap() > w.at);
    w.at = first.resolves_at;
    w.go(11_100);
    for i in [0, 1] {
        w.put(Intake::Report(report(i, &first.market, first.resolves_at, UP)));
    }
    assert_eq!(summaries(&w).iter().map(|s| s.questions).collect::<Vec<_>>(), [1]);
    w.go(14_400).tick();
    assert_eq!(summaries(&w).len(), 2);
}

#[test]
fn the_budget_is_never_promised_twice() {
    // A pool that pays next to nothing: kappa is bound by the pool, not by rho.
    let mut rules = network();
    rules.emission_per_epoch = Micros(1_200);
    let mut w = World::empty();
    w.put(Intake::Genesis(rules));
    w.put(Intake::Topic(topic()));
    w.put(join(1, STAKE));
    let questions: Vec<_> = (0..24).map(|k| question_of(&topic(), k * 300, 1)).collect();
    for q in &questions {
        w.ask(q, &[(1, 1_000_000)]);
    }
    w.go(24 * 300);
    for q in &questions {
        for i in [0, 1] {
            w.put(Intake::Report(report(i, &q.market, q.resolves_at, UP)));
        }
    }
    let paid: i64 = w.settlements().iter().map(|s| s.delta.0).sum();
    assert!((2_000..=2_400).contains(&paid), "{paid}");
    assert!(w.settlements().iter().all(|s| s.delta.0 <= 100));
}

#[test]
fn two_thirds_of_the_votes_make_an_epoch_final_once() {
    let mut w = World::new(0);
    w.go(3_600).tick();
    let EpochSummary { epoch, root, .. } = summaries(&w)[0];
    assert_eq!(w.v.epoch_root(epoch), Some(root));
    let finals = |said: &[Verdict]| said.iter().filter(|v| matches!(v, Verdict::EpochFinal { .. })).count();
    assert_eq!(finals(&w.put(Intake::Vote(vote(0, epoch, root)))), 0);
    assert_eq!(refusal(&w.put(Intake::Vote(vote(0, epoch, root)))), Some(RejectCode::DuplicateVote));
    assert_eq!(finals(&w.put(Intake::Vote(vote(1, epoch, [1; 32])))), 0);
    let last = w.put(Intake::Vote(vote(2, epoch, root)));
    assert!(matches!(&last[..], [_, Verdict::EpochFinal { epoch: e, root: r }] if (*e, *r) == (epoch, root)));
    assert_eq!(finals(&w.put(Intake::Vote(vote(2, epoch, root)))), 0);
}

/// A network in which one question may take 60% of a stake, with epochs as long as markets.
fn harsh() -> World {
    let mut rules = network();
    (rules.max_loss, rules.epoch_ns) = (Ppm(600_000), 300_000_000_000);
    let mut w = World::empty();
    w.put(Intake::Genesis(rules));
    w.put(Intake::Topic(TopicRules { questions_per_epoch: 1, ..topic() }));
    w.put(join(1, STAKE));
    w
}

fn harsh_question(start: i64) -> schemas::Question {
    question_of(&TopicRules { questions_per_epoch: 1, ..topic() }, start, 999_999)
}

#[test]
fn overlapping_epochs_cannot_take_more_than_the_stake() {
    let mut w = harsh();
    let questions: Vec<_> = [0, 300, 600].into_iter().map(harsh_question).collect();
    for q in &questions {
        w.ask(q, &[(1, 0)]);
    }
    for q in &questions {
        w.at = w.at.max(q.resolves_at);
        for i in [0, 1] {
            w.put(Intake::Report(report(i, &q.market, q.resolves_at, UP)));
        }
    }
    // The first may take 60%; the second what is left of the stake besides it; the third what is left besides both.
    let at_risk: Vec<i64> = w.settlements().iter().map(|s| s.at_risk.0 / 10_000_000).collect();
    assert_eq!(at_risk, [100, 40, 16]);
    assert!(w.stake(1) > 0 && w.stake(1) < STAKE / 5, "{}", w.stake(1));
    // Nothing is open any more: all that is left is at risk again.
    let left = w.stake(1);
    let next = harsh_question(900);
    w.ask(&next, &[(1, 0)]);
    w.resolve(&next, UP);
    assert_eq!(w.settlements().last().map(|s| s.at_risk.0), Some(left));
}

#[test]
fn new_rules_in_the_middle_of_an_epoch_do_not_raise_the_largest_loss() {
    let mut w = World::new(0);
    let version = |version, most| TopicRules { version, questions_per_epoch: most, ..topic() };
    w.put(Intake::Topic(version(2, 1)));
    w.put(join(1, STAKE));
    let first = question_of(&version(2, 1), 0, 999_999);
    w.ask(&first, &[(1, 0)]);
    w.put(Intake::Topic(version(3, 2)));
    let second = question_of(&version(3, 2), 300, 999_999);
    w.at = second.opens_at;
    w.ask(&second, &[(1, 0)]);
    w.resolve(&first, UP);
    w.resolve(&second, UP);
    let lost: Vec<i64> = w.settlements().iter().map(|s| -s.delta.0).collect();
    assert!((STAKE / 20 - 10..=STAKE / 20).contains(&lost[0]) && lost[1] == 0, "{lost:?}");
}
