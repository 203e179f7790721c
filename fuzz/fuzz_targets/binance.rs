//! Binance frames and snapshots through the machine.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::venue::binance::{Binance, BinanceConfig};
    oraculo_fuzz::drive(|| Binance::new(BinanceConfig::capture()), data);
});
