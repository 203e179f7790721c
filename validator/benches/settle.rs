//! How many predictions a core admits, scores and settles in a second; it measures the machine, never a disk.
#![allow(clippy::unwrap_used, missing_docs, reason = "benchmark")]

#[path = "../tests/it/world.rs"]
#[allow(dead_code, reason = "the world serves the tests too")]
mod world;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use schemas::{Intake, Machine, Record, Verdict};
use validator::Validator;
use world::{UP, World, question};

/// The records of one question with every miner committing and revealing, after the machine that is to read them.
fn round(miners: u8) -> (Validator, Vec<Record<Intake>>) {
    let mut w = World::new(miners);
    let v = w.v.clone();
    let from = w.log.len();
    let q = question(0);
    let forecasts: Vec<(u8, u32)> = (1..=miners).map(|i| (i, 400_000 + 1_000 * u32::from(i))).collect();
    w.ask(&q, &forecasts);
    w.resolve(&q, UP);
    (v, w.log.split_off(from))
}

fn replay(v: &mut Validator, log: &[Record<Intake>]) -> usize {
    let mut out: Vec<Verdict> = Vec::with_capacity(16);
    let mut said = 0;
    for record in log {
        out.clear();
        v.apply(record, &mut out);
        said += out.len();
    }
    said
}

fn settle(c: &mut Criterion) {
    let miners = 150;
    let (v, log) = round(miners);
    let mut group = c.benchmark_group("validator");
    group.throughput(Throughput::Elements(u64::from(miners)));
    group.bench_function("admit_score_settle", |b| {
        b.iter_batched_ref(|| v.clone(), |v| replay(v, &log), BatchSize::SmallInput);
    });
    let mut revealed = v.clone();
    let reports = log.len() - 1;
    replay(&mut revealed, &log[..reports]);
    group.bench_function("score_settle", |b| {
        b.iter_batched_ref(|| revealed.clone(), |v| replay(v, &log[reports..]), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, settle);
criterion_main!(benches);
