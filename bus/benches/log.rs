//! What durability and replay cost: one sync per record, 1,024 acknowledgements per sync, records replayed per second.
#![allow(clippy::unwrap_used, missing_docs, reason = "bench")]

use std::sync::mpsc::sync_channel;

use bus::{
    Driver, FileLog, FileOptions, GroupCommit, GroupOptions, Limits, Log, MemoryLog, NoMachines, replay,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use schemas::{Entry, Record, Stream, Timestamp};

const BODY: usize = 256;
const REPLAYED: u64 = 100_000;

fn entries(first: u64, count: u64) -> Vec<Entry> {
    let record = |seq| Record { seq, at: Timestamp(0), body: vec![seq as u8; BODY] };
    (first..first + count).map(|seq| Entry { stream: Stream::Intake, record: record(seq) }).collect()
}

fn append_and_sync(c: &mut Criterion) {
    let mut group = c.benchmark_group("append_sync");
    for in_flight in [1, 1024] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = FileLog::open(dir.path(), FileOptions::default()).unwrap();
        group.sample_size(10).throughput(Throughput::Elements(in_flight));
        group.bench_function(format!("file/{in_flight}"), |b| {
            b.iter_batched_ref(
                || (),
                |()| {
                    let batch = entries(log.last().0 + 1, in_flight);
                    log.append(&batch).unwrap();
                    log.sync().unwrap()
                },
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn group_commit(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let log = FileLog::open(dir.path(), FileOptions::default()).unwrap();
    let driver = Driver::new(log, NoMachines, Limits::default());
    let (submitter, commit) =
        GroupCommit::start(driver, GroupOptions::default(), || Timestamp(0), |_| ()).unwrap();
    let mut group = c.benchmark_group("group_commit");
    group.sample_size(10).throughput(Throughput::Elements(1024));
    group.bench_function("file/1024_in_flight", |b| {
        b.iter(|| {
            let (tell, acks) = sync_channel(1024);
            for _ in 0..1024 {
                let tell = tell.clone();
                let ack = move |ack: Result<bus::Ack, bus::BusError>| tell.send(ack.unwrap().seq).unwrap();
                submitter.submit(Stream::Intake, vec![7; BODY], ack).unwrap();
            }
            drop(tell);
            assert_eq!(acks.iter().count(), 1024);
        });
    });
    group.finish();
    drop(submitter);
    commit.finish().unwrap();
}

fn replays(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut file = FileLog::open(dir.path(), FileOptions::default()).unwrap();
    file.append(&entries(1, REPLAYED)).unwrap();
    file.sync().unwrap();
    let mut memory = MemoryLog::default();
    memory.append(&entries(1, REPLAYED)).unwrap();
    let logs: [(&str, &mut dyn Log); 2] = [("file", &mut file), ("memory", &mut memory)];
    let mut group = c.benchmark_group("replay");
    group.sample_size(10).throughput(Throughput::Elements(REPLAYED));
    for (name, log) in logs {
        group.bench_function(name, |b| b.iter(|| replay(log, &mut NoMachines, &mut |_| ()).unwrap()));
    }
    drop(file);
    group.bench_function("reopen", |b| {
        b.iter(|| FileLog::open_read_only(dir.path(), FileOptions::default()).unwrap().chain());
    });
    group.finish();
}

criterion_group!(benches, append_and_sync, group_commit, replays);
criterion_main!(benches);
