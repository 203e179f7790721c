//! When questions are asked, when not and why, and what they carry.

use ingest::{FactInput, Scheduler, SchedulerConfig, SkipReason, reference};
use schemas::topic::ScoringRule;
use schemas::{
    IndexPrice, Intake, Machine as _, Market, MarketEvent, MarketId, Micros, Ppm, Price, Q32, Question,
    Quote, Record, Timestamp, TopicId, TopicRules, Venue,
};

use crate::{START, at, index_tick, tick_of_clock};

fn id() -> MarketId {
    MarketId { venue: Venue::Polymarket, native: "m".to_owned() }
}

fn topic(secs: f64, version: u32, horizon_s: u32) -> Record<FactInput> {
    let rules = TopicRules {
        id: TopicId("t".to_owned()),
        version,
        symbol: "btc/usd".to_owned(),
        interval_s: 300,
        horizon_s,
        commit_window_ns: 2_000_000_000,
        reveal_window_ns: 3_000_000_000,
        max_input_age_ns: 5_000_000_000,
        scoring: ScoringRule::Brier,
        weight: Q32::ONE,
        missing_fee: Ppm(0),
        price: Micros(0),
        questions_per_epoch: 12,
    };
    at(START as f64 + secs, FactInput::Intake(Intake::Topic(rules)))
}

fn listed(secs: f64, strike: Option<&str>) -> Record<FactInput> {
    let market = Market {
        id: id(),
        slug: format!("btc-updown-5m-{START}"),
        title: "t".to_owned(),
        symbol: "btc/usd".to_owned(),
        starts_at: Timestamp::from_secs(START),
        closes_at: Timestamp::from_secs(START + 300),
        strike: strike.map(|s| IndexPrice::from_decimal(s).unwrap()),
        token_ids: vec![],
        fee_rate: None,
    };
    at(START as f64 + secs, FactInput::Market(MarketEvent::Listed(market)))
}

fn quote(secs: f64, bid: Option<i64>, ask: Option<i64>) -> Record<FactInput> {
    let quote = Quote { market: id(), bid: bid.map(Price), ask: ask.map(Price) };
    at(START as f64 + secs, FactInput::Market(MarketEvent::Quote(quote)))
}

/// One value a second from `from` up to and including `to`, zig-zagging around 100 dollars.
fn values(from: i64, to: i64) -> Vec<Record<FactInput>> {
    let price = |s: i64| if s.rem_euclid(120) < 60 { "100" } else { "100.02" };
    (from..=to).map(|s| index_tick(START + s, price(s))).collect()
}

fn clock(secs: f64) -> Record<FactInput> {
    tick_of_clock(START as f64 + secs)
}

fn run(mut script: Vec<Record<FactInput>>) -> (Scheduler, Vec<Question>) {
    script.sort_by_key(|record| record.at);
    let mut scheduler = Scheduler::new(SchedulerConfig::default());
    let mut out = Vec::new();
    for record in &script {
        scheduler.apply(record, &mut out);
        assert!(scheduler.wake_at().is_none_or(|wake| wake > record.at));
    }
    (scheduler, out)
}

/// Values up to one second before the opening, a topic and a market, and what else is given.
fn usual(extra: Vec<Record<FactInput>>) -> Vec<Record<FactInput>> {
    let mut script = values(-200, 59);
    script.extend([topic(-100.0, 1, 60), listed(-50.0, Some("100.01"))]);
    script.extend(extra);
    script
}

fn check(script: Vec<Record<FactInput>>, expected: Result<u32, SkipReason>) {
    let (scheduler, questions) = run(script);
    match expected {
        Ok(reference) => {
            assert_eq!(questions.iter().map(|q| q.reference.0).collect::<Vec<_>>(), [reference]);
            assert!(scheduler.skips().is_empty());
        }
        Err(reason) => {
            assert!(questions.is_empty());
            assert_eq!(scheduler.skips().iter().map(|(r, n)| (*r, *n)).collect::<Vec<_>>(), [(reason, 1)]);
        }
    }
}

