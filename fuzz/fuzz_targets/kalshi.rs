//! Kalshi frames and answers through the machine.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::venue::kalshi::{Kalshi, KalshiConfig};
    oraculo_fuzz::drive(|| Kalshi::new(KalshiConfig::capture()), data);
});
