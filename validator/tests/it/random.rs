//! Random histories, garbage included: no panic, the books balance, nothing is paid or charged twice.

use std::collections::BTreeSet;

use proptest::prelude::*;
use schemas::{
    AccountCommand, Asset, Determination, Intake, LedgerAccount, Machine, Micros, Ppm, Q32, Question,
    Snapshot, TopicRules, Verdict, VoidReason,
};
use validator::{Limits, Validator};

use crate::world::*;

/// Something anybody might send.
#[derive(Clone, Debug)]
enum Act {
    Ask { reference: u32 },
    Commit { who: u8, p: u32, back: usize, flaw: u8 },
    Reveal { who: u8, p: u32, back: usize, flaw: u8 },
    Report { who: u8, how: u8, back: usize },
    Join { who: u8, stake: i64 },
    Money { amount: i64, payment: u8 },
    Subscribe { id: u8, max_price: i64 },
    Cancel { id: u8 },
    Use { id: u8, back: usize },
    Vote { who: u8, honest: bool },
    Rules { weight: i64, fee: u32, price: i64, most: u32 },
    Wait { nanos: i64 },
}

/// Mostly the same probability for the same miner, so that reveals open commitments.
fn said() -> impl Strategy<Value = (u8, u32)> {
    let odd = prop_oneof![0..=1_000_000_u32, Just(0), Just(1_000_000), Just(1_000_001), Just(u32::MAX)];
    (1..6_u8, prop_oneof![8 => Just(None), 1 => odd.prop_map(Some)])
        .prop_map(|(who, odd)| (who, odd.unwrap_or_else(|| u32::from(who) * 180_000)))
}

fn back() -> impl Strategy<Value = usize> {
    prop_oneof![9 => Just(0_usize), 1 => 1..3_usize]
}

fn flaw() -> impl Strategy<Value = u8> {
    prop_oneof![9 => Just(0_u8), 1 => 1..6_u8]
}

fn commits() -> impl Strategy<Value = Act> {
    (said(), back(), flaw()).prop_map(|((who, p), back, flaw)| Act::Commit { who, p, back, flaw })
}

fn reveals() -> impl Strategy<Value = Act> {
    (said(), back(), flaw()).prop_map(|((who, p), back, flaw)| Act::Reveal { who, p, back, flaw })
}

fn reports() -> impl Strategy<Value = Act> {
    let how = prop_oneof![6 => Just(0_u8), 2 => Just(1), 1 => Just(2)];
    (0..4_u8, how, back()).prop_map(|(who, how, back)| Act::Report { who, how, back })
}

fn uses() -> impl Strategy<Value = Act> {
    (0..3_u8, 0..3_usize).prop_map(|(id, back)| Act::Use { id, back })
}

/// Anything, at any time.
fn anything() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..=1_000_000_u32).prop_map(|reference| Act::Ask { reference }),
        3 => commits(),
        3 => reveals(),
        3 => reports(),
        3 => uses(),
        2 => (1..6_u8, prop_oneof![1..=STAKE, Just(0), Just(-1), Just(i64::MAX), Just(1)])
            .prop_map(|(who, stake)| Act::Join { who, stake }),
        1 => (prop_oneof![1..5_000_i64, Just(-1), Just(i64::MAX)], 0..4_u8)
            .prop_map(|(amount, payment)| Act::Money { amount, payment }),
        1 => (0..3_u8, prop_oneof![0..5_000_i64, Just(-1)])
            .prop_map(|(id, max_price)| Act::Subscribe { id, max_price }),
        1 => (0..3_u8).prop_map(|id| Act::Cancel { id }),
        2 => (0..4_u8, prop::bool::weighted(0.8)).prop_map(|(who, honest)| Act::Vote { who, honest }),
        1 => (0..1_i64 << 43, 0..1_100_000_u32, -5..3_000_i64, 0..20_u32)
            .prop_map(|(weight, fee, price, most)| Act::Rules { weight, fee, price, most }),
        1 => prop_oneof![30 => 0..300_000_000_i64, 1 => Just(86_400_000_000_000)].prop_map(|nanos| Act::Wait { nanos }),
    ]
}

/// The acts of one market: while it is open, while reveals are due, after its end; and a byte to garble.
type Chapter = ([Vec<Act>; 3], Option<(usize, u8)>);

