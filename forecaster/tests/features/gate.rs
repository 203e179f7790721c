//! The gate: what is needed and not legal becomes an abstention that names it; what is not needed never does.

use forecaster::AbstainReason;
use forecaster::features::{Gate, Needs, NoRow, Stream, market, updown};
use proptest::prelude::*;
use schemas::IndexPrice;

use crate::world::{NOW_S, SECOND, id, lenient, needing, query, row, secs, state, tick, walk};

fn place(name: &str) -> u8 {
    market::SET.position(name).unwrap() as u8
}

#[test]
fn each_reason_has_its_code_and_names_the_feature() {
    let now = secs(NOW_S).plus(SECOND);
    let calm = |at_s: i64, dollars: f64| tick(secs(at_s), secs(at_s), dollars);
    let cases = vec![
        ("nothing", vec![], "ret_60s", "feature_missing"),
        ("a stale index", vec![calm(NOW_S - 40, 100.0)], "log_moneyness", "feature_stale"),
        (
            "a short history",
            vec![calm(NOW_S - 40, 100.0), calm(NOW_S, 100.0)],
            "ret_60s",
            "feature_short_history",
        ),
        // 62,950 is far from 100.
        ("far off", vec![calm(NOW_S, 100.0)], "log_moneyness", "feature_out_of_range"),
        ("no quote", walk(1, 3700), "mkt_edge", ""),
        ("no book", walk(1, 3700), "book_micro_gap", "feature_missing"),
        ("no venue", walk(1, 3700), "xv_coinbase", "feature_missing"),
    ];
    for (name, facts, feature, code) in cases {
        let got = row(&mut state(&facts), now, &needing(&[feature]));
        let told = got.as_ref().err().map(|no| AbstainReason::no_row(*no, &market::SET));
        assert_eq!(told.as_ref().map_or("", AbstainReason::code), code, "{name}");
        assert_eq!(
            told.as_ref().and_then(AbstainReason::feature),
            (!code.is_empty()).then_some(feature),
            "{name}"
        );
        // The same records give a row to who needs something else.
        let other = row(&mut state(&facts), now, &needing(&["tau_s", "day_sin"]));
        assert!(other.is_ok_and(|row| row.iter().all(|x| x.is_finite())), "{name}");
    }
    let market = id();
    let no_strike = forecaster::features::Query { strike: IndexPrice(0), ..query(&market) };
    let mut out = vec![0.0; market::WIDTH];
    let got = state(&walk(1, 3700)).row(&no_strike, now, &needing(&["z_rv_900s"]), &mut out);
    assert_eq!(got, Err(NoRow::NotFinite(place("z_rv_900s"))));
}

#[test]
fn updown_rows_pass_the_same_gate() {
    let facts: Vec<_> =
        (0..=300).map(|s| tick(secs(NOW_S - 300 + s), secs(NOW_S - 300 + s), 63_000.0)).collect();
    let mut stream = Stream::new(&updown::SET, 1000);
    for (known_at, event) in &facts {
        stream.apply(*known_at, event);
    }
    let mut ask = |strike: i128, needs: &[&str]| {
        let gate = Gate {
            needs: Needs::named(&updown::SET, needs.iter().copied()).unwrap(),
            min_history_ns: 0,
            max_input_age_ns: SECOND,
        };
        let market = id();
        let query = forecaster::features::Query { strike: IndexPrice(strike), ..query(&market) };
        let mut out = [0.0; updown::WIDTH];
        stream.row(&query, secs(NOW_S), &gate, &mut out).map(|()| out)
    };
    assert_eq!(ask(0, &["log_moneyness"]), Err(NoRow::NotFinite(0)));
    assert_eq!(ask(IndexPrice::ONE, &["log_moneyness"]), Err(NoRow::OutOfRange(0)));
    let row = ask(0, &["vol_15m", "ret_60s"]).unwrap();
    assert_eq!((row[0], row[7], row[1]), (0.0, 0.0, 180.0), "what is not needed and not there is 0");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever arrives, a row is finite and in range, or there is an abstention about a needed feature.
    #[test]
    fn no_row_ever_holds_an_illegal_number(
        steps in prop::collection::vec((0_i64..90_000, 0_i64..5_000, 1_u64..10_000_000_000), 0..60),
        strike in any::<i64>(),
        needed in prop::collection::vec(0_usize..market::WIDTH, 0..4),
        later_ms in 0_i64..200_000,
    ) {
        let mut known_ms = (NOW_S - 2_000) * 1_000;
        let mut state = state(&[(secs(NOW_S - 3_000), crate::world::listed())]);
        for (step_ms, lag_ms, cents) in steps {
            known_ms += step_ms;
            let at = schemas::Timestamp::from_millis(known_ms - lag_ms);
            let (known_at, event) = tick(schemas::Timestamp::from_millis(known_ms), at, cents as f64 / 100.0);
            state.apply(known_at, &event);
        }
        let needs: Needs = needed.iter().copied().collect();
        let market = id();
        let query = forecaster::features::Query { strike: IndexPrice(i128::from(strike) << 40), ..query(&market) };
        let gate = Gate { needs, ..lenient() };
        let mut out = vec![f32::NAN; market::WIDTH];
        let at = schemas::Timestamp::from_millis(known_ms + later_ms);
        let got = state.row(&query, at, &gate, &mut out);
        for (value, spec) in out.iter().zip(market::SET.specs) {
            let legal = *value >= spec.least as f32 && *value <= spec.most as f32;
            prop_assert!(legal || *value == 0.0, "{} is {value}", spec.name);
        }
        if let Err(no) = got {
            let name = no.feature(&market::SET).unwrap();
            prop_assert!(needs.contains(market::SET.position(name).unwrap()));
        }
    }
}
