//! Tape rows as input: books, spot venues, an index, by hand and against a book that is kept the slow way.

use std::collections::BTreeMap;

use forecaster::features::NoRow;
use forecaster::features::market::spot::pair;
use forecaster::features::market::tape::index_symbol;
use forecaster::features::market::{self, Bounds, MarketState};
use proptest::prelude::*;
use schemas::tape::{
    BookSide, BookState, IndexRow, Instrument, InstrumentKind, InstrumentNo, TapeBody, TapeRow, Times, TopRow,
};
use schemas::{MarketEvent, MarketId, Timestamp, Venue};

use crate::world::{NOW_S, SECOND, lenient, listed, needing, price, row, secs};

fn at(no: u32, recv_at: Timestamp, body: TapeBody) -> TapeRow {
    let times = Times { recv_at, ..Times::default() };
    TapeRow { raw_seq: 0, venue_seq: 0, instrument: InstrumentNo(no), times, body }
}

fn instrument(no: u32, venue: Venue, native: &str, market: &str, kind: InstrumentKind) -> TapeRow {
    let instrument = Instrument {
        venue,
        native: native.to_owned(),
        market: market.to_owned(),
        kind,
        price_decimals: 2,
        qty_decimals: 0,
    };
    at(no, secs(NOW_S - 100), TapeBody::Instrument(Box::new(instrument)))
}

fn level(no: u32, recv_at: Timestamp, side: BookSide, price: i64, qty: i64) -> TapeRow {
    at(no, recv_at, TapeBody::Level { side, price, qty, snapshot: false })
}

/// A state with the market's Up token as 0, its Down token as 1, Coinbase as 2, Kraken as 3, the index as 4.
fn introduced() -> MarketState {
    let mut state = MarketState::new(Bounds::one_pair(1_000));
    state.apply(secs(NOW_S - 100), &listed());
    for row in [
        instrument(0, Venue::Polymarket, "up", "0xaa", InstrumentKind::Binary),
        instrument(1, Venue::Polymarket, "down", "0xaa", InstrumentKind::Binary),
        instrument(2, Venue::Coinbase, "BTC-USD", "BTC-USD", InstrumentKind::Spot),
        instrument(3, Venue::Kraken, "XBT/USD", "XBT/USD", InstrumentKind::Spot),
        instrument(4, Venue::Polymarket, "crypto_prices_chainlink:btc/usd", "", InstrumentKind::Index),
    ] {
        state.apply_tape(&row);
    }
    for no in [0, 1, 3] {
        state.apply_tape(&at(no, secs(NOW_S - 90), TapeBody::Clear));
    }
    let index = IndexRow {
        value: price(63_000.0),
        window_s: 0,
        window_end: None,
        carried_forward: false,
        settling: false,
    };
    state.apply_tape(&at(4, secs(NOW_S - 1), TapeBody::Index(index)));
    state
}

fn value(state: &mut MarketState, at: Timestamp, name: &str) -> Option<f64> {
    let index = market::SET.position(name).unwrap();
    row(state, at, &needing(&[name])).ok().map(|row| f64::from(row[index]))
}

#[test]
fn a_book_gives_hand_computed_values() {
    let now = secs(NOW_S);
    let mut state = introduced();
    state.apply_tape(&at(0, now.plus(-2), TapeBody::Clear));
    for (side, price, qty) in [
        (BookSide::Bid, 40, 30),
        (BookSide::Bid, 39, 10),
        (BookSide::Bid, 38, 20),
        (BookSide::Ask, 42, 10),
        (BookSide::Ask, 43, 50),
    ] {
        state.apply_tape(&level(0, now.plus(-2), side, price, qty));
        // The Down token's book has other prices and does not count.
        state.apply_tape(&level(1, now.plus(-2), side, price, 999));
    }
    let micro = (0.40 * 10.0 + 0.42 * 30.0) / 40.0 - 0.41;
    let cases = [
        ("book_imbalance_1", 20.0 / 40.0),
        ("book_imbalance_5", 0.0),
        ("book_micro_gap", micro),
        ("book_spread", 0.02),
        ("book_depth_5", 121.0_f64.ln()),
        ("book_age_s", 2e-9),
        ("mkt_mid", 0.41),
        ("mkt_spread", 0.02),
    ];
    for (name, want) in cases {
        let got = value(&mut state, now, name).unwrap();
        assert!((got - want).abs() < 1e-8 + 2e-7 * want, "{name}: {got}, not {want}");
    }
    assert_eq!(value(&mut state, now.plus(-3), "book_spread"), None, "before it was known");
    // A side runs empty, the feed is lost, the book crosses: nothing is said.
    for change in [
        level(0, now, BookSide::Bid, 50, 1),
        at(0, now, TapeBody::State(BookState::Resyncing { since: now })),
        at(0, now, TapeBody::Clear),
    ] {
        let mut state = state.clone();
        state.apply_tape(&change);
        assert_eq!(value(&mut state, now, "book_spread"), None, "{change:?}");
        assert_eq!(value(&mut state, now, "mkt_mid"), None, "{change:?}");
        assert!(value(&mut state, now.plus(-1), "book_spread").is_some(), "what was known then stays");
    }
    assert_eq!(value(&mut state, now.plus(60 * SECOND), "book_spread"), None, "stale");
}

