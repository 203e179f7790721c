//! The lifecycle table: what held when, by what was known when.

use ingest::truth::fees::{FeeError, FeeTerms};
use ingest::truth::lifecycle::LifecycleTable;
use proptest::prelude::*;
use schemas::{InstrumentKind, MarketId, Phase, Ppm, TapeBody, TapeRow, Times, Timestamp, Venue};

use crate::{KALSHI, POLY, life, row, secs};

fn id(venue: Venue, native: &str) -> MarketId {
    MarketId { venue, native: native.to_owned() }
}

/// A row that holds from `valid` and is received at `known`.
fn told(valid: i64, known: i64, mut row: TapeRow) -> TapeRow {
    row.times.venue_at = Some(secs(valid));
    row.times.recv_at = secs(known);
    row
}

fn phase(valid: i64, known: i64, phase: Phase, payout: Option<u32>, detail: &str) -> TapeRow {
    told(valid, known, life("m", valid, phase, &format!("{phase:?}"), payout, detail))
}

fn folded(rows: &[TapeRow]) -> LifecycleTable {
    let mut table = LifecycleTable::new();
    for row in rows {
        table.fold(KALSHI, row);
    }
    table
}

#[test]
fn late_and_corrected_rows_change_only_what_is_known_later() {
    let table = folded(&[
        phase(10, 11, Phase::Active, None, ""),
        phase(50, 51, Phase::Determined, Some(1_000_000), ""),
        // Late: it was closed at 40, heard at 60. Corrected: what was determined at 50 was no, heard at 70.
        phase(40, 60, Phase::Closed, None, ""),
        phase(50, 70, Phase::Determined, Some(0), ""),
        phase(90, 91, Phase::Final, Some(0), ""),
    ]);
    let m = id(Venue::Kalshi, "m");
    let stage =
        |valid, known| table.as_of(&m, secs(valid), secs(known)).and_then(|v| v.stage).map(|s| s.value.phase);
    let payout =
        |valid, known| table.as_of(&m, secs(valid), secs(known)).and_then(|v| v.payout).map(|p| p.value.0);
    assert_eq!(stage(10, 10), None, "not known yet");
    assert_eq!(stage(9, 99), None, "not true yet");
    assert_eq!((stage(45, 59), stage(45, 60)), (Some(Phase::Active), Some(Phase::Closed)));
    assert_eq!((payout(50, 69), payout(50, 70)), (Some(1_000_000), Some(0)));
    assert_eq!((stage(89, 999), stage(90, 999)), (Some(Phase::Determined), Some(Phase::Final)));
    assert_eq!(table.knew_at(&m, secs(60)).unwrap().payout.unwrap().value, Ppm::ONE);
    assert_eq!(table.universe(secs(10)).count(), 0);
    assert_eq!(table.universe(secs(11)).count(), 1);
}

#[test]
fn a_row_without_a_venue_time_says_so() {
    let mut polled = life("m", 10, Phase::Active, "active", None, "");
    polled.times.venue_at = None;
    polled.times.recv_at = secs(20);
    let mut again = polled.clone();
    again.times.recv_at = secs(30);
    let table = folded(&[polled, again]);
    let m = id(Venue::Kalshi, "m");
    let stage = table.as_of(&m, secs(30), secs(30)).unwrap().stage.unwrap();
    assert_eq!((stage.valid_from, stage.told), (secs(20), false));
    assert_eq!(
        table.history(&m).unwrap().stages.versions().len(),
        1,
        "a poll that says the same adds nothing"
    );
    assert!(table.as_of(&m, secs(19), secs(30)).unwrap().stage.is_none());
}

#[test]
fn grids_rules_and_strikes_have_versions() {
    let cent = r#"{"price_level_structure":"linear_cent","rules_primary":"If it rains.","strike_type":"greater","floor_strike":65000}"#;
    let tapered = r#"{"price_level_structure":"deci_cent","price_ranges":[{"start":"0.0000","end":"0.1000","step":"0.0010"},{"start":"0.1000","end":"1.0000","step":"0.0100"}],"rules_primary":"If it rains a lot."}"#;
    let table =
        folded(&[phase(10, 11, Phase::Created, None, cent), phase(20, 21, Phase::Changed, None, tapered)]);
    let m = id(Venue::Kalshi, "m");
    let (before, after) = (table.knew_at(&m, secs(15)).unwrap(), table.knew_at(&m, secs(25)).unwrap());
    assert!(!before.prices.unwrap().value.on_grid(55_000));
    // The ranges count, not the name beside them.
    assert!(after.prices.unwrap().value.on_grid(55_000) && !after.prices.unwrap().value.on_grid(555_000));
    assert_ne!(before.rules.unwrap().value, after.rules.unwrap().value);
    assert_eq!(before.strike, after.strike);
    assert_eq!(after.stage.unwrap().value.phase, Phase::Created, "Changed is no phase");
    assert_eq!(table.unreadable(), 0);
    assert_eq!(folded(&[phase(1, 1, Phase::Created, None, "{")]).unreadable(), 1);
}

