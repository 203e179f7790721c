//! One example of every record body; never random, so that golden files stay put.

use schemas::{ledger::*, verdict::What, *};

pub(crate) fn question() -> Question {
    let market = market_id();
    let topic = TopicId::new("btc-usd.up-5m.60s").unwrap();
    let opens_at = Timestamp::from_secs(1_780_876_860);
    Question {
        id: Question::derive_id(&topic, 1, &market, opens_at),
        topic,
        rules_version: 1,
        rules_hash: rules().hash(),
        market,
        symbol: "btc/usd".into(),
        strike: IndexPrice(63_304_200_301_195_075_000_000),
        market_starts_at: Timestamp::from_secs(1_780_876_800),
        opens_at,
        commit_closes_at: opens_at.plus(2_000_000_000),
        reveal_closes_at: opens_at.plus(4_000_000_000),
        resolves_at: Timestamp::from_secs(1_780_877_100),
        reference: Ppm(512_345),
        reference_source: "closed-form/1".into(),
        input_watermark: Timestamp::from_secs(1_780_876_859),
        market_mid: Some(Ppm(505_000)),
    }
}

pub(crate) fn market_id() -> MarketId {
    MarketId { venue: Venue::Polymarket, native: format!("0x{}", "ab".repeat(32)) }
}

pub(crate) fn rules() -> TopicRules {
    TopicRules {
        id: TopicId::new("btc-usd.up-5m.60s").unwrap(),
        version: 1,
        symbol: "btc/usd".into(),
        interval_s: 300,
        horizon_s: 60,
        commit_window_ns: 2_000_000_000,
        reveal_window_ns: 2_000_000_000,
        max_input_age_ns: 60_000_000_000,
        scoring: ScoringRule::Brier,
        weight: Q32::ONE,
        missing_fee: Ppm(2_000),
        price: Micros(9_000),
        questions_per_epoch: 12,
    }
}

fn miner() -> MinerId {
    MinerId([7; 32])
}

pub(crate) fn reveal() -> Reveal {
    Reveal {
        miner: miner(),
        question: question().id,
        bundle: BundleId([3; 32]),
        nonce: [9; 32],
        forecast: Forecast::Probability(Ppm(561_204)),
        signature: [5; 64],
    }
}

fn subscription() -> Subscription {
    Subscription {
        id: SubscriptionId::new("sub-1").unwrap(),
        account: AccountId::new("acme").unwrap(),
        topics: vec![rules().id],
        from: Timestamp::ZERO,
        until: Timestamp::from_secs(2_000_000_000),
        max_price: Micros(10_000),
    }
}

fn txn() -> Txn {
    let leg = |account, amount| Posting { account, asset: Asset::Usd, amount: Micros(amount) };
    Txn {
        id: id::TxnId([1; 32]),
        kind: TxnKind::Charge,
        postings: vec![
            leg(LedgerAccount::Prepaid(AccountId::new("acme").unwrap()), -9_000),
            leg(LedgerAccount::Revenue, 9_000),
        ],
        prev: [0; 32],
    }
}

pub(crate) fn raws() -> Vec<(&'static str, Raw)> {
    vec![
        ("connected", Raw::Connected { conn: 1 }),
        ("frame", Raw::Frame { conn: 1, bytes: b"PONG".to_vec() }),
        ("closed", Raw::Closed { conn: 1, reason: "reset".into() }),
        ("rest", Raw::Rest(RestReply { request: 4, status: 200, bytes: b"[]".to_vec() })),
        ("time", Raw::TimeAdvanced { to: Timestamp::from_secs(5) }),
    ]
}