#[test]
fn a_question_carries_what_was_known_when_it_opened() {
    let extra = vec![quote(20.0, Some(480_000), Some(500_000)), clock(60.0), clock(61.0)];
    let (scheduler, questions) = run(usual(extra));
    assert_eq!((scheduler.asked(), questions.len()), (1, 1));
    let q = &questions[0];
    let secs = |t: Timestamp| (t.0 - START * 1_000_000_000) as f64 / 1e9;
    assert_eq!(
        [q.opens_at, q.commit_closes_at, q.reveal_closes_at, q.resolves_at, q.input_watermark].map(secs),
        [60.0, 62.0, 65.0, 300.0, 59.0]
    );
    assert_eq!((q.market_mid, q.reference_source.as_str()), (Some(Ppm(490_000)), "closed-form/1"));
    assert_eq!(q.strike, IndexPrice::from_decimal("100.01").unwrap());
    assert_eq!(q.id, Question::derive_id(&q.topic, 1, &id(), q.opens_at));
}

/// 21 returns fit into the 259 seconds of history. Each is one jump of ln(1.0002), but for the newest: its end is
/// the value of second 59, before the jump. The rest follows by hand.
#[test]
fn the_reference_is_the_closed_form() {
    let jump = libm::log(100.02 / 100.0);
    let sigma = jump * libm::sqrt(20.0 / 21.0 / 60.0);
    let z = libm::log(100.0 / 100.01) / (sigma * libm::sqrt(240.0));
    let expected = (0.5 * libm::erfc(-z / libm::sqrt(2.0)) * 1e6).round() as u32;
    check(usual(vec![clock(60.0)]), Ok(expected));
    assert!((300_000..500_000).contains(&expected), "{expected}");
}

#[test]
fn reference_formula_edges() {
    let price = |dollars: f64| IndexPrice((dollars * 1e18) as i128);
    for (spot, strike, sigma, tau, expected) in [
        (100.0, 100.0, 1e-4, 60.0, Some(500_000)),
        (101.0, 100.0, 1e-7, 1.0, Some(999_000)),
        (99.0, 100.0, 1e-7, 1.0, Some(1_000)),
        (100.0, 100.0, 1e-4, 0.0, None),
        (0.0, 100.0, 1e-4, 60.0, None),
        (100.0, 0.0, 1e-4, 60.0, None),
    ] {
        let p = reference::probability_up(price(spot), price(strike), sigma, tau);
        assert_eq!(p.map(|p| p.0), expected, "{spot} {strike} {sigma} {tau}");
    }
    let flat = |from: i64, to: i64| (from..=to).map(|s| (Timestamp::from_secs(s), price(100.0))).collect();
    assert_eq!(reference::sigma(&flat(0, 120), Timestamp::from_secs(120)), Some(1e-7), "floor");
    assert_eq!(reference::sigma(&flat(1, 120), Timestamp::from_secs(120)), None, "119 s of history");
}

#[test]
fn nothing_is_asked_without_its_inputs() {
    check(
        usual(vec![clock(60.0)])
            .into_iter()
            .filter(|r| !matches!(&r.body, FactInput::Market(MarketEvent::Tick(_))))
            .collect(),
        Err(SkipReason::NoInput),
    );
    let no_strike = |known_at: Option<f64>| {
        let mut script = values(-200, 59);
        script.extend([topic(-100.0, 1, 60), listed(-50.0, None), clock(60.0), clock(61.0)]);
        script.extend(known_at.map(|secs| listed(secs, Some("100.01"))));
        script
    };
    check(no_strike(None), Err(SkipReason::NoStrike));
    check(no_strike(Some(60.2)), Err(SkipReason::NoStrike));
    assert_eq!(run(no_strike(Some(59.9))).1.len(), 1);
    let stale = |last: i64| {
        let mut script = values(-200, last);
        script.extend([topic(-100.0, 1, 60), listed(-50.0, Some("100")), clock(60.0)]);
        script
    };
    check(stale(55), Err(SkipReason::StaleInput));
    assert_eq!(run(stale(56)).1.len(), 1);
    let short = |first: i64| {
        let mut script = values(first, 59);
        script.extend([topic(-100.0, 1, 60), listed(-50.0, Some("100")), clock(60.0)]);
        script
    };
    check(short(-59), Err(SkipReason::ShortHistory));
    assert_eq!(run(short(-60)).1.len(), 1);
}

