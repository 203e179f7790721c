//! The JSON reader: whatever it accepts, serde_json accepts too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut scan = ingest::scan::Scan::new(data);
    if scan.skip().and_then(|()| scan.end()).is_ok() && std::str::from_utf8(data).is_ok() {
        let parsed = serde_json::from_slice::<&serde_json::value::RawValue>(data);
        // Control characters in strings and bad escapes are found only when a string is read.
        assert!(parsed.is_ok() || data.contains(&b'\\'), "{:?}", String::from_utf8_lossy(data));
    }
});
