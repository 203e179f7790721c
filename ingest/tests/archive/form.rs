//! One segment: what is written is read, what is torn is cut at a block, what is changed is found and located.

use ingest::archive::{
    ArchiveError, BlockOptions, SegmentEnd, SegmentHeader, SegmentReader, SegmentWriter, Stamp,
};
use proptest::prelude::*;
use schemas::{Digest, Raw, RestReply, Timestamp, Venue};

use crate::support::{owned, read_all, sample};

fn header() -> SegmentHeader {
    SegmentHeader {
        venue: Venue::Kalshi,
        source: "test".to_owned(),
        first_seq: 41,
        before: Digest::of(b"before"),
    }
}

/// A segment of `count` samples, and the offsets where its blocks end.
fn segment(count: u64, block_bytes: usize) -> (Vec<u8>, Vec<(usize, u64)>) {
    let options = BlockOptions { block_bytes, level: 3 };
    let mut writer = SegmentWriter::create(Vec::new(), "segment", &header(), options).unwrap();
    let mut ends = vec![(writer.written() as usize, 0)];
    for n in 0..count {
        let (stamp, raw) = sample(n);
        let (seq, full) = writer.append(&stamp, n == 0, &raw).unwrap();
        assert_eq!(seq, 41 + n);
        if full {
            ends.push((writer.written() as usize, n + 1));
        }
    }
    writer.end_block().unwrap();
    ends.push((writer.written() as usize, count));
    ends.dedup();
    (writer.finish().unwrap().0, ends)
}

#[test]
fn what_is_written_is_read_with_its_stamps_and_numbers() {
    let (bytes, _) = segment(200, 700);
    let (frames, end) = read_all(&bytes).unwrap();
    let want: Vec<_> = (0..200)
        .map(|n| {
            let (stamp, raw) = sample(n);
            owned(41 + n, &stamp, &raw)
        })
        .collect();
    assert_eq!(frames, want);
    let Some(SegmentEnd::Sealed(footer)) = end else { panic!("{end:?}") };
    assert_eq!(footer.frames, 200);
    assert_eq!(footer.from, sample(1).0.wall, "the unknown time of the first record is no time");
    assert_eq!(footer.to, sample(199).0.wall);
    let chain = Digest::combine(&[footer.records]);
    assert_ne!(footer.chain, chain, "the chain covers the header too");
}

#[test]
fn time_never_goes_back_and_the_first_record_begins_a_machine() {
    let (bytes, _) = segment(50, 300);
    let mut reader = SegmentReader::open(&bytes[..], "segment").unwrap().unwrap();
    let mut last = Timestamp::ZERO;
    let mut seq = 41;
    while let Some(seen) = reader.next().unwrap() {
        assert!(seen.record.at >= last && seen.record.at >= seen.stamp.wall);
        assert_eq!(seen.fresh, seq == 41);
        assert_eq!(seen.record.seq, seq);
        last = seen.record.at;
        seq += 1;
    }
    assert_eq!(seq, 91);
}

#[test]
fn a_tail_torn_at_any_byte_loses_only_the_unfinished_block() {
    let (bytes, ends) = segment(60, 400);
    assert!(ends.len() > 5, "several blocks: {ends:?}");
    for cut in 0..bytes.len() {
        let (frames, end) = read_all(&bytes[..cut]).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        let (whole, kept) = ends.iter().rev().find(|(at, _)| *at <= cut).copied().unwrap_or((0, 0));
        assert_eq!(frames.len() as u64, kept, "cut at {cut}");
        match end {
            None => assert!(cut < ends[0].0, "only a header can be this short: {cut}"),
            Some(SegmentEnd::Open { whole: at, torn }) => {
                assert_eq!((at, torn), (whole as u64, (cut - whole) as u64), "cut at {cut}");
            }
            Some(SegmentEnd::Sealed(_)) => panic!("sealed although cut at {cut}"),
        }
    }
}

#[test]
fn a_tail_of_zeros_is_torn_and_not_damage() {
    let (bytes, ends) = segment(60, 400);
    let (whole, kept) = ends[3];
    for zeros in [1, 4, 31, 200, 9_000] {
        let mut torn = bytes[..whole].to_vec();
        torn.resize(whole + zeros, 0);
        let (frames, end) = read_all(&torn).unwrap();
        assert_eq!(frames.len() as u64, kept);
        assert_eq!(end, Some(SegmentEnd::Open { whole: whole as u64, torn: zeros as u64 }));
    }
    // The header of a block reached the disk and the rest of it did not.
    let mut torn = bytes[..whole + 40].to_vec();
    torn.resize(ends[4].0, 0);
    let (frames, end) = read_all(&torn).unwrap();
    assert_eq!(frames.len() as u64, kept);
    assert_eq!(end, Some(SegmentEnd::Open { whole: whole as u64, torn: (ends[4].0 - whole) as u64 }));
}