#[test]
fn a_tick_size_row_is_a_new_grid_of_the_tokens_market() {
    let mut table = LifecycleTable::new();
    let token = schemas::Instrument {
        venue: Venue::Polymarket,
        native: "123".to_owned(),
        market: "0xaa".to_owned(),
        kind: InstrumentKind::Binary,
        price_decimals: 6,
        qty_decimals: 6,
    };
    table.fold(POLY, &row(0, secs(1), TapeBody::Instrument(Box::new(token))));
    table.fold(POLY, &row(0, secs(2), TapeBody::TickSize { old: Some(10_000), new: 1_000 }));
    let view = table.as_of(&id(Venue::Polymarket, "0xaa"), secs(2), secs(9)).unwrap();
    assert_eq!(view.prices.unwrap().value.step_up(500_000), Some(1_000));
}

#[test]
fn an_events_override_wins_and_a_null_clears_it() {
    let series = r#"{"series_ticker":"S","event_ticker":"E","fee_type":"quadratic","fee_multiplier":1}"#;
    let half = r#"{"event_ticker":"E","fee_type_override":null,"fee_multiplier_override":0.5}"#;
    let maker = r#"{"event_ticker":"E","fee_type_override":"quadratic_with_maker_fees","fee_multiplier_override":0.5}"#;
    let clear = r#"{"event_ticker":"E","fee_type_override":null,"fee_multiplier_override":null}"#;
    let update = |at, detail| told(at, at, life("E", at, Phase::Changed, "event_fee_update", None, detail));
    let table = folded(&[
        phase(10, 10, Phase::Active, None, series),
        update(20, half),
        update(30, maker),
        update(40, clear),
    ]);
    let m = id(Venue::Kalshi, "m");
    let at = |s: i64| match table.fee_terms(&m, secs(s), secs(s)) {
        Ok(FeeTerms::Kalshi(terms)) => format!("{:?} {}", terms.fee_type, terms.multiplier),
        other => format!("{other:?}"),
    };
    assert_eq!(at(9), format!("{:?}", Err::<(), _>(FeeError::ScheduleUnknown)));
    assert_eq!(at(10), "Quadratic 1000000");
    assert_eq!(at(20), "Quadratic 500000");
    assert_eq!(at(30), "QuadraticWithMaker 500000");
    assert_eq!(at(40), "Quadratic 1000000");
    assert_eq!(table.universe(Timestamp::MAX).count(), 1, "an event is no market");
}

/// Rows about two markets with any times and contents.
fn rows() -> impl Strategy<Value = Vec<TapeRow>> {
    let details = prop::sample::select(vec![
        "",
        r#"{"series_ticker":"S","fee_type":"quadratic","fee_multiplier":1}"#,
        r#"{"series_ticker":"T","fee_type":"quadratic","fee_multiplier":0.5,"category":"x"}"#,
        r#"{"price_level_structure":"deci_cent","rules_primary":"a"}"#,
        r#"{"event_ticker":"E","fee_multiplier_override":2}"#,
        r#"{"listed":false}"#,
    ]);
    let phases = prop::sample::select(vec![Phase::Active, Phase::Determined, Phase::Final, Phase::Changed]);
    let one = (0_u8..2, prop::option::of(0_i64..50), 0_i64..50, phases, prop::option::of(0_u32..3), details);
    let row = one.prop_map(|(market, valid, known, phase, payout, detail)| {
        let name = ["m", "n"][usize::from(market)];
        let mut row = life(name, 0, phase, "x", payout, detail);
        row.times = Times { venue_at: valid.map(secs), publish_at: None, recv_at: secs(known) };
        row
    });
    prop::collection::vec(row, 1..40)
}

proptest! {
    /// What was known at an instant stays what was known at it, whatever is received later.
    #[test]
    fn the_past_of_our_knowledge_never_changes(mut rows in rows(), known in 0_i64..50) {
        rows.sort_by_key(|row| row.times.recv_at);
        let until: Vec<TapeRow> =
            rows.iter().filter(|row| row.times.recv_at <= secs(known)).cloned().collect();
        let (then, now) = (folded(&until), folded(&rows));
        for market in ["m", "n"] {
            let market = id(Venue::Kalshi, market);
            for valid in 0..50 {
                let at = (secs(valid), secs(known));
                prop_assert_eq!(then.as_of(&market, at.0, at.1), now.as_of(&market, at.0, at.1));
                prop_assert_eq!(then.fee_terms(&market, at.0, at.1), now.fee_terms(&market, at.0, at.1));
            }
        }
        prop_assert!(then.universe(secs(known)).eq(now.universe(secs(known))));
    }
}
