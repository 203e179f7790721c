//! Settlement from rows: averages and their checks, the venue's word where it decides, and the bounds.

use ingest::truth::evidence::{Evidence, EvidenceValue};
use ingest::truth::rules::{Family, RuleId, RuleRef};
use ingest::truth::settler::{SettlementState, SettlerConfig, SettlerInput};
use ingest::truth::terms::{MarketTerms, Strike, kalshi_index};
use schemas::{Machine as _, MarketId, Phase, Snapshot as _, Venue};

use crate::{CLOSE, KALSHI, POLY, Run, TWAP, instant, life, price, secs, up_down, value};

fn run() -> Run {
    Run::new(SettlerConfig::default())
}

const KX: &str = "KXBTC15M-26AUG070015-15";

fn kalshi_market(run: &mut Run, close: i64, strike: &str) {
    let terms = MarketTerms {
        id: MarketId { venue: Venue::Kalshi, native: KX.to_owned() },
        family: Family::KalshiCrypto15m,
        closes_at: Some(secs(close)),
        strike: Some(Strike::AtLeast(price(strike))),
        index: Some(kalshi_index("BTC")),
    };
    run.apply(secs(close - 600), SettlerInput::Terms(Box::new(terms)));
}

/// Every second of (close - 60, close] but those in `without`.
fn minute(run: &mut Run, close: i64, dollars: impl Fn(i64) -> String, without: &[i64]) {
    for second in (close - 59..=close).filter(|s| !without.contains(&(close - s))) {
        run.row(KALSHI, instant(second, &dollars(second)));
    }
}

#[test]
fn kalshi_settles_on_the_venues_average_and_checks_it() {
    // 60 values 64970.5 ... 65029.5: their mean is 65000 exactly, a tie is yes.
    let dollars = |s: i64| format!("{}.5", 65_000 + s - (TWAP - 29));
    let mut r = run();
    kalshi_market(&mut r, TWAP, "65000");
    minute(&mut r, TWAP, dollars, &[]);
    assert_eq!(r.lines().len(), 0, "the venue's average is still to come");
    r.row(KALSHI, value(TWAP, "65000", 60, Some(TWAP), true));
    assert_eq!(r.lines(), [format!("{KX} #1 kalshi-crypto-15m/1 settled 1000000 Final Agrees")]);

    let mut r = run();
    kalshi_market(&mut r, TWAP, "65000");
    minute(&mut r, TWAP, dollars, &[]);
    r.row(KALSHI, value(TWAP, "65000.01", 60, Some(TWAP), true));
    assert!(r.lines()[0].contains("settled 1000000 Final Differs"), "{:?}", r.lines());

    // Both are complete and mean different outcomes: nothing is proved.
    let mut r = run();
    kalshi_market(&mut r, TWAP, "65000");
    minute(&mut r, TWAP, dollars, &[]);
    r.row(KALSHI, value(TWAP, "64999.99", 60, Some(TWAP), true));
    assert!(r.lines()[0].ends_with("unprovable conflicting_evidence"), "{:?}", r.lines());
}

#[test]
fn one_of_both_averages_is_enough_and_a_partial_one_is_none() {
    let dollars = |_: i64| "65000".to_owned();
    // Only the venue's, told with its exclusive end.
    let mut r = run();
    kalshi_market(&mut r, TWAP, "65000");
    minute(&mut r, TWAP, dollars, &[3, 4]);
    r.row(KALSHI, value(TWAP, "64999.99999999", 60, Some(TWAP + 1), true));
    r.clock(TWAP + 90);
    assert!(r.lines()[0].ends_with("settled 0 Final Incomplete { missing: 2 }"), "{:?}", r.lines());
    // Only ours; what the venue told before the close is partial.
    let mut r = run();
    kalshi_market(&mut r, TWAP, "65000");
    minute(&mut r, TWAP, dollars, &[]);
    r.row(KALSHI, value(TWAP - 1, "1", 60, Some(TWAP), true));
    r.clock(TWAP + 90);
    assert!(r.lines()[0].ends_with("settled 1000000 Final None"), "{:?}", r.lines());
    // Neither.
    let mut r = run();
    kalshi_market(&mut r, TWAP, "65000");
    minute(&mut r, TWAP, dollars, &[59]);
    r.row(KALSHI, value(TWAP - 1, "1", 60, Some(TWAP), true));
    // The trailing average that is not marked as settling decides nothing.
    r.row(KALSHI, value(TWAP, "65000", 60, Some(TWAP), false));
    r.clock(TWAP + 89);
    assert_eq!(r.lines().len(), 0);
    r.clock(TWAP + 90);
    assert!(r.lines()[0].ends_with("unprovable window_incomplete"), "{:?}", r.lines());
}

