//! The traps of the venues that are about truth, each by its number.

use ingest::guard::{Crossing, CrossingWatch};
use ingest::truth::fees::{FeeTerms, Role};
use ingest::truth::lifecycle::LifecycleTable;
use ingest::truth::settler::{SettlementState, SettlerConfig};
use ingest::{FactInput, Origin, Resolver, ResolverConfig, Shelf};
use schemas::{
    BookSide, Determination, GapReason, IndexTick, Instrument, InstrumentKind, InstrumentNo, Intake,
    Machine as _, Market, MarketEvent, MarketId, Phase, Record, TapeBody, TapeRow, Times, Timestamp, TopRow,
    Venue, VoidReason,
};

use crate::{CLOSE, KALSHI, POLY, Run, TWAP, instant, life, price, row, secs, up_down, value};

fn run() -> Run {
    Run::new(SettlerConfig::default())
}

fn poly(native: &str) -> MarketId {
    MarketId { venue: Venue::Polymarket, native: native.to_owned() }
}

#[test]
fn trap_09_taker_base_fee_is_ignored_and_fees_change_mid_market() {
    let mut table = LifecycleTable::new();
    let listed = r#"{"takerBaseFee":1000,"makerBaseFee":1000,"feesEnabled":true}"#;
    let first = r#"{"takerBaseFee":1000,"makerBaseFee":1000,"feeSchedule":{"rate":0.072,"exponent":1,"takerOnly":true,"rebateRate":0.2}}"#;
    let second = r#"{"takerBaseFee":1000,"makerBaseFee":1000,"feeSchedule":{"rate":0.07,"exponent":1,"takerOnly":true,"rebateRate":0.2}}"#;
    for (at, detail) in [(10, listed), (20, first), (30, second)] {
        table.fold(POLY, &life("0xaa", at, Phase::Changed, "", None, detail));
    }
    let terms = |at: i64| table.fee_terms(&poly("0xaa"), secs(at), secs(99));
    // 1000 legacy basis points are no schedule: nothing is known before one is told.
    assert!(terms(19).is_err());
    let fee = |at: i64| terms(at).unwrap().fee(Role::Taker, true, 100_000_000, 500_000).unwrap().amount;
    assert_eq!((fee(20), fee(29), fee(30)), (180_000, 180_000, 175_000));
    // A trade of second 25 costs what held then, and at second 29 nobody knew of the change.
    let FeeTerms::Polymarket(then) = table.fee_terms(&poly("0xaa"), secs(35), secs(30)).unwrap() else {
        panic!("not Polymarket's");
    };
    assert_eq!(then.rate, 72_000, "the change was received half a second after second 30");
}

#[test]
fn trap_10_a_tie_is_up_and_a_missing_closing_second_is_unprovable() {
    let mut r = run();
    for (name, strike) in [("tie", "100.5"), ("down", "100.500000000000000001")] {
        r.row(POLY, up_down(name, CLOSE, Some(strike)));
    }
    r.row(POLY, up_down("hole", CLOSE + 300, Some("1")));
    r.row(POLY, up_down("blind", CLOSE, None));
    r.row(POLY, instant(CLOSE, "100.5"));
    // Neighbours of the closing second prove nothing, even where every one of them says the same.
    r.row(POLY, instant(CLOSE + 299, "200"));
    r.row(POLY, instant(CLOSE + 301, "200"));
    // Nor does a value that the source only repeats.
    let mut carried = instant(CLOSE + 300, "200");
    let TapeBody::Index(index) = &mut carried.body else { panic!("an index row") };
    index.carried_forward = true;
    r.row(POLY, carried);
    r.row(POLY, life("hole", CLOSE + 330, Phase::Final, "resolved", Some(1_000_000), ""));
    r.clock(CLOSE + 390);
    let mut lines = r.lines();
    lines.sort();
    let v1 = "polymarket-updown-5m/1";
    let want = [
        format!("blind #1 {v1} unprovable no_strike"),
        format!("down #1 {v1} settled 0 Final None"),
        format!("hole #1 {v1} unprovable no_closing_value"),
        format!("tie #1 {v1} settled 1000000 Final None"),
    ];
    assert_eq!(lines, want);
}

