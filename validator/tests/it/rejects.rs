//! A table of malformed submissions, each with its code; none of them changes what is open or anybody's stake.

use schemas::{
    AccountCommand, AccountId, Forecast, Intake, MarketId, Micros, Ppm, Q32, Question, RejectCode,
    ScoringRule, Subscription, SubscriptionId, Timestamp, TopicId, Verdict,
};
use validator::{Limits, Validator};

use crate::world::*;

/// What the base world looks like when the submission arrives: seconds after [`T0`].
const OPEN: i64 = 61;
const REVEAL: i64 = 62;
const LATE: i64 = 64;
const CLOSED: i64 = 300;

type RulesChange = fn(&mut schemas::NetworkRules);
type Change = fn(&mut Question);
type Case = (&'static str, i64, Intake, RejectCode);

/// Three miners, one customer, one open question on which miner 1 and 2 committed.
fn base() -> World {
    let mut w = World::new(3);
    w.put(open());
    w.put(top_up(10_000, "p-1"));
    w.put(Intake::Account(AccountCommand::Subscribe(subscription("s"))));
    let q = question(0);
    w.at = q.opens_at;
    w.put(Intake::Question(q.clone()));
    for i in [1, 2] {
        assert_eq!(refusal(&w.put(Intake::Commitment(predict(&q, i, 600_000).0))), None);
    }
    w
}

fn check(cases: Vec<Case>) {
    let base = base();
    for (name, at, intake, code) in cases {
        let mut w = base.clone();
        w.go(at).tick();
        let before = (w.v.balances().clone(), w.v.open_questions().count(), w.v.total_stake());
        let said = w.put(intake);
        assert_eq!(refusal(&said), Some(code), "{name}: {said:?}");
        assert_eq!(said.len(), 1, "{name}");
        assert_eq!(
            before,
            (w.v.balances().clone(), w.v.open_questions().count(), w.v.total_stake()),
            "{name}"
        );
    }
}

#[test]
fn predictions() {
    let q = question(0);
    let (good, reveal) = predict(&q, 3, 700_000);
    let (_, mine) = predict(&q, 1, 600_000);
    let elsewhere = question(300);
    let signed_by_other = {
        let mut c = good.clone();
        c.signature = predict(&q, 2, 700_000).0.signature;
        c
    };
    let mut flipped = good.clone();
    flipped.signature[63] ^= 0x80;
    let mut replayed = good.clone();
    replayed.hash = predict(&q, 1, 600_000).0.hash;
    let other_nonce = schemas::Reveal { nonce: [9; 32], ..mine.clone() };
    let other_bundle = schemas::Reveal { bundle: schemas::BundleId([9; 32]), ..mine.clone() };
    let other_p = schemas::Reveal { forecast: Forecast::Probability(Ppm(600_001)), ..mine.clone() };
    let unsigned = schemas::Reveal { signature: [0; 64], ..mine.clone() };
    let too_sure = schemas::Reveal { forecast: Forecast::Probability(Ppm(1_000_001)), ..mine.clone() };
    let numeric = schemas::Reveal { forecast: Forecast::Quantiles(vec![0; 99]), ..mine.clone() };
    let stolen = schemas::Reveal { miner: miner_id(2), ..mine.clone() };
    let commit = Intake::Commitment;
    let reveals = Intake::Reveal;
    check(vec![
        ("unknown question", OPEN, commit(predict(&elsewhere, 3, 1).0), RejectCode::UnknownQuestion),
        ("unknown miner", OPEN, commit(predict(&q, 9, 1).0), RejectCode::UnknownMiner),
        ("at the end of the window", REVEAL, commit(good.clone()), RejectCode::CommitTooLate),
        ("long after the window", CLOSED, commit(good.clone()), RejectCode::CommitTooLate),
        ("second commitment", OPEN, commit(predict(&q, 1, 1).0), RejectCode::DuplicateCommitment),
        ("same commitment again", OPEN, commit(predict(&q, 1, 600_000).0), RejectCode::DuplicateCommitment),
        ("hash of another miner", OPEN, commit(replayed), RejectCode::CommitmentReplayed),
        ("signature of another miner", OPEN, commit(signed_by_other), RejectCode::BadSignature),
        ("flipped bit", OPEN, commit(flipped), RejectCode::BadSignature),
        ("reveal in the commit window", OPEN, reveals(mine.clone()), RejectCode::RevealTooEarly),
        (
            "reveal of an unknown question",
            REVEAL,
            reveals(predict(&elsewhere, 1, 1).1),
            RejectCode::UnknownQuestion,
        ),
        ("reveal of an unknown miner", REVEAL, reveals(predict(&q, 9, 1).1), RejectCode::UnknownMiner),
        ("reveal without commitment", REVEAL, reveals(reveal), RejectCode::NoCommitment),
        ("reveal too late", LATE, reveals(mine), RejectCode::RevealTooLate),
        ("other nonce", REVEAL, reveals(other_nonce), RejectCode::HashMismatch),
        ("other bundle", REVEAL, reveals(other_bundle), RejectCode::HashMismatch),
        ("other probability", REVEAL, reveals(other_p), RejectCode::HashMismatch),
        ("another miner's reveal", REVEAL, reveals(stolen), RejectCode::HashMismatch),
        ("no signature", REVEAL, reveals(unsigned), RejectCode::BadSignature),
        ("probability above one", REVEAL, reveals(too_sure), RejectCode::InvalidForecast),
        ("quantiles for a binary question", REVEAL, reveals(numeric), RejectCode::WrongForecastKind),
    ]);
}

#[test]
fn commitments_before_the_opening_and_second_reveals() {
    let mut w = World::new(1);
    let q = question(0);
    w.put(Intake::Question(q.clone()));
    let (commitment, reveal) = predict(&q, 1, 600_000);
    let early = w.go(59).put(Intake::Commitment(commitment.clone()));
    assert_eq!(refusal(&early), Some(RejectCode::CommitTooEarly));
    assert_eq!(refusal(&w.go(60).put(Intake::Commitment(commitment))), None);
    w.at = q.commit_closes_at;
    assert_eq!(refusal(&w.put(Intake::Reveal(reveal.clone()))), None);
    assert_eq!(refusal(&w.put(Intake::Reveal(reveal))), Some(RejectCode::DuplicateReveal));
}

#[test]
fn a_weak_key_cannot_sign() {
    // The identity point "verifies" any message in the cofactored equation; strict verification refuses it.
    let mut key = [0; 32];
    key[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(!validator::admit::is_signed(&key, b"anything", &signature));
}

#[test]
fn questions() {
    let good = question(300);
    let with = |change: &dyn Fn(&mut Question)| {
        let mut q = good.clone();
        change(&mut q);
        q.id = Question::derive_id(&q.topic, q.rules_version, &q.market, q.opens_at);
        Intake::Question(q)
    };
    let other_topic = TopicId::new("other").unwrap();
    let invalid = RejectCode::InvalidQuestion;
    let at = 300;
    let mut cases = vec![
        ("unknown topic", at, with(&|q| q.topic = other_topic.clone()), RejectCode::UnknownTopic),
        ("duplicate", OPEN, Intake::Question(question(0)), RejectCode::DuplicateQuestion),
        ("window is over", 362, Intake::Question(good.clone()), invalid),
        ("too far ahead", OPEN, Intake::Question(question(3_000)), invalid),
        ("foreign id", at, Intake::Question(Question { id: question(600).id, ..good.clone() }), invalid),
    ];
    let changes: [(&'static str, Change); 16] = [
        ("rules version", |q| q.rules_version = 2),
        ("rules hash", |q| q.rules_hash[0] ^= 1),
        ("symbol", |q| q.symbol = "eth/usd".into()),
        ("opens later", |q| q.opens_at = q.opens_at.plus(1)),
        ("longer commit window", |q| q.commit_closes_at = q.commit_closes_at.plus(1)),
        ("longer reveal window", |q| q.reveal_closes_at = q.reveal_closes_at.plus(1)),
        ("other end", |q| q.resolves_at = q.resolves_at.plus(-1)),
        ("other start", |q| q.market_starts_at = q.market_starts_at.plus(1)),
        ("reference 0", |q| q.reference = Ppm(0)),
        ("reference 1", |q| q.reference = Ppm(1_000_000)),
        ("reference above 1", |q| q.reference = Ppm(u32::MAX)),
        ("mid above 1", |q| q.market_mid = Some(Ppm(1_000_001))),
        ("stale input", |q| q.input_watermark = q.opens_at.plus(-10_000_000_001)),
        ("no market", |q| q.market = MarketId { native: String::new(), ..q.market.clone() }),
        ("endless market", |q| q.market = MarketId { native: "x".repeat(129), ..q.market.clone() }),
        ("endless source", |q| q.reference_source = "x".repeat(129)),
    ];
    cases.extend(changes.iter().map(|(name, change)| (*name, at, with(change), invalid)));
    check(cases);
}

#[test]
fn reports_and_votes() {
    let q = question(0);
    let good = report(0, &q.market, q.resolves_at, UP);
    let forged = schemas::ResolutionReport { determination: DOWN, ..good.clone() };
    let stranger = schemas::ResolutionReport { validator: schemas::ValidatorId([7; 32]), ..good.clone() };
    let borrowed = schemas::ResolutionReport { validator: validator_id(1), ..good.clone() };
    let old = report(0, &market("old"), Timestamp::from_secs(T0 + CLOSED - 86_400), UP);
    let other_end = report(0, &q.market, q.resolves_at.plus(-1), UP);
    let nameless = report(0, &market(""), q.resolves_at, UP);
    let reports = Intake::Report;
    check(vec![
        ("too early", 299, reports(good), RejectCode::ReportTooEarly),
        ("unknown validator", CLOSED, reports(stranger), RejectCode::UnknownValidator),
        ("changed after signing", CLOSED, reports(forged), RejectCode::BadSignature),
        ("signed by another", CLOSED, reports(borrowed), RejectCode::BadSignature),
        ("older than a day", CLOSED, reports(old), RejectCode::UnknownMarket),
        ("other end than its questions", CLOSED, reports(other_end), RejectCode::UnknownMarket),
        ("market without name", CLOSED, reports(nameless), RejectCode::InvalidName),
        ("vote on an open epoch", CLOSED, Intake::Vote(vote(0, 494_688, [0; 32])), RejectCode::UnknownEpoch),
        ("vote of a stranger", CLOSED, Intake::Vote(vote(9, 1, [0; 32])), RejectCode::UnknownValidator),
    ]);
    let mut w = World::new(0);
    w.go(3_600).tick();
    let mut bad = vote(0, 494_688, [0; 32]);
    bad.root = [1; 32];
    assert_eq!(refusal(&w.put(Intake::Vote(bad))), Some(RejectCode::BadSignature));
}

#[test]
fn registry() {
    let rules = |change: &dyn Fn(&mut schemas::TopicRules)| {
        let mut rules = topic();
        rules.version = 2;
        change(&mut rules);
        Intake::Topic(rules)
    };
    let mut joined = schemas::MinerJoined {
        miner: miner_id(9),
        name: "nine".into(),
        kind: "model".into(),
        stake: Micros(0),
        host: None,
        signature: None,
        account: None,
    };
    let no_stake = Intake::Miner(joined.clone());
    joined.stake = Micros(i64::MAX);
    let too_much = Intake::Miner(joined.clone());
    joined.stake = Micros(1);
    let hosted = |part, account: &str| {
        let host = schemas::HostFee { part: schemas::Ppm(part), account: schemas::AccountId(account.into()) };
        Intake::Miner(schemas::MinerJoined { host: Some(host), ..joined.clone() })
    };
    let (greedy, to_nobody) = (hosted(1_000_001, "operator"), hosted(1, "no name!"));
    joined.name = String::new();
    let nameless = Intake::Miner(joined);
    let invalid = RejectCode::InvalidRules;
    check(vec![
        ("genesis again", OPEN, Intake::Genesis(network()), RejectCode::GenesisRepeated),
        ("same version", OPEN, Intake::Topic(topic()), RejectCode::StaleRules),
        ("no commit window", OPEN, rules(&|r| r.commit_window_ns = 0), invalid),
        ("negative reveal window", OPEN, rules(&|r| r.reveal_window_ns = -1), invalid),
        ("windows past the market", OPEN, rules(&|r| r.horizon_s = 297), invalid),
        ("endless window", OPEN, rules(&|r| r.commit_window_ns = i64::MAX), invalid),
        ("no weight", OPEN, rules(&|r| r.weight = Q32(0)), invalid),
        ("fee above one", OPEN, rules(&|r| r.missing_fee = Ppm(1_000_001)), invalid),
        ("negative price", OPEN, rules(&|r| r.price = Micros(-1)), invalid),
        ("no questions", OPEN, rules(&|r| r.questions_per_epoch = 0), invalid),
        ("bad name", OPEN, rules(&|r| r.id = TopicId("BTC".into())), RejectCode::InvalidName),
        ("miner again", OPEN, join(1, 5), RejectCode::DuplicateMiner),
        ("no stake", OPEN, no_stake, RejectCode::InvalidAmount),
        ("too much stake", OPEN, too_much, RejectCode::InvalidAmount),
        ("nameless miner", OPEN, nameless, RejectCode::InvalidName),
        ("host takes more than all", OPEN, greedy, RejectCode::InvalidAmount),
        ("host without a name", OPEN, to_nobody, RejectCode::InvalidName),
    ]);
}

#[test]
fn accounts() {
    let account = |command| Intake::Account(command);
    let subscribe = |change: &dyn Fn(&mut Subscription)| {
        let mut s = subscription("new");
        change(&mut s);
        Intake::Account(AccountCommand::Subscribe(s))
    };
    let bob = AccountId::new("bob").unwrap();
    let of_bob = AccountCommand::TopUp { account: bob.clone(), amount: Micros(1), payment: "p-9".into() };
    let invalid = RejectCode::InvalidSubscription;
    check(vec![
        ("account again", OPEN, open(), RejectCode::DuplicateAccount),
        (
            "bad account",
            OPEN,
            account(AccountCommand::Open { account: AccountId("A b".into()) }),
            RejectCode::InvalidName,
        ),
        ("payment again", OPEN, top_up(10_000, "p-1"), RejectCode::DuplicatePayment),
        ("payment of nothing", OPEN, top_up(0, "p-2"), RejectCode::InvalidAmount),
        ("negative payment", OPEN, top_up(-1, "p-2"), RejectCode::InvalidAmount),
        ("endless payment", OPEN, top_up(i64::MAX, "p-2"), RejectCode::InvalidAmount),
        ("payment without id", OPEN, top_up(1, ""), RejectCode::InvalidName),
        ("payment of a stranger", OPEN, account(of_bob), RejectCode::UnknownAccount),
        (
            "subscription again",
            OPEN,
            subscribe(&|s| s.id = subscription("s").id),
            RejectCode::DuplicateSubscription,
        ),
        (
            "subscription of a stranger",
            OPEN,
            subscribe(&|s| s.account = bob.clone()),
            RejectCode::UnknownAccount,
        ),
        ("ends before it starts", OPEN, subscribe(&|s| s.until = s.from), invalid),
        ("over already", CLOSED, subscribe(&|s| s.until = Timestamp::from_secs(T0 + 9)), invalid),
        ("no topics", OPEN, subscribe(&|s| s.topics.clear()), invalid),
        ("too many topics", OPEN, subscribe(&|s| s.topics = vec![topic_id(); 65]), invalid),
        ("negative limit", OPEN, subscribe(&|s| s.max_price = Micros(-1)), invalid),
        ("unknown topic", OPEN, subscribe(&|s| s.topics[0] = TopicId("x".into())), RejectCode::UnknownTopic),
        ("bad name", OPEN, subscribe(&|s| s.id = SubscriptionId(String::new())), RejectCode::InvalidName),
        (
            "cancel of nothing",
            OPEN,
            account(AccountCommand::Cancel { subscription: SubscriptionId::new("none").unwrap() }),
            RejectCode::UnknownSubscription,
        ),
    ]);
}

#[test]
fn genesis_rules_that_contradict_themselves() {
    let changes: [(&str, RulesChange); 10] = [
        ("no name", |r| r.network.clear()),
        ("no epoch", |r| r.epoch_ns = 0),
        ("negative epoch", |r| r.epoch_ns = -1),
        ("rho above one", |r| r.max_loss = Ppm(1_000_001)),
        ("negative emission", |r| r.emission_per_epoch = Micros(-1)),
        ("no validators", |r| r.validators.clear()),
        ("one seat twice", |r| r.validators[1] = r.validators[0].clone()),
        ("seat without stake", |r| r.validators[2].stake = Micros(0)),
        ("split below one", |r| r.revenue_split[0] = Ppm(99_999)),
        ("split above one", |r| r.revenue_split[0] = Ppm(u32::MAX)),
    ];
    for (name, change) in changes {
        let mut rules = network();
        change(&mut rules);
        let mut w = World::empty();
        assert_eq!(refusal(&w.put(Intake::Genesis(rules))), Some(RejectCode::InvalidRules), "{name}");
        assert_eq!(refusal(&w.put(Intake::Genesis(network()))), None);
    }
}

#[test]
fn nothing_is_taken_before_genesis() {
    let q = question(0);
    let (commitment, reveal) = predict(&q, 1, 5);
    let before = [
        Intake::Topic(topic()),
        join(1, STAKE),
        Intake::Question(q.clone()),
        Intake::Commitment(commitment),
        Intake::Reveal(reveal),
        Intake::Report(report(0, &q.market, q.resolves_at, UP)),
        open(),
        Intake::Vote(vote(0, 0, [0; 32])),
    ];
    for intake in before {
        let mut w = World::empty();
        assert_eq!(refusal(&w.put(intake.clone())), Some(RejectCode::NoGenesis), "{intake:?}");
    }
    assert!(World::empty().tick().is_empty());
}

#[test]
fn bounds_hold_and_say_so() {
    let one = Limits {
        max_open_questions: 1,
        max_miners: 1,
        max_topics: 1,
        max_accounts: 1,
        max_payments: 1,
        max_subscriptions: 1,
        max_reports_per_validator: 1,
        ..Limits::default()
    };
    let mut w = World::empty();
    w.v = Validator::new(one);
    w.put(Intake::Genesis(network()));
    let second_topic = schemas::TopicRules { id: TopicId::new("second").unwrap(), ..topic() };
    let bob = AccountCommand::Open { account: AccountId::new("bob").unwrap() };
    let pairs = [
        (Intake::Topic(topic()), Intake::Topic(second_topic)),
        (join(1, STAKE), join(2, STAKE)),
        (open(), Intake::Account(bob)),
        (top_up(1, "p-1"), top_up(1, "p-2")),
        (
            Intake::Account(AccountCommand::Subscribe(subscription("s"))),
            Intake::Account(AccountCommand::Subscribe(subscription("t"))),
        ),
        (Intake::Question(question(0)), Intake::Question(question(100))),
        (
            Intake::Report(report(0, &market("a"), Timestamp::from_secs(T0), UP)),
            Intake::Report(report(0, &market("b"), Timestamp::from_secs(T0), UP)),
        ),
    ];
    for (fits, does_not) in pairs {
        assert_eq!(refusal(&w.put(fits)), None);
        assert_eq!(refusal(&w.put(does_not.clone())), Some(RejectCode::LimitReached), "{does_not:?}");
    }
}

#[test]
fn an_epoch_opens_no_more_questions_of_a_topic_than_its_rules_say() {
    let mut w = World::new(1);
    for k in 0..12 {
        w.ask(&question(k * 100), &[]);
    }
    let extra = question(1_200);
    w.at = extra.opens_at;
    assert_eq!(refusal(&w.put(Intake::Question(extra))), Some(RejectCode::LimitReached));
}

#[test]
fn numeric_topics_are_listed_but_have_no_questions_yet() {
    let numeric = schemas::TopicRules {
        id: TopicId::new("numeric").unwrap(),
        scoring: ScoringRule::ReferenceCrps,
        ..topic()
    };
    let mut w = World::new(1);
    assert!(matches!(w.put(Intake::Topic(numeric.clone()))[..], [Verdict::TopicListed(_)]));
    let q = question_of(&numeric, 0, 500_000);
    assert_eq!(refusal(&w.put(Intake::Question(q))), Some(RejectCode::InvalidQuestion));
}
