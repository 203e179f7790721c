//! A small world: keys, rules, one validator machine and the log that drove it; it decides nothing.

use ed25519_dalek::{Signer, SigningKey};
use schemas::prediction::commit_hash;
use schemas::{
    AccountCommand, AccountId, BundleId, Commitment, Determination, EpochVote, Forecast, IndexPrice, Intake,
    Machine, MarketId, Micros, MinerId, MinerJoined, NetworkRules, Ppm, Q32, Question, Record, RejectCode,
    ResolutionReport, Reveal, ScoringRule, Settlement, Signal, Subscription, SubscriptionId, Timestamp,
    TopicId, TopicRules, Usage, ValidatorId, ValidatorSeat, Venue, Verdict,
};
use validator::{Limits, Validator};

/// 2026-06-08 00:00:00 UTC: the start of a market and of an epoch.
pub(crate) const T0: i64 = 1_780_876_800;
pub(crate) const STAKE: i64 = 1_000_000_000;
pub(crate) const UP: Determination = Determination::Determined { up: true, closing: IndexPrice(7) };
pub(crate) const DOWN: Determination = Determination::Determined { up: false, closing: IndexPrice(7) };

pub(crate) fn miner_key(i: u8) -> SigningKey {
    SigningKey::from_bytes(&[i; 32])
}

pub(crate) fn validator_key(i: u8) -> SigningKey {
    SigningKey::from_bytes(&[200 + i; 32])
}

pub(crate) fn miner_id(i: u8) -> MinerId {
    MinerId(miner_key(i).verifying_key().to_bytes())
}

pub(crate) fn validator_id(i: u8) -> ValidatorId {
    ValidatorId(validator_key(i).verifying_key().to_bytes())
}

pub(crate) fn network() -> NetworkRules {
    let seat = |i| ValidatorSeat { id: validator_id(i), name: format!("validator-{i}"), stake: Micros(100) };
    NetworkRules {
        network: "test".into(),
        epoch_ns: 3_600_000_000_000,
        max_loss: Ppm(50_000),
        emission_per_epoch: Micros(10 * STAKE),
        validators: (0..3).map(seat).collect(),
        revenue_split: [Ppm(100_000), Ppm(50_000), Ppm(100_000), Ppm(750_000)],
    }
}

pub(crate) fn topic_id() -> TopicId {
    TopicId::new("btc-usd.up-5m.60s").unwrap()
}

pub(crate) fn topic() -> TopicRules {
    TopicRules {
        id: topic_id(),
        version: 1,
        symbol: "btc/usd".into(),
        interval_s: 300,
        horizon_s: 60,
        commit_window_ns: 2_000_000_000,
        reveal_window_ns: 2_000_000_000,
        max_input_age_ns: 10_000_000_000,
        scoring: ScoringRule::Brier,
        weight: Q32::ONE,
        missing_fee: Ppm(2_000),
        price: Micros(1_000),
        questions_per_epoch: 12,
    }
}

pub(crate) fn market(native: &str) -> MarketId {
    MarketId { venue: Venue::Polymarket, native: native.into() }
}

/// The question on the market that starts `start` seconds after [`T0`].
pub(crate) fn question_of(rules: &TopicRules, start: i64, reference: u32) -> Question {
    let secs = |s: i64| Timestamp::from_secs(T0 + start + s);
    let opens_at = secs(i64::from(rules.horizon_s));
    let market = market(&format!("m{start}"));
    let commit_closes_at = opens_at.plus(rules.commit_window_ns);
    Question {
        id: Question::derive_id(&rules.id, rules.version, &market, opens_at),
        topic: rules.id.clone(),
        rules_version: rules.version,
        rules_hash: rules.hash(),
        market,
        symbol: rules.symbol.clone(),
        strike: IndexPrice(1),
        market_starts_at: secs(0),
        opens_at,
        commit_closes_at,
        reveal_closes_at: commit_closes_at.plus(rules.reveal_window_ns),
        resolves_at: secs(i64::from(rules.interval_s)),
        reference: Ppm(reference),
        reference_source: "closed-form/1".into(),
        input_watermark: opens_at.plus(-1_000_000_000),
        market_mid: Some(Ppm(510_000)),
    }
}

