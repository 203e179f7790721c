//! How long a model takes for one row and for 64; rows rotate, because one row repeated trains the branch predictor.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forecaster::Bundle;
use forecaster::Device;
use forecaster::edge::{Engines, Search};
use forecaster::features::{Target, updown};
use forecaster::history::History;
use ndarray::{Array2, Axis, Slice};
use schemas::{IndexPrice, Timestamp};

/// Distinct rows.
const ROWS: usize = 8192;

/// Rows between the golden ones, none twice in a row.
fn rotating(bundle: &Bundle) -> Array2<f32> {
    let pairs = bundle.golden().pairs();
    Array2::from_shape_fn((ROWS, 10), |(i, j)| {
        let t = (i * 2_654_435_761 % 1000) as f32 / 1000.0;
        let (a, b) = (&pairs[i % pairs.len()].input, &pairs[(i * 7 + 3) % pairs.len()].input);
        a[j] * t + b[j] * (1.0 - t)
    })
}

fn infer(c: &mut Criterion) {
    #[allow(clippy::disallowed_methods, reason = "the benchmark stands where node stands")]
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let library = match Search::here(None, env).find() {
        Ok(library) => library,
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            return;
        }
    };
    let engine = Engines::open(&library).unwrap();
    for name in ["closed-form", "logistic", "gbt", "mlp"] {
        let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models")).join(name);
        let bundle = Bundle::load(&dir).unwrap();
        let mut model = engine.load(&bundle, Device::Cpu).unwrap();
        let rows = rotating(&bundle);
        for batch in [1, 64] {
            let mut group = c.benchmark_group(name);
            group.throughput(Throughput::Elements(batch as u64));
            let mut next = 0;
            group.bench_function(format!("b{batch}"), |b| {
                b.iter(|| {
                    next = (next + batch) % (ROWS - batch);
                    let view = rows.slice_axis(Axis(0), Slice::from(next..next + batch));
                    black_box(model.predict(view).unwrap())
                });
            });
            group.finish();
        }
    }
}

fn rows(c: &mut Criterion) {
    let mut history = History::new(10_000);
    for s in 0..3700 {
        let cents = 6_300_000 + (s * 7919) % 500;
        history.offer(Timestamp::from_secs(s), IndexPrice(i128::from(cents) * 10_000_000_000_000_000));
    }
    let target = Target {
        strike: IndexPrice(63_001 * IndexPrice::ONE),
        opens_at: Timestamp::from_secs(3700),
        starts_at: Timestamp::from_secs(3640),
        resolves_at: Timestamp::from_secs(3940),
    };
    c.bench_function("features/row", |b| {
        b.iter(|| updown::row(black_box(&history), black_box(&target), 0, i64::MAX).unwrap());
    });
}

criterion_group!(benches, infer, rows);
criterion_main!(benches);
