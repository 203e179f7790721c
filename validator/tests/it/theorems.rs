//! The theorems of the mechanism (incentives, section 4) as properties: truth, splitting, copying, bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::{Asset, LedgerAccount, Micros, MinerId, Ppm, Q32};
use validator::score::{brier, squared_error};
use validator::settle::{bound, delta, missing_fee, rate};

use crate::world::*;

const MILLION: u32 = 1_000_000;

fn probability() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..=MILLION, 1 => Just(0), 1 => Just(MILLION)]
}

/// The mean settlement under a belief, times a million.
fn expected(belief: u32, report: u32, reference: u32, stake: i64, rate: Q32) -> i128 {
    let one = |up| {
        let d = delta(Micros(stake), rate, brier(Ppm(report), up), brier(Ppm(reference), up));
        i128::from(d.0)
    };
    i128::from(belief) * one(true) + i128::from(MILLION - belief) * one(false)
}

proptest! {
    #[test]
    fn t1_truth_is_the_strict_optimum(belief in probability(), report in probability()) {
        let loss = |p| {
            let one = |up| u128::from(squared_error(Ppm(p), up));
            u128::from(belief) * one(true) + u128::from(MILLION - belief) * one(false)
        };
        prop_assert!(report == belief || loss(belief) < loss(report));
    }

    #[test]
    fn t1_and_t4_hold_for_the_money(
        belief in probability(), report in probability(), reference in 1..MILLION,
        stake in 1_i64..1_000_000_000_000_000, rate in 0..=1_i64 << 32,
    ) {
        let truth = expected(belief, belief, reference, stake, Q32(rate));
        // One unit of rounding per outcome, and scores are Q32: a stake of a billion units sees 2^-32 of itself.
        let slack = i128::from(MILLION) * (2 + i128::from(stake >> 31));
        prop_assert!(truth + slack >= expected(belief, report, reference, stake, Q32(rate)));
        prop_assert!(truth + slack >= 0);
    }

    #[test]
    fn t2_splitting_changes_at_most_a_unit(
        parts in prop::collection::vec(1_i64..1_000_000_000_000, 1..64),
        p in probability(), reference in 1..MILLION, up: bool, rate in 0..=1_i64 << 32, phi in 0..=MILLION,
    ) {
        let whole: i64 = parts.iter().sum();
        let (own, theirs) = (brier(Ppm(p), up), brier(Ppm(reference), up));
        let settle = |m: i64| delta(Micros(m), Q32(rate), own, theirs).0;
        let split: i64 = parts.iter().map(|m| settle(*m)).sum();
        prop_assert!(split <= settle(whole) + 1, "splitting gains {split} {}", settle(whole));
        prop_assert!(settle(whole) - split <= parts.len() as i64);
        let fee = |m: i64| missing_fee(Micros(m), Q32(rate), Ppm(phi)).0;
        let fees: i64 = parts.iter().map(|m| fee(*m)).sum();
        prop_assert!((fees - fee(whole)).abs() <= parts.len() as i64);
    }

    #[test]
    fn t3_the_reference_earns_exactly_nothing(
        reference in 1..MILLION, up: bool, stake in 0..i64::MAX, rate in 0..=1_i64 << 32,
    ) {
        let score = brier(Ppm(reference), up);
        prop_assert_eq!(delta(Micros(stake), Q32(rate), score, score), Micros(0));
    }

    #[test]
    fn t5_no_result_leaves_its_bound(
        stake in 0..i64::MAX, rate in 0..=1_i64 << 32, own in 0..=1_i64 << 32, theirs in 0..=1_i64 << 32,
        phi in 0..=MILLION,
    ) {
        let most = bound(Micros(stake), Q32(rate)).0;
        let d = delta(Micros(stake), Q32(rate), Q32(own), Q32(theirs)).0;
        let fee = missing_fee(Micros(stake), Q32(rate), Ppm(phi)).0;
        prop_assert!((-most..=most).contains(&d) && (-most..=0).contains(&fee) && most <= stake);
    }

    #[test]
    fn t5_shares_never_sum_past_rho_or_past_the_budget(
        weights in prop::collection::vec(1_i64..1_i64 << 40, 1..40),
        rho in 0..=MILLION, budget in 0..i64::MAX, stakes in prop::collection::vec(1_i64..1_000_000_000_000_000, 1..20),
    ) {
        let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
        let total: i64 = stakes.iter().sum();
        let rates: Vec<Q32> = weights.iter()
            .map(|w| rate(Q32::ratio(i128::from(*w), sum), Ppm(rho), Micros(budget), Micros(total)))
            .collect();
        for stake in &stakes {
            let lost: i128 = rates.iter().map(|r| i128::from(bound(Micros(*stake), *r).0)).sum();
            prop_assert!(lost * i128::from(MILLION) <= i128::from(rho) * i128::from(*stake));
        }
        let paid: i128 = rates.iter().map(|r| i128::from(bound(Micros(total), *r).0)).sum();
        prop_assert!(paid <= i128::from(budget));
    }
}

