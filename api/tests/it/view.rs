//! The view alone: what a history comes to, snapshot and tail, bounds.

use api::{Event, Position, Push, View, ViewLimits};
use schemas::*;

use crate::rig::{miner_id, question, rules, signal, topic_id};

fn record(seq: u64, body: Verdict) -> Record<Verdict> {
    Record { seq, at: Timestamp::from_secs(1000 + seq as i64), body }
}

fn resolved(slot: i64, determination: Determination) -> Verdict {
    let q = question(0, slot);
    Verdict::Resolved { market: q.market, closes_at: q.resolves_at, determination }
}

fn up(up: bool) -> Determination {
    Determination::Determined { up, closing: IndexPrice(7) }
}

fn scored(n: u8, slot: i64, status: ScoreStatus, p: u32, up: bool) -> Verdict {
    let miss = if up { 1_000_000 - i128::from(p) } else { i128::from(p) };
    let score = Q32(Q32::ONE.0 - Q32::ratio(miss * miss, 1_000_000_000_000).0);
    Verdict::Scored(Score {
        question: question(0, slot).id,
        topic: topic_id(0),
        miner: miner_id(n),
        status,
        p: (status == ScoreStatus::Scored).then_some(Ppm(p)),
        score,
        reference: Q32::ratio(3, 4),
        up: (status != ScoreStatus::Void).then_some(up),
    })
}

fn subscription() -> Subscription {
    Subscription {
        id: SubscriptionId("demo.all".into()),
        account: AccountId("demo".into()),
        topics: vec![topic_id(0)],
        from: Timestamp::ZERO,
        until: Timestamp::MAX,
        max_price: Micros(9_000),
    }
}

fn join(n: u8) -> Verdict {
    let (name, kind, stake) = (format!("m{n}"), "model".into(), Micros(100));
    Verdict::MinerListed(MinerJoined {
        miner: miner_id(n),
        name,
        kind,
        stake,
        host: None,
        signature: None,
        account: None,
    })
}

/// The first signal, sold.
fn sale() -> [Verdict; 2] {
    let (account, slot) = (AccountId("demo".into()), question(0, 0).market_starts_at);
    let charge = verdict::ChargeOutcome {
        unit: unit_id(&subscription().id, &topic_id(0), slot),
        subscription: subscription().id,
        topic: topic_id(0),
        slot,
        account: account.clone(),
        charged: Micros(9_000),
        balance: Micros(1_000),
    };
    let posting = |account, amount| Posting { account, asset: Asset::Usd, amount: Micros(amount) };
    let legs = vec![posting(LedgerAccount::Prepaid(account), -9_000), posting(LedgerAccount::Revenue, 9_000)];
    let txn = Txn { id: schemas::id::TxnId([1; 32]), kind: TxnKind::Charge, postings: legs, prev: [0; 32] };
    [Verdict::Posted(txn), Verdict::Charged(charge)]
}

fn summary() -> EpochSummary {
    EpochSummary {
        epoch: 3,
        root: [9; 32],
        questions: 2,
        paid: Micros(1),
        burned: Micros(2),
        pool_left: Micros(3),
        revenue: Micros(4),
    }
}

/// A little of everything.
fn history() -> Vec<Record<Verdict>> {
    let [posted, charged] = sale();
    let account = AccountId("demo".into());
    let bodies = vec![
        Verdict::TopicListed(rules("btc-usd.up-5m.60s", 60)),
        join(1),
        join(2),
        Verdict::Account(AccountView { account, prepaid: Micros(10_000) }),
        Verdict::Subscribed(subscription()),
        Verdict::QuestionOpened(question(0, 0)),
        Verdict::QuestionOpened(question(0, 1)),
        Verdict::QuestionOpened(question(0, 2)),
        Verdict::Signal(signal(0, 0, 1, 800_000)),
        posted,
        charged,
        Verdict::Signal(signal(0, 1, 2, 600_000)),
        Verdict::NoSignal {
            topic: topic_id(0),
            question: question(0, 2).id,
            slot: question(0, 2).market_starts_at,
            reason: NoSignalReason::NoForecasts,
        },
        resolved(0, up(true)),
        scored(1, 0, ScoreStatus::Scored, 700_000, true),
        scored(2, 0, ScoreStatus::Missing, 0, true),
        resolved(1, up(false)),
        scored(1, 1, ScoreStatus::Scored, 700_000, false),
        resolved(2, Determination::Void(VoidReason::NoClosingTick)),
        Verdict::Settled(Settlement {
            question: question(0, 0).id,
            miner: miner_id(1),
            at_risk: Micros(100),
            delta: Micros(7),
            stake_after: Micros(107),
        }),
        Verdict::Rejected {
            what: verdict::What::Commitment,
            miner: Some(miner_id(2)),
            question: None,
            code: RejectCode::CommitTooLate,
        },
        Verdict::EpochClosed(summary()),
        Verdict::EpochFinal { epoch: 3, root: [9; 32] },
    ];
    bodies.into_iter().zip(1..).map(|(body, seq)| record(seq, body)).collect()
}

