//! What a tick and a row of `market-1` cost: the first row of an instant, and the 10,000 after it.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forecaster::features::market::{self, Bounds, MarketState};
use forecaster::features::{Gate, Needs, Query, Stream, updown};
use schemas::{IndexPrice, IndexTick, Market, MarketEvent, MarketId, Price, Quote, Timestamp, Venue};

const NOW_S: i64 = 1_780_925_820;
const MARKETS: u32 = 10_000;
const SYMBOL: &str = "btc/usd";

fn price(s: i64) -> IndexPrice {
    // A walk without dice: two waves of different length.
    let cents = 6_300_000 + (s % 97) * (s % 89) - (s % 61) * 40;
    IndexPrice(i128::from(cents) * 10_000_000_000_000_000)
}

fn tick(s: i64) -> (Timestamp, MarketEvent) {
    let feed_at = Timestamp::from_secs(s);
    let tick = IndexTick { symbol: SYMBOL.to_owned(), feed_at, value: price(s), server_at: None };
    (feed_at.plus(700_000_000), MarketEvent::Tick(tick))
}

fn id(n: u32) -> MarketId {
    MarketId { venue: Venue::Polymarket, native: format!("0x{:064x}", u64::from(n) * 0x9e37_79b9_7f4a) }
}

/// An hour of ticks and, for every market, a quote each half minute of the last two.
fn full() -> MarketState {
    let bounds = Bounds { max_ticks: 16_384, max_symbols: 8, max_markets: MARKETS, max_instruments: 16 };
    let mut state = MarketState::new(bounds);
    for s in NOW_S - 3_800..=NOW_S {
        let (known_at, event) = tick(s);
        state.apply(known_at, &event);
    }
    for n in 0..MARKETS {
        let market = Market {
            id: id(n),
            slug: String::new(),
            title: String::new(),
            symbol: SYMBOL.to_owned(),
            starts_at: Timestamp::from_secs(NOW_S - 120),
            closes_at: Timestamp::from_secs(NOW_S + 180),
            strike: None,
            token_ids: vec!["up".to_owned(), "down".to_owned()],
            fee_rate: None,
        };
        state.apply(Timestamp::from_secs(NOW_S - 150), &MarketEvent::Listed(market));
        for back in [120, 90, 60, 30, 1] {
            let bid = 400_000 + i64::from(n % 100) * 1_000 + back * 100;
            let quote = Quote { market: id(n), bid: Some(Price(bid)), ask: Some(Price(bid + 10_000)) };
            state.apply(Timestamp::from_secs(NOW_S - back), &MarketEvent::Quote(quote));
        }
    }
    state
}

fn query(market: &MarketId, n: u32) -> Query<'_> {
    Query {
        market,
        symbol: SYMBOL,
        strike: price(NOW_S - 120 - i64::from(n % 60)),
        starts_at: Timestamp::from_secs(NOW_S - 120),
        resolves_at: Timestamp::from_secs(NOW_S + 180),
    }
}

fn gate(needs: Needs) -> Gate {
    Gate { needs, min_history_ns: 0, max_input_age_ns: 30_000_000_000 }
}

fn rows(c: &mut Criterion) {
    let mut state = full();
    let ids: Vec<MarketId> = (0..MARKETS).map(id).collect();
    let names = ["z_rv_900s", "z_gk_900s", "mkt_mid", "mkt_ret_60s", "rv_3600s", "path_00", "day_sin"];
    let gate = gate(Needs::named(&market::SET, names).expect("the features are of the set"));
    let mut out = vec![0.0_f32; market::WIDTH * MARKETS as usize];
    let mut at = Timestamp::from_secs(NOW_S).plus(800_000_000);
    let mut group = c.benchmark_group("market-1");
    group.bench_function("first row of an instant", |b| {
        b.iter(|| {
            // Another instant every time, so that nothing is shared.
            at = at.plus(1);
            state.row(&query(&ids[0], 0), at, &gate, &mut out[..market::WIDTH]).expect("nothing is missing");
            black_box(out[0])
        });
    });
    group.throughput(Throughput::Elements(u64::from(MARKETS)));
    group.bench_function("rows of 10,000 markets", |b| {
        b.iter(|| {
            at = at.plus(1);
            for ((n, id), row) in (0..).zip(&ids).zip(out.chunks_exact_mut(market::WIDTH)) {
                state.row(&query(id, n), at, &gate, row).expect("nothing is missing");
            }
            black_box(out[0])
        });
    });
    group.finish();
}

fn ticks(c: &mut Criterion) {
    let mut group = c.benchmark_group("ticks");
    for set in [&market::SET, &updown::SET] {
        let mut stream = Stream::new(set, 16_384);
        let mut s = NOW_S - 4_000;
        for _ in 0..8_000 {
            s += 1;
            let (known_at, event) = tick(s);
            stream.apply(known_at, &event);
        }
        group.bench_function(set.name, |b| {
            b.iter_batched_ref(
                || {
                    s += 1;
                    tick(s)
                },
                |(known_at, event)| black_box(stream.apply(*known_at, event)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    let mut stream = Stream::new(&updown::SET, 16_384);
    for s in NOW_S - 3_800..=NOW_S {
        let (known_at, event) = tick(s);
        stream.apply(known_at, &event);
    }
    let (market, gate) = (id(0), gate(Needs::all(&updown::SET)));
    let mut out = [0.0; updown::WIDTH];
    c.bench_function("updown-1/row", |b| {
        let at = Timestamp::from_secs(NOW_S);
        b.iter(|| stream.row(&query(&market, 0), at, &gate, &mut out).expect("nothing is missing"));
    });
}

criterion_group!(benches, rows, ticks);
criterion_main!(benches);
