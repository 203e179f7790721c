//! The folder: segments roll and chain, a crash loses the unsynced block and nothing else, retention keeps the chain.

use std::fs;
use std::path::{Path, PathBuf};

use ingest::archive::{ArchiveFrame, Retention, Stamp};
use ingest::edge::archive::{
    ArchiveOptions, ArchiveReader, ArchiveWriter, Fsync, SegmentState, list, retain, verify,
};
use schemas::{Raw, Timestamp, Venue};

use crate::support::{START, owned, sample};

fn options() -> ArchiveOptions {
    ArchiveOptions {
        segment_bytes: 2_000,
        block_bytes: 500,
        level: 1,
        fsync: Fsync::AtClose,
        retention: None,
    }
}

fn open(dir: &Path, options: ArchiveOptions) -> ArchiveWriter {
    ArchiveWriter::open(dir, Venue::Kalshi, "test", options).unwrap()
}

/// Records without a change of day, so that only size rolls.
fn write(dir: &Path, from: u64, to: u64) -> Vec<ArchiveFrame> {
    let mut writer = open(dir, options());
    let mut written = Vec::new();
    for n in from..to {
        let (stamp, raw) = sample(n);
        let seq = writer.append(stamp, &raw).unwrap();
        written.push(owned(seq, &stamp, &raw));
    }
    writer.close().unwrap();
    written
}

fn read(dir: &Path) -> Vec<ArchiveFrame> {
    let mut reader = ArchiveReader::open(dir).unwrap();
    let mut frames = Vec::new();
    while let Some(seen) = reader.next().unwrap() {
        frames.push(seen.to_frame());
    }
    frames
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join("kalshi"))
        .unwrap()
        .filter_map(|entry| fs::read_dir(entry.unwrap().path()).ok())
        .flat_map(|day| day.map(|file| file.unwrap().path()))
        .collect();
    files.sort_by_key(|path| path.file_name().unwrap().to_owned());
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}

#[test]
fn segments_roll_and_appending_later_continues_numbers_and_chain() {
    let tmp = tempfile::tempdir().unwrap();
    let mut want = write(tmp.path(), 0, 300);
    let first = verify(tmp.path()).unwrap();
    want.extend(write(tmp.path(), 300, 450));
    assert_eq!(want.last().unwrap().seq, 450);
    assert_eq!(read(tmp.path()), want);
    let report = verify(tmp.path()).unwrap();
    assert!(report.ok() && report.segments.len() > 3, "{report:?}");
    assert!(report.segments.iter().all(|s| s.hash_ok == Some(true) && s.chain_ok == Some(true)));
    assert_eq!(report.frames(), 450);
    assert_ne!(report.chain, first.chain);
    assert_eq!(list(tmp.path()).unwrap().chain, report.chain);
    let names: Vec<_> = report.segments.iter().map(|s| s.file.clone()).collect();
    // The first record has no receive time.
    assert_eq!(names[0], "1970-01-01/000001.oar");
    assert_eq!(names[1], "2026-07-01/000002.oar");
}

#[test]
fn sessions_are_marked() {
    let tmp = tempfile::tempdir().unwrap();
    write(tmp.path(), 1, 20);
    write(tmp.path(), 20, 30);
    let mut reader = ArchiveReader::open(tmp.path()).unwrap();
    let mut fresh = Vec::new();
    while let Some(seen) = reader.next().unwrap() {
        if seen.fresh {
            fresh.push(seen.record.seq);
        }
    }
    assert_eq!(fresh, [1, 20]);
}

#[test]
fn midnight_begins_a_segment() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = open(tmp.path(), ArchiveOptions { segment_bytes: 1 << 30, ..options() });
    for n in 0..10_i64 {
        let wall = Timestamp(START + n * 43_200_000_000_000);
        let raw = Raw::Frame { conn: 1, bytes: b"{}".to_vec() };
        writer.append(Stamp { no: 1, wall, mono_ns: 0 }, &raw).unwrap();
    }
    writer.close().unwrap();
    let names: Vec<_> = verify(tmp.path()).unwrap().segments.into_iter().map(|s| s.file).collect();
    assert_eq!(names.len(), 5);
    assert_eq!((names[0].as_str(), names[4].as_str()), ("2026-07-01/000001.oar", "2026-07-05/000005.oar"));
}

#[test]
fn a_second_writer_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let _first = open(tmp.path(), options());
    let second = ArchiveWriter::open(tmp.path(), Venue::Kalshi, "test", options());
    assert_eq!(second.err().unwrap().code(), "archive_locked");
    open_other_venue(tmp.path());
    assert_eq!(ArchiveReader::open(tmp.path()).err().unwrap().code(), "several_venues");
    assert_eq!(ArchiveReader::open(tmp.path().join("x")).err().unwrap().code(), "no_archive");
}

fn open_other_venue(dir: &Path) {
    ArchiveWriter::open(dir, Venue::Kraken, "test", options()).unwrap().close().unwrap();
}