pub(crate) fn question(start: i64) -> Question {
    question_of(&topic(), start, 500_000)
}

/// A valid commitment and its reveal.
pub(crate) fn prediction(q: &Question, key: &SigningKey, forecast: Forecast) -> (Commitment, Reveal) {
    let miner = MinerId(key.verifying_key().to_bytes());
    let (bundle, nonce) = (BundleId([3; 32]), [miner.0[0]; 32]);
    let hash = commit_hash(&network().network_hash(), &q.id, &miner, &bundle, &nonce, &forecast);
    let signature = key.sign(&Commitment::signing_bytes(&q.id, &miner, &hash)).to_bytes();
    let commitment = Commitment { miner, question: q.id, hash, signature };
    let signature = key.sign(&Reveal::signing_bytes(&hash)).to_bytes();
    (commitment, Reveal { miner, question: q.id, bundle, nonce, forecast, signature })
}

/// A commitment's signature over any hash.
pub(crate) fn sign_commitment(i: u8, q: &Question, hash: &schemas::CommitHash) -> [u8; 64] {
    miner_key(i).sign(&Commitment::signing_bytes(&q.id, &miner_id(i), hash)).to_bytes()
}

pub(crate) fn predict(q: &Question, i: u8, p: u32) -> (Commitment, Reveal) {
    prediction(q, &miner_key(i), Forecast::Probability(Ppm(p)))
}

pub(crate) fn report(
    i: u8,
    market: &MarketId,
    closes_at: Timestamp,
    determination: Determination,
) -> ResolutionReport {
    let evidence = ResolutionReport::evidence(Some(IndexPrice(1)), Some(IndexPrice(7)), closes_at);
    let message = ResolutionReport::signing_bytes(market, closes_at, &determination, &evidence);
    let signature = validator_key(i).sign(&message).to_bytes();
    ResolutionReport {
        validator: validator_id(i),
        market: market.clone(),
        closes_at,
        determination,
        evidence,
        signature,
    }
}

pub(crate) fn vote(i: u8, epoch: u64, root: [u8; 32]) -> EpochVote {
    let signature = validator_key(i).sign(&EpochVote::signing_bytes(epoch, &root)).to_bytes();
    EpochVote { validator: validator_id(i), epoch, root, signature }
}

pub(crate) fn join(i: u8, stake: i64) -> Intake {
    Intake::Miner(MinerJoined {
        miner: miner_id(i),
        name: format!("miner-{i}"),
        kind: "model".into(),
        stake: Micros(stake),
        host: None,
        signature: None,
        account: None,
    })
}

pub(crate) fn account() -> AccountId {
    AccountId::new("alice").unwrap()
}

pub(crate) fn open() -> Intake {
    Intake::Account(AccountCommand::Open { account: account() })
}

pub(crate) fn top_up(amount: i64, payment: &str) -> Intake {
    let payment = payment.into();
    Intake::Account(AccountCommand::TopUp { account: account(), amount: Micros(amount), payment })
}

pub(crate) fn subscription(id: &str) -> Subscription {
    Subscription {
        id: SubscriptionId::new(id).unwrap(),
        account: account(),
        topics: vec![topic_id()],
        from: Timestamp::from_secs(T0),
        until: Timestamp::from_secs(T0 + 86_400 * 30),
        max_price: Micros(5_000),
    }
}

pub(crate) fn usage(id: &str, signal: &Signal) -> Usage {
    Usage {
        subscription: SubscriptionId::new(id).unwrap(),
        topic: signal.topic.clone(),
        slot: signal.slot,
        signal: signal.id,
    }
}