#[test]
fn late_is_never_backdated() {
    assert_eq!(run(usual(vec![clock(61.0)])).1.len(), 1);
    check(usual(vec![clock(61.1)]), Err(SkipReason::Late));
    let mut late_listing = values(-200, 59);
    late_listing.extend([topic(-100.0, 1, 60), listed(60.0, Some("100")), clock(61.0)]);
    check(late_listing, Err(SkipReason::Late));
    check(usual(vec![topic(-90.0, 2, 300), clock(60.0)]), Err(SkipReason::NoTimeLeft));
    // A topic that comes after its time asks nothing about this market.
    let mut late_topic = values(-200, 70);
    late_topic.extend([listed(-50.0, Some("100")), topic(70.0, 1, 60), clock(80.0)]);
    let (scheduler, questions) = run(late_topic);
    assert_eq!((questions.len(), scheduler.skips().len()), (0, 0));
}

/// A value stamped after the opening, or ahead of its own time, is not seen by the question.
#[test]
fn no_look_ahead() {
    let baseline = run(usual(vec![clock(60.0)])).1;
    let jump = |feed_s: i64, at_s: f64| at(START as f64 + at_s, index_tick(START + feed_s, "150").body);
    for extra in [vec![jump(60, 60.4)], vec![jump(61, 59.9), clock(60.0)], vec![jump(59, 60.0), clock(60.0)]]
    {
        assert_eq!(run(usual(extra)).1, baseline);
    }
    assert_ne!(run(usual(vec![jump(60, 59.9), clock(60.0)])).1, baseline);
}

#[test]
fn the_mid_needs_two_fresh_sides() {
    let mid = |extra: Vec<Record<FactInput>>| {
        let mut extra = extra;
        extra.push(clock(60.0));
        run(usual(extra)).1[0].market_mid.map(|p| p.0)
    };
    assert_eq!(mid(vec![]), None);
    assert_eq!(mid(vec![quote(0.0, Some(500_000), Some(510_001))]), Some(505_000));
    assert_eq!(mid(vec![quote(-0.1, Some(500_000), Some(510_000))]), None);
    assert_eq!(mid(vec![quote(50.0, Some(500_000), None)]), None);
    assert_eq!(mid(vec![quote(50.0, Some(500_000), Some(510_000)), quote(55.0, None, None)]), None);
}

#[test]
fn newer_rules_replace_older_ones() {
    let (_, questions) = run(usual(vec![topic(-40.0, 2, 30), topic(-39.0, 1, 60), clock(30.0), clock(60.0)]));
    assert_eq!(
        questions.iter().map(|q| (q.rules_version, q.opens_at.secs() - START)).collect::<Vec<_>>(),
        [(2, 30)]
    );
}

#[test]
fn bounds_hold_and_refusals_are_counted() {
    let config = SchedulerConfig { max_markets: 0, max_topics: 0, ..SchedulerConfig::default() };
    let mut scheduler = Scheduler::new(config);
    let mut out = Vec::new();
    scheduler.apply(&topic(-10.0, 1, 60), &mut out);
    scheduler.apply(&listed(-5.0, None), &mut out);
    let expected = [(SkipReason::MarketLimit, 1), (SkipReason::TopicLimit, 1)];
    assert_eq!(scheduler.skips().iter().map(|(r, n)| (*r, *n)).collect::<Vec<_>>(), expected);
    assert!(SkipReason::ALL.iter().all(|reason| schemas::id::is_name(reason.code())));
}
