//! How fast frames become facts: decode alone, and the whole feed with its archive record around it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ingest::venue::polymarket::{gamma, rtds};
use ingest::{Feed, FeedConfig};
use schemas::{Machine as _, Raw, Record, Timestamp};

const START: i64 = 1_780_876_800;

fn frame(second: i64) -> Vec<u8> {
    format!(
        r#"{{"topic":"crypto_prices_chainlink","type":"update","timestamp":{}123,"payload":{{"symbol":"btc/usd","timestamp":{}000,"value":63304.20030119507,"full_accuracy_value":"63304200301195075000000"}}}}"#,
        START + second,
        START + second
    )
    .into_bytes()
}

fn event() -> String {
    format!(
        r#"[{{"id":"1","slug":"btc-updown-5m-{START}","title":"t","eventMetadata":{{"priceToBeat":63304.200301195075}},"markets":[{{"conditionId":"0x{:064x}","slug":"btc-updown-5m-{START}","question":"q","outcomes":"[\"Up\", \"Down\"]","outcomePrices":"[\"0.5\", \"0.5\"]","clobTokenIds":"[\"1\", \"2\"]","closed":false,"acceptingOrders":true,"endDate":"2026-06-08T00:05:00Z","bestBid":0.5,"bestAsk":0.51,"feeSchedule":{{"rate":0.07}}}}]}}]"#,
        1
    )
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    let update = frame(0);
    group.bench_function("rtds_update", |b| b.iter(|| rtds::decode(black_box(&update), "btc/usd", 1 << 20)));
    let body = event();
    let slug = format!("btc-updown-5m-{START}");
    let want = gamma::Expected {
        slug: &slug,
        symbol: "btc/usd",
        starts_at: Timestamp::from_secs(START),
        closes_at: Timestamp::from_secs(START + 300),
    };
    group.bench_function("gamma_event", |b| b.iter(|| gamma::decode(black_box(body.as_bytes()), &want)));
    group.finish();
}

fn feed(c: &mut Criterion) {
    const FRAMES: usize = 10_000;
    let at = |second: i64| Timestamp::from_secs(START + second);
    let record = |second: i64, body| Record { seq: 1, at: at(second), body };
    let mut open = Feed::new(FeedConfig::default());
    let mut out = Vec::new();
    open.apply(&record(0, Raw::TimeAdvanced { to: at(0) }), &mut out);
    open.apply(&record(0, Raw::Connected { conn: 1 }), &mut out);
    let frames: Vec<_> =
        (0..FRAMES as i64).map(|n| record(n, Raw::Frame { conn: 1, bytes: frame(n) })).collect();
    let mut group = c.benchmark_group("feed");
    group.throughput(Throughput::Elements(FRAMES as u64));
    group.bench_function("apply_10k_frames", |b| {
        b.iter(|| {
            let mut feed = open.clone();
            let mut out = Vec::with_capacity(8);
            for frame in &frames {
                out.clear();
                feed.apply(black_box(frame), &mut out);
            }
            feed.counts().ticks
        });
    });
    group.finish();
}

criterion_group!(benches, decode, feed);
criterion_main!(benches);
