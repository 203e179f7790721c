//! The file log's promises: torn ends are cut, damage is named, nobody opens it twice, failures stick.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bus::{BusError, Damage, FileLog, FileOptions, Log, NoMachines, frame, replay};
use schemas::{Digest, Entry};

use crate::toy::entries;

const HEADER: u64 = 64;

fn small() -> FileOptions {
    FileOptions { segment_bytes: 300, ..Default::default() }
}

fn build(dir: &Path, options: FileOptions, count: u64) -> Digest {
    let mut log = FileLog::open(dir, options).unwrap();
    log.append(&entries(1, count)).unwrap();
    assert_eq!(log.sync().unwrap(), count);
    log.chain()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut out: Vec<_> = fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    out.retain(|p| p.extension().is_some_and(|e| e == "seg"));
    out.sort();
    out
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for path in segments(from) {
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

fn size(e: &Entry) -> u64 {
    (frame::FRAME_HEAD + frame::PAYLOAD_HEAD + e.record.body.len()) as u64
}

fn chain_of(entries: &[Entry]) -> Digest {
    entries.iter().fold(frame::CHAIN_START, |chain, e| {
        let mut payload = Vec::new();
        frame::put_payload(e, &mut payload);
        frame::chain(chain, &payload)
    })
}

#[test]
fn it_is_the_same_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let chain = build(dir.path(), small(), 100);
    assert!(segments(dir.path()).len() > 10);
    assert_eq!(chain, chain_of(&entries(1, 100)));
    let mut log = FileLog::open(dir.path(), small()).unwrap();
    assert_eq!((log.last().0, log.chain(), log.torn()), (100, chain, None));
    log.append(&entries(101, 20)).unwrap();
    log.sync().unwrap();
    drop(log);
    let mut log = FileLog::open_read_only(dir.path(), small()).unwrap();
    assert_eq!(log.append(&entries(121, 1)).unwrap_err().code(), "read_only");
    assert_eq!(log.read(1, 1000).unwrap(), entries(1, 120));
    let report = replay(&mut log, &mut NoMachines, &mut |_| ()).unwrap();
    assert_eq!((report.entries, report.chain), (120, log.chain()), "a replay computes the same chain");
}

#[test]
fn a_segment_may_hold_one_record() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = FileOptions { segment_bytes: 1, write_buffer_bytes: 0, ..Default::default() };
    let chain = build(dir.path(), tiny, 12);
    assert_eq!(segments(dir.path()).len(), 12);
    let mut log = FileLog::open_read_only(dir.path(), FileOptions::default()).unwrap();
    assert_eq!((log.chain(), log.read(1, 99).unwrap()), (chain, entries(1, 12)));
}

#[test]
fn long_segments_are_found_by_index() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path(), FileOptions::default(), 10_000);
    for reopen in [false, true] {
        let mut log = FileLog::open(dir.path(), FileOptions::default()).unwrap();
        if !reopen {
            log.append(&entries(10_001, 5_000)).unwrap();
            log.sync().unwrap();
        }
        for from in [1, 4096, 4097, 4098, 8193, 9_999, 14_999] {
            assert_eq!(log.read(from, 2).unwrap(), entries(from, 2), "from {from}");
        }
    }
}

