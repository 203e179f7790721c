//! The split of an epoch's revenue between platform, data, validators and miners; exact to the last unit, never rounded away.

use std::collections::BTreeMap;

use schemas::{
    AccountId, Asset, HostFee, LedgerAccount, Micros, MinerId, NetworkRules, Posting, ValidatorId,
};

use crate::ledger::leg;
use crate::share::apportion;

/// The legs of the split: by the network's parts, validators by stake, miners by their weight in what was sold. If
/// nothing was sold the miners' part is the platform's. Largest remainder, ties by key; zero legs are left out.
///
/// A hosted miner's fee comes out of its own part, rounded down, and is owed to its host: nobody else gets more or less.
pub fn split<'a>(
    revenue: Micros,
    rules: &NetworkRules,
    used: &BTreeMap<MinerId, u64>,
    host: impl Fn(&MinerId) -> Option<&'a HostFee>,
) -> Vec<Posting> {
    let total = revenue.0.max(0) as u64;
    let parts = apportion(total, &rules.revenue_split.map(|part| u64::from(part.0)));
    let stakes: BTreeMap<ValidatorId, u64> =
        rules.validators.iter().map(|v| (v.id, v.stake.0.max(0) as u64)).collect();
    let to_validators = apportion(parts[2], &stakes.values().copied().collect::<Vec<_>>());
    let to_miners = apportion(parts[3], &used.values().copied().collect::<Vec<_>>());
    let unused = parts[3] - to_miners.iter().sum::<u64>();
    let usd = |account, amount: u64| leg(account, Asset::Usd, amount as i64);
    let mut legs = vec![
        leg(LedgerAccount::Revenue, Asset::Usd, -revenue.0),
        usd(LedgerAccount::Platform, parts[0] + unused),
        usd(LedgerAccount::DataFees, parts[1]),
    ];
    let validators = stakes.keys().zip(to_validators);
    legs.extend(validators.map(|(id, amount)| usd(LedgerAccount::ValidatorPayable(*id), amount)));
    let mut fees: BTreeMap<&AccountId, u64> = BTreeMap::new();
    for (id, amount) in used.keys().zip(to_miners) {
        let (fee, account) = host(id).map_or((0, None), |host| (host.of(amount), Some(&host.account)));
        legs.push(usd(LedgerAccount::MinerPayable(*id), amount - fee));
        if let Some(account) = account {
            *fees.entry(account).or_default() += fee;
        }
    }
    legs.extend(fees.into_iter().map(|(account, fee)| usd(LedgerAccount::HostPayable(account.clone()), fee)));
    legs.retain(|leg| leg.amount.0 != 0);
    legs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schemas::{Ppm, ValidatorSeat};

    fn rules(stakes: &[i64]) -> NetworkRules {
        let seat = |(i, stake): (usize, &i64)| ValidatorSeat {
            id: ValidatorId([i as u8; 32]),
            name: format!("v{i}"),
            stake: Micros(*stake),
        };
        NetworkRules {
            network: "test".into(),
            epoch_ns: 1,
            max_loss: Ppm(50_000),
            emission_per_epoch: Micros(0),
            validators: stakes.iter().enumerate().map(seat).collect(),
            revenue_split: [Ppm(100_000), Ppm(50_000), Ppm(100_000), Ppm(750_000)],
        }
    }

    #[test]
    fn ten_five_ten_seventyfive() {
        let used = BTreeMap::from([(MinerId([1; 32]), 3), (MinerId([2; 32]), 1)]);
        let legs = split(Micros(1_000), &rules(&[2, 1, 1]), &used, |_| None);
        let amounts: Vec<i64> = legs.iter().map(|l| l.amount.0).collect();
        assert_eq!(amounts, [-1_000, 100, 50, 50, 25, 25, 563, 187]);
        let unsold = split(Micros(1_000), &rules(&[1]), &BTreeMap::new(), |_| None);
        let amounts: Vec<i64> = unsold.iter().map(|l| l.amount.0).collect();
        assert_eq!(amounts, [-1_000, 850, 50, 100]);
    }

    fn fee(part: u32) -> HostFee {
        HostFee { part: Ppm(part), account: AccountId("operator".into()) }
    }

    #[test]
    fn the_hosts_fee_comes_out_of_the_hosted_miners_part_alone() {
        let used = BTreeMap::from([(MinerId([1; 32]), 3), (MinerId([2; 32]), 1), (MinerId([3; 32]), 1)]);
        let check = |part, want: &[i64]| {
            let host = fee(part);
            let hosted = |id: &MinerId| (id.0[0] < 3).then_some(&host);
            let legs = split(Micros(1_000), &rules(&[1]), &used, hosted);
            assert_eq!(legs[4..].iter().map(|l| l.amount.0).collect::<Vec<_>>(), want, "{part}");
        };
        // 750 for the miners: 450, 150 and 150; the third runs itself.
        check(0, &[450, 150, 150]);
        check(200_000, &[360, 120, 150, 120]);
        // 1/3 ppm-wise: 149.99 and 49.99 are rounded down, each miner's on its own.
        check(333_333, &[301, 101, 150, 198]);
        check(1, &[450, 150, 150]);
        check(1_000_000, &[150, 600]);
    }

    proptest! {
        #[test]
        fn sums_to_zero(
            revenue in 1_i64..i64::MAX,
            stakes in prop::collection::vec(1_i64..1_000_000, 1..5),
            used in prop::collection::btree_map(any::<u8>(), any::<u64>(), 0..6),
            parts in prop::collection::btree_map(any::<u8>(), 0_u32..=1_000_000, 0..6),
        ) {
            let used = used.into_iter().map(|(id, w)| (MinerId([id; 32]), w)).collect();
            let fees: BTreeMap<u8, HostFee> = parts.into_iter().map(|(id, part)| (id, fee(part))).collect();
            let plain = split(Micros(revenue), &rules(&stakes), &used, |_| None);
            let legs = split(Micros(revenue), &rules(&stakes), &used, |id| fees.get(&id.0[0]));
            prop_assert_eq!(legs.iter().map(|l| i128::from(l.amount.0)).sum::<i128>(), 0);
            prop_assert!(legs[1..].iter().all(|l| l.amount.0 > 0));
            // Who is no hosted miner gets what it would get without hosts.
            let hosted = |l: &Posting| match &l.account {
                LedgerAccount::MinerPayable(id) => fees.contains_key(&id.0[0]),
                other => matches!(other, LedgerAccount::HostPayable(_)),
            };
            let others = |legs: &[Posting]| legs.iter().filter(|l| !hosted(l)).cloned().collect::<Vec<_>>();
            prop_assert_eq!(others(&plain), others(&legs));
        }
    }
}
