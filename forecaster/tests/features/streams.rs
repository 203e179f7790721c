//! Point in time, order, memory, snapshots: what a stream of records promises, on made-up and on awkward records.

use forecaster::features::market::{self, Bounds, MarketState};
use forecaster::features::{Stream, updown};
use proptest::prelude::*;
use schemas::{MarketId, Timestamp, Venue};

use crate::world::{Dice, Fact, MILLI, NOW_S, SECOND, id, lenient, quote, row, secs, state, tick, walk};

/// Records of an awkward feed: ticks late, early, twice, out of order; quotes at odd times. Ascending by known time.
fn awkward() -> impl Strategy<Value = Vec<Fact>> {
    let one = (0_i64..4_000, -1_500_i64..6_000, 1_u32..1_000, 0_u8..8);
    prop::collection::vec(one, 20..600).prop_map(|steps| {
        let mut known_ms = (NOW_S - 1_200) * 1_000;
        let mut facts = vec![(secs(NOW_S - 1_300), crate::world::listed())];
        for (step, lag, value, kind) in steps {
            // Every eighth record comes at the same time as the one before it.
            known_ms += if kind == 7 { 0 } else { step };
            let known_at = Timestamp::from_millis(known_ms);
            facts.push(if kind == 0 {
                quote(known_at, i64::from(value) * 500, i64::from(value) * 500 + 10_000)
            } else {
                tick(
                    known_at,
                    Timestamp::from_millis((known_ms - lag) / 500 * 500),
                    60_000.0 + f64::from(value),
                )
            });
        }
        facts
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A row never changes by anything that became known after its instant, and is the same from the records up to
    /// then alone.
    #[test]
    fn the_future_never_changes_a_row(facts in awkward(), cut in 0.0_f64..1.0) {
        let known = ((facts.len() - 1) as f64 * cut) as usize;
        let at = facts[known].0.plus(250 * MILLI);
        let past = facts.partition_point(|(known_at, _)| *known_at <= at);
        let mut half = state(&facts[..past]);
        let early = row(&mut half, at, &lenient()).unwrap();
        for (known_at, event) in &facts[past..] {
            half.apply(*known_at, event);
        }
        // What is known later falls out of the margin after two minutes of index time.
        let newest = facts.iter().map(|(known_at, _)| *known_at).max().unwrap();
        if newest.since(at) < 100 * SECOND {
            prop_assert_eq!(&row(&mut half, at, &lenient()).unwrap(), &early);
            prop_assert_eq!(&row(&mut state(&facts), at, &lenient()).unwrap(), &early);
        }
    }

    /// Of records of the same time the order in the log does not matter, unless they are about the same thing; then
    /// the last one counts.
    #[test]
    fn records_of_the_same_time_may_change_places(seed in any::<u64>(), swaps in 0_u64..20) {
        let mut facts = walk(seed, 400);
        // Bundles of records that became known together: eight ticks and a quote.
        for (i, fact) in facts.iter_mut().enumerate().skip(1) {
            fact.0 = secs(NOW_S - 400 + (i as i64 / 9) * 8 + 9);
        }
        let mut mixed = facts.clone();
        let mut dice = Dice(seed);
        for _ in 0..swaps * 10 {
            let i = 1 + dice.next() as usize % (mixed.len() - 2);
            let same_thing = matches!((&mixed[i].1, &mixed[i + 1].1), (schemas::MarketEvent::Quote(_), schemas::MarketEvent::Quote(_)));
            if mixed[i].0 == mixed[i + 1].0 && !same_thing {
                mixed.swap(i, i + 1);
            }
        }
        for back in [0, 7, 30] {
            let at = secs(NOW_S + 20 - back);
            prop_assert_eq!(
                row(&mut state(&mixed), at, &lenient()).unwrap(),
                row(&mut state(&facts), at, &lenient()).unwrap()
            );
        }
    }

    /// A snapshot goes on as if nothing had happened, and asking for rows changes no state.
    #[test]
    fn a_snapshot_is_the_state(facts in awkward(), cut in 0.0_f64..1.0) {
        let middle = (facts.len() as f64 * cut) as usize;
        let mut whole = Stream::new(&market::SET, 500);
        for (known_at, event) in &facts[..middle] {
            whole.apply(*known_at, event);
        }
        let saved = schemas::encode(&whole);
        if let Stream::Market(state) = &mut whole {
            row(state, secs(NOW_S), &lenient()).unwrap();
        }
        prop_assert_eq!(&schemas::encode(&whole), &saved, "a row left a trace");
        let mut loaded: Stream = schemas::decode(&saved).unwrap();
        prop_assert_eq!(&loaded, &whole);
        for (known_at, event) in &facts[middle..] {
            whole.apply(*known_at, event);
            loaded.apply(*known_at, event);
        }
        prop_assert_eq!(schemas::encode(&loaded), schemas::encode(&whole));
    }
}

#[test]
fn a_row_is_the_same_bits_after_other_rows() {
    // The shared part is cached: asking for other instants or markets in between must not show.
    let facts = walk(11, 3700);
    let at = |s: i64| secs(NOW_S + s);
    let fresh: Vec<_> = [-30, -5, 0].map(|s| row(&mut state(&facts), at(s), &lenient()).unwrap()).to_vec();
    let mut used = state(&facts);
    for _ in 0..2 {
        let again: Vec<_> = [-30, -5, 0].map(|s| row(&mut used, at(s), &lenient()).unwrap()).to_vec();
        assert_eq!(again, fresh);
    }
    // A tick that becomes known in between counts from then on.
    let mut live = state(&facts[..facts.len() - 1]);
    let before = row(&mut live, at(1), &lenient()).unwrap();
    let (known_at, event) = facts.last().unwrap();
    live.apply(*known_at, event);
    assert_ne!(row(&mut live, at(1), &lenient()).unwrap(), before);
    assert_eq!(
        row(&mut live, at(1), &lenient()).unwrap(),
        row(&mut state(&facts), at(1), &lenient()).unwrap()
    );
}

#[test]
fn memory_is_bounded_and_drops_are_counted() {
    let bounds = Bounds { max_ticks: 100, max_symbols: 1, max_markets: 2, max_instruments: 2 };
    let mut state = MarketState::new(bounds);
    let mut evicted = 0;
    for s in 0..10_000 {
        let (known_at, event) = tick(secs(NOW_S + s), secs(NOW_S + s), 100.0);
        evicted += state.apply(known_at, &event).evicted;
    }
    assert_eq!((state.ticks("btc/usd"), evicted), (100, 9_900));
    for (n, closes_in) in [(1, 0), (2, 0), (3, 0), (4, 400)] {
        let schemas::MarketEvent::Listed(mut market) = crate::world::listed() else { unreachable!() };
        market.id = MarketId { venue: Venue::Polymarket, native: format!("0x{n}") };
        market.closes_at = secs(NOW_S + closes_in);
        // The third finds no room; the fourth comes when the first two are long over.
        let known_at = secs(NOW_S + if n == 4 { 301 } else { 0 });
        state.apply(known_at, &schemas::MarketEvent::Listed(market));
    }
    state.apply(secs(NOW_S), &quote(secs(NOW_S), 1, 2).1);
    let eth = schemas::IndexTick {
        symbol: "eth/usd".to_owned(),
        feed_at: secs(NOW_S),
        value: crate::world::price(1.0),
        server_at: None,
    };
    state.apply(secs(NOW_S), &schemas::MarketEvent::Tick(eth));
    let counts = state.counts();
    assert_eq!((counts.markets, counts.unlisted, counts.symbols), (1, 1, 1));
}

#[test]
fn nothing_is_allocated_after_warm_up() {
    let facts = walk(3, 9_000);
    for set in [&market::SET, &updown::SET] {
        let mut stream = Stream::new(set, 4_000);
        let mut out = vec![0.0; set.width()];
        let market = id();
        let query = crate::world::query(&market);
        let mut go_on = |from: usize, to: usize| {
            for (known_at, event) in &facts[from..to] {
                stream.apply(*known_at, event);
                let _ = stream.row(&query, *known_at, &lenient(), &mut out);
            }
        };
        let warm = facts.len() * 3 / 4;
        go_on(0, warm);
        let allocated = allocation_counter::measure(|| go_on(warm, facts.len()));
        assert_eq!(allocated.count_total, 0, "{}", set.name);
    }
}