pub(crate) fn market_events() -> Vec<(&'static str, MarketEvent)> {
    vec![
        (
            "listed",
            MarketEvent::Listed(Market {
                id: market_id(),
                slug: "btc-updown-5m-1780876800".into(),
                title: "Bitcoin Up or Down".into(),
                symbol: "btc/usd".into(),
                starts_at: Timestamp::from_secs(1_780_876_800),
                closes_at: Timestamp::from_secs(1_780_877_100),
                strike: Some(IndexPrice(63_304_200_301_195_075_000_000)),
                token_ids: vec!["1".into(), "2".into()],
                fee_rate: Some(Ppm(70_000)),
            }),
        ),
        (
            "tick",
            MarketEvent::Tick(IndexTick {
                symbol: "btc/usd".into(),
                feed_at: Timestamp::from_secs(1_780_876_800),
                value: IndexPrice(63_304_200_301_195_075_000_000),
                server_at: Some(Timestamp::from_millis(1_780_876_800_939)),
            }),
        ),
        ("quote", MarketEvent::Quote(Quote { market: market_id(), bid: Some(Price(500_000)), ask: None })),
        ("resolved", MarketEvent::Resolved(VenueResolution { market: market_id(), up_paid: Ppm(1_000_000) })),
        (
            "feed",
            MarketEvent::Feed(FeedState::Gap { from: Timestamp::from_secs(1), to: Timestamp::from_secs(9) }),
        ),
    ]
}

pub(crate) fn intakes() -> Vec<(&'static str, Intake)> {
    let mut all = registry_intakes();
    all.extend(running_intakes());
    all
}

fn registry_intakes() -> Vec<(&'static str, Intake)> {
    vec![
        (
            "genesis",
            Intake::Genesis(NetworkRules {
                network: "golden".into(),
                epoch_ns: 3_600_000_000_000,
                max_loss: Ppm(50_000),
                emission_per_epoch: Micros(1_000_000_000),
                validators: vec![ValidatorSeat {
                    id: ValidatorId([2; 32]),
                    name: "v0".into(),
                    stake: Micros(1_000),
                }],
                revenue_split: [Ppm(100_000), Ppm(50_000), Ppm(100_000), Ppm(750_000)],
            }),
        ),
        ("topic", Intake::Topic(rules())),
        (
            "miner",
            Intake::Miner(MinerJoined {
                miner: miner(),
                name: "alice".into(),
                kind: "model".into(),
                stake: Micros(1_000_000_000),
                host: None,
                signature: None,
                account: None,
            }),
        ),
        (
            "miner_hosted",
            Intake::Miner(MinerJoined {
                miner: miner(),
                name: "bob".into(),
                kind: "model".into(),
                stake: Micros(1_000_000_000),
                host: Some(HostFee { part: Ppm(200_000), account: AccountId::new("operator").unwrap() }),
                signature: None,
                account: None,
            }),
        ),
        (
            "miner_registered",
            Intake::Miner(MinerJoined {
                miner: miner(),
                name: "alice".into(),
                kind: "model".into(),
                stake: Micros(1_000_000_000),
                host: None,
                signature: Some([9; 64]),
                account: AccountId::new("acme"),
            }),
        ),
        ("question", Intake::Question(question())),
    ]
}

fn running_intakes() -> Vec<(&'static str, Intake)> {
    let determination =
        Determination::Determined { up: true, closing: IndexPrice(63_304_200_301_195_075_000_000) };
    vec![
        (
            "commitment",
            Intake::Commitment(Commitment {
                miner: miner(),
                question: question().id,
                hash: reveal().commit_hash(&[0; 32]),
                signature: [4; 64],
            }),
        ),
        ("reveal", Intake::Reveal(reveal())),
        (
            "report",
            Intake::Report(ResolutionReport {
                validator: ValidatorId([2; 32]),
                market: market_id(),
                closes_at: Timestamp::from_secs(1_780_877_100),
                determination,
                evidence: ResolutionReport::evidence(None, None, Timestamp::from_secs(1_780_877_100)),
                signature: [6; 64],
            }),
        ),
        ("account", Intake::Account(AccountCommand::Subscribe(subscription()))),
        (
            "usage",
            Intake::Usage(Usage {
                subscription: subscription().id,
                topic: rules().id,
                slot: question().market_starts_at,
                signal: Signal::derive_id(&question().id),
            }),
        ),
        (
            "vote",
            Intake::Vote(EpochVote {
                validator: ValidatorId([2; 32]),
                epoch: 7,
                root: [8; 32],
                signature: [1; 64],
            }),
        ),
        ("time", Intake::TimeAdvanced { to: Timestamp::from_secs(5) }),
    ]
}

