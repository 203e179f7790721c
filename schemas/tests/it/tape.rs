//! One row of each kind of the tape, for the golden file and the round trips.

use schemas::{
    BookSide, BookState, CandleRow, GapReason, IndexPrice, IndexRow, Instrument, InstrumentKind,
    InstrumentNo, LifecycleRow, Phase, Ppm, TapeBody, TapeRow, Times, Timestamp, TopRow, TradeRow, Venue,
};

const AT: Timestamp = Timestamp(1_782_873_105_308_000_000);

fn bodies() -> Vec<(&'static str, TapeBody)> {
    let instrument = Instrument {
        venue: Venue::Kraken,
        native: "BTC/USD".to_owned(),
        market: "BTC/USD".to_owned(),
        kind: InstrumentKind::Spot,
        price_decimals: 1,
        qty_decimals: 8,
    };
    let index = IndexRow {
        value: IndexPrice(63_304_200_301_195_075_000_000),
        window_s: 60,
        window_end: Some(AT),
        carried_forward: false,
        settling: true,
    };
    let candle = CandleRow {
        start: AT,
        interval_s: 60,
        open: None,
        high: Some(9),
        low: Some(-9),
        close: Some(1),
        volume: 3,
        closed: true,
    };
    let life = LifecycleRow {
        market: "KXABC".to_owned(),
        phase: Phase::Amended,
        said: "amended".to_owned(),
        payout: Some(Ppm(500_000)),
        closes_at: None,
        detail: "{}".to_owned(),
    };
    let gap = BookState::Gap { reason: GapReason::Unreadable, from: AT, to: Some(AT) };
    vec![
        ("instrument", TapeBody::Instrument(Box::new(instrument))),
        ("clear", TapeBody::Clear),
        ("level", TapeBody::Level { side: BookSide::Ask, price: 420_000, qty: 12_050, snapshot: true }),
        (
            "trade",
            TapeBody::Trade(TradeRow {
                id: [7; 16],
                price: 1,
                qty: 2,
                taker: Some(BookSide::Bid),
                block: false,
            }),
        ),
        ("quote", TapeBody::Quote { bid: Some(TopRow { price: 1, qty: Some(2) }), ask: None }),
        ("index", TapeBody::Index(index)),
        ("candle", TapeBody::Candle(Box::new(candle))),
        ("tick_size", TapeBody::TickSize { old: Some(10_000), new: 1_000 }),
        ("lifecycle", TapeBody::Lifecycle(Box::new(life))),
        ("live", TapeBody::State(BookState::Live)),
        ("stale", TapeBody::State(BookState::Stale { since: AT })),
        ("resyncing", TapeBody::State(BookState::Resyncing { since: AT })),
        ("gap", TapeBody::State(gap)),
    ]
}

pub(crate) fn rows() -> Vec<(&'static str, TapeRow)> {
    let times = Times { venue_at: Some(AT), publish_at: None, recv_at: AT.plus(1) };
    let row = |body| TapeRow { raw_seq: 10, venue_seq: 9, instrument: InstrumentNo(3), times, body };
    bodies().into_iter().map(|(name, body)| (name, row(body))).collect()
}

#[test]
fn rows_come_back_as_they_went() {
    for (name, row) in rows() {
        let bytes = schemas::encode(&row);
        assert_eq!(schemas::decode::<TapeRow>(&bytes).unwrap(), row, "{name}");
        for cut in 0..bytes.len() {
            assert!(schemas::decode::<TapeRow>(&bytes[..cut]).is_err(), "{name} cut at {cut}");
        }
    }
}
