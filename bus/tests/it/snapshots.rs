//! Snapshots: start-up from any of them equals a full replay, and none is trusted blindly.

use std::fs;

use bus::{
    Driver, Limits, Log, MemoryLog, SavedState, SnapshotFault, SnapshotOptions, SnapshotStore, Wiring, replay,
};
use schemas::{Digest, Entry, Stream, Timestamp};

use crate::toy::{Ask, Toy, ask};

fn live(asks: u64) -> Driver<MemoryLog, Toy> {
    let mut live = Driver::new(MemoryLog::default(), Toy::default(), Limits::default());
    more(&mut live, 0, asks);
    live
}

fn more(live: &mut Driver<MemoryLog, Toy>, from: u64, to: u64) {
    for n in from..to {
        live.advance(Timestamp(n as i64)).unwrap();
        let what = if n % 3 == 2 { Ask::WakeIn(4) } else { Ask::Add((n % 4) as u8) };
        live.submit(Stream::Intake, ask(&what), Timestamp(n as i64)).unwrap();
    }
}

fn reopened(entries: &[Entry]) -> Driver<MemoryLog, Toy> {
    let mut log = MemoryLog::default();
    log.append(entries).unwrap();
    Driver::new(log, Toy::default(), Limits::default())
}

fn store(dir: &tempfile::TempDir) -> SnapshotStore {
    SnapshotStore::open(dir.path(), SnapshotOptions::default()).unwrap()
}

#[test]
fn snapshot_and_tail_equal_a_full_replay() {
    let dir = tempfile::tempdir().unwrap();
    let keep_all =
        SnapshotStore::open(dir.path(), SnapshotOptions { keep: 1000, ..Default::default() }).unwrap();
    let mut writer = live(0);
    assert_eq!(writer.save_snapshot(&keep_all).unwrap(), None);
    for n in 0..40 {
        more(&mut writer, n, n + 1);
        assert_eq!(writer.save_snapshot(&keep_all).unwrap(), Some(writer.last_seq()));
    }
    let entries = writer.log().entries().to_vec();
    let full = replay(
        &mut {
            let mut l = MemoryLog::default();
            l.append(&entries).unwrap();
            l
        },
        &mut Toy::default(),
        &mut |_| (),
    );
    let digest = full.unwrap().digest;
    for seq in keep_all.newest_first().unwrap() {
        let only = tempfile::tempdir().unwrap();
        fs::copy(keep_all.path(seq), only.path().join(keep_all.path(seq).file_name().unwrap())).unwrap();
        let mut again = reopened(&entries);
        let recovery = again.recover(Some(&store(&only)), &mut |_| ()).unwrap();
        assert_eq!((recovery.snapshot, recovery.digest), (Some(seq), digest));
        assert_eq!(recovery.external + recovery.derived, entries.len() as u64 - seq);
        assert_eq!(recovery.notes, []);
        more(&mut again, 40, 60);
        let mut straight = live(60);
        assert_eq!(again.wiring().digest(), straight.wiring().digest(), "and life goes on the same");
        assert_eq!(again.log().entries(), straight.log_mut().entries());
    }
}

#[test]
fn only_the_last_few_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("00000000000000000009.snap.tmp"), b"half").unwrap();
    let store = store(&dir);
    let mut writer = live(0);
    let mut seqs = Vec::new();
    for n in 0..10 {
        more(&mut writer, n, n + 1);
        seqs.extend(writer.save_snapshot(&store).unwrap());
    }
    seqs.reverse();
    assert_eq!(store.newest_first().unwrap(), seqs[..3]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn every_flipped_byte_is_passed_over() {
    let saved = {
        let mut writer = live(6);
        writer.snapshot().unwrap()
    };
    let good = saved.to_bytes();
    assert_eq!(SavedState::from_bytes(saved.seq, &good), Ok(saved.clone()));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(SavedState::from_bytes(saved.seq, &bad).is_err(), "byte {at}");
        assert!(SavedState::from_bytes(saved.seq, &good[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(SavedState::from_bytes(saved.seq + 1, &good), Err(SnapshotFault::Hash), "another name");
}

#[test]
fn what_does_not_fit_is_noted_and_the_next_one_serves() {
    let dir = tempfile::tempdir().unwrap();
    let store = SnapshotStore::open(dir.path(), SnapshotOptions { keep: 100, ..Default::default() }).unwrap();
    let mut writer = live(5);
    let good = writer.save_snapshot(&store).unwrap().unwrap();
    more(&mut writer, 5, 30);
    let entries = writer.log().entries().to_vec();
    let sound = writer.snapshot().unwrap();
    let at = |seq: u64, change: &dyn Fn(&mut SavedState)| {
        let mut saved = sound.clone();
        saved.seq = seq;
        saved.entry_hash = bus::frame::entry_hash(&entries[(seq as usize).min(entries.len()) - 1]);
        change(&mut saved);
        store.write(&saved).unwrap()
    };
    let last = entries.len() as u64;
    at(last + 5, &|_| ());
    at(last - 1, &|s| s.entry_hash = Digest::of(b"another history"));
    at(last - 2, &|s| s.states[0].1 = vec![0xFF]);
    at(last - 3, &|s| s.digest = Digest::of(b"another state"));
    at(last - 4, &|s| s.states.clear());
    let flipped = at(last - 5, &|_| ());
    let mut bytes = fs::read(&flipped).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&flipped, bytes).unwrap();
    let foreign = at(last - 6, &|_| ());
    let mut bytes = fs::read(&foreign).unwrap();
    bytes[10] = 9;
    fs::write(&foreign, bytes).unwrap();
    fs::write(store.path(last - 7), b"").unwrap();

    let mut again = reopened(&entries);
    let recovery = again.recover(Some(&store), &mut |_| ()).unwrap();
    let faults: Vec<_> = recovery.notes.iter().map(|n| (n.seq, n.fault)).collect();
    let expected = [
        (last + 5, SnapshotFault::AheadOfLog),
        (last - 1, SnapshotFault::OtherHistory),
        (last - 2, SnapshotFault::NotLoaded),
        (last - 3, SnapshotFault::DigestDiffers),
        (last - 4, SnapshotFault::NotLoaded),
        (last - 5, SnapshotFault::Hash),
        (last - 6, SnapshotFault::ForeignVersion),
        (last - 7, SnapshotFault::Length),
    ];
    assert_eq!(faults, expected);
    assert!(recovery.notes.iter().all(|n| n.file == store.path(n.seq)));
    assert_eq!((recovery.snapshot, recovery.digest), (Some(good), writer.wiring().digest()));
    fs::remove_file(store.path(good)).unwrap();
    let recovery = reopened(&entries).recover(Some(&store), &mut |_| ()).unwrap();
    assert_eq!((recovery.snapshot, recovery.digest), (None, writer.wiring().digest()), "or the whole log");
}