#[test]
fn a_crash_at_any_byte_loses_only_the_unfinished_block() {
    let tmp = tempfile::tempdir().unwrap();
    let live = tmp.path().join("live");
    let mut writer = open(&live, options());
    let mut written = Vec::new();
    for n in 1..140 {
        let (stamp, raw) = sample(n);
        let seq = writer.append(stamp, &raw).unwrap();
        written.push(owned(seq, &stamp, &raw));
    }
    writer.flush().unwrap();
    let files = segments(&live);
    let last = files.last().unwrap().strip_prefix(&live).unwrap().to_owned();
    let bytes = fs::read(live.join(&last)).unwrap();
    let whole = verify(&live).unwrap();
    assert_eq!(whole.segments.last().unwrap().state, SegmentState::Open);
    assert_eq!(whole.frames(), 139);
    for cut in 0..=bytes.len() {
        let crashed = tmp.path().join(format!("crash{cut}"));
        copy(&live, &crashed);
        fs::write(crashed.join(&last), &bytes[..cut]).unwrap();
        let before = verify(&crashed).unwrap();
        assert!(before.ok(), "cut at {cut}: {before:?}");
        let torn = before.segments.last().unwrap().torn;
        let mut writer = open(&crashed, options());
        let recovered = writer.recovered().unwrap().clone();
        assert_eq!(recovered.torn, torn, "cut at {cut}");
        let kept = before.frames() as usize;
        assert_eq!(writer.next_seq(), kept as u64 + 1);
        let (stamp, raw) = sample(1_000);
        writer.append(stamp, &raw).unwrap();
        writer.close().unwrap();
        let after = verify(&crashed).unwrap();
        assert!(after.ok(), "cut at {cut}: {after:?}");
        let frames = read(&crashed);
        assert_eq!(frames[..kept], written[..kept], "cut at {cut}");
        assert_eq!(frames.len(), kept + 1);
        fs::remove_dir_all(&crashed).unwrap();
    }
    assert!(whole.frames() > 100);
}

#[test]
fn flipped_bits_name_segment_and_offset_and_stop_nothing_else() {
    let tmp = tempfile::tempdir().unwrap();
    write(tmp.path(), 1, 300);
    let files = segments(tmp.path());
    let bytes = fs::read(&files[1]).unwrap();
    for at in (0..bytes.len()).step_by(13) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        fs::write(&files[1], &flipped).unwrap();
        let report = verify(tmp.path()).unwrap();
        let bad: Vec<_> = report.segments.iter().filter(|s| s.error.is_some()).collect();
        assert_eq!(bad.len(), 1, "byte {at}: {report:?}");
        assert_eq!(bad[0].number, 2);
        let text = bad[0].error.as_ref().unwrap().to_string();
        assert!(text.contains("000002.oar"), "{text}");
        let mut reader = ArchiveReader::open(tmp.path()).unwrap();
        let error = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("byte {at} goes unseen"),
                Err(error) => break error,
            }
        };
        assert_eq!(Some(error), bad[0].error);
    }
    fs::write(&files[1], &bytes).unwrap();
    assert!(verify(tmp.path()).unwrap().ok());
}

#[test]
fn a_sealed_segment_cannot_be_cut_exchanged_or_removed_unseen() {
    let tmp = tempfile::tempdir().unwrap();
    write(tmp.path(), 1, 300);
    let files = segments(tmp.path());
    let last = files.last().unwrap();
    let bytes = fs::read(last).unwrap();
    for cut in (0..bytes.len()).step_by(17) {
        fs::write(last, &bytes[..cut]).unwrap();
        let report = verify(tmp.path()).unwrap();
        assert!(!report.ok(), "cut at {cut}");
        let opened = ArchiveWriter::open(tmp.path(), Venue::Kalshi, "test", options());
        assert_eq!(opened.err().unwrap().code(), "archive_damaged", "cut at {cut}");
    }
    fs::remove_file(last).unwrap();
    assert!(!verify(tmp.path()).unwrap().ok());
    assert_eq!(ArchiveReader::open(tmp.path()).err().unwrap().code(), "segment_missing");
    fs::write(last, fs::read(&files[0]).unwrap()).unwrap();
    let report = verify(tmp.path()).unwrap();
    assert_eq!(report.segments.last().unwrap().error.as_ref().unwrap().code(), "archive_chain");
    fs::write(last, &bytes).unwrap();
    assert!(verify(tmp.path()).unwrap().ok());
}

#[test]
fn a_changed_manifest_is_found() {
    let tmp = tempfile::tempdir().unwrap();
    write(tmp.path(), 1, 300);
    let path = tmp.path().join("kalshi/manifest.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    for (from, to) in [("\"frames\":", "\"frames\":1"), ("\"number\":2", "\"number\":3"), ("\n{", "\n {")] {
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        assert_eq!(verify(tmp.path()).unwrap_err().code(), "manifest_damaged", "{from}");
    }
    let without_second: String =
        text.split_inclusive('\n').enumerate().filter(|(at, _)| *at != 1).map(|(_, l)| l).collect();
    fs::write(&path, without_second).unwrap();
    assert_eq!(verify(tmp.path()).unwrap_err().code(), "manifest_damaged");
    // A line that a crash cut off is no damage: the segment it was about says it all.
    let (whole, last) = text.trim_end().rsplit_once('\n').unwrap();
    for cut in 0..=last.len() {
        fs::write(&path, format!("{whole}\n{}", &last[..cut])).unwrap();
        let report = verify(tmp.path()).unwrap();
        assert!(report.ok(), "cut at {cut}: {report:?}");
        assert_eq!(report.manifest_torn, cut);
        open(tmp.path(), options()).close().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "cut at {cut}");
    }
}