/// Thirty seconds that mean up on average and end below the strike.
fn falling(r: &mut Run, close: i64, without: Option<i64>) {
    for second in (close - 29..=close).filter(|s| Some(close - s) != without) {
        r.row(POLY, instant(second, if second == close { "99" } else { "101" }));
    }
}

#[test]
fn trap_11_the_rule_changes_on_2026_08_07_and_versions_keep_their_meaning() {
    // The same values: the market that ends a moment before midnight is decided by its last value, ...
    let mut r = run();
    r.row(POLY, up_down("old", TWAP - 300, Some("100")));
    falling(&mut r, TWAP - 300, None);
    assert_eq!(r.lines(), ["old #1 polymarket-updown-5m/1 settled 0 Final None"]);
    // ... the one that ends at midnight by the mean of 30 seconds, ours until the venue's is told, ...
    let mut r = run();
    r.row(POLY, up_down("new", TWAP, Some("100")));
    falling(&mut r, TWAP, None);
    r.clock(TWAP + 90);
    assert_eq!(r.lines(), ["new #1 polymarket-updown-5m/2 settled 1000000 Final None"]);
    // ... which comes first where it is streamed, ...
    let mut r = run();
    r.row(POLY, up_down("new", TWAP, Some("100")));
    falling(&mut r, TWAP, Some(7));
    r.row(POLY, value(TWAP, "100.9", 60, None, false));
    r.row(POLY, value(TWAP, "100.8", 30, None, false));
    r.clock(TWAP + 90);
    assert_eq!(r.lines(), ["new #1 polymarket-updown-5m/2 settled 1000000 Final Incomplete { missing: 1 }"]);
    // ... and a window with a hole proves nothing, whatever its last value or the venue says.
    let mut r = run();
    r.row(POLY, up_down("new", TWAP, Some("100")));
    falling(&mut r, TWAP, Some(29));
    r.row(POLY, life("new", TWAP + 20, Phase::Final, "resolved", Some(1_000_000), ""));
    r.clock(TWAP + 90);
    assert_eq!(r.lines(), ["new #1 polymarket-updown-5m/2 unprovable window_incomplete"]);
}

fn sale(close: i64) -> Vec<Determination> {
    let market = Market {
        id: poly("m"),
        slug: format!("btc-updown-5m-{}", close - 300),
        title: "t".to_owned(),
        symbol: "btc/usd".to_owned(),
        starts_at: secs(close - 300),
        closes_at: secs(close),
        strike: Some(price("100")),
        token_ids: vec![],
        fee_rate: None,
    };
    let tick = IndexTick {
        symbol: "btc/usd".to_owned(),
        feed_at: secs(close),
        value: price("101"),
        server_at: None,
    };
    let (mut resolver, mut out) = (Resolver::new(ResolverConfig::default()), Vec::new());
    let mut apply = |at: i64, body| {
        resolver.apply(&Record { seq: 1, at: secs(at), body }, &mut out);
    };
    apply(close - 300, FactInput::Market(MarketEvent::Listed(market)));
    apply(close, FactInput::Market(MarketEvent::Tick(tick)));
    apply(close + 90, FactInput::Intake(Intake::TimeAdvanced { to: secs(close + 90) }));
    out.into_iter().map(|draft| draft.determination).collect()
}

#[test]
fn trap_11_the_sale_reports_nothing_by_a_rule_that_no_longer_holds() {
    assert_eq!(sale(TWAP - 300), [Determination::Determined { up: true, closing: price("101") }]);
    assert_eq!(sale(TWAP), [Determination::Void(VoidReason::NoRule)]);
}

