//! Properties of frames: whole ones come back, broken ones never panic and never pass.

use bus::frame;
use bus::{BusError, FileLog, FileOptions, Log};
use proptest::prelude::*;
use schemas::{Entry, Stream};

use crate::toy::{entries, entry};

fn any_entry() -> impl Strategy<Value = Entry> {
    let body = proptest::collection::vec(any::<u8>(), 0..200);
    (any::<u64>(), any::<i64>(), 0..5_usize, body)
        .prop_map(|(seq, at, s, body)| entry(seq, at, Stream::ALL[s], &body))
}

proptest! {
    #[test]
    fn a_frame_comes_back_whole(e in any_entry(), behind in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut bytes = Vec::new();
        frame::put_frame(&e, &mut bytes);
        let len = bytes.len();
        bytes.extend(&behind);
        let payload = frame::frame_payload(&bytes, 1 << 20).unwrap();
        prop_assert_eq!(payload.len() + frame::FRAME_HEAD, len);
        prop_assert_eq!(frame::parse_payload(payload).unwrap(), e);
        for cut in 0..len {
            prop_assert!(frame::frame_payload(&bytes[..cut], 1 << 20).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_never_passes(e in any_entry(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = Vec::new();
        frame::put_frame(&e, &mut bytes);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(frame::frame_payload(&bytes, 1 << 20).is_err());
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), seq in any::<u64>()) {
        let _ = frame::frame_payload(&bytes, 1 << 20).map(frame::parse_payload);
        let _ = frame::holds_later_record(&bytes, seq, 1 << 20);
    }

    /// A power cut keeps what was synced and any part of what was not.
    #[test]
    fn a_power_cut_keeps_what_was_synced(
        groups in proptest::collection::vec(1..20_u64, 1..6),
        unsynced in 0..20_u64,
        cut in any::<prop::sample::Index>(),
        segment_bytes in 200..3000_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let options = FileOptions { segment_bytes, write_buffer_bytes: 0, ..Default::default() };
        let mut log = FileLog::open(dir.path(), options).unwrap();
        for count in groups {
            log.append(&entries(log.last().0 + 1, count)).unwrap();
            log.sync().unwrap();
        }
        let synced = log.last().0;
        let tail = |dir: &std::path::Path| {
            let files = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
            files.filter(|p| p.extension().is_some_and(|e| e == "seg")).max().unwrap()
        };
        let safe = (tail(dir.path()), std::fs::metadata(tail(dir.path())).unwrap().len());
        log.append(&entries(synced + 1, unsynced)).unwrap();
        drop(log);
        let last = tail(dir.path());
        let len = std::fs::metadata(&last).unwrap().len();
        let keep = if last == safe.0 { safe.1 } else { 64 }; // a segment's header is durable before its name
        let file = std::fs::OpenOptions::new().write(true).open(&last).unwrap();
        file.set_len(keep + cut.index((len - keep + 1) as usize) as u64).unwrap();
        let mut log = FileLog::open(dir.path(), options).unwrap();
        prop_assert!(log.last().0 >= synced);
        prop_assert_eq!(log.read(1, 1000).unwrap(), entries(1, log.last().0));
    }
}

#[test]
fn codes_are_distinct_and_plain() {
    let some = [BusError::NotRecovered, BusError::AlreadyRunning, BusError::ReadOnly, BusError::Stopped];
    let codes: std::collections::BTreeSet<_> = some.iter().map(BusError::code).collect();
    assert_eq!(codes.len(), some.len());
    assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
}