#[test]
fn spot_venues_stand_beside_the_index() {
    let now = secs(NOW_S);
    let mut state = introduced();
    let top = |price| Some(TopRow { price, qty: None });
    state.apply_tape(&at(2, now, TapeBody::Quote { bid: top(6_301_000), ask: top(6_303_000) }));
    let coinbase = (63_020.0_f64 / 63_000.0).ln();
    let near =
        |got: Option<f64>, want: f64| assert!((got.unwrap() - want).abs() < 1e-9, "{got:?}, not {want}");
    near(value(&mut state, now, "xv_coinbase"), coinbase);
    near(value(&mut state, now, "xv_mean"), coinbase);
    assert_eq!(value(&mut state, now, "xv_width"), None, "one venue has no width");
    state.apply_tape(&level(3, now, BookSide::Bid, 6_296_000, 5));
    state.apply_tape(&level(3, now, BookSide::Ask, 6_298_000, 5));
    let kraken = (62_970.0_f64 / 63_000.0).ln();
    near(value(&mut state, now, "xv_kraken"), kraken);
    near(value(&mut state, now, "xv_mean"), f64::midpoint(coinbase, kraken));
    near(value(&mut state, now, "xv_width"), coinbase - kraken);
    assert_eq!(value(&mut state, now, "xv_perp"), None);
    assert_eq!(value(&mut state, now.plus(11 * SECOND), "xv_kraken"), None, "stale");
}

#[test]
fn a_book_without_its_snapshot_says_nothing() {
    let now = secs(NOW_S);
    let mut state = introduced();
    // The token turns out to be of this market only now; its levels so far are lost, so the book is not whole.
    state.apply_tape(&instrument(5, Venue::Polymarket, "up", "", InstrumentKind::Binary));
    state.apply_tape(&level(5, now, BookSide::Bid, 40, 1));
    state.apply_tape(&instrument(5, Venue::Kalshi, "KX-1", "", InstrumentKind::Binary));
    let kalshi = MarketId { venue: Venue::Kalshi, native: "KX-1".to_owned() };
    let index = market::SET.position("book_spread").unwrap();
    let spread = |state: &mut MarketState| {
        let mut out = vec![0.0; market::WIDTH];
        let query = forecaster::features::Query { market: &kalshi, ..crate::world::query(&kalshi) };
        state.row(&query, now, &needing(&["book_spread"]), &mut out).map(|()| out[index])
    };
    let sides = [(BookSide::Bid, 40), (BookSide::Ask, 42)];
    for (side, price) in sides {
        state.apply_tape(&level(5, now, side, price, 1));
    }
    assert_eq!(spread(&mut state), Err(NoRow::Missing(index as u8)));
    state.apply_tape(&at(5, now, TapeBody::Clear));
    for (side, price) in sides {
        state.apply_tape(&level(5, now, side, price, 1));
    }
    assert_eq!(spread(&mut state), Ok(0.02));
    // Another tape: no book goes on.
    state.begin_tape();
    state.apply_tape(&level(5, now, BookSide::Bid, 41, 1));
    assert_eq!(spread(&mut state), Err(NoRow::Missing(index as u8)));
}

#[test]
fn pairs_of_venues_have_one_name() {
    for native in ["BTC-USD", "BTC/USD", "XBT/USD", "BTCUSDT", "btcusdc"] {
        assert_eq!(pair(native).as_deref(), Some("btc/usd"), "{native}");
    }
    for native in ["BTC-EUR", "USD", "ETHBTC", ""] {
        assert_eq!(pair(native), None, "{native}");
    }
    assert_eq!(pair("ETH-USD").as_deref(), Some("eth/usd"));
    let indices = ["crypto_prices_chainlink:btc/usd", "btcusd", "crypto_prices:btcusdt"].map(index_symbol);
    assert_eq!(indices.map(|i| i.is_some()), [true, true, false]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The book beside one that is kept in maps.
    #[test]
    fn a_book_agrees_with_a_slow_one(changes in prop::collection::vec((any::<bool>(), 1_i64..99, 0_i64..5), 1..200)) {
        let mut state = introduced();
        let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
        for (i, (bid, price, qty)) in changes.into_iter().enumerate() {
            let now = secs(NOW_S).plus(i as i64);
            let (side, map) = if bid { (BookSide::Bid, &mut bids) } else { (BookSide::Ask, &mut asks) };
            state.apply_tape(&level(0, now, side, price, qty));
            if qty == 0 { map.remove(&price); } else { map.insert(price, qty); }
            let best = bids.last_key_value().zip(asks.first_key_value()).filter(|(b, a)| b.0 < a.0);
            let want = best.map(|_| {
                let bid: i64 = bids.values().rev().take(5).sum();
                let ask: i64 = asks.values().take(5).sum();
                (bid as f64 - ask as f64) / (bid as f64 + ask as f64)
            });
            let got = value(&mut state, now, "book_imbalance_5");
            prop_assert_eq!(got.is_some(), want.is_some());
            if let (Some(got), Some(want)) = (got, want) {
                prop_assert!((got - want).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn a_tape_row_allocates_nothing_after_warm_up() {
    let mut state = introduced();
    let mut out = vec![0.0; market::WIDTH];
    let id = crate::world::id();
    let query = crate::world::query(&id);
    let mut go_on = |from: i64, to: i64| {
        for i in from..to {
            let now = secs(NOW_S).plus(i * SECOND / 10);
            state.apply_tape(&level(0, now, BookSide::Bid, 20 + i % 20, 1 + i % 7));
            state.apply_tape(&level(0, now, BookSide::Ask, 60 + i % 20, 1 + i % 5));
            state.apply_tape(&level(2, now, BookSide::Bid, 6_300_000 - i % 50, 1 + i % 7));
            let _ = state.row(&query, now, &lenient(), &mut out);
        }
    };
    go_on(0, 2_000);
    let allocated = allocation_counter::measure(|| go_on(2_000, 4_000));
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn an_empty_market_event_changes_nothing() {
    let mut state = introduced();
    let before = schemas::encode(&state);
    state.apply(secs(NOW_S), &MarketEvent::Feed(schemas::FeedState::Live));
    assert_eq!(schemas::encode(&state), before);
}