#[test]
fn a_torn_end_is_cut_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path(), FileOptions::default(), 3);
    let third = size(&entries(3, 1)[0]);
    let whole = fs::metadata(&segments(dir.path())[0]).unwrap().len();
    for keep in whole - third..whole {
        let torn = copy(dir.path());
        let file = segments(torn.path()).remove(0);
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(keep).unwrap();
        if keep == whole - third {
            let log = FileLog::open(torn.path(), FileOptions::default()).unwrap();
            assert_eq!((log.last().0, log.torn()), (2, None));
            continue;
        }
        let named = FileLog::open_read_only(torn.path(), FileOptions::default()).map(|_| ()).unwrap_err();
        assert!(
            matches!(&named, BusError::Corrupt { offset, seq: 3, what: Damage::Short, .. } if *offset == whole - third),
            "{named}"
        );
        let mut log = FileLog::open(torn.path(), FileOptions::default()).unwrap();
        let tail = log.torn().unwrap().clone();
        assert_eq!((tail.seq, tail.offset, tail.bytes), (3, whole - third, keep + third - whole));
        assert_eq!((log.last().0, log.chain()), (2, chain_of(&entries(1, 2))));
        log.append(&entries(3, 4)).unwrap();
        log.sync().unwrap();
        drop(log);
        let mut log = FileLog::open_read_only(torn.path(), FileOptions::default()).unwrap();
        assert_eq!(log.read(1, 9).unwrap(), entries(1, 6));
    }
}

#[test]
fn zeros_at_the_end_are_a_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path(), FileOptions::default(), 3);
    let file = segments(dir.path()).remove(0);
    let len = fs::metadata(&file).unwrap().len();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(len + 4096).unwrap();
    let log = FileLog::open(dir.path(), FileOptions::default()).unwrap();
    assert_eq!((log.last().0, log.torn().unwrap().bytes), (3, 4096));
}

/// The number that belongs to each byte of each segment: of the record it lies in, or of the first one for a header.
fn owners(dir: &Path, count: u64) -> Vec<(PathBuf, u64, u64)> {
    let mut out = Vec::new();
    let mut rest = entries(1, count).into_iter().peekable();
    for path in segments(dir) {
        let len = fs::metadata(&path).unwrap().len();
        let first = rest.peek().unwrap().record.seq;
        out.extend((0..HEADER).map(|at| (path.clone(), at, first)));
        let mut at = HEADER;
        while at < len {
            let e = rest.next().unwrap();
            out.extend((at..at + size(&e)).map(|at| (path.clone(), at, e.record.seq)));
            at += size(&e);
        }
    }
    out
}

/// Without truncating first, which some file systems answer with a flush to disk.
fn overwrite(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn every_flipped_bit_is_found_and_named() {
    const COUNT: u64 = 14;
    let dir = tempfile::tempdir().unwrap();
    build(dir.path(), small(), COUNT);
    assert!(segments(dir.path()).len() >= 2);
    let last_file = segments(dir.path()).pop().unwrap();
    for (path, at, owner) in owners(dir.path(), COUNT) {
        let good = fs::read(&path).unwrap();
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at as usize] ^= 1 << bit;
            overwrite(&path, &bad);
            let found = FileLog::open_read_only(dir.path(), small()).map(|_| ()).unwrap_err();
            assert!(
                matches!(&found, BusError::Corrupt { seq, file, .. } if *seq == owner && *file == path),
                "byte {at} bit {bit} of entry {owner}: {found}"
            );
            let like_torn = path == last_file && owner == COUNT && at >= HEADER;
            if like_torn || bit != at % 8 {
                continue; // the end of a torn write looks like that; one bit of each byte is enough here
            }
            let found = FileLog::open(dir.path(), small()).map(|_| ()).unwrap_err();
            assert!(matches!(found, BusError::Corrupt { seq, .. } if seq == owner), "{found}");
            assert_eq!(fs::read(&path).unwrap(), bad, "damage is left as it is");
        }
        overwrite(&path, &good);
    }
    FileLog::open_read_only(dir.path(), small()).unwrap();
}

#[test]
fn damage_after_opening_is_found_by_reading() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path(), FileOptions::default(), 3);
    let mut log = FileLog::open(dir.path(), FileOptions::default()).unwrap();
    let file = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let offset = HEADER + size(&entries(1, 1)[0]);
    bytes[offset as usize + 30] ^= 4;
    fs::write(&file, bytes).unwrap();
    let found = log.read(1, 9).unwrap_err();
    assert!(
        matches!(&found, BusError::Corrupt { seq: 2, offset: o, what: Damage::Checksum, .. } if *o == offset),
        "{found}"
    );
}