#[test]
fn trap_12_scalar_split_void_dispute_and_amendment_after_determined() {
    let mut r = run();
    let word = |market: &str, at, phase, said: &str, payout| life(market, at, phase, said, payout, "");
    let rain = |at, phase, said: &str, payout| word("KXRAIN-1", at, phase, said, payout);
    for row in [
        rain(1, Phase::Closed, "closed", None),
        rain(2, Phase::Determined, "determined", Some(1_000_000)),
        rain(3, Phase::Disputed, "disputed", None),
        rain(4, Phase::Amended, "amended", Some(0)),
        rain(5, Phase::Final, "finalized", Some(0)),
        rain(6, Phase::Final, "finalized", Some(0)),
        // A restatement after it was final.
        rain(7, Phase::Amended, "amended", Some(370_000)),
        word("KXGAME-1", 8, Phase::Determined, "determined", Some(370_000)),
        word("KXGAME-1", 9, Phase::Final, "settled", None),
        word("KXVOID-1", 10, Phase::Final, "voided", None),
        word("KXNONE-1", 11, Phase::Final, "finalized", None),
        word("KXBAD-1", 12, Phase::Final, "finalized", Some(1_000_001)),
    ] {
        r.row(KALSHI, row);
    }
    let slug = r#"{"slug":"will-it-rain"}"#;
    r.row(POLY, life("0xsplit", 13, Phase::Final, "resolved", Some(500_000), slug));
    let v = "venue-reported/1";
    let want = [
        format!("KXRAIN-1 #1 {v} settled 1000000 Provisional None"),
        format!("KXRAIN-1 #2 for 1 {v} disputed Some(1000000)"),
        format!("KXRAIN-1 #3 for 2 {v} amended 1000000 -> 0 Provisional"),
        format!("KXRAIN-1 #4 for 3 {v} settled 0 Final None"),
        format!("KXRAIN-1 #5 for 4 {v} amended 0 -> 370000 Final"),
        format!("KXGAME-1 #1 {v} settled 370000 Provisional None"),
        format!("KXGAME-1 #2 for 1 {v} settled 370000 Final None"),
        format!("KXVOID-1 #1 {v} void"),
        format!("KXNONE-1 #1 {v} unprovable no_payout"),
        format!("0xsplit #1 {v} settled 500000 Final None"),
    ];
    assert_eq!(r.lines(), want);
    assert_eq!(r.settler.counts().bad_payouts, 1);
    // Only what is final may be scored.
    let scorable: Vec<bool> = r.said.iter().map(|record| record.state.scorable().is_some()).collect();
    assert_eq!(scorable, [false, false, false, true, true, false, true, false, false, true]);
    assert!(matches!(r.said[7].state, SettlementState::Void { .. }));
}

fn origin(raw_seq: u64) -> Origin {
    let at = Timestamp::from_secs(raw_seq as i64);
    Origin { raw_seq, venue_seq: 0, times: Times { recv_at: at, ..Times::default() } }
}

/// A live book 0.40 bid, 0.45 asked.
fn shelf(out: &mut Vec<ingest::VenueOutput>) -> (Shelf, InstrumentNo) {
    let mut shelf = Shelf::default();
    let no = shelf.intern(b"m", &origin(1), out, || Instrument {
        venue: Venue::Kalshi,
        native: "m".to_owned(),
        market: "m".to_owned(),
        kind: InstrumentKind::Binary,
        price_decimals: 6,
        qty_decimals: 2,
    });
    shelf.clear(no, &origin(2), out);
    shelf.load(no, BookSide::Bid, 400_000, 100, &origin(2), out);
    shelf.load(no, BookSide::Ask, 450_000, 100, &origin(2), out);
    shelf.loaded(no, &origin(2), out);
    (shelf, no)
}

fn watch(out: &[ingest::VenueOutput]) -> (CrossingWatch, Vec<Crossing>) {
    let (mut watch, mut found) = (CrossingWatch::new(), Vec::new());
    for output in out {
        let ingest::VenueOutput::Row(row) = output else { continue };
        watch.note(row, &mut found);
    }
    watch.finish(&mut found);
    (watch, found)
}

