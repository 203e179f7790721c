//! Kraken frames through the machine.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::venue::kraken::{Kraken, KrakenConfig};
    oraculo_fuzz::drive(|| Kraken::new(KrakenConfig::capture()), data);
});