fn chapter() -> impl Strategy<Value = Chapter> {
    let first = prop::collection::vec(prop_oneof![6 => commits().boxed(), 1 => anything().boxed()], 0..10);
    let second = prop::collection::vec(prop_oneof![6 => reveals().boxed(), 1 => anything().boxed()], 0..10);
    let last = prop_oneof![3 => reports().boxed(), 2 => uses().boxed(), 2 => anything().boxed()];
    let third = prop::collection::vec(last, 0..12);
    ((first, second, third).prop_map(|(a, b, c)| [a, b, c]), prop::option::of((any::<usize>(), any::<u8>())))
}

struct Play {
    w: World,
    rules: TopicRules,
    asked: Vec<Question>,
}

/// A commitment, right or wrong in one of five ways.
fn commitment(q: &Question, who: u8, p: u32, flaw: u8) -> Intake {
    let (mut c, _) = predict(q, who, p);
    match flaw {
        1 => c.signature[7] ^= 4,
        2 => c.miner = miner_id(who % 5 + 1),
        3 => c.hash = predict(q, who % 5 + 1, p).0.hash,
        4 => c.question.0[0] ^= 1,
        5 => c.miner.0 = [0; 32],
        _ => {}
    }
    Intake::Commitment(c)
}

/// A reveal, right or wrong in one of five ways.
fn reveal(q: &Question, who: u8, p: u32, flaw: u8) -> Intake {
    let (_, mut r) = predict(q, who, p);
    match flaw {
        1 => r.signature[7] ^= 4,
        2 => r.miner = miner_id(who % 5 + 1),
        3 => r.nonce[0] ^= 1,
        4 => r.forecast = schemas::Forecast::Quantiles(vec![i64::MIN, i64::MAX]),
        5 => r.question.0[0] ^= 1,
        _ => {}
    }
    Intake::Reveal(r)
}

impl Play {
    fn intake(&mut self, act: &Act, start: i64) -> Option<Intake> {
        let recent = |back: usize| self.asked.iter().rev().nth(back).cloned();
        Some(match act {
            Act::Ask { reference } => {
                let q = question_of(&self.rules, start, *reference);
                self.asked.push(q.clone());
                Intake::Question(q)
            }
            Act::Commit { who, p, back, flaw } => commitment(&recent(*back)?, *who, *p, *flaw),
            Act::Reveal { who, p, back, flaw } => reveal(&recent(*back)?, *who, *p, *flaw),
            Act::Report { who, how, back } => {
                let q = recent(*back)?;
                let how = [UP, DOWN, Determination::Void(VoidReason::NoStrike), UP][usize::from(*how)];
                Intake::Report(report(*who, &q.market, q.resolves_at, how))
            }
            Act::Join { who, stake } => join(*who, *stake),
            Act::Money { amount, payment } => top_up(*amount, &format!("p-{payment}")),
            Act::Subscribe { id, max_price } => {
                let mut s = subscription(&format!("s{id}"));
                s.max_price = Micros(*max_price);
                Intake::Account(AccountCommand::Subscribe(s))
            }
            Act::Cancel { id } => {
                Intake::Account(AccountCommand::Cancel { subscription: subscription(&format!("s{id}")).id })
            }
            Act::Use { id, back } => {
                let signal = self.w.signals().into_iter().rev().nth(*back)?;
                Intake::Usage(usage(&format!("s{id}"), &signal))
            }
            Act::Vote { who, honest } => {
                let epoch = self.w.v.epoch().saturating_sub(1);
                let root = self.w.v.epoch_root(epoch).filter(|_| *honest).unwrap_or([5; 32]);
                Intake::Vote(vote(*who, epoch, root))
            }
            Act::Rules { weight, fee, price, most } => {
                let next = TopicRules {
                    version: self.rules.version + 1,
                    weight: Q32(*weight),
                    missing_fee: Ppm(*fee),
                    price: Micros(*price),
                    questions_per_epoch: *most,
                    ..self.rules.clone()
                };
                if *weight > 0 && *fee <= 1_000_000 && *price >= 0 && *most > 0 && *weight <= 1_000 << 32 {
                    self.rules = next.clone();
                }
                Intake::Topic(next)
            }
            Act::Wait { nanos } => {
                let to = self.w.at.plus(*nanos);
                self.w.at = to;
                Intake::TimeAdvanced { to }
            }
        })
    }

    fn act(&mut self, act: &Act, start: i64, garble: Option<(usize, u8)>) {
        let Some(intake) = self.intake(act, start) else { return };
        if let Some((at, byte)) = garble {
            let mut bytes = schemas::encode(&intake);
            let at = at % bytes.len();
            bytes[at] ^= byte;
            // A garbled clock would end the world; everything else may be garbled.
            match schemas::decode::<Intake>(&bytes) {
                Ok(Intake::TimeAdvanced { .. }) | Err(_) => {}
                Ok(garbled) => {
                    self.w.put(garbled);
                }
            }
        }
        self.w.put(intake);
        let balances = self.w.v.balances();
        let outside = [LedgerAccount::Issuance, LedgerAccount::Clearing];
        assert!(balances.iter().all(|((_, account), b)| b.0 >= 0 || outside.contains(account)));
        assert!(self.w.v.wake_at().is_none_or(|at| at > self.w.v.now()));
    }
}

