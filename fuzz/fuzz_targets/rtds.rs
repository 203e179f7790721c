//! The price streams, v1 and v2, through their machines.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::venue::polymarket::rtds1_tape::{RtdsV1, RtdsV1Config};
    use ingest::venue::polymarket::rtds2::{RtdsV2, RtdsV2Config};
    match data.split_first() {
        Some((b'2', rest)) => oraculo_fuzz::drive(|| RtdsV2::new(RtdsV2Config::capture()), rest),
        _ => oraculo_fuzz::drive(|| RtdsV1::new(RtdsV1Config::capture()), data),
    }
});