fn fold(mut view: View, records: &[Record<Verdict>]) -> (View, Vec<Push>) {
    let mut out = Vec::new();
    for record in records {
        view.apply(record, &mut out);
    }
    (view, out)
}

#[test]
fn a_history_comes_to_this() {
    let (view, pushes) = fold(View::new(ViewLimits::default()), &history());
    let topic = &view.topics()[&topic_id(0)];
    assert_eq!(
        (topic.head, topic.issued, topic.sold, topic.no_signals, topic.ended),
        (2, 2, 1, 1, (1, 1, 1))
    );
    // (0.2^2 + 0.6^2) / 2, the coin's 0.25, and the market only where it was quoted: 0.46^2.
    assert!((topic.ensemble.brier().unwrap() - 0.2).abs() < 1e-12);
    assert!((topic.reference.brier().unwrap() - 0.25).abs() < 1e-12);
    assert_eq!(topic.market.n, 1);
    assert!((topic.market.brier().unwrap() - 0.2116).abs() < 1e-12);
    assert_eq!(topic.ensemble_where_quoted.n, 1);
    let one = view.miner(&miner_id(1)).unwrap();
    let record = one.overall();
    assert_eq!((record.scored, record.missing, one.stake, one.gain), (2, 0, Micros(107), Micros(7)));
    assert!((record.loss().unwrap() - 0.29).abs() < 1e-12);
    assert!((record.reference_loss().unwrap() - 0.25).abs() < 1e-9);
    let bin = record.track.bins[7];
    assert_eq!((bin.n, bin.p_sum, bin.ups), (2, 1_400_000, 1));
    let two = view.miner(&miner_id(2)).unwrap();
    assert_eq!((two.overall().missing, two.rejected), (1, 1));
    let account = view.account(&AccountId("demo".into())).unwrap();
    assert_eq!((account.prepaid, account.spent, account.units), (Micros(1_000), Micros(9_000), 1));
    assert_eq!((view.ledger().postings, view.ledger().imbalance(), view.ledger().chain_breaks), (2, 0, 0));
    assert!(view.epochs()[&3].is_final);
    assert_eq!(view.questions().count(), 0);
    let kinds: String = pushes
        .iter()
        .map(|p| match p {
            Push::Signal { .. } => 's',
            Push::NoSignal { .. } => 'n',
            Push::Outcome { .. } => 'o',
            Push::Balance { .. } => 'b',
        })
        .collect();
    assert_eq!(kinds, "bsbsnooo");
}

#[test]
fn a_snapshot_at_every_record_and_the_tail_give_the_same_view() {
    let records = history();
    let (whole, pushes) = fold(View::new(ViewLimits::default()), &records);
    for cut in 0..=records.len() {
        let (first, mut out) = fold(View::new(ViewLimits::default()), &records[..cut]);
        let again = View::load(&first.save()).unwrap();
        assert_eq!(again, first);
        let (both, tail) = fold(again, &records[cut..]);
        out.extend(tail);
        assert_eq!((both.digest(), &out), (whole.digest(), &pushes), "cut at {cut}");
    }
    assert!(View::load(&whole.save()[1..]).is_err());
}

#[test]
fn the_epoch_names_the_history() {
    let (a, _) = fold(View::new(ViewLimits::default()), &history());
    let mut other = history();
    other[0].at = Timestamp::ZERO;
    let (b, _) = fold(View::new(ViewLimits::default()), &other);
    assert_eq!(a.epoch().len(), 16);
    assert_ne!(a.epoch(), b.epoch());
}

#[test]
fn every_bound_holds_and_every_loss_is_told() {
    let limits =
        ViewLimits { signals_per_topic: 3, questions: 2, notices: 2, miners: 1, ..ViewLimits::default() };
    let (mut view, _) = fold(View::new(limits), &history()[..5]);
    let mut out = Vec::new();
    for slot in 0..8_i64 {
        let seq = 10 + 2 * slot as u64;
        view.apply(&record(seq, Verdict::QuestionOpened(question(0, slot))), &mut out);
        view.apply(&record(seq + 1, Verdict::Signal(signal(0, slot, slot as u64 + 1, 600_000))), &mut out);
    }
    assert_eq!((view.questions().count(), view.dropped().questions, view.dropped().refused), (2, 6, 1));
    let topic = &view.topics()[&topic_id(0)];
    assert_eq!((topic.ring.len(), topic.unresolved.len(), topic.oldest(), topic.head), (3, 3, 6, 8));
    let next = std::collections::BTreeMap::from([(topic_id(0), 2)]);
    let events = view.events_after(&next, Position::default(), 3);
    assert_eq!(events[0], Event::Gap { topic: topic_id(0), from: 2, to: 5 });
    let seqs: Vec<u64> = events[1..]
        .iter()
        .map(|e| match e {
            Event::Signal(held) => held.signal.topic_seq,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seqs, [6, 7]);
}

#[test]
fn digests_tell_histories_apart() {
    let records = history();
    let (a, _) = fold(View::new(ViewLimits::default()), &records);
    let (b, _) = fold(View::new(ViewLimits::default()), &records[..records.len() - 1]);
    assert_ne!(a.digest(), b.digest());
}
