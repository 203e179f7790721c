//! Coverage: a state counts from when it truly began, days end at midnight UTC, nothing is claimed outside the tape.

use ingest::coverage::{Coverage, DAY_NS, MarketDay, Report, day_name};
use schemas::{
    BookState, GapReason, Instrument, InstrumentKind, InstrumentNo, TapeBody, TapeRow, Times, Timestamp,
    Venue,
};

const SECOND: i64 = 1_000_000_000;
/// 2026-07-01 23:59:00 UTC, a minute before midnight.
const LATE: i64 = 20_635 * DAY_NS + 86_340 * SECOND;

fn row(at_s: i64, no: u32, body: TapeBody) -> TapeRow {
    let times = Times { recv_at: Timestamp(LATE + at_s * SECOND), ..Times::default() };
    TapeRow { raw_seq: 1, venue_seq: 0, instrument: InstrumentNo(no), times, body }
}

fn introduced(at_s: i64, no: u32, native: &str, kind: InstrumentKind) -> TapeRow {
    let instrument = Instrument {
        venue: Venue::Kalshi,
        native: native.to_owned(),
        market: String::new(),
        kind,
        price_decimals: 6,
        qty_decimals: 2,
    };
    row(at_s, no, TapeBody::Instrument(Box::new(instrument)))
}

fn state(at_s: i64, no: u32, state: BookState) -> TapeRow {
    row(at_s, no, TapeBody::State(state))
}

fn at(s: i64) -> Timestamp {
    Timestamp(LATE + s * SECOND)
}

fn fold(rows: &[TapeRow]) -> Report {
    let mut coverage = Coverage::default();
    for row in rows {
        coverage.observe(row);
    }
    coverage.finish()
}

#[test]
fn every_kind_of_time_is_counted_from_when_it_began_and_cut_at_midnight() {
    let gap = |to| BookState::Gap { reason: GapReason::SequenceSkipped, from: at(50), to };
    let report = fold(&[
        introduced(0, 0, "A", InstrumentKind::Binary),
        state(10, 0, BookState::Live),
        // Noticed at 55 s; what was last known is of 50 s.
        state(55, 0, gap(None)),
        row(70, 0, TapeBody::Clear),
        state(70, 0, gap(Some(at(70)))),
        state(70, 0, BookState::Live),
        // Silence since 80 s, noticed at 110 s.
        state(110, 0, BookState::Stale { since: at(80) }),
        state(120, 0, BookState::Live),
        introduced(130, 1, "BRTI", InstrumentKind::Index),
    ]);
    let days: Vec<_> = report.days.iter().map(|(key, day)| (key.native.as_str(), key.day, day)).collect();
    let first = MarketDay {
        from: at(0),
        to: at(60),
        live_ns: 40 * SECOND,
        resyncing_ns: 10 * SECOND,
        gap_ns: [("sequence_skipped", 10 * SECOND)].into(),
        gaps: 1,
        ..MarketDay::default()
    };
    let second = MarketDay {
        from: at(60),
        to: at(130),
        live_ns: 20 * SECOND,
        stale_ns: 40 * SECOND,
        gap_ns: [("sequence_skipped", 10 * SECOND)].into(),
        ..MarketDay::default()
    };
    assert_eq!(days, [("A", 20_635, &first), ("A", 20_636, &second)]);
    assert_eq!(report.without_book, 1);
    for day in report.days.values() {
        assert_eq!(day.live_ns + day.stale_ns + day.resyncing_ns + day.lost_ns(), day.to.since(day.from));
    }
}

#[test]
fn an_open_gap_lasts_to_the_last_row_and_a_later_machine_starts_anew() {
    let mut coverage = Coverage::default();
    let lost = BookState::Gap { reason: GapReason::Disconnected, from: at(5), to: None };
    for row in [introduced(0, 0, "A", InstrumentKind::Spot), state(0, 0, BookState::Live), state(6, 0, lost)]
    {
        coverage.observe(&row);
    }
    coverage.observe(&introduced(20, 1, "QUOTED", InstrumentKind::Spot));
    coverage.session();
    // Nothing is claimed between 20 s and 30 s.
    for row in [
        introduced(30, 0, "A", InstrumentKind::Spot),
        state(31, 0, BookState::Live),
        row(40, 0, TapeBody::Clear),
    ] {
        coverage.observe(&row);
    }
    let report = coverage.finish();
    assert_eq!(report.without_book, 1, "an instrument that never had a book is no market day");
    let day = report.days.values().next().unwrap();
    assert_eq!((day.live_ns, day.resyncing_ns), ((5 + 9) * SECOND, SECOND));
    assert_eq!(day.gap_ns, [("disconnected", 15 * SECOND)].into());
    assert_eq!(day.gaps, 1);
}

#[test]
fn an_instrument_told_again_keeps_its_history() {
    let report = fold(&[
        introduced(0, 0, "A", InstrumentKind::Binary),
        state(0, 0, BookState::Live),
        introduced(10, 0, "A", InstrumentKind::Binary),
        row(20, 0, TapeBody::Clear),
    ]);
    assert_eq!(report.days.values().next().unwrap().live_ns, 20 * SECOND);
}

#[test]
fn no_rows_no_claims() {
    assert_eq!(fold(&[]), Report::default());
}

#[test]
fn days_have_their_names() {
    for (day, name) in [
        (0, "1970-01-01"),
        (20_635, "2026-07-01"),
        (11_016, "2000-02-29"),
        (-1, "1969-12-31"),
        (47_540, "2100-02-28"),
        (47_541, "2100-03-01"),
    ] {
        assert_eq!(day_name(day), name);
    }
}
