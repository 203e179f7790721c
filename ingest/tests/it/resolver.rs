//! How markets end: ties, missing strikes, missing closing seconds, late and repeated facts.

use ingest::{FactInput, ReportDraft, Resolver, ResolverConfig};
use schemas::{
    Determination, IndexPrice, Machine as _, Market, MarketEvent, MarketId, Record, ResolutionReport,
    Timestamp, Venue,
};

use crate::{START, at, index_tick, tick_of_clock};

/// A market of `START` with this strike, said `secs` after its start.
fn listed(secs: f64, name: &str, strike: Option<&str>) -> Record<FactInput> {
    let market = Market {
        id: MarketId { venue: Venue::Polymarket, native: name.to_owned() },
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

fn value(secs: i64, dollars: &str) -> Record<FactInput> {
    index_tick(START + secs, dollars)
}

fn clock(secs: f64) -> Record<FactInput> {
    tick_of_clock(START as f64 + secs)
}

fn run(config: ResolverConfig, script: &[Record<FactInput>]) -> (Resolver, Vec<ReportDraft>, Vec<String>) {
    let mut resolver = Resolver::new(config);
    let (mut drafts, mut lines) = (Vec::new(), Vec::new());
    for record in script {
        let before = drafts.len();
        resolver.apply(record, &mut drafts);
        assert!(resolver.wake_at().is_none_or(|wake| wake > record.at));
        lines.extend(drafts[before..].iter().map(|d| {
            let secs = (record.at.millis() - START * 1_000) as f64 / 1e3;
            let what = match d.determination {
                Determination::Determined { up: true, closing } => format!("up {closing}"),
                Determination::Determined { up: false, closing } => format!("down {closing}"),
                Determination::Void(reason) => reason.code().to_owned(),
            };
            format!("{} {what} at {secs}", d.market.native)
        }));
    }
    (resolver, drafts, lines)
}

fn grace_20s() -> ResolverConfig {
    ResolverConfig { grace_ns: 20_000_000_000, ..ResolverConfig::default() }
}

fn check(script: &[Record<FactInput>], expected: &[&str]) {
    assert_eq!(run(grace_20s(), script).2, expected);
}

#[test]
fn the_rule() {
    let m = || listed(-10.0, "m", Some("100.5"));
    check(&[m(), value(299, "200"), value(300, "100.5")], &["m up 100.5 at 300.5"]);
    check(&[m(), value(300, "100.499999999999999999")], &["m down 100.499999999999999999 at 300.5"]);
    check(&[m(), value(299, "200"), value(301, "200"), clock(319.9)], &[]);
    check(&[m(), value(299, "200"), value(301, "200"), clock(320.0)], &["m no_closing_tick at 320"]);
    check(&[listed(0.0, "m", None), value(300, "1"), clock(320.0)], &["m no_strike at 320"]);
    check(&[listed(0.0, "m", None), clock(500.0)], &["m no_strike at 500"]);
    let none: [Record<FactInput>; 2] = [value(300, "1"), clock(500.0)];
    check(&none, &[]);
}

#[test]
fn late_and_repeated_facts() {
    let known = || listed(305.0, "m", Some("100"));
    // The strike within the time of grace, the listing after the closing value, any record as the clock.
    check(&[listed(1.0, "m", None), value(300, "100"), known()], &["m up 100 at 305"]);
    check(&[value(300, "99"), known()], &["m down 99 at 305"]);
    check(&[listed(1.0, "m", Some("1")), value(321, "1")], &["m no_closing_tick at 321.5"]);
    // What was said stands: one draft, the first strike, the first closing value.
    check(
        &[known(), value(300, "100"), value(300, "1"), listed(310.0, "m", Some("7")), clock(900.0)],
        &["m up 100 at 300.5"],
    );
    check(&[known(), listed(306.0, "m", Some("101")), value(300, "100.5")], &["m up 100.5 at 300.5"]);
    check(&[listed(400.0, "m", Some("100"))], &["m no_closing_tick at 400"]);
    check(&[value(300, "100"), listed(400.0, "m", Some("100"))], &["m up 100 at 400"]);
}

#[test]
fn evidence_binds_strike_and_closing_value() {
    let (_, drafts, _) = run(ResolverConfig::default(), &[listed(0.0, "m", Some("100")), value(300, "101")]);
    let price = |text| IndexPrice::from_decimal(text);
    let expected = ResolutionReport::evidence(price("100"), price("101"), Timestamp::from_secs(START + 300));
    assert_eq!(drafts[0].evidence, expected);
}

#[test]
fn bounds_hold_and_drops_are_counted() {
    let config = || ResolverConfig { max_markets: 2, max_ticks: 3, ..grace_20s() };
    let many: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| listed(0.0, name, None)).collect();
    let (resolver, ..) = run(config(), &many);
    assert_eq!(resolver.dropped(), 2);
    // Only the newest values are kept for late listings.
    let mut values: Vec<_> = (300..304).map(|s| value(s, "100")).collect();
    values.push(listed(305.0, "m", Some("1")));
    assert_eq!(run(config(), &values).2, Vec::<String>::new());
}