fn signal() -> Signal {
    let q = question();
    Signal {
        id: Signal::derive_id(&q.id),
        question: q.id,
        topic: q.topic.clone(),
        topic_seq: 1,
        slot: q.market_starts_at,
        market: q.market,
        issued_at: q.commit_closes_at,
        expires_at: q.resolves_at,
        input_watermark: q.input_watermark,
        p: Ppm(561_204),
        reference: q.reference,
        dispersion: Ppm(18_210),
        market_view: Some(MarketView { mid: Ppm(505_000), as_of: q.opens_at }),
        contributors: vec![Contributor { miner: miner(), weight: Q32(1 << 31), p: Ppm(561_204) }],
        reference_weight: Q32(1 << 31),
    }
}

pub(crate) fn verdicts() -> Vec<(&'static str, Verdict)> {
    let mut all = round_verdicts();
    all.extend(outcome_verdicts());
    all.extend(money_verdicts());
    all
}

fn round_verdicts() -> Vec<(&'static str, Verdict)> {
    let q = question();
    vec![
        ("topic", Verdict::TopicListed(rules())),
        ("opened", Verdict::QuestionOpened(q.clone())),
        (
            "accepted",
            Verdict::Accepted { what: What::Commitment, miner: Some(miner()), question: Some(q.id) },
        ),
        (
            "rejected",
            Verdict::Rejected {
                what: What::Reveal,
                miner: None,
                question: Some(q.id),
                code: RejectCode::HashMismatch,
            },
        ),
        ("signal", Verdict::Signal(signal())),
        (
            "no_signal",
            Verdict::NoSignal {
                topic: q.topic.clone(),
                question: q.id,
                slot: q.market_starts_at,
                reason: NoSignalReason::NoForecasts,
            },
        ),
    ]
}

fn outcome_verdicts() -> Vec<(&'static str, Verdict)> {
    let q = question();
    vec![
        (
            "resolved",
            Verdict::Resolved {
                market: market_id(),
                closes_at: q.resolves_at,
                determination: Determination::Void(VoidReason::NoClosingTick),
            },
        ),
        (
            "scored",
            Verdict::Scored(Score {
                question: q.id,
                topic: q.topic.clone(),
                miner: miner(),
                status: ScoreStatus::Scored,
                p: Some(Ppm(561_204)),
                score: Q32::ratio(3, 4),
                reference: Q32::ratio(1, 2),
                up: Some(true),
            }),
        ),
        (
            "settled",
            Verdict::Settled(Settlement {
                question: q.id,
                miner: miner(),
                at_risk: Micros(1_000),
                delta: Micros(-3),
                stake_after: Micros(997),
            }),
        ),
    ]
}

fn money_verdicts() -> Vec<(&'static str, Verdict)> {
    let q = question();
    let account = AccountId::new("acme").unwrap();
    vec![
        ("posted", Verdict::Posted(txn())),
        ("account", Verdict::Account(AccountView { account: account.clone(), prepaid: Micros(5) })),
        ("subscribed", Verdict::Subscribed(subscription())),
        (
            "charged",
            Verdict::Charged(ChargeOutcome {
                unit: unit_id(&subscription().id, &q.topic, q.market_starts_at),
                subscription: subscription().id,
                topic: q.topic.clone(),
                slot: q.market_starts_at,
                account,
                charged: Micros(9_000),
                balance: Micros(1),
            }),
        ),
        (
            "refused",
            Verdict::ChargeRefused {
                unit: UnitId([0; 32]),
                subscription: subscription().id,
                code: RejectCode::CreditsExhausted,
            },
        ),
        (
            "epoch_closed",
            Verdict::EpochClosed(EpochSummary {
                epoch: 7,
                root: [8; 32],
                questions: 36,
                paid: Micros(1),
                burned: Micros(2),
                pool_left: Micros(3),
                revenue: Micros(4),
            }),
        ),
        ("epoch_final", Verdict::EpochFinal { epoch: 7, root: [8; 32] }),
    ]
}

pub(crate) fn inference() -> InferenceResult {
    InferenceResult {
        miner: miner(),
        question: question().id,
        bundle: BundleId([3; 32]),
        answer: schemas::inference::Answer::Probability(Ppm(561_204)),
    }
}