/// Plays one epoch of twelve questions; forecasts per question and miner, outcome per question.
fn epoch(stakes: &[(u8, i64)], forecasts: &[Vec<(u8, u32)>], ups: &[bool], references: &[u32]) -> World {
    let mut w = World::new(0);
    for (i, stake) in stakes {
        w.put(join(*i, *stake));
    }
    for (k, said) in forecasts.iter().enumerate() {
        let q = question_of(&topic(), k as i64 * 300, references[k]);
        w.ask(&q, said);
        w.resolve(&q, if ups[k] { UP } else { DOWN });
    }
    w
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_split_miner_earns_and_says_the_same(
        forecasts in prop::collection::vec((probability(), probability(), 1..MILLION, any::<bool>()), 12),
    ) {
        let references: Vec<u32> = forecasts.iter().map(|f| f.2).collect();
        let ups: Vec<bool> = forecasts.iter().map(|f| f.3).collect();
        let whole: Vec<_> = forecasts.iter().map(|f| vec![(1, f.0), (2, f.1)]).collect();
        let split: Vec<_> = forecasts.iter().map(|f| vec![(1, f.0), (2, f.1), (3, f.0), (4, f.0)]).collect();
        let one = epoch(&[(1, 3 * STAKE), (2, STAKE)], &whole, &ups, &references);
        let three = epoch(&[(1, STAKE), (2, STAKE), (3, STAKE / 2), (4, 3 * STAKE / 2)], &split, &ups, &references);
        let parts = three.stake(1) + three.stake(3) + three.stake(4);
        prop_assert!((parts - one.stake(1)).abs() <= 36, "{parts} {}", one.stake(1));
        prop_assert!((three.stake(2) - one.stake(2)).abs() <= 12);
        for (a, b) in one.signals().iter().zip(three.signals()) {
            prop_assert!(a.p.0.abs_diff(b.p.0) <= 1, "{} {}", a.p.0, b.p.0);
        }
    }

    #[test]
    fn a_copycat_of_the_reference_keeps_its_stake_and_nobody_loses_more_than_rho(
        forecasts in prop::collection::vec((probability(), 1..MILLION, any::<bool>()), 12),
    ) {
        let references: Vec<u32> = forecasts.iter().map(|f| f.1).collect();
        let ups: Vec<bool> = forecasts.iter().map(|f| f.2).collect();
        let said: Vec<_> = forecasts.iter().map(|f| vec![(1, f.0), (2, f.1)]).collect();
        let w = epoch(&[(1, STAKE), (2, STAKE), (3, STAKE)], &said, &ups, &references);
        prop_assert_eq!(w.stake(2), STAKE);
        let mut lost: BTreeMap<MinerId, i64> = BTreeMap::new();
        for s in w.settlements() {
            *lost.entry(s.miner).or_default() -= s.delta.0.min(0);
        }
        let most = w.settlements().iter().map(|s| s.at_risk.0).max().unwrap();
        prop_assert!(lost.values().all(|l| i128::from(*l) * 20 <= i128::from(most)));
        prop_assert!(w.v.ledger().balance(&LedgerAccount::EmissionPool, Asset::Stake).0 >= 0);
        // The missing one pays the fee and nothing else: rho / 12 * phi a question.
        prop_assert!((STAKE - w.stake(3) - STAKE / 20 / 500).abs() <= 12);
    }
}