impl Play {
    /// Two validators report and vote on what is left, the third market onwards only; the rest is void after a day.
    fn end(&mut self) {
        let asked = self.asked.clone();
        for q in asked.iter().skip(2) {
            for who in [0, 2] {
                self.act(&Act::Report { who, how: 0, back: 0 }, 0, None);
                self.w.put(Intake::Report(report(who, &q.market, q.resolves_at, DOWN)));
            }
        }
        for hours in [1, 25, 26] {
            self.w.at = self.w.at.plus(hours * 3_600_000_000_000);
            self.w.tick();
            for who in 0..3 {
                self.act(&Act::Vote { who, honest: true }, 0, None);
            }
        }
        if self.w.v.rules().is_some() {
            assert_eq!(self.w.v.open_questions().count(), 0);
            assert!(self.w.verdicts.iter().any(|v| matches!(v, Verdict::EpochClosed(_))));
        }
    }
}

/// What must hold at the end of every history.
fn audit(w: &World) {
    let (mut units, mut txns, mut settled, mut seq, mut finals) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), 0, BTreeSet::new());
    let mut prev = [0; 32];
    for verdict in &w.verdicts {
        match verdict {
            Verdict::Charged(c) if c.charged.0 > 0 => assert!(units.insert(c.unit), "charged twice"),
            Verdict::Posted(txn) => {
                assert!(txns.insert(txn.id), "posted twice");
                assert_eq!(txn.prev, prev);
                prev = txn.hash();
            }
            Verdict::Scored(s) => assert!(settled.insert((s.question, s.miner)), "scored twice"),
            Verdict::Signal(s) => {
                seq += 1;
                assert_eq!(s.topic_seq, seq);
                let sum: i64 = s.contributors.iter().map(|c| c.weight.0).sum();
                assert_eq!(sum + s.reference_weight.0, Q32::ONE.0);
                assert!(s.p.is_valid() && s.dispersion.is_valid());
            }
            Verdict::EpochFinal { epoch, .. } => assert!(finals.insert(*epoch), "final twice"),
            _ => {}
        }
    }
    let stakes: i64 = w.v.miners().map(|m| w.v.miner_stake(&m.miner).0).sum();
    let of = |account| w.v.ledger().balance(&account, Asset::Stake).0;
    let all = stakes + of(LedgerAccount::Burned) + of(LedgerAccount::EmissionPool);
    assert_eq!(all, -of(LedgerAccount::Issuance));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_history_keeps_the_books(
        chapters in prop::collection::vec(chapter(), 1..28),
        late_start in prop::bool::weighted(0.1),
    ) {
        let w = if late_start { World::empty() } else { World::new(4) };
        let mut play = Play { w, rules: topic(), asked: Vec::new() };
        for intake in [open(), top_up(4_000, "p-0"), Intake::Account(AccountCommand::Subscribe(subscription("s0")))] {
            play.w.put(intake);
        }
        for (k, (phases, garble)) in chapters.iter().enumerate() {
            if k == 1 && late_start {
                play.w.put(Intake::Genesis(network()));
                play.w.put(Intake::Topic(topic()));
                play.w.put(open());
            }
            let start = (play.w.at.secs() - T0).div_euclid(300) * 300 + 300;
            play.w.go(start + 60);
            play.act(&Act::Ask { reference: 500_000 }, start, None);
            for (phase, at) in phases.iter().zip([start + 60, start + 62, start + 300]) {
                play.w.at = play.w.at.max(schemas::Timestamp::from_secs(T0 + at));
                for (n, act) in phase.iter().enumerate() {
                    play.act(act, start, garble.filter(|_| n % 3 == 0));
                }
            }
        }
        play.end();
        audit(&play.w);
        // Replay from the log, and from a snapshot in the middle, gives the same state.
        let (mut again, mut out) = (Validator::new(Limits::default()), Vec::new());
        for (n, record) in play.w.log.iter().enumerate() {
            if n == play.w.log.len() / 2 {
                again = Validator::load(&again.save()).unwrap();
            }
            again.apply(record, &mut out);
        }
        prop_assert_eq!(again.digest(), play.w.v.digest());
        prop_assert_eq!(out, play.w.verdicts);
    }
}