#[test]
fn segments_cannot_be_taken_away_swapped_or_aged() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path(), small(), 40);
    let check = |change: &dyn Fn(&[PathBuf]), code: &str, damage: Option<Damage>| {
        let other = copy(dir.path());
        change(&segments(other.path()));
        let found = FileLog::open(other.path(), small()).map(|_| ()).unwrap_err();
        assert_eq!(found.code(), code, "{found}");
        let what = if let BusError::Corrupt { what, .. } = found { Some(what) } else { None };
        assert_eq!(what, damage);
    };
    check(&|files| fs::remove_file(&files[1]).unwrap(), "corrupt", Some(Damage::Missing));
    check(&|files| fs::remove_file(&files[0]).unwrap(), "corrupt", Some(Damage::Missing));
    check(&|files| fs::write(&files[1], b"").unwrap(), "corrupt", Some(Damage::Header));
    check(
        &|files| fs::write(&files[1], fs::read(&files[2]).unwrap()).unwrap(),
        "corrupt",
        Some(Damage::Header),
    );
    let reseal = |file: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(file).unwrap();
        change(&mut bytes);
        let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&crc);
        fs::write(file, bytes).unwrap();
    };
    check(&|files| reseal(&files[1], &|b| b[30] ^= 1), "corrupt", Some(Damage::Chain));
    check(&|files| reseal(&files[0], &|b| b[8] = 2), "foreign_version", None);
    check(&|files| reseal(&files[0], &|b| b[10] = 9), "foreign_version", None);
}

#[test]
fn one_writer_or_many_readers() {
    let dir = tempfile::tempdir().unwrap();
    let log = FileLog::open(dir.path(), small()).unwrap();
    assert_eq!(FileLog::open(dir.path(), small()).map(|_| ()).unwrap_err().code(), "locked");
    assert_eq!(FileLog::open_read_only(dir.path(), small()).map(|_| ()).unwrap_err().code(), "locked");
    drop(log);
    let one = FileLog::open_read_only(dir.path(), small()).unwrap();
    let two = FileLog::open_read_only(dir.path(), small()).unwrap();
    assert_eq!(one.last(), two.last());
    assert_eq!(FileLog::open(dir.path(), small()).map(|_| ()).unwrap_err().code(), "locked");
}

#[test]
fn a_full_disk_stops_the_log_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::open(dir.path(), small()).unwrap();
    for first in 2..60 {
        let next = dir.path().join(format!("{first:020}.seg.tmp"));
        std::os::unix::fs::symlink("/dev/full", next).unwrap();
    }
    let full = (1..60).find_map(|n| log.append(&entries(n, 1)).err()).expect("a segment fills up");
    assert!(
        matches!(&full, BusError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
        "{full}"
    );
    let last = log.last().0;
    assert!(matches!(log.append(&entries(last + 1, 1)), Err(BusError::Failed { first: "io" })));
    assert_eq!(log.sync().unwrap_err().code(), "failed");
    drop(log);
    let mut log = FileLog::open(dir.path(), small()).unwrap();
    assert_eq!(log.read(1, 100).unwrap(), entries(1, last), "what was there is there");
    log.append(&entries(last + 1, 50)).unwrap();
    assert_eq!(log.sync().unwrap(), last + 50, "and with room it goes on");
}

#[test]
fn its_total_size_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::open(dir.path(), FileOptions { max_total_bytes: 1000, ..small() }).unwrap();
    let full = (1..60).find_map(|n| log.append(&entries(n, 1)).err()).unwrap();
    assert!(matches!(full, BusError::Full { limit: 1000, .. }), "{full}");
    let last = log.last().0;
    assert_eq!(log.sync().unwrap(), last);
    drop(log);
    let on_disk: u64 = segments(dir.path()).iter().map(|p| fs::metadata(p).unwrap().len()).sum();
    assert!(on_disk <= 1000, "{on_disk}");
}