#[test]
fn a_second_told_twice_in_two_ways_proves_only_what_both_mean() {
    let mut r = run();
    r.row(POLY, up_down("m", CLOSE, Some("100")));
    r.row(POLY, instant(CLOSE - 1, "7"));
    r.row(POLY, instant(CLOSE - 1, "8"));
    assert_eq!(r.settler.counts().restated_values, 1);
    // Decided by the first value at once; what comes later changes nothing.
    r.row(POLY, instant(CLOSE, "100"));
    r.row(POLY, instant(CLOSE, "99"));
    assert_eq!(r.lines(), ["m #1 polymarket-updown-5m/1 settled 1000000 Final None"]);
    // Known before the strike is: both must agree.
    for (strike, want) in [("100.5", "unprovable conflicting_values"), ("98", "settled 1000000 Final None")] {
        let mut r = run();
        r.row(POLY, up_down("m", CLOSE, None));
        r.row(POLY, instant(CLOSE, "101"));
        r.row(POLY, instant(CLOSE, "100"));
        let mut late = up_down("m", CLOSE, Some(strike));
        late.times.recv_at = secs(CLOSE + 5);
        r.row(POLY, late);
        r.clock(CLOSE + 90);
        assert!(r.lines()[0].ends_with(want), "{:?}", r.lines());
    }
}

#[test]
fn the_evidence_is_every_value_that_was_used() {
    let mut r = run();
    r.row(POLY, up_down("m", CLOSE, Some("100")));
    r.row(POLY, instant(CLOSE, "101"));
    let evidence = Evidence {
        rule: RuleRef { id: RuleId::PolymarketUpDown5m, version: 1 },
        market: MarketId { venue: Venue::Polymarket, native: "m".to_owned() },
        closes_at: Some(secs(CLOSE)),
        strike: Some(Strike::AtLeast(price("100"))),
        values: vec![EvidenceValue { at: secs(CLOSE), window_s: 0, value: price("101") }],
        said: None,
    };
    let SettlementState::Settled { evidence: hash, .. } = r.said[0].state else { panic!("not settled") };
    assert_eq!(hash, evidence.hash());
    let mut other = evidence.clone();
    other.rule.version = 2;
    assert_ne!(other.hash(), evidence.hash());
    let mut other = evidence.clone();
    other.values[0].value.0 += 1;
    assert_ne!(other.hash(), evidence.hash());
}

#[test]
fn a_venue_that_says_otherwise_is_a_mismatch_and_the_rule_stands() {
    let mut r = run();
    r.row(POLY, up_down("m", CLOSE, Some("100")));
    r.row(POLY, instant(CLOSE, "101"));
    r.row(POLY, life("m", CLOSE + 20, Phase::Determined, "proposed", Some(0), ""));
    r.row(POLY, life("m", CLOSE + 30, Phase::Final, "resolved", Some(0), ""));
    r.row(POLY, life("m", CLOSE + 40, Phase::Amended, "restated", Some(1_000_000), ""));
    r.row(POLY, life("m", CLOSE + 50, Phase::Amended, "restated", Some(1_000_000), ""));
    let lines = [
        "m #1 polymarket-updown-5m/1 settled 1000000 Final None",
        "m #2 for 1 polymarket-updown-5m/1 mismatch 1000000 not 0 Provisional",
        "m #3 for 2 polymarket-updown-5m/1 mismatch 1000000 not 0 Final",
        "m #4 for 3 polymarket-updown-5m/1 settled 1000000 Final None",
    ];
    assert_eq!(r.lines(), lines);
    assert_eq!(r.settler.counts().mismatches, 2);
    // A venue's word heard before the value is held against it as well; and it never fills a hole.
    let mut r = run();
    r.row(POLY, up_down("early", CLOSE, Some("100")));
    r.row(POLY, up_down("hole", CLOSE + 300, Some("100")));
    r.row(POLY, life("early", CLOSE - 10, Phase::Final, "resolved", Some(0), ""));
    r.row(POLY, life("hole", CLOSE - 10, Phase::Final, "resolved", Some(1_000_000), ""));
    r.row(POLY, instant(CLOSE, "101"));
    r.clock(CLOSE + 390);
    let lines = [
        "early #1 polymarket-updown-5m/1 settled 1000000 Final None",
        "early #2 for 1 polymarket-updown-5m/1 mismatch 1000000 not 0 Final",
        "hole #1 polymarket-updown-5m/1 unprovable no_closing_value",
    ];
    assert_eq!(r.lines(), lines);
}

