//! A segment of any bytes: an error or frames, never a panic; no length is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::archive::SegmentReader;
    let Ok(Some(mut reader)) = SegmentReader::open(data, "fuzz") else { return };
    while matches!(reader.advance(), Ok(true)) {
        let _ = reader.seen().to_frame();
    }
});