/// The code of the only refusal among these verdicts.
pub(crate) fn refusal(verdicts: &[Verdict]) -> Option<RejectCode> {
    verdicts.iter().find_map(|v| match v {
        Verdict::Rejected { code, .. } | Verdict::ChargeRefused { code, .. } => Some(*code),
        _ => None,
    })
}

/// One machine and everything it read and said.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) v: Validator,
    pub(crate) at: Timestamp,
    pub(crate) log: Vec<Record<Intake>>,
    pub(crate) verdicts: Vec<Verdict>,
}

impl World {
    pub(crate) fn empty() -> Self {
        let at = Timestamp::from_secs(T0);
        Self { v: Validator::new(Limits::default()), at, log: Vec::new(), verdicts: Vec::new() }
    }

    /// Genesis, one topic and `miners` equal miners, numbered from 1.
    pub(crate) fn new(miners: u8) -> Self {
        let mut world = Self::empty();
        world.put(Intake::Genesis(network()));
        world.put(Intake::Topic(topic()));
        for i in 1..=miners {
            world.put(join(i, STAKE));
        }
        world
    }

    /// The clock, seconds after [`T0`].
    pub(crate) fn go(&mut self, secs: i64) -> &mut Self {
        self.at = Timestamp::from_secs(T0 + secs);
        self
    }

    /// Appends a record now and returns what the validator said.
    pub(crate) fn put(&mut self, body: Intake) -> Vec<Verdict> {
        let record = Record { seq: self.log.len() as u64 + 1, at: self.at, body };
        let mut out = Vec::new();
        self.v.apply(&record, &mut out);
        assert_eq!((self.v.sum(schemas::Asset::Usd), self.v.sum(schemas::Asset::Stake)), (0, 0));
        assert_eq!(self.v.faults(), 0);
        self.log.push(record);
        self.verdicts.extend(out.iter().cloned());
        out
    }

    pub(crate) fn tick(&mut self) -> Vec<Verdict> {
        let to = self.at;
        self.put(Intake::TimeAdvanced { to })
    }

    /// Opens a question, commits and reveals for these miners, in one go; returns what was said at the reveals.
    pub(crate) fn ask(&mut self, q: &Question, forecasts: &[(u8, u32)]) -> Vec<Verdict> {
        self.at = q.opens_at;
        assert_eq!(refusal(&self.put(Intake::Question(q.clone()))), None);
        let made: Vec<_> = forecasts.iter().map(|(i, p)| predict(q, *i, *p)).collect();
        for (commitment, _) in &made {
            assert_eq!(refusal(&self.put(Intake::Commitment(commitment.clone()))), None);
        }
        self.at = q.commit_closes_at;
        let mut out = Vec::new();
        for (_, reveal) in made {
            out.extend(self.put(Intake::Reveal(reveal)));
        }
        assert_eq!(refusal(&out), None);
        self.at = q.reveal_closes_at;
        out.extend(self.tick());
        out
    }

    /// Two of three validators say how the question's market ended.
    pub(crate) fn resolve(&mut self, q: &Question, determination: Determination) -> Vec<Verdict> {
        self.at = q.resolves_at.plus(1);
        let first = report(0, &q.market, q.resolves_at, determination);
        let mut out = self.put(Intake::Report(first));
        let second = report(1, &q.market, q.resolves_at, determination);
        out.extend(self.put(Intake::Report(second)));
        out
    }

    pub(crate) fn stake(&self, i: u8) -> i64 {
        self.v.miner_stake(&miner_id(i)).0
    }

    pub(crate) fn signals(&self) -> Vec<Signal> {
        let signal = |v: &Verdict| if let Verdict::Signal(s) = v { Some(s.clone()) } else { None };
        self.verdicts.iter().filter_map(signal).collect()
    }

    pub(crate) fn settlements(&self) -> Vec<Settlement> {
        let settled = |v: &Verdict| if let Verdict::Settled(s) = v { Some(s.clone()) } else { None };
        self.verdicts.iter().filter_map(settled).collect()
    }
}