#[test]
fn a_market_without_known_terms_waits_for_them() {
    let mut r = run();
    r.row(POLY, life("0x1", CLOSE, Phase::Final, "resolved", Some(500_000), ""));
    assert_eq!(r.lines().len(), 0, "it may be one that must be computed");
    r.row(POLY, life("0x1", CLOSE + 1, Phase::Changed, "", None, r#"{"slug":"will-it-rain"}"#));
    assert_eq!(r.lines(), ["0x1 #1 venue-reported/1 settled 500000 Final None"]);
}

#[test]
fn a_length_without_a_rule_is_unprovable() {
    let mut r = run();
    let detail = r#"{"slug":"btc-updown-1h-1780876800","priceToBeat":1}"#;
    r.row(POLY, life("m", CLOSE, Phase::Active, "active", None, detail));
    r.row(POLY, instant(1_780_880_400, "2"));
    r.row(POLY, life("m", 1_780_880_410, Phase::Final, "resolved", Some(1_000_000), ""));
    r.clock(1_780_880_490);
    assert_eq!(r.lines(), ["m #1 - unprovable no_rule"]);
}

#[test]
fn memory_is_bounded_and_state_survives_a_restart() {
    let config = SettlerConfig { max_markets: 2, max_values: 3, ..SettlerConfig::default() };
    let mut r = Run::new(config);
    for (n, name) in ["a", "b", "c"].iter().enumerate() {
        let mut listed = up_down(name, CLOSE + n as i64 * 300, Some("1"));
        listed.times.recv_at = secs(CLOSE - 300 + n as i64);
        r.row(POLY, listed);
    }
    assert_eq!(r.settler.counts().dropped, 1);
    for second in 0..5 {
        r.row(POLY, instant(CLOSE + 300 + second, "2"));
    }
    // A value from the future is not taken, one without a time neither, one of an unknown index neither.
    r.row(POLY, instant(CLOSE + 299, "2"));
    let mut ahead = instant(CLOSE + 4_000, "2");
    ahead.times.recv_at = secs(CLOSE + 305);
    r.row(POLY, ahead);
    let mut timeless = instant(CLOSE + 305, "2");
    timeless.times.venue_at = None;
    r.row(POLY, timeless);
    let mut unknown = instant(CLOSE + 305, "2");
    unknown.instrument.0 = 7;
    r.row(POLY, unknown);
    let counts = r.settler.counts();
    assert_eq!((counts.unusable_values, counts.unknown_indices), (2, 1));
    assert_eq!(r.lines(), ["b #1 polymarket-updown-5m/1 settled 1000000 Final None"]);
    let loaded = ingest::truth::settler::Settler::load(&r.settler.save()).unwrap();
    assert_eq!(loaded.digest(), r.settler.digest());
    // Settled and old: forgotten.
    r.row(POLY, life("b", CLOSE + 600, Phase::Final, "resolved", Some(1_000_000), ""));
    r.clock(CLOSE + 600 + 3 * 86_400);
    let id = |name: &str| MarketId { venue: Venue::Polymarket, native: name.to_owned() };
    assert_eq!(r.settler.state(&id("b")), None);
    assert_eq!(r.lines().last().unwrap(), "c #1 polymarket-updown-5m/1 unprovable no_closing_value");
}

/// The fields as Kalshi's own messages carry them: a market's terms one level down, windows that end a millisecond late,
/// running averages before the close.
#[test]
fn kalshis_own_messages_are_enough() {
    let mut r = run();
    let created = r#"{"additional_metadata":{"event_ticker":"KXBTC15M-26AUG070015","strike_type":"greater_or_equal","floor_strike":65000},"open_ts":1}"#;
    let mut listed = life(KX, TWAP - 900, Phase::Created, "created", None, created);
    let schemas::TapeBody::Lifecycle(body) = &mut listed.body else { panic!("a lifecycle row") };
    body.closes_at = Some(secs(TWAP));
    r.row(KALSHI, listed);
    let settling = |at: i64, dollars: &str, window_s: u32| {
        let mut row = value(at, dollars, window_s, None, true);
        let schemas::TapeBody::Index(index) = &mut row.body else { panic!("an index row") };
        index.window_end = Some(secs(at).plus(1_000_000));
        row
    };
    minute(&mut r, TWAP, |_| "65000".to_owned(), &[]);
    r.row(KALSHI, settling(TWAP - 30, "1", 30));
    r.row(KALSHI, settling(TWAP, "65000", 60));
    r.row(KALSHI, life(KX, TWAP + 1, Phase::Determined, "determined", Some(1_000_000), ""));
    r.row(KALSHI, life(KX, TWAP + 60, Phase::Final, "settled", Some(1_000_000), ""));
    assert_eq!(r.lines(), [format!("{KX} #1 kalshi-crypto-15m/1 settled 1000000 Final Agrees")]);
}