#[test]
fn the_chain_holds_over_what_retention_deleted() {
    let tmp = tempfile::tempdir().unwrap();
    let all = write(tmp.path(), 1, 400);
    let before = verify(tmp.path()).unwrap();
    let bytes: u64 = before.segments.iter().map(|s| s.bytes).sum();
    let by_size = Retention { max_age_ns: None, max_bytes: Some(bytes / 2) };
    let now = Timestamp(START);
    let planned = retain(tmp.path(), &by_size, now, true).unwrap();
    assert_eq!(segments(tmp.path()).len(), before.segments.len(), "a dry run deletes nothing");
    let gone = retain(tmp.path(), &by_size, now, false).unwrap();
    assert_eq!(gone, planned);
    assert!(!gone.is_empty() && gone.iter().all(|g| g.why == "size"));
    let after = verify(tmp.path()).unwrap();
    assert!(after.ok(), "{after:?}");
    assert_eq!(after.chain, before.chain);
    assert_eq!(after.segments.iter().filter(|s| s.state == SegmentState::Gone).count(), gone.len());
    let kept = read(tmp.path());
    assert_eq!(kept[..], all[all.len() - kept.len()..]);
    assert_eq!(ArchiveReader::open(tmp.path()).unwrap().first_seq(), kept[0].seq);
    // By age, a year later: everything but the newest segment.
    let by_age = Retention { max_age_ns: Some(86_400_000_000_000), max_bytes: None };
    retain(tmp.path(), &by_age, Timestamp(START + 31_536_000_000_000_000), false).unwrap();
    let after = verify(tmp.path()).unwrap();
    assert!(after.ok() && after.chain == before.chain, "{after:?}");
    assert_eq!(segments(tmp.path()).len(), 1);
    // And it goes on.
    let more = write(tmp.path(), 400, 450);
    assert_eq!(more[0].seq, 400);
    assert!(verify(tmp.path()).unwrap().ok());
}

#[test]
fn a_deletion_that_a_crash_interrupted_is_finished() {
    let tmp = tempfile::tempdir().unwrap();
    write(tmp.path(), 1, 400);
    let first = segments(tmp.path())[0].clone();
    let bytes = fs::read(&first).unwrap();
    let all = Retention { max_age_ns: None, max_bytes: Some(0) };
    retain(tmp.path(), &all, Timestamp(START), false).unwrap();
    fs::create_dir_all(first.parent().unwrap()).unwrap();
    fs::write(&first, bytes).unwrap();
    assert!(verify(tmp.path()).unwrap().ok());
    open(tmp.path(), options()).close().unwrap();
    assert!(!first.exists());
}

#[test]
fn the_writer_keeps_its_own_retention() {
    let tmp = tempfile::tempdir().unwrap();
    let retention = Some(Retention { max_age_ns: None, max_bytes: Some(5_000) });
    let mut writer = open(tmp.path(), ArchiveOptions { retention, ..options() });
    for n in 1..2_000 {
        let (stamp, raw) = sample(n);
        writer.append(stamp, &raw).unwrap();
    }
    writer.close().unwrap();
    let report = verify(tmp.path()).unwrap();
    assert!(report.ok());
    let on_disk: u64 = segments(tmp.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(on_disk < 10_000, "{on_disk}");
}

#[test]
fn the_fsync_policy_decides_what_is_on_disk() {
    let frames = |fsync: Fsync, flush: bool| {
        let tmp = tempfile::tempdir().unwrap();
        let mut writer = open(
            tmp.path(),
            ArchiveOptions { fsync, block_bytes: 1 << 20, segment_bytes: 1 << 30, ..options() },
        );
        for n in 0..10 {
            let stamp = Stamp { no: n, wall: Timestamp(START), mono_ns: n * 100_000_000 };
            writer.append(stamp, &Raw::Frame { conn: 1, bytes: vec![b' '; 10] }).unwrap();
        }
        if flush {
            writer.flush().unwrap();
        }
        let seen = verify(tmp.path()).unwrap().frames();
        writer.tick(10_000_000_000).unwrap();
        (seen, verify(tmp.path()).unwrap().frames())
    };
    assert_eq!(frames(Fsync::AtClose, false), (0, 0));
    assert_eq!(frames(Fsync::EveryBlock, false), (0, 0));
    assert_eq!(frames(Fsync::AtClose, true), (10, 10));
    // Every 400 ms of a stream of one frame each 100 ms: frames 0 to 4, then 5 to 8; the clock alone brings the last.
    assert_eq!(frames(Fsync::EveryMs(400), false), (9, 10));
}