#[test]
fn trap_13_a_crossed_poll_is_data_and_a_crossed_live_book_is_a_fault() {
    // A polled quote whose sides are of two moments: flagged, and the book is untouched.
    let mut out = Vec::new();
    let (mut books, no) = shelf(&mut out);
    let top = |price| Some(TopRow { price, qty: None });
    books.push(no, TapeBody::Quote { bid: top(460_000), ask: top(450_000) }, &origin(3), &mut out);
    books.push(no, TapeBody::Quote { bid: top(440_000), ask: None }, &origin(4), &mut out);
    let (seen, found) = watch(&out);
    assert_eq!(found, [Crossing::Quote { instrument: no, at: secs(3), raw_seq: 3 }]);
    assert_eq!((seen.quotes(), seen.faults(), books.live()), (1, 0, 1));

    // One message that moves both sides crosses them only between its two rows: no finding.
    let mut out = Vec::new();
    let (mut books, no) = shelf(&mut out);
    books.set(no, BookSide::Bid, 460_000, 5, &origin(3), &mut out);
    books.set(no, BookSide::Ask, 450_000, 0, &origin(3), &mut out);
    assert_eq!(watch(&out).1, []);

    // A live book that stays crossed after a whole record is a fault, told once.
    let mut out = Vec::new();
    let (mut books, no) = shelf(&mut out);
    books.set(no, BookSide::Bid, 460_000, 5, &origin(3), &mut out);
    books.set(no, BookSide::Bid, 100_000, 5, &origin(4), &mut out);
    let (seen, found) = watch(&out);
    assert_eq!(found, [Crossing::Book { instrument: no, at: secs(3), raw_seq: 3 }]);
    assert_eq!((seen.quotes(), seen.faults()), (0, 1));

    // A machine that notices opens a gap in the same record: then nothing live is crossed.
    let mut out = Vec::new();
    let (mut books, no) = shelf(&mut out);
    books.set(no, BookSide::Bid, 460_000, 5, &origin(3), &mut out);
    books.lose(no, GapReason::Crossed, &origin(3), &mut out);
    assert_eq!(watch(&out).1, []);
}

#[test]
fn trap_14_a_market_that_left_the_listing_stays_and_its_old_names_are_read() {
    let mut table = LifecycleTable::new();
    let m = MarketId { venue: Venue::Kalshi, native: "KXOLD-1".to_owned() };
    let detail = r#"{"listed":true,"price_level_structure":"linear_cent"}"#;
    table.fold(KALSHI, &life("KXOLD-1", 10, Phase::Active, "active", None, detail));
    let gone: TapeRow = row(0, secs(20), TapeBody::Clear);
    table.note_listed(&m, false, gone.times, 7);
    let view = table.as_of(&m, secs(30), secs(30)).unwrap();
    assert_eq!(view.listed.map(|l| (l.value, l.raw_seq)), Some((false, 7)));
    assert_eq!(view.stage.unwrap().value.phase, Phase::Active);
    assert!(table.universe(secs(30)).any(|id| *id == m));
    // It is found again in the history, where `settlement_value` has no suffix.
    let historical = r#"{"settlement_value":"0.3700","result":"scalar"}"#;
    let detail = ingest::truth::detail::Detail::parse(historical).unwrap();
    let payout = ingest::truth::terms::kalshi_payout(detail.result.as_deref(), detail.settlement_value);
    table.fold(KALSHI, &life("KXOLD-1", 40, Phase::Final, "finalized", payout.map(|p| p.0), historical));
    assert_eq!(table.as_of(&m, secs(40), secs(50)).unwrap().payout.unwrap().value.0, 370_000);
    assert_eq!(table.as_of(&m, secs(40), secs(39)).unwrap().payout, None);
}