#[test]
fn every_flipped_bit_is_found_and_located() {
    let (bytes, ends) = segment(40, 500);
    for at in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let error = read_all(&flipped).expect_err("a changed byte goes unseen");
            // The part (header, block, footer) that holds the byte.
            let part = ends.iter().rev().find(|(end, _)| *end <= at).map_or(0, |(end, _)| *end as u64);
            match error {
                ArchiveError::Damaged { offset, .. } => assert_eq!(offset, part, "byte {at} bit {bit}"),
                ArchiveError::NotASegment(_) => assert!(at < 8),
                ArchiveError::Version { .. } => assert!((8..10).contains(&at)),
                other => panic!("byte {at} bit {bit}: {other}"),
            }
        }
    }
}

#[test]
fn a_block_left_out_or_exchanged_is_found() {
    let (bytes, ends) = segment(60, 400);
    let parts: Vec<&[u8]> = ends.windows(2).map(|w| &bytes[w[0].0..w[1].0]).collect();
    let (head, foot) = (&bytes[..ends[0].0], &bytes[ends.last().unwrap().0..]);
    let mut without = head.to_vec();
    let mut exchanged = head.to_vec();
    for (at, part) in parts.iter().enumerate() {
        if at != 2 {
            without.extend_from_slice(part);
        }
        exchanged.extend_from_slice(match at {
            1 => parts[2],
            2 => parts[1],
            _ => part,
        });
    }
    without.extend_from_slice(foot);
    exchanged.extend_from_slice(foot);
    for bytes in [without, exchanged] {
        let error = read_all(&bytes).unwrap_err();
        assert_eq!(error.code(), "archive_damaged", "{error}");
    }
}

#[test]
fn a_record_larger_than_a_block_still_fits_and_the_buffer_is_used_again() {
    let options = BlockOptions { block_bytes: 1_000, level: 1 };
    let mut writer = SegmentWriter::create(Vec::new(), "segment", &header(), options).unwrap();
    let large = Raw::Frame { conn: 1, bytes: vec![b'x'; 300_000] };
    let small = Raw::Frame { conn: 1, bytes: b"small".to_vec() };
    writer.append(&Stamp::default(), true, &large).unwrap();
    for _ in 0..500 {
        writer.append(&Stamp::default(), false, &small).unwrap();
        writer.append(&Stamp::default(), false, &Raw::TimeAdvanced { to: Timestamp(1) }).unwrap();
    }
    let bytes = writer.finish().unwrap().0;
    let mut reader = SegmentReader::open(&bytes[..], "segment").unwrap().unwrap();
    let mut capacity = None;
    while let Some(seen) = reader.next().unwrap() {
        if let Raw::Frame { bytes, .. } = &seen.record.body {
            // One buffer, large from the first record on: nothing is allocated per frame.
            let first = *capacity.get_or_insert_with(|| bytes.capacity());
            assert_eq!(bytes.capacity(), first);
        }
    }
    assert!(capacity.unwrap() >= 300_000);
}

fn any_raw() -> impl Strategy<Value = Raw> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        any::<u32>().prop_map(|conn| Raw::Connected { conn }),
        (any::<u32>(), bytes()).prop_map(|(conn, bytes)| Raw::Frame { conn, bytes }),
        (any::<u32>(), ".{0,40}").prop_map(|(conn, reason)| Raw::Closed { conn, reason }),
        (any::<u32>(), any::<u16>(), bytes()).prop_map(|(request, status, bytes)| Raw::Rest(RestReply {
            request,
            status,
            bytes
        })),
        any::<i64>().prop_map(|to| Raw::TimeAdvanced { to: Timestamp(to) }),
    ]
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    (any::<u64>(), any::<i64>(), any::<u64>()).prop_map(|(no, wall, mono_ns)| Stamp {
        no,
        wall: Timestamp(wall),
        mono_ns,
    })
}

proptest! {
    #[test]
    fn any_records_come_back(
        records in prop::collection::vec((any_stamp(), any_raw()), 1..60),
        block_bytes in 1_usize..2_000,
    ) {
        let options = BlockOptions { block_bytes, level: 1 };
        let mut writer = SegmentWriter::create(Vec::new(), "segment", &header(), options).unwrap();
        for (stamp, raw) in &records {
            writer.append(stamp, false, raw).unwrap();
        }
        let bytes = writer.finish().unwrap().0;
        let (frames, _) = read_all(&bytes).unwrap();
        let want: Vec<_> =
            records.iter().zip(41..).map(|((stamp, raw), seq)| owned(seq, stamp, raw)).collect();
        prop_assert_eq!(frames, want);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), keep in 0_usize..200) {
        let (good, _) = segment(5, 200);
        let keep = keep.min(good.len());
        bytes.splice(0..0, good[..keep].iter().copied());
        let _ = read_all(&bytes);
    }
}
