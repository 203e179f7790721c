//! Which contracts may be compared.

use ingest::truth::identity::{Comparable, Leg, Mapping, MappingMethod, NativeIds, comparable};
use ingest::truth::rules::{Family, RuleId, SettlementBasis};
use ingest::truth::terms::{IndexKey, MarketTerms, Strike, kalshi_index};
use schemas::{Ppm, Snapshot as _, Venue};

use crate::{TWAP, price, secs};

fn kalshi(close: i64, strike: &str) -> Leg {
    let ids = NativeIds::Kalshi {
        series: "KXBTC15M".to_owned(),
        event: "KXBTC15M-26AUG070015".to_owned(),
        market: "KXBTC15M-26AUG070015-15".to_owned(),
        exchange_index: 0,
    };
    let terms = MarketTerms {
        id: ids.market(),
        family: Family::KalshiCrypto15m,
        closes_at: Some(secs(close)),
        strike: Some(Strike::AtLeast(price(strike))),
        index: Some(kalshi_index("BTC")),
    };
    Leg::new(ids, false, &terms, None)
}

fn polymarket(interval_s: u32, close: i64, strike: Option<&str>) -> Leg {
    let ids = NativeIds::Polymarket {
        gamma_id: "2458626".to_owned(),
        condition_id: "0x6f".to_owned(),
        token_yes: "106853212325739234269605042620856745942429109258639927166403506431703417105118"
            .to_owned(),
        token_no: "34549038436775387767555351401981287096280193432851657723404876503687402605441".to_owned(),
        question_id: None,
        neg_risk_market_id: None,
    };
    let terms = MarketTerms {
        id: ids.market(),
        family: Family::UpDown { interval_s },
        closes_at: Some(secs(close)),
        strike: strike.map(|s| Strike::AtLeast(price(s))),
        index: Some(IndexKey::new(Venue::Polymarket, "btc/usd")),
    };
    Leg::new(ids, false, &terms, None)
}

fn reported(venue: Venue, rules_hash: Option<[u8; 32]>) -> Leg {
    let mut leg = if venue == Venue::Kalshi { kalshi(TWAP, "1") } else { polymarket(900, TWAP, None) };
    let terms = MarketTerms {
        id: leg.ids.market(),
        family: Family::Reported,
        closes_at: Some(secs(TWAP)),
        strike: None,
        index: None,
    };
    leg = Leg::new(leg.ids, false, &terms, rules_hash);
    leg
}

#[test]
fn one_quarter_of_an_hour_of_bitcoin_is_two_events() {
    let close = TWAP + 900;
    let (a, b) = (kalshi(close, "65000"), polymarket(900, close, Some("65000")));
    let Comparable::DifferentBasis { a: Some(on_a), b: Some(on_b) } = comparable(&a, &b) else {
        panic!("BRTI and Chainlink are not one index");
    };
    assert_eq!(on_a.basis, SettlementBasis::KalshiAverage { window_s: 60 });
    assert_eq!(on_b.basis, SettlementBasis::ChainlinkTwap { window_s: 60 });
    assert_eq!((on_a.index.unwrap().symbol, on_b.index.unwrap().symbol), ("brti".into(), "btcusd".into()));
    let mapping = Mapping {
        canonical: format!("btc-usd.up-15m.{close}"),
        legs: vec![a, b.clone(), b],
        method: MappingMethod::Structured,
        confidence: Ppm::ONE,
    };
    let same: Vec<_> = mapping.pairs().into_iter().map(|(i, j, c)| (i, j, c == Comparable::Same)).collect();
    assert_eq!(same, [(0, 1, false), (0, 2, false), (1, 2, true)]);
    assert_eq!(Mapping::load(&mapping.save()).unwrap(), mapping);
}

#[test]
fn time_strike_and_rule_each_make_a_difference() {
    let base = polymarket(900, TWAP + 900, Some("65000"));
    let other = |leg: Leg| comparable(&base, &leg);
    assert_eq!(other(base.clone()), Comparable::Same);
    assert!(matches!(other(polymarket(900, TWAP + 1_800, Some("65000"))), Comparable::DifferentTime { .. }));
    assert!(matches!(other(polymarket(900, TWAP + 900, Some("65001"))), Comparable::DifferentStrike { .. }));
    assert!(matches!(other(polymarket(900, TWAP + 900, None)), Comparable::DifferentStrike { b: None, .. }));
    // 30 and 60 seconds, the old rule and the new one, a length without a rule.
    assert!(matches!(other(polymarket(300, TWAP + 900, Some("65000"))), Comparable::DifferentBasis { .. }));
    assert!(matches!(other(polymarket(900, TWAP - 900, Some("65000"))), Comparable::DifferentBasis { .. }));
    let unknown = polymarket(3_600, TWAP + 900, Some("65000"));
    assert!(matches!(comparable(&unknown, &unknown), Comparable::DifferentBasis { a: None, b: None }));
    let version = |leg: &Leg| leg.rules_version.map(|r| (r.id, r.version));
    assert_eq!(version(&base), Some((RuleId::PolymarketUpDown15m, 2)));
    assert_eq!(version(&polymarket(900, TWAP - 1, None)), Some((RuleId::PolymarketUpDown15m, 1)));
}

#[test]
fn two_venues_are_two_judges() {
    let (a, b) = (reported(Venue::Kalshi, Some([1; 32])), reported(Venue::Polymarket, Some([1; 32])));
    assert!(matches!(comparable(&a, &b), Comparable::DifferentBasis { .. }));
    assert_eq!(comparable(&a, &reported(Venue::Kalshi, Some([1; 32]))), Comparable::Same);
    let changed = reported(Venue::Kalshi, Some([2; 32]));
    assert!(matches!(comparable(&a, &changed), Comparable::DifferentBasis { .. }));
}
