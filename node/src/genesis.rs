//! The first records of a network: its rules, topics, miners and customers. Plain data, never a key or a file.

use schemas::time::NANOS_PER_SEC;
use schemas::{
    AccountCommand, AccountId, Intake, Micros, MinerJoined, NetworkRules, Ppm, Q32, ScoringRule,
    Subscription, SubscriptionId, Timestamp, TopicId, TopicRules, ValidatorId, ValidatorSeat,
};

/// When the questions of the 5-minute markets open, seconds after the market's start.
pub const HORIZONS_S: [u32; 3] = [60, 150, 240];
/// What every topic of the 5-minute BTC markets starts with.
pub const TOPIC_PREFIX: &str = "btc-usd.up-5m";
/// Stake a hosted miner brings, micro-units.
pub const MINER_STAKE: Micros = Micros(1_000_000_000);
/// Price of a signal, micro-USD: below the $0.00995 of the nearest seller.
pub const SIGNAL_PRICE: Micros = Micros(9_000);

/// A question opens, and a hosted miner answers, only if the newest index value is younger than this, ns.
pub const MAX_INPUT_AGE_NS: i64 = 30 * NANOS_PER_SEC;

/// The topic of a horizon.
pub fn topic_id(horizon_s: u32) -> TopicId {
    TopicId(format!("{TOPIC_PREFIX}.{horizon_s}s"))
}

/// Rules of the network: at most 5 % of a stake is lost in an epoch of `epoch_s` seconds of market time.
pub fn network(name: &str, validators: &[(ValidatorId, String)], epoch_s: u32) -> NetworkRules {
    let seat = |(id, name): &(ValidatorId, String)| ValidatorSeat {
        id: *id,
        name: name.clone(),
        stake: Micros(1_000_000_000),
    };
    NetworkRules {
        network: name.to_owned(),
        epoch_ns: i64::from(epoch_s) * NANOS_PER_SEC,
        max_loss: Ppm(50_000),
        emission_per_epoch: Micros(1_000_000_000),
        validators: validators.iter().map(seat).collect(),
        revenue_split: [Ppm(100_000), Ppm(50_000), Ppm(100_000), Ppm(750_000)],
    }
}

/// Rules of the topic at this horizon.
pub fn topic(symbol: &str, interval_s: u32, horizon_s: u32, epoch_s: u32) -> TopicRules {
    TopicRules {
        id: topic_id(horizon_s),
        version: 1,
        symbol: symbol.to_owned(),
        interval_s,
        horizon_s,
        commit_window_ns: 2 * NANOS_PER_SEC,
        reveal_window_ns: 2 * NANOS_PER_SEC,
        max_input_age_ns: MAX_INPUT_AGE_NS,
        scoring: ScoringRule::Brier,
        weight: Q32::ONE,
        missing_fee: Ppm(2_000),
        price: SIGNAL_PRICE,
        questions_per_epoch: epoch_s.div_ceil(interval_s.max(1)),
    }
}

/// A customer that starts with money and one subscription to all topics.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Account.
    pub account: AccountId,
    /// Subscription.
    pub subscription: SubscriptionId,
    /// Prepaid, micro-USD.
    pub prepaid: Micros,
}

impl Customer {
    fn records(&self, topics: &[TopicId], from: Timestamp) -> Vec<Intake> {
        vec![
            Intake::Account(AccountCommand::Open { account: self.account.clone() }),
            Intake::Account(AccountCommand::TopUp {
                account: self.account.clone(),
                amount: self.prepaid,
                payment: format!("genesis-{}", self.account),
            }),
            Intake::Account(AccountCommand::Subscribe(Subscription {
                id: self.subscription.clone(),
                account: self.account.clone(),
                topics: topics.to_vec(),
                from,
                until: Timestamp::MAX,
                max_price: SIGNAL_PRICE,
            })),
        ]
    }
}

/// All first records, in the order the validator wants them.
pub fn records(
    network: NetworkRules,
    topics: Vec<TopicRules>,
    miners: Vec<MinerJoined>,
    customers: &[Customer],
    from: Timestamp,
) -> Vec<Intake> {
    let ids: Vec<TopicId> = topics.iter().map(|t| t.id.clone()).collect();
    let mut out = vec![Intake::Genesis(network)];
    out.extend(topics.into_iter().map(Intake::Topic));
    out.extend(miners.into_iter().map(Intake::Miner));
    out.extend(customers.iter().flat_map(|c| c.records(&ids, from)));
    out
}
