//! Coinbase frames through the machine.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::venue::coinbase::{Coinbase, CoinbaseConfig};
    oraculo_fuzz::drive(|| Coinbase::new(CoinbaseConfig::capture()), data);
});
