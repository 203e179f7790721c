//! Polymarket market-channel frames and answers through the machine.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::venue::polymarket::{Polymarket, PolymarketConfig};
    oraculo_fuzz::drive(|| Polymarket::new(PolymarketConfig::capture()), data);
});
