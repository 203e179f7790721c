//! What every log must do, whatever it is made of.

use bus::{BusError, EMPTY_AT, FileLog, FileOptions, Log, MemoryLog, MemoryOptions, RedisLog, RedisOptions};
use schemas::{Stream, Timestamp};

use crate::redis_server::RedisServer;
use crate::toy::{entries, entry};

pub(crate) const MAX_BODY: usize = 1000;

fn suite(make: impl Fn() -> Box<dyn Log>) {
    empty(&mut *make());
    order(&mut *make());
    reads(&mut *make());
    bounds(&mut *make());
    groups(&mut *make());
}

fn empty(log: &mut dyn Log) {
    assert_eq!(log.last(), (0, EMPTY_AT));
    assert_eq!(log.sync().unwrap(), 0);
    assert_eq!(log.read(0, 10).unwrap(), vec![]);
    assert_eq!(log.read(7, 10).unwrap(), vec![]);
    log.append(&[]).unwrap();
    assert_eq!(log.last(), (0, EMPTY_AT));
}

/// A batch with anything wrong in it leaves no trace.
fn order(log: &mut dyn Log) {
    let good = entry(1, -5, Stream::Raw, b"a");
    let bad_seq = log.append(&[good.clone(), entry(3, 0, Stream::Raw, b"")]).unwrap_err();
    assert!(matches!(bad_seq, BusError::OutOfOrder { expected: 2, got: 3 }), "{bad_seq}");
    let bad_at = log.append(&[good.clone(), entry(2, -6, Stream::Raw, b"")]).unwrap_err();
    assert!(matches!(bad_at, BusError::TimeWentBack { seq: 2, .. }), "{bad_at}");
    assert_eq!(log.last(), (0, EMPTY_AT));
    log.append(std::slice::from_ref(&good)).unwrap();
    assert_eq!(log.append(std::slice::from_ref(&good)).unwrap_err().code(), "out_of_order");
    assert_eq!(log.append(&[entry(2, -6, Stream::Raw, b"")]).unwrap_err().code(), "time_went_back");
    log.append(&[entry(2, -5, Stream::Raw, b"")]).unwrap();
    assert_eq!(log.sync().unwrap(), 2);
    assert_eq!(log.last(), (2, Timestamp(-5)));
}

fn reads(log: &mut dyn Log) {
    let all = entries(1, 700);
    log.append(&all[..300]).unwrap();
    assert_eq!(log.read(1, 1000).unwrap(), all[..300], "entries are readable before a sync");
    assert_eq!(log.sync().unwrap(), 300);
    log.append(&all[300..]).unwrap();
    for (from, max) in
        [(1, 1), (1, 700), (300, 2), (299, 400), (700, 5), (701, 5), (0, 3), (5, 0), (650, 1000)]
    {
        let skip = (from.max(1) - 1) as usize;
        let want: Vec<_> = all.iter().skip(skip).take(max).cloned().collect();
        assert_eq!(log.read(from, max).unwrap(), want, "from {from}, at most {max}");
    }
    let mut walked = Vec::new();
    while let Some(next) = log.read(walked.len() as u64 + 1, 33).unwrap().first_chunk::<1>() {
        walked.extend_from_slice(next);
    }
    assert_eq!(walked, all);
}

fn bounds(log: &mut dyn Log) {
    let fits = entry(1, 0, Stream::Raw, &[7; MAX_BODY]);
    let large = entry(2, 0, Stream::Raw, &[7; MAX_BODY + 1]);
    let refused = log.append(&[fits.clone(), large]).unwrap_err();
    assert!(matches!(refused, BusError::TooLarge { bytes: 1001, limit: 1000, .. }), "{refused}");
    log.append(std::slice::from_ref(&fits)).unwrap();
    assert_eq!(log.read(1, 9).unwrap(), [fits]);
}

fn groups(log: &mut dyn Log) {
    for group in 0..20 {
        let batch = entries(group * 50 + 1, 50);
        for one in batch.chunks(7) {
            log.append(one).unwrap();
        }
        assert_eq!(log.sync().unwrap(), (group + 1) * 50);
    }
    assert_eq!(log.read(1, 5000).unwrap(), entries(1, 1000));
}

#[test]
fn memory() {
    suite(|| Box::new(MemoryLog::new(MemoryOptions { max_record_bytes: MAX_BODY, ..Default::default() })));
}

#[test]
fn memory_is_bounded() {
    let mut few = MemoryLog::new(MemoryOptions { max_entries: 3, ..Default::default() });
    few.append(&entries(1, 3)).unwrap();
    assert_eq!(few.append(&entries(4, 1)).unwrap_err().code(), "full");
    let mut small = MemoryLog::new(MemoryOptions { max_bytes: 100, ..Default::default() });
    assert_eq!(small.append(&entries(1, 10)).unwrap_err().code(), "full");
    assert_eq!(small.last().0, 0);
}

#[test]
fn file() {
    for (segment_bytes, write_buffer_bytes) in [(64 << 20, 1 << 20), (2000, 100)] {
        let root = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        suite(|| {
            count.set(count.get() + 1);
            let options = FileOptions {
                segment_bytes,
                write_buffer_bytes,
                max_record_bytes: MAX_BODY,
                ..Default::default()
            };
            Box::new(FileLog::open(root.path().join(count.get().to_string()), options).unwrap())
        });
    }
}

#[test]
fn redis() {
    let Some(server) = RedisServer::start() else { return };
    let count = std::cell::Cell::new(0);
    suite(|| {
        count.set(count.get() + 1);
        let name = format!("suite-{}", count.get());
        let options = RedisOptions { max_record_bytes: MAX_BODY, ..RedisOptions::new(&server.url(), &name) };
        Box::new(RedisLog::open(options).unwrap())
    });
}
